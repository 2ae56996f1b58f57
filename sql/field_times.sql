-- A time for each field: partial events that arrive in any order converge.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE SCHEMA test;
SET search_path = test, cxone_sync;
\pset null '(null)'

-- whoever owns a target may call them
CREATE ROLE regress_field_times;
SET ROLE regress_field_times;
SELECT cxone_sync.field_time(NULL, 'a', false, to_timestamp(1));
RESET ROLE;
DROP ROLE regress_field_times;
SELECT proname, provolatile, proparallel, proisstrict FROM pg_proc
WHERE pronamespace = 'cxone_sync'::regnamespace AND proname ~ '^(field_time|merge_|extra_wins|reset_(field|extra))' ORDER BY 1;

-- the time of a field: its entry, else the row's time if it is set, else never
SELECT name, is_null, field_time(times, name, is_null, row_time)
FROM (VALUES (NULL::jsonb, to_timestamp(5)), (NULL, NULL), ('{"a": 3000000, "b": null}', to_timestamp(5)), ('{"a": 3000000, "b": null}', NULL)) AS r(times, row_time),
    unnest('{a,b,c}'::text[]) AS name, unnest('{f,t}'::boolean[]) AS is_null ORDER BY times, row_time, name, is_null;
SELECT field_time('{}', 'a', false, to_timestamp(5)), field_time('{"a": 3}', NULL, false, NULL), field_time('{"a": 3}', 'a', NULL, NULL), field_time('{"": 3}', '', true, NULL);
-- before 1970, the least and the greatest time, and those that JSON has no number for
SELECT t, field_times, field_time(field_times, 'a', true, NULL)
FROM unnest('{1969-12-31 23:59:59.999999Z,0001-01-01 00:00:00Z BC,4714-11-24 00:00:00Z BC,294246-12-31 00:00:00Z,294276-12-31 23:59:59.999999Z}'::timestamptz[]) AS t,
    merge_field_times(NULL, NULL, t, '{a}', '{t}', '{t}', NULL, NULL) AS field_times;
SELECT merge_field_times(NULL, 'infinity', to_timestamp(5), '{a,b}', '{f,f}', '{f,NULL}', NULL, NULL), merge_field_times('{"a": 5000000}', '-infinity', to_timestamp(5), '{a,b}', '{f,f}', '{f,NULL}', NULL, NULL);

-- a row's first event: what it does not carry was never set, DEFAULT or not
SELECT merge_field_times(NULL, NULL, to_timestamp(5), '{a,b,c}', '{t,t,f}', '{f,f,f}', NULL, NULL) AS all_set,
    merge_field_times(NULL, NULL, to_timestamp(5), '{a,b,c}', '{t,t,f}', '{f,t,f}', NULL, NULL) AS b_null,
    merge_field_times(NULL, NULL, to_timestamp(5), '{a,b,c}', '{t,t,f}', '{f,NULL,f}', NULL, NULL) AS no_b,
    merge_field_times(NULL, NULL, to_timestamp(5), '{a,b,c}', '{t,t,f}', '{f,f,NULL}', NULL, NULL) AS no_c,
    merge_field_times(NULL, NULL, to_timestamp(5), '{a,b,c}', '{t,t,f}', '{f,f,t}', NULL, NULL) AS c_null;
SELECT merge_field_times(NULL, NULL, to_timestamp(5), '{a}', '{t}', '{f}', NULL, '{"x": 1, "y": null}') AS extra, merge_field_times(NULL, NULL, to_timestamp(5), '{}', '{}', '{}', NULL, NULL) AS no_columns;
-- a later event: what it carries gets the row's new time, the rest keeps its own
SELECT times, new_nulls, merge_field_times(times, to_timestamp(5), to_timestamp(6), '{a,b}', '{f,t}', new_nulls, NULL, NULL)
FROM (VALUES (NULL::jsonb), ('{"a": null, "b": 2000000}'), ('{"a": 4000000}'), ('{"a": 6000000}')) AS r(times),
    (VALUES ('{f,f}'::boolean[]), ('{f,NULL}'), ('{NULL,f}'), ('{t,NULL}'), ('{NULL,t}'), ('{NULL,NULL}')) AS e(new_nulls) ORDER BY times, new_nulls;
