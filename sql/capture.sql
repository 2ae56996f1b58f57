-- Whoever may create objects in the schema defines functions and operators of names that the extension uses. None of them takes the place
-- of what the scripts, the views and the worker's statements mean.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_hostile;
CREATE ROLE regress_owner;
CREATE SCHEMA test AUTHORIZATION regress_owner;
GRANT ALL ON SCHEMA test TO PUBLIC;
SET search_path = test;
\pset format unaligned
\pset tuples_only on

-- All that one might call by mistake says so.
CREATE FUNCTION set_trap(name text, arguments text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FUNCTION cxone_sync.%I(%s) RETURNS boolean LANGUAGE plpgsql AS %L', name, array_to_string(arguments, ', '),
                   format('BEGIN RAISE EXCEPTION %L; END', format('captured: %s(%s)', name, array_to_string(arguments, ', '))));
END
$$;
-- Operators for which pg_catalog has none that fits exactly.
CREATE FUNCTION set_operator_traps() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    operands CONSTANT text[] := '{text,name,oid,regclass,"\"char\"",integer,bigint,jsonb,text[],name[],timestamptz,boolean}';
    n bigint := 0;
BEGIN
    FOR i IN 1 .. cardinality(operands) LOOP
        FOR j IN 1 .. cardinality(operands) LOOP
            PERFORM test.set_trap('operation', ARRAY[operands[i], operands[j]]);
            n := n + test.set_operators(operands[i]::regtype, operands[j]::regtype);
        END LOOP;
    END LOOP;
    RETURN n;
END
$$;
CREATE FUNCTION set_operators(l regtype, r regtype) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    operation text;
    n bigint := 0;
BEGIN
    FOR operation IN SELECT o FROM unnest('{=,<>,<,>,<=,>=,||,-,->}'::text[]) AS o
                     WHERE NOT EXISTS (SELECT FROM pg_operator WHERE oprname = o AND oprleft = l AND oprright = r) LOOP
        EXECUTE format('CREATE OPERATOR cxone_sync.%s (leftarg = %s, rightarg = %s, function = cxone_sync.operation)', operation, l, r);
        n := n + 1;
    END LOOP;
    RETURN n;
END
$$;
-- Functions of PostgreSQL's that the scripts and the statements name.
CREATE FUNCTION set_function_traps() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(test.set_trap(name, arguments::text[]))
    FROM unnest('{format,concat_ws,now,array_agg,string_agg,unnest,array_cat,cardinality,array_position,to_regclass,current_setting,max,count,
                  jsonb_build_object,jsonb_object_keys,jsonb_array_length,record_image_gt,record_image_ne,array_replace,
                  pg_extension_config_dump,has_schema_privilege,pg_has_role,quote_ident}'::text[]) AS name,
        unnest(ARRAY['{}', '{text}', '{text,text}', '{text,text,text}', '{text,name,name}', '{name,name}', '{"text[]"}', '{"text[]",text}', '{"text[]","text[]"}',
                     '{jsonb}', '{name}', '{regclass}', '{regclass,text}', '{text,boolean}', '{oid,oid,text}']) AS arguments
$$;
-- The functions of the extension, with one or more arguments of other types: text, which literals and nulls without a type prefer.
CREATE FUNCTION set_overload_traps() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(test.set_trap(f.name, a.arguments))
    FROM (SELECT p.proname::text AS name, array_agg(format_type(t, NULL) ORDER BY n) AS types
          FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e',
              unnest(p.proargtypes) WITH ORDINALITY AS u(t, n)
          WHERE p.pronamespace = to_regnamespace('cxone_sync') AND p.pronargs <= 8 GROUP BY p.oid, p.proname) AS f,
        generate_series(1, (1 << cardinality(f.types)) - 1) AS mask,
        LATERAL (SELECT array_agg(CASE WHEN mask & (1 << (n::integer - 1)) = 0 THEN t WHEN t = 'text' THEN 'name' ELSE 'text' END ORDER BY n) AS arguments
                 FROM unnest(f.types) WITH ORDINALITY AS u(t, n)) AS a
    WHERE 'record' <> ALL (a.arguments) -- which no function in PL/pgSQL can take
