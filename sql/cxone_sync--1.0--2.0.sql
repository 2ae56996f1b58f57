/* Schema version 2: a column for the user's downstream job. */

\echo Use "ALTER EXTENSION cxone_sync UPDATE TO '2.0'" to load this file. \quit

/* What others have put on these tables or into this schema could run as a superuser below. */
CREATE FUNCTION check_schema() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_check_schema';
SELECT cxone_sync.check_schema();
DROP FUNCTION cxone_sync.check_schema();

/* The table is the user's, who may have dropped it, or have a column of that name. */
DO $$
DECLARE
    present oid := pg_catalog.to_regclass('cxone_sync.contact_records');
BEGIN
    IF present IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute
                                           WHERE attrelid = present AND attname = 'sync_status' AND NOT attisdropped) THEN
        ALTER TABLE cxone_sync.contact_records ADD COLUMN sync_status text DEFAULT 'pending';
        COMMENT ON COLUMN cxone_sync.contact_records.sync_status IS
            'for your downstream job: a new row starts as pending, the sync never writes it';
    END IF;
END
$$;

INSERT INTO schema_versions (version) SELECT 2 WHERE pg_catalog.current_setting('row_security')::boolean; -- a dump has its own
