-- What the functions that configure change, tell and refuse, whatever the table is like.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION cxone_sync;
CREATE ROLE regress_owner;
CREATE SCHEMA test;
GRANT USAGE, CREATE ON SCHEMA test TO PUBLIC;
SET search_path = test;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
SET ROLE regress_owner;
CREATE TABLE cases (id bigint PRIMARY KEY, status text, contact text, gone_ts timestamptz, updated_ts timestamptz, UNIQUE (status));
CREATE TABLE others (LIKE cases INCLUDING ALL);
RESET ROLE;
CREATE VIEW t AS SELECT relation, key_columns, order_column, event_types, root_path, type_path, delete_types, mark_column, kept_columns FROM cxone_sync.targets WHERE name = 'cases';
SELECT cxone_sync.add_target('cases', 'cases', '{id}', event_types => '{CaseCreated,CaseUpdated}', root_path => '/data', delete_types => '{CaseGone}', mark_column => 'gone_ts', kept_columns => '{contact}');
SET client_min_messages = notice;

---- what is not given is kept, and each change is told
SELECT cxone_sync.change_target('cases', event_types => '{CaseCreated}');
TABLE t;
SELECT cxone_sync.change_target('cases');
SELECT cxone_sync.change_target('cases', 'cases', '{id}', 'updated_ts', '{CaseCreated}', '/data', '/eventType', '{CaseGone}', 'gone_ts', '{contact}');
TABLE t;
SELECT cxone_sync.change_target('cases', 'others', '{status}', root_path => '', type_path => '/kind');
TABLE t;
-- clearing has to be said
SELECT cxone_sync.change_target('cases', event_types => '{}', kept_columns => '{}');
SELECT cxone_sync.change_target('cases', delete_types => '{}', mark_column => '');
TABLE t;
SELECT cxone_sync.change_target('cases', 'cases', '{id}', event_types => '{CaseCreated}', type_path => '/eventType', delete_types => '{CaseGone}');
SELECT cxone_sync.change_target('cases', mark_column => 'gone_ts', kept_columns => '{contact,status}');
TABLE t;
-- so what the troubleshooting tells to do keeps sync_status
SELECT cxone_sync.change_target('contact_records', event_types => '{Contact}');
SELECT event_types, kept_columns FROM cxone_sync.targets WHERE name = 'contact_records';
SELECT cxone_sync.change_target('contact_records', event_types => '{}');
SET client_min_messages = warning;

---- a target without event types leaves to the others the types that they name
SELECT name, event_types, left_to_others FROM cxone_sync.targets;
SELECT cxone_sync.add_target('others', 'others', '{id}', event_types => '{B,A}', delete_types => '{CaseGone,Z}');
SELECT name, event_types, left_to_others FROM cxone_sync.targets;
SELECT cxone_sync.change_target('others', event_types => '{}');
SELECT name, event_types, left_to_others FROM cxone_sync.targets;
SELECT cxone_sync.remove_target('others');
SELECT name, warning FROM cxone_sync.targets;

---- arguments that cannot be meant
SELECT cxone_sync.add_target('', 'others', '{id}');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{Call}', kept_columns => '{contakt}');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{Call}', kept_columns => '{nothing like it}');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{Call}', kept_columns => '{ctid}');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{Call}', kept_columns => '{contact,updated_ts}');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{Call}', kept_columns => '{id}');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{Call}', kept_columns => '{NULL}');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{Call,Gone}', delete_types => '{End,Gone}');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{Call}', mark_column => 'gone_ts');
SELECT cxone_sync.add_target('calls', 'others', '{id}', event_types => '{}');
SELECT cxone_sync.add_target('calls', 'others', '{}');
SELECT cxone_sync.change_target(NULL, 'others');
SELECT cxone_sync.change_target('case', 'others');
SELECT cxone_sync.change_target('cases', kept_columns => '{gone}');
SELECT cxone_sync.change_target('cases', kept_columns => '{gone_ts}');
SELECT cxone_sync.change_target('cases', kept_columns => '{updated_ts}');
SELECT cxone_sync.change_target('cases', order_column => 'gone_ts', kept_columns => '{gone_ts}');
SELECT cxone_sync.change_target('cases', event_types => '{CaseGone}');
SELECT cxone_sync.change_target('cases', delete_types => '{CaseCreated}');
SELECT cxone_sync.change_target('cases', delete_types => '{}');
SELECT cxone_sync.change_target('cases', key_columns => '{}');
SELECT cxone_sync.change_target('cases', key_columns => '{status}');
SELECT cxone_sync.map_field('cases', 'contct', '/contact');
SELECT cxone_sync.map_field('cases', repeat('x', 300), '/contact');
SELECT cxone_sync.map_field('cases', '', '/contact');
TABLE t;
-- one rule for all of them: what may not be null, and arrays of one dimension, without nulls, with each element once
CREATE FUNCTION refusals(function text, calls text[]) RETURNS TABLE (call text, code text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH call IN ARRAY calls LOOP
        BEGIN
            code := NULL; message := 'is accepted'; hint := NULL;
            EXECUTE format('SELECT cxone_sync.%s(%s)', function, call);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT * FROM refusals('remove_target', '{NULL::text}');
SELECT * FROM refusals('unmap_field', ARRAY[$$NULL, 'status'$$, $$'cases', NULL$$, $$'cases', ''$$, $$'cases', 'status'$$]);
SELECT * FROM refusals('map_field', ARRAY[$$NULL, 'status', '/a'$$, $$'cases', NULL, '/a'$$, $$'cases', 'status', NULL$$, $$'cases', 'status', '/a', NULL$$, $$'cases', 'status', VARIADIC NULL$$,
    $$'cases', 'status', VARIADIC '{}'$$, $$'cases', 'status', VARIADIC '{{/a,/b},{/c,/d}}'$$, $$'cases', 'status', '/a', '/b', '/a'$$, $$'cases', 'status', VARIADIC '[5:6]={/a,NULL}'$$]);
SELECT * FROM refusals('add_target', ARRAY[$$'calls', 'others', NULL$$, $$'calls', 'others', '{{id}}'$$, $$'calls', 'others', '{id,id}'$$, $$'calls', 'others', '{NULL}'$$]
    || ARRAY(SELECT format($$'calls', 'others', '{id}', %s => %L$$, p, v) FROM unnest('{event_types,delete_types,kept_columns}'::text[]) AS p, unnest(ARRAY['{{a},{b}}', '{a,NULL}', '{a,b,a}']) AS v));
SELECT * FROM refusals('change_target', ARRAY['NULL', $$'cases', key_columns => '{}'$$] || ARRAY(SELECT format($$'cases', %s => %L$$, p, v)
    FROM unnest('{key_columns,event_types,delete_types,kept_columns}'::text[]) AS p, unnest(ARRAY['{{a},{b}}', '{a,NULL}', '{a,b,a}']) AS v));
-- none of which has changed anything
TABLE t;
SELECT * FROM cxone_sync.field_map;
-- a kept column that was dropped since is no slip
ALTER TABLE cases DROP COLUMN contact;
SELECT cxone_sync.change_target('cases', event_types => '{CaseCreated,CaseUpdated}');
TABLE t;

DROP SCHEMA test CASCADE;
DROP OWNED BY regress_owner;
DROP EXTENSION cxone_sync;
DROP TABLE cxone_sync.contact_records;
DROP ROLE regress_owner;
