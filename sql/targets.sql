-- Which events go to which table.
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
-- One delivery of these events, and the counts of its reply.
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
CREATE VIEW dead AS SELECT target, sqlstate, event_key, column_name, message, hint FROM cxone_sync.dead_letters ORDER BY id;
-- What becomes of a call; the names of temporary schemas vary.
CREATE FUNCTION try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
    hint text;
BEGIN
    EXECUTE 'SELECT cxone_sync.' || call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS told = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN regexp_replace(format('%s %s%s', SQLSTATE, told, E'\n  ' || nullif(hint, '')), 'pg_temp_\d+', 'pg_temp', 'g');
END
$$;
\pset format unaligned
\pset tuples_only on

SET ROLE regress_owner;
CREATE TABLE cases (id bigint PRIMARY KEY, status text, contact text, n integer, body jsonb, updated_ts timestamptz);
CREATE VIEW case_view AS TABLE cases;
CREATE MATERIALIZED VIEW case_matview AS TABLE cases;
CREATE SEQUENCE case_sequence;
CREATE TYPE case_type AS (id bigint, updated_ts timestamptz);
CREATE TABLE parts (id bigint, region text, status text, updated_ts timestamptz, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF parts FOR VALUES IN ('eu');
CREATE UNLOGGED TABLE unlogged (LIKE cases INCLUDING ALL);
CREATE TABLE no_key (id bigint, updated_ts timestamptz);
CREATE TABLE partial_key (id bigint, updated_ts timestamptz);
CREATE UNIQUE INDEX ON partial_key (id) WHERE id > 0;
CREATE UNIQUE INDEX ON partial_key ((id + 0));
CREATE TABLE deferrable_key (id bigint PRIMARY KEY DEFERRABLE, updated_ts timestamptz);
CREATE TABLE wide_key (id bigint, region text, updated_ts timestamptz, PRIMARY KEY (id, region));
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE DOMAIN kind_of AS kind;
CREATE TABLE odd_key (id json, b box, c bytea, e kind_of UNIQUE, g bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE local_time (id bigint PRIMARY KEY, updated_ts timestamp, at date, "time" text);
CREATE TABLE "Odd ""name" ("the Key" text PRIMARY KEY, "the Time" timestamptz, note text);
RESET ROLE;
CREATE TEMPORARY TABLE temporary (LIKE cases INCLUDING ALL);
ALTER TABLE temporary OWNER TO regress_owner;
CREATE TABLE of_superuser (LIKE cases INCLUDING ALL);
CREATE TABLE read_only (LIKE cases INCLUDING ALL);
ALTER TABLE read_only OWNER TO regress_owner;
REVOKE UPDATE ON read_only FROM regress_owner;
CREATE SCHEMA hidden;
CREATE TABLE hidden.cases (LIKE cases INCLUDING ALL);
ALTER TABLE hidden.cases OWNER TO regress_owner;

-- what cannot work is refused, with a hint, and leaves no trace
SELECT try($$add_target('t', 'nowhere', '{id}')$$);
SELECT try($$add_target('t', '4294967295', '{id}')$$);
SELECT try(format('add_target(''t'', %L, ''{id}'')', r))
FROM unnest('{case_view,case_matview,case_sequence,case_type,cases_pkey,temporary,unlogged,no_key,partial_key,deferrable_key,wide_key,of_superuser,read_only,hidden.cases}'::text[]) AS r;
SELECT try(format('add_target(''t'', %L, ''{oid}'')', r)) FROM unnest('{pg_class,information_schema.sql_features}'::text[]) AS r;
SELECT try(format('add_target(''t'', ''cxone_sync.%s'', ''{id}'')', r)) FROM unnest('{target_config,targets}'::text[]) AS r;
SELECT c.relname, try(format('add_target(''t'', ''cxone_sync.%s'', ''{id}'')', c.relname)) LIKE '42809 table cxone_sync.% belongs to the system%' AS refused
FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'r'
WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cxone_sync') ORDER BY 1;
SELECT try(format('add_target(''t'', ''cases'', %L)', k)) FROM unnest('{"{nowhere}","{ID}","{id,nowhere}","{id,status}","{updated_ts}","{ctid}","{id,id}","{}","{NULL}"}'::text[]) AS k;
SELECT try(format('add_target(''t'', ''odd_key'', ARRAY[%L])', k)) FROM unnest('{id,b,c,e,g}'::text[]) AS k;
SELECT try(format('add_target(''t'', ''local_time'', ''{id}'', %L)', c)) FROM unnest('{updated_ts,at,time,id,nowhere,""}'::text[]) AS c;
SELECT try($$add_target('t', 'cases', '{id}', mark_column => 'status', delete_types => '{Gone}')$$);
SELECT try($$add_target('t', 'cases', '{id}', mark_column => 'nowhere', delete_types => '{Gone}')$$);
SELECT try($$add_target('t', 'cases', '{id}', mark_column => 'updated_ts', delete_types => '{Gone}')$$);
SELECT try($$add_target('t', 'cases', '{id}', mark_column => 'status')$$);
SELECT try(format('add_target(''t'', ''cases'', ''{id}'', %s => %L)', p, v))
FROM unnest('{root_path,type_path}'::text[]) AS p, unnest('{data,/a~2,/~,data/case}'::text[]) AS v;
SELECT try($$add_target('t', 'cases', '{id}', event_types => '{}')$$);
SELECT try($$add_target('t', 'cases', '{id}', delete_types => '{}')$$);
SELECT try($$add_target('', 'cases', '{id}')$$);
SELECT try(format('add_target(%s)', a)) FROM unnest(ARRAY['NULL, ''cases'', ''{id}''', '''t'', NULL, ''{id}''', '''t'', ''cases'', NULL', '''t'', ''cases'', ''{id}'', NULL',
    '''t'', ''cases'', ''{id}'', root_path => NULL', '''t'', ''cases'', ''{id}'', type_path => NULL', '''t'', ''cases'', ''{id}'', kept_columns => NULL']) AS a;
SELECT try($$add_target('contact_records', 'cases', '{id}')$$);
SELECT try(format('%s(''nobody''%s)', f, a)) FROM (VALUES ('change_target', ', ''cases'', ''{id}'''), ('remove_target', ''), ('map_field', ', ''a'', ''/a'''), ('unmap_field', ', ''a''')) AS v(f, a);
SELECT name, relation, problem FROM cxone_sync.targets;
-- without a helper that catches it: the transaction fails, and what it had changed is gone
BEGIN;
SELECT cxone_sync.add_target('t', 'no_key', '{id}');
ROLLBACK;
SELECT name FROM cxone_sync.targets;

-- overlapping targets on one table
SELECT try($$add_target('created', 'cases', '{id}', event_types => '{Created,Made}')$$);
SELECT try($$add_target('rest', 'cases', '{id}')$$);
SELECT try($$add_target('more', 'cases', '{id}')$$), try($$add_target('kinds', 'cases', '{id}', event_types => '{Kind}', type_path => '/kind')$$), try($$remove_target('rest')$$);
SELECT try($$add_target('again', 'cases', '{id}', event_types => '{Updated,Made}')$$);
SELECT try($$add_target('gone', 'cases', '{id}', event_types => '{Updated}', delete_types => '{Created}')$$);
SELECT try($$add_target('updated', 'cases', '{id}', event_types => '{Updated}', root_path => '/data')$$);
SELECT try($$change_target('updated', event_types => '{Updated,Made}')$$);
SELECT try($$add_target('elsewhere', 'parts', '{id,region}')$$);
SELECT try($$change_target('elsewhere', 'cases', '{id}', event_types => '{Created}')$$);
SELECT name, relation, key_columns, order_column, event_types, type_path, root_path, delete_types, mark_column, kept_columns, time_order, keeps_extra, problem, hint FROM cxone_sync.targets;
SELECT try($$change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Contact}', kept_columns => '{sync_status}')$$);
SELECT try($$remove_target('elsewhere')$$);
SELECT deliver('{"eventType": "Created", "id": 1, "status": "new", "data": {"id": 2, "status": "wrong"}}', '{"eventType": "Updated", "id": 3, "status": "wrong", "data": {"id": 1, "status": "open"}}');
SELECT id, status FROM cases ORDER BY id;
-- numbers and booleans as types, none, and what nobody takes
SELECT try($$add_target('numbers', 'parts', '{id,region}', event_types => '{7,1.50,true,"","a b"}', type_path => '/kind')$$);
SELECT deliver('{"kind": 7, "id": 1, "region": "eu"}', '{"kind": "7", "id": 2, "region": "eu"}', '{"kind": 1.50, "id": 3, "region": "eu"}', '{"kind": 1.5, "id": 4, "region": "eu"}',
    '{"kind": true, "id": 5, "region": "eu"}', '{"kind": "a b", "id": 6, "region": "eu"}', '{"kind": "", "id": 7, "region": "eu"}', '{"kind": [], "id": 8, "region": "eu"}',
    '{"id": 9, "region": "eu"}', '{"kind": [7], "id": 10, "region": "eu"}', '{"kind": {}, "id": 11, "region": "eu"}', '{"kind": "7 ", "id": 12, "region": "eu"}');
SELECT string_agg(id::text, ' ' ORDER BY id) FROM parts;
TABLE dead;
TRUNCATE cxone_sync.dead_letters;
SELECT try($$change_target('numbers', 'parts', '{id,region}', event_types => '{7}', type_path => '/kind')$$);
SELECT deliver('{"eventType": "Deleted"}', '{"id": 9, "region": "eu"}', '{"eventType": 12}', '{"kind": "other"}', jsonb_build_object('eventType', repeat('é', 100)), '7', '[]');
SELECT target, sqlstate, message, payload FROM cxone_sync.dead_letters ORDER BY id;
TRUNCATE cxone_sync.dead_letters, cases, parts;
-- a target without types takes what no other names, as the README's example shows; and again what the other has left
TRUNCATE cxone_sync.dead_letters, cxone_sync.contact_records;
SET ROLE regress_owner;
CREATE TABLE example (id bigint PRIMARY KEY, status text, updated_ts timestamptz);
RESET ROLE;
SELECT try($$remove_target('contact_records')$$), try($$add_target('contact_records', 'cxone_sync.contact_records', '{id}', kept_columns => '{sync_status}')$$);
SELECT try($$add_target('example', 'example', '{id}', event_types => '{CaseCreated,CaseUpdated}', delete_types => '{CaseClosed}', root_path => '/data/case', type_path => '/type')$$);
SELECT deliver('{"type": "CaseCreated", "data": {"case": {"id": 1, "status": "new"}}}', '{"type": "CaseUpdated", "data": {"case": {"id": 1, "status": "open"}}}');
SELECT id, status FROM example;
SELECT deliver('{"type": "CaseClosed", "data": {"case": {"id": 1}}}', '{"type": "other", "id": "c1"}', '{"id": "c2"}', '{"eventType": "CaseCreated", "id": "c3"}');
SELECT (SELECT count(*) FROM example) AS cases, (SELECT string_agg(id, ' ' ORDER BY id) FROM cxone_sync.contact_records) AS contacts, (SELECT count(*) FROM cxone_sync.dead_letters) AS dead;
SELECT event, target, outcome FROM cxone_sync.simulate('{"events": [{"type": "CaseCreated", "data": {"case": {"id": 2}}}, {"type": "x", "id": "c4"}]}');
-- also while the other cannot be used
SET ROLE regress_owner;
ALTER TABLE example RENAME COLUMN updated_ts TO changed;
RESET ROLE;
SELECT deliver('{"type": "CaseCreated", "id": "c5", "data": {"case": {"id": 3}}}');
SELECT target, sqlstate FROM dead;
TRUNCATE cxone_sync.dead_letters;
SET ROLE regress_owner;
ALTER TABLE example RENAME COLUMN changed TO updated_ts;
RESET ROLE;
-- two without types both take the rest, so they need tables of their own; with one that has types they may share it
SELECT try($$add_target('rest', 'example', '{id}')$$), try($$add_target('more rest', 'example', '{id}')$$), try($$add_target('closed', 'example', '{id}', event_types => '{x}', delete_types => '{CaseClosed}', type_path => '/type')$$);
SELECT try($$change_target('rest', 'example', '{id}', delete_types => '{Gone}', type_path => '/elsewhere')$$), try($$change_target('rest', 'example', '{id}', delete_types => '{CaseUpdated}', type_path => '/type')$$);
SELECT deliver('{"id": 7, "status": "rest"}', '{"type": "CaseCreated", "data": {"case": {"id": 8, "status": "example"}}, "id": 9}');
SELECT id, status FROM example ORDER BY id;
SELECT id FROM cxone_sync.contact_records WHERE id IN ('7', '8', '9');
SELECT try($$remove_target('rest')$$), try($$remove_target('example')$$);
SELECT deliver('{"type": "CaseCreated", "id": "c6"}');
SELECT id FROM cxone_sync.contact_records WHERE id = 'c6';
TRUNCATE cxone_sync.dead_letters, cxone_sync.contact_records;
SELECT try($$change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Contact}', kept_columns => '{sync_status}')$$);
-- partitions come and go; one without a partition is that event's fault
SELECT deliver('{"kind": 7, "id": 1, "region": "eu", "status": "a"}', '{"kind": 7, "id": 1, "region": "us", "status": "b"}');
CREATE TABLE part_us PARTITION OF parts FOR VALUES IN ('us');
ALTER TABLE part_us OWNER TO regress_owner;
SELECT deliver('{"kind": 7, "id": 1, "region": "eu", "status": "c"}', '{"kind": 7, "id": 1, "region": "us", "status": "d"}');
SELECT tableoid::regclass, id, region, status FROM parts ORDER BY region;
SELECT target, sqlstate, event_key, message FROM dead;
TRUNCATE cxone_sync.dead_letters;

-- a partition and its parent do not go together, since neither would know of the other's deletions
SELECT try($$add_target('us', 'part_us', '{id,region}', event_types => '{8}', type_path => '/kind')$$);
SET ROLE regress_owner;
CREATE TABLE part_asia (LIKE parts INCLUDING ALL);
RESET ROLE;
SELECT try($$add_target('asia', 'part_asia', '{id,region}', event_types => '{8}', type_path => '/kind')$$);
ALTER TABLE parts ATTACH PARTITION part_asia FOR VALUES IN ('asia');
SELECT name, problem, hint FROM cxone_sync.targets WHERE problem IS NOT NULL;
ALTER TABLE parts DETACH PARTITION part_asia;
SELECT deliver('{"kind": 8, "id": 1, "region": "asia"}');
SELECT cxone_sync.remove_target('asia');
-- a constraint of one partition that waits for the commit: whom it refuses is a dead letter before, its neighbours in either partition are none
TRUNCATE parts;
SET ROLE regress_owner;
CREATE TABLE regions (name text PRIMARY KEY);
INSERT INTO regions VALUES ('known');
ALTER TABLE part_eu ADD CONSTRAINT known_status FOREIGN KEY (status) REFERENCES regions DEFERRABLE INITIALLY DEFERRED;
RESET ROLE;
BEGIN;
SELECT deliver(VARIADIC array_agg(jsonb_build_object('kind', 7, 'id', i, 'region', region, 'status', CASE WHEN i % 3 = 0 THEN 'unknown' ELSE 'known' END) ORDER BY i, region)) FROM generate_series(1, 6) AS i, unnest('{eu,us}'::text[]) AS region;
COMMIT;
SELECT tableoid::regclass, string_agg(id || ' ' || status, ', ' ORDER BY id) FROM parts GROUP BY 1 ORDER BY 1;
SELECT target, sqlstate, event_key, message FROM dead;
-- also where the row is there, and once it is mended
SELECT deliver('{"kind": 7, "id": 1, "region": "eu", "status": "unknown"}', '{"kind": 7, "id": 2, "region": "eu", "status": "known"}');
INSERT INTO regions VALUES ('unknown');
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT tableoid::regclass, string_agg(id || ' ' || status, ', ' ORDER BY id) FROM parts GROUP BY 1 ORDER BY 1;
-- the same of a trigger
CREATE FUNCTION no_four() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 4 THEN RAISE EXCEPTION 'number four'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER no_four AFTER INSERT OR UPDATE ON part_us DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no_four();
SELECT deliver('{"kind": 7, "id": 4, "region": "eu", "status": "known"}', '{"kind": 7, "id": 4, "region": "us", "status": "new"}', '{"kind": 7, "id": 5, "region": "us", "status": "new"}');
SELECT tableoid::regclass, id, status FROM parts WHERE id IN (4, 5) ORDER BY id, 1;
SELECT target, sqlstate, event_key, message FROM dead;
TRUNCATE cxone_sync.dead_letters;

-- one event into three targets: what one of them refuses is a dead letter of that one, and the event counts once
SET ROLE regress_owner;
CREATE TABLE notes (id text PRIMARY KEY, n integer CHECK (n > 0), updated_ts timestamptz);
RESET ROLE;
SELECT try($$add_target('notes', 'notes', '{id}', event_types => '{Created}')$$);
SELECT try($$change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Created}', kept_columns => '{sync_status}')$$);
SELECT deliver('{"eventType": "Created", "id": 1, "status": "new", "n": 0, "email": "a@b.c", "timestamp": "2026-01-01T00:00:00Z"}',
    '{"eventType": "Created", "id": 2, "status": "new", "n": 2, "email": "d@e.f", "timestamp": "2026-01-01T00:00:00Z"}',
    '{"eventType": "Created", "id": "x", "n": 3, "timestamp": "2026-01-01T00:00:00Z"}');
SELECT id, status, n FROM cases ORDER BY id;
SELECT id, n FROM notes ORDER BY id;
SELECT id, email FROM cxone_sync.contact_records ORDER BY id;
TABLE dead;
-- skipped by one, applied by another; skipped by all
DELETE FROM notes;
SELECT deliver('{"eventType": "Created", "id": 2, "status": "late", "n": 9, "timestamp": "2025-01-01T00:00:00Z"}');
SELECT deliver('{"eventType": "Created", "id": 2, "status": "late", "n": 9, "timestamp": "2024-01-01T00:00:00Z"}');
SELECT id, n FROM notes;
-- an error that is no event's fault takes back what the other targets have
TRUNCATE cxone_sync.dead_letters, cases, notes, cxone_sync.contact_records;
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no memory' USING ERRCODE = '53200'; END $$;
CREATE TRIGGER trouble BEFORE INSERT ON notes FOR EACH ROW WHEN (NEW.n = 53) EXECUTE FUNCTION trouble();
SELECT deliver('{"eventType": "Created", "id": 3, "n": 53}');
SELECT (SELECT count(*) FROM cases), (SELECT count(*) FROM notes), (SELECT count(*) FROM cxone_sync.contact_records), (SELECT count(*) FROM cxone_sync.dead_letters);
SELECT try($$remove_target('notes')$$), try($$remove_target('created')$$), try($$remove_target('updated')$$), try($$remove_target('numbers')$$);
SELECT try($$change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Contact}', kept_columns => '{sync_status}')$$);

-- paths: a root, a type elsewhere, explicit ones with fallbacks, an index, the whole event
SELECT try($$add_target('cases', 'cases', '{id}', event_types => '{case}', root_path => '/data/case', type_path => '/meta/kinds/1')$$);
SELECT try($$map_field('cases', 'contact', '/data/contact/id', '/data/customers/0/id', '/owner')$$);
SELECT try($$map_field('cases', 'body', '')$$);
SELECT try($$map_field('cases', 'n', '/a~1b/m~0n')$$);
SELECT deliver('{"meta": {"kinds": ["x", "case"]}, "id": 99, "data": {"case": {"id": 1, "status": "s", "contact": "never"}, "contact": {"id": null}, "customers": [{"id": "c0"}, {"id": "c1"}]}, "a/b": {"m~n": 7}, "owner": "o"}',
    '{"meta": {"kinds": ["x", "case"]}, "data": {"case": {"id": 2}, "contact": {"id": "k"}, "customers": []}, "owner": "o"}',
    '{"meta": {"kinds": {"1": "case"}}, "data": {"case": {"id": 3}, "customers": {"0": {"id": "of an object"}}}}',
    '{"meta": {"kinds": ["case"]}, "data": {"case": {"id": 4}}}',
    '{"meta": {"kinds": ["x", "case"]}, "data": {"case": [{"id": 5}]}}', '{"meta": {"kinds": ["x", "case"]}, "data": null}');
SELECT id, status, contact, n, body FROM cases ORDER BY id;
TABLE dead;
TRUNCATE cxone_sync.dead_letters;
-- null only where no path holds more; absent everywhere keeps
SELECT deliver('{"meta": {"kinds": ["x", "case"]}, "data": {"case": {"id": 1}, "contact": {"id": null}}}');
SELECT deliver('{"meta": {"kinds": ["x", "case"]}, "data": {"case": {"id": 2}, "contact": {}}}');
SELECT id, contact FROM cases WHERE id < 3 ORDER BY id;
-- the event's time: of the root, else of the event, else as mapped
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "timestamp": "2026-02-01T00:00:00Z", "data": {"case": {"id": 6, "timestamp": "2026-01-01T00:00:00Z"}}}', '{"meta": {"kinds": ["", "case"]}, "timestamp": "2026-02-01T00:00:00Z", "data": {"case": {"id": 7}}}');
SELECT try($$map_field('cases', 'updated_ts', '/at', '/made')$$);
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "timestamp": "2026-02-01T00:00:00Z", "at": null, "made": "2026-03-01T00:00:00Z", "data": {"case": {"id": 8, "timestamp": "2026-01-01T00:00:00Z"}}}',
    '{"meta": {"kinds": ["", "case"]}, "at": "yesterday", "made": "2026-03-01T00:00:00Z", "data": {"case": {"id": 9}}}');
SELECT id, updated_ts FROM cases WHERE id > 5 ORDER BY id;
TABLE dead;
TRUNCATE cxone_sync.dead_letters;
-- a mapped key
SELECT try($$map_field('cases', 'id', '/key')$$);
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "key": 10, "data": {"case": {"id": 11}}}', '{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 12}}}');
SELECT id FROM cases WHERE id > 9 ORDER BY id;
TABLE dead;
SELECT target, column_name, paths FROM cxone_sync.field_map ORDER BY 1, 2;
-- map_field and unmap_field refuse
SELECT try($$map_field('cases', 'nowhere', '/a')$$);
SELECT try($$map_field('cases', '', '/a')$$);
SELECT try($$map_field('cases', 'status', 'a')$$);
SELECT try($$map_field('cases', 'status', '/a', '/b~')$$);
SELECT try($$map_field('cases', 'status')$$);
SELECT try($$map_field('cases', 'status', VARIADIC '{}')$$);
SELECT try($$unmap_field('cases', 'status')$$);
SELECT try($$unmap_field('cases', 'nowhere')$$);
-- a pointer has 64 steps and 1000 bytes at most; of what is refused only the beginning is shown
CREATE FUNCTION refused(call text) RETURNS text LANGUAGE sql AS $$ SELECT format('%s… %s', left(t, 17), split_part(t, E'\n  ', 2)) FROM test.try(call) AS t $$;
CREATE VIEW too_long AS SELECT * FROM (VALUES ('65 steps', repeat('/a', 65)), ('500000 steps', repeat('/a', 500000)), ('1001 bytes', '/' || repeat('a', 1000)), ('1001 bytes in 501 characters', '/' || repeat('é', 500))) AS v(what, path);
SELECT what, refused(format('map_field(''cases'', ''status'', %L)', path)), refused(format('map_field(''cases'', ''status'', ''/s'', %L)', path)) FROM too_long;
SELECT what, parameter, refused(format('change_target(''cases'', ''cases'', ''{id}'', event_types => ''{case}'', %s => %L)', parameter, path)),
    refused(format('add_target(''t'', ''notes'', ''{id}'', event_types => ''{other}'', %s => %L)', parameter, path)) FROM too_long, unnest('{root_path,type_path}'::text[]) AS parameter;
