-- What the catalog shows is refused when it is configured, and told of a target for which it becomes so later.
\set VERBOSITY terse
SET client_min_messages = error;
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
CREATE FUNCTION try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
    hint text;
BEGIN
    EXECUTE 'SELECT cxone_sync.' || call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS told = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN format('%s %s%s', SQLSTATE, told, E'\n  ' || nullif(hint, ''));
END
$$;
SELECT cxone_sync.remove_target('contact_records');
-- What becomes of a good table t by `break`: an event before and after, what is told, what add_target says, and an event once it is mended.
CREATE FUNCTION breaks(break text, mend text, parameters text DEFAULT '') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    add text := format('add_target(''t'', ''t'', ''{id}''%s)', parameters);
BEGIN
    RETURN NEXT format('%s, %s', test.try(add), test.deliver('{"id": 1}'));
    EXECUTE break;
    RETURN NEXT format('%s, problem: %s', test.deliver('{"id": 1}'), (SELECT problem FROM cxone_sync.targets));
    RETURN NEXT (SELECT format('dead letter: %s, is the problem: %s', sqlstate, (message, hint) = (SELECT t.problem, t.hint FROM cxone_sync.targets AS t)) FROM cxone_sync.dead_letters);
    PERFORM cxone_sync.remove_target('t');
    RETURN NEXT test.try(add);
    EXECUTE mend;
    RETURN NEXT format('%s, %s', test.try(add), test.deliver('{"id": 2}'));
    PERFORM cxone_sync.remove_target('t');
    TRUNCATE test.t, cxone_sync.dead_letters;
END
$$;
\pset format unaligned
\pset tuples_only on
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, updated_ts timestamptz);
RESET ROLE;

---- rules
SELECT breaks('CREATE RULE r AS ON INSERT TO t DO ALSO SELECT 1', 'DROP RULE r ON t');
SELECT breaks('CREATE RULE r AS ON INSERT TO t WHERE NEW.id > 5 DO INSTEAD NOTHING', 'ALTER TABLE t DISABLE RULE r');
DROP RULE r ON t;
-- PostgreSQL refuses ON CONFLICT beside a rule for UPDATE though it is disabled
SELECT breaks('CREATE RULE r AS ON UPDATE TO t DO ALSO NOTHING; ALTER TABLE t DISABLE RULE r', 'DROP RULE r ON t');
SELECT breaks('CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING', 'ALTER TABLE t ENABLE REPLICA RULE r', $$, delete_types => '{Gone}'$$);
-- where nothing deletes, one for DELETE is in nobody's way
ALTER TABLE t ENABLE RULE r;
SELECT try($$add_target('t', 't', '{id}')$$), deliver('{"id": 1}'), try($$remove_target('t')$$);
ALTER TABLE t ADD COLUMN gone_ts timestamptz;
SELECT try($$add_target('t', 't', '{id}', delete_types => '{Gone}', mark_column => 'gone_ts')$$), deliver('{"id": 1}', '{"id": 1, "eventType": "Gone"}'), try($$remove_target('t')$$);
DROP RULE r ON t;
TRUNCATE t;

---- tables that inherit
SELECT breaks('CREATE TABLE child () INHERITS (t); ALTER TABLE child OWNER TO regress_owner', 'ALTER TABLE child NO INHERIT t');
SELECT breaks('ALTER TABLE child INHERIT t', 'DROP TABLE child');
-- the one that inherits can be a target
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (t);
ALTER TABLE child OWNER TO regress_owner;
SELECT try($$add_target('child', 'child', '{id}')$$), deliver('{"id": 1}'), try($$remove_target('child')$$);
DROP TABLE child;

---- partitions, at any depth
DROP TABLE t;
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, updated_ts timestamptz) PARTITION BY RANGE (id);
CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (100);
CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE t_leaf PARTITION OF t_high FOR VALUES FROM (100) TO (150);
CREATE UNLOGGED TABLE t_new (LIKE t INCLUDING ALL);
RESET ROLE;
SELECT breaks('ALTER TABLE t_low SET UNLOGGED', 'ALTER TABLE t_low SET LOGGED');
SELECT breaks('ALTER TABLE t_leaf SET UNLOGGED', 'ALTER TABLE t_leaf SET LOGGED');
SELECT breaks('ALTER TABLE t ATTACH PARTITION t_new FOR VALUES FROM (200) TO (300)', 'ALTER TABLE t DETACH PARTITION t_new');
SELECT breaks('ALTER TABLE t_high ATTACH PARTITION t_new FOR VALUES FROM (150) TO (200)', 'DROP TABLE t_new');
-- a partition's own rules are not asked
CREATE RULE r AS ON INSERT TO t_low DO INSTEAD NOTHING;
SELECT try($$add_target('t', 't', '{id}')$$), deliver('{"id": 1}'), try($$remove_target('t')$$);
SELECT id FROM t;
-- a foreign partition does not go with a unique key; the message is about what to do
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
DROP TABLE t;
CREATE TABLE t (id integer, v text, updated_ts timestamptz) PARTITION BY RANGE (id);
ALTER TABLE t OWNER TO regress_owner;
CREATE FOREIGN TABLE t_far PARTITION OF t FOR VALUES FROM (0) TO (100) SERVER nowhere;
SELECT try($$add_target('t', 't', '{id}')$$);
DROP TABLE t;
DROP FOREIGN DATA WRAPPER nothing CASCADE;

