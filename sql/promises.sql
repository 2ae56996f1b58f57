-- What a batch leaves is what its events would leave one after the other; and a reply tells the truth about each of them.
\set VERBOSITY terse
SET client_min_messages = error;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE ROLE regress_owner;
CREATE SCHEMA test;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
SET search_path = test;
-- One delivery of these events, and the counts of its reply.
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
-- An event of that type and day, with these members.
CREATE FUNCTION e(type text, day integer, members jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('eventType', type, 'timestamp', format('2026-01-%sT00:00:00Z', lpad(day::text, 2, '0'))) || members
$$;
CREATE VIEW dead AS SELECT target, event_key, sqlstate, message, detail, constraint_name FROM cxone_sync.dead_letters ORDER BY id;
CREATE FUNCTION afresh(VARIADIC tables regclass[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'TRUNCATE cxone_sync.dead_letters, cxone_sync.tombstones, ' || array_to_string(tables, ', ');
END
$$;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
SET ROLE regress_owner;

---- tables that reference each other: the child's target comes first by its name
CREATE TABLE parents (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE children (id text PRIMARY KEY, parent text REFERENCES parents, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('a_children', 'children', '{id}', event_types => '{Child}', delete_types => '{ChildGone}');
SELECT cxone_sync.add_target('b_parents', 'parents', '{id}', event_types => '{Parent}', delete_types => '{ParentGone}');
SELECT deliver(e('Parent', 1, '{"id": "p"}'), e('Child', 1, '{"id": "c", "parent": "p"}'));
SELECT deliver(e('ChildGone', 2, '{"id": "c"}'), e('ParentGone', 2, '{"id": "p"}'));
SELECT count(*) FROM children; SELECT count(*) FROM parents;
-- the parent comes later in the delivery, and in a letter with a higher number
SELECT deliver(e('Child', 3, '{"id": "c", "parent": "p"}'), e('Parent', 3, '{"id": "p"}'));
SELECT deliver(e('Child', 3, '{"id": "d", "parent": "q"}'));
SELECT deliver(e('Parent', 1, '{"id": "q", "updated_ts": 1, "timestamp": "never"}'));
UPDATE cxone_sync.dead_letters SET payload = replace(payload, 'never', '2026-01-03T00:00:00Z');
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT id, parent FROM children ORDER BY id;
-- one without a parent is alone at fault, wherever it stands among others
SELECT deliver(VARIADIC (SELECT array_agg(CASE WHEN i % 2 = 0 THEN e('Parent', 4, jsonb_build_object('id', 'p' || i)) ELSE e('Child', 4, jsonb_build_object('id', 'c' || i, 'parent', CASE WHEN i IN (33, 77) THEN 'nobody' ELSE 'p' || i - 1 END)) END ORDER BY i)
                         FROM generate_series(2, 101) AS i));
SELECT event_key, sqlstate, constraint_name, detail FROM dead;
SELECT afresh('parents', 'children');
-- a deletion that takes others with it, and what comes before and after it
ALTER TABLE children DROP CONSTRAINT children_parent_fkey;
ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents ON DELETE CASCADE;
SELECT deliver(e('Parent', 1, '{"id": "p"}'), e('Child', 1, '{"id": "before", "parent": "p"}'), e('ParentGone', 2, '{"id": "p"}'), e('Child', 2, '{"id": "behind", "parent": "p"}'),
    e('Parent', 3, '{"id": "p"}'), e('Child', 3, '{"id": "again", "parent": "p"}'));
SELECT id, parent FROM children ORDER BY id;
SELECT event_key, sqlstate FROM dead;
SELECT afresh('parents', 'children');
ALTER TABLE children DROP CONSTRAINT children_parent_fkey;
ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents DEFERRABLE INITIALLY DEFERRED;
SELECT deliver(e('Child', 1, '{"id": "c", "parent": "p"}'), e('Parent', 1, '{"id": "p"}'), e('Child', 1, '{"id": "d", "parent": "nobody"}'));
SELECT id, parent FROM children ORDER BY id;
SELECT cxone_sync.remove_target('a_children'), cxone_sync.remove_target('b_parents');

---- a table that references itself, in any order and with any members
SET ROLE regress_owner;
CREATE TABLE tree (id text PRIMARY KEY, parent text REFERENCES tree, note text, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('tree', 'tree', '{id}', event_types => '{Node}', delete_types => '{NodeGone}');
SELECT deliver(e('Node', 1, '{"id": "zz"}'), e('Node', 1, '{"id": "aa", "parent": "zz"}'), e('Node', 1, '{"id": "mm", "parent": "aa", "note": "n"}'), e('Node', 1, '{"id": "bb", "note": "root"}'), e('Node', 1, '{"id": "ab", "parent": "bb"}'));
SELECT deliver(e('NodeGone', 2, '{"id": "mm"}'), e('NodeGone', 2, '{"id": "aa"}'), e('NodeGone', 2, '{"id": "zz"}'));
SELECT deliver(e('Node', 1, '{"id": "n3", "parent": "n2"}'), e('Node', 1, '{"id": "n2", "parent": "n1", "note": "n"}'), e('Node', 1, '{"id": "n1"}'), e('Node', 1, '{"id": "n4", "parent": "nobody"}'));
SELECT id, parent, note FROM tree ORDER BY id;
SELECT event_key, sqlstate FROM dead;
SELECT cxone_sync.remove_target('tree');
SELECT afresh('tree');

---- a unique value that is given up and taken
SET ROLE regress_owner;
CREATE TABLE people (id text PRIMARY KEY, email text, name text, updated_ts timestamptz, CONSTRAINT people_email_key UNIQUE (email) DEFERRABLE);
RESET ROLE;
SELECT cxone_sync.add_target('people', 'people', '{id}', event_types => '{Person}', delete_types => '{PersonGone}');
SELECT deliver(e('Person', 1, '{"id": "z", "email": "x"}'), e('Person', 1, '{"id": "k", "email": "y"}'));
SELECT deliver(e('Person', 2, '{"id": "z", "email": null, "name": "gave it up"}'), e('Person', 2, '{"id": "a", "email": "x"}'));
SELECT deliver(e('PersonGone', 3, '{"id": "a"}'), e('Person', 3, '{"id": "0", "email": "x"}'));
SELECT deliver(e('Person', 4, '{"id": "0", "email": "y"}'), e('Person', 4, '{"id": "k", "email": "x"}'));
SELECT id, email FROM people ORDER BY id;
-- who comes first has it
SELECT deliver(e('Person', 5, '{"id": "m", "email": "new", "name": "first"}'), e('Person', 5, '{"id": "b", "email": "new"}'));
SELECT event_key, sqlstate, constraint_name, detail FROM dead;
-- what was refused is not tried again behind a later event of its key
SELECT afresh('people');
SELECT deliver(e('Person', 1, '{"id": "a", "email": "x"}'));
SELECT deliver(e('Person', 1, '{"id": "b", "email": "x"}'), e('Person', 1, '{"id": "b", "email": "y"}'), e('Person', 2, '{"id": "a", "email": null}'));
SELECT id, email FROM people ORDER BY id;
SELECT cxone_sync.remove_target('people');
SELECT afresh('people');

---- a trigger that changes the key
SET ROLE regress_owner;
CREATE TABLE lowered (id text PRIMARY KEY, name text NOT NULL, note text, updated_ts timestamptz);
CREATE FUNCTION lower_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := lower(NEW.id); RETURN NEW; END $$;
CREATE TRIGGER lower_id BEFORE INSERT ON lowered FOR EACH ROW EXECUTE FUNCTION lower_id();
RESET ROLE;
SELECT cxone_sync.add_target('lowered', 'lowered', '{id}', event_types => '{Low}', delete_types => '{LowGone}');
SELECT deliver(e('Low', 5, '{"id": "ABC", "name": "n"}'));
SELECT deliver(e('Low', 6, '{"id": "ABC", "note": "newer and partial"}'));
SELECT deliver(e('Low', 4, '{"id": "Abc", "name": "older"}'));
SELECT deliver(e('Low', 7, '{"id": "aBC", "name": "one"}'), e('Low', 7, '{"id": "abc", "name": "two"}'), e('Low', 7, '{"id": "ABC", "name": "three"}'), e('Low', 1, '{"id": "X", "name": "other"}'));
SELECT id, name, note, extract(day FROM updated_ts) FROM lowered ORDER BY id;
SELECT deliver(e('LowGone', 8, '{"id": "ABC"}'));
SELECT deliver(e('Low', 7, '{"id": "ABC", "name": "late"}'), e('Low', 7, '{"id": "abC", "name": "late"}'));
SELECT id FROM lowered; SELECT key, extract(day FROM deleted_ts) FROM cxone_sync.tombstones;
SELECT cxone_sync.remove_target('lowered');
-- and never leaves one alone
SET ROLE regress_owner;
CREATE OR REPLACE FUNCTION lower_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := 'x' || NEW.id; RETURN NEW; END $$;
RESET ROLE;
SELECT cxone_sync.add_target('lowered', 'lowered', '{id}', event_types => '{Low}');
SELECT afresh('lowered');
SELECT deliver(e('Low', 1, '{"id": "1", "name": "n"}'));
SELECT sqlstate, message FROM dead; SELECT id FROM lowered;
SELECT cxone_sync.remove_target('lowered');
SELECT afresh('lowered');

---- triggers that drop what they do not like
SET ROLE regress_owner;
CREATE TABLE choosy (id text PRIMARY KEY, name text, updated_ts timestamptz);
CREATE FUNCTION choose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = 'DELETE' THEN RETURN CASE WHEN OLD.name <> 'kept' THEN OLD END; END IF; RETURN CASE WHEN NEW.name IS DISTINCT FROM 'dropped' THEN NEW END; END $$;
CREATE TRIGGER choose BEFORE INSERT OR UPDATE OR DELETE ON choosy FOR EACH ROW EXECUTE FUNCTION choose();
RESET ROLE;
SELECT cxone_sync.add_target('choosy', 'choosy', '{id}', event_types => '{Chosen}', delete_types => '{ChosenGone}');
SELECT deliver(e('Chosen', 1, '{"id": "a", "name": "dropped"}'), e('Chosen', 1, '{"id": "b", "name": "kept"}'), e('Chosen', 1, '{"id": "c", "name": "fine"}'));
SELECT deliver(e('Chosen', 2, '{"id": "b", "name": "dropped"}'), e('Chosen', 2, '{"id": "c", "name": "fine"}'), e('Chosen', 0, '{"id": "b", "name": "dropped", "timestamp": "2025-01-01T00:00:00Z"}'));
SELECT deliver(e('ChosenGone', 3, '{"id": "b"}'), e('ChosenGone', 3, '{"id": "c"}'), e('ChosenGone', 3, '{"id": "nobody"}'));
SELECT id, name, extract(day FROM updated_ts) FROM choosy ORDER BY id; SELECT key FROM cxone_sync.tombstones ORDER BY key;
SELECT event_key, sqlstate, message, detail FROM dead;
SELECT cxone_sync.remove_target('choosy');
SELECT afresh('choosy');
-- a time that a trigger changes
SET ROLE regress_owner;
CREATE OR REPLACE FUNCTION choose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_ts := now(); RETURN NEW; END $$;
RESET ROLE;
SELECT cxone_sync.add_target('choosy', 'choosy', '{id}', event_types => '{Chosen}');
SELECT deliver(e('Chosen', 1, '{"id": "a"}'), e('Chosen', 2, '{"id": "a"}'));
SELECT event_key, sqlstate, message FROM dead; SELECT count(*) FROM choosy;
SELECT cxone_sync.remove_target('choosy');

---- an event for a row that is there needs no more than an UPDATE needs
SET ROLE regress_owner;
CREATE DOMAIN named AS text CHECK (VALUE <> 'default');
CREATE TABLE strict (id text PRIMARY KEY, number serial, name text NOT NULL, divisor integer DEFAULT 0, tenth integer GENERATED ALWAYS AS (10 / divisor) STORED, title named DEFAULT 'default', note text, gone_ts timestamptz, updated_ts timestamptz);
CREATE FUNCTION only_named() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name IS NULL THEN RAISE EXCEPTION 'a new row has no name'; END IF; RETURN NEW; END $$;
CREATE TRIGGER only_named BEFORE INSERT ON strict FOR EACH ROW EXECUTE FUNCTION only_named();
INSERT INTO strict (id, name, divisor, title, updated_ts) VALUES ('a', 'n', 5, 't', '2026-01-01'), ('b', 'n', 5, 't', '2026-01-01');
RESET ROLE;
SELECT cxone_sync.add_target('strict', 'strict', '{id}', event_types => '{Strict}', delete_types => '{StrictGone}', mark_column => 'gone_ts');
SELECT deliver(e('Strict', 2, '{"id": "a", "note": "partial"}'), e('StrictGone', 2, '{"id": "b"}'), e('Strict', 2, '{"id": "c", "note": "no row"}'), e('Strict', 2, '{"id": "d", "name": "n", "divisor": 2, "title": "t"}'));
SELECT id, name, note, tenth, gone_ts IS NOT NULL AS gone FROM strict ORDER BY id;
SELECT event_key, sqlstate, message FROM dead;
-- a sequence at its end
ALTER SEQUENCE strict_number_seq MAXVALUE 10 START 1 RESTART 10;
SELECT nextval('strict_number_seq');
SELECT deliver(e('Strict', 3, '{"id": "a", "note": "again"}'), e('Strict', 3, '{"id": "a", "note": "again"}'), e('Strict', 1, '{"id": "d", "note": "late"}'));
SELECT cxone_sync.remove_target('strict');
SELECT afresh('strict');
-- the same in field order, in one delivery
SET ROLE regress_owner;
CREATE TABLE fields (id text PRIMARY KEY, n integer NOT NULL, m integer, updated_ts timestamptz, field_times jsonb);
RESET ROLE;
SELECT cxone_sync.add_target('fields', 'fields', '{id}', event_types => '{Fields}');
SELECT deliver(e('Fields', 9, '{"id": "a", "n": 9}'), e('Fields', 1, '{"id": "a", "m": 1}'));
SELECT id, n, m, extract(day FROM updated_ts) FROM fields;
SELECT cxone_sync.remove_target('fields');
---- each event is counted as it would be by itself
SELECT cxone_sync.add_target('people', 'people', '{id}', event_types => '{Person}', delete_types => '{PersonGone}');
SELECT deliver(e('Person', 5, '{"id": "c"}'));
SELECT deliver(e('Person', 1, '{"id": "c", "name": "1"}'), e('Person', 6, '{"id": "c", "name": "6"}'));
SELECT deliver(e('Person', 7, '{"id": "d"}'), e('PersonGone', 6, '{"id": "d"}'), e('PersonGone', 8, '{"id": "d"}'), e('Person', 8, '{"id": "d"}'), e('Person', 9, '{"id": "d", "name": "again"}'));
SELECT id, name FROM people ORDER BY id;
SELECT cxone_sync.remove_target('people');

---- tombstones belong to a key of a table
SET ROLE regress_owner;
CREATE TABLE kept (id integer PRIMARY KEY, ref integer UNIQUE, note text, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('a_main', 'kept', '{id}', event_types => '{Made}', delete_types => '{Gone}'), cxone_sync.add_target('b_notes', 'kept', '{id}', event_types => '{Noted}'),
    cxone_sync.add_target('c_refs', 'kept', '{ref}', event_types => '{Referred}');
SELECT deliver(e('Made', 1, '{"id": 5}')), deliver(e('Gone', 5, '{"id": 5}')), deliver(e('Noted', 2, '{"id": 5, "note": "late"}')), deliver(e('Referred', 2, '{"ref": 5, "id": 6}'));
SELECT id, ref FROM kept;
-- they survive the target that deletes, and one that is made anew
SELECT cxone_sync.remove_target('a_main');
SELECT deliver(e('Noted', 2, '{"id": 5, "note": "late"}'));
SELECT cxone_sync.remove_target('b_notes'), cxone_sync.remove_target('c_refs');
SELECT cxone_sync.add_target('a_main', 'kept', '{id}', event_types => '{Made}');
SELECT deliver(e('Made', 4, '{"id": 5}')), deliver(e('Made', 6, '{"id": 5}'));
-- two targets of one table, written in the order of arrival
SELECT cxone_sync.add_target('b_notes', 'kept', '{id}', event_types => '{Noted}');
SELECT deliver(e('Noted', 7, '{"id": 7, "note": "first"}'), e('Made', 7, '{"id": 7, "note": "second"}'), e('Noted', 7, '{"id": 8, "note": "second"}'), e('Made', 7, '{"id": 8, "note": "third"}'));
SELECT id, note FROM kept WHERE id > 6 ORDER BY id;
SELECT cxone_sync.remove_target('a_main'), cxone_sync.remove_target('b_notes');
SELECT afresh('kept');

---- an event without a time has one arrival
SET ROLE regress_owner;
CREATE TABLE arrivals (id text PRIMARY KEY, n integer, note text, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('arrivals', 'arrivals', '{id}', event_types => '{Arrival}');
SELECT deliver('{"eventType": "Arrival", "id": "other"}', '{"eventType": "Arrival", "id": "x", "note": "first"}', '{"eventType": "Arrival", "id": "x", "note": "second", "n": "bad"}');
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"bad"', '1');
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT id, n, note FROM arrivals WHERE id = 'x';

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_owner;
