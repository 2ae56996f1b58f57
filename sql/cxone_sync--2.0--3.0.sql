/* Schema version 3: any event into any table. */

\echo Use "ALTER EXTENSION cxone_sync UPDATE TO '3.0'" to load this file. \quit

ALTER TABLE contact_records ADD COLUMN extra jsonb;
COMMENT ON COLUMN contact_records.extra IS
    'what events carry and no column takes: absent keeps a member, null makes it null';

INSERT INTO schema_versions (version) VALUES (3);
