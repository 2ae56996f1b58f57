-- Values on their way into columns of every kind of type.
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
\pset null <null>
CREATE VIEW dead AS SELECT sqlstate, event_key, column_name FROM cxone_sync.dead_letters ORDER BY id;

-- Sets the one column `value` of each id 1, 2, … to one of the values, and shows what became of them.
CREATE FUNCTION try(type text, VARIADIC vals jsonb[]) RETURNS TABLE (given jsonb, stored text, error text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER TABLE cxone_sync.contact_records DROP COLUMN IF EXISTS value';
    EXECUTE 'TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters';
    EXECUTE 'ALTER TABLE cxone_sync.contact_records ADD COLUMN value ' || type;
    PERFORM cxone_sync.ingest(jsonb_build_object('events', jsonb_agg(jsonb_build_object('id', n, 'value', v) ORDER BY n)))
    FROM unnest(vals) WITH ORDINALITY AS u(v, n);
    RETURN QUERY EXECUTE 'SELECT v, value::text, d.sqlstate || coalesce('' '' || d.column_name, '''')
        FROM unnest($1) WITH ORDINALITY AS u(v, n) LEFT JOIN cxone_sync.contact_records ON id = n::text
        LEFT JOIN cxone_sync.dead_letters d ON event_key = n::text ORDER BY n' USING vals;
END
$$;

SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1;

-- text: a string is itself, everything else its JSON text
SELECT * FROM try('text', '"a"', '""', '" "', 'null', '1', '1.50', 'true', '{"b": [1, "x"]}', '[]', '"null"', '"zwölf 😀"');
-- numbers, also in strings, with their exact digits
SELECT * FROM try('integer', '1', '"2"', '" 3 "', '-4', '5.0', '"x"', '""', 'true', '2147483648', '[1]', '{}', 'null');
-- for JSON 5.0 and 100e-2 are integers, as they are for columns of such types, and no others; a string is what it is
SELECT * FROM try('integer', '5.0', '100e-2', '-0.0', '-7.000', '2147483647.0', '2147483648.0', '5.5', '0.1', '"5.0"', '1e30');
SELECT * FROM try('text', '5.0', '100e-2');
SELECT * FROM try('numeric', '5.0', '100e-2');
SELECT * FROM try('oid', '5.0', '4294967295.0', '4294967296.0', '-0.0');
SELECT * FROM try('xid8', '5.0', '18446744073709551615.0');
SELECT * FROM try('smallint', '32767', '32768');
SELECT * FROM try('bigint', '9007199254740993', '9223372036854775807', '9223372036854775808', '1e3');
SELECT * FROM try('numeric', '1.0', '1.00', '0.1', '12345678901234567890.123456789012345678901234567890', '"1e2"', '"NaN"', 'true');
SELECT * FROM try('numeric(5,2)', '1.005', '999.994', '999.995', '1000');
SELECT * FROM try('double precision', '0.1', '"1e308"', '"1e309"', '"Infinity"');
SELECT * FROM try('real', '0.1', '"1e38"', '"1e39"');
-- booleans
SELECT * FROM try('boolean', 'true', 'false', '"True"', '"False"', '"yes"', '"off"', '1', '0', '"2"', '""', '"maybe"');
-- dates and times
SELECT * FROM try('date', '"2026-02-28"', '"2026-02-29"', '"2026-02-28T23:00:00Z"', '20260228', '""');
SELECT * FROM try('timestamptz', '"2026-01-01T12:00:00+01:00"', '"2026-01-01 12:00"', '"2026-01-01T12:00:00.123456789Z"', '"soon"');
SELECT * FROM try('timestamp', '"2026-01-01T12:00:00+01:00"');
SELECT * FROM try('time', '"12:34:56"', '"25:00"');
SELECT * FROM try('interval', '"90 minutes"', '"PT1H30M"', '"later"');
-- others
SELECT * FROM try('uuid', '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', '"{a0eebc999c0b4ef8bb6d6bb9bd380a11}"', '"a0eebc99"', '1');
SELECT * FROM try('inet', '"10.0.0.1/8"', '"::1"', '"10.0.0.256"');
SELECT * FROM try('bytea', '"\\x00ff"', '"abc"', '"\\x0"');
SELECT * FROM try('point', '"(1,2)"', '[1, 2]');
SELECT * FROM try('int4range', '"[1,5)"', '"[5,1)"');
SELECT * FROM try('tsvector', '"a fat cat"');
SELECT * FROM try('name', '"short"');
SELECT * FROM try('"char"', '"c"');
SELECT * FROM try('bit(3)', '"101"', '"1010"');
-- strings with a length: too long is an error, trailing blanks are not
SELECT * FROM try('varchar', '"any length"');
SELECT * FROM try('varchar(5)', '"12345"', '"123456"', '"12345  "', '"äöüßé"', '123456');
SELECT * FROM try('char(3)', '"ab"', '"abcd"', '"abc   "');
-- json and jsonb take any value as it is; null clears
SELECT * FROM try('jsonb', '"a"', '1.50', 'true', '{"b": 1, "a": [null]}', '[]', '{}', '""', 'null');
SELECT * FROM try('json', '"a"', '1.50', 'true', '{"b": 1, "a": [null]}', '[]', 'null', '"quote \" and \\"');
-- arrays: from an array, or from an array literal in a string
SELECT * FROM try('text[]', '["a", "b c", "", null, "NULL", "q\"\\{},"]', '[]', '"{x,y}"', '["n", 1, true, {"k": ["v"]}]', '[["a", "b"], ["c", "d"]]', '[["a"], "b"]', '[["a"], ["b", "c"]]', '"x"', '{}', 'null', '1');
SELECT * FROM try('int[]', '[1, 2, null]', '["3", 4]', '[[1, 2], [3, 4]]', '[1, "x"]', '[2147483648]', '[1.5]', '"{5,6}"');
SELECT * FROM try('bigint[]', '[1.0, null, "2", 9007199254740993.0]', '[[1], [2.0]]', '[1.0, 2.5]', '["1.0"]', '"{1,2}"');
SELECT * FROM try('varchar(2)[]', '["ab"]', '["abc"]');
SELECT * FROM try('jsonb[]', '[{"a": [1, "x"]}, 2, true, null]', '["abc", "{\"a\": 1}"]');
SELECT * FROM try('timestamptz[]', '["2026-01-01T12:00:00+01:00"]');
-- null is a null wherever it stands, the word is none
SELECT * FROM try('text[]', '[null]', '[null, null]', '["null", null, "NULL", "Null", ""]', '[[null, "a"], ["b", null]]', '[[null], [null]]', '[null, ["a"]]', '[["a"], null]', '[{"a": null}, [null]]', '[{"a": null}, null]');
SELECT * FROM try('int[]', '[null]', '[null, 1, null]', '["null", 1]', '["", null]', '[[null, 1], [2, null]]', '[null, [1]]');
SELECT * FROM try('timestamptz[]', '[null]', '["2026-01-01T12:00:00Z", null, "2026-01-02T12:00:00+01:00"]', '["null"]', '[[null, "2026-01-01T12:00:00Z"]]', '[null, ""]');
SELECT * FROM try('jsonb[]', '[null]', '[null, null]', '[null, {"a": null}, "null"]', '[[null, 1], [2, null]]', '[null, [null]]');
SELECT * FROM try('boolean[]', '[null, true, "False"]', '["null"]');
-- and no value of its own: a domain that refuses nulls refuses it in an array as well
CREATE DOMAIN needed AS text NOT NULL;
SELECT * FROM try('test.needed[]', '["a", "null"]', '["a", null]', '[]', 'null');
SELECT * FROM try('numeric(4,1)[]', '[1.25, 99999]');
-- enums
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
SELECT * FROM try('test.mood', '"sad"', '"it''s ok"', '"Sad"', '""', '1');
SELECT * FROM try('test.mood[]', '["sad", "happy"]', '["angry"]');
-- domains: their checks, also those that refuse a null
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN required AS text NOT NULL DEFAULT 'none';
CREATE DOMAIN code AS varchar(3) CHECK (VALUE <> 'bad');
CREATE DOMAIN tags AS text[] CHECK (cardinality(VALUE) < 3);
CREATE DOMAIN document AS jsonb CHECK (VALUE ? 'k');
SELECT * FROM try('test.positive', '1', '0', '"x"', 'null');
SELECT * FROM try('test.required', '"given"', '""', 'null');
SELECT deliver('{"id": "absent"}');
SELECT id, value FROM cxone_sync.contact_records ORDER BY id;
SELECT * FROM try('test.code', '"abc"', '"abcd"', '"bad"');
SELECT * FROM try('test.tags', '["a", "b"]', '["a", "b", "c"]', '"{x}"');
SELECT * FROM try('test.tags[]', '["{x,y}"]');
SELECT * FROM try('test.document', '{"k": 1}', '{"no": 1}', '"k"');
SELECT * FROM try('test.positive[]', '[1, 2]', '[1, 0]');
-- composite types: their own text form; JSON is none
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN pair_of_positive AS pair CHECK ((VALUE).a > 0);
SELECT * FROM try('test.pair', '"(1,x)"', '"(2,\"a b\")"', '"(,)"', '"(x,y)"', '"(1)"', '{"a": 1}', 'null');
SELECT deliver('{"id": "1", "email": "together@with.it", "value": "(7,seven)", "lastName": "Lee"}');
SELECT id, last_name, email, value, (value).b FROM cxone_sync.contact_records WHERE id = '1';
SELECT * FROM try('test.pair[]', '["(1,x)", null, "(2,y)"]', '[{"a": 1}]');
SELECT * FROM try('test.pair_of_positive', '"(1,x)"', '"(0,x)"');
SELECT * FROM try('test.pair', '{"a": 5.0, "b": 5.0}', '{"a": 5.5}', '{"a": "5.0"}', '{"a": null, "b": "x"}', '{}');
SELECT * FROM try('test.positive', '5.0', '-0.0');
SELECT * FROM try('test.positive[]', '[5.0]', '[0.0]');
SELECT * FROM try('test.pair_of_positive[]', '[{"a": 5.0}, null]', '[{"a": 0.0}]');
CREATE DOMAIN pairs AS pair[] CHECK (cardinality(VALUE) < 3);
CREATE DOMAIN some_pairs AS pairs NOT NULL;
SELECT * FROM try('test.pairs', '[{"a": 5.0}, null]', '[]', '[{"b": "a longer text than four bytes"}]', '"{\"(1,x)\"}"', '[{}, {}, {}]', '[{"a": "x"}]');
SELECT * FROM try('test.some_pairs', '[{"a": 1}]', '[[{"a": 1}], [{"a": 2}]]');
-- times in arrays and in composite types are read by the rules of times, and not by PostgreSQL, which takes more
SELECT * FROM try('timestamptz[]', '["2026-01-01 12:00:00+0100", 1767225600000, {"date": "2026-01-01 00:00:00.000000", "timezone": "UTC"}, null]', '[["2026-01-01T00:00:00Z"]]', '[]', '["now"]', '["infinity"]', '["2026-01-01T00:00:00"]', '"{now}"', '{}', 'null');
SELECT * FROM try('timestamp[]', '["2026-01-01T12:00:00+01:00"]', '["tomorrow"]');
SELECT * FROM try('date[]', '["2026-01-01", "2026-01-01T23:00:00-05:00"]', '["12/06/2026"]');
CREATE DOMAIN moment AS timestamptz(0);
CREATE TYPE visit AS (place text, at test.moment, days date[]);
CREATE TYPE trip AS (name text, visits test.visit[]);
SELECT * FROM try('test.moment[]', '["2026-01-01T00:00:00.6Z"]', '["now"]');
SELECT * FROM try('test.visit', '{"place": "now", "at": "2026-01-01T01:00:00.4+01:00", "days": ["2026-01-01", null]}', '{"at": "now"}', '{"days": ["today"]}', '{"at": null}', '{"at": ""}', '"(x,now,)"', '1', 'null');
SELECT * FROM try('test.trip', '{"name": "x", "visits": [{"at": 1767225600}, null, {"place": "y"}]}', '{"visits": [{"place": "z"}, {"at": "infinity"}]}');
SELECT * FROM try('test.visit[]', '[{"at": "2026-01-01T00:00:00Z"}, null]', '[{"at": "yesterday"}]');
-- and so are the bounds of ranges over them
SELECT * FROM try('tstzrange', '"[2026-01-01 00:00:00+0100,2026-02-01T00:00:00Z)"', '"( \"2026-01-01T00:00:00Z\" , ]"', '"(,1767225600000]"', '" Empty "', '"(,)"',
    '["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]', '"[now,)"', '"[,tomorrow)"', '"[\"infinity\",)"', '"(-infinity,)"', '"[12/06/2026,)"', '"[2026-01-01T00:00:00,)"', '"[2026-01-01,)"',
    '"[\"\",)"', '"[2026-02-01T00:00:00Z,2026-01-01T00:00:00Z)"', '"2026-01-01T00:00:00Z"', '""', '7', '{}', 'null');
SELECT * FROM try('tstzmultirange', '"{[2026-01-01T00:00:00Z,2026-01-02 01:00:00+0100), [1782864000,)}"', '"{}"', '"{empty}"', '"{[today,)}"', '"[1782864000,)"', '"{[2026-01-01T00:00:00,)}"');
SELECT * FROM try('tsrange', '"[2026-01-01T00:00:00+01:00,2026-02-01)"', '"[now,)"');
SELECT * FROM try('daterange', '"[2026-01-01,2026-02-01]"', '"[\"2026-01-01\",)"', '"[today,)"', '"[06/01/2026,)"', '"[2026-01-01,infinity)"');
SELECT * FROM try('datemultirange', '"{[2026-01-01,2026-02-01]}"', '"{[2026-01-01,tomorrow)}"');
SELECT * FROM try('tstzrange[]', '["[2026-01-01T00:00:00Z,)", null, "empty"]', '["[now,)"]', '"{\"[now,)\"}"');
CREATE TYPE span AS RANGE (subtype = test.moment, multirange_type_name = spans);
CREATE DOMAIN month AS daterange CHECK (NOT isempty(VALUE));
CREATE TYPE shift AS (name text, span test.span, spans test.spans[], month test.month);
SELECT * FROM try('test.span', '"[2026-01-01T00:00:00.6Z,)"', '"[now,)"');
SELECT * FROM try('test.spans', '"{[2026-01-01T00:00:00.6Z,)}"', '"{(,now)}"');
SELECT * FROM try('test.month', '"[2026-01-01,2026-02-01)"', '"[today,)"', '"empty"', 'null');
SELECT * FROM try('test.shift', '{"name": "[now,)", "span": "[1767225600,]", "spans": ["{(,1767225600)}", null], "month": "[2026-01-01,)"}', '{"span": "[now,)"}', '{"spans": ["{(now,)}"]}', '{"month": "[today,)"}', '{"span": null}', '"(x,,,)"');
SELECT * FROM try('int4range', '"[1,5)"', '"[1.0,)"');
SELECT * FROM try('time', '"12:30"', '"12:30:01.5"', '"now"', '"allballs"', '12');
-- keys: a number that is an integer, and true and false where the type has them; a text would take the words as well
CREATE TYPE answer AS ENUM ('true', 'maybe');
CREATE DOMAIN flag AS boolean CHECK (VALUE IS NOT NULL);
CREATE TABLE keyed (n bigint, b boolean, f flag, a answer, j jsonb, p positive, t text, note text, updated_ts timestamptz, PRIMARY KEY (n, b, f, a, j, p, t));
ALTER TABLE keyed OWNER TO cxone_sync;
GRANT USAGE ON SCHEMA test TO cxone_sync;
SELECT cxone_sync.add_target('keyed', 'keyed', '{n,b,f,a,j,p,t}', event_types => '{k}');
TRUNCATE cxone_sync.dead_letters;
SELECT deliver('{"eventType": "k", "n": 5.0, "b": true, "f": false, "a": true, "j": true, "p": 1e0, "t": 5.0, "note": "x", "timestamp": "2026-01-01T00:00:00Z"}',
    '{"eventType": "k", "n": 5, "b": "True", "f": "no", "a": "true", "j": true, "p": "1", "t": "5.0", "note": "y", "timestamp": "2026-01-02T00:00:00Z"}',
    '{"eventType": "k", "n": 5, "b": true, "f": true, "a": false, "j": true, "p": 1, "t": 1}',
    '{"eventType": "k", "n": 5, "b": true, "f": true, "a": "maybe", "j": true, "p": 1, "t": true}',
    '{"eventType": "k", "n": true, "b": true, "f": true, "a": "maybe", "j": true, "p": 1, "t": 1}',
    '{"eventType": "k", "n": 5.5, "b": true, "f": true, "a": "maybe", "j": true, "p": 1, "t": 1}');
TABLE keyed;
SELECT sqlstate, event_key, column_name, message FROM cxone_sync.dead_letters ORDER BY id;
SELECT cxone_sync.remove_target('keyed');
-- what no text can hold comes in no jsonb, but in letters as they came
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;
ALTER TABLE cxone_sync.contact_records DROP COLUMN value, ADD COLUMN value json;
INSERT INTO cxone_sync.dead_letters (received_at, target, sqlstate, message, payload) SELECT '2026-01-01', 'contact_records', 'XX000', 'to be tried', payload FROM unnest(ARRAY[
    '{"id": "a", "email": "a", "unknown": "\u0000", "other": {"x": ["\ud800"]}, "\udc00": 1, "y": 1}', '{"id": "b", "email": "x\u0000y", "unknown": 1}', '{"id": "c", "firstName": "\ud800"}',
    '{"id": "d", "value": {"x": [{"\u0000": 1}]}}', '{"id": "\u0000", "email": "e"}', '{"id": "f", "email": "\u0000", "email": "f"}', '{"id": "g", "timestamp": "\u0000"}', '{"id": 1e2, "value": 1E2}']) AS payload;
SELECT outcome, new_sqlstate, new_message FROM cxone_sync.replay_dead_letters();
SELECT id, email, extra, value, updated_ts FROM cxone_sync.contact_records ORDER BY id;
SELECT target, sqlstate, event_key, column_name, payload FROM cxone_sync.dead_letters ORDER BY id;
ALTER TABLE cxone_sync.contact_records DROP COLUMN value;
-- a type that gets a time under a session that knows it
CREATE TYPE plain AS (a text);
SELECT * FROM try('test.plain', '{"a": "now"}', '"(now)"');
ALTER TYPE plain ADD ATTRIBUTE at timestamptz CASCADE;
SELECT deliver('{"id": "b", "value": {"a": "now", "at": "2026-01-01T00:00:00Z"}}', '{"id": "c", "value": {"a": "x", "at": "now"}}');
SELECT id, value FROM cxone_sync.contact_records ORDER BY id;
SELECT * FROM dead;
-- a type changes under a session that knows it
SELECT * FROM try('test.positive', '99', '100');
ALTER DOMAIN positive ADD CONSTRAINT below_1000 CHECK (VALUE < 1000);
SELECT deliver('{"id": "a", "value": 999}', '{"id": "b", "value": 1000}');
ALTER DOMAIN positive DROP CONSTRAINT below_1000;
SELECT deliver('{"id": "c", "value": 1000}');
SELECT id, value FROM cxone_sync.contact_records ORDER BY id;
SELECT * FROM dead;
ALTER TYPE mood ADD VALUE 'new';
SELECT * FROM try('test.mood', '"new"');
SELECT * FROM try('test.pair', '"(1,x)"');
ALTER TYPE pair ADD ATTRIBUTE c integer CASCADE;
SELECT deliver('{"id": "later", "value": "(1,x,2)"}', '{"id": "too late", "value": "(1,x)"}');
SELECT id, value FROM cxone_sync.contact_records ORDER BY id;
SELECT * FROM dead;

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