SELECT name, root_path, type_path FROM cxone_sync.targets;
SELECT target, column_name, paths FROM cxone_sync.field_map ORDER BY 1, 2;
-- as long as can be
SELECT steps, try(format('map_field(''cases'', ''n'', %L)', path)), try(format('add_target(%L, ''notes'', ''{id}'', event_types => ''{long}'', type_path => %L)', steps, path)), try(format('remove_target(%L)', steps))
FROM (VALUES ('64 steps', repeat('/a', 64)), ('1000 bytes', '/' || repeat('a', 999)), ('999 bytes in 500 characters', '/' || repeat('é', 499))) AS v(steps, path);
-- a root leaves room for the columns, whatever their names
SELECT steps, try(format('add_target(''rooted'', ''parts'', ''{id,region}'', event_types => ''{Rooted}'', root_path => %L)', path))
FROM (VALUES ('64 steps', repeat('/a', 64)), ('874 bytes', '/' || repeat('a', 873)), ('63 steps', repeat('/a', 63))) AS v(steps, path);
SELECT try(format('change_target(''rooted'', ''parts'', ''{id,region}'', event_types => ''{Rooted}'', root_path => %L)', '/' || repeat('a', 872)));
DO $$ BEGIN EXECUTE format('ALTER TABLE parts ADD COLUMN %I text', repeat('~', 63)); END $$;
SELECT deliver('{"eventType": "Rooted", "id": 1}');
SELECT name, problem FROM cxone_sync.targets WHERE name = 'rooted';
SELECT cxone_sync.remove_target('rooted');
DO $$ BEGIN EXECUTE format('ALTER TABLE parts DROP COLUMN %I', repeat('~', 63)); END $$;
DELETE FROM cxone_sync.dead_letters WHERE target = 'rooted';
SELECT try(format('map_field(''cases'', ''n'', %L)', repeat('/a', 60))), try(format('map_field(''cases'', ''status'', %L)', repeat('/a', 59) || '/b'));
SELECT deliver(format('{"meta": {"kinds": ["", "case"]}, "key": 20, "data": {"case": {}}, %s"a": 60, "b": "deep"%s}', repeat('"a": {', 59), repeat('}', 59))::jsonb);
SELECT id, n, status FROM cases WHERE id = 20;
SELECT try($$unmap_field('cases', 'status')$$);
SELECT try($$unmap_field('cases', 'id')$$), try($$unmap_field('cases', 'updated_ts')$$), try($$unmap_field('cases', 'body')$$), try($$unmap_field('cases', 'n')$$);
TRUNCATE cxone_sync.dead_letters, cases;
DROP VIEW case_view;
DROP MATERIALIZED VIEW case_matview;