-- an older event: it fills what is older still
SELECT times, new_nulls, merge_field_times(times, to_timestamp(5), to_timestamp(3), '{a,b}', '{f,t}', new_nulls, NULL, NULL)
FROM (VALUES (NULL::jsonb), ('{"a": null, "b": 2000000}'), ('{"a": 4000000, "b": 4000000}')) AS r(times),
    (VALUES ('{f,f}'::boolean[]), ('{t,t}')) AS e(new_nulls) ORDER BY times, new_nulls;
-- an event of the row's time, and of the field's: null wins
SELECT times, event_time, new_nulls, merge_field_times(times, to_timestamp(5), event_time, '{a,b}', '{f,t}', new_nulls, NULL, NULL)
FROM (VALUES (NULL::jsonb, to_timestamp(5)), ('{"a": 3000000, "b": 3000000}', to_timestamp(5)), ('{"a": 3000000, "b": 3000000}', to_timestamp(3))) AS r(times, event_time),
    (VALUES ('{f,f}'::boolean[]), ('{t,t}'), ('{NULL,NULL}')) AS e(new_nulls) ORDER BY times, event_time, new_nulls;
-- a row that somebody else made: no event has set its fields
SELECT merge_field_times(NULL, NULL, to_timestamp(5), '{a,b,c}', '{f,f,t}', '{f,NULL,NULL}', '{"x": 1, "y": 2}', '{"x": 2}');
-- columns that are gone, and a column of the name extra
SELECT merge_field_times('{"gone": 1000000, "was": null, "odd": {}}', to_timestamp(5), to_timestamp(6), '{a}', '{f}', '{f}', NULL, NULL),
    merge_field_times('{"extra": 3000000}', to_timestamp(5), to_timestamp(6), '{a,extra}', '{f,f}', '{f,NULL}', NULL, NULL);

-- columns that no event writes keep what they have; extra may have another name; what extra holds a value for as well has its time in any case
SELECT merge_field_times('{"kept": 1000000, "was": null, "gone": 1000000}', to_timestamp(5), to_timestamp(6), '{a}', '{f}', '{f}', NULL, NULL, kept => '{kept,was,none}'),
    reset_field_times('{"kept": 1000000, "a": 2000000}', to_timestamp(5), to_timestamp(3), '{a}', '{f}', '{t}', NULL, kept => '{kept}');
SELECT merge_field_times('{"extra": {"x": 1000000}, "e 2": {"y": 2000000}}', to_timestamp(5), to_timestamp(6), '{}', '{}', '{}', '{"x": 1, "y": 1}', '{"z": 1}', extra_name => 'e 2'),
    merge_extra('{"x": 1, "y": 1}', '{"x": 2, "y": 2}', '{"extra": {"x": 1000000}, "e 2": {"y": 2000000}}', to_timestamp(5), to_timestamp(3), 'e 2'),
    extra_wins('{"x": 1}', '{"x": 2}', '{"extra": {"x": 1000000}}', to_timestamp(5), to_timestamp(3), 'e 2'),
    reset_extra('{"x": 1, "y": 1}', '{"e 2": {"y": 2000000}}', to_timestamp(5), to_timestamp(3), 'e 2'),
    reset_field_times('{"e 2": {"x": 4000000, "y": 2000000}}', to_timestamp(5), to_timestamp(3), '{}', '{}', '{}', '{"x": 1, "y": 1}', extra_name => 'e 2');
SELECT merge_field_times(NULL, to_timestamp(5), to_timestamp(6), '{a,b,c}', '{f,f,t}', '{f,NULL,NULL}', NULL, NULL, shadowed => '{t,t,t}'),
    merge_field_times(NULL, to_timestamp(6), to_timestamp(5), '{a,b,c}', '{f,f,t}', '{f,NULL,NULL}', NULL, NULL, shadowed => '{t,f,t}'),
    reset_field_times(NULL, to_timestamp(6), to_timestamp(5), '{a,b}', '{f,f}', '{t,t}', NULL, shadowed => '{t,f}');
SELECT merge_field_times(NULL, NULL, to_timestamp(5), '{a}', '{t}', '{f}', NULL, '{}', extra_name => NULL);
SELECT merge_field_times(NULL, NULL, to_timestamp(5), '{a}', '{t}', '{f}', NULL, NULL, shadowed => '{t,f}');

-- members of extra: later wins; at the same time null, else the greater text; one that was taken out of the row keeps its entry
SELECT old, new, event_time, extra_wins(old, new, times, row_time, event_time), merge_extra(old, new, times, row_time, event_time),
    merge_field_times(times, row_time, event_time, '{}', '{}', '{}', old, new)
