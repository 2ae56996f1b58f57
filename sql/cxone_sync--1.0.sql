/* Schema version 1: the contract's table, and what the library needs around it. */

\echo Use "CREATE EXTENSION cxone_sync" to load this file. \quit

/*
 * These scripts run as a superuser and with this schema in their search_path. Functions or operators of somebody else in it could take
 * the place of those that they mean, if their arguments fit better. So the scripts name the schema of what they call, or call only
 * what fits exactly; and a schema that was there before has to be a superuser's.
 *
 * What a script creates belongs to its owner alone, whatever default privileges say, and to whom the script grants it: so the grants come
 * after reset_privileges(), which is the first thing that a script creates.
 */
CREATE FUNCTION reset_privileges() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_reset_privileges';
SELECT cxone_sync.reset_privileges(); -- of the schema, if CREATE EXTENSION has made it
CREATE FUNCTION check_schema() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_check_schema';
SELECT cxone_sync.check_schema();
DROP FUNCTION cxone_sync.check_schema();
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_namespace AS n, pg_catalog.pg_roles AS r
        WHERE n.nspname = 'cxone_sync' AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS s WHERE s.rolsuper AND pg_catalog.pg_has_role(r.oid, s.oid, 'MEMBER')))
    THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'schema cxone_sync exists already, and others than superusers may create objects in it',
            DETAIL = 'Their functions could be called by the scripts of the extension, with the rights of a superuser.',
            HINT = 'Drop or rename it, or see its owner and its privileges.';
    END IF;
END
$$;

/*
 * The worker writes events as the owner of the table, never as a superuser: a trigger on a table is somebody's code. So
 * contact_records, and the tables that users give it, have an owner who is none. The extension's own tables belong to the
 * superuser who installs it, so that nobody else can put code on them.
 *
 * The role is left in place by DROP EXTENSION, as roles belong to the cluster and not to a database. One that is there
 * already may be somebody's who means to get at what it will own, so only a superuser may have made somebody a member.
 */
DO $$
DECLARE
    found text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'cxone_sync') THEN
        CREATE ROLE cxone_sync NOLOGIN;
        COMMENT ON ROLE cxone_sync IS 'owns contact_records, and tables that are given to it; the worker of the extension cxone_sync writes as this role';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'cxone_sync'
               AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'role cxone_sync exists already and can do more than own tables',
            HINT = 'Run ALTER ROLE cxone_sync NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS, or rename the role, if it is not meant for this extension.';
    END IF;
    SELECT pg_catalog.string_agg(pg_catalog.format('%s (granted by %s)', coalesce(u.rolname, m.member::text), coalesce(g.rolname, m.grantor::text)), ', ')
    INTO found
    FROM pg_catalog.pg_auth_members AS m
    LEFT JOIN pg_catalog.pg_roles AS u ON u.oid = m.member
    LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = m.grantor
    WHERE m.roleid = 'cxone_sync'::pg_catalog.regrole::oid
        AND (g.rolsuper IS NOT TRUE OR (m.admin_option AND u.rolsuper IS NOT TRUE));
    IF found IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'role cxone_sync exists already and has members that a superuser did not make, or that may make others',
            DETAIL = 'Members: ' || found || '.',
            HINT = 'Run REVOKE cxone_sync FROM each of them, and GRANT it anew as a superuser, without ADMIN OPTION; or rename the role, if it is not meant for this extension.';
    END IF;
END
$$;

