-- One bad event harms itself only, whatever refuses it.
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

-- A hundred events, those of `bad` with the given additions; then what became of them.
CREATE FUNCTION hundred(addition jsonb, VARIADIC bad integer[]) RETURNS TABLE (counts text, rows bigint, sqlstate text, column_name text, events text) LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM cxone_sync.contact_records WHERE id ~ '^[0-9]+$';
    DELETE FROM cxone_sync.dead_letters;
    counts := test.deliver(VARIADIC (SELECT array_agg(jsonb_build_object('id', i, 'email', 'e' || i) || CASE WHEN i = ANY (bad) THEN addition ELSE '{}' END ORDER BY i) FROM generate_series(1, 100) i));
    rows := (SELECT count(*) FROM cxone_sync.contact_records r WHERE id ~ '^[0-9]+$' AND r.email = 'e' || id);
    FOR sqlstate, column_name, events IN
        SELECT d.sqlstate, d.column_name, string_agg(event_key, ' ' ORDER BY event_key::integer) FROM cxone_sync.dead_letters d GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        RETURN NEXT;
        counts := NULL; rows := NULL;
    END LOOP;
    IF NOT FOUND THEN RETURN NEXT; END IF;
END
$$;
ALTER TABLE cxone_sync.contact_records ADD COLUMN n integer CHECK (n < 100), ADD COLUMN must text NOT NULL DEFAULT 'x', ADD COLUMN code text UNIQUE,
    ADD COLUMN parent text, ADD COLUMN slot int4range, ADD COLUMN late text UNIQUE DEFERRABLE INITIALLY DEFERRED, ADD COLUMN order_number integer;
INSERT INTO cxone_sync.contact_records (id, code, slot, late) VALUES ('taken', 'taken', '[1,5)', 'taken');
SELECT * FROM hundred('{}', 1);
-- conversion
SELECT * FROM hundred('{"n": "x"}', 50);
SELECT * FROM hundred('{"n": 99999999999}', 1, 2, 3, 50, 99, 100);
-- CHECK, NOT NULL, UNIQUE, EXCLUDE
SELECT * FROM hundred('{"n": 100}', 1);
SELECT * FROM hundred('{"n": 100}', 100);
SELECT * FROM hundred('{"n": 100}', 3, 17, 18, 64, 65, 66, 67, 91);
SELECT * FROM hundred('{"n": 100}', VARIADIC ARRAY(SELECT generate_series(1, 100)));
SELECT * FROM hundred('{"must": null}', 7, 8);
SELECT * FROM hundred('{"code": "taken"}', 33);
SELECT * FROM hundred('{"code": "wanted by two"}', 33, 34);
ALTER TABLE cxone_sync.contact_records ADD EXCLUDE USING gist (slot WITH &&);
SELECT * FROM hundred('{"slot": "[4,9)"}', 12);
-- a foreign key at once, one that waits, a unique constraint that waits
CREATE TABLE parents (id text PRIMARY KEY);
GRANT SELECT, REFERENCES ON parents TO cxone_sync;
INSERT INTO parents VALUES ('p');
ALTER TABLE cxone_sync.contact_records ADD CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parents;
SELECT * FROM hundred('{"parent": "none"}', 5, 95);
SELECT * FROM hundred('{"parent": "p"}', 5, 95);
ALTER TABLE cxone_sync.contact_records DROP CONSTRAINT of_parent, ADD CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parents DEFERRABLE INITIALLY DEFERRED;
SELECT * FROM hundred('{"parent": "none"}', 5, 95);
SELECT * FROM hundred('{"parent": "p"}', 5, 95);
SELECT * FROM hundred('{"late": "taken"}', 40, 80);
-- triggers: BEFORE, AFTER, deferred, of a statement
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.order_number = 1 THEN
        RAISE EXCEPTION 'number one' USING ERRCODE = 'ZX001', COLUMN = 'order_number';
    ELSIF NEW.order_number = 2 THEN
        RAISE EXCEPTION 'number two';
    ELSIF NEW.order_number = 3 THEN
        NEW.n := 1 / 0;
    ELSIF NEW.order_number = 4 THEN
        RAISE EXCEPTION 'number four' USING ERRCODE = '40001';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT * FROM hundred('{"orderNumber": 1}', 2, 3);
