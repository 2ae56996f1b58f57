-- What no column takes.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
ALTER TABLE cxone_sync.contact_records DROP COLUMN field_times; -- for its order in time to be that of rows
CREATE ROLE regress_owner;
CREATE SCHEMA test;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
SET search_path = test;
-- One delivery of these events, and the counts of its reply.
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
-- An event of the day.
CREATE FUNCTION made(id text, day integer, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'timestamp', format('2026-01-%sT00:00:00Z', lpad(day::text, 2, '0'))) || more
$$;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
CREATE VIEW c AS SELECT id, email, extra FROM cxone_sync.contact_records ORDER BY id COLLATE "C";
SELECT cxone_sync.reset_unmapped_keys();

---- row order: a member that an event does not carry stays, null makes it null
SELECT deliver(made('x', 2, '{"email": "a@b.c", "n": 1, "deep": {"a": [1, {"b": null}]}, "text": "t"}'));
TABLE c;
SELECT deliver(made('x', 3, '{"n": null, "deep": {"c": 2}, "new": true}')), deliver(made('x', 4));
TABLE c;
-- an older event changes nothing, one of the same time does
SELECT deliver(made('x', 3, '{"n": 3, "newer": 3}')), deliver(made('x', 4, '{"n": 4}'));
TABLE c;
-- several events of one delivery
SELECT deliver(made('y', 1, '{"a": 1, "b": 1}'), made('y', 2, '{"b": 2, "c": 2}'), made('y', 1, '{"d": 1}'), made('z', 1, '{"a": 1}'), made('y', 2, '{"a": null}'));
SELECT * FROM c WHERE id > 'x';
-- nothing is written for nothing
SELECT xmin AS before FROM cxone_sync.contact_records WHERE id = 'y' \gset
SELECT deliver(made('y', 2, '{"b": 2}')), deliver(made('y', 2)), deliver(made('y', 2, '{"c": 2, "a": null}'));
SELECT xmin = :before AS untouched FROM cxone_sync.contact_records WHERE id = 'y';
SELECT deliver(made('y', 2, '{"b": 2.0}'));
SELECT xmin = :before AS untouched, extra FROM cxone_sync.contact_records WHERE id = 'y';
-- a row that somebody else has made
INSERT INTO cxone_sync.contact_records (id, extra) VALUES ('theirs', '{"mine": 1}');
SELECT deliver(made('theirs', 1, '{"n": 1}'));
SELECT id, extra FROM c WHERE id = 'theirs';
DELETE FROM cxone_sync.contact_records;
-- no member feeds the column itself; what columns and the time take is not in it
SELECT deliver(made('x', 1, '{"extra": {"a": 1}, "Extra": 1, "email": null, "first_name": "f", "lastName": "l", "updated_ts": 1, "updatedTs": 1, "sync_status": "s", "syncStatus": "s"}'));
TABLE c;
DELETE FROM cxone_sync.contact_records;
-- odd keys
SELECT deliver('{"id": "odd", "": "empty", "q\"uote": 1, "back\\slash": 2, "\u00e9": "e", "\ud83d\ude00": "smile", "line\nfeed": 3, "a/b~c": 4, " ": 5, "null": null, "{": 6, "\u0041": 7, "__proto__": 8}');
SELECT key, value FROM c, jsonb_each(extra) ORDER BY key COLLATE "C";
SELECT deliver('{"id": "odd", "": null, "q\"uote": 11, "\u00E9": "f", "line\u000afeed": 13}');
SELECT key, value FROM c, jsonb_each(extra) ORDER BY key COLLATE "C";
-- values of all kinds keep their digits
SELECT deliver('{"id": "odd2", "n": 900719925474010002, "d": 1.50, "e": 1e400, "big": 123456789012345678901234567890.123456789, "t": "\"\\\/\b\f\n\r\t", "o": {}, "a": []}');
SELECT key, value FROM c, jsonb_each(extra) WHERE id = 'odd2' ORDER BY key COLLATE "C";
-- a table without the column ignores them; one that gets it keeps them from the next delivery on
DROP VIEW c;
ALTER TABLE cxone_sync.contact_records DROP COLUMN extra;
SELECT deliver(made('w', 1, '{"n": 1}'));
SELECT name, keeps_extra FROM cxone_sync.targets;
ALTER TABLE cxone_sync.contact_records ADD COLUMN extra json;
SELECT deliver(made('w', 2, '{"n": 2, "extra": {"e": 2}}'));
SELECT id, extra FROM cxone_sync.contact_records WHERE id = 'w';
SELECT name, keeps_extra FROM cxone_sync.targets;
ALTER TABLE cxone_sync.contact_records ALTER COLUMN extra TYPE jsonb;
SELECT deliver(made('w', 3, '{"n": 3, "extra": {"extra": 3}}'));
SELECT id, extra FROM cxone_sync.contact_records WHERE id = 'w';
DELETE FROM cxone_sync.contact_records;
CREATE VIEW c AS SELECT id, email, extra FROM cxone_sync.contact_records ORDER BY id COLLATE "C";
ALTER TABLE cxone_sync.contact_records ALTER COLUMN extra SET DEFAULT '{"made": "by default"}';
SELECT deliver(made('v', 3)), deliver(made('u', 3, '{"n": 3}')), deliver(made('v', 4, '{"n": 4}'));
TABLE c;
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;
ALTER TABLE cxone_sync.contact_records ALTER COLUMN extra DROP DEFAULT;

