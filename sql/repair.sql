-- Dead letters are mended and replayed; what an event would do is told beforehand.
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
-- Dead letters are numbered from 1 on.
CREATE FUNCTION afresh() RETURNS void LANGUAGE sql AS $$
    TRUNCATE cxone_sync.dead_letters RESTART IDENTITY; TRUNCATE cxone_sync.contact_records, test.cases
$$;
CREATE VIEW dead AS SELECT id, target, sqlstate, event_key, attempts, column_name, message FROM cxone_sync.dead_letters ORDER BY id;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
SET ROLE regress_owner;
CREATE TABLE cases (id bigint PRIMARY KEY, n integer CHECK (n < 100), day date, seen_by text, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Contact,Both}', kept_columns => '{sync_status}');
SELECT cxone_sync.add_target('cases', 'cases', '{id}', event_types => '{Case,Both}');

---- nothing to replay
SELECT * FROM cxone_sync.replay_dead_letters();
---- the payload is mended
SELECT deliver('{"eventType": "Case", "id": 1, "n": "x", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Case", "id": 2, "n": 2, "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Case", "id": 3, "n": 300, "timestamp": "2026-01-01T00:00:00Z"}',
    '{"eventType": "Case", "n": 4}', '{"eventType": "Lost", "id": 5}');
TABLE dead;
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"x"', '"11"') WHERE id = 1;
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases ORDER BY id;
-- what fails again stays, with its history
TABLE dead;
SELECT id, jsonb_array_length(history), history -> 0 ->> 'sqlstate', history -> 0 ->> 'message', (history -> 0 ->> 'at')::timestamptz <= last_attempt_at AS earlier, last_attempt_at >= received_at AS later FROM cxone_sync.dead_letters ORDER BY id;
---- the table is mended
ALTER TABLE cases DROP CONSTRAINT cases_n_check;
SELECT * FROM cxone_sync.replay_dead_letters();
---- the mapping is mended, and the types
SELECT cxone_sync.map_field('cases', 'id', '/id', '/n');
SELECT * FROM cxone_sync.replay_dead_letters(target => 'cases');
SELECT cxone_sync.unmap_field('cases', 'id');
SELECT id, n FROM cases ORDER BY id;
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT cxone_sync.change_target('cases', 'cases', '{id}', event_types => '{Case,Both,Lost}');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases ORDER BY id;
TABLE dead;
SELECT cxone_sync.change_target('cases', 'cases', '{id}', event_types => '{Case,Both}');

---- filters
SELECT afresh();
ALTER TABLE cases ADD CHECK (n < 100);
SELECT deliver('{"eventType": "Case", "id": 1, "n": "x"}', '{"eventType": "Case", "id": 2, "n": 200}', '{"eventType": "Contact"}', '{"eventType": "Case", "id": 4, "n": "y"}', '{"eventType": "Lost"}', '{"eventType": "Case", "id": 6, "n": 600}');
SELECT * FROM cxone_sync.replay_dead_letters(ids => '{2,3,99}');
SELECT * FROM cxone_sync.replay_dead_letters('{}');
SELECT * FROM cxone_sync.replay_dead_letters(target => 'contact_records');
SET client_min_messages = notice;
\set VERBOSITY default
SELECT * FROM cxone_sync.replay_dead_letters(target => 'nobody');
SELECT * FROM cxone_sync.replay_dead_letters(target => 'case');
SELECT * FROM cxone_sync.replay_dead_letters(target => 'contact_record');
SELECT * FROM cxone_sync.replay_dead_letters(sqlstate => 'nope');
SELECT * FROM cxone_sync.replay_dead_letters(sqlstate => '22p02');
SELECT * FROM cxone_sync.replay_dead_letters(sqlstate => '');
\set VERBOSITY terse
-- one that is no more, but has letters, is none
UPDATE cxone_sync.dead_letters SET target = 'former' WHERE id = 6;
SELECT * FROM cxone_sync.replay_dead_letters(target => 'former', sqlstate => '99999');
UPDATE cxone_sync.dead_letters SET target = NULL WHERE id = 6;
SET client_min_messages = warning;
SELECT * FROM cxone_sync.replay_dead_letters(sqlstate => '22P02');
SELECT * FROM cxone_sync.replay_dead_letters(sqlstate => '23514', ids => '{1,2}', target => 'cases');
-- those that failed least often come first
SELECT * FROM cxone_sync.replay_dead_letters(most => 2);
SELECT * FROM cxone_sync.replay_dead_letters(most => 2);
SELECT id, attempts FROM dead;
SELECT count(*) FROM cxone_sync.replay_dead_letters(most => 0);
SELECT count(*) FROM cxone_sync.replay_dead_letters(most => NULL);
SELECT cxone_sync.replay_dead_letters(most => -1);
-- the history is bounded
DO $$ BEGIN FOR i IN 1 .. 25 LOOP PERFORM cxone_sync.replay_dead_letters('{2}'); END LOOP; END $$;
SELECT attempts, jsonb_array_length(history), (SELECT count(*) FROM jsonb_array_elements(history) AS h WHERE h ->> 'sqlstate' = '23514') FROM cxone_sync.dead_letters WHERE id = 2;
-- the newest reason is the letter's, the ones before are the history's
UPDATE cxone_sync.dead_letters SET payload = '{"eventType": "Case", "id": 2, "n": "z", "day": 1}', hint = 'old' WHERE id = 2;
SELECT new_sqlstate, new_message FROM cxone_sync.replay_dead_letters('{2}');
SELECT sqlstate, message, column_name, hint, event_key, history -> 19 ->> 'sqlstate' FROM cxone_sync.dead_letters WHERE id = 2;