-- a column that is dropped later: dead letters that say so, until it is back or unmapped
ALTER TABLE cases DROP COLUMN contact;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 1}}}', '{"eventType": "Contact", "id": "goes on"}');
TABLE dead;
SELECT name, problem, hint FROM cxone_sync.targets;
ALTER TABLE cases ADD COLUMN contact text;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "owner": "o", "data": {"case": {"id": 2}}}');
ALTER TABLE cases DROP COLUMN contact;
SELECT try($$map_field('cases', 'status', '/s')$$);
SELECT try($$unmap_field('cases', 'contact')$$);
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "s": "elsewhere", "data": {"case": {"id": 3, "status": "here"}}}');
SELECT id, status FROM cases WHERE id = 3;
SELECT name, problem, hint FROM cxone_sync.targets;
SELECT id FROM cases ORDER BY id;
-- the same for the other things that a target needs
TRUNCATE cxone_sync.dead_letters;
ALTER TABLE cases ALTER updated_ts TYPE timestamp;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 4}}}');
ALTER TABLE cases ALTER updated_ts TYPE timestamptz;
ALTER TABLE cases DROP CONSTRAINT cases_pkey;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 5}}}');
ALTER TABLE cases ADD PRIMARY KEY (id);
ALTER TABLE cases OWNER TO CURRENT_USER;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 6}}}');
ALTER TABLE cases OWNER TO regress_owner;
ALTER ROLE regress_owner SUPERUSER;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 7}}}');
ALTER ROLE regress_owner NOSUPERUSER;
REVOKE INSERT ON cases FROM regress_owner;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 8}}}');
GRANT INSERT ON cases TO regress_owner;
ALTER TABLE cases SET UNLOGGED;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 9}}}');
ALTER TABLE cases SET LOGGED;
ALTER TABLE cases RENAME TO renamed;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 10}}}');
ALTER TABLE renamed RENAME TO cases;
SELECT sqlstate, message, hint FROM dead;
SELECT id FROM cases ORDER BY id;
TRUNCATE cxone_sync.dead_letters;
-- the table dropped, and another in its place
BEGIN;
DROP TABLE cases CASCADE;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 11}}}', '{"eventType": "Contact", "id": "goes on"}');
SELECT name, problem, hint FROM cxone_sync.targets;
SELECT try($$map_field('cases', 'status', '/s')$$);
SELECT sqlstate, message, hint FROM dead;
CREATE TABLE cases (LIKE hidden.cases INCLUDING ALL);
ALTER TABLE cases OWNER TO regress_owner;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 12}}}');
SELECT try($$change_target('cases', 'cases', event_types => '{}', root_path => '', type_path => '/eventType')$$);
SELECT deliver('{"id": 13}');
SELECT id FROM cases;
SELECT try($$remove_target('cases')$$);
ROLLBACK;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 14}}}');
SELECT id FROM cases ORDER BY id;
SELECT count(*) FROM cxone_sync.dead_letters;