CREATE TABLE schema_versions (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_versions IS 'which version of the schema was applied when';
COMMENT ON COLUMN schema_versions.version IS 'schema version: the first number of the extension''s version';
COMMENT ON COLUMN schema_versions.applied_at IS 'when CREATE EXTENSION or ALTER EXTENSION applied it';

CREATE FUNCTION keep_restored_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM cxone_sync.schema_versions WHERE version = NEW.version;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION keep_restored_version() IS
    'lets a row restored from a dump replace the one that CREATE EXTENSION has just written';

CREATE TRIGGER keep_restored_version BEFORE INSERT ON schema_versions
    FOR EACH ROW EXECUTE FUNCTION keep_restored_version();
COMMENT ON TRIGGER keep_restored_version ON schema_versions IS 'makes a dump of this table restorable';

/*
 * The contract's table belongs to the user and is no member of the extension: so a dump has all of it, with the columns,
 * indexes and triggers that were added, and DROP EXTENSION leaves it alone. A table that is there already is taken as it is.
 * pg_dump's scripts, which turn row_security off, bring it themselves, after CREATE EXTENSION.
 */
DO $$
DECLARE
    present oid := pg_catalog.to_regclass('cxone_sync.contact_records');
BEGIN
    IF present IS NULL AND pg_catalog.current_setting('row_security')::boolean THEN
        -- room on each page lets an update stay on it, without touching the indexes
        CREATE TABLE cxone_sync.contact_records (
            id          text PRIMARY KEY,
            external_id text,
            first_name  text,
            last_name   text,
            email       text,
            updated_ts  timestamptz
        ) WITH (fillfactor = 90);
        COMMENT ON TABLE cxone_sync.contact_records IS
            'contacts as CXone last reported them; a column added here is filled from the key of its name, or its camelCase form';
        COMMENT ON COLUMN cxone_sync.contact_records.id IS 'the contact''s id at CXone';
        COMMENT ON COLUMN cxone_sync.contact_records.external_id IS 'externalId of the event';
        COMMENT ON COLUMN cxone_sync.contact_records.first_name IS 'firstName of the event';
        COMMENT ON COLUMN cxone_sync.contact_records.last_name IS 'lastName of the event';
        COMMENT ON COLUMN cxone_sync.contact_records.email IS 'email of the event';
        COMMENT ON COLUMN cxone_sync.contact_records.updated_ts IS
            'timestamp of the newest event applied: an older event never changes the row';
        PERFORM cxone_sync.reset_privileges(); -- while it is a member
        ALTER TABLE cxone_sync.contact_records OWNER TO cxone_sync;
        ALTER EXTENSION cxone_sync DROP TABLE cxone_sync.contact_records;
    ELSIF present IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_class
            WHERE oid = present AND relkind IN ('r', 'p') AND relowner = 'cxone_sync'::pg_catalog.regrole::oid) THEN
        -- somebody who cannot create extensions may have put it there, for our superuser's commands to run into
        RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
            MESSAGE = 'cxone_sync.contact_records exists already and is not a table of the role cxone_sync',
            HINT = 'Rename it, or run ALTER TABLE cxone_sync.contact_records OWNER TO cxone_sync.';
    END IF;
END
$$;

CREATE TABLE dead_letters (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at     timestamptz NOT NULL,
    target          text NOT NULL,
    event_key       text,
    event_time      timestamptz,
    sqlstate        text NOT NULL,
    message         text NOT NULL,
    column_name     text,
    attempts        integer NOT NULL DEFAULT 1,
    last_attempt_at timestamptz NOT NULL DEFAULT now(),
    payload         text NOT NULL
);
COMMENT ON TABLE dead_letters IS 'events that could not be applied, as they came, with the reason';
COMMENT ON SEQUENCE dead_letters_id_seq IS 'numbers the dead letters';
COMMENT ON COLUMN dead_letters.id IS 'number of the dead letter';
COMMENT ON COLUMN dead_letters.received_at IS 'when its delivery arrived';
COMMENT ON COLUMN dead_letters.target IS 'the table it was meant for';
COMMENT ON COLUMN dead_letters.event_key IS 'the event''s key, if it has one';
COMMENT ON COLUMN dead_letters.event_time IS 'the event''s own time, if it has a readable one';
COMMENT ON COLUMN dead_letters.sqlstate IS 'error code (PostgreSQL manual, appendix A)';
COMMENT ON COLUMN dead_letters.message IS 'what was wrong';
COMMENT ON COLUMN dead_letters.column_name IS 'the column that refused its value, where known';
COMMENT ON COLUMN dead_letters.attempts IS 'how often it was tried';
COMMENT ON COLUMN dead_letters.last_attempt_at IS 'when it was last tried';
COMMENT ON COLUMN dead_letters.payload IS 'the event''s JSON text, byte for byte';

SELECT pg_catalog.pg_extension_config_dump('schema_versions', '');
SELECT pg_catalog.pg_extension_config_dump('dead_letters', '');
SELECT pg_catalog.pg_extension_config_dump('dead_letters_id_seq', '');

