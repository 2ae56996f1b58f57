-- Time order wins, not arrival order; what is a time and what is none.
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

CREATE VIEW contact AS SELECT id, email, updated_ts FROM cxone_sync.contact_records ORDER BY id;
SELECT deliver('{"id": 1, "email": "first", "timestamp": "2026-01-01T12:00:00Z"}');
-- older, by a microsecond, in another zone
SELECT deliver('{"id": 1, "email": "older", "timestamp": "2026-01-01T11:59:59.999999Z"}');
SELECT deliver('{"id": 1, "email": "older", "timestamp": "2026-01-01T12:30:00+01:00"}');
TABLE contact;
-- equal, in other words
SELECT deliver('{"id": 1, "email": "equal", "timestamp": "2026-01-01T13:00:00+01:00"}');
TABLE contact;
SELECT deliver('{"id": 1, "email": "equal again", "timestamp": "2026-01-01 06:30:00.000000-0530"}');
TABLE contact;
-- newer
SELECT deliver('{"id": 1, "email": "newer", "timestamp": "2026-01-01T07:00:00.000001-05:00"}');
TABLE contact;
-- an older event of other columns is skipped as a whole
SELECT deliver('{"id": 1, "lastName": "older", "timestamp": "2025-01-01T00:00:00Z"}');
SELECT last_name FROM cxone_sync.contact_records;