---- the columns for times
SET ROLE regress_owner;
CREATE DOMAIN moment AS timestamptz;
CREATE TABLE t (id integer PRIMARY KEY, v text, updated_ts timestamptz, gone_ts timestamptz, local timestamp, "exact" timestamptz(6), rounded timestamptz(0), m moment,
    made timestamptz GENERATED ALWAYS AS (timestamptz '2026-01-01 00:00:00Z') STORED, sure timestamptz NOT NULL DEFAULT now());
RESET ROLE;
SELECT try(format('add_target(''t'', ''t'', ''{id}'', %L)', c)) FROM unnest('{updated,update_ts,updatedTs,UPDATED_TS,changed,v,local,rounded,m,made,ctid}'::text[]) AS c;
SELECT try(format('add_target(''t'', ''t'', ''{id}'', delete_types => ''{Gone}'', mark_column => %L)', c)) FROM unnest('{gone_at,gone,v,local,rounded,m,made,sure,updated_ts,id,ctid}'::text[]) AS c;
SELECT try($$add_target('t', 't', '{id}', 'exact')$$), try($$remove_target('t')$$);
SELECT breaks('ALTER TABLE t ALTER COLUMN updated_ts TYPE timestamptz(3)', 'ALTER TABLE t ALTER COLUMN updated_ts TYPE timestamptz');
SELECT breaks('TRUNCATE t; ALTER TABLE t ALTER COLUMN gone_ts SET NOT NULL', 'ALTER TABLE t ALTER COLUMN gone_ts DROP NOT NULL', $$, delete_types => '{Gone}', mark_column => 'gone_ts'$$);
SELECT breaks('ALTER TABLE t DROP gone_ts, ADD gone_at timestamptz', 'ALTER TABLE t DROP gone_at, ADD gone_ts timestamptz', $$, delete_types => '{Gone}', mark_column => 'gone_ts'$$);

---- columns that somebody names
SELECT try(format('add_target(''t'', ''t'', ''{id}'', delete_types => ''{Gone}'', mark_column => ''gone_ts'', kept_columns => %L)', k)) FROM unnest('{"{statuss}","{V}","{v,w}","{id}","{updated_ts}","{gone_ts}"}'::text[]) AS k;
SELECT try(format('add_target(''t'', ''t'', %L)', k)) FROM unnest('{"{Id}","{ids}","{made}"}'::text[]) AS k;
SELECT try($$add_target('t', 't', '{id}', event_types => '{Made,Gone}', delete_types => '{Lost,Gone}')$$);
SELECT try($$add_target('t', 't', '{id}', kept_columns => '{v}')$$);
SELECT try(format('map_field(''t'', %L, ''/a'')', c)) FROM unnest('{v,vv,updated_tz,Made,made,nothing_like_it}'::text[]) AS c;
SELECT try(format('map_field(''t'', ''m'', %L)', p)) FROM unnest('{data.call,"$.data[0].call","data->>''call''",#/data,/a~b,/~01~2}'::text[]) AS p;
SELECT try(format('map_field(''t'', ''updated_ts'', ''/fine'', %L)', p)) FROM unnest('{data.call,...}'::text[]) AS p;
SELECT try($$change_target('t', 't', '{id}', root_path => 'data.call')$$), try($$change_target('t', 't', '{id}', type_path => 'data.kind')$$);
-- what is kept may go: that is no problem, but the owner should know
ALTER TABLE t DROP v, ADD w text;
SELECT deliver('{"id": 1, "w": "x"}'), problem, warning FROM cxone_sync.targets;
SELECT try($$remove_target('t')$$);
ALTER TABLE t DROP w, ADD v text;
-- kept, NOT NULL and without a default: only rows that are there can be written
ALTER TABLE t ADD COLUMN account integer NOT NULL DEFAULT 1;
SELECT try($$add_target('t', 't', '{id}', kept_columns => '{account}')$$), deliver('{"id": 1, "v": "y"}'), (SELECT warning FROM cxone_sync.targets);
ALTER TABLE t ALTER COLUMN account DROP DEFAULT;
SELECT deliver('{"id": 2, "v": "z"}'), (SELECT warning FROM cxone_sync.targets), try($$remove_target('t')$$);
TRUNCATE t, cxone_sync.dead_letters;
ALTER TABLE t DROP COLUMN account;
-- the times of fields are null where they are the row's
SELECT breaks($$ALTER TABLE t ADD COLUMN field_times jsonb NOT NULL DEFAULT '{}'$$, 'ALTER TABLE t ALTER COLUMN field_times DROP NOT NULL');
ALTER TABLE t DROP COLUMN field_times, ADD COLUMN field_times jsonb GENERATED ALWAYS AS ('{}') STORED;
SELECT try($$add_target('t', 't', '{id}')$$), deliver('{"id": 1}'), (SELECT time_order FROM cxone_sync.targets), try($$remove_target('t')$$);
DROP TABLE t;