FROM (VALUES (NULL::jsonb, NULL::jsonb, to_timestamp(5)), ('{"x": 1, "y": 2}', NULL, to_timestamp(5)), ('{"x": 1, "y": 2}', '{"extra": {"x": null}}', to_timestamp(5)),
    ('{}', '{"extra": {"x": 5000000, "y": null}}', to_timestamp(5)), ('{"x": 1}', NULL, NULL)) AS r(old, times, row_time),
    (VALUES (NULL::jsonb), ('{"x": 1}'), ('{"x": null, "z": "new"}')) AS e(new),
    (VALUES (to_timestamp(4)), (to_timestamp(5)), (to_timestamp(6))) AS t(event_time)
ORDER BY old, times, row_time, new, event_time;
SELECT event_time, extra_wins(old, new, times, to_timestamp(5), event_time), merge_extra(old, new, times, to_timestamp(5), event_time),
    merge_field_times(times, to_timestamp(5), event_time, '{}', '{}', '{}', old, new)
FROM (VALUES ('{"x": 1, "y": null}'::jsonb, '{"x": 2, "y": 2, "z": 2}'::jsonb, '{"extra": {"x": 2000000, "y": null, "z": 3000000}}'::jsonb)) AS r(old, new, times),
    generate_series(1, 6) AS n, to_timestamp(n) AS event_time;
SELECT old, new, extra_wins(old, new, NULL, to_timestamp(5), to_timestamp(5)), merge_extra(old, new, NULL, to_timestamp(5), to_timestamp(5))
FROM (VALUES ('null'::jsonb), ('1'), ('1.0'), ('10'), ('"1"'), ('true'), ('[]'), ('[1]'), ('{"k": null}')) AS a(a), (VALUES ('null'::jsonb), ('1'), ('"é"'), ('{"k": null}')) AS b(b),
    jsonb_build_object('x', a) AS old, jsonb_build_object('x', b) AS new ORDER BY old::text COLLATE "C", new::text COLLATE "C";
-- nothing is rewritten for nothing, and members keep all they hold
SELECT merge_extra('{}', '{}', NULL, NULL, to_timestamp(5)), merge_extra(NULL, '{}', NULL, NULL, to_timestamp(5)),
    merge_extra('{"x": {"deep": [1, {"k": null}]}, "n": 1.50}', '{"y": {"deep": [[], {}]}, "n": 1e2}', NULL, to_timestamp(5), to_timestamp(6));
SELECT count(*), merge_extra(jsonb_object_agg('k' || i, i), jsonb_object_agg('k' || i, -i) FILTER (WHERE i % 2 = 0), NULL, to_timestamp(5), to_timestamp(6))
    = jsonb_object_agg('k' || i, CASE WHEN i % 2 = 0 THEN -i ELSE i END) AS merged FROM generate_series(1, 500) AS i;

-- a deletion after newer fields: what is not newer was never set
SELECT deleted_time, reset_field_times(times, to_timestamp(5), deleted_time, '{a,b,c,d}', '{f,f,t,t}', '{t,f,t,f}', extra), reset_extra(extra, times, to_timestamp(5), deleted_time)
FROM (VALUES ('{"a": 2000000, "b": 3000000, "c": 4000000, "gone": 4000000, "extra": {"x": 2000000, "y": null, "was": 4000000}}'::jsonb, '{"x": 1, "y": null, "z": [3]}'::jsonb)) AS r(times, extra),
    generate_series(1, 5) AS n, to_timestamp(n) AS deleted_time;
SELECT reset_field_times(NULL, to_timestamp(5), to_timestamp(4), '{a,b}', '{f,t}', '{t,f}', '{"x": 1}') AS newer, reset_extra('{"x": 1}', NULL, to_timestamp(5), to_timestamp(4)) AS newer,
    reset_field_times(NULL, NULL, to_timestamp(4), '{a,b}', '{f,t}', '{t,f}', NULL) AS never, reset_extra('{"x": 1}', NULL, NULL, to_timestamp(4)) AS never,
    reset_extra('{}', NULL, NULL, to_timestamp(4)), reset_extra(NULL, NULL, NULL, to_timestamp(4));

