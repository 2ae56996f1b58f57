-- What the views of monitoring are: their columns, who may read them, and how dead letters are counted. What they count
-- is for the tests with a server that takes deliveries; ingest() is not counted.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION cxone_sync;
\pset format unaligned
\pset tuples_only on

-- columns, in their order: a view that is altered may get more of them at its end
SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'cxone_sync'::regnamespace AND a.attnum > 0
    AND c.relname IN ('sync_lag', 'sync_lag_buckets', 'intake_lag', 'intake_lag_buckets', 'sync_status', 'sync_counters', 'dead_letters_open')
GROUP BY c.relname ORDER BY c.relname;

-- each is documented, and so is each function
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'cxone_sync'::regnamespace AND c.relkind = 'v' AND a.attnum >= 0 AND col_description(c.oid, a.attnum) IS NULL;
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'cxone_sync'::regnamespace AND c.relkind = 'v' AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'cxone_sync'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;

-- rows
SELECT status, events >= 0, last_commit IS NULL OR last_commit <= now() FROM cxone_sync.sync_lag ORDER BY status;
SELECT status, events >= 0 FROM cxone_sync.intake_lag ORDER BY status;
SELECT b.status, count(*), min(le), max(le) FILTER (WHERE le < 'infinity'), max(le),
    bool_and(b.events <= l.events), max(b.events) = max(l.events)
FROM cxone_sync.intake_lag_buckets b JOIN cxone_sync.intake_lag l USING (status) GROUP BY b.status ORDER BY b.status;
-- 0.1 s x 2^i
SELECT count(*), bool_and(abs(le / 0.1 - 2 ^ round(log(2, (le / 0.1)::numeric))) < 1e-9)
FROM cxone_sync.sync_lag_buckets WHERE le < 'infinity' AND status = 'success';
SELECT counter, outcome, reason FROM cxone_sync.sync_counters;
SELECT count(DISTINCT stats_reset), bool_and(stats_reset <= now()) FROM cxone_sync.sync_counters;
SELECT reason FROM cxone_sync.dead_letters_open;
SELECT worker, starts > 0, queued_deliveries, queued_bytes, oldest_waiting FROM cxone_sync.sync_status;

-- a reset concerns counters and lags; what ingest() writes is not counted
SELECT stats_reset AS before FROM cxone_sync.sync_counters LIMIT 1 \gset
SELECT cxone_sync.reset_stats();
SELECT cxone_sync.ingest('{"events": [{"id": "1"}, {"no": "id"}]}') -> 'received';
SELECT count(*) FILTER (WHERE total <> 0), min(stats_reset) > :'before' FROM cxone_sync.sync_counters;
SELECT status, events, mean, p50, p95, p99, max, last_commit FROM cxone_sync.sync_lag;
SELECT sum(events) FROM cxone_sync.intake_lag_buckets;

---- privileges
CREATE ROLE regress_watcher IN ROLE pg_monitor;
CREATE ROLE regress_plain;
SELECT r.rolname, c.relname FROM pg_roles r, pg_class c
WHERE r.rolname IN ('regress_watcher', 'regress_plain') AND c.relnamespace = 'cxone_sync'::regnamespace AND c.relkind IN ('r', 'v', 'S')
    AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
ORDER BY r.rolname, c.relname;
SET ROLE regress_watcher;
SELECT count(*) FROM cxone_sync.sync_lag, cxone_sync.intake_lag, cxone_sync.sync_status;
SELECT count(*) > 100 FROM cxone_sync.sync_lag_buckets, cxone_sync.intake_lag_buckets;
SELECT count(*) FROM cxone_sync.sync_counters, cxone_sync.dead_letters_open;
SELECT cxone_sync.reset_stats();
SELECT * FROM cxone_sync.dead_letters;
SET ROLE regress_plain;
SELECT * FROM cxone_sync.sync_lag;
SELECT * FROM cxone_sync.sync_lag_buckets;
SELECT * FROM cxone_sync.intake_lag;
SELECT * FROM cxone_sync.intake_lag_buckets;
SELECT * FROM cxone_sync.sync_status;
SELECT * FROM cxone_sync.sync_counters;
SELECT * FROM cxone_sync.dead_letters_open;
SELECT * FROM cxone_sync.worker_status();
SELECT cxone_sync.reset_stats();
CREATE TEMP TABLE own (id int);
CREATE TRIGGER own AFTER INSERT ON own FOR EACH STATEMENT EXECUTE FUNCTION cxone_sync.dead_letters_changed();
RESET ROLE;
GRANT USAGE ON SCHEMA cxone_sync TO regress_plain;
GRANT EXECUTE ON FUNCTION cxone_sync.reset_stats() TO regress_plain;
SET ROLE regress_plain;
SELECT cxone_sync.reset_stats();
SELECT cxone_sync.dead_letters_changed();
RESET ROLE;

---- dead letters by what is wrong: the worker counts them within seconds
CREATE PROCEDURE wait_for_letters(expected text) LANGUAGE plpgsql AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + interval '60 s';
    seen text;
BEGIN
    LOOP
        SELECT coalesce(string_agg(reason || ' ' || letters, ', '), 'none') INTO seen FROM cxone_sync.dead_letters_open WHERE letters <> 0;
        EXIT WHEN seen = expected AND (SELECT bool_and(counted_at <= clock_timestamp()) FROM cxone_sync.dead_letters_open);
        IF clock_timestamp() > deadline THEN
            RAISE 'waited in vain for %: %', expected, seen;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END
$$;
CALL wait_for_letters('constraint 1');
INSERT INTO cxone_sync.dead_letters (received_at, target, sqlstate, message, payload)
SELECT now(), 'contact_records', s, 'by hand', '{}'
FROM unnest('{22P02,22001,22,23502,02000,3F000,42P17,55000,P0001,XX000,0A000,40001}'::text[]) s;
CALL wait_for_letters('value 3, constraint 2, target 4, raised 1, other 3');
BEGIN;
DELETE FROM cxone_sync.dead_letters;
ROLLBACK;
-- the ten thousandth is the last that is counted
INSERT INTO cxone_sync.dead_letters (received_at, target, sqlstate, message, payload)
SELECT now(), 'contact_records', '22P02', 'by hand', '{}' FROM generate_series(1, 20000);
CALL wait_for_letters('value 9990, constraint 2, target 4, raised 1, other 3');
TRUNCATE cxone_sync.dead_letters;
CALL wait_for_letters('none');

DROP PROCEDURE wait_for_letters;
DROP OWNED BY regress_watcher, regress_plain;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_watcher, regress_plain;