CREATE FUNCTION ingest(payload jsonb) RETURNS jsonb
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_ingest';
COMMENT ON FUNCTION ingest(jsonb) IS
    'applies one delivery in the caller''s transaction by the code of the endpoint, as the owner of the target; returns the counts the endpoint would answer';

CREATE FUNCTION sync_lag(
    OUT status text, OUT events bigint, OUT mean interval, OUT p50 interval, OUT p95 interval, OUT p99 interval,
    OUT max interval, OUT last_commit timestamptz)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_sync_lag';
COMMENT ON FUNCTION sync_lag() IS 'what the view sync_lag shows';

CREATE VIEW sync_lag AS SELECT * FROM sync_lag();
COMMENT ON VIEW sync_lag IS
    'time from an event''s own time to its commit, since the server started: success = in the target, failure = in dead_letters';
COMMENT ON COLUMN sync_lag.status IS 'success or failure';
COMMENT ON COLUMN sync_lag.events IS 'events committed';
COMMENT ON COLUMN sync_lag.mean IS 'mean lag; one event counts as 30 days at most';
COMMENT ON COLUMN sync_lag.p50 IS 'half of the events had at most this lag (within 7 %)';
COMMENT ON COLUMN sync_lag.p95 IS '95 % of the events had at most this lag (within 7 %)';
COMMENT ON COLUMN sync_lag.p99 IS '99 % of the events had at most this lag (within 7 %)';
COMMENT ON COLUMN sync_lag.max IS 'the largest lag';
COMMENT ON COLUMN sync_lag.last_commit IS 'when the last of them was committed';

CREATE FUNCTION sync_lag_buckets(OUT status text, OUT le double precision, OUT events bigint)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_sync_lag_buckets';
COMMENT ON FUNCTION sync_lag_buckets() IS 'what the view sync_lag_buckets shows';

CREATE VIEW sync_lag_buckets AS SELECT * FROM sync_lag_buckets();
COMMENT ON VIEW sync_lag_buckets IS 'sync_lag as the cumulative histogram that /metrics exposes';
COMMENT ON COLUMN sync_lag_buckets.status IS 'success or failure';
COMMENT ON COLUMN sync_lag_buckets.le IS 'upper bound of the bucket in seconds';
COMMENT ON COLUMN sync_lag_buckets.events IS 'events with at most that lag';

CREATE FUNCTION sync_status(
    OUT worker integer, OUT pid integer, OUT state text, OUT address text, OUT schema_version text,
    OUT queue_depth bigint, OUT connections bigint, OUT uptime interval, OUT last_error text,
    OUT last_error_at timestamptz)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_sync_status';
COMMENT ON FUNCTION sync_status() IS 'what the view sync_status shows';

CREATE VIEW sync_status AS SELECT * FROM sync_status();
COMMENT ON VIEW sync_status IS 'one row for each intake worker';
COMMENT ON COLUMN sync_status.worker IS 'number of the worker';
COMMENT ON COLUMN sync_status.pid IS 'its process, null if it does not run';
COMMENT ON COLUMN sync_status.state IS
    'stopped, starting, running, stopping, or waiting: deliveries got 503 when one was last tried, for last_error';
COMMENT ON COLUMN sync_status.address IS 'where it takes webhooks, null if it does not listen';
COMMENT ON COLUMN sync_status.schema_version IS 'version of the extension that it last found';
COMMENT ON COLUMN sync_status.queue_depth IS 'events that wait to be written';
COMMENT ON COLUMN sync_status.connections IS 'open connections';
COMMENT ON COLUMN sync_status.uptime IS 'since when the process runs';
COMMENT ON COLUMN sync_status.last_error IS 'the last problem, also one that is over';
COMMENT ON COLUMN sync_status.last_error_at IS 'when it was met';

SELECT cxone_sync.reset_privileges();
DROP FUNCTION cxone_sync.reset_privileges();
GRANT USAGE ON SCHEMA cxone_sync TO PUBLIC;
GRANT EXECUTE ON FUNCTION sync_lag(), sync_lag_buckets(), sync_status() TO pg_monitor;
GRANT SELECT ON sync_lag, sync_lag_buckets, sync_status TO pg_monitor;

INSERT INTO schema_versions (version) SELECT 1 WHERE pg_catalog.current_setting('row_security')::boolean; -- a dump has its own
