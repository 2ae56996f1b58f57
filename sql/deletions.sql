-- Events that delete.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE ROLE regress_owner;
CREATE SCHEMA test;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
SET search_path = test;
-- One delivery of these events, and the counts of its reply.
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
-- An event of the day, and one that deletes.
CREATE FUNCTION made(id text, day integer, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('eventType', 'Made', 'id', id, 'timestamp', format('2026-01-%sT00:00:00Z', lpad(day::text, 2, '0'))) || more
$$;
CREATE FUNCTION gone(id text, day integer, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT test.made(id, day, more || '{"eventType": "Gone"}')
$$;
CREATE VIEW dead AS SELECT target, sqlstate, event_key, column_name, message FROM cxone_sync.dead_letters ORDER BY id;
CREATE VIEW tombs AS SELECT relation, key, extract(day FROM deleted_ts) AS day FROM cxone_sync.tombstones ORDER BY relation::text, key COLLATE "C";
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
SET ROLE regress_owner;
CREATE TABLE row_order (id text PRIMARY KEY, a text, b text, word text DEFAULT 'none', updated_ts timestamptz);
CREATE TABLE field_order (id text PRIMARY KEY, a text, b text, word text DEFAULT 'none', extra jsonb, updated_ts timestamptz, field_times jsonb);
CREATE TABLE composite (tenant bigint, part uuid, at timestamptz, a text, updated_ts timestamptz, PRIMARY KEY (tenant, part, at));
CREATE TABLE marked (id text PRIMARY KEY, a text, gone_ts timestamptz, updated_ts timestamptz);
CREATE TABLE marked_fields (id text PRIMARY KEY, a text, b text, gone_ts timestamptz, updated_ts timestamptz, field_times jsonb);
RESET ROLE;
CREATE VIEW r AS SELECT id, a, b, word, extract(day FROM updated_ts) AS day FROM row_order ORDER BY id;
CREATE VIEW f AS SELECT id, a, b, word, extra, extract(day FROM updated_ts) AS day, field_times FROM field_order ORDER BY id;
CREATE VIEW m AS SELECT id, a, extract(day FROM gone_ts) AS gone, extract(day FROM updated_ts) AS day FROM marked ORDER BY id;
CREATE VIEW mf AS SELECT id, a, b, extract(day FROM gone_ts) AS gone, extract(day FROM updated_ts) AS day FROM marked_fields ORDER BY id;
SELECT cxone_sync.remove_target('contact_records');

---- row order
SELECT cxone_sync.add_target('rows', 'row_order', '{id}', event_types => '{Made}', delete_types => '{Gone,Erased}');
SELECT deliver(made('x', 1, '{"a": "1", "b": "1"}'), made('y', 1, '{"a": "1"}'));
-- a deletion deletes, and of all it holds only the key and the time count
SELECT deliver(gone('x', 2, '{"a": "never", "word": 7}'));
TABLE r;
TABLE tombs;
-- repeated; older; that of an absent key
SELECT deliver(gone('x', 2)), deliver(gone('x', 1)), deliver(gone('z', 2)), deliver(gone('z', 2));
TABLE tombs;
-- late events, of the same time too, do not bring it back
SELECT deliver(made('x', 1)), deliver(made('x', 2)), deliver(made('z', 1));
TABLE r;
-- a newer one does, and the new row has nothing of the old
SELECT deliver(made('x', 3, '{"a": "3"}'));
TABLE r;
TABLE tombs;
-- a deletion older than the row, also than one made since
SELECT deliver(gone('x', 2)), deliver(gone('y', 1)), deliver(made('y', 5)), deliver(gone('y', 4)), deliver(made('y', 4));
TABLE r;
TABLE tombs;
-- the other type, and a deletion without a time, which is stamped with its arrival
SELECT deliver(gone('x', 4, '{"eventType": "Erased"}')), deliver('{"eventType": "Erased", "id": "x"}'), deliver('{"eventType": "Made", "id": "x"}');
SELECT id, a FROM r;
SELECT relation, key, deleted_ts > now() - interval '1 hour' AS is_new FROM cxone_sync.tombstones ORDER BY key;
-- no key; a time ahead; a key that the column takes though none has it
SELECT deliver('{"eventType": "Gone", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Gone", "id": null}', '{"eventType": "Gone", "id": {}}', '{"eventType": "Gone", "id": "q", "timestamp": "2126-01-01T00:00:00Z"}',
    '{"eventType": "Gone", "id": "q", "timestamp": "never"}', gone('q"\ü', 1));
TABLE dead;
SELECT key FROM cxone_sync.tombstones ORDER BY key COLLATE "C";
TRUNCATE row_order, cxone_sync.tombstones, cxone_sync.dead_letters;
-- both in one delivery, in both orders of arrival and of time
SELECT deliver(made('a', 1), gone('a', 2), gone('b', 2), made('b', 1), made('c', 2), gone('c', 1), gone('d', 1), made('d', 2));
TABLE r;
TABLE tombs;
TRUNCATE row_order, cxone_sync.tombstones;
-- the same with rows that are there
SELECT deliver(made('a', 1, '{"b": "old"}'), made('b', 1, '{"b": "old"}'), made('c', 1, '{"b": "old"}'), made('d', 1, '{"b": "old"}'), made('f', 1, '{"b": "old"}'));
SELECT deliver(made('a', 2, '{"a": "2"}'), gone('a', 3), gone('b', 3), made('b', 2), made('c', 3, '{"a": "3"}'), gone('c', 2), gone('d', 2), made('d', 3, '{"a": "3"}'), made('f', 2), gone('f', 2));
TABLE r;
TABLE tombs;
TRUNCATE row_order, cxone_sync.tombstones;
-- made, gone, made: only what came since; repeated deletions of one delivery
SELECT deliver(made('a', 1, '{"a": "1", "b": "1"}'), gone('a', 2), made('a', 3, '{"b": "3"}')), deliver(gone('b', 1), gone('b', 3), gone('b', 2));
TABLE r;
TABLE tombs;
TRUNCATE row_order, cxone_sync.tombstones;
-- one at fault between
ALTER TABLE row_order ADD CHECK (a <> 'bad');
SELECT deliver(made('a', 1), gone('a', 2), made('a', 3, '{"a": "bad"}'), made('b', 1, '{"a": "bad"}'), gone('b', 2), made('c', 3, '{"a": "bad"}'), made('c', 2));
TABLE r;
TABLE tombs;
TABLE dead;
TRUNCATE row_order, cxone_sync.tombstones, cxone_sync.dead_letters;
-- a deletion that the table refuses is that event's fault, and leaves no tombstone
SELECT deliver(made('p', 1), made('q', 1));
SET ROLE regress_owner;
CREATE TABLE child (id text REFERENCES row_order);
INSERT INTO child VALUES ('p');
RESET ROLE;
SELECT deliver(gone('p', 2), gone('q', 2));
TABLE r;
TABLE tombs;
TABLE dead;
DELETE FROM child;
SELECT id > 0, outcome FROM cxone_sync.replay_dead_letters();
TABLE r;
TABLE tombs;
DROP TABLE child;
-- one that a trigger holds back
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
SELECT deliver(made('k', 1));
CREATE TRIGGER keep BEFORE DELETE ON row_order FOR EACH ROW EXECUTE FUNCTION keep();
SELECT deliver(gone('k', 2));
TABLE r;
TABLE tombs;
DROP TRIGGER keep ON row_order;
-- an owner who may not delete
TRUNCATE row_order, cxone_sync.tombstones, cxone_sync.dead_letters;
SELECT deliver(made('k', 1));
REVOKE DELETE ON row_order FROM regress_owner;
SELECT deliver(gone('k', 2), made('l', 1));
SELECT name, problem, hint FROM cxone_sync.targets;
TABLE r;
TABLE dead;
GRANT DELETE ON row_order TO regress_owner;
TRUNCATE row_order, cxone_sync.tombstones, cxone_sync.dead_letters;
-- it is part of the caller's transaction
SELECT deliver(made('k', 1));
BEGIN;
SELECT deliver(gone('k', 2));
TABLE r;
ROLLBACK;
TABLE r;
TABLE tombs;
-- by a snapshot of the whole transaction the deletions of others could not be seen
BEGIN ISOLATION LEVEL REPEATABLE READ;
\set VERBOSITY default
SELECT deliver(made('k', 2));
\set VERBOSITY terse
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT deliver(gone('k', 2));
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT deliver('{"eventType": "nobody''s"}');
ROLLBACK;
TABLE r;
-- forgotten deletions
SELECT deliver(gone('k', 2)), deliver(made('k', 1));
SELECT cxone_sync.purge_tombstones('100 years');
SELECT cxone_sync.purge_tombstones('1 day');
SELECT deliver(made('k', 1));
TABLE r;
SELECT cxone_sync.remove_target('rows');
TRUNCATE cxone_sync.tombstones, cxone_sync.dead_letters;

---- field order
SELECT cxone_sync.add_target('fields', 'field_order', '{id}', event_types => '{Made}', delete_types => '{Gone}');
SELECT deliver(made('x', 1, '{"a": "1", "b": "1", "other": 1}'));
SELECT deliver(gone('x', 2)), deliver(gone('x', 2)), deliver(gone('x', 1));
TABLE f;
TABLE tombs;
SELECT deliver(made('x', 1, '{"a": "1"}')), deliver(made('x', 2, '{"a": "2"}'));
TABLE f;
SELECT deliver(made('x', 3, '{"a": "3"}'));
TABLE f;
-- older fields, from before the deletion and from after it
SELECT deliver(made('x', 1, '{"b": "1", "other": 1}')), deliver(made('x', 2, '{"b": "2"}'));
TABLE f;
-- a late deletion takes what is not newer, and gives back defaults
TRUNCATE field_order, cxone_sync.tombstones;
SELECT deliver(made('x', 1, '{"a": "1", "b": "1", "word": "w", "m1": 1}')), deliver(made('x', 4, '{"a": "4", "m4": 4}'));
TABLE f;
SELECT deliver(gone('x', 2));
TABLE f;
TABLE tombs;
SELECT deliver(made('x', 3, '{"b": "3", "m1": 3}')), deliver(made('x', 2, '{"word": "2"}'));
TABLE f;
SELECT deliver(gone('x', 4)), deliver(gone('x', 3));
TABLE f;
TABLE tombs;
-- every order of the same events ends in the same row
CREATE FUNCTION outcome(VARIADIC events jsonb[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    event jsonb;
    one text;
    all_in_one text;
BEGIN
    DELETE FROM test.field_order; DELETE FROM cxone_sync.tombstones;
    FOREACH event IN ARRAY events LOOP
        PERFORM test.deliver(event);
    END LOOP;
    one := (SELECT string_agg(f::text, ' ') FROM test.f) || '; ' || (SELECT string_agg(t::text, ' ') FROM test.tombs t);
    DELETE FROM test.field_order; DELETE FROM cxone_sync.tombstones;
    PERFORM test.deliver(VARIADIC events);
    all_in_one := (SELECT string_agg(f::text, ' ') FROM test.f) || '; ' || (SELECT string_agg(t::text, ' ') FROM test.tombs t);
    RETURN coalesce(one, 'no row') || CASE WHEN one IS DISTINCT FROM all_in_one THEN E'\nbut in one delivery ' || coalesce(all_in_one, 'no row') ELSE '' END;
END
$$;
CREATE FUNCTION orders(events jsonb[]) RETURNS SETOF jsonb[] LANGUAGE sql AS $$
    WITH RECURSIVE o(taken, list) AS (
        SELECT '{}'::integer[], '{}'::jsonb[]
        UNION ALL SELECT taken || n, list || events[n] FROM o, generate_subscripts(events, 1) AS n WHERE n <> ALL (taken))
    SELECT list FROM o WHERE cardinality(list) = cardinality(events)
$$;
SELECT result, count(*) FROM orders(ARRAY[made('x', 1, '{"a": "1", "b": "1", "m": 1}'), made('x', 2, '{"a": "2", "word": null}'), gone('x', 3), made('x', 4, '{"b": "4", "m": 4}'), made('x', 5, '{"b": null}')]) AS e,
    outcome(VARIADIC e) AS result GROUP BY 1;
SELECT result, count(*) FROM orders(ARRAY[made('x', 1, '{"a": "1", "word": "w"}'), gone('x', 2), made('x', 3, '{"a": "3"}'), gone('x', 4), gone('x', 3)]) AS e, outcome(VARIADIC e) AS result GROUP BY 1;
SELECT result, count(*) FROM orders(ARRAY[made('x', 1, '{"a": "1"}'), gone('x', 2), made('x', 3, '{"a": "3", "m": 3}'), gone('x', 4), made('x', 5, '{"word": null, "m": null}')]) AS e, outcome(VARIADIC e) AS result GROUP BY 1;
-- defaults are followed when their type changes
CREATE TYPE colour AS ENUM ('red', 'green');
ALTER TABLE field_order ADD colour colour DEFAULT 'red';
SELECT deliver(made(i::text, 1, '{"colour": "green"}')), deliver(made(i::text, 5, '{"a": "5"}')) FROM generate_series(1, 3) AS i;
SELECT deliver(gone('1', 3));
ALTER TYPE colour RENAME VALUE 'red' TO 'rouge';
SELECT deliver(gone('2', 3));
ALTER TYPE colour RENAME TO couleur;
SELECT deliver(gone('3', 3));
SELECT id, a, colour FROM field_order WHERE id IN ('1', '2', '3') ORDER BY id;
ALTER TABLE field_order DROP colour;
-- a deletion that comes late resets columns, so it must be able to
ALTER TABLE field_order ADD needed text NOT NULL DEFAULT 'x', ADD given integer GENERATED BY DEFAULT AS IDENTITY;
SELECT problem, hint FROM cxone_sync.targets WHERE name = 'fields';
ALTER TABLE field_order ALTER needed DROP DEFAULT;
SELECT problem, hint FROM cxone_sync.targets WHERE name = 'fields';
SELECT deliver(made('x', 1));
SELECT * FROM dead;
ALTER TABLE field_order DROP needed, DROP given;
DELETE FROM cxone_sync.dead_letters;
SELECT cxone_sync.remove_target('fields');
TRUNCATE cxone_sync.tombstones;

---- keys of several columns, in whatever spelling and session
SELECT cxone_sync.add_target('composite', 'composite', '{tenant,part,at}', event_types => '{Made}', delete_types => '{Gone}');
SELECT deliver('{"eventType": "Made", "tenant": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "at": "2026-05-01T00:00:00Z", "timestamp": "2026-01-01T00:00:00Z"}',
    '{"eventType": "Made", "tenant": 2, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "at": "2026-05-01T00:00:00Z", "timestamp": "2026-01-01T00:00:00Z"}');
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SELECT deliver('{"eventType": "Gone", "tenant": "01", "part": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "at": "2026-05-01T02:00:00+02:00", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT key FROM cxone_sync.tombstones;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT deliver('{"eventType": "Made", "tenant": 1, "part": "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "at": 1777593600, "timestamp": "2026-01-01T00:00:00Z"}');
SELECT tenant FROM composite;
SELECT deliver('{"eventType": "Gone", "tenant": 1, "timestamp": "2026-01-02T00:00:00Z"}');
TABLE dead;
SELECT cxone_sync.remove_target('composite');
TRUNCATE cxone_sync.tombstones, cxone_sync.dead_letters;
-- keys that can be equal and yet written differently: a tombstone would not be found again
SET ROLE regress_owner;
CREATE TABLE amounts (id numeric PRIMARY KEY, gone_ts timestamptz, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('amounts', 'amounts', '{id}', event_types => '{Made}', delete_types => '{Gone}');
SELECT cxone_sync.add_target('amounts', 'amounts', '{id}', event_types => '{Made}', delete_types => '{Gone}', mark_column => 'gone_ts');
SELECT deliver(made('1', 1)), deliver(gone('01', 2)), deliver(made('1e0', 1)), deliver(made(' 1.00 ', 1));
SELECT id, extract(day FROM gone_ts) AS gone FROM amounts;
SELECT cxone_sync.remove_target('amounts');
-- deletions belong to the key that they were told by, whatever becomes of the target, and hold for events that carry it
SELECT cxone_sync.add_target('composite', 'composite', '{tenant,part,at}', event_types => '{Made}', delete_types => '{Gone}');
SELECT deliver('{"eventType": "Gone", "tenant": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "at": "2026-05-01T00:00:00Z", "timestamp": "2026-01-01T00:00:00Z"}');
ALTER TABLE composite ADD UNIQUE (tenant);
SELECT cxone_sync.change_target('composite', 'composite', '{tenant,part,at}', event_types => '{Made,Kept}', delete_types => '{Gone}');
SELECT count(*) FROM cxone_sync.tombstones;
SELECT cxone_sync.change_target('composite', key_columns => '{tenant}');
SELECT deliver('{"eventType": "Made", "tenant": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "at": "2026-05-01T00:00:00Z", "timestamp": "2025-01-01T00:00:00Z"}');
SELECT deliver('{"eventType": "Gone", "tenant": 1, "timestamp": "2026-01-02T00:00:00Z"}');
SELECT relation, key_columns, key, extract(day FROM deleted_ts) AS day FROM cxone_sync.tombstones ORDER BY key_columns;
SELECT cxone_sync.remove_target('composite');
SELECT cxone_sync.add_target('again', 'composite', '{at,tenant,part}', event_types => '{Made}', delete_types => '{Gone}');
SELECT deliver('{"eventType": "Made", "tenant": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "at": "2026-05-01T00:00:00Z", "timestamp": "2025-01-01T00:00:00Z"}');
-- also of columns that are renamed, here by a table above it; what a column of that name has left before is not its
SET ROLE regress_owner;
CREATE TABLE above (tenant bigint NOT NULL, part uuid NOT NULL, at timestamptz NOT NULL);
ALTER TABLE composite INHERIT above;
RESET ROLE;
ALTER TABLE composite ADD COLUMN lessee bigint;
INSERT INTO cxone_sync.tombstones SELECT relation, '{lessee,part,at}', key, '2027-01-01' FROM cxone_sync.tombstones WHERE key_columns = '{tenant,part,at}';
ALTER TABLE composite DROP COLUMN lessee;
ALTER TABLE above RENAME tenant TO lessee;
SELECT relation, key_columns, extract(day FROM deleted_ts) AS day FROM cxone_sync.tombstones ORDER BY key_columns;
SELECT key_columns, problem FROM cxone_sync.targets WHERE name = 'again';
SELECT deliver('{"eventType": "Made", "lessee": 1, "part": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "at": "2026-05-01T00:00:00Z", "timestamp": "2025-01-01T00:00:00Z"}');
SELECT cxone_sync.remove_target('again');
-- they go with the table, whoever drops it, and stay where that is taken back
BEGIN;
SET ROLE regress_owner;
DROP TABLE composite;
RESET ROLE;
SELECT count(*) FROM cxone_sync.tombstones;
ROLLBACK;
SELECT count(*) FROM cxone_sync.tombstones;
INSERT INTO cxone_sync.tombstones VALUES ('row_order', '{id}', 'stays', now());
SET ROLE regress_owner;
DROP TABLE above CASCADE;
RESET ROLE;
SELECT relation, key FROM cxone_sync.tombstones;
TRUNCATE cxone_sync.tombstones;

---- marks
SELECT cxone_sync.add_target('marks', 'marked', '{id}', event_types => '{Made}', delete_types => '{Gone}', mark_column => 'gone_ts');
SELECT deliver(made('x', 1, '{"a": "1", "gone_ts": "2020-01-01T00:00:00Z", "goneTs": "2020-01-01T00:00:00Z"}'));
TABLE m;
-- marked; late events change nothing; repeated; the values of the deletion count
SELECT deliver(gone('x', 3, '{"a": "3"}')), deliver(made('x', 2, '{"a": "2"}')), deliver(gone('x', 3)), deliver(gone('x', 2));
TABLE m;
-- a newer one clears the mark
SELECT deliver(made('x', 4)), deliver(gone('x', 3));
TABLE m;
-- an absent key makes a marked row; no tombstones
SELECT deliver(gone('y', 1)), deliver(made('y', 1)), deliver(gone('y', 1));
TABLE m;
TABLE tombs;
-- one delivery in both orders
SELECT deliver(made('a', 1), gone('a', 2), gone('b', 2), made('b', 1, '{"a": "1"}'), made('c', 2), gone('c', 1), gone('d', 1), made('d', 2), made('e', 1, '{"a": "1"}'), gone('e', 2), made('e', 3));
TABLE m;
-- of equal times the deletion wins, in one delivery and over several, whatever comes first
SELECT deliver(made('f', 1, '{"a": "1"}'), gone('f', 1), made('f', 1, '{"a": "2"}'), gone('g', 1), made('g', 1, '{"a": "1"}'));
SELECT deliver(made('f', 1, '{"a": "3"}')), deliver(made('h', 1, '{"a": "1"}')), deliver(gone('h', 1)), deliver(made('h', 1, '{"a": "2"}'));
SELECT * FROM m WHERE id IN ('f', 'g', 'h');
-- a row without a time takes any event
UPDATE marked SET updated_ts = NULL WHERE id = 'h';
SELECT deliver(made('h', 1, '{"a": "4"}'));
SELECT * FROM m WHERE id = 'h';
-- any isolation level will do
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT deliver(gone('d', 3));
COMMIT;
SELECT * FROM m WHERE id = 'd';
SELECT cxone_sync.remove_target('marks');
-- in field order the mark is a field like any other
SELECT cxone_sync.add_target('marks', 'marked_fields', '{id}', event_types => '{Made}', delete_types => '{Gone}', mark_column => 'gone_ts');
SELECT deliver(made('x', 1, '{"a": "1"}')), deliver(gone('x', 3)), deliver(made('x', 2, '{"a": "2", "b": "2"}')), deliver(gone('x', 2));
TABLE mf;
SELECT deliver(made('x', 4, '{"b": "4"}')), deliver(gone('x', 3)), deliver(gone('x', 1));
TABLE mf;
SELECT deliver(gone('y', 2), made('y', 1, '{"a": "1"}'), made('z', 2), gone('z', 1), gone('w', 1), made('w', 1));
TABLE mf;
SELECT cxone_sync.remove_target('marks');

---- several targets of a table: what decides about a row is the table's
SET ROLE regress_owner;
CREATE TABLE two_keys (id text PRIMARY KEY, ext text UNIQUE, a text, gone_ts timestamptz, lost_ts timestamptz, seen_ts timestamptz, updated_ts timestamptz);
RESET ROLE;
CREATE VIEW k AS SELECT id, ext, a, extract(day FROM gone_ts) AS gone, extract(day FROM updated_ts) AS day FROM two_keys ORDER BY id;
\set VERBOSITY default
SELECT cxone_sync.add_target('one', 'two_keys', '{id}', event_types => '{Made}', delete_types => '{Gone}', mark_column => 'gone_ts');
SELECT cxone_sync.add_target('two', 'two_keys', '{ext}', 'seen_ts', event_types => '{Seen}', delete_types => '{Lost}', mark_column => 'gone_ts');
SELECT cxone_sync.add_target('two', 'two_keys', '{ext}', event_types => '{Seen}');
SELECT cxone_sync.add_target('two', 'two_keys', '{ext}', event_types => '{Seen}', delete_types => '{Lost}');
SELECT cxone_sync.add_target('two', 'two_keys', '{ext}', event_types => '{Seen}', delete_types => '{Lost}', mark_column => 'lost_ts');
-- one that only clears the mark: where another one sets it
SELECT cxone_sync.add_target('two', 'two_keys', '{ext}', event_types => '{Seen}', mark_column => 'lost_ts');
SELECT cxone_sync.add_target('two', 'two_keys', '{ext}', event_types => '{Seen}', mark_column => 'gone_ts');
SELECT cxone_sync.change_target('two', mark_column => '');
SELECT cxone_sync.change_target('one', order_column => 'seen_ts');
\set VERBOSITY terse
SELECT deliver(made('1', 1, '{"ext": "x", "a": "1"}'), gone('1', 5), made('1', 5, '{"eventType": "Seen", "ext": "x", "a": "late"}'));
TABLE k;
SELECT deliver(made('1', 6, '{"eventType": "Seen", "ext": "x", "a": "6"}'));
TABLE k;
-- what is configured already is told
UPDATE cxone_sync.target_config SET mark_column = NULL WHERE name = 'two';
SELECT name, problem, hint FROM cxone_sync.targets WHERE name <> 'both' ORDER BY name;
UPDATE cxone_sync.target_config SET mark_column = 'gone_ts', order_column = 'seen_ts' WHERE name = 'two';
SELECT name, problem, hint FROM cxone_sync.targets WHERE name <> 'both' ORDER BY name;
SELECT cxone_sync.remove_target('one'), cxone_sync.remove_target('two');
SELECT cxone_sync.add_target('two', 'two_keys', '{ext}', event_types => '{Seen}', mark_column => 'gone_ts');
-- an event is held against the deletions of each key that it carries
TRUNCATE two_keys;
SELECT cxone_sync.add_target('one', 'two_keys', '{id}', event_types => '{Made}', delete_types => '{Gone}');
SELECT cxone_sync.add_target('two', 'two_keys', '{ext}', event_types => '{Seen}', delete_types => '{Lost}');
SELECT deliver(made('1', 1, '{"ext": "x"}'), made('2', 1, '{"ext": "y"}'), made('3', 1, '{"ext": "z"}')),
    deliver(gone('1', 5)), deliver('{"eventType": "Lost", "ext": "y", "timestamp": "2026-01-05T00:00:00Z"}');
SELECT deliver(made('1', 4, '{"eventType": "Seen", "ext": "x"}')), deliver(made('1', 5, '{"eventType": "Seen", "ext": "x"}')), deliver(made('2', 4, '{"ext": "y"}')),
    deliver(made('1', 4, '{"eventType": "Seen", "ext": "x"}'), made('2', 4, '{"ext": "y"}'), made('3', 4, '{"eventType": "Seen", "ext": "z", "a": "4"}'));
TABLE k;
-- within one delivery
SELECT deliver(gone('3', 6), made('3', 5, '{"eventType": "Seen", "ext": "z"}'), made('4', 6, '{"ext": "w"}'), '{"eventType": "Lost", "ext": "w", "timestamp": "2026-01-07T00:00:00Z"}', made('4', 7, '{"ext": "w"}'));
TABLE k;
-- of each that it carries, and of no other: null is no key, and of a deletion its target's key counts
SELECT deliver(made('1', 4, '{"eventType": "Seen", "ext": "v", "id": null}')), deliver(made('9', 4, '{"ext": null}')), deliver('{"eventType": "Seen", "ext": "u", "timestamp": "2026-01-01T00:00:00Z"}'),
    deliver('{"eventType": "Lost", "ext": "u", "id": "1", "timestamp": "2026-01-01T00:00:00Z"}'), deliver(made('1', 6, '{"eventType": "Seen", "ext": "x"}'));
TABLE k;
SELECT key_columns, key, extract(day FROM deleted_ts) AS day FROM cxone_sync.tombstones ORDER BY key_columns, key;
SELECT target, sqlstate, column_name FROM cxone_sync.dead_letters;
-- so also once a target has another key, or is gone
TRUNCATE two_keys, cxone_sync.tombstones, cxone_sync.dead_letters;
SELECT cxone_sync.remove_target('two');
SELECT deliver(made('1', 1, '{"ext": "x"}'), gone('1', 5));
SELECT cxone_sync.change_target('one', key_columns => '{ext}', delete_types => '{}');
SELECT deliver(made('1', 4, '{"ext": "x"}')), deliver(made('1', 6, '{"ext": "x"}'));
TABLE k;
-- a key with a column that is gone, or that the target keeps, tells nothing
INSERT INTO cxone_sync.tombstones SELECT relation, columns, key, '2026-02-01' FROM cxone_sync.tombstones, (VALUES ('{a}'::text[]), ('{nowhere}'), ('{id,a}'), ('{a,nowhere}')) AS v (columns);
SELECT cxone_sync.change_target('one', kept_columns => '{a}');
SELECT deliver(made('3', 7, '{"ext": "z", "a": "1", "nowhere": "1"}'));
SELECT cxone_sync.change_target('one', kept_columns => '{}');
SELECT deliver(made('3', 7, '{"ext": "z", "a": "1"}'));
TABLE k;
SELECT cxone_sync.remove_target('one');
TRUNCATE cxone_sync.tombstones;

---- a type cannot both make and delete; without event_types every other event makes
SELECT cxone_sync.add_target('both', 'row_order', '{id}', delete_types => '{Gone}');
TRUNCATE row_order;
SELECT deliver('{"id": "1"}', '{"id": "2", "eventType": "anything"}', '{"id": "3"}', '{"id": "3", "eventType": "Gone"}');
SELECT id FROM r;
SELECT cxone_sync.change_target('both', event_types => '{Made,Gone}');
SELECT cxone_sync.change_target('both', event_types => '{Made}');
SELECT deliver(made('4', 1), gone('4', 2));
SELECT id FROM r;
SELECT count(*) FROM cxone_sync.dead_letters;

DROP SCHEMA test CASCADE;
DROP OWNED BY regress_owner;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_owner;