-- a change that is rolled back was never there, also that of a savepoint
TRUNCATE cases;
BEGIN;
SELECT try($$change_target('cases', root_path => '', type_path => '/eventType')$$);
SELECT deliver('{"eventType": "case", "id": 1}', '{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 2}}}');
SAVEPOINT s;
SELECT try($$map_field('cases', 'status', '/s', '/status')$$);
SELECT deliver('{"eventType": "case", "id": 3, "s": "mapped", "status": "plain"}');
ROLLBACK TO s;
SELECT deliver('{"eventType": "case", "id": 4, "s": "mapped", "status": "plain"}');
SELECT id, status FROM cases ORDER BY id;
ROLLBACK;
SELECT deliver('{"eventType": "case", "id": 5}', '{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 6}}}');
SELECT id, status FROM cases ORDER BY id;
SELECT message FROM dead;
BEGIN;
SELECT try($$remove_target('cases')$$);
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 7}}}');
ROLLBACK;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 8}}}');
SELECT id FROM cases ORDER BY id;
TRUNCATE cxone_sync.dead_letters;
-- removed and added again: the old one's mapping is gone, its table is not
SELECT try($$map_field('cases', 'status', '/s')$$);
SELECT try($$remove_target('cases')$$);
SELECT try($$remove_target('cases')$$);
SELECT count(*) FROM cxone_sync.field_map;
SELECT deliver('{"meta": {"kinds": ["", "case"]}, "data": {"case": {"id": 9}}}');
SELECT try($$add_target('cases', 'cases', '{id}', event_types => '{case}', kept_columns => '{n,nowhere}')$$);
SELECT try($$add_target('cases', 'cases', '{id}', event_types => '{case}', kept_columns => '{n}')$$);
SELECT deliver('{"eventType": "case", "id": 9, "status": "again", "s": "no", "n": 5}');
SELECT id, status, n FROM cases ORDER BY id;
TRUNCATE cxone_sync.dead_letters, cases;
SELECT try($$change_target('cases', 'cases', '{id}', event_types => '{case}', kept_columns => '{id}')$$);
SELECT try($$change_target('cases', 'cases', '{id}', event_types => '{case}', kept_columns => '{updated_ts}')$$);
SELECT try($$change_target('cases', kept_columns => '{}')$$);
SELECT try($$map_field('cases', 'n', '/n')$$);
SELECT try($$remove_target('cases')$$);

