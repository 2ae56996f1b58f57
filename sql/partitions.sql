-- Targets whose tables are partitioned by hash and by range, as doc/scaling.md shows them.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE ROLE regress_owner;
CREATE SCHEMA test;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
SET search_path = test;
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
-- Events of contacts 1 to n, of this day.
CREATE FUNCTION contacts(n integer, day integer, more jsonb DEFAULT '{}') RETURNS jsonb[] LANGUAGE sql AS $$
    SELECT array_agg(jsonb_build_object('eventType', 'Contact', 'id', 'c' || i, 'n', i, 'timestamp', format('2026-01-%sT00:00:00Z', lpad(day::text, 2, '0'))) || more ORDER BY i)
    FROM generate_series(1, n) AS i
$$;
CREATE VIEW dead AS SELECT target, sqlstate, event_key, message FROM cxone_sync.dead_letters ORDER BY id;
\pset format unaligned
\pset tuples_only on
SELECT cxone_sync.remove_target('contact_records');

---- by hash
SET ROLE regress_owner;
CREATE TABLE contacts (id text PRIMARY KEY, n integer, note text, extra jsonb, updated_ts timestamptz) PARTITION BY HASH (id);
CREATE TABLE contacts_0 PARTITION OF contacts FOR VALUES WITH (MODULUS 4, REMAINDER 0) WITH (fillfactor = 90);
CREATE TABLE contacts_1 PARTITION OF contacts FOR VALUES WITH (MODULUS 4, REMAINDER 1) WITH (fillfactor = 90);
CREATE TABLE contacts_2 PARTITION OF contacts FOR VALUES WITH (MODULUS 4, REMAINDER 2) WITH (fillfactor = 90);
CREATE TABLE contacts_3 PARTITION OF contacts FOR VALUES WITH (MODULUS 4, REMAINDER 3) WITH (fillfactor = 90);
RESET ROLE;
CREATE VIEW stored AS SELECT count(*), count(DISTINCT tableoid) AS partitions, sum(n), string_agg(DISTINCT note, ' ') AS notes, min(updated_ts) AS oldest FROM contacts;
SELECT cxone_sync.add_target('contacts', 'contacts', '{id}', event_types => '{Contact}', delete_types => '{Gone}');
SELECT deliver(VARIADIC contacts(200, 2, '{"note": "first"}'));
TABLE stored;
-- newer ones are written, the same again and older ones are not
SELECT deliver(VARIADIC contacts(100, 3, '{"note": "second", "more": 1}'));
CREATE TABLE before AS SELECT tableoid AS part, ctid AS place, id FROM contacts;
SELECT deliver(VARIADIC contacts(100, 3, '{"note": "second", "more": 1}')), deliver(VARIADIC contacts(200, 1, '{"note": "late"}'));
SELECT count(*) FROM (SELECT tableoid, ctid, id FROM contacts EXCEPT TABLE before) AS written;
TABLE stored;
SELECT count(*), extra FROM contacts GROUP BY extra ORDER BY 1, 2;
-- what one partition refuses is that event's fault, wherever its neighbours go
ALTER TABLE contacts_2 ADD CONSTRAINT small CHECK (n < 100) NOT VALID;
SELECT deliver(VARIADIC contacts(200, 4, '{"note": "third"}')) ~ '^200: 1[0-9]+ applied, 0 skipped, [1-9][0-9]* dead$';
SELECT (SELECT count(*) FROM dead) = (SELECT count(*) FROM contacts_2 WHERE n >= 100), count(*) FROM contacts WHERE n < 100 AND note <> 'third';
SELECT DISTINCT sqlstate, message FROM dead;
ALTER TABLE contacts_2 DROP CONSTRAINT small;
SELECT DISTINCT outcome FROM cxone_sync.replay_dead_letters();
TABLE stored;
-- deletions, and that they stay
SELECT deliver(VARIADIC contacts(50, 5, '{"eventType": "Gone"}')), deliver(VARIADIC contacts(50, 4, '{"note": "late"}'));
TABLE stored;