---- times: a newer row stays, an event without a time keeps its arrival
SELECT afresh();
SELECT deliver('{"eventType": "Case", "id": 1, "n": "x", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Case", "id": 2, "n": "x", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Case", "id": 3, "n": "x"}', '{"eventType": "Case", "id": 4, "n": "x"}');
SELECT deliver('{"eventType": "Case", "id": 1, "n": 11, "timestamp": "2026-01-02T00:00:00Z"}', '{"eventType": "Case", "id": 2, "n": 12, "timestamp": "2025-01-02T00:00:00Z"}', '{"eventType": "Case", "id": 3, "n": 13}');
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"x"', '7'), received_at = received_at - interval '1 hour';
SELECT received_at AS arrival FROM cxone_sync.dead_letters WHERE id = 4 \gset
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n, updated_ts = :'arrival' AS as_it_arrived FROM cases ORDER BY id;
TABLE dead;
-- of equal times the later arrival wins: a letter loses to the row that is there, and of two letters, however often each has failed, the later one wins
SELECT afresh();
SELECT deliver('{"eventType": "Case", "id": 1, "n": "x", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Case", "id": 2, "n": "x", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Case", "id": 2, "n": "x", "day": "2026-02-02", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Case", "id": 3, "n": "x", "day": "2026-03-03", "timestamp": "2026-01-01T00:00:00Z"}',
    '{"eventType": "Case", "id": 3, "n": "x", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT deliver('{"eventType": "Case", "id": 1, "n": 11, "timestamp": "2026-01-01T00:00:00Z"}');
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"x"', id::text), attempts = 10 - id;
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n, day FROM cases ORDER BY id;
-- also where a trigger makes the key, and for deletions, which win a tie
SET ROLE regress_owner;
CREATE TABLE lower (id text PRIMARY KEY, n integer, note text, updated_ts timestamptz);
CREATE FUNCTION lower_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := lower(NEW.id); RETURN NEW; END $$;
CREATE TRIGGER lower_id BEFORE INSERT ON lower FOR EACH ROW EXECUTE FUNCTION lower_id();
RESET ROLE;
SELECT cxone_sync.add_target('lower', 'lower', '{id}', event_types => '{Lower}', delete_types => '{Gone}');
SELECT afresh();
SELECT deliver('{"eventType": "Lower", "id": "A", "n": "x", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Lower", "id": "B", "n": "x", "note": "first", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Lower", "id": "b", "n": "x", "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Lower", "id": "C", "n": "x", "timestamp": "2026-01-01T00:00:00Z"}',
    '{"eventType": "Gone", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT deliver('{"eventType": "Lower", "id": "a", "n": 11, "timestamp": "2026-01-01T00:00:00Z"}', '{"eventType": "Lower", "id": "d", "n": 14, "timestamp": "2026-01-01T00:00:00Z"}');
UPDATE cxone_sync.dead_letters SET payload = CASE id WHEN 5 THEN replace(payload, '{', '{"id": "D", ') ELSE replace(payload, '"x"', id::text) END;
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n, note FROM lower ORDER BY id;
SELECT cxone_sync.remove_target('lower');
DROP TABLE lower;
DROP FUNCTION lower_id();
TRUNCATE cxone_sync.tombstones;
-- several letters of one key, by their times
SELECT afresh();
SELECT deliver('{"eventType": "Case", "id": 1, "n": "x", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT deliver('{"eventType": "Case", "id": 1, "n": "y", "timestamp": "2026-01-01T00:00:00Z"}');
SELECT deliver('{"eventType": "Case", "id": 1, "n": "z", "timestamp": "2026-01-03T00:00:00Z"}');
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"x"', '1') WHERE id = 1;
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"y"', '2') WHERE id = 2;
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases;

---- a payload mended into something else
SELECT afresh();
SELECT deliver('{"eventType": "Case", "id": 1, "n": "x"}', '{"eventType": "Case", "id": 2, "n": "x"}', '{"eventType": "Case", "id": 3, "n": "x"}', '{"eventType": "Case", "id": 4, "n": "x"}', '{"eventType": "Case", "id": 5, "n": "x"}', '{"eventType": "Case", "id": 6, "n": "x"}', '{"eventType": "Case", "id": 7, "n": "x"}');
UPDATE cxone_sync.dead_letters SET payload = (ARRAY['{"eventType": "Case", "id": 1, "n":', '', '7', '{"events": [{"eventType": "Case", "id": 4}]}', '{"eventType": "Contact", "id": 5}', '{"eventType": "Case", "id": 6, "n": 6} ', E'{"eventType": "Case", "id": 7}\n{"eventType": "Case", "id": 8}'])[id];
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, target, sqlstate, event_key, attempts, payload FROM cxone_sync.dead_letters ORDER BY id;
UPDATE cxone_sync.dead_letters SET payload = '{"eventType": "Case", "id": 1, "n": 1}' WHERE id = 1;
SELECT * FROM cxone_sync.replay_dead_letters('{1}');
SELECT id, n FROM cases;

---- a line in which no events were found is read as a delivery
SELECT afresh();
-- as an endpoint that takes lines leaves them
CREATE FUNCTION add_line(payload text, events_path text DEFAULT '/events') RETURNS void LANGUAGE sql AS $$
    INSERT INTO cxone_sync.dead_letters (received_at, sqlstate, message, payload, events_path) VALUES ('2026-01-01', '22023', 'a line', payload, events_path)
$$;
CREATE VIEW lines AS SELECT id, target, sqlstate, event_key, attempts, jsonb_array_length(history) AS history, received_at - timestamptz '2026-01-01' AS later, events_path, payload FROM cxone_sync.dead_letters ORDER BY id;
SELECT add_line('{"id": "ping", "eventType": "Case"}'), add_line('{"id": 77, "eventType": "Case", "events": [{"eventType": "Case", "id": 1, "n": 1}, {"eventType": "Case", "id": 2, "n": 2}'), add_line('7'), add_line('');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases ORDER BY id;
TABLE lines;
-- mended, with line breaks; without events; one event, and an array of them, where they stand in nothing; below another path
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"events"', E'\n"events"') || ']}' WHERE id = 2;
UPDATE cxone_sync.dead_letters SET payload = '{"events": []}' WHERE id = 3;
UPDATE cxone_sync.dead_letters SET payload = '{"a/b": {"events": [{"eventType": "Case", "id": 3, "n": 3}]}}', events_path = '/a~1b/events' WHERE id = 4;
SELECT add_line('{"eventType": "Case", "id": 4, "n": 4}', ''), add_line('[{"eventType": "Case", "id": 5, "n": 5}, {"eventType": "Both", "id": 6, "n": 6}]', ''), add_line('{"events": [{"eventType": "Case", "id": 7, "n": 7}]}', '');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n, updated_ts - timestamptz '2026-01-01' AS later FROM cases ORDER BY id;
SELECT id FROM cxone_sync.contact_records;
TABLE lines;
-- each of its events that fails is a letter of its own, the first one with the line's history; those that were applied are not tried again
SELECT afresh();
SELECT add_line('{"events": [{"eventType": "Case", "id": 1, "n": 1, "timestamp": "2026-01-01T00:00:00Z"}, {"eventType": "Case", "id": 2, "n": "x"}, 7, {"eventType": "Lost"}, {"eventType": "Both", "id": "k", "n": 5}, {"eventType": "Case", "id": 3, "n": 300}, {"eventType": "Case", "id": 4, "n": 4}]}');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases ORDER BY id;
SELECT id FROM cxone_sync.contact_records;
TABLE lines;
DELETE FROM cases;
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"x"', '2');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n, updated_ts - timestamptz '2026-01-01' AS later FROM cases ORDER BY id;
TABLE lines;
-- so are those of an event that was made several; where the line is given a target, that gets what it takes
SELECT afresh();
SELECT deliver('{"eventType": "Case", "id": 1, "n": "x"}');
UPDATE cxone_sync.dead_letters SET received_at = '2026-01-01', events_path = '', payload = '[{"eventType": "Case", "id": 1, "n": 1}, {"eventType": "Case", "id": 2, "n": "y"}, {"eventType": "Both", "id": 3, "n": 3}, {"eventType": "Lost"}, {"eventType": "Gone"}]';
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases ORDER BY id;
SELECT id FROM cxone_sync.contact_records;
TABLE lines;
-- of equal times its later event wins, but not against the row that is there
SELECT afresh();
SELECT deliver('{"eventType": "Case", "id": 2, "n": 22, "timestamp": "2026-01-01T00:00:00Z"}');
SELECT add_line('{"events": [{"eventType": "Case", "id": 1, "n": 1, "timestamp": "2026-01-01T00:00:00Z"}, {"eventType": "Case", "id": 2, "n": 2, "timestamp": "2026-01-01T00:00:00Z"}, {"eventType": "Case", "id": 1, "n": 11, "timestamp": "2026-01-01T00:00:00Z"}]}');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases ORDER BY id;
-- what is no JSON pointer
SELECT add_line('{}', 'events');
SELECT add_line('{}', '/~2');
SELECT add_line('{}', '/~');
SELECT add_line('{}', repeat('/', 65));
SELECT add_line('{}', '/' || repeat('x', 1000));
SELECT afresh();
SELECT add_line('{}', path) FROM (VALUES (''), ('/'), (repeat('/', 64)), ('/' || repeat('x', 999)), ('/~0~1'), (E'/\n')) AS v(path);
SELECT left(new_message, 40) FROM cxone_sync.replay_dead_letters();

---- a letter that no target took, once there is one; that of several targets
SELECT afresh();
SELECT deliver('{"eventType": "New", "id": 1, "n": 1}', '{"eventType": "New", "id": "text", "n": 1}', '{"eventType": "Newer", "n": 1}');
SELECT cxone_sync.change_target('cases', 'cases', '{id}', event_types => '{Case,Both,New,Newer}');
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Contact,Both,New,Newer}', kept_columns => '{sync_status}');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases ORDER BY id;
SELECT id FROM cxone_sync.contact_records ORDER BY id;
TABLE dead;
-- only the target that refused it gets it again
SELECT afresh();
SELECT deliver('{"eventType": "Both", "id": 1, "n": "x", "email": "first", "timestamp": "2026-01-01T00:00:00Z"}');
UPDATE cxone_sync.contact_records SET email = 'changed since';
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"x"', '1');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases;
SELECT id, email FROM cxone_sync.contact_records;
-- a target that takes the event no more: it goes where it would go now, to whom it is new
SELECT afresh();
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{}', kept_columns => '{sync_status}');
SELECT deliver('{"eventType": "InvoicePaid", "number": 7, "n": 70}');
TABLE dead;
SET ROLE regress_owner;
CREATE TABLE invoices (number bigint PRIMARY KEY, n integer CHECK (n < 50), updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('invoices', 'invoices', '{number}', event_types => '{InvoicePaid}');
SELECT * FROM cxone_sync.replay_dead_letters(target => 'contact_records');
TABLE dead;
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '70', '7');
SELECT * FROM cxone_sync.replay_dead_letters(target => 'invoices');
SELECT number, n FROM invoices;
-- to all who take it; those who have it already are not harmed
SELECT deliver('{"eventType": "InvoicePaid", "number": 8, "id": "i8", "n": 80, "timestamp": "2026-01-01T00:00:00Z"}');
SELECT cxone_sync.remove_target('invoices');
SELECT cxone_sync.change_target('cases', 'cases', '{id}', event_types => '{Case,Both,InvoicePaid}');
SELECT cxone_sync.add_target('invoices again', 'invoices', '{number}', event_types => '{InvoicePaid}');
UPDATE cxone_sync.dead_letters SET payload = replace(replace(payload, '80', '8'), '"i8"', '8');
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT number, n FROM invoices;
SELECT id, n FROM cases;
SELECT cxone_sync.remove_target('invoices again');
DROP TABLE invoices;
SELECT cxone_sync.change_target('cases', 'cases', '{id}', event_types => '{Case,Both}');
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Contact,Both}', kept_columns => '{sync_status}');
SELECT afresh();
-- a target that is gone, and one that has other types now: the reason stays
SELECT deliver('{"eventType": "Case", "id": 2, "n": "x"}', '{"eventType": "Contact"}');
SELECT cxone_sync.remove_target('cases');
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Person}', kept_columns => '{sync_status}');
SELECT * FROM cxone_sync.replay_dead_letters();
TABLE dead;
SELECT id, hint, history FROM cxone_sync.dead_letters ORDER BY id;
-- as if it had been meant for whoever takes it
UPDATE cxone_sync.dead_letters SET target = NULL, payload = '{"eventType": "Person", "id": "p"}' WHERE target = 'cases';
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT id FROM cxone_sync.contact_records WHERE id = 'p';
-- a target that cannot be used
SELECT cxone_sync.add_target('cases', 'cases', '{id}', event_types => '{Case,Both}');
SELECT afresh();
SELECT deliver('{"eventType": "Case", "id": 3, "n": "x"}');
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"x"', '3');
ALTER TABLE cases ALTER updated_ts TYPE timestamp;
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT event_key, hint FROM cxone_sync.dead_letters;
ALTER TABLE cases ALTER updated_ts TYPE timestamptz;
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT id, n FROM cases;
-- it is part of the caller's transaction
SELECT deliver('{"eventType": "Case", "id": 4, "n": "x"}');
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '"x"', '4');
BEGIN;
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT count(*) FROM cxone_sync.dead_letters;
ROLLBACK;
SELECT count(*) FROM cxone_sync.dead_letters;
SELECT id, n FROM cases ORDER BY id;
-- a trouble that is no letter's fault changes nothing
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no memory' USING ERRCODE = '53200'; END $$;
CREATE TRIGGER trouble BEFORE INSERT ON cases FOR EACH ROW WHEN (NEW.n = 4) EXECUTE FUNCTION trouble();
SELECT * FROM cxone_sync.replay_dead_letters();
SELECT attempts, jsonb_array_length(history) FROM cxone_sync.dead_letters;
DROP TRIGGER trouble ON cases;

