-- Random deliveries against a plain model of the rules, event by event. The random numbers differ between versions of
-- PostgreSQL, the answer does not.
\set VERBOSITY terse
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
ALTER TABLE cxone_sync.contact_records DROP COLUMN field_times; -- for its order in time to be that of rows
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;
SET search_path = test;

ALTER TABLE cxone_sync.contact_records ADD COLUMN number integer, ADD COLUMN n integer, ADD COLUMN q numeric, ADD COLUMN yes boolean, ADD COLUMN doc jsonb, ADD COLUMN raw json,
    ADD COLUMN list text[], ADD COLUMN small integer CHECK (small < 100), ADD COLUMN stamp timestamptz, ADD COLUMN "Odd ""name" text;
CREATE TABLE model (LIKE cxone_sync.contact_records);
ALTER TABLE model ADD PRIMARY KEY (id), ALTER COLUMN sync_status SET DEFAULT 'pending';

CREATE FUNCTION one_of(VARIADIC choices jsonb[]) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
    SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;
CREATE FUNCTION random_event(number integer, ids integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    e jsonb := jsonb_build_object('number', number);
    bad double precision := random();
BEGIN
    IF random() < 0.99 THEN
        e := e || jsonb_build_object('id', CASE WHEN random() < 0.5 THEN to_jsonb(floor(random() * ids)::integer)
                                                ELSE to_jsonb(floor(random() * ids)::integer::text) END);
    END IF;
    -- twelve instants in two spellings; sometimes none at all
    IF random() < 0.9 THEN
        e := e || jsonb_build_object('timestamp', CASE WHEN random() < 0.05 THEN NULL ELSE
            format(CASE WHEN random() < 0.5 THEN '2020-01-01T%s:00:00Z' ELSE '2020-01-01T%s:30:00+00:30' END, lpad(floor(random() * 12)::text, 2, '0')) END);
    END IF;
    IF random() < 0.4 THEN e := e || jsonb_build_object('email', one_of('"a"', '"b"', '"A"', '""', 'null')); END IF;
    IF random() < 0.3 THEN e := e || jsonb_build_object('firstName', one_of('"f"', '"g"', '7', 'null')); END IF;
    IF random() < 0.1 THEN e := e || jsonb_build_object('first_name', one_of('"exact"', 'null')); END IF;
    IF random() < 0.3 THEN e := e || jsonb_build_object('n', one_of('1', '"2"', 'null')); END IF;
    IF random() < 0.3 THEN e := e || jsonb_build_object('q', one_of('1', '1.0', '1.00', '12345678901234567890.5', 'null')); END IF;
    IF random() < 0.2 THEN e := e || jsonb_build_object('yes', one_of('true', '"True"', '"no"', 'null')); END IF;
    IF random() < 0.2 THEN e := e || jsonb_build_object('doc', one_of('{}', '{"a": [1, null]}', '"s"', '1.50', 'null')); END IF;
    IF random() < 0.2 THEN e := e || jsonb_build_object('raw', one_of('{}', '{"a": 1}', '{"a": 1.0}', '"s"', 'null')); END IF;
    IF random() < 0.2 THEN e := e || jsonb_build_object('list', one_of('[]', '["a", null, "b c"]', '["{}"]', 'null')); END IF;
    IF random() < 0.3 THEN e := e || jsonb_build_object('small', one_of('1', '2', 'null')); END IF;
    IF random() < 0.1 THEN e := e || jsonb_build_object('stamp', one_of('"2020-01-01T01:00:00+01:00"', '"2020-01-01T00:00:00Z"', 'null')); END IF;
    IF random() < 0.2 THEN e := e || jsonb_build_object('Odd "name', one_of('"o"', '"\"quoted\", {x}"', 'null')); END IF;
    IF random() < 0.1 THEN e := e || '{"unmapped": {"email": "no"}, "sync_status": "done", "updated_ts": "2030-01-01T00:00:00Z"}'; END IF;
    IF random() < 0.1 THEN e := e || jsonb_build_object('unmapped', one_of('1', 'null', '"x"')); END IF;
    CASE WHEN bad < 0.03 THEN e := e || jsonb_build_object('n', one_of('"x"', '99999999999', '1.5', '[]'));
         WHEN bad < 0.05 THEN e := e || jsonb_build_object('timestamp', one_of('"infinity"', '"now"', '"2020-01-01T00:00:00"', '1', '""', '"9999-01-01T00:00:00Z"'));
         WHEN bad < 0.06 THEN e := e || jsonb_build_object('id', one_of('""', 'null', 'true', '[]'));
         WHEN bad < 0.15 THEN e := e || '{"small": 100}';
         ELSE NULL;
    END CASE;
    RETURN e;
END
$$;

-- An event as the model sees it: its values by column, and why it cannot be applied.
CREATE FUNCTION columns_of(e jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT coalesce(jsonb_object_agg(key, value), '{}') || CASE WHEN e ? 'firstName' AND NOT e ? 'first_name' THEN jsonb_build_object('first_name', e -> 'firstName') ELSE '{}' END
    FROM jsonb_each(e) WHERE key IN ('number', 'id', 'email', 'first_name', 'n', 'q', 'yes', 'doc', 'raw', 'list', 'small', 'stamp', 'Odd "name')
$$;
CREATE FUNCTION extra_of(e jsonb) RETURNS jsonb LANGUAGE sql AS $$
    -- what loses to the column's own name is taken by no column either
    SELECT jsonb_object_agg(key, value) FROM jsonb_each(e)
    WHERE key IN ('unmapped', 'sync_status', 'updated_ts') OR (key = 'firstName' AND e ? 'first_name' AND value <> 'null')
$$;
CREATE FUNCTION fault(e jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN NOT e ? 'id' OR e -> 'id' IN ('null', '""', 'true', '[]') THEN 'unreadable'
                WHEN e -> 'timestamp' <> 'null' AND e ->> 'timestamp' !~ '^2020-01-01T[0-9:]{8}(Z|[+])' THEN 'unreadable'
                WHEN e -> 'n' IN ('"x"', '99999999999', '1.5', '[]') THEN 'unreadable'
                WHEN e -> 'small' = '100' THEN 'refused by its constraint' END
$$;

-- Delivers the events and applies them to the model; returns what differs.
CREATE FUNCTION differences(delivery integer, events jsonb[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    count constant integer := cardinality(events);
    -- later than any event that has a time
    arrival constant timestamptz := timestamptz '3000-01-01 00:00:00Z' + delivery * interval '1 second';
    counts jsonb;
    dead integer[];
    outcomes text[] := '{}';
    event_time timestamptz;
    e jsonb;
    old test.model;
    new test.model;
BEGIN
    TRUNCATE cxone_sync.dead_letters;
    counts := cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events)));
    dead := ARRAY(SELECT (payload::jsonb ->> 'number')::integer FROM cxone_sync.dead_letters ORDER BY 1);

    -- the rules, one event after the other: what is unreadable is refused, older is skipped, else what it carries is set, unless its
    -- constraint refuses that
    FOR i IN 1..count LOOP
        e := events[i];
        SELECT * INTO old FROM test.model WHERE id = e ->> 'id';
        IF test.fault(e) = 'unreadable' THEN
            outcomes[i] := 'dead_lettered';
            CONTINUE;
        END IF;
        event_time := coalesce((e ->> 'timestamp')::timestamptz, arrival);
        IF old.updated_ts > event_time THEN
            outcomes[i] := 'skipped';
        ELSIF test.fault(e) IS NOT NULL THEN
            outcomes[i] := 'dead_lettered';
        ELSE
            outcomes[i] := 'applied';
            IF old.id IS NULL THEN old.sync_status := 'pending'; END IF;
            new := jsonb_populate_record(old, test.columns_of(e));
            new.updated_ts := event_time;
            -- what was there for a column goes when an event feeds it
            IF e ?| '{firstName,first_name}' THEN new.extra := nullif(new.extra - 'firstName', '{}'); END IF;
            IF test.extra_of(e) IS NOT NULL THEN new.extra := coalesce(new.extra, '{}') || test.extra_of(e); END IF;
            DELETE FROM test.model WHERE id = new.id;
            INSERT INTO test.model SELECT new.*;
        END IF;
    END LOOP;

    FOR i IN 1..count LOOP
        IF (outcomes[i] = 'dead_lettered') <> ((events[i] ->> 'number')::integer = ANY (dead)) THEN
            RETURN NEXT format('delivery %s: event is %s, but in the model %s: %s', delivery,
                               CASE WHEN outcomes[i] = 'dead_lettered' THEN 'no dead letter' ELSE 'a dead letter' END, outcomes[i], events[i]);
        END IF;
    END LOOP;

    IF counts <> (SELECT jsonb_build_object('received', count, 'applied', count(*) FILTER (WHERE o = 'applied'), 'skipped', count(*) FILTER (WHERE o = 'skipped'),
                                            'dead_lettered', count(*) FILTER (WHERE o = 'dead_lettered')) FROM unnest(outcomes) o) THEN
        RETURN NEXT format('delivery %s: %s, but in the model %s', delivery, counts, outcomes);
    END IF;
    RETURN QUERY
        SELECT format('delivery %s %s: row %s, but in the model %s', delivery, events, c, m)
        FROM test.model m FULL JOIN cxone_sync.contact_records c USING (id)
        WHERE to_jsonb(c) - 'updated_ts' IS DISTINCT FROM to_jsonb(m) - 'updated_ts' OR c.raw::text IS DISTINCT FROM m.raw::text
           OR CASE WHEN m.updated_ts < '3000-01-01Z' THEN c.updated_ts <> m.updated_ts
                   ELSE c.updated_ts NOT BETWEEN transaction_timestamp() - interval '1 second' AND clock_timestamp() + interval '1 second' END;
END
$$;

CREATE FUNCTION compare(deliveries integer, ids integer, most_events integer) RETURNS TABLE (difference text) LANGUAGE plpgsql AS $$
DECLARE
    number integer := 0;
    size integer;
    events jsonb[];
BEGIN
    TRUNCATE cxone_sync.contact_records, test.model;
    FOR delivery IN 1..deliveries LOOP
        size := 1 + floor(random() * most_events);
        events := ARRAY(SELECT test.random_event(number + i, ids) FROM generate_series(1, size) i);
        number := number + size;
        -- sometimes from scratch, so that new rows are common
        IF random() < 0.1 THEN TRUNCATE cxone_sync.contact_records, test.model; END IF;
        RETURN QUERY SELECT test.differences(delivery, events);
    END LOOP;
END
$$;

SELECT setseed(0.5);
-- one by one; few ids in small and in large deliveries; many ids
SELECT * FROM compare(500, 3, 1) LIMIT 5;
SELECT * FROM compare(300, 2, 4) LIMIT 5;
SELECT * FROM compare(200, 3, 12) LIMIT 5;
SELECT * FROM compare(40, 5, 60) LIMIT 5;
SELECT * FROM compare(20, 100, 100) LIMIT 5;
-- the model has seen each kind of event
SELECT o, count(*) > 20 AS often FROM (
    SELECT CASE WHEN fault(e) IS NOT NULL THEN fault(e) WHEN e ->> 'timestamp' IS NULL THEN 'without a time' ELSE 'good' END AS o
    FROM generate_series(1, 2000) i, random_event(i, 3) e) x GROUP BY o ORDER BY o;

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