-- without a time, or with null: the arrival
CREATE FUNCTION stamped(event jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz := clock_timestamp();
BEGIN
    PERFORM test.deliver(event);
    RETURN updated_ts BETWEEN before - interval '1 millisecond' AND clock_timestamp() + interval '1 millisecond'
        FROM cxone_sync.contact_records WHERE id = event ->> 'id';
END
$$;
SELECT stamped('{"id": 2, "email": "x"}'), stamped('{"id": 3, "timestamp": null}'), stamped('{"id": 1, "email": "now"}');
SELECT email FROM contact WHERE id = '1';
SELECT deliver('{"id": 1, "email": "older", "timestamp": "2026-01-02T00:00:00Z"}');
-- the events of one delivery arrive together: the later in it wins
SELECT deliver('{"id": 4, "email": "a"}', '{"id": 4, "email": "b"}', '{"id": 4, "lastName": "c"}', '{"id": 4, "email": "old", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT id, email, last_name FROM cxone_sync.contact_records WHERE id = '4';

-- how far ahead
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;
SHOW cxone_sync.max_future_skew;
CREATE FUNCTION ahead(distance interval) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(clock_timestamp() + distance, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
SELECT deliver(jsonb_build_object('id', 'near', 'timestamp', ahead('4 minutes')), jsonb_build_object('id', 'far', 'timestamp', ahead('6 minutes')),
    '{"id": "very far", "timestamp": "9999-12-31T23:59:59Z"}');
SELECT id FROM contact;
SELECT sqlstate, column_name, event_key, message, event_time > now() AS ahead FROM cxone_sync.dead_letters ORDER BY id;

-- what is a time
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;
CREATE TABLE texts (n serial, t jsonb);
INSERT INTO texts (t) VALUES
    ('"2021-07-27T01:02:03Z"'), ('"2021-07-27t01:02:03z"'), ('"2021-07-27 01:02:03Z"'), ('"2021-07-27T01:02:03+0100"'),
    ('"2021-07-27T01:02:03+01:00"'), ('"2021-07-27T01:02:03-00:00"'), ('"2021-07-27T01:02:03+15:59"'), ('"2021-07-27T01:02:03.1Z"'),
    ('"2021-07-27T01:02:03.1234567Z"'), ('"2021-07-27T01:02:03.123456789+02:00"'), ('"2021-07-27T23:59:60Z"'), ('"2020-02-29T00:00:00Z"'),
    ('"0001-01-01T00:00:00Z"'), ('"1969-12-31T23:59:59Z"'),
    ('""'), ('" "'), ('"infinity"'), ('"-infinity"'), ('"now"'), ('"today"'), ('"tomorrow"'), ('"epoch"'), ('"allballs"'),
    ('"2021-07-27T00:00:00"'), ('"2021-07-27"'), ('"12/06/2024"'), ('"12/06/2024 00:00:00Z"'), ('"20210727T010203Z"'), ('"2021-7-27T01:02:03Z"'),
    ('"2022-12-12T14:41:45+0,0:00"'), ('"2021-07-27T01:02:03+01"'), ('"2021-07-27T01:02:03+16:00"'), ('"2021-07-27T01:02:03 Z"'),
    ('"2021-07-27T01:02:03Z "'), ('" 2021-07-27T01:02:03Z"'), ('"2021-07-27T01:02:03,5Z"'), ('"2021-07-27T01:02:03.Z"'), ('"2021-07-27T01:02Z"'),
    ('"2021-07-27T24:00:00Z"'), ('"2021-07-27T01:60:00Z"'), ('"2021-02-29T01:00:00Z"'), ('"2021-13-01T01:00:00Z"'), ('"2021-00-10T01:00:00Z"'),
    ('"0000-01-01T00:00:00Z"'), ('"2021-07-27T01:02:03 Europe/Berlin"'), ('"2021-07-27T01:02:03Z BC"'), ('"12021-07-27T01:02:03Z"'),
    ('1627347723'), ('1627347723000'), ('true'), ('[]'), ('["2021-07-27T01:02:03Z"]'), ('{"date": "2021-07-27 01:02:03", "timezone": "UTC"}');
INSERT INTO texts (t) SELECT to_jsonb(repeat('x', 200));
SELECT c ->> 'received' AS received FROM cxone_sync.ingest((SELECT jsonb_build_object('events', jsonb_agg(jsonb_build_object('id', n, 'timestamp', t) ORDER BY n)) FROM texts)) c;
SELECT left(t::text, 60) AS text, updated_ts, sqlstate, column_name, event_time, message
FROM texts LEFT JOIN cxone_sync.contact_records c ON c.id = n::text LEFT JOIN cxone_sync.dead_letters ON event_key = n::text ORDER BY n;
-- a dead letter keeps the row as it was
SELECT deliver('{"id": 1, "email": "x", "timestamp": "infinity"}', '{"id": 1, "lastName": "y", "timestamp": "2021-07-28T00:00:00Z"}');
SELECT id, email, last_name, updated_ts FROM cxone_sync.contact_records WHERE id = '1';

-- where the order column is fed from a path of its own, the usual members come after it
SELECT cxone_sync.map_field('contact_records', 'updated_ts', '/meta/at');
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;
SELECT deliver('{"id": 1, "meta": {"at": "2026-01-01T00:00:00Z"}, "timestamp": "2026-01-05T00:00:00Z"}', '{"id": 2, "meta": {"at": null}, "timestamp": "2026-01-05T00:00:00Z"}', '{"id": 3, "timestamp": "2026-01-05T00:00:00Z"}',
    '{"id": 4, "timestamp": "2099-01-01T00:00:00Z"}', '{"id": 5, "timestamp": "soon"}');
SELECT id, updated_ts, extra FROM cxone_sync.contact_records ORDER BY id;
SELECT sqlstate, event_key, column_name, message FROM cxone_sync.dead_letters ORDER BY id;
SELECT stamped('{"id": 6, "meta": {}, "timestamp": null}');
-- of a root, its own member before the event's
CREATE TABLE calls (id int PRIMARY KEY, "timestamp" text, updated_ts timestamptz);
ALTER TABLE calls OWNER TO cxone_sync;
SELECT cxone_sync.add_target('calls', 'calls', '{id}', event_types => '{call}', root_path => '/call');
SELECT cxone_sync.map_field('calls', 'updated_ts', '/at');
SELECT deliver('{"eventType": "call", "call": {"id": 1, "timestamp": "2026-01-02T00:00:00Z"}, "timestamp": "2026-01-03T00:00:00Z"}', '{"eventType": "call", "call": {"id": 2}, "timestamp": "2026-01-03T00:00:00Z"}',
    '{"eventType": "call", "call": {"id": 3, "timestamp": "text"}, "at": "2026-01-01T00:00:00Z", "timestamp": "2026-01-03T00:00:00Z"}');
TABLE calls;
SELECT cxone_sync.remove_target('calls');

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