---- old letters
SELECT afresh();
SELECT deliver('{"eventType": "Case"}', '{"eventType": "Case"}', '{"eventType": "Case"}');
UPDATE cxone_sync.dead_letters SET received_at = now() - (id || ' days')::interval;
SELECT cxone_sync.purge_dead_letters('1 week');
SELECT cxone_sync.purge_dead_letters('36 hours');
SELECT id FROM dead;
INSERT INTO cxone_sync.tombstones VALUES ('cases', '{id}', 'old', now() - interval '2 days'), ('cases', '{id}', 'new', now()), ('cxone_sync.contact_records', '{id}', 'old', now() - interval '2 days');
SELECT cxone_sync.purge_tombstones('1 day');
SELECT relation, key FROM cxone_sync.tombstones;
-- what deletes by a slip is refused: the past, nothing at all, seconds for days
SELECT cxone_sync.purge_dead_letters('-1 day');
SELECT cxone_sync.purge_tombstones('-1 day');
SELECT cxone_sync.purge_dead_letters(NULL);
SELECT cxone_sync.purge_tombstones(NULL);
\set VERBOSITY default
SELECT cxone_sync.purge_dead_letters('90');
\set VERBOSITY terse
SELECT cxone_sync.purge_tombstones('90');
SELECT cxone_sync.purge_dead_letters('3650'); -- ten years of days, or an hour
SELECT cxone_sync.purge_dead_letters('23 hours 59 minutes 59 seconds', force => false);
SELECT cxone_sync.purge_dead_letters('23 hours', NULL);
-- by the instant that is meant, which lies ahead, though twelve months count as 360 days where intervals are compared
SELECT interval '-12 months 362 days' > '1 day';
SELECT cxone_sync.purge_dead_letters('-12 months 362 days', true);
SELECT cxone_sync.purge_dead_letters('-1 microsecond', true);
SELECT id FROM dead;
SELECT relation, key FROM cxone_sync.tombstones;
SELECT cxone_sync.purge_dead_letters('24 hours'), cxone_sync.purge_dead_letters('0', force => true), cxone_sync.purge_tombstones('1 day'), cxone_sync.purge_tombstones('0', force => true);
TRUNCATE cxone_sync.tombstones;

