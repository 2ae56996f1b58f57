-- What CREATE EXTENSION leaves: objects, comments, owners, privileges, and the versions of the schema.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA test;
SET search_path = test;

-- Members without the row types of relations, which are members from PostgreSQL 17 on; and the table that is none, since it
-- is the user's.
CREATE VIEW members AS
SELECT d.classid, d.objid, i.type, i.identity
FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cxone_sync')
  AND d.classid <> 'pg_type'::regclass
UNION ALL
SELECT 'pg_class'::regclass, c.oid, i.type, i.identity
FROM to_regclass('cxone_sync.contact_records') AS c(oid), pg_identify_object('pg_class'::regclass, c.oid, 0) AS i WHERE c.oid IS NOT NULL;

-- All that a schema version defines, in words.
CREATE VIEW definitions AS
SELECT m.type || ' ' || m.identity AS object,
       concat_ws(' | ', obj_description(m.objid, m.classid::regclass::name), c.relowner::regrole, c.relacl::text,
                 c.reloptions::text, p.proowner::regrole, p.proacl::text, p.prosrc, p.provolatile, p.proisstrict,
                 pg_get_viewdef(CASE WHEN c.relkind = 'v' THEN c.oid END)) AS definition
FROM members m
LEFT JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
LEFT JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
UNION ALL
SELECT 'column ' || m.identity || '.' || a.attname,
       concat_ws(' | ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                 pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
FROM members m
JOIN pg_attribute a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL
SELECT 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)
FROM members m
JOIN pg_index i ON m.classid = 'pg_class'::regclass AND i.indrelid = m.objid
UNION ALL
SELECT 'trigger ' || t.tgname, pg_get_triggerdef(t.oid) || ' | ' || obj_description(t.oid, 'pg_trigger')
FROM members m
JOIN pg_trigger t ON m.classid = 'pg_class'::regclass AND t.tgrelid = m.objid AND NOT t.tgisinternal
UNION ALL
SELECT 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
FROM members m
JOIN pg_constraint c ON m.classid = 'pg_class'::regclass AND c.conrelid = m.objid
UNION ALL
SELECT 'dumped ' || c.oid::regclass, c.condition
FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS c(oid, condition)
WHERE e.extname = 'cxone_sync';

-- Version 1.0 and the upgrade, in one transaction: no worker gets to see that version.
BEGIN;
CREATE EXTENSION cxone_sync VERSION '1.0';
SELECT version FROM cxone_sync.schema_versions ORDER BY version;
SELECT attname FROM pg_attribute WHERE attrelid = 'cxone_sync.contact_records'::regclass AND attnum > 0 ORDER BY attnum;
\set VERBOSITY default
SAVEPOINT version_1;
SELECT cxone_sync.ingest('{"events": []}');
ROLLBACK TO version_1;
\set VERBOSITY terse
INSERT INTO cxone_sync.contact_records (id) VALUES ('from version 1');
INSERT INTO cxone_sync.dead_letters (received_at, target, sqlstate, message, payload)
    VALUES (now(), 'cxone_sync.contact_records', '22P02', 'of version 1', '{"id": "mended", "email": "x"}');
ALTER EXTENSION cxone_sync UPDATE;
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT id, sync_status FROM cxone_sync.contact_records;
CREATE TABLE upgraded AS SELECT * FROM definitions;
SELECT cxone_sync.ingest('{"events": [{"id": "after the upgrade"}]}');
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
CREATE EXTENSION cxone_sync;
CREATE TABLE fresh AS SELECT * FROM definitions;
SELECT count(*) > 40 AS compared FROM fresh;
(TABLE upgraded EXCEPT TABLE fresh) UNION ALL (TABLE fresh EXCEPT TABLE upgraded);
ROLLBACK;

-- A column extra that was there before: as jsonb it takes what no column takes, and keeps what it holds.
BEGIN;
CREATE EXTENSION cxone_sync VERSION '1.0';
ALTER EXTENSION cxone_sync UPDATE TO '2.0';
ALTER TABLE cxone_sync.contact_records ADD COLUMN extra jsonb DEFAULT '{"by": "default"}', ADD COLUMN more text;
COMMENT ON COLUMN cxone_sync.contact_records.extra IS 'mine';
INSERT INTO cxone_sync.contact_records (id, extra) VALUES ('set', '{"mine": 1, "both": 1}'), ('empty', NULL), ('untouched', '[1, 2]');
ALTER EXTENSION cxone_sync UPDATE;
SELECT format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = 'cxone_sync.contact_records'::regclass AND attname = 'extra';
SELECT keeps_extra, problem FROM cxone_sync.targets;
SELECT cxone_sync.ingest(jsonb_build_object('events', jsonb_agg(jsonb_build_object('id', id, 'more', id, 'extra', 'a member like any other', 'both', 2)))) FROM unnest('{set,empty,new}'::text[]) AS id;
SELECT id, more, extra FROM cxone_sync.contact_records ORDER BY id;
ROLLBACK;