-- names of all kinds
SELECT try($$add_target('Ünïcode "target"', 'test."Odd ""name"', '{the Key}', 'the Time', event_types => '{odd}')$$);
SELECT deliver('{"eventType": "odd", "the Key": "k", "note": "n", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "odd", "the Key": null}');
TABLE "Odd ""name";
TABLE dead;
SELECT try($$remove_target('Ünïcode "target"')$$);
TRUNCATE cxone_sync.dead_letters;

-- a table is followed under whatever name it goes, in the very next delivery; one that is put where it was is another
CREATE SCHEMA place;
CREATE SCHEMA elsewhere;
GRANT USAGE, CREATE ON SCHEMA place, elsewhere TO regress_owner;
SET ROLE regress_owner;
CREATE FUNCTION place.word() RETURNS text LANGUAGE sql AS $$ SELECT 'word' $$;
CREATE TYPE place.pair AS (a integer, b text);
CREATE TABLE place.moved (id integer PRIMARY KEY, n integer CHECK (n < 100), p place.pair, w text DEFAULT place.word(), updated_ts timestamptz, field_times jsonb);
RESET ROLE;
SELECT try($$add_target('moved', 'place.moved', '{id}', event_types => '{moved}', delete_types => '{gone}')$$);
-- one after the other: an upsert, one that is tried again row by row, a late one, a deletion that a newer field has overtaken
CREATE FUNCTION go_on(n integer) RETURNS TABLE (reply text, problem text) LANGUAGE plpgsql AS $$
BEGIN
    reply := test.deliver(jsonb_build_object('eventType', 'moved', 'id', n, 'n', n, 'p', jsonb_build_object('a', n), 'w', 'w', 'timestamp', '2026-01-01T00:00:00Z'),
        jsonb_build_object('eventType', 'moved', 'id', n, 'n', n + 100, 'timestamp', '2026-01-05T00:00:00Z')); RETURN NEXT;
    reply := test.deliver(jsonb_build_object('eventType', 'moved', 'id', n, 'n', n + 1, 'timestamp', '2026-01-05T00:00:00Z')); RETURN NEXT;
    reply := test.deliver(jsonb_build_object('eventType', 'moved', 'id', n, 'n', n - 1, 'p', NULL, 'timestamp', '2026-01-02T00:00:00Z')); RETURN NEXT;
    reply := test.deliver(jsonb_build_object('eventType', 'gone', 'id', n, 'timestamp', '2026-01-03T00:00:00Z'));
    problem := (SELECT concat_ws(' ', relation, t.problem) FROM cxone_sync.targets AS t WHERE name = 'moved'); RETURN NEXT;