---- what an event would do
SELECT afresh();
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{Contact,Both}', kept_columns => '{sync_status}');
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seen_by := current_user;
    IF NEW.n = 66 THEN RAISE EXCEPTION 'n is 66' USING ERRCODE = 'P0066'; END IF;
    INSERT INTO test.seen VALUES (NEW.id);
    RETURN NEW;
END
$$;
SET ROLE regress_owner;
CREATE TABLE seen (id bigint);
RESET ROLE;
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON cases FOR EACH ROW EXECUTE FUNCTION see();
SELECT deliver('{"eventType": "Case", "id": 1, "n": 1, "timestamp": "2026-01-05T00:00:00Z"}', '{"eventType": "Case"}');
CREATE FUNCTION state() RETURNS text LANGUAGE sql AS $$
    SELECT format('%s cases, %s contacts, %s seen, %s dead, %s deleted', (SELECT jsonb_agg(c) - 'updated_ts' FROM (SELECT id, n, seen_by FROM test.cases ORDER BY id) AS c), (SELECT count(*) FROM cxone_sync.contact_records),
        (SELECT count(*) FROM test.seen), (SELECT string_agg(id || '/' || attempts, ' ') FROM cxone_sync.dead_letters), (SELECT count(*) FROM cxone_sync.tombstones))
