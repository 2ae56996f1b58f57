-- What each kind of role needs, as the README says, and what it cannot do with that.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION cxone_sync;
CREATE ROLE regress_watcher IN ROLE pg_monitor;
CREATE ROLE regress_configurer;
CREATE ROLE regress_caller;
CREATE ROLE regress_mender;
CREATE ROLE regress_other;
CREATE SCHEMA test;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
SET search_path = test;
\pset format unaligned
\pset tuples_only on

---- whoever watches reads the views, and no rows
SET ROLE regress_watcher;
SELECT name, problem IS NULL FROM cxone_sync.targets;
SELECT count(*) FROM cxone_sync.sync_lag;
SELECT count(*) FROM cxone_sync.sync_lag_buckets;
SELECT worker FROM cxone_sync.sync_status;
SELECT * FROM cxone_sync.unmapped_keys;
SELECT * FROM cxone_sync.dead_letters;
SELECT * FROM cxone_sync.contact_records;
SELECT * FROM cxone_sync.target_config;
SELECT cxone_sync.remove_target('contact_records');
RESET ROLE;
GRANT SELECT ON cxone_sync.unmapped_keys, cxone_sync.dead_letters, cxone_sync.contact_records TO regress_watcher;
GRANT EXECUTE ON FUNCTION cxone_sync.unmapped_keys() TO regress_watcher;
SET ROLE regress_watcher;
SELECT count(*) FROM cxone_sync.unmapped_keys, cxone_sync.dead_letters, cxone_sync.contact_records;
RESET ROLE;

---- whoever configures may do so with tables of their own, and with no others
GRANT EXECUTE ON FUNCTION cxone_sync.add_target, cxone_sync.change_target, cxone_sync.remove_target, cxone_sync.map_field, cxone_sync.unmap_field TO regress_configurer;
GRANT EXECUTE ON PROCEDURE cxone_sync.fill_from_extra TO regress_configurer;
SET ROLE regress_other;
CREATE TABLE others (id text PRIMARY KEY, updated_ts timestamptz);
GRANT ALL ON others TO regress_configurer;
SET ROLE regress_configurer;
CREATE TABLE own (id text PRIMARY KEY, note text, extra jsonb, updated_ts timestamptz);
SELECT cxone_sync.add_target('own', 'own', '{id}', event_types => '{own}');
SELECT cxone_sync.map_field('own', 'note', '/text');
SELECT cxone_sync.unmap_field('own', 'note');
SELECT cxone_sync.change_target('own', 'own', '{id}', event_types => '{own,other}');
CALL cxone_sync.fill_from_extra('own', 'note');
SELECT cxone_sync.add_target('others', 'others', '{id}', event_types => '{others}');
SELECT cxone_sync.change_target('own', 'others', '{id}', event_types => '{own}');
SELECT cxone_sync.change_target('contact_records', 'own', '{id}');
SELECT cxone_sync.remove_target('contact_records');
SELECT cxone_sync.map_field('contact_records', 'email', '/x');
CALL cxone_sync.fill_from_extra('contact_records', 'email');
SELECT cxone_sync.add_target('letters', 'cxone_sync.dead_letters', '{id}');
SELECT cxone_sync.ingest('{"events": []}');
SELECT * FROM cxone_sync.target_config;
INSERT INTO cxone_sync.target_config VALUES ('x', 'others', '{id}', 'updated_ts');
-- a table that is given away takes its target with it
RESET ROLE;
ALTER TABLE own OWNER TO regress_other;
SET ROLE regress_configurer;
SELECT cxone_sync.remove_target('own');
RESET ROLE;
ALTER TABLE own OWNER TO regress_configurer;

---- whoever calls ingest() writes what events may, as the tables' owners, and nothing else
GRANT EXECUTE ON FUNCTION cxone_sync.ingest, cxone_sync.simulate TO regress_caller;
SET ROLE regress_caller;
SELECT cxone_sync.ingest('{"events": [{"eventType": "own", "id": "1"}, {"eventType": "own"}, {"id": "2"}]}');
SELECT target, outcome FROM cxone_sync.simulate('{"events": [{"eventType": "other", "id": "3"}]}');
SELECT * FROM own;
INSERT INTO own (id) VALUES ('x');
SELECT cxone_sync.replay_dead_letters();
RESET ROLE;
SELECT id FROM own;

---- whoever mends dead letters
GRANT SELECT, UPDATE (payload) ON cxone_sync.dead_letters TO regress_mender;
GRANT EXECUTE ON FUNCTION cxone_sync.replay_dead_letters, cxone_sync.purge_dead_letters, cxone_sync.purge_tombstones TO regress_mender;
SET ROLE regress_mender;
UPDATE cxone_sync.dead_letters SET payload = '{"eventType": "own", "id": "mended"}' WHERE target = 'own';
UPDATE cxone_sync.dead_letters SET target = 'contact_records';
SELECT outcome FROM cxone_sync.replay_dead_letters(target => 'own');
SELECT cxone_sync.purge_dead_letters('0');
SELECT cxone_sync.purge_dead_letters('0', force => true), cxone_sync.purge_tombstones('0', force => true);
DELETE FROM cxone_sync.dead_letters;
RESET ROLE;
SELECT id FROM own ORDER BY id;

-- nobody may put functions of their own where the worker finds them; PUBLIC can execute nothing that writes
SET ROLE regress_other;
CREATE FUNCTION cxone_sync.field_time() RETURNS text LANGUAGE sql AS 'SELECT ''''';
RESET ROLE;
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE p.pronamespace = 'cxone_sync'::regnamespace AND has_function_privilege('regress_other', p.oid, 'EXECUTE') AND p.provolatile = 'v';

-- These are for a statement of ours that runs: without one, and with what is none of its events, they note nothing.
SELECT cxone_sync.note_row(true, true, NULL, 1) AS nothing, cxone_sync.note_row_by_key(false, false, true, ROW(1, 'a')) AS something;
CREATE TABLE test.meddled (id text PRIMARY KEY, note text, updated_ts timestamptz);
CREATE FUNCTION test.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cxone_sync.note_row(true, true, false, n) FROM unnest('{0,1,99,NULL}'::bigint[]) AS n;
    PERFORM cxone_sync.note_row_by_key(true, true, false, ROW()), cxone_sync.note_row_by_key(true, true, false, ROW(1)), cxone_sync.note_row_by_key(true, true, false, ROW('a'::text, 2)),
        cxone_sync.note_row_by_key(true, true, false, NULL::record), cxone_sync.note_row_by_key(true, true, false, NEW), cxone_sync.note_row_by_key(true, true, false, ROW(NULL::text));
    RETURN NEW;
END $$;
CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON test.meddled FOR EACH ROW EXECUTE FUNCTION test.meddle();
ALTER TABLE test.meddled OWNER TO cxone_sync;
SELECT cxone_sync.add_target('meddled', 'test.meddled', '{id}', event_types => '{Meddled}');
SELECT cxone_sync.ingest('{"events": [{"eventType": "Meddled", "id": "a", "note": "new"}, {"eventType": "Meddled", "id": "a", "note": "newer"}]}');
SELECT id, note FROM test.meddled;
SELECT message FROM cxone_sync.dead_letters;
DROP SCHEMA test CASCADE;
DROP OWNED BY regress_watcher, regress_configurer, regress_caller, regress_mender, regress_other;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_watcher, regress_configurer, regress_caller, regress_mender, regress_other;
