-- Plans that are kept while a table grows from nothing: rows are still found by its index.
\set VERBOSITY terse
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;
SET search_path = test;
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
-- Events of contacts 1 to n, of this day.
CREATE FUNCTION contacts(n integer, day integer, more jsonb DEFAULT '{}') RETURNS jsonb[] LANGUAGE sql AS $$
    SELECT array_agg(jsonb_build_object('eventType', 'Contact', 'id', 'c' || i, 'timestamp', format('2026-01-%sT00:00:00Z', lpad(day::text, 2, '0'))) || more ORDER BY i)
    FROM generate_series(1, n) AS i
$$;
-- Autovacuum would analyze them, and so have the plans made anew, but only after a minute.
CREATE FUNCTION add_table(name text, partitioning text, options text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (id text PRIMARY KEY, note text NOT NULL, email text, updated_ts timestamptz) %s %s', name, partitioning, options);
    EXECUTE format('ALTER TABLE %I OWNER TO cxone_sync', name);
    PERFORM cxone_sync.add_target(name, name, '{id}', event_types => '{Contact}', delete_types => '{Gone}');
END
$$;
-- How many rows these deliveries read, of their tables and of tombstones: some 20 where they look for 20 keys.
CREATE VIEW scanned AS SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint AS rows FROM pg_stat_xact_user_tables
    WHERE schemaname = 'test' AND relname ~ '^grown' OR relid = 'cxone_sync.tombstones'::regclass;
CREATE FUNCTION deliver_and_look(VARIADIC events jsonb[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT rows FROM test.scanned);
    counts text := test.deliver(VARIADIC events);
BEGIN
    RETURN format('%s, %s rows read', counts, (SELECT rows FROM test.scanned) - before);
END
$$;
\pset format unaligned
\pset tuples_only on
SELECT cxone_sync.remove_target('contact_records');

-- One run of all kinds of statements, which find rows by their keys: those that are there already, are newer, lack what a new row needs,
-- are deleted. Each is executed often enough for its plan to be kept.
CREATE FUNCTION use_all(n integer) RETURNS TABLE (again text, late text, partial text, gone text) LANGUAGE sql AS $$
    SELECT test.deliver_and_look(VARIADIC test.contacts(n, 2, '{"note": "first"}')), test.deliver_and_look(VARIADIC test.contacts(n, 1, '{"note": "late"}')),
        test.deliver_and_look(VARIADIC test.contacts(3, 3, '{"email": "a@b.c"}')), test.deliver_and_look('{"eventType": "Gone", "id": "c9999", "timestamp": "2026-01-01T00:00:00Z"}')
$$;
SELECT add_table('grown', '', 'WITH (autovacuum_enabled = off)');
SELECT deliver('{"eventType": "Contact", "id": "c1", "note": "first", "timestamp": "2026-01-02T00:00:00Z"}');
ANALYZE grown;
-- Of a table of one row the planner reads all: that row tells nothing of an event for another one.
SELECT deliver('{"eventType": "Contact", "id": "c2", "email": "a@b.c", "timestamp": "2026-01-02T00:00:00Z"}', '{"eventType": "Contact", "id": "c1", "email": "a@b.c", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT deliver('{"eventType": "Gone", "id": "x", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT id, note, email FROM grown;
SELECT count(*) FROM generate_series(1, 20), LATERAL (SELECT * FROM use_all(generate_series)) AS used WHERE used IS NULL;
INSERT INTO grown SELECT 'more' || i, 'much', '', now() FROM generate_series(1, 5000) AS i;
SELECT * FROM use_all(20);
SELECT cxone_sync.remove_target('grown');

-- The same of a partitioned one.
SELECT add_table('grown_parts', 'PARTITION BY HASH (id)', '');
CREATE TABLE grown_parts_0 PARTITION OF grown_parts FOR VALUES WITH (MODULUS 2, REMAINDER 0) WITH (autovacuum_enabled = off);
CREATE TABLE grown_parts_1 PARTITION OF grown_parts FOR VALUES WITH (MODULUS 2, REMAINDER 1) WITH (autovacuum_enabled = off);
SELECT deliver('{"eventType": "Contact", "id": "c1", "note": "first", "timestamp": "2026-01-02T00:00:00Z"}');
ANALYZE grown_parts;
SELECT count(*) FROM generate_series(1, 20), LATERAL (SELECT * FROM use_all(generate_series)) AS used WHERE used IS NULL;
INSERT INTO grown_parts SELECT 'more' || i, 'much', '', now() FROM generate_series(1, 5000) AS i;
SELECT * FROM use_all(20);

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