---- field order: each member has its own time
ALTER TABLE cxone_sync.contact_records ADD COLUMN field_times jsonb;
CREATE VIEW f AS SELECT id, email, extra, extract(day FROM updated_ts) AS day, field_times FROM cxone_sync.contact_records ORDER BY id;
SELECT deliver(made('x', 3, '{"a": 3, "b": 3}')), deliver(made('x', 2, '{"a": 2, "c": 2}')), deliver(made('x', 1, '{"a": 1, "b": 1, "c": 1}'));
TABLE f;
SELECT deliver(made('x', 4, '{"a": null}')), deliver(made('x', 3, '{"a": 33}')), deliver(made('x', 3, '{"d": null}'));
TABLE f;
-- of the same time null wins, else the greater text
SELECT deliver(made('x', 3, '{"b": 30}')), deliver(made('x', 3, '{"b": 3}')), deliver(made('x', 3, '{"b": null}')), deliver(made('x', 3, '{"b": 9}'));
TABLE f;
SELECT deliver(made('y', 2, '{"a": 2}'), made('y', 1, '{"a": 1, "b": 1}'), made('y', 3, '{"c": 3}'), made('y', 2, '{"c": 2, "b": 2}'));
SELECT * FROM f WHERE id = 'y';
SELECT deliver('{"id": "odd", "timestamp": "2026-01-02T00:00:00Z", "": 2, "q\"": 2, "\u00e9": 2, "extra": 2}', '{"id": "odd", "timestamp": "2026-01-01T00:00:00Z", "": 1, "q\"": 1, "\u00e9": 1, "extra": 1, "older\"": 1, "oldé": 1, "email": "old"}');
SELECT * FROM f WHERE id = 'odd';
ALTER TABLE cxone_sync.contact_records DROP COLUMN field_times CASCADE;
TRUNCATE cxone_sync.contact_records;

---- a column that is added later is filled
SELECT deliver(made('1', 1, '{"mobilePhone": "555-1", "score": "7", "keep": true}'), made('2', 1, '{"mobile_phone": "555-2", "score": 1.5}'), made('3', 1, '{"mobilePhone": null, "score": "x"}'),
    made('4', 1, '{"score": 4}'), made('5', 1), made('6', 1, '{"mobilePhone": "555-6"}'), made('7', 1, '{"mobilePhone": "555-7", "score": "99999999999"}'));
