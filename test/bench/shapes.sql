-- What test/bench/shapes measures: batches that are the same but for one thing, given to ingest() in interleaved rounds.
-- :partitions, :events and :rounds are set by it.
SET client_min_messages = warning;

-- ---- the tables ----

CREATE TABLE bench.plain (id text PRIMARY KEY, a text, b text, c text, d text, e text, updated_ts timestamptz);
CREATE TABLE bench.fields (LIKE bench.plain INCLUDING INDEXES, field_times jsonb);
CREATE TABLE bench.whole (id text, day date, a text, b text, updated_ts timestamptz, PRIMARY KEY (id, day));
CREATE TABLE bench.parts (LIKE bench.whole INCLUDING INDEXES) PARTITION BY RANGE (day);
CREATE TABLE bench.parents (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE bench.children (id text PRIMARY KEY, parent text REFERENCES bench.parents, updated_ts timestamptz);
CREATE TABLE bench.places (id text PRIMARY KEY, place integer UNIQUE, updated_ts timestamptz);
SELECT format('CREATE TABLE bench.part_%s PARTITION OF bench.parts FOR VALUES FROM (%L) TO (%L)', i, '2010-01-01'::date + i, '2010-01-01'::date + i + 1)
FROM generate_series(0, :partitions - 1) AS i \gexec
SELECT format('ALTER TABLE %s OWNER TO cxone_sync', oid::regclass) FROM pg_class WHERE relnamespace = 'bench'::regnamespace AND relkind IN ('r', 'p') \gexec
GRANT USAGE ON SCHEMA bench TO cxone_sync;
SELECT cxone_sync.add_target(name, ('bench.' || name)::regclass, key, event_types => ARRAY[name], delete_types => CASE WHEN 'day' = ANY (key) THEN ARRAY[name || ' gone'] END)
FROM (VALUES ('plain', '{id}'::text[]), ('fields', '{id}'), ('whole', '{id,day}'), ('parts', '{id,day}'), ('parents', '{id}'), ('children', '{id}'), ('places', '{id}')) AS t (name, key) \g /dev/null

-- ---- the events ----

-- A time that is the later the greater `at` is.
CREATE FUNCTION bench.at(at integer) RETURNS text LANGUAGE sql IMMUTABLE RETURN to_char(timestamp '2026-01-01' + at * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
-- Members of event number n of a kind, by what they are about.
CREATE FUNCTION bench.sets(n integer, sets integer) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('a', 'some text ' || n, 'b', 'other text', (ARRAY['c', 'd', 'e'])[1 + (hashint4(n) & 65535) % sets], 'a third text');
CREATE FUNCTION bench.all_columns(n integer, at integer) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('a', 'some text ' || n, 'b', 'other text', 'c', 'text number ' || at, 'd', 'a fourth text', 'e', 'and a fifth');
CREATE FUNCTION bench.day(n integer, days integer) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('day', '2010-01-01'::date + ((hashint4(n) & 65535) % days) * (:partitions / days), 'a', 'some text ' || n, 'b', 'other text');
CREATE FUNCTION bench.events(type text, first integer, last integer, at integer, members text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE events jsonb;
BEGIN
    EXECUTE format($q$SELECT jsonb_agg(jsonb_build_object('eventType', $1, 'id', 'id ' || n, 'timestamp', bench.at(%L)) || %s ORDER BY n)
        FROM generate_series($2, $3) AS n$q$, at, replace(members, ':at', at::text)) INTO events USING type, first, last;
    RETURN jsonb_build_object('events', events);
END $$;

-- ---- what is compared ----

CREATE TABLE bench.steps (comparison text, is_other boolean, place integer, step text, type text, at integer, members text, events integer, batch integer);
INSERT INTO bench.steps
SELECT '1: three column sets to one', is_other, place, step, 'plain', at, format('bench.sets(n, %s)', sets), :events, :events
FROM (VALUES (false, 1), (true, 3)) AS v (is_other, sets), (VALUES (1, 'new', 1), (2, 'update', 2)) AS s (place, step, at);
INSERT INTO bench.steps
SELECT '2: field order to row order', is_other, place, step, type, at, 'bench.all_columns(n, :at)', :events, :events
FROM (VALUES (false, 'plain'), (true, 'fields')) AS v (is_other, type), (VALUES (1, 'new', 1), (2, 'update', 2), (3, 'repeated', 2), (4, 'late', 1)) AS s (place, step, at);
INSERT INTO bench.steps
SELECT format('%s: %s partitions to none, %s at a time, of %s days', number, :partitions, batch, days), is_other, place, step,
       type || CASE WHEN step = 'deletion' THEN ' gone' ELSE '' END, at, format('bench.day(n, %s)', days) || CASE WHEN step = 'partial' THEN ' - ''a''' ELSE '' END, events, batch
FROM (VALUES (false, 'whole'), (true, 'parts')) AS v (is_other, type), (VALUES (3, 1, 50, 50), (4, :events, :events, 1), (5, 100, 100, 10)) AS b (number, batch, events, days),
     (VALUES (1, 'new', 2), (2, 'update', 3), (3, 'partial', 4), (4, 'repeated', 4), (5, 'late', 1), (6, 'deletion', 5), (7, 'late, of a deleted row', 1)) AS s (place, step, at);

CREATE TABLE bench.times (comparison text, is_other boolean, place integer, step text, round integer, ms float8);
CREATE PROCEDURE bench.compare(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    v record;
    s bench.steps;
    payloads jsonb[];
    payload jsonb;
    start timestamptz;
BEGIN
    FOR round IN 0 .. rounds LOOP -- the first is not counted
        FOR v IN SELECT DISTINCT comparison, is_other FROM bench.steps ORDER BY 1, 2 LOOP
            DELETE FROM bench.parts;
            TRUNCATE bench.plain, bench.fields, bench.whole, cxone_sync.tombstones;
            COMMIT;
            FOR s IN SELECT * FROM bench.steps WHERE comparison = v.comparison AND is_other = v.is_other ORDER BY place LOOP
                SELECT array_agg(bench.events(s.type, first, first + s.batch - 1, s.at, s.members)) INTO payloads FROM generate_series(1, s.events, s.batch) AS first;
                start := clock_timestamp();
                FOREACH payload IN ARRAY payloads LOOP
                    PERFORM cxone_sync.ingest(payload);
                END LOOP;
                INSERT INTO bench.times VALUES (s.comparison, s.is_other, s.place, s.step, round, extract(epoch FROM clock_timestamp() - start) * 1000);
                COMMIT;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

-- ---- what has to be written event by event ----

CREATE FUNCTION bench.exact(payload jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz := clock_timestamp();
    reply jsonb := cxone_sync.ingest(payload);
    ms float8 := extract(epoch FROM clock_timestamp() - start) * 1000;
BEGIN
    DELETE FROM bench.children;
    DELETE FROM bench.parents;
    DELETE FROM bench.places;
    RETURN format('%6s ms   %s', round(ms), reply);
END $$;

-- ---- the run ----

CALL bench.compare(:rounds);
\echo
\echo 'Batches by ingest(): median of' :rounds 'rounds in ms, and their ratio'
SELECT format('%-58s %-24s %9s %9s %7s', comparison, step, round(base::numeric, 1), round(other::numeric, 1), round((other / base)::numeric, 2))
FROM (SELECT comparison, place, step, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE NOT is_other) AS base,
             percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE is_other) AS other
      FROM bench.times WHERE round > 0 GROUP BY 1, 2, 3) AS t ORDER BY comparison, place;
\echo
\echo 'Written event by event:' :events 'events'
SELECT 'children without a parent             ' || bench.exact(bench.events('children', 1, :events, 1, '''{"parent": "nobody"}'''));
SELECT 'children before their parents         ' || bench.exact(jsonb_build_object('events',
    (bench.events('children', 1, :events / 2, 1, 'jsonb_build_object(''parent'', ''parent '' || n)') -> 'events') ||
    (bench.events('parents', 1, :events / 2, 1, 'jsonb_build_object(''id'', ''parent '' || n)') -> 'events')));
SELECT 'one place for all                     ' || bench.exact(bench.events('places', 1, :events, 1, '''{"place": 1}'''));
SELECT 'places that are given up later        ' || bench.exact(jsonb_build_object('events',
    (bench.events('places', 1, :events / 2, 1, 'jsonb_build_object(''place'', n)') -> 'events') ||
    (bench.events('places', 1, :events / 2, 2, 'jsonb_build_object(''place'', n + 1)') -> 'events')));
