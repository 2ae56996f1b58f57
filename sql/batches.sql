-- Several events of one contact in a delivery, in every order.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
ALTER TABLE cxone_sync.contact_records DROP COLUMN field_times; -- for its order in time to be that of rows
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;
SET search_path = test;
-- One delivery of these events, and the counts of its reply.
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
CREATE VIEW dead AS SELECT sqlstate, event_key, column_name FROM cxone_sync.dead_letters ORDER BY id;

ALTER TABLE cxone_sync.contact_records ADD COLUMN n integer, ADD COLUMN small integer CHECK (small < 100);
CREATE VIEW contact AS SELECT id, email, last_name, n, small, updated_ts FROM cxone_sync.contact_records ORDER BY id;
-- newer last, newer first, equal
SELECT deliver('{"id": 1, "email": "old", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 1, "email": "new", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT deliver('{"id": 2, "email": "new", "timestamp": "2026-01-02T00:00:00Z"}', '{"id": 2, "email": "old", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT deliver('{"id": 3, "email": "one", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 3, "email": "two", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 3, "email": "three", "timestamp": "2026-01-01T01:00:00+01:00"}');
-- other columns: both are applied, and an older one is skipped as a whole
SELECT deliver('{"id": 4, "email": "e", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 4, "lastName": "l", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT deliver('{"id": 5, "lastName": "l", "timestamp": "2026-01-02T00:00:00Z"}', '{"id": 5, "email": "e", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT deliver('{"id": 6, "email": "e", "lastName": "l", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 6, "email": null, "timestamp": "2026-01-02T00:00:00Z"}', '{"id": 6, "lastName": "m", "timestamp": "2026-01-03T00:00:00Z"}', '{"id": 6, "email": "back", "timestamp": "2026-01-03T00:00:00Z"}');
TABLE contact;
-- every order of three events ends alike
CREATE FUNCTION in_every_order(VARIADIC e jsonb[]) RETURNS TABLE (orders bigint, email text, last_name text, n integer) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE cxone_sync.contact_records;
    FOR a IN 1..3 LOOP FOR b IN 1..3 LOOP FOR c IN 1..3 LOOP
        CONTINUE WHEN a = b OR b = c OR a = c;
        PERFORM test.deliver(e[a] || jsonb_build_object('id', format('%s%s%s', a, b, c)), e[b] || jsonb_build_object('id', format('%s%s%s', a, b, c)), e[c] || jsonb_build_object('id', format('%s%s%s', a, b, c)));
    END LOOP; END LOOP; END LOOP;
    RETURN QUERY SELECT count(*), r.email, r.last_name, r.n FROM cxone_sync.contact_records r GROUP BY 2, 3, 4 ORDER BY 1, 2, 3, 4;
END
$$;
SELECT * FROM in_every_order('{"email": "a", "lastName": "a", "n": 1, "timestamp": "2026-01-01T00:00:00Z"}', '{"email": "b", "lastName": "b", "n": 2, "timestamp": "2026-01-02T00:00:00Z"}', '{"email": "c", "lastName": null, "n": 3, "timestamp": "2026-01-03T00:00:00Z"}');
TRUNCATE cxone_sync.contact_records;

-- the row in the table takes part
SELECT deliver('{"id": 1, "email": "table", "timestamp": "2026-01-05T00:00:00Z"}');
SELECT deliver('{"id": 1, "email": "a", "timestamp": "2026-01-03T00:00:00Z"}', '{"id": 1, "lastName": "b", "timestamp": "2026-01-06T00:00:00Z"}', '{"id": 1, "n": 4, "timestamp": "2026-01-04T00:00:00Z"}');
TABLE contact;
-- an event counts as it would by itself, also where a later one of the delivery replaces it
SELECT deliver('{"id": 1, "email": "older", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 1, "email": "newer", "timestamp": "2026-01-07T00:00:00Z"}');
SELECT deliver('{"id": 1, "email": "older", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 1, "email": "older", "timestamp": "2026-01-02T00:00:00Z"}');
TABLE contact;

-- the event that would replace others fails, at its conversion (n) or its write (small): the others count
TRUNCATE cxone_sync.contact_records;
SELECT deliver('{"id": 1, "email": "good", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 1, "email": "bad", "n": "x", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT deliver('{"id": 2, "email": "bad", "n": "x", "timestamp": "2026-01-02T00:00:00Z"}', '{"id": 2, "email": "good", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT deliver('{"id": 3, "email": "good", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 3, "email": "bad", "small": 100, "timestamp": "2026-01-02T00:00:00Z"}');
SELECT deliver('{"id": 4, "email": "bad", "small": 100, "timestamp": "2026-01-02T00:00:00Z"}', '{"id": 4, "email": "good", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT deliver('{"id": 5, "small": 1, "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 5, "small": 100, "timestamp": "2026-01-04T00:00:00Z"}', '{"id": 5, "small": 101, "timestamp": "2026-01-05T00:00:00Z"}', '{"id": 5, "small": 2, "timestamp": "2026-01-02T00:00:00Z"}');
-- what came late for the bad one is early enough for the next
SELECT deliver('{"id": 6, "small": 100, "timestamp": "2026-01-05T00:00:00Z"}', '{"id": 6, "small": 2, "n": 2, "timestamp": "2026-01-02T00:00:00Z"}', '{"id": 6, "n": 6, "timestamp": "2026-01-06T00:00:00Z"}');
SELECT deliver('{"id": 7, "small": 7, "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 7, "n": "x", "small": 8, "timestamp": "2026-01-02T00:00:00Z"}', '{"id": 7, "small": 100, "timestamp": "2026-01-03T00:00:00Z"}', '{"id": 7, "timestamp": "infinity"}', '{"id": 7, "email": "still", "timestamp": "2026-01-01T00:00:00Z"}');
-- all bad
SELECT deliver('{"id": 8, "small": 100}', '{"id": 8, "small": 101}', '{"id": 8, "n": "x"}');
TABLE contact;
SELECT * FROM dead;
-- a bad event is a dead letter, also where a good one follows
SELECT deliver('{"id": 9, "small": 100, "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 9, "small": 9, "timestamp": "2026-01-02T00:00:00Z"}');
SELECT id, small FROM contact WHERE id = '9';

-- many events of one contact, the last of them or every second of them bad
SELECT deliver(VARIADIC (SELECT array_agg(jsonb_build_object('id', 'many', 'small', CASE WHEN i > 990 THEN i ELSE i % 100 END, 'timestamp', '2026-01-01T00:00:00Z') ORDER BY i) FROM generate_series(1, 1000) i));
SELECT id, small FROM contact WHERE id = 'many';
SELECT deliver(VARIADIC (SELECT array_agg(jsonb_build_object('id', 'many', CASE WHEN i % 3 = 0 THEN 'n' ELSE 'small' END, CASE WHEN i % 2 = 0 THEN 1000 ELSE i % 100 END, 'timestamp', '2026-01-02T00:00:00Z') ORDER BY i) FROM generate_series(1, 300) i));
SELECT id, n, small FROM contact WHERE id = 'many';
SELECT sqlstate, count(*) FROM dead WHERE event_key = 'many' GROUP BY 1;

-- two ids that a collation takes for one
DO $$
BEGIN
    CREATE COLLATION test.no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN OTHERS THEN
    CREATE COLLATION test.no_case FROM "C";
END
$$;
DROP VIEW contact;
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;
ALTER TABLE cxone_sync.contact_records ALTER COLUMN id TYPE text COLLATE no_case;
SELECT deliver('{"id": "ann", "email": "1", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": "ANN", "email": "2", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": "bob", "email": "3", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT * FROM dead;

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