-- what is refused
CREATE FUNCTION outcome(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    hint text;
BEGIN
    EXECUTE 'SELECT (' || expression || ')::text' INTO result;
    RETURN 'no error: ' || coalesce(result, '(null)');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' ', sqlstate, sqlerrm, '/ ' || nullif(hint, ''));
END
$$;
SELECT times, outcome(format('field_time(%L, ''a'', false, now())', times)) FROM unnest(ARRAY['[]', '"a"', 'null', '1', '{"a": "1"}', '{"a": 1.5}', '{"a": 1.0}', '{"a": true}', '{"a": {}}',
    '{"a": []}', '{"a": 9223372036854775808}', '{"a": -9223372036854775808}', '{"a": 1e40}']) AS times;
SELECT times, outcome(format('merge_extra(NULL, ''{"x": 1}'', %L, now(), now())', times)) FROM unnest(ARRAY['[]', '{"extra": 1}', '{"extra": null}', '{"extra": []}', '{"extra": {"x": "1"}}', '{"extra": {"y": "1"}}']) AS times;
SELECT outcome(call) FROM unnest(ARRAY[
    'merge_field_times(''{"a": "1"}'', now(), now(), ''{a}'', ''{f}'', ''{NULL}'', NULL, NULL)',
    'merge_field_times(''{"extra": 1}'', now(), now(), ''{}'', ''{}'', ''{}'', NULL, ''{}'')',
    'merge_field_times(''{"extra": {"x": "1"}}'', now(), now(), ''{}'', ''{}'', ''{}'', NULL, NULL)',
    'reset_field_times(''{"a": "1"}'', now(), now(), ''{a}'', ''{f}'', ''{f}'', NULL)',
    'reset_field_times(''{"extra": 1}'', now(), now(), ''{}'', ''{}'', ''{}'', ''{}'')',
    'reset_extra(''{"x": 1}'', ''{"extra": {"x": "1"}}'', now(), now())']) AS call;
SELECT extra, outcome(format('extra_wins(NULL, %L, NULL, NULL, now())', extra)) AS new_extra, outcome(format('reset_extra(%L, NULL, NULL, now())', extra)) AS old_extra FROM unnest(ARRAY['[]', 'null', '"x"', '1']) AS extra;
SELECT outcome(call) FROM unnest(ARRAY[
    'merge_extra(NULL, ''[]'', NULL, NULL, now())', 'merge_extra(''[]'', NULL, NULL, NULL, now())',
    'merge_field_times(NULL, NULL, now(), ''{}'', ''{}'', ''{}'', NULL, ''[]'')', 'merge_field_times(NULL, NULL, now(), ''{}'', ''{}'', ''{}'', ''[]'', NULL)',
    'merge_field_times(NULL, NULL, NULL, ''{}'', ''{}'', ''{}'', NULL, NULL)', 'merge_extra(NULL, NULL, NULL, NULL, ''infinity'')', 'extra_wins(NULL, NULL, NULL, NULL, NULL)',
    'reset_extra(NULL, NULL, NULL, ''-infinity'')', 'reset_field_times(NULL, NULL, NULL, ''{}'', ''{}'', ''{}'', NULL)',
    'merge_field_times(NULL, NULL, now(), NULL, ''{}'', ''{}'', NULL, NULL)', 'merge_field_times(NULL, NULL, now(), ''{NULL}'', ''{t}'', ''{t}'', NULL, NULL)',
    'merge_field_times(NULL, NULL, now(), ''{a}'', ''{NULL}'', ''{t}'', NULL, NULL)', 'merge_field_times(NULL, NULL, now(), ''{a}'', ''{t}'', ''{t,t}'', NULL, NULL)',
    'reset_field_times(NULL, NULL, now(), ''{a}'', ''{t}'', ''{NULL}'', NULL)', 'reset_field_times(NULL, NULL, now(), ''{a,b}'', ''{t}'', ''{t,t}'', NULL)']) AS call;

-- Random events, in random orders with repetitions, against what each field's winner has to be. The random numbers differ between
-- versions of PostgreSQL, the answer does not.
CREATE TABLE target (id integer PRIMARY KEY, ts timestamptz, a text, b text, c text DEFAULT 'default', extra jsonb, field_times jsonb);
CREATE TABLE deletion (id integer PRIMARY KEY, ts timestamptz NOT NULL);

