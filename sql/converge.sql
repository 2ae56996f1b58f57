-- Field order converges: the same events in any order, repeated, in whatever deliveries, end in the same rows, and these are what
-- a plain model makes of the events. The random numbers differ between versions of PostgreSQL, the answer does not.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;
SET search_path = test;

CREATE TABLE fields (a text, b integer, c text DEFAULT 'x', d jsonb);
CREATE TABLE deleted (id text PRIMARY KEY, LIKE fields INCLUDING DEFAULTS, extra jsonb, field_times jsonb, updated_ts timestamptz);
CREATE TABLE marked (id text PRIMARY KEY, LIKE fields INCLUDING DEFAULTS, mark timestamptz, extra jsonb, field_times jsonb, updated_ts timestamptz);
CREATE TABLE paired (LIKE fields INCLUDING DEFAULTS, n integer, k text, extra jsonb, field_times jsonb, updated_ts timestamptz, PRIMARY KEY (n, k));
ALTER TABLE deleted OWNER TO cxone_sync;
ALTER TABLE marked OWNER TO cxone_sync;
ALTER TABLE paired OWNER TO cxone_sync;
SELECT cxone_sync.remove_target('contact_records'),
    cxone_sync.add_target('deleted', 'deleted', '{id}', root_path => '/data', delete_types => '{gone}'),
    cxone_sync.add_target('marked', 'marked', '{id}', root_path => '/data', delete_types => '{gone}', mark_column => 'mark'),
    cxone_sync.add_target('paired', 'paired', '{k,n}', root_path => '/data', delete_types => '{gone}'),
    cxone_sync.map_field('deleted', 'id', '/id'), cxone_sync.map_field('marked', 'id', '/id'),
    cxone_sync.map_field('paired', 'k', '/pair/k'), cxone_sync.map_field('paired', 'n', '/pair/n');
SELECT name, time_order, keeps_extra, problem FROM cxone_sync.targets;

-- ---- sets of events ----

CREATE TABLE events (set integer, number integer, key integer, time timestamptz, is_deletion boolean, data jsonb, PRIMARY KEY (set, number));

CREATE FUNCTION one_of(VARIADIC choices jsonb[]) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
    SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;
CREATE FUNCTION random_data() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    data jsonb := '{}';
BEGIN
    IF random() < 0.4 THEN data := data || jsonb_build_object('a', test.one_of('"a"', '"b"', '"aa"', '""', '"é"', 'null')); END IF;
    IF random() < 0.4 THEN data := data || jsonb_build_object('b', test.one_of('-1', '0', '256', 'null')); END IF;
    IF random() < 0.4 THEN data := data || jsonb_build_object('c', test.one_of('"x"', '"y"', 'null')); END IF;
    IF random() < 0.4 THEN data := data || jsonb_build_object('d', test.one_of('1.5', '1.50', '{}', '[null]', '"s"', 'null')); END IF;
    IF random() < 0.4 THEN data := data || jsonb_build_object('x', test.one_of('1', '1.0', '"1"', '{"deep": null}', 'null')); END IF;
    IF random() < 0.3 THEN data := data || jsonb_build_object('y', test.one_of('true', '[]', 'null')); END IF;
    RETURN data;