$$;
SELECT state();
SELECT event, target, outcome, event_key, CASE WHEN event_time < '2026-02-01' THEN event_time END, CASE WHEN sqlstate IS DISTINCT FROM '22007' THEN columns END, sqlstate, message, column_name FROM cxone_sync.simulate('{"events": [
    {"eventType": "Both", "id": 2, "n": 7.5, "day": 1767312000, "email": "a@b.c", "other": [1], "timestamp": "2026-01-02T01:00:00+01:00"},
    {"eventType": "Both", "id": "x", "n": null, "timestamp": "2026-01-02T00:00:00Z"},
    {"eventType": "Case", "id": 1, "n": 2, "timestamp": "2026-01-04T00:00:00Z"},
    {"eventType": "Case", "id": 10, "n": 3, "timestamp": "2026-01-06T00:00:00Z"},
    {"eventType": "Case", "id": 3, "n": 100, "timestamp": "2026-01-06T00:00:00Z"},
    {"eventType": "Case", "id": 4, "n": 66, "timestamp": "2026-01-06T00:00:00Z"},
    {"eventType": "Case", "id": 5, "day": "tomorrow", "timestamp": "2026-01-06T00:00:00Z"},
    {"eventType": "Case", "id": 6, "timestamp": "2026-02-30T00:00:00Z"},
    {"eventType": "Case", "n": 1, "timestamp": "2026-01-06T00:00:00Z"},
    {"eventType": "Case", "id": 7, "n": "7\u00ff", "timestamp": "2026-01-06T00:00:00Z"},
    {"eventType": "Nobody", "id": 8}, 9]}');