$$;

-- What is bound to a function or an operator in the schema that is none of the extension's.
CREATE VIEW captured AS
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS what, pg_describe_object(d.refclassid, d.refobjid, 0) AS by_what
FROM pg_depend AS d JOIN pg_depend AS s ON s.classid = d.refclassid AND s.objid = d.refobjid AND s.refclassid = 'pg_namespace'::regclass AND s.refobjid = to_regnamespace('cxone_sync')
WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND d.classid <> 'pg_operator'::regclass
    AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e');

---- the upgrade: refused as long as others than superusers own them
BEGIN;
CREATE EXTENSION cxone_sync VERSION '1.0';
GRANT USAGE, CREATE ON SCHEMA cxone_sync TO regress_hostile;
SAVEPOINT hostile;
SET ROLE regress_hostile;
SELECT set_trap('format', '{text,name,name}');
RESET ROLE;
ALTER EXTENSION cxone_sync UPDATE TO '2.0';
ROLLBACK TO hostile;
ALTER EXTENSION cxone_sync UPDATE TO '2.0';
SAVEPOINT hostile;
SET ROLE regress_hostile;
SELECT set_trap('operation', '{oid,regclass}');
SELECT set_operators('oid', 'regclass') > 0;
RESET ROLE;
ALTER FUNCTION cxone_sync.operation OWNER TO CURRENT_USER;
ALTER EXTENSION cxone_sync UPDATE;
ROLLBACK TO hostile;
SET ROLE regress_hostile;
CREATE TYPE cxone_sync.kind AS ENUM ('a');
-- a table of theirs is nothing that a script could mean
CREATE TABLE cxone_sync.theirs (id integer);
RESET ROLE;
SAVEPOINT hostile;
ALTER EXTENSION cxone_sync UPDATE;
ROLLBACK TO hostile;
ALTER TYPE cxone_sync.kind OWNER TO CURRENT_USER;
-- what is captured nevertheless shows where they are a superuser's, and let pass
SET ROLE regress_hostile;
SELECT set_operator_traps() > 800, set_function_traps() > 300;
RESET ROLE;
REASSIGN OWNED BY regress_hostile TO CURRENT_USER;
ALTER EXTENSION cxone_sync UPDATE;
SELECT extversion FROM pg_extension WHERE extname = 'cxone_sync';
COMMIT;

---- afterwards: nothing of the extension is bound to what is none of it
SET ROLE regress_hostile;
SELECT set_overload_traps();
RESET ROLE;
TABLE captured;

---- and nothing else is called, by views, ingest(), order in time, extra, deletions, repair
SET ROLE regress_owner;
CREATE TABLE by_row (id text PRIMARY KEY, a text, extra jsonb, updated_ts timestamptz);
CREATE TABLE by_field (id text, place name, a text, n numeric DEFAULT 0, gone_ts timestamptz, extra jsonb, updated_ts timestamptz, field_times jsonb, PRIMARY KEY (id, place));
CREATE TABLE deleting (id text PRIMARY KEY, a text, extra jsonb, updated_ts timestamptz, field_times jsonb);
CREATE TABLE bare (id text PRIMARY KEY, a text, b integer, updated_ts timestamptz, field_times jsonb);
RESET ROLE;
SELECT cxone_sync.add_target('by_row'::text, 'by_row'::regclass, '{id}'::text[], event_types => '{row}'::text[]);
SELECT cxone_sync.add_target('by_field'::text, 'by_field'::regclass, '{id,place}'::text[], event_types => '{field}'::text[], delete_types => '{mark}'::text[], mark_column => 'gone_ts');
SELECT cxone_sync.add_target('deleting'::text, 'deleting'::regclass, '{id}'::text[], event_types => '{delete}'::text[], delete_types => '{gone}'::text[]);
SELECT cxone_sync.add_target('bare'::text, 'bare'::regclass, '{id}'::text[], event_types => '{bare}'::text[]);
SELECT cxone_sync.map_field('by_row'::text, 'a'::text, VARIADIC '{/a,/b}'::text[]);
CREATE TABLE delivery (n integer GENERATED ALWAYS AS IDENTITY, event jsonb);
INSERT INTO delivery (event)
SELECT jsonb_build_object('eventType', type, 'id', 'k', 'place', 'p', 'timestamp', format('2026-01-0%sT00:00:00Z', day)) || more
FROM unnest('{row,field,mark,delete,gone,bare}'::text[]) AS type,
    (VALUES (2, '{"a": "x", "b": 1, "other": 1}'::jsonb), (4, '{"a": "y"}'), (3, '{"a": null, "n": 1.50, "more": [1]}'), (1, '{"b": 2, "late": true}'), (4, '{"a": "z", "other": null}'), (5, '{"b": "3", "a": "5"}')) AS v (day, more);
