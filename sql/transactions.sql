-- ingest() belongs to its caller's transaction.
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

CREATE VIEW ids AS SELECT string_agg(id, ' ' ORDER BY id COLLATE "C") AS ids, (SELECT count(*) FROM cxone_sync.dead_letters) AS dead FROM cxone_sync.contact_records;
BEGIN;
SELECT deliver('{"id": "rolled back"}', '{"no": "id"}');
TABLE ids;
ROLLBACK;
TABLE ids;
BEGIN;
SELECT deliver('{"id": "a"}');
SAVEPOINT s;
SELECT deliver('{"id": "b"}', '{"no": "id"}');
ROLLBACK TO s;
SELECT deliver('{"id": "c"}', '{"id": ""}');
RELEASE s;
COMMIT;
TABLE ids;
-- a refusal fails the transaction, a dead letter does not
BEGIN;
SELECT deliver('{"id": "d"}');
SELECT cxone_sync.ingest('[]');
SELECT deliver('{"id": "e"}');
COMMIT;
TABLE ids;
-- under an exception block
DO $$
BEGIN
    PERFORM test.deliver('{"id": "f"}');
    BEGIN
        PERFORM test.deliver('{"id": "g"}', '{"no": "id"}');
        PERFORM cxone_sync.ingest('{"events": 7}');
    EXCEPTION WHEN invalid_parameter_value THEN
        PERFORM test.deliver('{"id": "h"}');
    END;
    PERFORM test.deliver('{"id": "i"}');
END
$$;
TABLE ids;
-- a procedure that commits between
CREATE PROCEDURE in_two() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cxone_sync.ingest('{"events": [{"id": "j"}]}');
    COMMIT;
    PERFORM cxone_sync.ingest('{"events": [{"id": "k"}]}');
    ROLLBACK;
    PERFORM cxone_sync.ingest('{"events": [{"id": "l"}]}');
END
$$;
CALL in_two();
TABLE ids;
-- several in one statement, each after the other
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;
SELECT n, deliver(jsonb_build_object('id', 1, 'email', 'e' || n, 'timestamp', format('2026-01-%sT00:00:00Z', n)))
FROM (VALUES (11), (13), (12)) AS v(n);
SELECT id, email FROM cxone_sync.contact_records;
-- read-only
BEGIN READ ONLY;
SELECT cxone_sync.ingest('{"events": []}');
SAVEPOINT s;
SELECT deliver('{"id": "read-only"}');
ROLLBACK TO s;
SELECT deliver('{"no": "id"}');
ROLLBACK;
-- repeatable read sees its own writes
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT deliver('{"id": 2, "email": "a", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT deliver('{"id": 2, "email": "b", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 2, "email": "c", "timestamp": "2026-01-03T00:00:00Z"}');
SELECT email FROM cxone_sync.contact_records WHERE id = '2';
COMMIT;
-- the table changes in the same transaction, and back
DROP VIEW ids;
BEGIN;
SELECT deliver('{"id": 3, "phone": "1"}');
ALTER TABLE cxone_sync.contact_records ADD COLUMN phone text;
SELECT deliver('{"id": 3, "phone": "2"}');
SELECT id, phone FROM cxone_sync.contact_records WHERE id = '3';
SAVEPOINT s;
ALTER TABLE cxone_sync.contact_records ALTER COLUMN phone TYPE integer USING phone::integer, DROP COLUMN email;
SELECT deliver('{"id": 3, "phone": "x", "email": "e"}');
SELECT deliver('{"id": 3, "phone": 3, "email": "e"}');
SELECT id, phone, pg_typeof(phone) FROM cxone_sync.contact_records WHERE id = '3';
ROLLBACK TO s;
SELECT deliver('{"id": 3, "phone": "four", "email": "e"}');
SELECT id, phone, email FROM cxone_sync.contact_records WHERE id = '3';
ROLLBACK;
SELECT deliver('{"id": 3, "phone": "5", "email": "e"}');
SELECT id, email FROM cxone_sync.contact_records WHERE id = '3';
-- dropped, created, used and dropped in one transaction, which is rolled back
BEGIN;
DROP VIEW dead;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
CREATE EXTENSION cxone_sync;
SELECT deliver('{"id": "in a transaction"}', '{"no": "id"}');
SELECT id FROM cxone_sync.contact_records;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
ROLLBACK;
SELECT deliver('{"id": "after it", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT id FROM cxone_sync.contact_records ORDER BY id;
-- more sets of columns than statements are kept for, twice
TRUNCATE cxone_sync.contact_records;
DO $$
BEGIN
    FOR i IN 0..6 LOOP
        EXECUTE format('ALTER TABLE cxone_sync.contact_records ADD COLUMN k%s integer', i);
    END LOOP;
END
$$;
CREATE FUNCTION subset(m integer) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', m) || coalesce(jsonb_object_agg('k' || i, m) FILTER (WHERE m & (1 << i) <> 0), '{}') FROM generate_series(0, 6) i
$$;
SELECT deliver(VARIADIC (SELECT array_agg(subset(m)) FROM generate_series(0, 127) m));
SELECT count(*) FROM generate_series(0, 127) m WHERE deliver(subset(m)) = '1: 1 applied, 0 skipped, 0 dead';
SELECT count(*) AS right_columns FROM cxone_sync.contact_records WHERE id::integer =
    (SELECT coalesce(sum(1 << (n::integer - 1)), 0) FROM unnest(ARRAY[k0, k1, k2, k3, k4, k5, k6]) WITH ORDINALITY u(v, n) WHERE v = id::integer);

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