END
$$;
SELECT * FROM go_on(1);
ALTER SCHEMA place RENAME TO "The ""place""";
SELECT * FROM go_on(2);
CREATE SCHEMA place;
SET ROLE regress_owner;
CREATE TABLE test.decoy (LIKE "The ""place""".moved INCLUDING ALL);
RESET ROLE;
ALTER TABLE test.decoy RENAME TO moved;
ALTER TABLE test.moved SET SCHEMA place;
SELECT * FROM go_on(3);
ALTER TABLE "The ""place""".moved SET SCHEMA elsewhere;
SELECT * FROM go_on(4);
ALTER TABLE elsewhere.moved RENAME TO "moved on";
SELECT * FROM go_on(5);
ALTER TYPE "The ""place""".pair RENAME TO couple;
ALTER FUNCTION "The ""place""".word() RENAME TO phrase;
SELECT * FROM go_on(6);
-- names that are exchanged, in one transaction and back
BEGIN;
ALTER TABLE place.moved RENAME TO "moved on";
ALTER TABLE elsewhere."moved on" RENAME TO moved;
SELECT * FROM go_on(7);
ALTER SCHEMA place RENAME TO between;
ALTER SCHEMA elsewhere RENAME TO place;
ALTER SCHEMA between RENAME TO elsewhere;
SELECT * FROM go_on(8);
ROLLBACK;
SELECT * FROM go_on(9);
SELECT id, n, p, w FROM elsewhere."moved on" ORDER BY id;
SELECT count(*) FROM place.moved;
SELECT target, sqlstate, event_key, message FROM dead;
TRUNCATE cxone_sync.dead_letters;
SELECT try($$remove_target('moved')$$);
-- an owner who may not use the schema that it has come to
SELECT try($$add_target('moved', 'elsewhere."moved on"', '{id}', event_types => '{moved}')$$);
ALTER TABLE elsewhere."moved on" SET SCHEMA hidden;
SELECT deliver('{"eventType": "moved", "id": 10}');
SELECT sqlstate, message FROM dead;
ALTER TABLE hidden."moved on" SET SCHEMA test;
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT id FROM "moved on" WHERE id = 10;
SELECT try($$remove_target('moved')$$);
DROP SCHEMA place, elsewhere, "The ""place""" CASCADE;

-- keys of several columns and types: spellings of one value are one key, also within a delivery
-- without ICU an ordinary collation and one spelling: the outcome is the same
DO $$
BEGIN
    CREATE COLLATION test.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE FUNCTION test.spelled(word text) RETURNS text LANGUAGE sql AS 'SELECT word';
EXCEPTION WHEN feature_not_supported THEN
    CREATE COLLATION test.nocase FROM "C";
    CREATE FUNCTION test.spelled(word text) RETURNS text LANGUAGE sql AS 'SELECT lower(word)';
END
$$;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);
CREATE DOMAIN letters AS text CHECK (VALUE ~ '^[A-Za-z]+$');
SET ROLE regress_owner;
CREATE TABLE keyed (tenant bigint, part uuid, amount numeric, word text COLLATE nocase, colour colour, day date, ok boolean, n integer, updated_ts timestamptz,
    UNIQUE (day, tenant, part, amount, word, colour, ok));