---- the unique index on the key
SET ROLE regress_owner;
CREATE TABLE t (id text NOT NULL, n integer NOT NULL DEFAULT 0, v text, updated_ts timestamptz);
RESET ROLE;
SELECT try(format('add_target(''t'', ''t'', %L)', k)) FROM unnest('{"{id}","{n,id}"}'::text[]) AS k;
-- What becomes of it with these indexes.
CREATE FUNCTION keyed(VARIADIC definitions text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY definitions LOOP
        EXECUTE format(definition, 'test.t');
    END LOOP;
    RETURN NEXT test.try($a$add_target('t', 't', '{id}')$a$);
    IF EXISTS (SELECT FROM cxone_sync.targets) THEN
        RETURN NEXT format('%s, %s', test.deliver('{"id": "a", "v": "first"}'), test.deliver('{"id": "a", "v": "second"}', '{"id": "A"}'));
        RETURN NEXT concat_ws(': ', (SELECT string_agg(concat_ws(' ', id, v), ', ' ORDER BY id COLLATE "C") FROM test.t), (SELECT warning FROM cxone_sync.targets));
        PERFORM cxone_sync.remove_target('t');
    END IF;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P0U00';
EXCEPTION WHEN SQLSTATE 'P0U00' THEN
    RETURN;
END
$$;
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id)');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id) INCLUDE (v)');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id DESC NULLS FIRST)');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id text_pattern_ops)');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id COLLATE "POSIX")');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id COLLATE "POSIX")', 'CREATE UNIQUE INDEX j ON %s (id)');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id) WHERE v IS NULL');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (lower(id))');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id, lower(id))');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id, id)');
SELECT keyed('CREATE INDEX i ON %s (id)');
SELECT keyed('ALTER TABLE %s ADD CONSTRAINT c UNIQUE (id) DEFERRABLE');
SELECT keyed('ALTER TABLE %s ADD CONSTRAINT c UNIQUE (id) DEFERRABLE INITIALLY DEFERRED', 'ALTER TABLE %s ADD PRIMARY KEY (id)');
SELECT keyed('ALTER TABLE %s ADD CONSTRAINT c EXCLUDE (id WITH =)');
SELECT keyed('ALTER TABLE %s ADD CONSTRAINT c EXCLUDE (id WITH =) DEFERRABLE', 'ALTER TABLE %s ADD PRIMARY KEY (id)');
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id)', $$UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'test.i'::regclass$$);
-- values that the index takes for equal and the column does not, and the other way round; without ICU there are none
DO $$
BEGIN
    CREATE COLLATION test.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