SELECT message FROM cxone_sync.dead_letters ORDER BY id;
SELECT * FROM hundred('{"orderNumber": 2}', 2, 3);
SELECT * FROM hundred('{"orderNumber": 3}', 2, 3);
DROP TRIGGER refuse ON cxone_sync.contact_records;
CREATE TRIGGER refuse AFTER INSERT OR UPDATE ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT * FROM hundred('{"orderNumber": 1}', 2, 3);
DROP TRIGGER refuse ON cxone_sync.contact_records;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON cxone_sync.contact_records DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT * FROM hundred('{"orderNumber": 1}', 2, 3);
-- an error of the class that a retry cures is no event's fault
SELECT * FROM hundred('{"orderNumber": 4}', 2, 3);
SELECT count(*) FROM cxone_sync.contact_records WHERE id = '2';
DROP TRIGGER refuse ON cxone_sync.contact_records;
-- a trigger that writes where constraints wait
CREATE TABLE audit (id text REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
GRANT INSERT ON audit TO cxone_sync;
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO test.audit VALUES (coalesce(NEW.last_name, 'p'));
    RETURN NULL;
END
$$;
CREATE TRIGGER audit AFTER INSERT ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION write_audit();
SELECT * FROM hundred('{"lastName": "none"}', 9);
SELECT count(*) FROM audit;
DROP TRIGGER audit ON cxone_sync.contact_records;
-- a trigger that leaves a row out, and one that changes it
CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.last_name = 'out' THEN
        RETURN NULL;
    END IF;
    NEW.first_name := upper(NEW.email);
    RETURN NEW;
END
$$;
CREATE TRIGGER leave_out BEFORE INSERT ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION leave_out();
SELECT * FROM hundred('{"lastName": "out"}', 9);
SELECT id, first_name, last_name FROM cxone_sync.contact_records WHERE id IN ('8', '9');
DROP TRIGGER leave_out ON cxone_sync.contact_records;
-- what the dead letter tells, also of an existing row
DELETE FROM cxone_sync.dead_letters;
SELECT deliver('{"id": "taken", "n": 100, "email": "no", "timestamp": "2026-01-01T00:00:00+01:00"}', '{"id": "taken", "lastName": "yes", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT target, event_key, event_time, sqlstate, column_name, attempts, payload, received_at = max(received_at) OVER () AS received FROM cxone_sync.dead_letters;
SELECT id, email, last_name, n FROM cxone_sync.contact_records WHERE id = 'taken';
-- bad for all reasons at once
SELECT * FROM deliver('{"id": 1, "n": 100}', '{"id": 2, "must": null}', '{"id": 3, "code": "taken"}', '{"id": 4, "parent": "none"}', '{"id": 5, "slot": "[1,2)"}', '{"id": 6, "late": "taken"}', '{"id": 7, "n": "x"}', '{"id": 8, "timestamp": "now"}', '{}', '7', '{"id": 9, "n": 9}');
SELECT sqlstate, event_key, column_name FROM cxone_sync.dead_letters ORDER BY event_key, payload;
SELECT id, n FROM cxone_sync.contact_records WHERE id = '9';
-- dead_letters itself is in the way: nothing is lost silently
ALTER TABLE cxone_sync.dead_letters ADD CONSTRAINT never CHECK (sqlstate <> '22P02') NOT VALID;
DO $$
BEGIN
    PERFORM test.deliver('{"id": "good"}', '{"id": "bad", "n": "x"}');
EXCEPTION WHEN check_violation THEN
    RAISE WARNING 'check violation';
END
$$;
SELECT id FROM cxone_sync.contact_records WHERE id IN ('good', 'bad');
ALTER TABLE cxone_sync.dead_letters RENAME TO moved;
\set VERBOSITY default
SELECT cxone_sync.ingest('{"events": [{"no": "id"}]}');
SELECT cxone_sync.ingest('{"events": [{"id": "good"}]}');
ALTER TABLE cxone_sync.moved RENAME TO dead_letters;
ALTER TABLE cxone_sync.dead_letters OWNER TO cxone_sync;
SELECT cxone_sync.ingest('{"events": [{"no": "id"}]}');
ALTER TABLE cxone_sync.dead_letters OWNER TO CURRENT_USER;
SELECT cxone_sync.ingest('{"events": [{"no": "id"}]}');

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