---- by range: the column is part of the key, so it has to be in every event, and stays what it is
SET ROLE regress_owner;
CREATE TABLE calls (id text, opened date, note text, updated_ts timestamptz, PRIMARY KEY (id, opened)) PARTITION BY RANGE (opened);
CREATE TABLE calls_2026_01 PARTITION OF calls FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
RESET ROLE;
CREATE VIEW call AS SELECT tableoid::regclass, id, opened, note FROM calls ORDER BY id, opened;
SELECT cxone_sync.add_target('calls', 'calls', '{id,opened}', event_types => '{Call}');
SELECT deliver('{"eventType": "Call", "id": "a", "opened": "2026-01-31", "note": "old"}', '{"eventType": "Call", "id": "b", "opened": "2026-02-01", "note": "new"}');
TABLE call;
TABLE dead;
-- the next month's partition brings what had none
SET ROLE regress_owner;
CREATE TABLE calls_2026_02 PARTITION OF calls FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
RESET ROLE;
SELECT outcome FROM cxone_sync.replay_dead_letters();
TABLE call;
-- another date is another row; one without is a dead letter
SELECT deliver('{"eventType": "Call", "id": "a", "opened": "2026-02-02", "note": "another"}', '{"eventType": "Call", "id": "a", "note": "none"}');
TABLE call;
TABLE dead;
TRUNCATE cxone_sync.dead_letters;
-- an old month is taken off; a default partition takes what has no other
ALTER TABLE calls DETACH PARTITION calls_2026_01;
SET ROLE regress_owner;
CREATE TABLE calls_other PARTITION OF calls DEFAULT;
RESET ROLE;
SELECT deliver('{"eventType": "Call", "id": "a", "opened": "2026-01-31", "note": "late"}', '{"eventType": "Call", "id": "b", "opened": "2026-02-01", "note": "newer"}');
TABLE call;
SELECT id, opened, note FROM calls_2026_01;
TABLE dead;

---- whoever owns a partition can put triggers on it, which run as the owner of the table: so nobody else may, at any depth
CREATE ROLE "regress other";
GRANT USAGE, CREATE ON SCHEMA test TO "regress other";
SET ROLE regress_owner;
CREATE TABLE deep (id integer PRIMARY KEY, note text, updated_ts timestamptz) PARTITION BY RANGE (id);
CREATE TABLE deep_1 PARTITION OF deep FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE deep_1_1 PARTITION OF deep_1 FOR VALUES FROM (0) TO (50);
RESET ROLE;
CREATE VIEW deep_problem AS SELECT problem, hint FROM cxone_sync.targets WHERE name = 'deep';
ALTER TABLE deep_1 OWNER TO "regress other";
SELECT cxone_sync.add_target('deep', 'deep', '{id}', event_types => '{deep}');
ALTER TABLE deep_1 OWNER TO regress_owner;
SELECT cxone_sync.add_target('deep', 'deep', '{id}', event_types => '{deep}');
SELECT deliver('{"eventType": "deep", "id": 1, "note": "a"}');
ALTER TABLE deep_1_1 OWNER TO "regress other";
SELECT * FROM deep_problem;
SET ROLE "regress other";
CREATE FUNCTION seize() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := current_user; RETURN NEW; END $$;
CREATE TRIGGER seize BEFORE INSERT OR UPDATE ON deep_1_1 FOR EACH ROW EXECUTE FUNCTION seize();
RESET ROLE;
SELECT deliver('{"eventType": "deep", "id": 1, "note": "b"}');
SELECT note FROM deep;
TABLE dead;
-- of the owner, or of a superuser
DROP TRIGGER seize ON deep_1_1;
ALTER TABLE deep_1_1 OWNER TO CURRENT_USER;
SELECT * FROM deep_problem;
SELECT outcome FROM cxone_sync.replay_dead_letters();
ALTER TABLE deep OWNER TO "regress other";
SELECT * FROM deep_problem;
ALTER TABLE deep_1 OWNER TO "regress other";
SELECT * FROM deep_problem;
SELECT cxone_sync.remove_target('deep');
DROP TABLE deep;
DROP FUNCTION seize();
DROP OWNED BY "regress other";
DROP ROLE "regress other";