CREATE TABLE domained (id positive, word letters, n integer, updated_ts timestamptz, PRIMARY KEY (word, id));
CREATE TABLE timed (at timestamptz, lasts interval, c char(5), f float8, n integer, updated_ts timestamptz, PRIMARY KEY (at, lasts, c, f));
RESET ROLE;
SELECT try($$add_target('keyed', 'keyed', '{tenant,part,amount,word,colour,day,ok}', event_types => '{keyed}')$$);
SELECT deliver('{"eventType": "keyed", "tenant": 1, "part": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "amount": 1.0, "word": "word", "colour": "red", "day": "2026-01-02", "ok": "true", "n": 1}',
    jsonb_set('{"eventType": "keyed", "tenant": "01", "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "amount": 1.00, "word": "", "colour": "red", "day": "2026-01-02T23:00:00+05:00", "ok": "t", "n": 2}', '{word}', to_jsonb(spelled('WORD'))),
    '{"eventType": "keyed", "tenant": " 1 ", "part": "{a0eebc999c0b4ef8bb6d6bb9bd380a11}", "amount": "1e0", "word": "word", "colour": "red", "day": "2026-01-02", "ok": "yes", "n": 3}',
    '{"eventType": "keyed", "tenant": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "amount": 1, "word": "word", "colour": "green", "day": "2026-01-02", "ok": 1, "n": 4}',
    '{"eventType": "keyed", "tenant": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "amount": 1, "word": "word", "colour": "blue", "day": "2026-01-02", "ok": 1, "n": 5}',
    '{"eventType": "keyed", "tenant": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "amount": "", "word": "word", "colour": "red", "day": "2026-01-02", "ok": 1, "n": 6}',
    '{"eventType": "keyed", "tenant": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "amount": 1, "colour": "red", "day": null, "ok": 1, "n": 7}');
SELECT tenant, part, colour, day, ok, n FROM keyed ORDER BY colour;
SELECT deliver(jsonb_set('{"eventType": "keyed", "tenant": "+1", "part": "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11", "amount": "1.000", "word": "", "colour": "red", "day": "2026-01-02", "ok": "on", "n": 8}', '{word}', to_jsonb(spelled('WORD'))));
SELECT tenant, part, colour, day, ok, n FROM keyed ORDER BY colour;
SELECT sqlstate, event_key, column_name, message FROM dead;
TRUNCATE cxone_sync.dead_letters;
SELECT try($$add_target('domained', 'domained', '{id,word}', event_types => '{domained}')$$);
SELECT deliver('{"eventType": "domained", "id": 1, "word": "a", "n": 1}', '{"eventType": "domained", "id": "01", "word": "a", "n": 2}', '{"eventType": "domained", "id": -1, "word": "a", "n": 3}',
    '{"eventType": "domained", "id": 2, "word": "a1", "n": 4}');
SELECT id, word, n FROM domained;
SELECT sqlstate, event_key, column_name, message FROM dead;
TRUNCATE cxone_sync.dead_letters;
SELECT try($$add_target('timed', 'timed', '{at,lasts,c,f}', event_types => '{timed}')$$);
SELECT deliver('{"eventType": "timed", "at": "2026-01-02T00:00:00Z", "lasts": "24:00:00", "c": "a", "f": 0, "n": 1}', '{"eventType": "timed", "at": 1767312000, "lasts": "1 day", "c": "a  ", "f": "-0", "n": 2}',
    '{"eventType": "timed", "at": "2026-01-02T01:00:00+0100", "lasts": "P1D", "c": "a", "f": "NaN", "n": 3}', '{"eventType": "timed", "at": "2026-01-02T00:00:00.000Z", "lasts": "P1D", "c": "a", "f": "nan", "n": 4}');
SELECT at, n FROM timed ORDER BY n;
TABLE dead;
SELECT try(format('remove_target(%L)', t)) FROM unnest('{keyed,domained,timed}'::text[]) AS t;

-- triggers, defaults and generated columns are the owner's
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.by := format('%s, session %s', current_user, session_user = 'regress_owner'); RETURN NEW; END $$;
SET ROLE regress_owner;
CREATE TABLE stamped (id integer PRIMARY KEY, by text, made_by text DEFAULT current_user, number bigint GENERATED ALWAYS AS IDENTITY, own bigint GENERATED BY DEFAULT AS IDENTITY (START 100),
    word text DEFAULT 'none', upper text GENERATED ALWAYS AS (upper(word)) STORED, path text DEFAULT current_setting('search_path'), updated_ts timestamptz);
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
RESET ROLE;
SELECT try($$add_target('stamped', 'stamped', '{id}', event_types => '{stamped}')$$);
SELECT deliver('{"eventType": "stamped", "id": 1, "number": 7, "upper": "no"}', '{"eventType": "stamped", "id": 2, "own": 5, "word": "w"}', '{"eventType": "stamped", "id": 3, "own": null}');
SELECT id, by, made_by, number > 0 AS numbered, own, word, upper, path FROM stamped ORDER BY id;
SELECT target, sqlstate, event_key, column_name FROM dead;
TRUNCATE cxone_sync.dead_letters;
SELECT try($$map_field('stamped', 'number', '/n')$$);
SELECT try($$map_field('stamped', 'upper', '/n')$$);
-- row security
ALTER TABLE stamped ENABLE ROW LEVEL SECURITY;
ALTER TABLE stamped FORCE ROW LEVEL SECURITY;
CREATE POLICY small ON stamped USING (id < 10) WITH CHECK (id < 10);
SELECT deliver('{"eventType": "stamped", "id": 4, "word": "fine"}', '{"eventType": "stamped", "id": 40, "word": "refused"}', '{"eventType": "stamped", "id": 5, "word": "fine"}');
SELECT id, word FROM stamped WHERE id > 3 ORDER BY id;
SELECT target, sqlstate, event_key, message, hint FROM dead;
TRUNCATE cxone_sync.dead_letters;
ALTER TABLE stamped DISABLE ROW LEVEL SECURITY;
-- the owner of one target has no rights in another's trigger
SET ROLE regress_other;
CREATE TABLE spied (id integer PRIMARY KEY, updated_ts timestamptz);
CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM test.stamped; RETURN NEW; END $$;
CREATE TRIGGER spy BEFORE INSERT ON spied FOR EACH ROW EXECUTE FUNCTION spy();
RESET ROLE;
SELECT try($$add_target('spied', 'spied', '{id}', event_types => '{stamped}')$$);
SELECT deliver('{"eventType": "stamped", "id": 6, "word": "both"}');
SELECT target, sqlstate, event_key, message FROM dead;
SELECT id, word FROM stamped WHERE id = 6;