SELECT coalesce(string_agg(k, E'\n'), 'unique index "i" on the key of table test.t takes other values for equal than its columns do') ~ 'takes other values for equal'
FROM pg_collation AS c CROSS JOIN LATERAL keyed('CREATE UNIQUE INDEX i ON %s (id COLLATE test.nocase)') AS k WHERE collname = 'nocase';
SELECT coalesce(string_agg(k, E'\n'), 'takes other values for equal') ~ 'takes other values for equal'
FROM pg_collation AS c CROSS JOIN LATERAL keyed('CREATE UNIQUE INDEX i ON %s (id)', 'CREATE UNIQUE INDEX j ON %s (id COLLATE test.nocase)') AS k WHERE collname = 'nocase';
-- an operator class with an equality of its own
CREATE FUNCTION same_length(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length($1) = length($2)';
CREATE FUNCTION shorter(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length($1) < length($2)';
CREATE FUNCTION compare_length(text, text) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT length($1) - length($2)';
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = same_length);
CREATE OPERATOR <<< (LEFTARG = text, RIGHTARG = text, FUNCTION = shorter);
CREATE OPERATOR CLASS by_length FOR TYPE text USING btree AS OPERATOR 1 <<<, OPERATOR 3 ===, FUNCTION 1 compare_length(text, text);
SELECT keyed('CREATE UNIQUE INDEX i ON %s (id by_length)');
-- one that comes later
ALTER TABLE t DROP COLUMN id, ADD COLUMN id integer PRIMARY KEY;
SELECT breaks('ALTER TABLE t ADD CONSTRAINT c UNIQUE (id) DEFERRABLE', 'ALTER TABLE t DROP CONSTRAINT c');
SELECT breaks('ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD CONSTRAINT c EXCLUDE (id WITH =)', 'ALTER TABLE t DROP CONSTRAINT c, ADD PRIMARY KEY (id)');

---- row security that holds for the owner
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t USING (v IS DISTINCT FROM 'hidden');
SELECT breaks('ALTER TABLE t FORCE ROW LEVEL SECURITY', 'ALTER TABLE t NO FORCE ROW LEVEL SECURITY', $$, delete_types => '{Gone}'$$);
ALTER TABLE t FORCE ROW LEVEL SECURITY;
ALTER TABLE t ADD COLUMN gone_ts timestamptz;
SELECT try($$add_target('t', 't', '{id}', delete_types => '{Gone}', mark_column => 'gone_ts')$$), deliver('{"id": 1}', '{"id": 1, "eventType": "Gone"}'), try($$remove_target('t')$$);
TRUNCATE t;
SELECT breaks('DROP POLICY p ON t', 'CREATE POLICY p ON t TO regress_owner USING (true)');
SELECT breaks('ALTER POLICY p ON t TO pg_monitor', 'ALTER POLICY p ON t TO PUBLIC');
-- for some commands only
SELECT breaks('CREATE POLICY s ON t FOR SELECT USING (true); CREATE POLICY i ON t FOR INSERT WITH CHECK (true); DROP POLICY p ON t', 'CREATE POLICY u ON t FOR UPDATE USING (true)');
SELECT breaks('DROP POLICY i ON t', 'CREATE POLICY i ON t FOR INSERT WITH CHECK (true)');
SELECT breaks('DROP POLICY s ON t', 'CREATE POLICY p ON t USING (true); DROP POLICY i ON t; DROP POLICY u ON t');
SELECT breaks('CREATE POLICY q ON t AS RESTRICTIVE USING (true); DROP POLICY p ON t', 'ALTER ROLE regress_owner BYPASSRLS');
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
ALTER ROLE regress_owner NOBYPASSRLS;

---- what ails a target that stays, and is over: also where neither its table nor its configuration changes
CREATE FUNCTION recovers(break text, mend text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before text := test.deliver('{"id": 1}');
    broken text;
BEGIN
    EXECUTE break;
    broken := test.deliver('{"id": 2}');
    EXECUTE mend;
    RETURN format('%s; %s; %s', before, broken, test.deliver('{"id": 3}'));
END
$$;
ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DROP POLICY q ON t;
CREATE POLICY q ON t TO pg_monitor USING (true);
GRANT pg_monitor TO regress_owner;
SELECT try($$add_target('t', 't', '{id}')$$);
SELECT recovers('ALTER ROLE regress_owner SUPERUSER', 'ALTER ROLE regress_owner NOSUPERUSER');
SELECT recovers('REVOKE pg_monitor FROM regress_owner', 'GRANT pg_monitor TO regress_owner');
SELECT recovers('REVOKE pg_monitor FROM regress_owner', 'ALTER ROLE regress_owner BYPASSRLS');
SELECT recovers('REVOKE USAGE ON SCHEMA test FROM PUBLIC', 'GRANT USAGE ON SCHEMA test TO regress_owner');
SELECT recovers('REVOKE UPDATE ON t FROM regress_owner', 'GRANT UPDATE ON t TO regress_owner');
SELECT recovers('ALTER TABLE t SET UNLOGGED', 'ALTER TABLE t SET LOGGED');
SELECT try($$remove_target('t')$$);
TRUNCATE t, cxone_sync.dead_letters;
ALTER TABLE t DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA test TO PUBLIC;

---- warnings
SET client_min_messages = warning;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql SET search_path = test, pg_temp AS $$ BEGIN NEW.updated_ts = now(); RETURN NEW; END $$;
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql SET search_path TO test AS $$ BEGIN IF NEW.updated_ts = OLD.updated_ts THEN NULL; END IF; RETURN NEW; END $$;
CREATE FUNCTION plain() RETURNS trigger LANGUAGE plpgsql SET work_mem = '1MB' AS $$ BEGIN RETURN NEW; END $$;
CREATE VIEW warnings AS SELECT w FROM cxone_sync.targets, unnest(string_to_array(warning, '; ')) AS w ORDER BY w;
SELECT cxone_sync.add_target('t', 't', '{id}');
TABLE warnings;
CREATE TRIGGER look BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION look();
CREATE TRIGGER early AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();
TABLE warnings;
CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();
TABLE warnings;
ALTER TABLE t DISABLE TRIGGER stamp;
TABLE warnings;
ALTER TABLE t ENABLE REPLICA TRIGGER stamp;
TABLE warnings;
ALTER TABLE t ENABLE ALWAYS TRIGGER stamp;
CREATE TRIGGER named BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION look('x', 'updated_ts');
CREATE TRIGGER plain AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION plain();
CREATE TRIGGER whole AFTER INSERT ON t EXECUTE FUNCTION plain();
CREATE TRIGGER emptied AFTER TRUNCATE ON t EXECUTE FUNCTION plain();
CREATE TRIGGER c BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
TABLE warnings;
-- told whoever configures it as well
SELECT cxone_sync.change_target('t', 't', '{id}');
-- a function that is changed is looked at again; its WARNING has said how
CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql SET search_path = test, pg_temp AS $$ BEGIN RETURN NEW; END $$;
ALTER FUNCTION plain() SET search_path = test, pg_temp;
DROP TRIGGER named ON t;
TABLE warnings;
SELECT deliver('{"id": 1}'), problem FROM cxone_sync.targets;
SELECT cxone_sync.remove_target('t');
DROP TABLE t;
-- of a partition, its own ones only
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, updated_ts timestamptz) PARTITION BY RANGE (id);
RESET ROLE;
SELECT cxone_sync.add_target('t', 't', '{id}');
SELECT cxone_sync.remove_target('t');
SET ROLE regress_owner;
CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (100);
RESET ROLE;
ALTER FUNCTION plain() RESET ALL;
CREATE TRIGGER plain AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION plain();
SELECT cxone_sync.add_target('t', 't', '{id}');
CREATE TRIGGER whole AFTER INSERT ON t_low EXECUTE FUNCTION plain();
CREATE TRIGGER own AFTER INSERT ON t_low FOR EACH ROW EXECUTE FUNCTION plain();
TABLE warnings;
SELECT cxone_sync.remove_target('t');
DROP TABLE t;
ALTER FUNCTION plain() SET search_path = test, pg_temp;

---- what publications need of a table that is updated
SET client_min_messages = error;
SET ROLE regress_owner;
CREATE TABLE t (id integer UNIQUE, v text, gone_ts timestamptz, updated_ts timestamptz);
RESET ROLE;
CREATE PUBLICATION p FOR TABLE t WITH (publish = 'insert');
SELECT breaks($$ALTER PUBLICATION p SET (publish = 'insert, update')$$, 'ALTER TABLE t REPLICA IDENTITY FULL');
ALTER TABLE t REPLICA IDENTITY DEFAULT, ALTER COLUMN id SET NOT NULL;
ALTER PUBLICATION p SET (publish = 'insert');
SELECT breaks($$ALTER PUBLICATION p SET (publish = 'insert, update')$$, 'ALTER TABLE t REPLICA IDENTITY USING INDEX t_id_key');
SELECT breaks('ALTER TABLE t REPLICA IDENTITY NOTHING', 'DROP PUBLICATION p');
SELECT breaks('CREATE PUBLICATION p FOR ALL TABLES', 'ALTER TABLE t ADD PRIMARY KEY (id), REPLICA IDENTITY DEFAULT');
DROP PUBLICATION p;
-- deletions, where there are some
ALTER TABLE t REPLICA IDENTITY NOTHING;
SELECT breaks($$CREATE PUBLICATION p FOR TABLE t WITH (publish = 'insert, delete')$$, 'ALTER TABLE t REPLICA IDENTITY DEFAULT', $$, delete_types => '{Gone}'$$);
ALTER TABLE t REPLICA IDENTITY NOTHING;
SELECT try($$add_target('t', 't', '{id}')$$), deliver('{"id": 1}'), deliver('{"id": 1, "v": "x"}'), try($$remove_target('t')$$);
SELECT try($$add_target('t', 't', '{id}', delete_types => '{Gone}', mark_column => 'gone_ts')$$), deliver('{"id": 1, "eventType": "Gone"}'), try($$remove_target('t')$$);
ALTER TABLE t REPLICA IDENTITY DEFAULT;
DROP PUBLICATION p;
-- a filter by a column that is not in the identity
SELECT breaks($$CREATE PUBLICATION p FOR TABLE t WHERE (v = 'x')$$, 'ALTER TABLE t REPLICA IDENTITY FULL');
DROP TABLE t;
DROP PUBLICATION p;
-- partitions, each of which has its own identity
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, updated_ts timestamptz) PARTITION BY RANGE (id);
CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (100);
CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE t_leaf PARTITION OF t_high FOR VALUES FROM (100) TO (150);
RESET ROLE;
CREATE PUBLICATION p FOR TABLE t;
SELECT breaks('ALTER TABLE t_leaf REPLICA IDENTITY NOTHING', 'ALTER TABLE t_leaf REPLICA IDENTITY DEFAULT');
DROP PUBLICATION p;

