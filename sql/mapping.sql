-- Which key feeds which column.
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

-- the contract's keys; sync_status is the user's
SELECT deliver('{"id": "c1", "externalId": "x1", "firstName": "Ann", "lastName": "Lee", "email": "a@b.c", "timestamp": "2026-01-02T03:04:05Z", "sync_status": "done", "syncStatus": "done"}');
SELECT id, external_id, first_name, last_name, email, updated_ts, sync_status FROM cxone_sync.contact_records;
UPDATE cxone_sync.contact_records SET sync_status = 'mine';
SELECT deliver('{"id": "c1", "email": "d@e.f", "timestamp": "2026-01-03T00:00:00Z", "sync_status": "pending"}');
SELECT id, email, sync_status FROM cxone_sync.contact_records;
-- the order column is fed by the event's time only
SELECT deliver('{"id": "c1", "updated_ts": "2030-01-01T00:00:00Z", "updatedTs": "2030-01-01T00:00:00Z", "timestamp": "2026-01-04T00:00:00Z"}');
SELECT id, updated_ts FROM cxone_sync.contact_records;
-- keys that no column takes
SELECT deliver('{"id": "c1", "email": "g@h.i", "unknown": 1, "Email": "no", "EMAIL": "no", "FirstName": "no", "firstname": "no", "first-name": "no", "": "no", "nested": {"email": "no", "id": "no"}, "list": [{"email": "no"}], "timestamp": "2026-01-05T00:00:00Z"}');
SELECT id, first_name, email FROM cxone_sync.contact_records;
DELETE FROM cxone_sync.contact_records;

-- ids: numbers keep their digits, strings their form
SELECT deliver('{"id": 900719925474010002}', '{"id": "900719925474010002"}', '{"id": 123456789012345678901234567890}', '{"id": 1.50}',
    '{"id": -0}', '{"id": " "}', '{"id": "A0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}', '{"id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}',
    '{"id": "Zoë \"\\ ''\t😀"}');
SELECT id FROM cxone_sync.contact_records ORDER BY id COLLATE "C";
-- what is no id
SELECT deliver('{}', '{"id": null}', '{"id": ""}', '{"id": true}', '{"id": []}', '{"id": {}}', '{"ID": "x"}', '[]', '["id"]', '7', '"id"', 'null', '[{"id": "x"}]');
SELECT sqlstate, column_name, event_key, message, payload FROM cxone_sync.dead_letters ORDER BY id;
-- an id too long for its index harms only itself
SELECT deliver('{"id": "short"}', jsonb_build_object('id', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i)));
SELECT sqlstate, length(event_key), target FROM cxone_sync.dead_letters ORDER BY id DESC LIMIT 1;
SELECT id FROM cxone_sync.contact_records WHERE id = 'short';
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;

-- the column's name wins over its camelCase form, wherever both stand, null or not
SELECT deliver('{"id": 1, "firstName": "camel", "first_name": "exact"}', '{"id": 2, "first_name": null, "firstName": "camel"}', '{"id": 3, "first_name": "exact"}');
SELECT id, first_name FROM cxone_sync.contact_records ORDER BY id;
-- a column of the camelCase name takes that key from the other
ALTER TABLE cxone_sync.contact_records ADD COLUMN "firstName" text;
SELECT deliver('{"id": 4, "firstName": "camel", "first_name": "exact"}', '{"id": 5, "firstName": "camel"}');
SELECT id, first_name, "firstName" FROM cxone_sync.contact_records WHERE id >= '4' ORDER BY id;
-- a member may feed the event's time and a column; extra holds it if only the time has lost it
ALTER TABLE cxone_sync.contact_records DROP COLUMN "firstName", ADD COLUMN "timestamp" text, ADD COLUMN changed_at timestamptz;
SELECT cxone_sync.map_field('contact_records', 'updated_ts', '/changedAt', '/madeAt');
SELECT deliver('{"id": 6, "timestamp": "2026-01-01T00:00:00Z"}',
    '{"id": 7, "changedAt": "2026-01-02T00:00:00Z", "madeAt": "2026-01-01T00:00:00Z", "timestamp": "soon"}',
    '{"id": 8, "changedAt": null, "madeAt": "2026-01-01T00:00:00Z"}');
SELECT id, "timestamp", changed_at, updated_ts, extra FROM cxone_sync.contact_records WHERE id >= '6' ORDER BY id;
SELECT target, key FROM cxone_sync.unmapped_keys WHERE key IN ('timestamp', 'changedAt', 'madeAt');
SELECT cxone_sync.unmap_field('contact_records', 'updated_ts');
-- so may one of the key
CREATE TABLE moments (id text, "timestamp" timestamptz, v text, updated_ts timestamptz, PRIMARY KEY (id, "timestamp"));
ALTER TABLE moments OWNER TO cxone_sync;
SELECT cxone_sync.add_target('moments', 'moments', '{id,timestamp}', event_types => '{Moment}');
SELECT deliver('{"eventType": "Moment", "id": 1, "v": "a", "timestamp": "2026-01-01T00:00:00Z"}',
    '{"eventType": "Moment", "id": 1, "v": "b", "timestamp": "2026-01-02T00:00:00Z"}');