---- a table that grows becomes a partition of a new one
SET ROLE regress_owner;
CREATE TABLE cases (id bigint PRIMARY KEY, note text, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('cases', 'cases', '{id}', event_types => '{Case}');
SELECT deliver('{"eventType": "Case", "id": 1, "note": "a"}', '{"eventType": "Case", "id": 2, "note": "b"}');
SET ROLE regress_owner;
CREATE TABLE all_cases (LIKE cases INCLUDING ALL) PARTITION BY RANGE (id);
ALTER TABLE all_cases ATTACH PARTITION cases FOR VALUES FROM (MINVALUE) TO (1000);
CREATE TABLE cases_1000 PARTITION OF all_cases FOR VALUES FROM (1000) TO (2000);
RESET ROLE;
SELECT cxone_sync.change_target('cases', 'all_cases', '{id}', event_types => '{Case}');
SELECT deliver('{"eventType": "Case", "id": 2, "note": "c"}', '{"eventType": "Case", "id": 1000, "note": "d"}');
SELECT tableoid::regclass, id, note FROM all_cases ORDER BY id;

---- of many partitions only those of the keys at hand are looked at, by every kind of event
SET ROLE regress_owner;
CREATE TABLE many (id integer, part integer, name text NOT NULL, note text, updated_ts timestamptz, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE hashed (id integer, part integer, name text NOT NULL, note text, updated_ts timestamptz, PRIMARY KEY (id, part)) PARTITION BY HASH (id, part);
DO $$
BEGIN
    FOR i IN 0..99 LOOP
        EXECUTE format('CREATE TABLE many_%s PARTITION OF many FOR VALUES IN (%s)', i, i);
        EXECUTE format('CREATE TABLE hashed_%s PARTITION OF hashed FOR VALUES WITH (MODULUS 100, REMAINDER %s)', i, i);
    END LOOP;
END
$$;
RESET ROLE;
SELECT cxone_sync.add_target('many', 'many', '{id,part}', event_types => '{many}', delete_types => '{many gone}'), cxone_sync.add_target('hashed', 'hashed', '{id,part}', event_types => '{hashed}', delete_types => '{hashed gone}');
-- How many partitions of the table the transaction under way has locked.
CREATE FUNCTION locked(root text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(DISTINCT l.relation) FROM pg_locks AS l JOIN pg_inherits AS i ON i.inhrelid = l.relation WHERE i.inhparent = root::regclass AND l.pid = pg_backend_pid()
$$;
CREATE FUNCTION each_kind(root text) RETURNS TABLE (kind text, counts text, partitions bigint) LANGUAGE plpgsql AS $$
DECLARE
    one jsonb := jsonb_build_object('id', 1, 'part', 7, 'name', 'n', 'eventType', root, 'timestamp', '2026-01-02T00:00:00Z');
BEGIN
    RETURN QUERY SELECT 'new', deliver(one, one || '{"id": 2, "part": 8}'), 0::bigint;
    RETURN QUERY SELECT 'new', '', locked(root);
    RETURN QUERY SELECT 'repeated', deliver(one), 0::bigint;
    RETURN QUERY SELECT 'late', deliver(one || '{"timestamp": "2026-01-01T00:00:00Z"}'), 0::bigint;
    RETURN QUERY SELECT 'partial', deliver((one - 'name') || '{"note": "partial"}'), 0::bigint;
    RETURN QUERY SELECT 'partial without a row', deliver((one - 'name') || '{"id": 2, "part": 8, "timestamp": "2026-01-03T00:00:00Z", "note": "p"}'), 0::bigint;
    RETURN QUERY SELECT 'deleted', deliver(one || jsonb_build_object('eventType', root || ' gone', 'timestamp', '2026-01-04T00:00:00Z')), 0::bigint;
    RETURN QUERY SELECT 'all', '', locked(root);
END
$$;
BEGIN;
SELECT * FROM each_kind('many');
COMMIT;
BEGIN;
SELECT * FROM each_kind('hashed');
COMMIT;
SELECT * FROM many; SELECT * FROM hashed;
SELECT cxone_sync.remove_target('many'), cxone_sync.remove_target('hashed');

-- What triggers run is planned as ever, whatever the statements around it are planned by.
CREATE TABLE planned (id integer PRIMARY KEY, plan text, updated_ts timestamptz) PARTITION BY LIST (id);
CREATE TABLE planned_1 PARTITION OF planned DEFAULT;
CREATE FUNCTION show_plan() RETURNS trigger LANGUAGE plpgsql SET search_path = test AS $$
BEGIN
    NEW.plan := concat_ws(' ', current_setting('enable_hashjoin'), current_setting('enable_seqscan'), current_setting('random_page_cost'), current_setting('cpu_operator_cost'));
    RETURN NEW;
END $$;
CREATE TRIGGER show_plan BEFORE INSERT OR UPDATE ON planned FOR EACH ROW EXECUTE FUNCTION show_plan();
ALTER TABLE planned OWNER TO regress_owner;
ALTER TABLE planned_1 OWNER TO regress_owner;
SELECT cxone_sync.add_target('planned', 'planned', '{id}', event_types => '{Planned}');
SELECT deliver('{"eventType": "Planned", "id": 1, "timestamp": "2026-01-01T00:00:00Z"}'), deliver('{"eventType": "Planned", "id": 1, "timestamp": "2026-01-02T00:00:00Z"}', '{"eventType": "Planned", "id": 2, "timestamp": "2026-01-02T00:00:00Z"}');
SELECT id, plan FROM planned ORDER BY id;

DROP SCHEMA test CASCADE;
DROP OWNED BY regress_owner;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_owner;