CREATE FUNCTION wins(carried boolean, new text, new_time timestamptz, old text, old_time timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT carried AND (new_time > old_time OR new_time = old_time AND ROW(new)::pg_catalog.record OPERATOR(pg_catalog.*>) ROW(old)::pg_catalog.record)
$$;
CREATE FUNCTION time_of(t target, name text, is_null boolean) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT field_time(t.field_times, name, is_null, t.ts)
$$;
CREATE FUNCTION new_nulls(e jsonb) RETURNS boolean[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[e -> 'a' = 'null', e -> 'b' = 'null', e -> 'c' = 'null']
$$;
CREATE FUNCTION upsert(e jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    INSERT INTO target AS t VALUES (1, (e ->> 'ts')::timestamptz, e ->> 'a', e ->> 'b', CASE WHEN e ? 'c' THEN e ->> 'c' ELSE 'default' END, e -> 'extra',
        merge_field_times(NULL, NULL, (e ->> 'ts')::timestamptz, '{a,b,c}', '{t,t,f}', new_nulls(e), NULL, e -> 'extra'))
    ON CONFLICT (id) DO UPDATE SET
        ts = greatest(t.ts, excluded.ts),
        a = CASE WHEN wins(e ? 'a', excluded.a, excluded.ts, t.a, time_of(t, 'a', t.a IS NULL)) THEN excluded.a ELSE t.a END,
        b = CASE WHEN wins(e ? 'b', excluded.b, excluded.ts, t.b, time_of(t, 'b', t.b IS NULL)) THEN excluded.b ELSE t.b END,
        c = CASE WHEN wins(e ? 'c', excluded.c, excluded.ts, t.c, time_of(t, 'c', t.c IS NULL)) THEN excluded.c ELSE t.c END,
        extra = merge_extra(t.extra, excluded.extra, t.field_times, t.ts, excluded.ts),
        field_times = merge_field_times(t.field_times, t.ts, excluded.ts, '{a,b,c}', ARRAY[t.a IS NULL, t.b IS NULL, t.c IS NULL], new_nulls(e), t.extra, excluded.extra)
    WHERE excluded.ts > t.ts
        OR wins(e ? 'a', excluded.a, excluded.ts, t.a, time_of(t, 'a', t.a IS NULL))
        OR wins(e ? 'b', excluded.b, excluded.ts, t.b, time_of(t, 'b', t.b IS NULL))
        OR wins(e ? 'c', excluded.c, excluded.ts, t.c, time_of(t, 'c', t.c IS NULL))
        OR extra_wins(t.extra, excluded.extra, t.field_times, t.ts, excluded.ts);
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
CREATE FUNCTION delete_at(deleted_time timestamptz) RETURNS void LANGUAGE sql AS $$
    INSERT INTO deletion AS d VALUES (1, deleted_time) ON CONFLICT (id) DO UPDATE SET ts = greatest(d.ts, excluded.ts);
    DELETE FROM target WHERE ts <= deleted_time;
    UPDATE target t SET
        a = CASE WHEN time_of(t, 'a', a IS NULL) > deleted_time THEN a END,
        b = CASE WHEN time_of(t, 'b', b IS NULL) > deleted_time THEN b END,
        c = CASE WHEN time_of(t, 'c', c IS NULL) > deleted_time THEN c ELSE 'default' END,
        extra = reset_extra(extra, field_times, ts, deleted_time),
        field_times = reset_field_times(field_times, ts, deleted_time, '{a,b,c}', ARRAY[a IS NULL, b IS NULL, c IS NULL], '{t,t,f}', extra)
$$;
-- Applies an event; returns how often it changes the row after that, which must be 0.
CREATE FUNCTION apply(e jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF e ? 'deleted' THEN
        PERFORM delete_at((e ->> 'ts')::timestamptz);
        RETURN 0;
    END IF;
    IF EXISTS (SELECT FROM deletion WHERE ts >= (e ->> 'ts')::timestamptz) THEN
        RETURN 0;
    END IF;
    PERFORM upsert(e);
    RETURN upsert(e);
END
$$;

CREATE FUNCTION random_event(deletions double precision) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    e jsonb := jsonb_build_object('ts', to_timestamp(floor(random() * 4)));
    extra jsonb := '{}';
    name text;
BEGIN
    IF random() < deletions THEN
        RETURN e || '{"deleted": true}';
    END IF;
    FOREACH name IN ARRAY '{a,b,c}'::text[] LOOP
        IF random() < 0.5 THEN e := e || jsonb_build_object(name, '["p", "pq", "default", null]'::jsonb -> floor(random() * 4)::integer); END IF;
    END LOOP;
    FOREACH name IN ARRAY '{x,y}'::text[] LOOP
        IF random() < 0.4 THEN extra := extra || jsonb_build_object(name, '[null, 1, "1", [1, null], {"k": null}]'::jsonb -> floor(random() * 5)::integer); END IF;
    END LOOP;
    RETURN CASE WHEN extra = '{}' THEN e ELSE e || jsonb_build_object('extra', extra) END;
END
$$;

-- The winner of each field among the events, and its time.
CREATE FUNCTION winners(events jsonb[]) RETURNS TABLE (name text, value jsonb, ts timestamptz) LANGUAGE sql AS $$
    SELECT DISTINCT ON (f.key) f.key, f.value, (e ->> 'ts')::timestamptz
    FROM unnest(events) AS e, LATERAL (SELECT * FROM jsonb_each(e) UNION ALL SELECT 'extra.' || key, value FROM jsonb_each(e -> 'extra')) AS f
    WHERE f.key NOT IN ('ts', 'extra') AND (e ->> 'ts')::timestamptz > ALL (SELECT (d ->> 'ts')::timestamptz FROM unnest(events) AS d WHERE d ? 'deleted')
    ORDER BY f.key, (e ->> 'ts')::timestamptz DESC, f.value = 'null' DESC, CASE WHEN f.key LIKE 'extra.%' THEN f.value::text ELSE f.value #>> '{}' END COLLATE "C" DESC
$$;
-- The row and the times of all its fields, as they are and as they have to be.
CREATE FUNCTION actual() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('ts', ts, 'a', a, 'b', b, 'c', c, 'extra', extra, 'times', jsonb_object_agg(name, time) FILTER (WHERE time > '-infinity'))
    FROM target t, LATERAL (SELECT name, time_of(t, name, to_jsonb(t) -> name = 'null') AS time FROM unnest('{a,b,c}'::text[]) AS name
        UNION ALL SELECT 'extra.' || name, field_time(field_times -> 'extra', name, NOT coalesce(extra, '{}') ? name, ts) FROM unnest('{x,y}'::text[]) AS name) AS f
    GROUP BY t.*, ts, a, b, c, extra
$$;
CREATE FUNCTION wanted(events jsonb[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('ts', max((e ->> 'ts')::timestamptz), 'a', w -> 'a', 'b', w -> 'b', 'c', coalesce(w -> 'c', '"default"'),
        'extra', (SELECT jsonb_object_agg(substr(name, 7), value) FROM winners(events) WHERE name LIKE 'extra.%'),
        'times', (SELECT jsonb_object_agg(name, ts) FROM winners(events)))
    FROM unnest(events) AS e, (SELECT jsonb_object_agg(name, value) AS w FROM winners(events)) AS w
    WHERE (e ->> 'ts')::timestamptz > ALL (SELECT (d ->> 'ts')::timestamptz FROM unnest(events) AS d WHERE d ? 'deleted')
    GROUP BY w
$$;
CREATE FUNCTION differences(sets integer, deletions double precision) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    events jsonb[];
    shuffled jsonb[];
    first target;
    row target;
    changes bigint;
BEGIN
    FOR i IN 1 .. sets LOOP
        events := ARRAY(SELECT random_event(deletions) FROM generate_series(1, 1 + floor(random() * 7)::integer));
        FOR j IN 1 .. 4 LOOP
            DELETE FROM target;
            DELETE FROM deletion;
            -- each at least once
            shuffled := ARRAY(SELECT e FROM unnest(events || events) WITH ORDINALITY AS u(e, n) WHERE n <= cardinality(events) OR random() < 0.3 ORDER BY random());
            SELECT sum(apply(e)) INTO changes FROM unnest(shuffled) AS e;
            SELECT * INTO row FROM target;
            IF j = 1 THEN
                first := row;
            END IF;
            IF changes <> 0 OR row::text IS DISTINCT FROM first::text OR actual() IS DISTINCT FROM wanted(events) THEN
                RETURN NEXT format('%s changes: %s %s, not %s, and before %s', changes, row, actual(), wanted(events), first);
                RETURN NEXT shuffled::text;
                RETURN;
            END IF;
        END LOOP;
    END LOOP;
END
$$;
SELECT setseed(0.3);
SELECT * FROM differences(200, 0);
SELECT * FROM differences(200, 0.2);

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
