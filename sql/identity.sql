-- Who writes: the owner of the target, never the caller, never a superuser; and all is as before afterwards.
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

CREATE ROLE regress_sender;
CREATE ROLE regress_owner;
GRANT EXECUTE ON FUNCTION cxone_sync.ingest(jsonb) TO regress_sender;
GRANT CREATE ON SCHEMA test TO regress_sender;
ALTER TABLE cxone_sync.contact_records ADD COLUMN seen text, ADD COLUMN attempt text, ADD COLUMN n integer;
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seen := format('user %s, search_path %s', current_user, current_setting('search_path'));
    IF NEW.attempt IS NOT NULL THEN
        EXECUTE NEW.attempt;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER look BEFORE INSERT OR UPDATE ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION look();
-- a role that may call ingest and nothing else
SET ROLE regress_sender;
SET search_path = test, pg_temp;
SELECT deliver('{"id": 1}', '{"id": 2, "n": "x"}');
SELECT current_user, current_setting('search_path') AS search_path;
SELECT id FROM cxone_sync.contact_records;
-- also when all of it fails
SELECT cxone_sync.ingest('{"events": 7}');
SELECT deliver('{"id": 3, "attempt": "DO $d$ BEGIN RAISE lock_not_available; END $d$"}');
SELECT current_user, current_setting('search_path') AS search_path;
RESET ROLE;
SET search_path = test;
SELECT id, seen FROM cxone_sync.contact_records ORDER BY id;
SELECT * FROM dead;
DELETE FROM cxone_sync.dead_letters;
-- what code of the owner cannot do: become somebody else, read what is not its own, leave something behind
CREATE TABLE attempts (n serial, statement text);
INSERT INTO attempts (statement) VALUES
    ($a$SELECT 1$a$), ($a$SET ROLE pg_monitor$a$), ($a$RESET ROLE$a$), ($a$RESET SESSION AUTHORIZATION$a$), ($a$SET SESSION AUTHORIZATION DEFAULT$a$),
    ($a$SELECT set_config('role', 'none', false)$a$), ($a$CREATE TEMP TABLE left_behind ()$a$), ($a$CREATE ROLE regress_evil SUPERUSER$a$),
    ($a$ALTER ROLE cxone_sync SUPERUSER$a$), ($a$SELECT rolpassword FROM pg_authid$a$), ($a$SELECT pg_read_file('PG_VERSION')$a$),
    ($a$COPY cxone_sync.contact_records TO PROGRAM 'true'$a$), ($a$LISTEN left_behind$a$), ($a$PREPARE left_behind AS SELECT 1$a$),
    ($a$SET log_min_messages = panic$a$), ($a$CREATE TABLE test.left_behind ()$a$), ($a$SELECT * FROM test.attempts$a$);
