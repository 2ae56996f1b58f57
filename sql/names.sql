-- What is known of tables follows their names and columns, and goes with them.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE ROLE regress_owner;
CREATE ROLE regress_other;
CREATE SCHEMA test;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
SET search_path = test;
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
CREATE FUNCTION event(type text, day integer, fields jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('eventType', type, 'timestamp', format('2026-01-0%sT00:00:00Z', day)) || fields
$$;
-- Days instead of microseconds, of the columns that are known by these names.
CREATE FUNCTION days(times jsonb, relation text DEFAULT 'fields') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(coalesce(column_name, key), CASE jsonb_typeof(value) WHEN 'number' THEN to_jsonb(extract(day FROM to_timestamp(value::bigint / 1e6))) WHEN 'object' THEN test.days(value, 'pg_class') ELSE value END)
    FROM jsonb_each(times) LEFT JOIN cxone_sync.lasting_names AS n ON n.relation = days.relation::regclass AND lasting_name = key
    WHERE column_name IS NOT NULL OR NOT EXISTS (SELECT FROM cxone_sync.lasting_names AS n WHERE n.relation = days.relation::regclass AND n.column_name = key)
$$;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
SELECT cxone_sync.change_target('contact_records', event_types => '{contact}');

---- a column in field order keeps its times under its new name, and newer fields go on to win one by one
SET ROLE regress_owner;
CREATE TABLE fields (id integer PRIMARY KEY, a text, b text, c text, extra jsonb, field_times jsonb, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('fields', 'fields', '{id}', event_types => '{f}', delete_types => '{g}');
SELECT deliver(event('f', 1, '{"id": 1, "a": "1", "b": "1", "x": 1}'), event('f', 9, '{"id": 1, "c": "9", "y": 9}'), event('f', 9, '{"id": 2, "a": "9"}'));
SELECT id, a, b, c, extra, days(field_times) FROM fields ORDER BY id;
SELECT xmin AS before FROM fields WHERE id = 2 \gset
SET ROLE regress_owner;
ALTER TABLE fields RENAME a TO a2;
RESET ROLE;
SELECT id, a2, days(field_times) FROM fields ORDER BY id;
-- no row is touched
SELECT xmin = :'before' AS untouched FROM fields WHERE id = 2;
SELECT deliver(event('f', 5, '{"id": 1, "a2": "5", "b": "5"}'));
SELECT id, a2, b, days(field_times) FROM fields WHERE id = 1;
-- in the transaction that renames, and back with it; two that exchange their names
BEGIN;
ALTER TABLE fields RENAME a2 TO a3;
SELECT days(field_times) FROM fields WHERE id = 1;
ROLLBACK;
SELECT days(field_times) FROM fields WHERE id = 1;
SELECT deliver(event('f', 7, '{"id": 1, "b": "7"}'));
BEGIN;
ALTER TABLE fields RENAME a2 TO swap;
ALTER TABLE fields RENAME b TO a2;
ALTER TABLE fields RENAME swap TO b;
COMMIT;
SELECT a2, b, days(field_times) FROM fields WHERE id = 1;
-- a name that a column had before that is gone: its time is not the new one's
ALTER TABLE fields DROP COLUMN b;
ALTER TABLE fields RENAME c TO b;
SELECT a2, b, days(field_times) FROM fields WHERE id = 1;
-- times of members of extra are no column's
ALTER TABLE fields RENAME extra TO other;
SELECT days(field_times) FROM fields WHERE id = 1;
ALTER TABLE fields RENAME a2 TO extra;
SELECT days(field_times) FROM fields WHERE id = 1;
ALTER TABLE fields RENAME extra TO a;
ALTER TABLE fields RENAME other TO extra;
-- the column of the times itself
ALTER TABLE fields RENAME field_times TO times;
ALTER TABLE fields RENAME a TO a4;
ALTER TABLE fields RENAME times TO field_times;
ALTER TABLE fields RENAME a4 TO a;
-- by another command that PostgreSQL allows
SELECT deliver(event('f', 3, '{"id": 3, "a": "3"}'), event('f', 9, '{"id": 3, "b": "9"}'));
ALTER VIEW fields RENAME COLUMN a TO a5;
SELECT days(field_times) FROM fields WHERE id = 3;
ALTER TABLE IF EXISTS nowhere RENAME a TO b;

---- whatever stands on the table: the command is not refused, and nothing of it runs
SET ROLE regress_owner;
CREATE TABLE seen (what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO test.seen VALUES (TG_OP); RETURN NULL; END $$;
CREATE FUNCTION need() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a5 := NEW.a5; RETURN NULL; END $$;
CREATE TRIGGER see AFTER UPDATE ON fields FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER need BEFORE UPDATE ON fields FOR EACH ROW EXECUTE FUNCTION need();
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON fields DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION see();
ALTER TABLE fields ADD CHECK (b = 'never') NOT VALID, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
REVOKE UPDATE ON fields FROM regress_owner;
RESET ROLE;
REVOKE USAGE ON SCHEMA test FROM PUBLIC;
ALTER TABLE fields RENAME a5 TO a;
SELECT days(field_times) FROM fields WHERE id = 3;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
TABLE seen;
ALTER TABLE fields DROP CONSTRAINT fields_b_check, NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
DROP TRIGGER see ON fields;
DROP TRIGGER need ON fields;
DROP TRIGGER later ON fields;
GRANT UPDATE ON fields TO regress_owner;
-- whoever may not rename a column does nothing else either
SET ROLE regress_other;
ALTER TABLE fields RENAME a TO mine;
RESET ROLE;
SELECT days(field_times) FROM fields WHERE id = 3;
-- the same while the table is a superuser's
ALTER TABLE fields OWNER TO CURRENT_USER;
ALTER TABLE fields RENAME a TO a6;
SELECT days(field_times) FROM fields WHERE id = 3;
ALTER TABLE fields RENAME a6 TO a;
ALTER TABLE fields OWNER TO regress_owner;
-- a column of that name that holds something else is left alone
SET ROLE regress_owner;
CREATE TABLE computed (id integer PRIMARY KEY, a text, field_times jsonb GENERATED ALWAYS AS ('{"a": 1}'::jsonb) STORED, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('computed', 'computed', '{id}', event_types => '{k}');
SELECT deliver(event('k', 1, '{"id": 1, "a": "1"}'));
ALTER TABLE computed RENAME a TO b;
SELECT deliver(event('k', 2, '{"id": 1, "b": "2"}'));
TABLE computed;
SELECT cxone_sync.remove_target('computed');

---- partitions, and tables of a type: the command names another relation
SET ROLE regress_owner;
CREATE TABLE parts (id integer, region text, a text, b text, field_times jsonb, updated_ts timestamptz, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF parts FOR VALUES IN ('eu');
CREATE TYPE shape AS (id integer, a text, b text, field_times jsonb, updated_ts timestamptz);
CREATE TABLE shaped OF shape (PRIMARY KEY (id));
CREATE TABLE above (a text);
ALTER TABLE shaped NOT OF;
ALTER TABLE shaped OF shape;
CREATE TABLE child (id integer PRIMARY KEY, b text, field_times jsonb, updated_ts timestamptz) INHERITS (above);
RESET ROLE;
SELECT cxone_sync.add_target('parts', 'parts', '{id,region}', event_types => '{p}'), cxone_sync.add_target('shaped', 'shaped', '{id}', event_types => '{s}'), cxone_sync.add_target('child', 'child', '{id}', event_types => '{c}');
SELECT deliver(event(t, 1, '{"id": 1, "region": "eu", "a": "1"}'), event(t, 9, '{"id": 1, "region": "eu", "b": "9"}')) FROM unnest('{p,s,c}'::text[]) AS t;
ALTER TABLE parts RENAME a TO renamed;
ALTER TYPE shape RENAME ATTRIBUTE a TO renamed CASCADE;
ALTER TABLE above RENAME a TO renamed;
SELECT tableoid::regclass, renamed, days(field_times, 'parts') FROM parts UNION ALL SELECT tableoid::regclass, renamed, days(field_times, 'shaped') FROM shaped UNION ALL SELECT tableoid::regclass, renamed, days(field_times, 'child') FROM child;
SELECT cxone_sync.remove_target(t) FROM unnest('{parts,shaped,child}'::text[]) AS t;

---- what is known of a column goes with it: the next one of that name begins anew
SELECT deliver(event('f', 1, '{"id": 4, "a": "1", "x": 1, "y": 1}'), event('f', 9, '{"id": 4, "b": "9", "y": 9}'));
ALTER TABLE fields DROP COLUMN a, ADD COLUMN a integer;
SELECT deliver(event('f', 1, '{"id": 4, "a": 1}'));
SELECT id, a, b, days(field_times) FROM fields WHERE id = 4;
ALTER TABLE fields DROP COLUMN a;
ALTER TABLE fields ADD COLUMN a integer;
SELECT deliver(event('f', 1, '{"id": 4, "a": 1}'));
SELECT id, a, b, extra, days(field_times) FROM fields WHERE id = 4;
ALTER TABLE fields DROP COLUMN extra;
ALTER TABLE fields ADD COLUMN extra jsonb;
SELECT deliver(event('f', 1, '{"id": 4, "x": 2, "y": 2}'), event('f', 1, '{"id": 4, "x": 1}'));
SELECT id, extra, days(field_times) FROM fields WHERE id = 4;
SELECT deliver(event('g', 5, '{"id": 4}'));
SELECT id, a, b, extra, days(field_times) FROM fields WHERE id = 4;
-- by a type, and in a table below
SET ROLE regress_owner;
CREATE TYPE word AS ENUM ('w', 'v');
CREATE TABLE words (id integer PRIMARY KEY, w word, other text, field_times jsonb, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('words', 'words', '{id}', event_types => '{w}');
SELECT deliver(event('w', 5, '{"id": 1, "w": "w"}'), event('w', 9, '{"id": 1, "other": "9"}'));
SET client_min_messages = error;
DROP TYPE word CASCADE;
SET client_min_messages = warning;
ALTER TABLE words ADD COLUMN w text;
SELECT deliver(event('w', 1, '{"id": 1, "w": "v"}'));
SELECT id, w, other FROM words;
SELECT cxone_sync.remove_target('words');
-- deletions of a key with such a column, also where the table is no target any more
SET ROLE regress_owner;
CREATE TABLE keys (id integer PRIMARY KEY, k integer UNIQUE, v text, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('keys', 'keys', '{k}', event_types => '{k}', delete_types => '{l}');
SELECT deliver(event('l', 5, '{"k": 1}'), event('k', 1, '{"id": 1, "k": 1}'));
SELECT cxone_sync.remove_target('keys');
ALTER TABLE keys RENAME k TO l;
ALTER TABLE keys DROP COLUMN l;
ALTER TABLE keys ADD COLUMN k integer UNIQUE, ADD COLUMN l integer UNIQUE;
SELECT cxone_sync.add_target('keys', 'keys', '{k}', event_types => '{k}', delete_types => '{l}');
SELECT deliver(event('k', 1, '{"id": 1, "k": 1}'));
SELECT cxone_sync.change_target('keys', key_columns => '{l}');
SELECT deliver(event('k', 1, '{"id": 2, "l": 1}'));
SELECT * FROM keys ORDER BY id;
SELECT cxone_sync.remove_target('keys');
-- a column that is kept for a while keeps its time
ALTER TABLE fields ADD COLUMN later text;
SELECT deliver(event('f', 2, '{"id": 5, "a": 2, "later": "x"}'), event('f', 3, '{"id": 5, "b": "3"}'));
SELECT cxone_sync.change_target('fields', kept_columns => '{a}');
SELECT deliver(event('f', 9, '{"id": 5, "b": "9", "a": 9}'), event('f', 8, '{"id": 5, "x": 8}'), event('g', 4, '{"id": 5}'));
SELECT cxone_sync.change_target('fields', kept_columns => '{}');
SELECT id, a, b, days(field_times) FROM fields WHERE id = 5;
SELECT deliver(event('f', 1, '{"id": 5, "a": 1}'), event('f', 5, '{"id": 5, "a": 5}'));
SELECT id, a, b, days(field_times) FROM fields WHERE id = 5;

---- a target follows its columns, which is told
SET ROLE regress_owner;
CREATE TABLE named (id integer PRIMARY KEY, at timestamptz, gone timestamptz, mine text, word text, other text);
RESET ROLE;
SELECT cxone_sync.add_target('named', 'named', '{id}', order_column => 'at', event_types => '{n}', delete_types => '{m}', mark_column => 'gone', kept_columns => '{mine}');
SELECT cxone_sync.map_field('named', 'at', '/createdAt'), cxone_sync.map_field('named', 'word', '/w');
SET client_min_messages = notice;
SET ROLE regress_owner;
ALTER TABLE named RENAME id TO number;
ALTER TABLE named RENAME at TO changed_ts;
ALTER TABLE named RENAME gone TO gone_ts;
ALTER TABLE named RENAME mine TO ours;
ALTER TABLE named RENAME word TO words;
ALTER TABLE named RENAME other TO others;
RESET ROLE;
SET client_min_messages = warning;
SELECT key_columns, order_column, mark_column, kept_columns, problem, warning FROM cxone_sync.targets WHERE name = 'named';
SELECT column_name, paths FROM cxone_sync.field_map WHERE target = 'named' ORDER BY 1;
SELECT deliver('{"eventType": "n", "number": 1, "createdAt": "2026-01-01T00:00:00Z", "w": "w", "ours": "x", "others": "o"}', '{"eventType": "m", "number": 1, "createdAt": "2026-01-02T00:00:00Z"}');
TABLE named;
SELECT cxone_sync.change_target('named', order_column => 'changed_ts'), cxone_sync.unmap_field('named', 'words');
-- back with its transaction
BEGIN;
ALTER TABLE named RENAME number TO n;
ROLLBACK;
SELECT key_columns, problem FROM cxone_sync.targets WHERE name = 'named';
-- of two mappings for one name that of the column that is there stays
ALTER TABLE named DROP COLUMN words;
INSERT INTO cxone_sync.field_map VALUES ('named', 'words', '{/old}'), ('named', 'others', '{/o}');
ALTER TABLE named RENAME others TO words;
SELECT column_name, paths FROM cxone_sync.field_map WHERE target = 'named' ORDER BY 1;
SELECT problem FROM cxone_sync.targets WHERE name = 'named';
SELECT cxone_sync.remove_target('named');
-- what cannot be kept is told, and keeps no column its name
ALTER TABLE cxone_sync.lasting_names RENAME TO hidden;
ALTER TABLE named RENAME words TO others;
ALTER TABLE fields RENAME a TO a7;
ALTER TABLE fields DROP COLUMN later;
ALTER TABLE cxone_sync.hidden RENAME TO lasting_names;
ALTER TABLE fields ADD COLUMN later text;
ALTER TABLE fields RENAME a7 TO a;

---- a target follows its table, which is told
SET client_min_messages = notice;
CREATE SCHEMA "Else where";
ALTER TABLE fields RENAME TO renamed;
ALTER TABLE renamed SET SCHEMA "Else where";
ALTER TABLE "Else where".renamed SET SCHEMA test;
ALTER INDEX renamed RENAME TO fields;
ALTER TABLE parts RENAME TO no_target;
ALTER TABLE fields ADD COLUMN more text;
SET client_min_messages = warning;
DROP SCHEMA "Else where";

---- tombstones go with their table, whoever drops it, and by whatever command
INSERT INTO cxone_sync.tombstones SELECT r::regclass, '{id}', 'k', now() FROM unnest('{fields,part_eu,shaped,child,cxone_sync.contact_records}'::text[]) AS r;
SET ROLE regress_owner;
DROP TYPE shape CASCADE;
DROP TABLE no_target;
RESET ROLE;
SELECT relation, key FROM cxone_sync.tombstones ORDER BY relation::text;
-- a table that somebody has locked is no reason to wait, nor is one that is gone or another's
CREATE TABLE fleeting (id integer);
ALTER TABLE cxone_sync.tombstones RENAME TO hidden;
DROP TABLE fleeting;
ALTER TABLE fields RENAME a TO without_tombstones;
ALTER TABLE fields RENAME without_tombstones TO a;
ALTER TABLE cxone_sync.hidden RENAME TO tombstones;
CREATE TABLE fleeting (id integer);
ALTER TABLE cxone_sync.tombstones OWNER TO regress_other;
DROP TABLE fleeting;
ALTER TABLE cxone_sync.tombstones OWNER TO CURRENT_USER;
CREATE TABLE fleeting (id integer);
ALTER TABLE cxone_sync.target_config RENAME TO hidden;
ALTER TABLE fleeting RENAME id TO other;
ALTER TABLE cxone_sync.hidden RENAME TO target_config;
DROP TABLE fleeting;
-- an error is told, and keeps no table
CREATE TABLE fleeting (id integer);
INSERT INTO cxone_sync.tombstones VALUES ('fleeting', '{id}', 'k', now());
CREATE TABLE refers (relation regclass, key_columns text[], key text, FOREIGN KEY (relation, key_columns, key) REFERENCES cxone_sync.tombstones);
INSERT INTO refers SELECT relation, key_columns, key FROM cxone_sync.tombstones WHERE key = 'k' AND relation = 'fleeting'::regclass;
DROP TABLE fleeting;
SELECT to_regclass('fleeting');
DROP TABLE refers;
-- also in a session that acts as a replica
INSERT INTO cxone_sync.tombstones VALUES ('child', '{id}', 'replica', now());
SET session_replication_role = replica;
DROP TABLE child;
RESET session_replication_role;
SELECT count(*) FROM cxone_sync.tombstones WHERE key = 'replica';
-- they are event triggers, and nothing else
SELECT cxone_sync.tables_dropped();
DROP OWNED BY regress_owner CASCADE;
SELECT relation, key FROM cxone_sync.tombstones WHERE relation <> 'cxone_sync.contact_records'::regclass AND EXISTS (SELECT FROM pg_class WHERE oid = relation);
DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
-- without the extension nothing is left to look at
SET search_path = public;
CREATE TABLE fleeting (id integer);
ALTER TABLE fleeting RENAME id TO other;
DROP TABLE fleeting;
DROP ROLE regress_owner, regress_other;