TABLE moments;
SELECT cxone_sync.remove_target('moments');
DROP TABLE moments;
ALTER TABLE cxone_sync.contact_records DROP COLUMN "timestamp", DROP COLUMN changed_at;
DELETE FROM cxone_sync.contact_records WHERE id IN ('7', '8');

-- odd names, also those that the statements use themselves
ALTER TABLE cxone_sync.contact_records ADD COLUMN "Weird Name" text, ADD COLUMN "select" text, ADD COLUMN "größe" text,
    ADD COLUMN "qu""ote" text, ADD COLUMN "sem;i--" text, ADD COLUMN t text, ADD COLUMN u json, ADD COLUMN excluded text, ADD COLUMN c1 text,
    ADD COLUMN "$1" text, ADD COLUMN "key" text, ADD COLUMN "time" text, ADD COLUMN number json, ADD COLUMN _lead_1st text,
    ADD COLUMN trail_ text, ADD COLUMN a__b text, ADD COLUMN "back\slash" text, ADD COLUMN "percent %s" text;
SELECT deliver('{"id": 7, "timestamp": "2026-01-01T00:00:00Z", "Weird Name": "a", "select": "b", "größe": "c", "qu\"ote": "d", "sem;i--": "e", "t": "f", "u": [1], "excluded": "g", "c1": "h", "$1": "i", "key": "j", "time": "k", "number": 5, "_lead1st": "l", "trail": "m", "aB": "n", "back\\slash": "o", "percent %s": "p"}');
SELECT to_jsonb(c) - '{id,external_id,first_name,last_name,email,updated_ts,sync_status}'::text[] AS odd FROM cxone_sync.contact_records c WHERE id = '7';
-- update, no change, older
SELECT deliver('{"id": 7, "timestamp": "2026-01-01T00:00:00Z", "Weird Name": "A", "qu\"ote": "D", "u": [2], "excluded": "G", "number": 5}');
SELECT deliver('{"id": 7, "timestamp": "2026-01-01T00:00:00Z", "Weird Name": "A", "qu\"ote": "D", "u": [2], "excluded": "G", "number": 5}');
SELECT deliver('{"id": 7, "timestamp": "2025-01-01T00:00:00Z", "Weird Name": "old", "qu\"ote": "old", "u": [3], "excluded": "old", "number": 6}');
SELECT "Weird Name", "qu""ote", u, excluded, number FROM cxone_sync.contact_records WHERE id = '7';

-- the definition in force is the mapping: added, renamed, retyped, dropped
TRUNCATE cxone_sync.contact_records;
SELECT deliver('{"id": 1, "phone": "555", "mobilePhone": "556"}');
ALTER TABLE cxone_sync.contact_records ADD COLUMN phone text;
SELECT deliver('{"id": 2, "phone": "555", "mobilePhone": "556"}');
ALTER TABLE cxone_sync.contact_records RENAME COLUMN phone TO mobile_phone;
SELECT deliver('{"id": 3, "phone": "555", "mobilePhone": "556"}');
ALTER TABLE cxone_sync.contact_records ALTER COLUMN mobile_phone TYPE integer USING mobile_phone::integer;
SELECT deliver('{"id": 4, "phone": "555", "mobilePhone": " 0557 "}');
SELECT id, mobile_phone, pg_typeof(mobile_phone) FROM cxone_sync.contact_records ORDER BY id;
ALTER TABLE cxone_sync.contact_records DROP COLUMN mobile_phone, DROP COLUMN external_id;
SELECT deliver('{"id": 5, "phone": "555", "mobilePhone": "no number", "externalId": "x", "lastName": "Lee"}');
SELECT id, last_name FROM cxone_sync.contact_records WHERE id = '5';
-- columns that PostgreSQL computes are never fed
ALTER TABLE cxone_sync.contact_records ADD COLUMN number_always bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN number_default bigint GENERATED BY DEFAULT AS IDENTITY, ADD COLUMN upper_email text GENERATED ALWAYS AS (upper(email)) STORED,
    ADD COLUMN seen_at date DEFAULT '2020-02-02';
TRUNCATE cxone_sync.contact_records RESTART IDENTITY;
SELECT deliver('{"id": 1, "numberAlways": 77, "number_always": 77, "numberDefault": 77, "upperEmail": "no", "upper_email": "no", "email": "a@b.c", "seenAt": "2021-01-01"}', '{"id": 2, "email": "d@e.f"}');
SELECT id, number_always = 77 AS fed, number_default, upper_email, seen_at FROM cxone_sync.contact_records ORDER BY id;
SELECT * FROM dead;
-- a table whose key cannot be used any more
ALTER TABLE cxone_sync.contact_records DROP CONSTRAINT contact_records_pkey;
SELECT deliver('{"id": 1}');
CREATE UNIQUE INDEX ON cxone_sync.contact_records (id) WHERE email IS NOT NULL;
SELECT deliver('{"id": 1}');
CREATE UNIQUE INDEX ON cxone_sync.contact_records (id, email);
SELECT deliver('{"id": 1}');
CREATE UNIQUE INDEX ON cxone_sync.contact_records (id) INCLUDE (email);
SELECT deliver('{"id": 1, "lastName": "found"}');
SELECT id, last_name FROM cxone_sync.contact_records ORDER BY id;

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
