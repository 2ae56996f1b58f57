-- Absent keeps, null clears, a value sets; what does not change is not written.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
ALTER TABLE cxone_sync.contact_records DROP COLUMN field_times; -- for its order in time to be that of rows
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;
SET search_path = test;
-- One delivery of these events, and the counts of its reply.
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
CREATE VIEW dead AS SELECT sqlstate, event_key, column_name FROM cxone_sync.dead_letters ORDER BY id;

ALTER TABLE cxone_sync.contact_records ADD COLUMN n numeric, ADD COLUMN j json, ADD COLUMN b jsonb, ADD COLUMN f double precision,
    ADD COLUMN c char(4), ADD COLUMN a text[], ADD COLUMN d numeric[], ADD COLUMN flag boolean DEFAULT true;
-- The place of a row's present version tells whether it was written.
CREATE FUNCTION deliver_and_look(event jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before text := (SELECT ctid || ' ' || xmin FROM cxone_sync.contact_records WHERE id = event ->> 'id');
    counts text := test.deliver(event);
BEGIN
    RETURN counts || CASE WHEN (SELECT ctid || ' ' || xmin FROM cxone_sync.contact_records WHERE id = event ->> 'id') = before
                          THEN ', untouched' ELSE ', written' END;
END
$$;

SELECT deliver('{"id": 1, "externalId": "x", "firstName": "Ann", "lastName": "Lee", "email": "a@b.c", "timestamp": "2026-01-01T00:00:00Z"}');
CREATE VIEW contact AS SELECT id, external_id, first_name, last_name, email, updated_ts FROM cxone_sync.contact_records ORDER BY id;
\pset null <null>
SELECT deliver('{"id": 1, "email": "new@b.c", "timestamp": "2026-01-02T00:00:00Z"}');
TABLE contact;
SELECT deliver('{"id": 1, "email": null, "firstName": "", "timestamp": "2026-01-03T00:00:00Z"}');
TABLE contact;
SELECT deliver('{"id": 1, "timestamp": "2026-01-04T00:00:00Z"}');
TABLE contact;
SELECT deliver('{"id": 1, "externalId": null, "firstName": null, "lastName": null, "email": "back@b.c", "timestamp": "2026-01-05T00:00:00Z"}');
TABLE contact;
-- a new row: absent takes the column's default, null does not
SELECT deliver('{"id": 2, "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 3, "flag": null, "timestamp": "2026-01-01T00:00:00Z"}');
SELECT id, flag, sync_status FROM cxone_sync.contact_records ORDER BY id;
-- an update leaves the default alone
SELECT deliver('{"id": 3, "email": "e", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT id, flag FROM cxone_sync.contact_records WHERE id = '3';

-- nothing to change, nothing written
SELECT deliver_and_look('{"id": 1, "email": "back@b.c", "timestamp": "2026-01-05T00:00:00Z"}');
SELECT deliver_and_look('{"id": 1, "email": "back@b.c", "firstName": null, "timestamp": "2026-01-05T01:00:00+01:00"}');
SELECT deliver_and_look('{"id": 1, "timestamp": "2026-01-05T00:00:00Z"}');
SELECT deliver_and_look('{"id": 1, "email": "old@b.c", "timestamp": "2026-01-04T23:59:59.999999Z"}');
SELECT deliver_and_look('{"id": 1, "email": "back@b.c", "timestamp": "2026-01-05T00:00:00.000001Z"}');
SELECT deliver_and_look('{"id": 1, "email": "Back@b.c", "timestamp": "2026-01-05T00:00:00.000001Z"}');
SELECT deliver_and_look('{"id": 1, "email": "Back@b.c ", "timestamp": "2026-01-05T00:00:00.000001Z"}');
SELECT deliver_and_look('{"id": 1, "email": "", "timestamp": "2026-01-05T00:00:00.000001Z"}');
SELECT deliver_and_look('{"id": 1, "email": null, "timestamp": "2026-01-05T00:00:00.000001Z"}');
SELECT deliver_and_look('{"id": 1, "email": null, "timestamp": "2026-01-05T00:00:00.000001Z"}');

-- equal is not the same: what would be shown otherwise is written
SELECT deliver('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "n": 1.0, "j": {"a": 1}, "b": {"a": 1, "b": 2}, "f": 0, "c": "x", "a": ["x"], "d": [1.0]}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "n": 1.0, "j": {"a": 1}, "b": {"b": 2, "a": 1}, "f": 0.0, "c": "x  ", "a": ["x"], "d": [1.0]}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "n": 1.00}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "n": 1.00}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "d": [1.00]}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "f": "-0"}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "j": {"a": 1.0}}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "j": {"a": 1.0}}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "b": {"a": 1, "b": 3}}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "a": ["x", null]}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "a": []}');
SELECT deliver_and_look('{"id": 4, "timestamp": "2026-01-01T00:00:00Z", "a": null}');
SELECT n, j, b, f, c, a, d FROM cxone_sync.contact_records WHERE id = '4';

-- a collation by which A equals a (an ordinary one where there is no ICU: the outcome is the same)
DO $$
BEGIN
    CREATE COLLATION test.no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN OTHERS THEN
    CREATE COLLATION test.no_case FROM "C";
END
$$;
ALTER TABLE cxone_sync.contact_records ADD COLUMN nick text COLLATE no_case, ADD COLUMN vnick varchar COLLATE no_case;
SELECT deliver('{"id": 5, "timestamp": "2026-01-01T00:00:00Z", "nick": "ann", "vnick": "ann"}');
SELECT deliver_and_look('{"id": 5, "timestamp": "2026-01-01T00:00:00Z", "nick": "ann", "vnick": "ann"}');
SELECT deliver_and_look('{"id": 5, "timestamp": "2026-01-01T00:00:00Z", "nick": "Ann"}');
SELECT deliver_and_look('{"id": 5, "timestamp": "2026-01-01T00:00:00Z", "vnick": "Ann"}');
SELECT nick, vnick FROM cxone_sync.contact_records WHERE id = '5';

-- rows that the sync did not write: no time yet, so any event is newer
INSERT INTO cxone_sync.contact_records (id, email) VALUES ('by hand', 'x');
SELECT deliver('{"id": "by hand", "email": "y", "timestamp": "0001-01-01T00:00:00Z"}');
SELECT id, email FROM contact WHERE id = 'by hand';
SELECT * FROM dead;

-- constraints over columns that an event leaves out hold for new rows only: absent keeps
TRUNCATE cxone_sync.dead_letters;
DELETE FROM cxone_sync.contact_records;
ALTER TABLE cxone_sync.contact_records ADD COLUMN phone text NOT NULL, ADD COLUMN low int, ADD COLUMN high int,
    ADD CONSTRAINT in_order CHECK (coalesce(low, 0) <= coalesce(high, 0));
SELECT deliver('{"id": 6, "phone": "1", "low": 5, "high": 9, "timestamp": "2026-01-02T00:00:00Z"}', '{"id": 7, "email": "new", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT deliver('{"id": 6, "email": "e", "timestamp": "2026-01-03T00:00:00Z"}', '{"id": 6, "low": 7, "timestamp": "2026-01-04T00:00:00Z"}', '{"id": 6, "email": "old", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT id, email, phone, low, high, updated_ts FROM cxone_sync.contact_records ORDER BY id;
SELECT deliver_and_look('{"id": 6, "low": 7, "timestamp": "2026-01-04T00:00:00Z"}');
SELECT deliver('{"id": 6, "low": 10, "timestamp": "2026-01-05T00:00:00Z"}', '{"id": 6, "phone": null, "timestamp": "2026-01-05T00:00:00Z"}', '{"id": 6, "low": 8, "timestamp": "2026-01-03T00:00:00Z"}');
SELECT deliver('{"id": 6, "low": 10, "high": 9, "timestamp": "2026-01-01T00:00:00Z"}');
SELECT id, email, phone, low, high, updated_ts FROM cxone_sync.contact_records ORDER BY id;
SELECT * FROM dead;

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