SELECT event ->> 'eventType', cxone_sync.ingest(jsonb_build_object('events', jsonb_agg(event ORDER BY n))) FROM delivery GROUP BY 1 ORDER BY 1;
-- one by one
SELECT sum((cxone_sync.ingest(jsonb_build_object('events', jsonb_build_array(event))) ->> 'dead_lettered')::integer) FROM delivery;
SELECT cxone_sync.ingest('{"events": [{"id": "c", "email": "x", "phone": "1"}, {"id": "c", "phone": "2", "timestamp": "2020-01-01T00:00:00Z"}, {"no": "id"}]}'::jsonb);
SELECT sqlstate, message FROM cxone_sync.dead_letters;
SELECT a, extra FROM by_row;
SELECT a, n, gone_ts IS NULL, extra FROM by_field;
ALTER TABLE by_field ADD other text, ADD late boolean;
ALTER TABLE by_row ADD other text;
CALL cxone_sync.fill_from_extra('by_field'::text, 'late'::text, 10);
CALL cxone_sync.fill_from_extra('by_row'::text, 'other'::text, 10);
SELECT late FROM by_field;
SELECT outcome, new_message FROM cxone_sync.replay_dead_letters();
SELECT target, outcome FROM cxone_sync.simulate('{"events": [{"eventType": "field", "id": "k", "place": "q"}]}'::jsonb);
ALTER TABLE by_field RENAME a TO renamed;
ALTER TABLE by_row RENAME TO row_by_row;
CREATE TABLE by_row (id integer);
SELECT name, problem, warning FROM cxone_sync.targets ORDER BY name;
SELECT count(*) > 0 FROM cxone_sync.sync_lag, cxone_sync.sync_lag_buckets, cxone_sync.sync_status, cxone_sync.sync_counters, cxone_sync.intake_lag, cxone_sync.data_action;
SELECT count(*) > 0 FROM cxone_sync.unmapped_keys;
SELECT cxone_sync.purge_dead_letters('1 day'::interval), cxone_sync.purge_tombstones('1 day'::interval);
SELECT cxone_sync.remove_target('bare'::text);

---- nor by the first script, where all this was there before
DROP EXTENSION cxone_sync;
CREATE EXTENSION cxone_sync;
REASSIGN OWNED BY regress_hostile TO CURRENT_USER;
CREATE EXTENSION cxone_sync;
REVOKE CREATE ON SCHEMA cxone_sync FROM regress_hostile;
CREATE EXTENSION cxone_sync;
TABLE captured;

SET client_min_messages = error;
DROP SCHEMA test CASCADE;
DROP EXTENSION cxone_sync;
DROP SCHEMA cxone_sync CASCADE;
DROP OWNED BY regress_hostile, regress_owner;
DROP ROLE regress_hostile, regress_owner;