-- of another type it is a column like any other, and what no column takes is not kept
BEGIN;
CREATE EXTENSION cxone_sync VERSION '1.0';
ALTER EXTENSION cxone_sync UPDATE TO '2.0';
ALTER TABLE cxone_sync.contact_records ADD COLUMN extra text DEFAULT 'none', ADD COLUMN more text;
COMMENT ON COLUMN cxone_sync.contact_records.extra IS 'mine';
INSERT INTO cxone_sync.contact_records (id, extra) VALUES ('set', 'mine'), ('empty', NULL), ('untouched', 'mine');
ALTER EXTENSION cxone_sync UPDATE;
SELECT format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = 'cxone_sync.contact_records'::regclass AND attname = 'extra';
SELECT keeps_extra, problem FROM cxone_sync.targets;
SELECT cxone_sync.ingest('{"events": [{"id": "set", "extra": "of the event", "both": 2}, {"id": "empty", "both": 2}, {"id": "new", "extra": {"deep": 1}}, {"id": "new 2", "both": 2}]}');
SELECT id, more, extra FROM cxone_sync.contact_records ORDER BY id;
SAVEPOINT s;
SELECT * FROM cxone_sync.value_from_extra('contact_records', 'more', '{}');
ROLLBACK TO s;
-- changed to jsonb it is what it is elsewhere
UPDATE cxone_sync.contact_records SET extra = NULL;
ALTER TABLE cxone_sync.contact_records ALTER COLUMN extra DROP DEFAULT, ALTER COLUMN extra TYPE jsonb USING extra::jsonb;
SELECT keeps_extra FROM cxone_sync.targets;
SELECT cxone_sync.ingest('{"events": [{"id": "set", "both": 3}]}');
SELECT id, extra FROM cxone_sync.contact_records WHERE extra IS NOT NULL;
ROLLBACK;

CREATE EXTENSION cxone_sync;

-- objects
SELECT type, identity FROM members ORDER BY type COLLATE "C", identity COLLATE "C";
SELECT n.nspname, e.extversion, e.extrelocatable FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'cxone_sync';
SELECT version, applied_at BETWEEN now() - interval '1 hour' AND now() AS just_now FROM cxone_sync.schema_versions ORDER BY version;

-- nothing without a comment: members, columns, triggers, the role
SELECT type, identity FROM members WHERE obj_description(objid, classid::regclass::name) IS NULL ORDER BY 1, 2;
SELECT a.attrelid::regclass, a.attname
FROM members m JOIN pg_attribute a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid
WHERE m.type IN ('table', 'view') AND a.attnum > 0 AND NOT a.attisdropped
  AND col_description(a.attrelid, a.attnum) IS NULL
ORDER BY 1, a.attnum;
SELECT t.tgname FROM members m JOIN pg_trigger t ON m.classid = 'pg_class'::regclass AND t.tgrelid = m.objid
WHERE NOT t.tgisinternal AND obj_description(t.oid, 'pg_trigger') IS NULL;
SELECT shobj_description('cxone_sync'::regrole, 'pg_authid') IS NOT NULL AS role_has_comment;

-- owners: the user's table belongs to a role that can neither log in nor anything else, the extension's own to its installer
SELECT c.relkind, c.relname, c.relowner = 'cxone_sync'::regrole AS of_cxone_sync, c.relowner = current_user::regrole AS of_installer
FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
ORDER BY c.relkind, c.relname COLLATE "C";
SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'cxone_sync';