-- nor do an owner's functions in indexes, defaults, constraints and domains run as anybody else, though it is a superuser who asks here
CREATE TABLE ran (place text, who name);
GRANT INSERT ON ran TO PUBLIC;
SET ROLE regress_other;
CREATE FUNCTION note(place text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO test.ran VALUES (place, current_user); END $$;
-- called immutable, so that the planner runs it as well
CREATE FUNCTION seen(place text, value bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM test.note(place); RETURN value; END $$;
CREATE DOMAIN watched AS bigint CHECK (test.seen('domain', VALUE) < 100);
CREATE TABLE peeked (id watched PRIMARY KEY, n watched, made bigint DEFAULT seen('default', 1), twice bigint GENERATED ALWAYS AS (seen('generated', 2)) STORED, extra jsonb, field_times jsonb, updated_ts timestamptz,
    CHECK (seen('constraint', 1) = 1));
CREATE UNIQUE INDEX ON peeked (id) WHERE seen('predicate', 1) = 1;
CREATE INDEX ON peeked (n) WHERE seen('predicate of a column', n) > 0;
CREATE UNIQUE INDEX ON peeked (seen('expression', id), seen('constant', 1), id);
RESET ROLE;
TRUNCATE ran;
SELECT rolsuper FROM pg_roles WHERE rolname = current_user;
SELECT try($$add_target('peeked', 'peeked', '{id}', event_types => '{peeked}', delete_types => '{unpeeked}')$$);
SELECT try($$change_target('peeked', 'peeked', '{id}', event_types => '{peeked}', delete_types => '{unpeeked}', kept_columns => '{}')$$);
SELECT try($$map_field('peeked', 'n', '/n')$$);
SELECT problem FROM cxone_sync.targets WHERE name = 'peeked';
SELECT deliver('{"eventType": "peeked", "id": 1, "n": 1}', '{"eventType": "peeked", "id": 2, "n": 200}', '{"eventType": "peeked", "id": 3, "made": 3, "timestamp": "2026-01-05T00:00:00Z"}', '{"eventType": "peeked", "id": 3, "n": 3, "timestamp": "2026-01-02T00:00:00Z"}');
SELECT outcome FROM cxone_sync.simulate('{"events": [{"eventType": "peeked", "id": 4, "n": 4}, {"eventType": "unpeeked", "id": 3, "timestamp": "2026-01-03T00:00:00Z"}]}');
ALTER TABLE peeked ALTER COLUMN made SET DEFAULT seen('default', 2);
SELECT problem FROM cxone_sync.targets WHERE name = 'peeked';
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '200', '2') WHERE target = 'peeked';
SELECT outcome FROM cxone_sync.replay_dead_letters(target => 'peeked');
SELECT deliver('{"eventType": "unpeeked", "id": 3, "timestamp": "2026-01-03T00:00:00Z"}', '{"eventType": "unpeeked", "id": 1}');
SELECT try($$remove_target('peeked')$$);
SELECT DISTINCT who FROM ran;
SELECT string_agg(DISTINCT place, ', ' ORDER BY place) FROM ran;
-- to read it as a superuser would run them as one
SET ROLE regress_other;
SELECT id, n, made FROM peeked ORDER BY id;
RESET ROLE;

-- who may what
SELECT try($$remove_target('spied')$$);
SET ROLE regress_other;
SELECT cxone_sync.add_target('spied', 'spied', '{id}');
SELECT cxone_sync.remove_target('stamped');
SELECT * FROM cxone_sync.targets;
RESET ROLE;
GRANT USAGE ON SCHEMA cxone_sync TO regress_other;
SET ROLE regress_other;
SELECT cxone_sync.add_target('spied', 'spied', '{id}');
SELECT cxone_sync.change_target('spied', 'spied', '{id}');
SELECT cxone_sync.remove_target('stamped');
SELECT cxone_sync.map_field('stamped', 'word', '/w');
SELECT cxone_sync.unmap_field('stamped', 'word');
SELECT * FROM cxone_sync.targets;
SELECT * FROM cxone_sync.target_config;
SELECT * FROM cxone_sync.field_map;
SELECT * FROM cxone_sync.target_states();
SELECT cxone_sync.ingest('{"events": []}');
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cxone_sync TO regress_other;
GRANT SELECT ON cxone_sync.targets TO regress_other;
SET ROLE regress_other;
SELECT test.try($$add_target('spied', 'spied', '{id}', event_types => '{spied}')$$);
SELECT test.try($$map_field('spied', 'id', '/data/id')$$);
SELECT test.try($$add_target('theirs', 'stamped', '{id}', event_types => '{mine}')$$);
SELECT test.try($$add_target('theirs', 'of_superuser', '{id}')$$);
SELECT test.try($$add_target('theirs', 'cxone_sync.contact_records', '{id}', event_types => '{mine}')$$);
SELECT test.try($$change_target('spied', 'stamped', '{id}', event_types => '{mine}')$$);
SELECT test.try($$change_target('stamped', 'spied', '{id}', event_types => '{mine}')$$);
SELECT test.try($$map_field('stamped', 'word', '/w')$$);
SELECT test.try($$unmap_field('stamped', 'word')$$);
SELECT test.try($$remove_target('contact_records')$$);
SELECT name, key_columns, problem FROM cxone_sync.targets;
INSERT INTO cxone_sync.target_config SELECT * FROM cxone_sync.target_config;
RESET ROLE;
GRANT regress_owner TO regress_other;
SET ROLE regress_other;
SELECT test.try($$map_field('stamped', 'word', '/w')$$);
SELECT test.try($$remove_target('stamped')$$);
SELECT test.try($$remove_target('spied')$$);
RESET ROLE;
REVOKE regress_owner FROM regress_other;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
GRANT USAGE ON SCHEMA cxone_sync TO regress_monitor;
SET ROLE regress_monitor;
SELECT name, time_order, keeps_extra, problem FROM cxone_sync.targets;
SELECT * FROM cxone_sync.unmapped_keys;
SELECT cxone_sync.remove_target('contact_records');
RESET ROLE;

-- the first target can go as well
SELECT try($$remove_target('contact_records')$$);
SELECT * FROM cxone_sync.targets;
TRUNCATE cxone_sync.dead_letters;
SELECT deliver('{"eventType": "Contact", "id": "x"}', '{"id": "y"}');
TABLE dead;
SELECT try($$add_target('contact_records', 'cxone_sync.contact_records', '{id}', kept_columns => '{sync_status}')$$);
SELECT deliver('{"eventType": "Contact", "id": "x"}', '{"id": "y"}');

SET client_min_messages = error;
DROP SCHEMA test, hidden CASCADE;
DROP TABLE temporary;
REVOKE ALL ON SCHEMA cxone_sync FROM regress_other, regress_monitor;
DROP OWNED BY regress_owner, regress_other, regress_monitor;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_owner, regress_other, regress_monitor;
