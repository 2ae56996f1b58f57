-- What the scripts create belongs to its owner alone, plus what they grant, whatever default privileges say; what was there keeps its grants.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_app;
CREATE ROLE regress_reader;
CREATE SCHEMA test;
SET search_path = test;
\pset format unaligned
\pset tuples_only on

-- What others than the owner have: of the extension's members, the table that is none, and the schema.
CREATE VIEW given AS
WITH object (name, owner, acl) AS (
    SELECT c.oid::regclass::text, relowner, relacl FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace AND nspname = 'cxone_sync' WHERE relkind <> 'i'
    UNION ALL SELECT p.oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace AND nspname = 'cxone_sync'
    UNION ALL SELECT 'schema ' || nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = 'cxone_sync')
SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee, a.privilege_type || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END AS privilege, o.name
FROM object AS o, aclexplode(o.acl) AS a WHERE a.grantee <> o.owner;

CREATE EXTENSION cxone_sync;
CREATE TABLE plain AS TABLE given;
SELECT grantee, privilege, name FROM plain ORDER BY grantee COLLATE "C", privilege COLLATE "C", name COLLATE "C";
DROP EXTENSION cxone_sync;
DROP SCHEMA cxone_sync CASCADE;

---- as many clusters have them, so that an application sees every new table
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_app, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_app;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO regress_app WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO regress_app;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO regress_app;
CREATE EXTENSION cxone_sync;
(TABLE given EXCEPT TABLE plain) UNION ALL (TABLE plain EXCEPT TABLE given);
DROP EXTENSION cxone_sync;
DROP SCHEMA cxone_sync CASCADE;
-- in a subtransaction as well
BEGIN;
SAVEPOINT s;
CREATE EXTENSION cxone_sync;
RELEASE s;
(TABLE given EXCEPT TABLE plain) UNION ALL (TABLE plain EXCEPT TABLE given);
ROLLBACK;
-- a schema that was there keeps what was granted, and is refused if others may create objects in it
CREATE SCHEMA cxone_sync;
CREATE EXTENSION cxone_sync;
REVOKE CREATE ON SCHEMA cxone_sync FROM regress_app;
CREATE EXTENSION cxone_sync;
(TABLE given EXCEPT TABLE plain) UNION ALL (TABLE plain EXCEPT TABLE given);
DROP EXTENSION cxone_sync;
DROP SCHEMA cxone_sync CASCADE;
DROP OWNED BY regress_app;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC;

---- nor what they take away
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE EXTENSION cxone_sync;
(TABLE given EXCEPT TABLE plain) UNION ALL (TABLE plain EXCEPT TABLE given);
DROP EXTENSION cxone_sync;
DROP SCHEMA cxone_sync CASCADE;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;

---- an upgrade: what was there keeps what was granted, also where another function has come in its place
BEGIN;
CREATE EXTENSION cxone_sync VERSION '1.0';
GRANT CREATE ON SCHEMA cxone_sync TO regress_reader;
GRANT SELECT ON cxone_sync.dead_letters, cxone_sync.contact_records, cxone_sync.sync_status TO regress_reader;
GRANT EXECUTE ON FUNCTION cxone_sync.sync_status() TO regress_reader WITH GRANT OPTION;
REVOKE SELECT ON cxone_sync.sync_lag FROM pg_monitor;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA cxone_sync GRANT ALL ON TABLES TO regress_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA cxone_sync GRANT ALL ON FUNCTIONS TO regress_app;
ALTER EXTENSION cxone_sync UPDATE;
SELECT '+', g.* FROM (TABLE given EXCEPT TABLE plain) AS g UNION ALL SELECT '-', g.* FROM (TABLE plain EXCEPT TABLE given) AS g ORDER BY 1, 2, 3, 4;
SET ROLE regress_reader;
SELECT worker FROM cxone_sync.sync_status;
RESET ROLE;
-- what was granted is no part of the extension, so that a dump has it
SELECT DISTINCT i.privtype, a.grantee::regrole FROM pg_init_privs AS i, aclexplode(i.initprivs) AS a WHERE a.grantee IN ('regress_app'::regrole, 'regress_reader'::regrole);
ROLLBACK;

SELECT count(*) FROM pg_default_acl;
DROP SCHEMA test CASCADE;
DROP ROLE regress_app, regress_reader;