END
$$;
CREATE PROCEDURE make_events(sets integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR set IN 1..sets LOOP
        INSERT INTO test.events
            SELECT set, number, floor(random() * (2 + set % 2)), '2020-01-01Z'::timestamptz + floor(random() * 4) * interval '1 hour', random() < 0.15, test.random_data()
            FROM generate_series(1, 1 + floor(random() * 12)::integer) AS number;
    END LOOP;
END
$$;

-- ---- what becomes of them ----

-- Rows and tombstones of one permutation have keys of their own, so that each begins with nothing.
CREATE FUNCTION id_of(set integer, permutation integer, key integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT concat_ws('.', set, permutation, key) $$;
CREATE FUNCTION payload(e test.events, permutation integer) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', test.id_of(e.set, permutation, e.key), 'pair', jsonb_build_object('k', test.id_of(e.set, permutation, e.key / 2), 'n', e.key % 2),
        'timestamp', to_char(e.time + CASE WHEN e.key = 1 THEN interval '1 hour' ELSE '0' END, 'YYYY-MM-DD"T"HH24:MI:SS') || CASE WHEN e.key = 1 THEN '+01:00' ELSE 'Z' END,
        'eventType', CASE WHEN e.is_deletion THEN 'gone' ELSE 'set' END)
        || CASE WHEN e.data = '{}' THEN '{}' ELSE jsonb_build_object('data', e.data) END
$$;

-- The first permutation comes one by one, the second in one delivery, the others in deliveries of any size; all but the first with repetitions.
CREATE PROCEDURE deliver(permutations integer) LANGUAGE plpgsql AS $$
DECLARE
    this_set integer;
    count integer;
    numbers integer[];
    first integer;
    size integer;
BEGIN
    FOR this_set, count IN SELECT e.set, count(*) FROM test.events AS e GROUP BY 1 ORDER BY 1 LOOP
        FOR permutation IN 1..permutations LOOP
            numbers := '{}';
            FOR number IN 1..count LOOP
                numbers := numbers || number;
                WHILE permutation > 1 AND random() < 0.25 LOOP
                    numbers := numbers || number;
                END LOOP;
            END LOOP;
            numbers := ARRAY(SELECT number FROM unnest(numbers) AS number ORDER BY random());
            first := 1;
            WHILE first <= cardinality(numbers) LOOP
                size := CASE permutation WHEN 1 THEN 1 WHEN 2 THEN cardinality(numbers) ELSE 1 + floor(random() * count) END;
                PERFORM cxone_sync.ingest(jsonb_build_object('events',
                    (SELECT jsonb_agg(test.payload(e, permutation) ORDER BY place)
                     FROM unnest(numbers[first:first + size - 1]) WITH ORDINALITY AS u(number, place) JOIN test.events AS e ON e.set = this_set AND e.number = u.number)));
                first := first + size;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

-- Texts, since jsonb takes 1.5 for 1.50.
CREATE VIEW results AS
    SELECT r.target, i[1] AS set, i[2] AS permutation, i[3] AS key, r.result
    FROM (SELECT 'deleted', id, (to_jsonb(t) - 'id')::text FROM deleted AS t UNION ALL
          SELECT 'marked', id, (to_jsonb(t) - 'id')::text FROM marked AS t UNION ALL
          SELECT 'paired', regexp_replace(k, '[0-9]+$', '') || 2 * regexp_replace(k, '^.*[.]', '')::integer + n, (to_jsonb(t) - '{k,n}'::text[])::text FROM paired AS t)
          AS r(target, id, result), CAST(string_to_array(r.id, '.') AS integer[]) AS i;

-- ---- the model ----

-- The row that the events of one key end in; null: none. Of each field the latest event after the newest deletion wins; at the
-- same time null, else the greater bytes; of members of extra the greater text. A mark is a field that every event carries; of equal times a deletion wins.
CREATE FUNCTION model(set integer, key integer, marks boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    newest_deletion constant timestamptz := (SELECT CASE WHEN marks THEN NULL ELSE max(o.time) END FROM test.events AS o
                                             WHERE o.set = model.set AND o.key = model.key AND o.is_deletion);
    e test.events;
    new test.fields;
    row test.fields;
    row_time timestamptz;
    mark timestamptz;
    extra jsonb;
    times jsonb := '{}';   -- of each field that an event has set
    member_times jsonb := '{}';
    name text;
    new_value record;
    old_value record;
    value jsonb;
BEGIN
    row.c := 'x';
    FOR e IN SELECT * FROM test.events AS o WHERE o.set = model.set AND o.key = model.key AND (newest_deletion IS NULL OR o.time > newest_deletion) ORDER BY random() LOOP
        row_time := greatest(row_time, e.time);
        new := jsonb_populate_record(NULL::test.fields, e.data);
        FOREACH name IN ARRAY '{a,b,c,d}'::text[] LOOP
            CONTINUE WHEN NOT e.data ? name;
            CASE name WHEN 'a' THEN new_value := ROW(new.a); old_value := ROW(row.a);
                      WHEN 'b' THEN new_value := ROW(new.b); old_value := ROW(row.b);
                      WHEN 'c' THEN new_value := ROW(new.c); old_value := ROW(row.c);
                      WHEN 'd' THEN new_value := ROW(new.d); old_value := ROW(row.d); END CASE;
            IF NOT times ? name OR e.time > (times ->> name)::timestamptz OR (e.time = (times ->> name)::timestamptz AND new_value *> old_value) THEN
                CASE name WHEN 'a' THEN row.a := new.a; WHEN 'b' THEN row.b := new.b; WHEN 'c' THEN row.c := new.c; WHEN 'd' THEN row.d := new.d; END CASE;
                times := times || jsonb_build_object(name, e.time);
            END IF;
        END LOOP;
        FOR name, value IN SELECT * FROM jsonb_each(e.data - '{a,b,c,d}'::text[]) LOOP
            IF NOT member_times ? name OR e.time > (member_times ->> name)::timestamptz
               OR (e.time = (member_times ->> name)::timestamptz AND extra -> name <> 'null' AND (value = 'null' OR value::text COLLATE "C" > (extra -> name)::text)) THEN
                extra := coalesce(extra, '{}') || jsonb_build_object(name, value);
                member_times := member_times || jsonb_build_object(name, e.time);
            END IF;
        END LOOP;
    END LOOP;
    IF row_time IS NULL THEN
        RETURN NULL;
    END IF;
    IF marks THEN
        mark := CASE WHEN (SELECT bool_or(o.is_deletion) FROM test.events AS o WHERE o.set = model.set AND o.key = model.key AND o.time = row_time) THEN row_time END;
        times := times || jsonb_build_object('mark', row_time);
    END IF;
    -- what goes without saying: a field with a value has the row's time, one without was never set
    SELECT nullif(coalesce(jsonb_object_agg(f.key, extract(epoch FROM t.time)::bigint * 1000000) FILTER (WHERE t.time IS DISTINCT FROM CASE WHEN f.value <> 'null' THEN row_time END), '{}')
                  || coalesce((SELECT jsonb_build_object('extra', jsonb_object_agg(m.key, extract(epoch FROM m.value::timestamptz)::bigint * 1000000))
                               FROM jsonb_each_text(member_times) AS m WHERE m.value::timestamptz <> row_time HAVING count(*) > 0), '{}'), '{}')
      INTO times FROM jsonb_each(to_jsonb(row) || CASE WHEN marks THEN jsonb_build_object('mark', mark) ELSE '{}' END) AS f, CAST(times ->> f.key AS timestamptz) AS t(time);
    RETURN to_jsonb(row) || CASE WHEN marks THEN jsonb_build_object('mark', mark) ELSE '{}' END
        || jsonb_build_object('extra', extra, 'field_times', times, 'updated_ts', row_time);
END
$$;

-- ---- the comparison ----

SELECT setseed(0.25);
CALL make_events(200);
CALL deliver(4);
CREATE TABLE expected AS
    SELECT target, set, key, model(set, key, target = 'marked') AS result FROM (SELECT DISTINCT set, key FROM events) AS e, unnest('{deleted,marked,paired}'::text[]) AS target;

SELECT count(*) AS dead_letters FROM cxone_sync.dead_letters;
-- permutations that end otherwise than the others
SELECT target, set, key, count(*) AS rows, array_agg(DISTINCT result) AS results FROM results
GROUP BY 1, 2, 3 HAVING count(*) <> 4 OR count(DISTINCT result) <> 1 ORDER BY set, key, target LIMIT 5;
-- and otherwise than the model
SELECT target, set, key, permutation, x.result AS expected, r.result FROM expected AS x CROSS JOIN generate_series(1, 4) AS permutation LEFT JOIN results AS r USING (target, set, key, permutation)
WHERE r.result IS DISTINCT FROM x.result ORDER BY set, key, target, permutation LIMIT 5;
SELECT count(*) AS strangers FROM results AS r LEFT JOIN expected AS x USING (target, set, key) WHERE x.result IS NULL;
-- tombstones keep the newest deletion of each key
SELECT t.target, t.key, t.deleted_ts FROM (SELECT c.name AS target, key, deleted_ts FROM cxone_sync.tombstones JOIN cxone_sync.target_config AS c USING (relation)) AS t FULL JOIN
    (SELECT target, CASE target WHEN 'deleted' THEN id_of(set, permutation, key) ELSE format('{%s,%s}', key % 2, id_of(set, permutation, key / 2)) END AS key, max(time) AS deleted_ts
     FROM events, generate_series(1, 4) AS permutation, unnest('{deleted,paired}'::text[]) AS target WHERE is_deletion GROUP BY 1, 2) AS x USING (target, key)
WHERE t.deleted_ts IS DISTINCT FROM x.deleted_ts LIMIT 5;

-- the sets have held each kind of case
SELECT target, count(*) > 200 AS keys, count(*) FILTER (WHERE result IS NULL) > 20 AS none, count(*) FILTER (WHERE result::jsonb -> 'field_times' ? 'a') > 20 AS fields_of_other_times,
    count(*) FILTER (WHERE result::jsonb -> 'field_times' -> 'extra' ? 'x') > 30 AS members_of_other_times,
    count(*) FILTER (WHERE result::jsonb -> 'field_times' -> 'c' = 'null') > 30 AS defaults,
    count(*) FILTER (WHERE result IS NOT NULL AND (SELECT bool_or(is_deletion) FROM events AS e WHERE e.set = x.set AND e.key = x.key)) > 30 AS outlived,
    count(*) FILTER (WHERE result::jsonb ->> 'mark' IS NOT NULL) > 20 AS marked
FROM expected AS x GROUP BY 1 ORDER BY 1;
SELECT name, count(*) > 20 AS ties, count(*) FILTER (WHERE nulls) > 10 AS with_null
FROM (SELECT name, bool_or(data -> name = 'null') AS nulls FROM events, unnest('{a,b,c,d,x,y}'::text[]) AS name WHERE data ? name
      GROUP BY set, key, time, name HAVING count(DISTINCT (data -> name)::text) > 1) AS t GROUP BY 1 ORDER BY 1;

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