SELECT state();
-- no events, what ingest() refuses as a whole, a target that cannot be used
SELECT count(*) FROM cxone_sync.simulate('{"events": []}');
SELECT count(*) FROM cxone_sync.simulate(NULL);
SELECT * FROM cxone_sync.simulate('[]');
ALTER TABLE cases ALTER updated_ts TYPE timestamp;
SELECT event, target, outcome, columns, sqlstate, message FROM cxone_sync.simulate('{"events": [{"eventType": "Both", "id": 2, "timestamp": "2026-01-02T00:00:00Z"}]}');
ALTER TABLE cases ALTER updated_ts TYPE timestamptz;
-- deletions leave no tombstone
SELECT cxone_sync.change_target('cases', 'cases', '{id}', event_types => '{Case,Both}', delete_types => '{Gone}');
SELECT event, target, outcome, event_key, columns FROM cxone_sync.simulate('{"events": [{"eventType": "Gone", "id": 1, "timestamp": "2026-01-06T00:00:00Z"}, {"eventType": "Case", "id": 1, "n": 4, "timestamp": "2026-01-05T00:00:00Z"}, {"eventType": "Gone", "id": 1, "timestamp": "2026-01-04T00:00:00Z"}]}');
SELECT state();
-- within a transaction
BEGIN;
SELECT deliver('{"eventType": "Case", "id": 50, "n": 50}');
SELECT outcome FROM cxone_sync.simulate('{"events": [{"eventType": "Case", "id": 50, "n": 51}, {"eventType": "Case", "id": 51, "n": 51}]}');
SELECT id, n FROM cases ORDER BY id;
COMMIT;
SELECT id, n FROM cases ORDER BY id;