---- a partition's own trigger may give a row another key, which a deletion would not find
SELECT breaks('CREATE TRIGGER own BEFORE INSERT ON t_low FOR EACH ROW EXECUTE FUNCTION plain()', 'DROP TRIGGER own ON t_low', $$, delete_types => '{Gone}'$$);
SELECT breaks('CREATE TRIGGER own BEFORE INSERT OR UPDATE ON t_high FOR EACH ROW EXECUTE FUNCTION plain()', 'ALTER TABLE t_high DISABLE TRIGGER own', $$, delete_types => '{Gone}'$$);
ALTER TABLE t_high ENABLE TRIGGER own;
SELECT try($$add_target('t', 't', '{id}')$$), deliver('{"id": 1}', '{"id": 101}'), try($$remove_target('t')$$);
DROP TRIGGER own ON t_high;
CREATE TRIGGER whole BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION plain();
CREATE TRIGGER late AFTER INSERT ON t_low FOR EACH ROW EXECUTE FUNCTION plain();
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON t_low FOR EACH ROW EXECUTE FUNCTION plain();
CREATE TRIGGER once BEFORE INSERT ON t_low EXECUTE FUNCTION plain();
SELECT try($$add_target('t', 't', '{id}', delete_types => '{Gone}')$$), deliver('{"id": 1}', '{"id": 101}'), try($$remove_target('t')$$);
DROP TABLE t;