SELECT deliver(VARIADIC (SELECT array_agg(jsonb_build_object('id', n, 'attempt', statement) ORDER BY n) FROM attempts));
SELECT d.sqlstate, statement FROM attempts LEFT JOIN cxone_sync.dead_letters d ON event_key = n::text ORDER BY n;
-- what it changes of the session is gone afterwards
SELECT deliver('{"id": 4, "attempt": "SET search_path = public"}', '{"id": 5, "attempt": "SELECT set_config(''datestyle'', ''German'', false)"}', '{"id": 6, "attempt": "SET LOCAL statement_timeout = 100000"}');
SELECT current_setting('search_path') AS search_path, current_setting('datestyle') AS datestyle, current_setting('statement_timeout') AS statement_timeout;
-- names of the caller's do not lead the statements astray
CREATE FUNCTION test.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'epoch'::timestamptz $$;
CREATE FUNCTION test.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'evil'::text $$;
CREATE FUNCTION test.texteq(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT 1 / 0 = 1 $$;
CREATE OPERATOR test.= (LEFTARG = text, RIGHTARG = text, FUNCTION = test.texteq);
CREATE TEMP TABLE contact_records (id text);
CREATE TEMP TABLE dead_letters (id text);
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (VALUE OPERATOR(pg_catalog.<>) 'temporary');
SET search_path = test, pg_temp, pg_catalog;
SELECT c FROM cxone_sync.ingest('{"events": [{"id": "temporary", "email": "x"}, {"n": "x"}]}') c;
SET search_path = test;
SELECT id, email FROM cxone_sync.contact_records WHERE id OPERATOR(pg_catalog.=) 'temporary';
DROP DOMAIN pg_temp.text;
DROP OPERATOR test.= (text, text);
DROP FUNCTION test.now(), test.unnest(text[]), test.texteq(text, text);
-- what the caller, who has not the owner's rights, has there is no owner's to take for its own
SET ROLE regress_sender;
SELECT cxone_sync.ingest('{"events": [{"id": "9"}]}');
RESET ROLE;
SELECT id FROM cxone_sync.contact_records WHERE id = '9';
DROP TABLE pg_temp.contact_records, pg_temp.dead_letters;
DELETE FROM cxone_sync.dead_letters;
-- a member of the owner's role may have it, also if it has to say so
CREATE ROLE regress_member NOINHERIT IN ROLE cxone_sync;
GRANT EXECUTE ON FUNCTION cxone_sync.ingest(jsonb) TO cxone_sync;
SET SESSION AUTHORIZATION regress_member;
CREATE TEMP TABLE staged AS SELECT '{"events": [{"id": "9"}]}'::jsonb AS payload;
GRANT SELECT ON staged TO cxone_sync;
SET ROLE cxone_sync;
SELECT cxone_sync.ingest(payload) FROM staged;
RESET SESSION AUTHORIZATION;
DROP TABLE staged;
REVOKE EXECUTE ON FUNCTION cxone_sync.ingest(jsonb) FROM cxone_sync;
DROP ROLE regress_member;
-- nor is there anything of the owner's for the session, or the next owner, to take for its own
SELECT deliver('{"id": 11, "attempt": "CREATE DOMAIN pg_temp.text AS pg_catalog.text"}', '{"id": 12, "attempt": "CREATE TYPE pg_temp.jsonb AS ENUM ()"}',
    '{"id": 13, "attempt": "CREATE TYPE pg_temp.r AS RANGE (subtype = integer)"}', '{"id": 14, "attempt": "CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql RETURN 1"}',
    '{"id": 15, "attempt": "CREATE TYPE pg_temp.c AS (a integer)"}', '{"id": 16, "attempt": "CREATE VIEW pg_temp.v AS SELECT 1"}');
SELECT * FROM dead;
DELETE FROM cxone_sync.dead_letters;
SELECT to_regtype('pg_temp.text'), to_regtype('pg_temp.jsonb');
-- what converts the values of extra is the owner's as well
CREATE DOMAIN checked AS integer;
ALTER TABLE cxone_sync.contact_records ADD COLUMN c checked;
CREATE FUNCTION who_checks(integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'checked as %, search_path %', current_user, current_setting('search_path'); RETURN true; END $$;
ALTER DOMAIN checked ADD CHECK (test.who_checks(VALUE)) NOT VALID;
SELECT * FROM cxone_sync.value_from_extra('contact_records', 'c', '{"c": 5}');
ALTER TABLE cxone_sync.contact_records DROP COLUMN c;
-- the caller's deferred triggers run as the caller
SET ROLE regress_sender;
CREATE TABLE mine (who text);
CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'deferred trigger of % as %', TG_RELNAME, current_user;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER who AFTER INSERT ON mine DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION who();
BEGIN;
INSERT INTO mine VALUES ('x');
SELECT deliver('{"id": 7}');
COMMIT;
RESET ROLE;

-- what a trigger defers is at once again
CREATE TABLE parents (id integer PRIMARY KEY);
CREATE TABLE children (parent integer REFERENCES parents DEFERRABLE);
BEGIN;
SELECT deliver('{"id": 17, "attempt": "SET CONSTRAINTS ALL DEFERRED"}');
INSERT INTO children VALUES (1);
ROLLBACK;
DROP TABLE children, parents;

-- what the caller has open is no trigger's: it may neither read on in a cursor, nor put another statement in its place
CREATE TABLE inbox AS SELECT n AS id FROM generate_series(21, 25) AS n;
REVOKE ALL ON inbox FROM PUBLIC;
CREATE TABLE grabbed (what text);
ALTER TABLE grabbed OWNER TO cxone_sync;
CREATE FUNCTION grab() RETURNS trigger LANGUAGE plpgsql SET search_path = test AS $$
DECLARE
    cursor_name text;
    c refcursor;
    r text;
BEGIN
    FOREACH cursor_name IN ARRAY ARRAY(SELECT name FROM pg_cursors) LOOP
        c := cursor_name;
        BEGIN
            FETCH c INTO r;
            INSERT INTO grabbed VALUES (r);
        EXCEPTION WHEN object_not_in_prerequisite_state OR invalid_cursor_state THEN NULL;
        END;
        BEGIN
            CLOSE c;
            OPEN c FOR SELECT test.run_as_caller();
        EXCEPTION WHEN object_not_in_prerequisite_state OR invalid_cursor_state OR duplicate_cursor THEN NULL;
        END;
    END LOOP;
    BEGIN
        INSERT INTO grabbed VALUES (convert_from(loread(0, 100), 'UTF8'));
    EXCEPTION WHEN undefined_object THEN NULL;
    END;
    c := 'left open';
    OPEN c FOR SELECT test.run_as_caller();
    RETURN NEW;
END
$$;
CREATE FUNCTION run_as_caller() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'runs as somebody else: %', current_user <> 'cxone_sync'; RETURN 0; END $$;
CREATE TRIGGER grab BEFORE INSERT ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION grab();
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM inbox;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM inbox;
FETCH c;
SELECT lo_from_bytea(0, 'secret') AS object \gset
SELECT lo_open(:object, 262144);
SELECT deliver('{"id": 20}');
FETCH c;
-- an error leaves it as it was
SAVEPOINT s;
SELECT cxone_sync.ingest('{"events": [{"id": 200}], "events": 7}'), cxone_sync.replay_dead_letters(most => -1);
ROLLBACK TO s;
FETCH c;
FETCH held;
SELECT name FROM pg_cursors ORDER BY 1;
COMMIT;
FETCH held;
CLOSE held;
-- a loop, with an error inside
DO $$
DECLARE
    r record;
    n integer := 0;
BEGIN
    FOR r IN SELECT id FROM inbox LOOP
        PERFORM test.deliver(jsonb_build_object('id', r.id));
        BEGIN
            PERFORM cxone_sync.ingest('{"events": 7}');
        EXCEPTION WHEN invalid_parameter_value THEN n := n + 1;
        END;
    END LOOP;
    RAISE WARNING '% rows', n;
END
$$;
SELECT id FROM cxone_sync.contact_records WHERE id LIKE '2_' ORDER BY id;
SELECT * FROM grabbed;
DROP TRIGGER grab ON cxone_sync.contact_records;
-- nor is a statement that is being planned, or a cursor that has failed, anyone's to close
CREATE FUNCTION problem_of(target text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT problem FROM cxone_sync.targets WHERE name = target); END $$;
PREPARE look_there AS SELECT count(*) FROM pg_class WHERE relname = test.problem_of('contact_records');
EXECUTE look_there;
SELECT count(*) FROM pg_class WHERE relname = test.problem_of('contact_records');
DO $$
DECLARE
    c CURSOR FOR SELECT 1 / (id - 22) AS n FROM test.inbox ORDER BY id;
    n integer;
BEGIN
    OPEN c;
    BEGIN
        LOOP FETCH c INTO n; END LOOP;
    EXCEPTION WHEN division_by_zero THEN
        PERFORM test.deliver('{"id": 27}');
    END;
    CLOSE c;
END
$$;
SELECT id FROM cxone_sync.contact_records WHERE id = '27';

-- another owner
ALTER TABLE cxone_sync.contact_records OWNER TO regress_owner;
SELECT deliver('{"id": 8}', '{"id": 90, "n": "x"}');
SELECT id, seen FROM cxone_sync.contact_records WHERE id = '8';
SELECT event_key FROM cxone_sync.dead_letters WHERE event_key = '90';
REVOKE INSERT ON cxone_sync.contact_records FROM regress_owner;
SELECT deliver('{"id": 10}');
GRANT INSERT ON cxone_sync.contact_records TO regress_owner;
SELECT deliver('{"id": 10}');

-- a trigger that calls ingest itself, with more sets of columns than statements are kept for
ALTER TABLE cxone_sync.contact_records OWNER TO cxone_sync;
DROP TRIGGER look ON cxone_sync.contact_records;
GRANT EXECUTE ON FUNCTION cxone_sync.ingest(jsonb) TO cxone_sync;
DELETE FROM cxone_sync.contact_records;
DO $$
BEGIN
    FOR i IN 0..7 LOOP
        EXECUTE format('ALTER TABLE cxone_sync.contact_records ADD COLUMN k%s integer', i);
    END LOOP;
END
$$;
CREATE FUNCTION call_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'GRANT SELECT ON cxone_sync.contact_records TO regress_sender';
    FOR m IN 0..99 LOOP
        PERFORM cxone_sync.ingest(jsonb_build_object('events', jsonb_build_array(jsonb_build_object('id', 'inner ' || NEW.id)
            || coalesce((SELECT jsonb_object_agg('k' || i, m) FROM generate_series(0, 7) i WHERE m & (1 << i) <> 0), '{}'))));
    END LOOP;
    RETURN NEW;
END
$$;
CREATE TRIGGER call_again AFTER INSERT ON cxone_sync.contact_records FOR EACH ROW WHEN (NEW.id NOT LIKE 'inner%') EXECUTE FUNCTION call_again();
SELECT deliver('{"id": 1}', '{"id": 2, "email": "x"}', '{"id": 3}', '{"id": 4, "n": "x"}');
SELECT id, email, k0, k1, k5, k6, k7 FROM cxone_sync.contact_records ORDER BY id;
DELETE FROM cxone_sync.contact_records;
SELECT deliver('{"id": 1}');

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP OWNED BY regress_sender, regress_owner;
DROP ROLE regress_sender, regress_owner;
