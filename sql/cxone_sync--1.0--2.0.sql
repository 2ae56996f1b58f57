/* Schema version 2: a column for the user's downstream job. */

\echo Use "ALTER EXTENSION cxone_sync UPDATE TO '2.0'" to load this file. \quit

ALTER TABLE contact_records ADD COLUMN sync_status text DEFAULT 'pending';
COMMENT ON COLUMN contact_records.sync_status IS
    'for your downstream job: a new row starts as pending, the sync never writes it';

INSERT INTO schema_versions (version) VALUES (2);