SELECT cxone_sync.value_from_extra('contact_records', 'email', '{"email": "a", "b": 1}');
ALTER TABLE cxone_sync.contact_records ADD COLUMN mobile_phone text;
-- what an event has set since wins
SELECT deliver(made('6', 2, '{"mobilePhone": "new"}'));
SET client_min_messages = notice;
CALL cxone_sync.fill_from_extra('contact_records', 'mobile_phone', 2);
SELECT id, mobile_phone, extra FROM cxone_sync.contact_records ORDER BY id;
-- once more: nothing is left but what is not the column's
CALL cxone_sync.fill_from_extra('contact_records', 'mobile_phone');
SELECT id, mobile_phone, extra FROM cxone_sync.contact_records ORDER BY id;
-- values that the column refuses stay, one by one
ALTER TABLE cxone_sync.contact_records ADD COLUMN score integer CHECK (score <> 4);
CALL cxone_sync.fill_from_extra('contact_records', 'score', 1);
SELECT id, score, extra FROM cxone_sync.contact_records ORDER BY id;
ALTER TABLE cxone_sync.contact_records DROP COLUMN score, ADD COLUMN score integer CHECK (score <> 4);
CALL cxone_sync.fill_from_extra('contact_records', 'score', 1000);
ALTER TABLE cxone_sync.contact_records DROP COLUMN score, ADD COLUMN score numeric;
CALL cxone_sync.fill_from_extra('contact_records', 'score', 2);
SELECT id, score, extra FROM cxone_sync.contact_records ORDER BY id;
-- what an event sets takes what came before it out of extra: a value that is null, or the default, stays
TRUNCATE cxone_sync.contact_records;
SELECT deliver(made(i, 1, '{"callBack": "123", "call_back_at": "x", "level": "gold", "home/~": "h", "kept": 1}')) FROM unnest('{1,2,3,4,5,6}'::text[]) AS i;
ALTER TABLE cxone_sync.contact_records ADD COLUMN call_back text, ADD COLUMN level text DEFAULT 'none', ADD COLUMN home text;
SELECT cxone_sync.map_field('contact_records', 'home', '/house', '/home~1~0', '/in/side');
SELECT deliver(made('1', 2, '{"callBack": null}'), made('2', 2, '{"level": "none", "house": "new"}'), made('3', 1, '{"call_back": null}'), made('4', 2, '{"email": "e"}'), made('5', 2, '{"call_back": "own", "callBack": "other", "new": 2}'));
SELECT id, call_back, level, home, extra FROM cxone_sync.contact_records ORDER BY id;
-- an older event takes nothing out, and the same event once more writes nothing
SELECT xmin AS before FROM cxone_sync.contact_records WHERE id = '5' \gset
SELECT deliver(made('6', 0 + 1, '{"email": "same"}')), deliver(made('4', 1, '{"level": "old"}')), deliver(made('5', 2, '{"call_back": "own", "callBack": "other", "new": 2}'));
SELECT xmin = :before AS untouched FROM cxone_sync.contact_records WHERE id = '5';
CALL cxone_sync.fill_from_extra('contact_records', 'call_back');
CALL cxone_sync.fill_from_extra('contact_records', 'level');
CALL cxone_sync.fill_from_extra('contact_records', 'home');
SELECT id, call_back, level, home, extra FROM cxone_sync.contact_records ORDER BY id;
SELECT cxone_sync.unmap_field('contact_records', 'home');
-- an extra that may not be null stays an object; one that is none is left alone
ALTER TABLE cxone_sync.contact_records DROP COLUMN call_back, DROP COLUMN level, DROP COLUMN home;
TRUNCATE cxone_sync.contact_records;
SELECT deliver(made(i, 1, '{"callBack": "123"}')) FROM unnest('{1,2,3}'::text[]) AS i;
UPDATE cxone_sync.contact_records SET extra = '["callBack"]' WHERE id = '3';
ALTER TABLE cxone_sync.contact_records ADD COLUMN call_back text;
SELECT deliver(made('1', 2, '{"callBack": "new"}'));
UPDATE cxone_sync.contact_records SET extra = '{}' WHERE id = '1' AND extra IS NULL RETURNING id;
SELECT deliver(made('2', 2, '{"callBack": "new"}')), deliver(made('3', 2, '{"callBack": "new"}'));
SELECT id, call_back, extra FROM cxone_sync.contact_records ORDER BY id;
ALTER TABLE cxone_sync.contact_records DROP COLUMN call_back;
-- many rows: batches grow again after one at fault
TRUNCATE cxone_sync.contact_records;
SELECT cxone_sync.ingest(jsonb_build_object('events', jsonb_agg(made(lpad(i::text, 3, '0'), 1, jsonb_build_object('points', CASE WHEN i IN (7, 50) THEN 'none' ELSE i::text END))))) -> 'applied' FROM generate_series(1, 100) AS i;
ALTER TABLE cxone_sync.contact_records ADD COLUMN points integer;
CALL cxone_sync.fill_from_extra('contact_records', 'points', 32);
SELECT count(points), sum(points), count(extra) FROM cxone_sync.contact_records;
SELECT id, points, extra FROM cxone_sync.contact_records WHERE extra IS NOT NULL ORDER BY id;
SET client_min_messages = warning;
-- in a transaction of the caller's it cannot commit
BEGIN;
CALL cxone_sync.fill_from_extra('contact_records', 'points');
ROLLBACK;
-- what there is to refuse
CALL cxone_sync.fill_from_extra('nobody', 'points');
CALL cxone_sync.fill_from_extra('contact_records', 'nowhere');
CALL cxone_sync.fill_from_extra('contact_records', 'extra');
CALL cxone_sync.fill_from_extra('contact_records', 'updated_ts');
CALL cxone_sync.fill_from_extra('contact_records', 'sync_status');
CALL cxone_sync.fill_from_extra('contact_records', 'points', 0);
CALL cxone_sync.fill_from_extra('contact_records', 'points', -1);
SET ROLE regress_owner;
CALL cxone_sync.fill_from_extra('contact_records', 'points');
CREATE TABLE plain (id text PRIMARY KEY, a text, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('plain', 'plain', '{id}', event_types => '{plain}');
CALL cxone_sync.fill_from_extra('plain', 'a');
SELECT cxone_sync.remove_target('plain');

---- by an owner who is no superuser: a partitioned table with a composite key, columns with a DEFAULT
GRANT USAGE ON SCHEMA cxone_sync TO regress_owner;
GRANT EXECUTE ON PROCEDURE cxone_sync.fill_from_extra TO regress_owner;
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Contact}', kept_columns => '{sync_status}');
SET ROLE regress_owner;
CREATE TABLE parts (id bigint, region text, extra jsonb, updated_ts timestamptz, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu (updated_ts timestamptz, extra jsonb, region text NOT NULL, gone integer, id bigint NOT NULL);
ALTER TABLE part_eu DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION part_eu FOR VALUES IN ('eu');
CREATE TABLE part_us PARTITION OF parts FOR VALUES IN ('us', 'a ''b" c');
RESET ROLE;
SELECT cxone_sync.add_target('parts', 'parts', '{region,id}', event_types => '{part}');
CREATE FUNCTION part(id integer, region text, day integer, more jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT test.made(NULL, day, jsonb_build_object('eventType', 'part', 'id', id, 'region', region) || more)
$$;
-- the keys' order as texts is another than their order
SELECT deliver(VARIADIC array_agg(part(i * i * i, region, 1, jsonb_build_object('note', region || i, 'size', i, 'score', CASE i WHEN 2 THEN 'none' ELSE i::text END, 'late', CASE i WHEN 2 THEN 'none' ELSE i::text END, 'word', 'w' || i)))) FROM generate_series(1, 3) AS i, unnest('{eu,us,"a ''b\" c"}'::text[]) AS region;
SET ROLE regress_owner;
ALTER TABLE parts ADD COLUMN note text DEFAULT 'a "default"', ADD COLUMN size integer NOT NULL DEFAULT 1 + 1, ADD COLUMN score integer CHECK (score < 3);
RESET ROLE;
-- what an event has set since stays, null as well; other columns of the row are filled
SELECT deliver(part(1, 'eu', 2, '{"note": "set"}'), part(8, 'us', 2, '{"note": null, "size": 7}'), part(100, 'us', 2, '{"note": "new"}'), part(101, 'us', 2, '{}'));
SET client_min_messages = notice;
SET ROLE regress_owner;
CALL cxone_sync.fill_from_extra('parts', 'note', 4);
CALL cxone_sync.fill_from_extra('parts', 'size');
CALL cxone_sync.fill_from_extra('parts', 'score', 4);
SELECT tableoid::regclass, id, region, note, size, score, extra - 'eventType' AS extra FROM parts ORDER BY region, id;
RESET ROLE;
SET client_min_messages = warning;
-- he may fill only what he may write
CALL cxone_sync.fill_from_extra('contact_records', 'points');
SET ROLE regress_owner;
CALL cxone_sync.fill_from_extra('contact_records', 'points');
CALL cxone_sync.fill_from_extra('contact_records', 'mobile_phone');
RESET ROLE;

---- what stands first in the caller's search_path is not run
CREATE SCHEMA first;
GRANT USAGE ON SCHEMA first TO PUBLIC;
DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY['format(text) RETURNS text', 'format(text, VARIADIC text[]) RETURNS text', 'unnest(text[]) RETURNS SETOF text', 'jsonb_object_keys(jsonb) RETURNS SETOF text', 'format_type(oid, integer) RETURNS text',
        'pg_get_expr(pg_node_tree, oid) RETURNS text', 'replace(text, text, text) RETURNS text', 'set_config(text, text, boolean) RETURNS text', 'field_time(jsonb, text, boolean, timestamptz) RETURNS timestamptz',
        'value_from_extra(text, text, jsonb) RETURNS record', 'target_definition(text) RETURNS record', 'compare(integer, integer) RETURNS boolean', 'compare(bigint, integer) RETURNS boolean', 'compare(bigint, bigint) RETURNS boolean',
        'compare(text, text) RETURNS boolean', 'compare(oid, oid) RETURNS boolean', 'compare(timestamptz, timestamptz) RETURNS boolean', 'calculate(integer, integer) RETURNS integer', 'calculate(bigint, bigint) RETURNS bigint',
        'join_texts(text, text) RETURNS text', 'join_objects(jsonb, jsonb) RETURNS jsonb', 'member_of(jsonb, text) RETURNS jsonb', 'without(jsonb, text[]) RETURNS jsonb', 'newest(timestamptz, timestamptz) RETURNS timestamptz',
        'aggregated(text, text, text) RETURNS text', 'counted(bigint) RETURNS bigint'] LOOP
        EXECUTE format($f$CREATE FUNCTION first.%s LANGUAGE plpgsql SET search_path = pg_catalog AS 'BEGIN RAISE EXCEPTION ''not this one''; END'$f$, f);
    END LOOP;
END
$$;
CREATE AGGREGATE first.max(timestamptz) (SFUNC = first.newest, STYPE = timestamptz, INITCOND = '-infinity');
CREATE AGGREGATE first.string_agg(text, text) (SFUNC = first.aggregated, STYPE = text, INITCOND = '');
CREATE AGGREGATE first.count(*) (SFUNC = first.counted, STYPE = bigint, INITCOND = '0');
DO $$
DECLARE
    o record;
BEGIN
    FOR o IN SELECT * FROM unnest('{=,<,>,<>}'::text[]) AS name, unnest('{integer/integer,bigint/integer,bigint/bigint,text/text,oid/oid,timestamptz/timestamptz}'::text[]) AS types, (VALUES ('compare')) AS f(function)
        UNION ALL VALUES ('+', 'bigint/bigint', 'calculate'), ('+', 'integer/integer', 'calculate'), ('*', 'integer/integer', 'calculate'), ('/', 'integer/integer', 'calculate'), ('||', 'text/text', 'join_texts'),
            ('||', 'jsonb/jsonb', 'join_objects'), ('->', 'jsonb/text', 'member_of'), ('-', 'jsonb/text[]', 'without') LOOP
        EXECUTE format('CREATE OPERATOR first.%s (FUNCTION = first.%s, LEFTARG = %s, RIGHTARG = %s)', o.name, o.function, split_part(o.types, '/', 1), split_part(o.types, '/', 2));
    END LOOP;
END
$$;
-- in field order and in row order: values that are moved, that the column refuses, that a newer one has overtaken
SET ROLE regress_owner;
ALTER TABLE parts ADD COLUMN field_times jsonb, ADD COLUMN late integer, ADD COLUMN word text;
RESET ROLE;
SELECT deliver(part(27, 'us', 3, '{"late": 0, "word": "newer"}'));
SET client_min_messages = notice;
SET ROLE regress_owner;
SET search_path = first, pg_catalog, test;
SELECT format('%s', 'a'::text);
SELECT unnest('{a}'::text[]);
SELECT 1 < 2;
CALL cxone_sync.fill_from_extra('parts', 'late', 2);
ALTER TABLE test.parts DROP COLUMN field_times;
CALL cxone_sync.fill_from_extra('parts', 'word', 4);
CALL cxone_sync.fill_from_extra('parts', 'late', 2);
SHOW search_path;
RESET ROLE;
SET search_path = test;
SET client_min_messages = warning;
SELECT id, region, late, word, extra - '{eventType,score}'::text[] AS extra FROM parts ORDER BY region, id;
SELECT cxone_sync.remove_target('parts');
DROP TABLE parts;
DROP SCHEMA first CASCADE;
REVOKE USAGE ON SCHEMA cxone_sync FROM regress_owner;
REVOKE EXECUTE ON PROCEDURE cxone_sync.fill_from_extra FROM regress_owner;

---- keys are followed from batch to batch as their types compare, whatever the caller's settings are
SET ROLE regress_owner;
CREATE DOMAIN lowest AS numeric(5, 2);
CREATE TABLE hours (at timestamptz, n numeric, share float8, id lowest, extra jsonb, updated_ts timestamptz, PRIMARY KEY (share, at, id));
RESET ROLE;
SELECT cxone_sync.add_target('hours', 'hours', '{at,share,id}', event_types => '{hours}');
SELECT deliver(jsonb_build_object('eventType', 'hours', 'at', format('2026-10-25T0%s:30:00Z', i % 3), 'share', CASE WHEN i < 3 THEN '0.3333333333333333' ELSE '0.6666666666666666' END, 'id', (i - 3) / 2.0, 'late', '1 hour 2 mins', 'kept', 0.1))
FROM generate_series(0, 5) AS i;
SET ROLE regress_owner;
ALTER TABLE hours ADD COLUMN late interval, ADD COLUMN kept float8;
RESET ROLE;
SET client_min_messages = notice;
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Kolkata';
SET extra_float_digits = -15;
SET intervalstyle = 'sql_standard';
CALL cxone_sync.fill_from_extra('hours', 'late', 1);
CALL cxone_sync.fill_from_extra('hours', 'kept', 4);
RESET intervalstyle;
RESET extra_float_digits;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
SELECT at, share, id, late, kept, extra - 'eventType' AS extra FROM hours ORDER BY share, at, id;
SELECT cxone_sync.remove_target('hours');
DROP TABLE hours;
-- a type with an order of its own, whose operators the pinned search_path does not find
CREATE TYPE caseless;
CREATE FUNCTION caseless_in(cstring) RETURNS caseless LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION caseless_out(caseless) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE caseless (INPUT = caseless_in, OUTPUT = caseless_out, LIKE = text, COLLATABLE = true);
CREATE CAST (caseless AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE FUNCTION caseless_cmp(caseless, caseless) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT bttextcmp(lower($1::text), lower($2::text)) $$;
DO $$
DECLARE
    o record;
BEGIN
    FOR o IN SELECT * FROM (VALUES ('lt', '<'), ('le', '<='), ('eq', '='), ('ge', '>='), ('gt', '>')) AS o(name, operator) LOOP
        EXECUTE format('CREATE FUNCTION caseless_%s(caseless, caseless) RETURNS boolean LANGUAGE sql IMMUTABLE AS ''SELECT bttextcmp(lower($1::text), lower($2::text)) %s 0''', o.name, o.operator);
        EXECUTE format('CREATE OPERATOR %s (FUNCTION = caseless_%s, LEFTARG = caseless, RIGHTARG = caseless)', o.operator, o.name);
    END LOOP;
END
$$;
CREATE OPERATOR CLASS caseless_ops DEFAULT FOR TYPE caseless USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 caseless_cmp(caseless, caseless);
SET ROLE regress_owner;
CREATE TABLE words (id caseless PRIMARY KEY, extra jsonb, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('words', 'words', '{id}', event_types => '{word}');
SELECT deliver(VARIADIC array_agg(jsonb_build_object('eventType', 'word', 'id', i, 'note', i))) FROM unnest('{a,B,c,D,e,E}'::text[]) AS i;
ALTER TABLE words ADD COLUMN note text;
CALL cxone_sync.fill_from_extra('words', 'note', 2);
SELECT id, note, extra FROM words ORDER BY id;
SELECT cxone_sync.remove_target('words');
DROP TABLE words;

---- in field order a default that rows were given is not what an event has set
SET ROLE regress_owner;
CREATE TABLE defaults (id text PRIMARY KEY, other text, extra jsonb, updated_ts timestamptz, field_times jsonb);
RESET ROLE;
SELECT cxone_sync.add_target('defaults', 'defaults', '{id}', event_types => '{d}');
CREATE FUNCTION d(id text, day integer, more jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT test.made(id, day, more || '{"eventType": "d"}') $$;
SELECT deliver(d('1', 1, '{"note": "from extra"}'), d('2', 1, '{"note": "from extra"}'), d('3', 1, '{"note": "from extra"}'), d('3', 2, '{"other": "x"}'), d('4', 1, '{"other": "x"}'));
ALTER TABLE defaults ADD COLUMN note text DEFAULT 'none';
SELECT deliver(d('2', 2, '{"note": "set"}'));
CALL cxone_sync.fill_from_extra('defaults', 'note');
SELECT id, note, other, extra - 'eventType' AS extra, extract(day FROM updated_ts) AS day, field_times FROM defaults ORDER BY id;
-- the time of what was filled is that of the member
SELECT deliver(d('3', 1, '{"note": "a tie, and less"}'), d('1', 2, '{"note": "newer"}'));
SELECT id, note, field_times FROM defaults ORDER BY id;
-- an event that sets a column to its default is not undone, be it newer than the row, as old, or older: it is newer than what extra holds
TRUNCATE defaults;
ALTER TABLE defaults DROP COLUMN note;
SELECT deliver(d(i, 2, '{"level": "gold"}'), d(i, 5, '{"other": "x"}')) FROM unnest('{1,2,3,4,5,6}'::text[]) AS i;
SELECT deliver(d('7', 5, '{"other": "x"}'));
ALTER TABLE defaults ADD COLUMN level text DEFAULT 'none';
SELECT deliver(d('1', 6, '{"level": "none"}'), d('2', 5, '{"level": "none"}'), d('3', 3, '{"level": "none"}'), d('4', 1, '{"level": "none"}'), d('5', 6, '{"other": "y"}'), d('6', 3, '{"level": "silver"}'));
-- where extra holds nothing, a default is as old as its row
SELECT deliver(d('7', 3, '{"level": "silver"}'));
CREATE FUNCTION days(times jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(key, CASE jsonb_typeof(value) WHEN 'number' THEN to_jsonb(extract(day FROM to_timestamp(value::bigint / 1e6))) WHEN 'object' THEN test.days(value) ELSE value END) FROM jsonb_each(times)
$$;
SELECT id, level, other, extra - 'eventType' AS extra, extract(day FROM updated_ts) AS day, days(field_times) FROM defaults ORDER BY id;
CALL cxone_sync.fill_from_extra('defaults', 'level');
SELECT id, level, other, extra - 'eventType' AS extra, extract(day FROM updated_ts) AS day, days(field_times) FROM defaults ORDER BY id;
-- a default that is another one for each row is never asked for
CREATE SEQUENCE numbers;
GRANT USAGE ON SEQUENCE numbers TO regress_owner;
SELECT deliver(d('8', 2, '{"number": 22, "added": "2026-01-01T00:00:00Z"}'));
ALTER TABLE defaults ADD COLUMN number bigint DEFAULT nextval('numbers'), ADD COLUMN added timestamptz DEFAULT now();
SELECT last_value = (SELECT count(*) FROM defaults) AS before FROM numbers;
SELECT deliver(d('8', 3, '{"other": "x"}'), d('8', 1, '{"number": 11}'));
CALL cxone_sync.fill_from_extra('defaults', 'number');
CALL cxone_sync.fill_from_extra('defaults', 'added');
SELECT last_value = (SELECT count(*) FROM defaults) AS after FROM numbers;
SELECT number BETWEEN 1 AND 8 AS kept, added > '2026-01-02' AS kept FROM defaults WHERE id = '8';
ALTER TABLE defaults DROP COLUMN number, DROP COLUMN added;
DROP SEQUENCE numbers;
-- of two members that feed a column the one that has lost changes nothing, whatever the order
TRUNCATE defaults;
ALTER TABLE defaults ADD COLUMN first_name text DEFAULT 'none';
SELECT deliver(d('1', 2, '{"first_name": "none", "firstName": "lost"}')), deliver(d('1', 3, '{"other": "x"}')), deliver(d('1', 1, '{"first_name": "old"}'));
SELECT deliver(d('2', 3, '{"first_name": "none"}')), deliver(d('2', 2, '{"first_name": "x", "firstName": "lost"}')), deliver(d('2', 1, '{"first_name": "old"}'));
CALL cxone_sync.fill_from_extra('defaults', 'first_name');
SELECT id, first_name, extra - 'eventType' AS extra, days(field_times) FROM defaults ORDER BY id;
SELECT cxone_sync.remove_target('defaults');
DROP TABLE defaults;

---- an extra that is no object is not added to
UPDATE cxone_sync.contact_records SET extra = '[1]' WHERE id = '001';
SELECT deliver(made('001', 2, m)) FROM unnest(ARRAY['{"eventType": "Contact", "more": 1}', '{"eventType": "Contact", "email": "x"}']::jsonb[]) AS m;
SELECT extra FROM cxone_sync.contact_records WHERE id = '001';
SELECT DISTINCT sqlstate, message, hint FROM cxone_sync.dead_letters;
DELETE FROM cxone_sync.dead_letters;

---- a root, a composite key and columns of all types
SET ROLE regress_owner;
CREATE TABLE cases (tenant bigint, "Case" uuid, extra jsonb, updated_ts timestamptz, PRIMARY KEY ("Case", tenant));
CREATE TYPE address AS (street text, city text);
RESET ROLE;
SELECT cxone_sync.add_target('cases', 'cases', '{tenant,Case}', event_types => '{Case}', root_path => '/data/a~1b');
SELECT deliver(jsonb_build_object('eventType', 'Case', 'timestamp', '2026-01-01T00:00:00Z', 'n', 'of the event', 'data', jsonb_build_object('a/b',
    jsonb_build_object('tenant', i, 'Case', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'n', i, 'day', '2026-02-03T23:00:00-05:00', 'openedAt', 1770159600000 + i, 'localTime', '2026-02-03T23:00:00-05:00',
        'body', jsonb_build_object('i', i), 'word', to_jsonb('w'::text), 'tags', '["a", null, "b,c"]'::jsonb, 'home', '{"street": "S 1", "city": "C"}'::jsonb, 'homes', '[{"city": "C"}, null]'::jsonb,
        'flag', 'True', 'sized', 'too long', 'other', i)))) FROM generate_series(1, 3) AS i;
SELECT extra FROM cases WHERE tenant = 1;
ALTER TABLE cases ADD COLUMN n integer, ADD COLUMN day date, ADD COLUMN opened_at timestamptz, ADD COLUMN local_time timestamp, ADD COLUMN body jsonb, ADD COLUMN word json, ADD COLUMN tags text[], ADD COLUMN home address,
    ADD COLUMN homes address[], ADD COLUMN flag boolean, ADD COLUMN sized varchar(3), ADD COLUMN twice integer GENERATED ALWAYS AS (tenant * 2) STORED;
DO $$
DECLARE
    c text;
BEGIN
    FOREACH c IN ARRAY '{n,day,opened_at,local_time,body,word,tags,home,homes,flag}'::text[] LOOP
        CALL cxone_sync.fill_from_extra('cases', c, 2);
    END LOOP;
END
$$;
SELECT tenant, n, day, opened_at, local_time, body, word, tags, home, homes, flag, extra FROM cases ORDER BY tenant;
CALL cxone_sync.fill_from_extra('cases', 'sized', 2);
CALL cxone_sync.fill_from_extra('cases', 'twice');
CALL cxone_sync.fill_from_extra('cases', 'tenant');
SELECT tenant, sized, extra FROM cases ORDER BY tenant;
-- from a path of its own a member's inside stays
SELECT deliver('{"eventType": "Case", "data": {"a/b": {"tenant": 9, "Case": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "owner": {"name": "N", "age": 7}, "top": "t"}, "outside": "o"}, "timestamp": "2026-01-01T00:00:00Z"}');
ALTER TABLE cases ADD COLUMN owner_name text, ADD COLUMN renamed text, ADD COLUMN outside text;
SELECT cxone_sync.map_field('cases', 'owner_name', '/data/a~1b/owner/name');
SELECT cxone_sync.map_field('cases', 'renamed', '/data/a~1b/none', '/data/a~1b/top');
SELECT cxone_sync.map_field('cases', 'outside', '/data/outside');
CALL cxone_sync.fill_from_extra('cases', 'owner_name');
CALL cxone_sync.fill_from_extra('cases', 'renamed');
CALL cxone_sync.fill_from_extra('cases', 'outside');
SELECT owner_name, renamed, outside, extra FROM cases WHERE tenant = 9;

---- field order: the newer of both, with its time
ALTER TABLE cases ADD COLUMN field_times jsonb;
TRUNCATE cases;
CREATE FUNCTION later(n integer, day integer, more jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('eventType', 'Case', 'timestamp', format('2026-01-%sT00:00:00Z', lpad(day::text, 2, '0')),
        'data', jsonb_build_object('a/b', jsonb_build_object('tenant', n, 'Case', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') || more))
$$;
SELECT deliver(later(1, 1, '{"late": "1"}'), later(2, 1, '{"late": "1"}'), later(3, 3, '{"late": "3", "n": 3}'), later(3, 5, '{"n": 5}'), later(4, 1, '{"late": null}'), later(4, 3, '{"n": 3}'), later(5, 4, '{"late": "4"}'), later(5, 5, '{"n": 5}'));
ALTER TABLE cases ADD COLUMN late text;
SELECT deliver(later(1, 2, '{"late": "2"}'), later(5, 3, '{"late": "3"}'));
SELECT tenant, late, extra, field_times, extract(day FROM updated_ts) AS day FROM cases ORDER BY tenant;
CALL cxone_sync.fill_from_extra('cases', 'late', 2);
SELECT tenant, late, extra, field_times, extract(day FROM updated_ts) AS day FROM cases ORDER BY tenant;
-- as if the column had always been there
SELECT deliver(later(2, 1, '{"late": "0"}'), later(3, 2, '{"late": "2"}'), later(3, 4, '{"late": "4"}'), later(4, 1, '{"late": "1"}'), later(4, 2, '{"late": "2"}'));
SELECT tenant, late, extra, field_times, extract(day FROM updated_ts) AS day FROM cases ORDER BY tenant;
DROP TABLE cases;
SELECT cxone_sync.remove_target('cases');

---- the view of all that no column takes
SELECT count(*) > 10 AS noted, bool_and(first_seen <= last_seen) AS ordered FROM cxone_sync.unmapped_keys;
SELECT cxone_sync.reset_unmapped_keys();
SELECT * FROM cxone_sync.unmapped_keys;
SELECT deliver('{"eventType": "Contact", "id": "k1", "a": 1, "b": {"c": [1, 2]}, "q\"\u00e9": null}', '{"eventType": "Contact", "id": "k2", "a": 2}', '{"eventType": "Contact", "a": "no id"}', '{"eventType": "Other", "a": 1}', '{"eventType": "Contact", "id": "k3", "a": "never"}');
SELECT deliver(jsonb_build_object('eventType', 'Contact', 'id', 'k4', 'long', repeat('é', 100), 'b', 2, repeat('k', 300), 3));
SELECT target, key, events, example FROM cxone_sync.unmapped_keys ORDER BY key COLLATE "C";
-- not those of a delivery that failed as a whole, nor of a simulation
SELECT cxone_sync.ingest('[]');
SELECT count(*) FROM cxone_sync.simulate('{"events": [{"eventType": "Contact", "id": "k5", "simulated": 1}]}');
SELECT key FROM cxone_sync.unmapped_keys WHERE key = 'simulated';
SELECT cxone_sync.reset_unmapped_keys();
-- it is bounded
SELECT count(*) FROM (SELECT cxone_sync.ingest(jsonb_build_object('events', jsonb_build_array(jsonb_build_object('eventType', 'Contact', 'id', 'k' || j) || (SELECT jsonb_object_agg('key' || i, i) FROM generate_series(j, j + 49) AS i)))) FROM generate_series(1, 1000, 50) AS j) AS n;
SELECT count(*) FROM cxone_sync.unmapped_keys;
SELECT cxone_sync.reset_unmapped_keys();
SET ROLE regress_owner;
SELECT * FROM cxone_sync.unmapped_keys;
RESET ROLE;
GRANT USAGE ON SCHEMA cxone_sync TO regress_owner;
SET ROLE regress_owner;
SELECT * FROM cxone_sync.unmapped_keys;
SELECT cxone_sync.reset_unmapped_keys();
SELECT cxone_sync.value_from_extra('contact_records', 'email', '{}');
CALL cxone_sync.fill_from_extra('contact_records', 'email');
RESET ROLE;

---- a column's type may change functions, and ask for values in its turn
SET ROLE regress_owner;
CREATE FUNCTION test.is_fine(v text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    FOR turn IN 1..2 LOOP
        EXIT WHEN v <> 'outer';
        EXECUTE format('CREATE OR REPLACE FUNCTION test.changed() RETURNS int LANGUAGE sql AS $f$ SELECT %s $f$', turn);
        PERFORM cxone_sync.value_from_extra('of_type', 'v', '{"v": "inner"}');
    END LOOP;
    RETURN true;
END
$$;
CREATE DOMAIN test.checked AS text CHECK (test.is_fine(VALUE));
CREATE TABLE test.of_type (id text PRIMARY KEY, v test.checked, extra jsonb, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('of_type', 'test.of_type', '{id}', event_types => '{OfType}');
SET ROLE regress_owner;
SELECT cxone_sync.value_from_extra('of_type', 'v', format('{"v": "%s", "w": %s}', v, i)::jsonb) FROM (VALUES (1, 'outer'), (2, 'outer')) AS t (i, v);
RESET ROLE;
SELECT cxone_sync.remove_target('of_type');

---- a reference that is checked at the commit is checked at once
CREATE TABLE parents (id integer PRIMARY KEY);
INSERT INTO parents VALUES (1);
GRANT REFERENCES, SELECT ON parents TO regress_owner;
SET ROLE regress_owner;
CREATE TABLE referring (id text PRIMARY KEY, updated_ts timestamptz, extra jsonb);
RESET ROLE;
SELECT cxone_sync.add_target('referring', 'referring', '{id}', event_types => '{Referring}');
SELECT deliver('{"eventType": "Referring", "id": "a", "parent": 1}', '{"eventType": "Referring", "id": "b", "parent": 2}');
SET ROLE regress_owner;
ALTER TABLE referring ADD COLUMN parent integer REFERENCES parents DEFERRABLE INITIALLY DEFERRED;
RESET ROLE;
CALL cxone_sync.fill_from_extra('referring', 'parent');
SELECT id, parent, extra FROM referring ORDER BY id;

DROP SCHEMA test CASCADE;
DROP OWNED BY regress_owner;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_owner;