---- sequences that defaults draw from
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, n bigint GENERATED ALWAYS AS IDENTITY, m serial, updated_ts timestamptz);
RESET ROLE;
CREATE SEQUENCE s;
GRANT USAGE ON SEQUENCE s TO regress_owner;
ALTER TABLE t ADD COLUMN number bigint DEFAULT nextval('s'), ADD COLUMN code text;
SELECT breaks('REVOKE USAGE ON SEQUENCE s FROM regress_owner', 'GRANT UPDATE ON SEQUENCE s TO regress_owner');
REVOKE UPDATE ON SEQUENCE s FROM regress_owner;
ALTER TABLE t ALTER COLUMN number DROP DEFAULT;
SELECT breaks($$ALTER TABLE t ALTER COLUMN code SET DEFAULT 'N' || nextval('s')$$, 'GRANT USAGE ON SEQUENCE s TO PUBLIC');
-- of the key, which events always have
REVOKE USAGE ON SEQUENCE s FROM PUBLIC;
ALTER TABLE t ALTER COLUMN code DROP DEFAULT, ALTER COLUMN id SET DEFAULT nextval('s');
SELECT try($$add_target('t', 't', '{id}')$$), deliver('{"id": 1}'), try($$remove_target('t')$$);
DROP TABLE t;
DROP SEQUENCE s;

---- what defaults and constraints call
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, updated_ts timestamptz) PARTITION BY RANGE (id);
CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (100);
RESET ROLE;
CREATE FUNCTION word() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'word'; END $$;
ALTER TABLE t ALTER COLUMN v SET DEFAULT upper(word());
SELECT breaks('REVOKE EXECUTE ON FUNCTION word FROM PUBLIC', 'GRANT EXECUTE ON FUNCTION word TO regress_owner');
ALTER TABLE t ALTER COLUMN v DROP DEFAULT, ADD CONSTRAINT other CHECK (v <> word());
SELECT breaks('REVOKE EXECUTE ON FUNCTION word FROM regress_owner', 'ALTER TABLE t DROP CONSTRAINT other');
SELECT breaks('ALTER TABLE t_low ADD CHECK (v <> word())', 'GRANT EXECUTE ON FUNCTION word TO PUBLIC');
-- of the key, which events always have
REVOKE EXECUTE ON FUNCTION word FROM PUBLIC;
ALTER TABLE t_low DROP CONSTRAINT t_low_v_check;
ALTER TABLE t ALTER COLUMN id SET DEFAULT length(word());
SELECT try($$add_target('t', 't', '{id}')$$), deliver('{"id": 1}'), try($$remove_target('t')$$);
DROP TABLE t;

