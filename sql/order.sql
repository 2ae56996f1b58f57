-- What triggers and foreign keys do by themselves, they do in the order of arrival; and what they undo was not applied.
\set VERBOSITY terse
SET client_min_messages = error;
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE EXTENSION cxone_sync;
CREATE ROLE regress_owner;
CREATE SCHEMA test;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
SET search_path = test;
CREATE FUNCTION deliver(VARIADIC events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s applied, %s skipped, %s dead', c -> 'received', c -> 'applied', c -> 'skipped', c -> 'dead_lettered')
    FROM cxone_sync.ingest(jsonb_build_object('events', to_jsonb(events))) c
$$;
CREATE FUNCTION e(type text, day integer, members jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('eventType', type, 'timestamp', format('2026-01-%sT00:00:00Z', lpad(day::text, 2, '0'))) || members
$$;
CREATE VIEW dead AS SELECT target, event_key, sqlstate, message FROM cxone_sync.dead_letters ORDER BY id;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
SET ROLE regress_owner;

---- a trigger that changes other rows of its table: the last one to come is the primary one, whatever its key
CREATE TABLE phones (id text PRIMARY KEY, contact text, is_primary boolean, updated_ts timestamptz);
CREATE FUNCTION only_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.is_primary THEN UPDATE test.phones SET is_primary = false WHERE contact = NEW.contact AND id <> NEW.id AND is_primary; END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER only_one AFTER INSERT OR UPDATE ON phones FOR EACH ROW EXECUTE FUNCTION only_one();
RESET ROLE;
SELECT cxone_sync.add_target('phones', 'phones', '{id}', event_types => '{Phone}');
SELECT deliver(e('Phone', 2, '{"id": "b", "contact": "c", "is_primary": true}'), e('Phone', 3, '{"id": "a", "contact": "c", "is_primary": true}'));
SELECT id, is_primary FROM phones ORDER BY id;
SELECT deliver(e('Phone', 4, '{"id": "a", "contact": "c", "is_primary": true}'), e('Phone', 4, '{"id": "b", "contact": "c", "is_primary": true}'), e('Phone', 4, '{"id": "d", "contact": "other", "is_primary": true}'));
SELECT id, is_primary FROM phones ORDER BY id;

---- one that reads another target
SET ROLE regress_owner;
CREATE TABLE prices (id text PRIMARY KEY, price integer, updated_ts timestamptz);
CREATE TABLE orders (id text PRIMARY KEY, price integer, updated_ts timestamptz);
CREATE FUNCTION take_price() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.price := (SELECT price FROM test.prices WHERE id = ''p''); RETURN NEW; END';
CREATE TRIGGER take_price BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION take_price();
RESET ROLE;
SELECT cxone_sync.add_target('orders', 'orders', '{id}', event_types => '{Order}'), cxone_sync.add_target('prices', 'prices', '{id}', event_types => '{Price}');
SELECT deliver(e('Price', 1, '{"id": "p", "price": 10}'), e('Order', 1, '{"id": "o1"}'), e('Price', 2, '{"id": "p", "price": 20}'), e('Order', 2, '{"id": "o2"}'));
SELECT id, price FROM orders ORDER BY id;

---- one that raises: what it says of one event does not concern the next ones
SET ROLE regress_owner;
CREATE TABLE members (id text PRIMARY KEY, team text, updated_ts timestamptz);
CREATE FUNCTION one_each() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM test.members WHERE team = NEW.team AND id <> NEW.id) THEN RAISE 'team % is taken', NEW.team; END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER one_each BEFORE INSERT OR UPDATE ON members FOR EACH ROW EXECUTE FUNCTION one_each();
RESET ROLE;
SELECT cxone_sync.add_target('members', 'members', '{id}', event_types => '{Member}');
SELECT deliver(e('Member', 1, '{"id": "a", "team": "g1"}'), e('Member', 1, '{"id": "b", "team": "g2"}'));
SELECT deliver(e('Member', 2, '{"id": "b", "team": "g1"}'), e('Member', 2, '{"id": "a", "team": "g3"}'), e('Member', 2, '{"id": "c", "team": "g1"}'), e('Member', 2, '{"id": "d", "team": "g4"}'));
SELECT id, team FROM members ORDER BY id;
SELECT * FROM dead;
TRUNCATE cxone_sync.dead_letters;


---- one that is IMMUTABLE reads nothing: the events of its table share a statement
SET ROLE regress_owner;
CREATE TABLE plain (id text PRIMARY KEY, v text, updated_ts timestamptz);
CREATE FUNCTION shorten() RETURNS trigger LANGUAGE plpgsql IMMUTABLE AS 'BEGIN NEW.v := left(NEW.v, 3); RETURN NEW; END';
CREATE TRIGGER shorten BEFORE INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION shorten();
RESET ROLE;
SELECT cxone_sync.add_target('plain', 'plain', '{id}', event_types => '{Plain}');
SELECT deliver(VARIADIC (SELECT array_agg(e('Plain', 1, jsonb_build_object('id', i::text, 'v', 'first'))) FROM generate_series(1, 5) AS i));
SELECT v, count(*), count(DISTINCT cmin::text) AS statements FROM plain GROUP BY v;
ALTER FUNCTION shorten() VOLATILE;
SELECT deliver(VARIADIC (SELECT array_agg(e('Plain', 2, jsonb_build_object('id', i::text, 'v', 'second'))) FROM generate_series(1, 5) AS i));
SELECT v, count(*), count(DISTINCT cmin::text) AS statements FROM plain GROUP BY v;

---- a cascade over a table that is no target, and from a partition
SET ROLE regress_owner;
CREATE TABLE far (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE middle (id text PRIMARY KEY, far text REFERENCES far ON DELETE CASCADE);
CREATE TABLE near (id text PRIMARY KEY, name text, middle text REFERENCES middle ON DELETE CASCADE, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('far', 'far', '{id}', event_types => '{Far}', delete_types => '{FarGone}'), cxone_sync.add_target('near', 'near', '{id}', event_types => '{Near}');
SELECT deliver(e('Far', 1, '{"id": "f1"}'), e('Far', 1, '{"id": "f2"}'));
INSERT INTO middle VALUES ('m1', 'f1'), ('m2', 'f2');
SELECT deliver(e('Near', 1, '{"id": "n", "name": "Bert", "middle": "m1"}'));
SELECT deliver(e('Near', 2, '{"id": "n", "middle": "m2"}'), e('FarGone', 2, '{"id": "f1"}'));
SELECT id, name, middle FROM near;

---- a foreign key that acts when what it refers to is updated
SET ROLE regress_owner;
CREATE TABLE codes (id text PRIMARY KEY, code text UNIQUE, parent text REFERENCES codes (code) ON UPDATE SET NULL, x text, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('codes', 'codes', '{id}', event_types => '{Code}');
SELECT deliver(e('Code', 1, '{"id": "z", "code": "c1"}'), e('Code', 1, '{"id": "b", "code": "cb", "parent": "c1"}'), e('Code', 1, '{"id": "y", "code": "cy"}'));
SELECT deliver(e('Code', 2, '{"id": "y", "code": "c9"}'), e('Code', 2, '{"id": "z", "code": "cy", "x": "1"}'), e('Code', 2, '{"id": "b", "parent": "cy"}'));
SELECT id, code, parent FROM codes ORDER BY id;

---- what was refused and may come last harms nobody: a deletion that cascades is not tried again
SET ROLE regress_owner;
CREATE TABLE p (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE c (id text PRIMARY KEY, p text REFERENCES p, updated_ts timestamptz);
CREATE TABLE d (id text PRIMARY KEY, p text REFERENCES p ON DELETE CASCADE, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('p', 'p', '{id}', event_types => '{P}', delete_types => '{PGone}'), cxone_sync.add_target('c', 'c', '{id}', event_types => '{C}'), cxone_sync.add_target('d', 'd', '{id}', event_types => '{D}');
SELECT deliver(e('P', 1, '{"id": "p"}'), e('P', 1, '{"id": "p2"}'), e('C', 1, '{"id": "c", "p": "p"}'));
SELECT deliver(e('PGone', 2, '{"id": "p"}'), e('C', 2, '{"id": "c", "p": "p2"}'), e('D', 2, '{"id": "d", "p": "p"}'));
SELECT id, p FROM d;
SELECT * FROM dead;
TRUNCATE cxone_sync.dead_letters;
-- nor a row that has another key, by which a later event has written it
SET ROLE regress_owner;
CREATE TABLE two (id text PRIMARY KEY, ext text UNIQUE, v text, p text REFERENCES p, updated_ts timestamptz);
RESET ROLE;
SELECT cxone_sync.add_target('two_id', 'two', '{id}', event_types => '{ById}'), cxone_sync.add_target('two_ext', 'two', '{ext}', event_types => '{ByExt}');
SELECT deliver(e('ById', 1, '{"id": "1", "ext": "x"}'));
SELECT deliver(e('ById', 2, '{"id": "1", "ext": "x", "v": "first", "p": "later"}'), e('ByExt', 2, '{"id": "1", "ext": "x", "v": "second"}'), e('P', 2, '{"id": "later"}'));
SELECT id, ext, v, p FROM two;
SELECT * FROM dead;
TRUNCATE cxone_sync.dead_letters;

---- what a trigger has undone was not applied
SET ROLE regress_owner;
CREATE TABLE undone (id text PRIMARY KEY, v text, visits integer DEFAULT 0, updated_ts timestamptz);
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE NEW.v
        WHEN 'deleted' THEN DELETE FROM test.undone WHERE id = NEW.id;
        WHEN 'touched' THEN IF NEW.updated_ts < '2030-01-01' THEN UPDATE test.undone SET updated_ts = '2031-01-01' WHERE id = NEW.id; END IF;
        ELSE
    END CASE;
    RETURN NULL;
END
$$;
CREATE TRIGGER undo AFTER INSERT OR UPDATE ON undone FOR EACH ROW EXECUTE FUNCTION undo();
RESET ROLE;
SELECT cxone_sync.add_target('undone', 'undone', '{id}', event_types => '{Undone}');
SELECT deliver(e('Undone', 1, '{"id": "1", "v": "deleted"}'), e('Undone', 1, '{"id": "2", "v": "touched"}'), e('Undone', 1, '{"id": "3", "v": "kept"}'));
SELECT id, v FROM undone ORDER BY id;
SELECT * FROM dead;
TRUNCATE cxone_sync.dead_letters;
-- and its traces go with the dead letter
SET ROLE regress_owner;
CREATE FUNCTION merge() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE test.undone SET visits = visits + 1 WHERE id = ''3''; RETURN NULL; END';
CREATE TRIGGER merge BEFORE INSERT ON undone FOR EACH ROW WHEN (NEW.v = 'merged') EXECUTE FUNCTION merge();
RESET ROLE;
SELECT deliver(e('Undone', 2, '{"id": "4", "v": "merged"}'));
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT id, visits FROM undone ORDER BY id;
SELECT * FROM dead;
TRUNCATE cxone_sync.dead_letters;
-- in field order, too
SET ROLE regress_owner;
CREATE FUNCTION keep_old() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TABLE frozen (id text PRIMARY KEY, v text, updated_ts timestamptz, field_times jsonb);
CREATE TRIGGER keep_old BEFORE UPDATE ON frozen FOR EACH ROW EXECUTE FUNCTION keep_old();
RESET ROLE;
SELECT cxone_sync.add_target('frozen', 'frozen', '{id}', event_types => '{Frozen}');
SELECT deliver(e('Frozen', 1, '{"id": "1", "v": "old"}')), deliver(e('Frozen', 2, '{"id": "1", "v": "new"}'));
SELECT id, v FROM frozen;
SELECT * FROM dead;
TRUNCATE cxone_sync.dead_letters;

---- an INSERT trigger of statements does not concern rows that are there; one for a row runs once for it
SET ROLE regress_owner;
CREATE TABLE quiet (id text PRIMARY KEY, v text, no integer, updated_ts timestamptz);
CREATE SEQUENCE numbers;
CREATE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.no := nextval(''test.numbers''); RETURN NEW; END';
CREATE TRIGGER number BEFORE INSERT ON quiet FOR EACH ROW EXECUTE FUNCTION number();
RESET ROLE;
SELECT cxone_sync.add_target('quiet', 'quiet', '{id}', event_types => '{Quiet}');
SELECT deliver(e('Quiet', 1, '{"id": "b"}')), deliver(e('Quiet', 1, '{"id": "a"}')), deliver(e('Quiet', 1, '{"id": "d"}'), e('Quiet', 1, '{"id": "c"}'));
SELECT id, no FROM quiet ORDER BY no;
SET ROLE regress_owner;
DROP TRIGGER number ON quiet;
CREATE FUNCTION no_more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no more rows''; END';
CREATE TRIGGER no_more BEFORE INSERT ON quiet FOR EACH STATEMENT EXECUTE FUNCTION no_more();
RESET ROLE;
SELECT deliver(e('Quiet', 2, '{"id": "a", "v": "new"}'), e('Quiet', 2, '{"id": "e", "v": "new"}'));
SELECT id, v FROM quiet ORDER BY id;

---- a row that an AFTER trigger inserts again was not deleted
SET ROLE regress_owner;
CREATE TABLE again (id text PRIMARY KEY, gone boolean, updated_ts timestamptz);
CREATE FUNCTION insert_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.gone IS NOT TRUE THEN INSERT INTO test.again VALUES (OLD.id, true, OLD.updated_ts); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER insert_again AFTER DELETE ON again FOR EACH ROW EXECUTE FUNCTION insert_again();
RESET ROLE;
SELECT cxone_sync.add_target('again', 'again', '{id}', event_types => '{Again}', delete_types => '{Again gone}');
SELECT deliver(e('Again', 1, '{"id": "a"}')), deliver(e('Again gone', 2, '{"id": "a"}'));
SELECT id, gone FROM again;
SELECT * FROM dead WHERE target = 'again';
SELECT count(*) FROM cxone_sync.tombstones WHERE relation = 'again'::regclass;

---- a trigger cannot alter a table whose events are under way; with its delivery alone it can
SET ROLE regress_owner;
CREATE TABLE alters (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE altered (id numeric PRIMARY KEY, v bigint, updated_ts timestamptz);
CREATE FUNCTION alter_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE test.altered ALTER COLUMN id TYPE bigint, ALTER COLUMN v TYPE numeric;
    RETURN NEW;
END $$;
CREATE FUNCTION just_look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER alter_other BEFORE INSERT ON alters FOR EACH ROW EXECUTE FUNCTION alter_other();
CREATE TRIGGER just_look BEFORE INSERT ON altered FOR EACH ROW EXECUTE FUNCTION just_look();
RESET ROLE;
SELECT cxone_sync.add_target('alters', 'alters', '{id}', event_types => '{Alters}');
SELECT cxone_sync.add_target('altered', 'altered', '{id}', event_types => '{Altered}');
SELECT deliver(e('Alters', 1, '{"id": "a"}'), e('Altered', 1, '{"id": 1, "v": 5}'));
SELECT deliver(e('Alters', 1, '{"id": "b"}'));
SELECT deliver(e('Altered', 1, '{"id": 2, "v": 5}'));
SELECT id FROM alters;
SELECT id, v FROM altered ORDER BY id;
SELECT * FROM dead WHERE target = 'alters';

---- what the caller's transaction has deferred is somebody's code, who need not be the caller now
SET ROLE regress_owner;
CREATE TABLE bait (id integer);
CREATE FUNCTION grab() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''runs as %'', current_user; END';
CREATE CONSTRAINT TRIGGER grab AFTER INSERT ON bait DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION grab();
RESET ROLE;
\set VERBOSITY default
BEGIN;
SET LOCAL ROLE regress_owner;
INSERT INTO bait VALUES (1);
RESET ROLE;
SELECT deliver(e('Phone', 5, '{"id": "a"}'));
ROLLBACK;
\set VERBOSITY terse
-- where none waits, those of a target do not either
SET ROLE regress_owner;
CREATE TABLE strict (id text PRIMARY KEY, v text, updated_ts timestamptz);
CREATE CONSTRAINT TRIGGER grab AFTER INSERT ON strict DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.v = 'bad') EXECUTE FUNCTION grab();
RESET ROLE;
SELECT cxone_sync.add_target('strict', 'strict', '{id}', event_types => '{Strict}');
BEGIN;
CREATE TEMPORARY TABLE written ();
SELECT deliver(e('Strict', 1, '{"id": "1", "v": "bad"}'), e('Strict', 1, '{"id": "2", "v": "good"}'));
COMMIT;
SELECT * FROM dead;

TRUNCATE cxone_sync.dead_letters;

---- foreign keys that delete or change rows, whose triggers write a target, over however many tables
SET ROLE regress_owner;
CREATE TABLE accounts (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE links (id text PRIMARY KEY, account text REFERENCES accounts ON DELETE CASCADE);
CREATE TABLE notes (id text PRIMARY KEY, link text REFERENCES links ON DELETE SET NULL);
CREATE TABLE orphans (id text PRIMARY KEY, state text, updated_ts timestamptz);
CREATE FUNCTION tell_orphan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE test.orphans SET state = 'orphan' WHERE id = OLD.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_orphan AFTER UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION tell_orphan();
RESET ROLE;
SELECT cxone_sync.add_target('z_accounts', 'accounts', '{id}', event_types => '{Account}', delete_types => '{AccountGone}'), cxone_sync.add_target('a_orphans', 'orphans', '{id}', event_types => '{Orphan}');
INSERT INTO accounts VALUES ('a', '2026-01-01');
INSERT INTO links VALUES ('l', 'a');
INSERT INTO notes VALUES ('n', 'l');
INSERT INTO orphans VALUES ('n', 'new', '2026-01-01');
SELECT deliver(e('AccountGone', 2, '{"id": "a"}'), e('Orphan', 2, '{"id": "n", "state": "closed"}'));
SELECT id, state FROM orphans;
SELECT cxone_sync.remove_target('z_accounts'), cxone_sync.remove_target('a_orphans');

---- defaults, constraints and policies that read tables
SET ROLE regress_owner;
CREATE TABLE numbered (id text PRIMARY KEY, n integer, team text, updated_ts timestamptz);
CREATE FUNCTION next_number() RETURNS integer LANGUAGE sql STABLE AS 'SELECT coalesce(max(n), 0) + 1 FROM test.numbered';
CREATE FUNCTION has_room(name text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT count(*) < 2 FROM test.numbered WHERE team = name';
ALTER TABLE numbered ALTER COLUMN n SET DEFAULT next_number();
RESET ROLE;
SELECT cxone_sync.add_target('numbered', 'numbered', '{id}', event_types => '{Numbered}');
SELECT deliver(e('Numbered', 1, '{"id": "b", "team": "t"}'), e('Numbered', 1, '{"id": "a", "team": "t"}'));
SELECT id, n FROM numbered ORDER BY n;
ALTER TABLE numbered ALTER COLUMN n DROP DEFAULT, ADD CONSTRAINT room CHECK (n IS NOT NULL OR has_room(team));
TRUNCATE numbered, cxone_sync.dead_letters;
SELECT deliver(e('Numbered', 1, '{"id": "c", "team": "t"}'), e('Numbered', 1, '{"id": "b", "team": "t"}'), e('Numbered', 1, '{"id": "a", "team": "t"}'));
SELECT event_key, sqlstate FROM dead;
ALTER TABLE numbered DROP CONSTRAINT room, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON numbered USING (true);
CREATE POLICY room ON numbered AS RESTRICTIVE FOR INSERT WITH CHECK (has_room(team));
TRUNCATE numbered, cxone_sync.dead_letters;
SELECT deliver(e('Numbered', 1, '{"id": "c", "team": "t"}'), e('Numbered', 1, '{"id": "b", "team": "t"}'), e('Numbered', 1, '{"id": "a", "team": "t"}'));
SELECT event_key, sqlstate FROM dead;
SELECT cxone_sync.remove_target('numbered');
TRUNCATE cxone_sync.dead_letters;

---- which triggers run is each session's matter; what they drop was not applied, whatever a session has looked at before
SET ROLE regress_owner;
CREATE TABLE dropped (id text PRIMARY KEY, updated_ts timestamptz);
CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER drop_row BEFORE INSERT ON dropped FOR EACH ROW EXECUTE FUNCTION drop_row();
RESET ROLE;
SELECT cxone_sync.add_target('dropped', 'dropped', '{id}', event_types => '{Dropped}');
SET session_replication_role = replica;
ALTER TABLE dropped ADD COLUMN v text;
SELECT deliver(e('Dropped', 1, '{"id": "1"}'));
RESET session_replication_role;
SELECT deliver(e('Dropped', 1, '{"id": "2"}'));
SELECT id FROM dropped;
SELECT event_key, sqlstate FROM dead;

---- nor may what a trigger's condition reads depend on the batch
TRUNCATE cxone_sync.dead_letters;
SELECT cxone_sync.remove_target('dropped');
SET ROLE regress_owner;
CREATE TABLE counted (id text PRIMARY KEY, v text, updated_ts timestamptz);
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM test.counted';
CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN NEW.v := 'marked'; RETURN NEW; END $$;
CREATE TRIGGER mark BEFORE INSERT ON counted FOR EACH ROW WHEN (counted() > 0) EXECUTE FUNCTION mark();
RESET ROLE;
SELECT cxone_sync.add_target('counted', 'counted', '{id}', event_types => '{Counted}');
SELECT deliver(e('Counted', 1, '{"id": "b"}'), e('Counted', 1, '{"id": "a"}'), e('Counted', 1, '{"id": "c"}'));
SELECT id, v FROM counted ORDER BY id;
SELECT cxone_sync.remove_target('counted');

---- a trigger cannot give the tables that are being written to other names, as it cannot alter them
GRANT CREATE ON DATABASE :DBNAME TO regress_owner;
SET ROLE regress_owner;
CREATE SCHEMA regress_names CREATE TABLE rows (id text PRIMARY KEY, v text, updated_ts timestamptz);
CREATE TABLE doers (id text PRIMARY KEY, act text, updated_ts timestamptz);
CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE NEW.act; RETURN NEW; END $$;
CREATE TRIGGER act BEFORE INSERT ON doers FOR EACH ROW EXECUTE FUNCTION act();
RESET ROLE;
SELECT cxone_sync.add_target('doers', 'doers', '{id}', event_types => '{Do}'), cxone_sync.add_target('rows', 'regress_names.rows', '{id}', event_types => '{Row}');
SELECT deliver(e('Do', 1, '{"id": "1", "act": "ALTER TABLE regress_names.rows RENAME TO old; CREATE TABLE regress_names.rows (LIKE regress_names.old INCLUDING ALL)"}'), e('Row', 1, '{"id": "a", "v": "x"}')),
    deliver(e('Do', 1, '{"id": "2", "act": "ALTER TABLE regress_names.rows RENAME v TO w"}'), e('Row', 1, '{"id": "b", "v": "x"}')),
    deliver(e('Do', 1, '{"id": "3", "act": "ALTER SCHEMA regress_names RENAME TO regress_old"}'), e('Row', 1, '{"id": "c", "v": "x"}')),
    deliver(e('Do', 1, '{"id": "4", "act": "ALTER TABLE regress_names.rows SET SCHEMA test"}'), e('Row', 1, '{"id": "d", "v": "x"}')),
    deliver(e('Do', 1, '{"id": "5", "act": "ALTER TABLE test.doers RENAME act TO acted"}')),
    -- that of no table that is needed is no matter
    deliver(e('Do', 1, '{"id": "6", "act": "CREATE TABLE test.other (a integer); ALTER TABLE test.other RENAME TO another"}'), e('Row', 1, '{"id": "e", "v": "x"}')),
    deliver(e('Do', 1, '{"id": "7", "act": "ALTER TABLE regress_names.rows RENAME v TO w"}'));
SELECT event_key, sqlstate, message FROM cxone_sync.dead_letters ORDER BY id;
SELECT * FROM regress_names.rows ORDER BY id;
SELECT deliver(e('Row', 1, '{"id": "f", "w": "x"}'));
SELECT id, w FROM regress_names.rows WHERE id = 'f';
-- nor when it has the targets looked at anew, or acts behind the row; nor can it to their types
TRUNCATE cxone_sync.dead_letters;
SELECT deliver(e('Do', 1, '{"id": "8", "act": "ALTER SCHEMA regress_names RENAME TO regress_old; CREATE SCHEMA regress_names; CREATE TABLE regress_names.rows (LIKE regress_old.rows INCLUDING ALL); DO $d$ BEGIN PERFORM cxone_sync.value_from_extra(NULL, NULL, NULL); PERFORM cxone_sync.value_from_extra($$none$$, $$none$$, $${}$$); EXCEPTION WHEN undefined_object THEN NULL; END $d$"}'),
    e('Row', 1, '{"id": "g", "w": "x"}'));
SET ROLE regress_owner;
DROP TRIGGER act ON doers;
CREATE TRIGGER act AFTER INSERT ON doers FOR EACH ROW EXECUTE FUNCTION act();
CREATE TYPE regress_names.st AS ENUM ('a', 'b');
ALTER TABLE regress_names.rows ADD COLUMN st regress_names.st DEFAULT 'a';
RESET ROLE;
SELECT deliver(e('Do', 1, '{"id": "9", "act": "ALTER SCHEMA regress_names RENAME TO regress_old; CREATE SCHEMA regress_names; CREATE TABLE regress_names.rows (LIKE regress_old.rows INCLUDING ALL)"}'), e('Row', 1, '{"id": "h", "w": "x"}')),
    deliver(e('Do', 1, '{"id": "10", "act": "ALTER TYPE regress_names.st RENAME TO old_st; CREATE DOMAIN regress_names.st AS text"}'), e('Row', 1, '{"id": "i", "st": "b"}'));
SELECT event_key, sqlstate, message FROM cxone_sync.dead_letters ORDER BY id;
SELECT id, st FROM regress_names.rows WHERE id > 'f' ORDER BY id;
DROP SCHEMA regress_names CASCADE;
REVOKE CREATE ON DATABASE :DBNAME FROM regress_owner;

DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_owner;
