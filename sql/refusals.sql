-- What is refused as a whole: bodies, and targets that cannot be written to. Nothing is written then.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;
SET search_path = test;
-- One delivery of these events, and the counts of its reply.
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
CREATE VIEW dead AS SELECT sqlstate, event_key, column_name FROM cxone_sync.dead_letters ORDER BY id;

-- What ingest() raises: its SQLSTATE, message and hint.
CREATE FUNCTION refusal(payload jsonb, OUT code text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    message := cxone_sync.ingest(payload);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END
$$;
-- with the hint
SELECT * FROM refusal('{}');
SELECT p, code, message FROM unnest(ARRAY['{}', '[]', '7', '"events"', 'null', '{"events": null}', '{"events": {}}', '{"events": "[]"}', '{"events": 7}', '{"events": true}',
    '{"Events": []}', '{"event": [{"id": 1}]}', '[{"id": 1}]', '{"data": {"events": []}}', '{"id": 1}']::jsonb[]) p, refusal(p);
-- no events are fine, and so is what stands beside them; no payload is none
SELECT p, message FROM unnest(ARRAY['{"events": []}', '{"a": {"events": 7}, "events": [], "z": [{"id": 1}]}']::jsonb[]) p, refusal(p);
SELECT cxone_sync.ingest(NULL) IS NULL AS nothing;
-- too many, too deep: the limit itself passes
SHOW cxone_sync.max_events;
SELECT c FROM cxone_sync.ingest((SELECT jsonb_build_object('events', jsonb_agg(jsonb_build_object('id', i))) FROM generate_series(1, 1000) i)) c;
SELECT r.* FROM (SELECT jsonb_build_object('events', jsonb_agg(jsonb_build_object('id', i))) AS p FROM generate_series(1, 1001) i) d, refusal(p) r;
SELECT count(*) FROM cxone_sync.contact_records;
TRUNCATE cxone_sync.contact_records;
SHOW cxone_sync.max_json_depth;
SELECT deliver(jsonb_build_object('id', 'deep', 'email', (repeat('[', 61) || repeat(']', 61))::jsonb));
SELECT code, message FROM refusal(jsonb_build_object('events', jsonb_build_array(jsonb_build_object('id', 'deeper', 'email', (repeat('[', 62) || repeat(']', 62))::jsonb))));
SELECT code, message FROM refusal(jsonb_build_object('beside', (repeat('[', 64) || repeat(']', 64))::jsonb, 'events', '[]'::jsonb));
SELECT id, length(email) FROM cxone_sync.contact_records;
SELECT * FROM dead;

-- A target that needs mending: its events are dead letters that say what to do.
CREATE FUNCTION outcome(payload jsonb) RETURNS TABLE (reply text, sqlstate text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    reply := cxone_sync.ingest(payload) - 'received';
    SELECT d.sqlstate, d.message, d.hint INTO outcome.sqlstate, outcome.message, outcome.hint FROM cxone_sync.dead_letters d ORDER BY id DESC LIMIT 1;
    RETURN NEXT;
END
$$;
BEGIN;
-- a rename is followed
ALTER TABLE cxone_sync.contact_records RENAME TO contacts;
SELECT reply FROM outcome('{"events": [{"id": "renamed"}]}');
SELECT count(*) FROM cxone_sync.contacts WHERE id = 'renamed';
ROLLBACK;
BEGIN;
DROP TABLE cxone_sync.contact_records;
SELECT * FROM outcome('{"events": [{"id": 1}]}');
SELECT problem, hint FROM cxone_sync.targets;
-- another table in its place
CREATE TABLE cxone_sync.contact_records (id text PRIMARY KEY, updated_ts timestamptz, phone text);
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records');
ROLLBACK;
BEGIN;
DROP TABLE cxone_sync.contact_records;
CREATE TABLE cxone_sync.contact_records (id text PRIMARY KEY, updated_ts timestamptz, phone text);
ALTER TABLE cxone_sync.contact_records OWNER TO cxone_sync;
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records');
SELECT reply FROM outcome('{"events": [{"id": 1, "phone": "5", "email": "x"}]}');
SELECT id, phone FROM cxone_sync.contact_records;
ROLLBACK;
BEGIN;
ALTER TABLE cxone_sync.contact_records DROP COLUMN updated_ts;
SELECT * FROM outcome('{"events": [{"id": 1}]}');
ALTER TABLE cxone_sync.contact_records ADD COLUMN updated_ts timestamp;
SELECT * FROM outcome('{"events": [{"id": 1}]}');
ROLLBACK;
BEGIN;
ALTER TABLE cxone_sync.contact_records DROP CONSTRAINT contact_records_pkey;
SELECT * FROM outcome('{"events": [{"id": 1}]}');
ALTER TABLE cxone_sync.contact_records ADD PRIMARY KEY (id) DEFERRABLE;
SELECT message FROM outcome('{"events": [{"id": 1}]}');
ROLLBACK;
-- a key of another type is fine
BEGIN;
ALTER TABLE cxone_sync.contact_records ALTER COLUMN id TYPE varchar;
SELECT reply FROM outcome('{"events": [{"id": "varchar"}]}');
ROLLBACK;
BEGIN;
ALTER TABLE cxone_sync.contact_records OWNER TO CURRENT_USER;
SELECT * FROM outcome('{"events": [{"id": 1}]}');
ROLLBACK;
-- all is well again
SELECT deliver('{"id": "after all", "email": "x"}');
SELECT id, email FROM cxone_sync.contact_records WHERE id = 'after all';

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