---- the table that a foreign key refers to is looked into as its owner
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, extra jsonb, updated_ts timestamptz);
RESET ROLE;
CREATE SCHEMA apart;
CREATE TABLE apart.parents (id integer PRIMARY KEY);
ALTER TABLE apart.parents OWNER TO regress_owner;
SELECT breaks('ALTER TABLE t ADD COLUMN p integer REFERENCES apart.parents', 'GRANT USAGE ON SCHEMA apart TO regress_owner');
DROP SCHEMA apart CASCADE;

---- what no event can bring
SELECT breaks($$ALTER TABLE t ALTER COLUMN extra SET DEFAULT '[]'$$, $$ALTER TABLE t ALTER COLUMN extra SET DEFAULT '{}'$$);
SELECT breaks($$ALTER TABLE t ADD COLUMN field_times jsonb DEFAULT 'null'$$, 'ALTER TABLE t DROP COLUMN field_times');
SELECT try($$add_target('t', 't', '{id}')$$), try($$map_field('t', 'id', '/number', '')$$), try($$map_field('t', 'v', '')$$), try($$remove_target('t')$$);
DROP TABLE t;

---- what field order and extra need
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, extra jsonb, updated_ts timestamptz);
RESET ROLE;
SELECT breaks('REVOKE USAGE ON SCHEMA cxone_sync FROM PUBLIC', 'GRANT USAGE ON SCHEMA cxone_sync TO regress_owner');
SELECT breaks($$TRUNCATE t; ALTER TABLE t ALTER COLUMN extra SET DEFAULT '{}', ALTER COLUMN extra SET NOT NULL$$, 'ALTER TABLE t ALTER COLUMN extra DROP NOT NULL');
ALTER TABLE t ALTER COLUMN extra SET NOT NULL;
SELECT try($$add_target('t', 't', '{id}', kept_columns => '{extra}')$$), deliver('{"id": 1}'), try($$remove_target('t')$$);
ALTER TABLE t DROP COLUMN extra, ADD COLUMN field_times jsonb;
SELECT breaks('REVOKE USAGE ON SCHEMA cxone_sync FROM regress_owner', 'GRANT USAGE ON SCHEMA cxone_sync TO PUBLIC');

---- a column may be NOT NULL by its domain, at any level
CREATE DOMAIN word AS text;
CREATE DOMAIN short AS word CHECK (length(VALUE) < 9);
ALTER TABLE t ADD COLUMN w short;
SELECT breaks('TRUNCATE t; ALTER DOMAIN word SET NOT NULL', 'ALTER DOMAIN word DROP NOT NULL', $$, delete_types => '{Gone}'$$);
-- (a domain that was looked at before it refuses nulls: PostgreSQL itself tells a session of that by its own name only)
CREATE DOMAIN sure AS text NOT NULL;
CREATE DOMAIN surely AS sure DEFAULT 'none';
ALTER TABLE t DROP COLUMN w, ADD COLUMN w surely;
SELECT try($$add_target('t', 't', '{id}', delete_types => '{Gone}')$$), deliver('{"id": 1}'), try($$remove_target('t')$$);
ALTER DOMAIN surely DROP DEFAULT;
ALTER TABLE t DROP COLUMN field_times;
TRUNCATE t, cxone_sync.tombstones;
-- an event for a row that is there needs no column that it leaves out
SELECT try($$add_target('t', 't', '{id}')$$), deliver('{"id": 1, "w": "x"}'), deliver('{"id": 1, "v": "y"}'), deliver('{"id": 2, "v": "z"}');
SELECT id, v, w FROM t;
SELECT sqlstate, message FROM cxone_sync.dead_letters;
SELECT try($$change_target('t', kept_columns => '{w}')$$), warning FROM cxone_sync.targets;
SELECT warning, try($$remove_target('t')$$) FROM cxone_sync.targets;
TRUNCATE cxone_sync.dead_letters;
DROP TABLE t;