-- privileges
SELECT identity FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
WHERE p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) WHERE grantee = 0);
SELECT identity FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
WHERE EXISTS (SELECT FROM aclexplode(c.relacl) WHERE grantee = 0);
CREATE ROLE regress_plain;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
SELECT r.rolname, m.type, m.identity
FROM members m, (VALUES ('regress_plain'), ('regress_monitor')) AS r(rolname)
WHERE CASE m.type WHEN 'function' THEN has_function_privilege(r.rolname, m.objid, 'EXECUTE')
                  WHEN 'sequence' THEN has_sequence_privilege(r.rolname, m.objid, 'USAGE, SELECT, UPDATE')
                  ELSE has_table_privilege(r.rolname, m.objid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                       OR has_any_column_privilege(r.rolname, m.objid, 'SELECT, INSERT, UPDATE, REFERENCES') END
ORDER BY 1, 2, m.identity COLLATE "C";
SET ROLE regress_monitor;
SELECT status FROM cxone_sync.sync_lag ORDER BY status;
SELECT status, count(*), max(le) FROM cxone_sync.sync_lag_buckets GROUP BY status ORDER BY status;
SELECT worker FROM cxone_sync.sync_status;
SELECT count(*) FROM cxone_sync.contact_records;
SET ROLE regress_plain;
SELECT count(*) FROM cxone_sync.contact_records;
SELECT count(*) FROM cxone_sync.dead_letters;
SELECT count(*) FROM cxone_sync.sync_status;
SELECT cxone_sync.ingest('{"events": []}');
RESET ROLE;
SELECT has_schema_privilege('regress_plain', 'cxone_sync', 'CREATE') AS may_create;

-- a dumped row of schema_versions replaces the one that CREATE EXTENSION wrote
INSERT INTO cxone_sync.schema_versions VALUES (2, '2020-01-01 00:00+00');
SELECT version, applied_at = '2020-01-01 00:00+00' AS restored FROM cxone_sync.schema_versions ORDER BY version;

-- dropped and created once more in one session: the user's table stays, with all that is in it
SELECT cxone_sync.ingest('{"events": [{"id": "1"}, {"no": "id"}]}');
ALTER TABLE cxone_sync.contact_records ADD COLUMN phone text;
SELECT 1 AS member FROM pg_depend WHERE objid = 'cxone_sync.contact_records'::regclass AND deptype = 'e';
DROP EXTENSION cxone_sync;
SELECT id, phone FROM cxone_sync.contact_records;
SELECT to_regrole('cxone_sync') IS NOT NULL AS role_stays;
CREATE EXTENSION cxone_sync;
SELECT cxone_sync.ingest('{"events": [{"id": "1", "phone": "5"}, {"no": "id"}]}');
SELECT id, phone FROM cxone_sync.contact_records;
DROP EXTENSION cxone_sync;
-- what it lacks of later versions it gets
SELECT count(*) FROM pg_attribute WHERE attrelid = 'cxone_sync.contact_records'::regclass AND attname = 'field_times';
ALTER TABLE cxone_sync.contact_records DROP COLUMN sync_status, DROP COLUMN extra, DROP COLUMN field_times;
CREATE EXTENSION cxone_sync;
SELECT id, phone, sync_status, extra FROM cxone_sync.contact_records;
-- but that its order in time stays what it was
SELECT time_order, problem FROM cxone_sync.targets;
DROP EXTENSION cxone_sync;
-- also if its key is gone: the target says what is wrong
ALTER TABLE cxone_sync.contact_records DROP COLUMN id;
CREATE EXTENSION cxone_sync;
SELECT problem FROM cxone_sync.targets;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
-- but it takes nothing that somebody else has put there
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE TABLE cxone_sync.contact_records (id text PRIMARY KEY);
CREATE EXTENSION cxone_sync;
ALTER TABLE cxone_sync.contact_records OWNER TO regress_plain;
CREATE EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
CREATE VIEW cxone_sync.contact_records AS SELECT 1;
ALTER VIEW cxone_sync.contact_records OWNER TO cxone_sync;
CREATE EXTENSION cxone_sync;
DROP VIEW cxone_sync.contact_records;
-- as pg_dump's scripts do it: nothing is there before they bring it
SET row_security = off;
CREATE EXTENSION cxone_sync;
RESET row_security;
SELECT to_regclass('cxone_sync.contact_records') IS NULL AS no_table, (SELECT count(*) FROM cxone_sync.schema_versions) AS versions, (SELECT count(*) FROM cxone_sync.target_config) AS targets;
SELECT cxone_sync.ingest('{"events": [{"id": "1"}]}');
INSERT INTO cxone_sync.schema_versions VALUES (3);
SELECT cxone_sync.ingest('{"events": [{"id": "1"}]}') -> 'dead_lettered' AS dead_lettered;
DROP EXTENSION cxone_sync;

-- the role that is there already: somebody who cannot create extensions may mean to act as it
\set VERBOSITY terse
BEGIN;
ALTER ROLE cxone_sync LOGIN;
CREATE EXTENSION cxone_sync;
ROLLBACK;
BEGIN;
ALTER ROLE cxone_sync SUPERUSER;
CREATE EXTENSION cxone_sync;
ROLLBACK;
BEGIN;
ALTER ROLE cxone_sync CREATEROLE;
CREATE EXTENSION cxone_sync;
ROLLBACK;
BEGIN;
ALTER ROLE cxone_sync BYPASSRLS;
CREATE EXTENSION cxone_sync;
ROLLBACK;
CREATE ROLE regress_maker CREATEROLE;
BEGIN;
DROP ROLE cxone_sync;
SET ROLE regress_maker;
CREATE ROLE cxone_sync;
GRANT cxone_sync TO regress_plain;
RESET ROLE;
CREATE EXTENSION cxone_sync;
ROLLBACK;
BEGIN;
GRANT cxone_sync TO regress_plain WITH ADMIN OPTION;
CREATE EXTENSION cxone_sync;
ROLLBACK;
-- members that the superuser has made may stay, also when it is installed anew
GRANT cxone_sync TO regress_plain;
CREATE EXTENSION cxone_sync;
DROP EXTENSION cxone_sync;
CREATE EXTENSION cxone_sync;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
REVOKE cxone_sync FROM regress_plain;

DROP ROLE regress_plain, regress_monitor, regress_maker;
DROP SCHEMA test CASCADE;