---- who may what
SELECT p.proname, r.role, has_function_privilege(r.role, p.oid, 'EXECUTE') FROM pg_proc AS p, (VALUES ('regress_owner'), ('pg_monitor')) AS r(role)
WHERE p.pronamespace = 'cxone_sync'::regnamespace AND p.proname IN ('replay_dead_letters', 'purge_dead_letters', 'purge_tombstones', 'simulate', 'ingest') ORDER BY 1, 2;
GRANT USAGE ON SCHEMA cxone_sync TO regress_owner;
SET ROLE regress_owner;
SELECT cxone_sync.replay_dead_letters();
SELECT cxone_sync.purge_dead_letters('1 day');
SELECT cxone_sync.purge_tombstones('1 day');
SELECT cxone_sync.simulate('{"events": []}');
SELECT * FROM cxone_sync.dead_letters;
RESET ROLE;
GRANT EXECUTE ON FUNCTION cxone_sync.replay_dead_letters, cxone_sync.purge_dead_letters, cxone_sync.purge_tombstones, cxone_sync.simulate TO regress_owner;
SELECT afresh();
SELECT deliver('{"eventType": "Contact"}', '{"eventType": "Case", "id": 1, "n": 100}');
UPDATE cxone_sync.dead_letters SET payload = replace(payload, '100', '10');
SET ROLE regress_owner;
SELECT outcome, new_sqlstate FROM cxone_sync.replay_dead_letters();
SELECT target, outcome FROM cxone_sync.simulate('{"events": [{"eventType": "Both", "id": 2}]}');
SELECT cxone_sync.purge_dead_letters('0', true), cxone_sync.purge_tombstones('0', true);
SELECT * FROM cxone_sync.dead_letters;
RESET ROLE;
SELECT id, n, seen_by FROM cases;

DROP SCHEMA test CASCADE;
DROP OWNED BY regress_owner;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_owner;