---- what PostgreSQL cannot read of one table is no other target's problem
SET ROLE regress_owner;
CREATE TABLE t (id text PRIMARY KEY, v text, updated_ts timestamptz);
CREATE TABLE deep (LIKE t INCLUDING ALL);
DO $$ BEGIN EXECUTE format('ALTER TABLE deep ADD COLUMN n integer DEFAULT 1%s', repeat('+1', 3000)); END $$;
RESET ROLE;
SELECT try($$add_target('t', 't', '{id}', event_types => '{T}')$$), try($$add_target('deep', 'deep', '{id}', event_types => '{Deep}')$$);
SET max_stack_depth = '400kB';
ALTER TABLE deep ADD COLUMN w text;
SELECT deliver('{"id": 1, "eventType": "T"}', '{"id": 2, "eventType": "Deep"}');
SELECT name, problem, (SELECT d.message = t.problem FROM cxone_sync.dead_letters AS d) AS is_told FROM cxone_sync.targets AS t ORDER BY name;
RESET max_stack_depth;
SELECT deliver('{"id": 3, "eventType": "Deep"}');
ALTER TABLE deep ALTER COLUMN n DROP DEFAULT;
SELECT outcome FROM cxone_sync.replay_dead_letters();
SELECT try($$remove_target('deep')$$);
DROP TABLE deep;
SET ROLE regress_owner;
CREATE FUNCTION missing() RETURNS text LANGUAGE sql IMMUTABLE RETURN 'x';
CREATE TABLE broken (id text PRIMARY KEY, v text DEFAULT missing(), updated_ts timestamptz);
RESET ROLE;
SELECT try($$add_target('broken', 'broken', '{id}', event_types => '{Broken}')$$);
BEGIN;
DELETE FROM pg_proc WHERE oid = 'missing'::regproc; -- as a catalog that is damaged
SELECT deliver('{"id": 3, "eventType": "T"}', '{"id": 4, "eventType": "Broken"}');
SELECT name, problem <> '' AS has_problem, try(format('remove_target(%L)', name)) FROM cxone_sync.targets ORDER BY name;
ROLLBACK;
SELECT deliver('{"id": 4, "eventType": "Broken"}'), try($$remove_target('t')$$), try($$remove_target('broken')$$);
TRUNCATE cxone_sync.dead_letters;
DROP TABLE t, broken;
DROP FUNCTION missing();

---- a default means the same whatever the settings are when it is looked at, and when it is used
SET ROLE regress_owner;
CREATE TABLE t (id text PRIMARY KEY, v text DEFAULT 'C:\temp', since date NOT NULL DEFAULT '2026-02-01', at timestamptz DEFAULT '2026-02-01 00:00:00+00', other text, updated_ts timestamptz, field_times jsonb);
RESET ROLE;
SET datestyle = 'SQL, DMY';
SET escape_string_warning = off;
DO $$ BEGIN SET standard_conforming_strings = off; EXCEPTION WHEN OTHERS THEN NULL; END $$; -- if the server still can
SELECT try(E'add_target(\'t\', \'t\', \'{id}\', delete_types => \'{Gone}\')');
SELECT deliver('{"id": 1, "v": "x", "since": "2020-01-01", "at": "2020-01-01T00:00:00Z", "timestamp": "2026-01-01T00:00:00Z"}', '{"id": 1, "other": "new", "timestamp": "2026-01-03T00:00:00Z"}');
SET datestyle = 'ISO, MDY';
RESET standard_conforming_strings;
SELECT deliver('{"id": 1, "eventType": "Gone", "timestamp": "2026-01-02T00:00:00Z"}');
SELECT * FROM t;
SELECT try($$remove_target('t')$$);
RESET datestyle;
DROP TABLE t;

-- two tables change places
SET client_min_messages = warning;
SET ROLE regress_owner;
CREATE TABLE t (id integer PRIMARY KEY, v text, updated_ts timestamptz);
CREATE TABLE "the copy" (LIKE t INCLUDING ALL);
RESET ROLE;
CREATE SCHEMA regress_owner AUTHORIZATION regress_owner;
SELECT cxone_sync.add_target('t', 't', '{id}');
ALTER TABLE t RENAME TO t_old;
TABLE warnings;
ALTER TABLE "the copy" RENAME TO t;
TABLE warnings;
SELECT deliver('{"id": 1}');
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM t_old);
SELECT cxone_sync.change_target('t', 't', '{id}');
TABLE warnings;
ALTER TABLE t SET SCHEMA regress_owner;
ALTER TABLE t_old RENAME TO t;
TABLE warnings;
SELECT cxone_sync.change_target('t', 'regress_owner.t', '{id}');
TABLE warnings;
SELECT cxone_sync.remove_target('t');
-- the first target as well
DROP VIEW warnings;
DROP EXTENSION cxone_sync;
CREATE EXTENSION cxone_sync;
ALTER TABLE cxone_sync.contact_records RENAME TO contact_records_old;
CREATE TABLE cxone_sync.contact_records (LIKE cxone_sync.contact_records_old);
SELECT relation, warning FROM cxone_sync.targets;

SET client_min_messages = error;
DROP SCHEMA test CASCADE;
DROP OWNED BY regress_owner;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records, cxone_sync.contact_records_old;
DROP ROLE regress_owner;
