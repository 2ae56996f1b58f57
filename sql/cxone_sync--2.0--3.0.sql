/* Schema version 3: any event into any table, and repair. */

\echo Use "ALTER EXTENSION cxone_sync UPDATE TO '3.0'" to load this file. \quit

/* What the script creates belongs to its owner alone, whatever default privileges say; all grants are at the end. */
CREATE FUNCTION reset_privileges() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_reset_privileges';

/* What others have put on these tables or into this schema could run as a superuser below. */
CREATE FUNCTION check_schema() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_check_schema';
SELECT cxone_sync.check_schema();
DROP FUNCTION cxone_sync.check_schema();

/*
 * A user may have a column of that name already: of another type it stays a column like any other. One that an earlier
 * installation or a user has left keeps its order in time; ours is known by its place, between two tables of the first script.
 */
DO $$
DECLARE
    present oid := pg_catalog.to_regclass('cxone_sync.contact_records');
BEGIN
    IF present IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute
                                           WHERE attrelid = present AND attname = 'extra' AND NOT attisdropped) THEN
        ALTER TABLE cxone_sync.contact_records ADD COLUMN extra jsonb;
        COMMENT ON COLUMN cxone_sync.contact_records.extra IS
            'what events carry and no column takes: absent keeps a member, null makes it null';
    END IF;
    IF present > 'cxone_sync.schema_versions'::pg_catalog.regclass::oid AND present < 'cxone_sync.dead_letters'::pg_catalog.regclass::oid
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute
                        WHERE attrelid = present AND attname = 'field_times' AND NOT attisdropped) THEN
        ALTER TABLE cxone_sync.contact_records ADD COLUMN field_times jsonb;
        COMMENT ON COLUMN cxone_sync.contact_records.field_times IS
            'times of fields that differ from updated_ts, so that partial events converge; the sync writes it';
    END IF;
END
$$;

/* ---- which events go to which table ---- */

CREATE TABLE target_config (
    name          text PRIMARY KEY CHECK (name <> ''),
    relation      regclass NOT NULL,
    key_columns   text[] NOT NULL CHECK (pg_catalog.cardinality(key_columns) > 0 AND pg_catalog.array_position(key_columns, NULL) IS NULL),
    order_column  text NOT NULL,
    event_types   text[] CHECK (pg_catalog.cardinality(event_types) > 0 AND pg_catalog.array_position(event_types, NULL) IS NULL),
    type_path     text NOT NULL DEFAULT '/eventType',
    root_path     text NOT NULL DEFAULT '',
    delete_types  text[] CHECK (pg_catalog.cardinality(delete_types) > 0 AND pg_catalog.array_position(delete_types, NULL) IS NULL),
    mark_column   text,
    kept_columns  text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(kept_columns, NULL) IS NULL),
    relation_name text NOT NULL
);
COMMENT ON TABLE target_config IS 'what add_target() and change_target() have set; read it as the view targets';
COMMENT ON COLUMN target_config.name IS 'name of the target';
COMMENT ON COLUMN target_config.relation IS 'the table that it writes';
COMMENT ON COLUMN target_config.key_columns IS 'columns that identify a row; a unique constraint spans just them';
COMMENT ON COLUMN target_config.order_column IS 'timestamptz column for the time of the newest event applied';
COMMENT ON COLUMN target_config.event_types IS 'types of the events that it takes; null: all that no other target names';
COMMENT ON COLUMN target_config.type_path IS 'JSON pointer to an event''s type';
COMMENT ON COLUMN target_config.root_path IS 'JSON pointer to the object in an event whose members feed the columns of their names';
COMMENT ON COLUMN target_config.delete_types IS 'types of the events that delete a row, or mark it as deleted';
COMMENT ON COLUMN target_config.mark_column IS 'timestamptz column that a deletion sets and every other event clears; null: deletions delete';
COMMENT ON COLUMN target_config.kept_columns IS 'columns that no event writes';
COMMENT ON COLUMN target_config.relation_name IS 'the table''s name when it was set, with its schema';

/* Without a foreign key: a parallel restore loads the tables of an extension in any order. */
CREATE TABLE field_map (
    target      text,
    column_name text CHECK (column_name <> ''),
    paths       text[] NOT NULL CHECK (pg_catalog.cardinality(paths) > 0 AND pg_catalog.array_position(paths, NULL) IS NULL),
    PRIMARY KEY (target, column_name)
);
COMMENT ON TABLE field_map IS 'columns that are fed from elsewhere than the key of their name, set by map_field()';
COMMENT ON COLUMN field_map.target IS 'name of the target';
COMMENT ON COLUMN field_map.column_name IS 'column of the target''s table; its order column for the event''s time';
COMMENT ON COLUMN field_map.paths IS 'JSON pointers into the event; the first that is there and not null counts';

/*
 * Times of fields and deletions know a column by a name that it keeps, and that no later column of the table gets: so neither a
 * rename nor a drop has to touch a row.
 */
CREATE TABLE lasting_names (
    relation     regclass,
    column_name  text,
    lasting_name text NOT NULL,
    uses         integer NOT NULL,
    PRIMARY KEY (relation, column_name)
);
COMMENT ON TABLE lasting_names IS 'by which name field_times and tombstones know a column, where it is another one than its own';
COMMENT ON COLUMN lasting_names.relation IS 'the table';
COMMENT ON COLUMN lasting_names.column_name IS 'name of a column, also of one that there may be later';
COMMENT ON COLUMN lasting_names.lasting_name IS 'the name that it keeps';
COMMENT ON COLUMN lasting_names.uses IS 'how many columns of the table the name has stood for, the next one included';
SELECT pg_catalog.pg_extension_config_dump('lasting_names', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = relation)');

CREATE FUNCTION config_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_config_changed';
COMMENT ON FUNCTION config_changed() IS 'tells every process that the configuration has changed, at the commit';

CREATE FUNCTION keep_restored_target() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM cxone_sync.target_config WHERE name = NEW.name AND name = 'contact_records';
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION keep_restored_target() IS
    'lets the first target restored from a dump replace the one that CREATE EXTENSION has just written';

CREATE TRIGGER keep_restored_target BEFORE INSERT ON target_config
    FOR EACH ROW EXECUTE FUNCTION keep_restored_target();
COMMENT ON TRIGGER keep_restored_target ON target_config IS 'makes a dump of this table restorable';
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON target_config
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
COMMENT ON TRIGGER config_changed ON target_config IS 'makes a change effective for the next delivery';
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON schema_versions
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
COMMENT ON TRIGGER config_changed ON schema_versions IS 'tells that a restore has brought the versions';
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON field_map
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
COMMENT ON TRIGGER config_changed ON field_map IS 'makes a change effective for the next delivery';

-- A table that is gone would be restored as its number, which may be another's by then.
SELECT pg_catalog.pg_extension_config_dump('target_config', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = relation)');
SELECT pg_catalog.pg_extension_config_dump('field_map',
    'WHERE target IN (SELECT name FROM cxone_sync.target_config JOIN pg_catalog.pg_class ON pg_class.oid = relation)');

CREATE FUNCTION add_target(
    name text, relation regclass, key_columns text[], order_column text DEFAULT 'updated_ts',
    event_types text[] DEFAULT NULL, root_path text DEFAULT '', type_path text DEFAULT '/eventType',
    delete_types text[] DEFAULT NULL, mark_column text DEFAULT NULL, kept_columns text[] DEFAULT '{}')
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_add_target';
COMMENT ON FUNCTION add_target(text, regclass, text[], text, text[], text, text, text[], text, text[]) IS
    'sends events to a table from the next delivery on; the caller must own the table or belong to the role that does';

CREATE FUNCTION change_target(
    name text, relation regclass DEFAULT NULL, key_columns text[] DEFAULT NULL, order_column text DEFAULT NULL,
    event_types text[] DEFAULT NULL, root_path text DEFAULT NULL, type_path text DEFAULT NULL,
    delete_types text[] DEFAULT NULL, mark_column text DEFAULT NULL, kept_columns text[] DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_change_target';
COMMENT ON FUNCTION change_target(text, regclass, text[], text, text[], text, text, text[], text, text[]) IS
    'changes what is given and keeps the rest; {} clears event_types, delete_types and kept_columns, an empty text mark_column; tells each change in a notice';

CREATE FUNCTION remove_target(name text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_remove_target';
COMMENT ON FUNCTION remove_target(text) IS 'sends no more events to its table; the table and its rows stay';

CREATE FUNCTION map_field(target text, column_name text, VARIADIC paths text[]) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_map_field';
COMMENT ON FUNCTION map_field(text, text, text[]) IS
    'feeds the column from these JSON pointers into the event: the first that is there and not null counts';

CREATE FUNCTION unmap_field(target text, column_name text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_unmap_field';
COMMENT ON FUNCTION unmap_field(text, text) IS 'feeds the column from the key of its name again';

CREATE FUNCTION target_states(
    OUT name text, OUT field_order boolean, OUT extra boolean, OUT problem text, OUT hint text, OUT warning text)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_target_states';
COMMENT ON FUNCTION target_states() IS 'what the catalog says of each target';

CREATE FUNCTION other_database() RETURNS text
LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_other_database';
COMMENT ON FUNCTION other_database() IS 'the database that the worker writes to (cxone_sync.database) if it is not this one';

DO $$
BEGIN
    IF cxone_sync.other_database() IS NOT NULL THEN
        RAISE WARNING 'deliveries are written to database "%", not to this one', cxone_sync.other_database()
            USING HINT = 'Create the extension there, or set cxone_sync.database and restart the server. What the views of the worker show is about that database.';
    END IF;
END
$$;

CREATE VIEW targets AS
SELECT c.name, c.relation, c.key_columns, c.order_column, c.event_types, c.type_path, c.root_path, c.delete_types, c.mark_column,
    c.kept_columns, CASE WHEN s.field_order THEN 'field' ELSE 'row' END AS time_order, s.extra AS keeps_extra,
    CASE WHEN c.event_types IS NULL THEN
        (SELECT pg_catalog.array_agg(DISTINCT t ORDER BY t)
         FROM target_config AS o, LATERAL pg_catalog.unnest(pg_catalog.array_cat(o.event_types, o.delete_types)) AS t
         WHERE o.name <> c.name AND t <> ALL (coalesce(c.delete_types, '{}')))
    END AS left_to_others,
    s.problem, s.hint, nullif(pg_catalog.concat_ws('; ', other.warning, s.warning,
        'deliveries are written to database ' || pg_catalog.quote_ident(other_database()) || ', not to this one'), '') AS warning
FROM target_config c LEFT JOIN target_states() s USING (name) LEFT JOIN LATERAL (
    SELECT pg_catalog.format('another table has the name %s by which the table was set: run cxone_sync.change_target() with the one that is meant',
        c.relation_name) AS warning
    FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace n ON n.oid = k.relnamespace
    WHERE pg_catalog.format('%I.%I', n.nspname, k.relname) = c.relation_name AND k.oid <> c.relation::oid) AS other ON true
ORDER BY c.name <> 'contact_records', c.name;
COMMENT ON VIEW targets IS 'which events go to which table, and whether that works';
COMMENT ON COLUMN targets.name IS 'name of the target';
COMMENT ON COLUMN targets.relation IS 'the table that it writes';
COMMENT ON COLUMN targets.key_columns IS 'columns that identify a row; a unique constraint spans just them';
COMMENT ON COLUMN targets.order_column IS 'timestamptz column for the time of the newest event applied';
COMMENT ON COLUMN targets.event_types IS 'types of the events that it takes; null: all that no other target names';
COMMENT ON COLUMN targets.type_path IS 'JSON pointer to an event''s type';
COMMENT ON COLUMN targets.root_path IS 'JSON pointer to the object in an event whose members feed the columns of their names';
COMMENT ON COLUMN targets.delete_types IS 'types of the events that delete a row, or mark it as deleted';
COMMENT ON COLUMN targets.mark_column IS 'timestamptz column that a deletion sets and every other event clears; null: deletions delete';
COMMENT ON COLUMN targets.kept_columns IS 'columns that no event writes';
COMMENT ON COLUMN targets.time_order IS
    'field: newer fields win one by one, as the table has a column field_times; row: an older event changes nothing';
COMMENT ON COLUMN targets.keeps_extra IS 'whether the table has a column extra for what no other column takes';
COMMENT ON COLUMN targets.left_to_others IS 'types that it leaves to the targets that name them, having no event_types of its own';
COMMENT ON COLUMN targets.problem IS 'why its events are dead letters; null: they are not';
COMMENT ON COLUMN targets.hint IS 'what to do about it';
COMMENT ON COLUMN targets.warning IS 'what its owner should know though it stops nothing';

/* Not where a dump is restored, which brings its own. */
INSERT INTO target_config (name, relation, key_columns, order_column, kept_columns, relation_name)
SELECT 'contact_records', relation, '{id}', 'updated_ts', '{sync_status}', 'cxone_sync.contact_records'
FROM pg_catalog.to_regclass('cxone_sync.contact_records') AS relation WHERE relation IS NOT NULL;

/* ---- dead letters ---- */

ALTER TABLE dead_letters ALTER COLUMN target DROP NOT NULL;
ALTER TABLE dead_letters ADD COLUMN hint text, ADD COLUMN history jsonb NOT NULL DEFAULT '[]', ADD COLUMN detail text,
    ADD COLUMN constraint_name text, -- what parse_json_pointer() of the library takes
    ADD COLUMN events_path text CHECK (pg_catalog.octet_length(events_path) <= 1000 AND events_path ~ '^(/([^/~]|~[01])*){0,64}$');
COMMENT ON COLUMN dead_letters.target IS 'the target that it was meant for; null: none takes it';
UPDATE dead_letters SET target = 'contact_records'; -- there was no other, and it was the table's name
COMMENT ON COLUMN dead_letters.hint IS 'what to do about it';
COMMENT ON COLUMN dead_letters.history IS 'earlier attempts: when, SQLSTATE and message, the last 20 of them';
COMMENT ON COLUMN dead_letters.detail IS 'further information of the error';
COMMENT ON COLUMN dead_letters.constraint_name IS 'the constraint that was violated, where known';
COMMENT ON COLUMN dead_letters.events_path IS
    'null: the payload is one event; else it is a line in which no events were found, and this the JSON pointer to where they stand, as the setting was';
COMMENT ON COLUMN dead_letters.payload IS 'the JSON text of the event, or of the line (events_path), byte for byte';

/*
 * Partial events in any order. A target with a side column field_times keeps, beside the time of the row in its order
 * column, a time for each field: a JSON object of the column's lasting name (lasting_names) and microseconds since 1970 in UTC, null = never set. Times
 * of the members of extra are in an object of their own at its lasting name. Only what differs from the default is kept: the
 * row's time for a column that is not null and a member that is there, never for the others; without any it is NULL.
 *
 * A field of an event wins if the event is later than the field; at the same time null wins, else the greater bytes. So the
 * end is the same for every order and any repetition. The generated statements call these as the target's owner, who may
 * be anyone; they read and write no table.
 */
CREATE FUNCTION field_time(times jsonb, name text, is_null boolean, row_time timestamptz) RETURNS timestamptz
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_field_time';
COMMENT ON FUNCTION field_time(jsonb, text, boolean, timestamptz) IS
    'when an event last set a column, by the row''s field_times and time; -infinity: never';

CREATE FUNCTION merge_field_times(
    times jsonb, row_time timestamptz, event_time timestamptz, names text[], old_nulls boolean[], new_nulls boolean[],
    old_extra jsonb, new_extra jsonb, kept text[] DEFAULT NULL, extra_name text DEFAULT 'extra', shadowed boolean[] DEFAULT NULL)
RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_merge_field_times';
COMMENT ON FUNCTION merge_field_times(jsonb, timestamptz, timestamptz, text[], boolean[], boolean[], jsonb, jsonb, text[], text, boolean[]) IS
    'field_times of a row after an event; names: the columns that events may feed, old_nulls: which are null in the row, new_nulls: which are null in the event, null where it does not carry them; kept: columns whose times stay as they are; extra_name: the name of extra itself; shadowed: which columns extra holds a value for as well, so that their times are kept in any case';

CREATE FUNCTION note_row(is_newer boolean, is_marked boolean, would_change boolean, number bigint) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_note_row';
COMMENT ON FUNCTION note_row(boolean, boolean, boolean, bigint) IS
    'notes what a row tells the event of this number, while a statement of the extension runs: whether it is newer, whether it is marked as deleted at the event''s time, and whether the event would change it; returns the latter';
CREATE FUNCTION note_row_by_key(is_newer boolean, is_marked boolean, would_change boolean, key record) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_note_row_by_key';
COMMENT ON FUNCTION note_row_by_key(boolean, boolean, boolean, record) IS
    'the same for the event with this key';

CREATE FUNCTION merge_extra(
    old_extra jsonb, new_extra jsonb, times jsonb, row_time timestamptz, event_time timestamptz, extra_name text DEFAULT 'extra')
RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_merge_extra';
COMMENT ON FUNCTION merge_extra(jsonb, jsonb, jsonb, timestamptz, timestamptz, text) IS
    'extra of a row after an event: each member that wins replaces the row''s';

CREATE FUNCTION extra_wins(
    old_extra jsonb, new_extra jsonb, times jsonb, row_time timestamptz, event_time timestamptz, extra_name text DEFAULT 'extra')
RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_extra_wins';
COMMENT ON FUNCTION extra_wins(jsonb, jsonb, jsonb, timestamptz, timestamptz, text) IS
    'whether an event changes the extra of a row or a time of its members';

CREATE FUNCTION reset_field_times(
    times jsonb, row_time timestamptz, deleted_time timestamptz, names text[], nulls boolean[], default_nulls boolean[],
    extra jsonb, kept text[] DEFAULT NULL, extra_name text DEFAULT 'extra', shadowed boolean[] DEFAULT NULL)
RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_reset_field_times';
COMMENT ON FUNCTION reset_field_times(jsonb, timestamptz, timestamptz, text[], boolean[], boolean[], jsonb, text[], text, boolean[]) IS
    'field_times of a row after a deletion that newer fields have overtaken: what is not newer was never set; default_nulls: which columns'' defaults are null';

CREATE FUNCTION reset_extra(extra jsonb, times jsonb, row_time timestamptz, deleted_time timestamptz, extra_name text DEFAULT 'extra')
RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_reset_extra';
COMMENT ON FUNCTION reset_extra(jsonb, jsonb, timestamptz, timestamptz, text) IS
    'extra of a row after such a deletion: only the newer members';

CREATE FUNCTION replay_dead_letters(
    ids bigint[] DEFAULT NULL, target text DEFAULT NULL, sqlstate text DEFAULT NULL, most integer DEFAULT 1000,
    OUT id bigint, OUT outcome text, OUT new_sqlstate text, OUT new_message text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_replay_dead_letters';
COMMENT ON FUNCTION replay_dead_letters(bigint[], text, text, integer) IS
    'applies dead letters anew, in the order of their arrival: up to so many of those that failed least often, and one that another session replays not at all; what succeeds is deleted, what fails again stays with one more attempt';

CREATE FUNCTION purge_dead_letters(older_than interval, force boolean DEFAULT false) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_purge_dead_letters';
COMMENT ON FUNCTION purge_dead_letters(interval, boolean) IS
    'deletes the dead letters that arrived longer ago, less than a day only with force; returns how many';

CREATE FUNCTION simulate(
    payload jsonb, OUT event integer, OUT target text, OUT outcome text, OUT event_key text, OUT event_time timestamptz,
    OUT columns jsonb, OUT sqlstate text, OUT message text, OUT column_name text)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_simulate';
COMMENT ON FUNCTION simulate(jsonb) IS
    'what ingest() would do, a row for each event and target: it is written and taken back, triggers included, so that nothing stays but numbers drawn from sequences';

/* ---- what no column takes ---- */

CREATE FUNCTION unmapped_keys(
    OUT target text, OUT key text, OUT events bigint, OUT example text, OUT first_seen timestamptz, OUT last_seen timestamptz)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_unmapped_keys';
COMMENT ON FUNCTION unmapped_keys() IS 'what the view unmapped_keys shows';

CREATE VIEW unmapped_keys AS SELECT * FROM unmapped_keys();
COMMENT ON VIEW unmapped_keys IS
    'members that events carried and no column took, since the server started or reset_unmapped_keys(); 512 of them at most';
COMMENT ON COLUMN unmapped_keys.target IS 'name of the target';
COMMENT ON COLUMN unmapped_keys.key IS 'the member''s key';
COMMENT ON COLUMN unmapped_keys.events IS 'how many events had it';
COMMENT ON COLUMN unmapped_keys.example IS 'its JSON text in the first of them, cut to 127 bytes';
COMMENT ON COLUMN unmapped_keys.first_seen IS 'when the first of them arrived';
COMMENT ON COLUMN unmapped_keys.last_seen IS 'when the last of them arrived';

CREATE FUNCTION reset_unmapped_keys() RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_reset_unmapped_keys';
COMMENT ON FUNCTION reset_unmapped_keys() IS 'empties the view unmapped_keys';

CREATE FUNCTION value_from_extra(
    target text, column_name text, extra jsonb, OUT found boolean, OUT value text, OUT rest jsonb)
RETURNS record
LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_value_from_extra';
COMMENT ON FUNCTION value_from_extra(text, text, jsonb) IS
    'what an event with these members would put into the column, as text, and the members that are left';

CREATE FUNCTION newest_member_time(times jsonb, members text[], row_time timestamptz, extra_name text DEFAULT 'extra') RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT max(cxone_sync.field_time(times -> extra_name, m, false, row_time)) FROM unnest(members) AS m
$$;
COMMENT ON FUNCTION newest_member_time(jsonb, text[], timestamptz, text) IS 'the time of the newest of these members of a row''s extra';

CREATE FUNCTION move_member_time(times jsonb, members text[], column_name text, wins boolean, is_null boolean, row_time timestamptz, extra_name text DEFAULT 'extra')
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(CASE WHEN NOT wins THEN rest
                       WHEN newest = row_time AND NOT is_null THEN rest - column_name
                       ELSE rest || jsonb_build_object(column_name, (extract(epoch FROM newest) * 1000000)::bigint) END, '{}')
    FROM (SELECT coalesce(times - extra_name, '{}') ||
                 CASE WHEN (times -> extra_name) - members <> '{}' THEN jsonb_build_object(extra_name, (times -> extra_name) - members) ELSE '{}' END AS rest,
                 cxone_sync.newest_member_time(times, members, row_time, extra_name) AS newest) AS r
$$;
COMMENT ON FUNCTION move_member_time(jsonb, text[], text, boolean, boolean, timestamptz, text) IS
    'field_times of a row whose members of extra have been moved to a column, and have become its value if they win';

CREATE PROCEDURE fill_from_extra(target text, column_name text, batch_size integer DEFAULT 1000)
LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_fill_from_extra';
COMMENT ON PROCEDURE fill_from_extra(text, text, integer) IS
    'moves what extra holds for a column that was added later into that column, in batches with a commit each; values that the column refuses stay where they are';

/* ---- deletions ---- */

CREATE TABLE tombstones (
    relation    regclass NOT NULL,
    key_columns text[] NOT NULL,
    key         text NOT NULL,
    deleted_ts  timestamptz NOT NULL,
    PRIMARY KEY (relation, key_columns, key)
);
COMMENT ON TABLE tombstones IS 'keys that events have deleted, so that a late event does not bring the row back';
COMMENT ON COLUMN tombstones.relation IS 'the table';
COMMENT ON COLUMN tombstones.key_columns IS 'the columns of the key, by their lasting names, in the order of the table';
COMMENT ON COLUMN tombstones.key IS 'the key''s text; of several columns an array''s';
COMMENT ON COLUMN tombstones.deleted_ts IS 'time of the newest deletion: events up to it are skipped';
SELECT pg_catalog.pg_extension_config_dump('tombstones', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = relation)');

/* What we know of tables and of columns goes with them, and follows them, in the transaction that drops or renames them. */
CREATE FUNCTION tables_dropped() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_tables_dropped';
COMMENT ON FUNCTION tables_dropped() IS 'forgets the deletions in tables that are dropped, and the times of columns';
CREATE FUNCTION names_changed() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_names_changed';
COMMENT ON FUNCTION names_changed() IS 'keeps what is known of columns that are renamed, and tells that a target follows its table or its column';

CREATE EVENT TRIGGER cxone_sync_tables ON sql_drop EXECUTE FUNCTION tables_dropped();
ALTER EVENT TRIGGER cxone_sync_tables ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER cxone_sync_tables IS 'forgets the deletions in tables that are dropped, and the times of columns';
CREATE EVENT TRIGGER cxone_sync_names ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER INDEX', 'ALTER SEQUENCE', 'ALTER TYPE')
    EXECUTE FUNCTION names_changed();
ALTER EVENT TRIGGER cxone_sync_names ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER cxone_sync_names IS
    'keeps what is known of renamed columns, and tells that a target follows its table or its column';

CREATE FUNCTION purge_tombstones(older_than interval, force boolean DEFAULT false) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_purge_tombstones';
COMMENT ON FUNCTION purge_tombstones(interval, boolean) IS
    'forgets deletions older than any event that may still come, less than a day only with force; returns how many';

/* ---- the registration with CXone ---- */

CREATE TABLE unregistration (
    since  timestamptz NOT NULL DEFAULT now(),
    caller name NOT NULL DEFAULT session_user
);
COMMENT ON TABLE unregistration IS 'one row while unregister_data_action() is in force, also over restarts';
COMMENT ON COLUMN unregistration.since IS 'when it was called';
COMMENT ON COLUMN unregistration.caller IS 'by whom';
CREATE UNIQUE INDEX unregistration_one_row ON unregistration ((true));
COMMENT ON INDEX unregistration_one_row IS 'at most one row';
SELECT pg_catalog.pg_extension_config_dump('unregistration', '');

CREATE FUNCTION register_data_action() RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_register_data_action';
COMMENT ON FUNCTION register_data_action() IS
    'has the registration with CXone checked, and made if it is not there, as soon as the transaction commits; data_action shows what came of it';

CREATE FUNCTION unregister_data_action() RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cxone_sync_unregister_data_action';
COMMENT ON FUNCTION unregister_data_action() IS
    'has the registration with CXone removed as soon as the transaction commits, and not made again before register_data_action()';

CREATE FUNCTION data_action(
    OUT state text, OUT name text, OUT remote_id text, OUT endpoint_url text, OUT remote_status text,
    OUT duplicates integer, OUT others integer, OUT last_check timestamptz, OUT next_try timestamptz,
    OUT last_error text, OUT hint text, OUT last_error_at timestamptz)
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_data_action';
COMMENT ON FUNCTION data_action() IS 'what the view data_action shows';

CREATE VIEW data_action AS SELECT * FROM data_action();
COMMENT ON VIEW data_action IS 'the registration with CXone: one row';
COMMENT ON COLUMN data_action.state IS
    'off: cxone_sync.api_url is not set; waiting: for what last_error says; registered; retrying: soon checked again; failed: waits for a change or the next regular check; unregistered: by unregister_data_action(); stopped: the registrar does not run';
COMMENT ON COLUMN data_action.name IS 'name of the Data Action';
COMMENT ON COLUMN data_action.remote_id IS 'its id at CXone, null if it is not known to be there';
COMMENT ON COLUMN data_action.endpoint_url IS 'where CXone sends its events to';
COMMENT ON COLUMN data_action.remote_status IS 'its status as CXone shows it';
COMMENT ON COLUMN data_action.duplicates IS 'further Data Actions of the same name and endpoint';
COMMENT ON COLUMN data_action.others IS 'further Data Actions of that name with another endpoint, perhaps of another server';
COMMENT ON COLUMN data_action.last_check IS 'when CXone was last asked, whatever came of it';
COMMENT ON COLUMN data_action.next_try IS 'when it will be asked again, null while it is being asked or if no time is set';
COMMENT ON COLUMN data_action.last_error IS 'the last problem, also one that is over, without secrets';
COMMENT ON COLUMN data_action.hint IS 'what to do about it';
COMMENT ON COLUMN data_action.last_error_at IS 'when it was met';

/* ---- monitoring ---- */

CREATE FUNCTION dead_letters_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_dead_letters_changed';
COMMENT ON FUNCTION dead_letters_changed() IS 'has the dead letters counted anew, after the commit';
CREATE TRIGGER dead_letters_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION dead_letters_changed();
COMMENT ON TRIGGER dead_letters_changed ON dead_letters IS 'keeps dead_letters_open and the metrics up to date';

CREATE FUNCTION dead_letters_open(OUT reason text, OUT letters bigint, OUT counted_at timestamptz)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_dead_letters_open';
COMMENT ON FUNCTION dead_letters_open() IS 'what the view dead_letters_open shows';

CREATE VIEW dead_letters_open AS SELECT * FROM dead_letters_open();
COMMENT ON VIEW dead_letters_open IS
    'rows of dead_letters by what is wrong, as the worker last counted them: within seconds after a change, up to 10000 in all';
COMMENT ON COLUMN dead_letters_open.reason IS
    'class of the SQLSTATE: value 22; constraint 23; target 02, 3F, 42 or 55, a matter of configuration; raised P0, by a trigger; or other';
COMMENT ON COLUMN dead_letters_open.letters IS 'how many, null if they have not been counted yet';
COMMENT ON COLUMN dead_letters_open.counted_at IS 'when they were counted';

COMMENT ON VIEW sync_lag IS
    'time from an event''s own time to its commit, since the server started or reset_stats(): success = in the target, failure = in dead_letters';

CREATE FUNCTION intake_lag(
    OUT status text, OUT events bigint, OUT mean interval, OUT p50 interval, OUT p95 interval, OUT p99 interval,
    OUT max interval, OUT last_commit timestamptz)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_intake_lag';
COMMENT ON FUNCTION intake_lag() IS 'what the view intake_lag shows';

CREATE VIEW intake_lag AS SELECT * FROM intake_lag();
COMMENT ON VIEW intake_lag IS
    'the part of sync_lag that is ours: time from the last byte of an event''s request to its commit';
COMMENT ON COLUMN intake_lag.status IS 'success or failure';
COMMENT ON COLUMN intake_lag.events IS 'events committed';
COMMENT ON COLUMN intake_lag.mean IS 'mean lag';
COMMENT ON COLUMN intake_lag.p50 IS 'half of the events had at most this lag (within 7 %)';
COMMENT ON COLUMN intake_lag.p95 IS '95 % of the events had at most this lag (within 7 %)';
COMMENT ON COLUMN intake_lag.p99 IS '99 % of the events had at most this lag (within 7 %)';
COMMENT ON COLUMN intake_lag.max IS 'the largest lag';
COMMENT ON COLUMN intake_lag.last_commit IS 'when the last of them was committed';

CREATE FUNCTION intake_lag_buckets(OUT status text, OUT le double precision, OUT events bigint)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_intake_lag_buckets';
COMMENT ON FUNCTION intake_lag_buckets() IS 'what the view intake_lag_buckets shows';

CREATE VIEW intake_lag_buckets AS SELECT * FROM intake_lag_buckets();
COMMENT ON VIEW intake_lag_buckets IS 'intake_lag as the cumulative histogram that /metrics exposes';
COMMENT ON COLUMN intake_lag_buckets.status IS 'success or failure';
COMMENT ON COLUMN intake_lag_buckets.le IS 'upper bound of the bucket in seconds';
COMMENT ON COLUMN intake_lag_buckets.events IS 'events with at most that lag';

CREATE FUNCTION sync_counters(
    OUT counter text, OUT outcome text, OUT reason text, OUT total bigint, OUT stats_reset timestamptz)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_sync_counters';
COMMENT ON FUNCTION sync_counters() IS 'what the view sync_counters shows';

CREATE VIEW sync_counters AS SELECT * FROM sync_counters();
COMMENT ON VIEW sync_counters IS 'what was counted since the server started or reset_stats(), as the counters of /metrics';
COMMENT ON COLUMN sync_counters.counter IS
    'deliveries, events, received_bytes (as senders sent them), batches (taken from the queue), commits, rollbacks';
COMMENT ON COLUMN sync_counters.outcome IS
    'of deliveries: committed (200), repeated (200, for one that was committed before), refused (4xx, or 5xx for good), retry_later (503); of events, if their delivery came into the queue: applied, skipped, dead_lettered, retry_later';
COMMENT ON COLUMN sync_counters.reason IS 'why deliveries were refused or are to be sent again';
COMMENT ON COLUMN sync_counters.total IS 'how often, or how much';
COMMENT ON COLUMN sync_counters.stats_reset IS 'since when';

CREATE FUNCTION worker_status(
    OUT worker integer, OUT pid integer, OUT state text, OUT address text, OUT schema_version text,
    OUT queue_depth bigint, OUT connections bigint, OUT uptime interval, OUT last_error text,
    OUT last_error_at timestamptz, OUT ready boolean, OUT not_ready_because text, OUT metrics_address text,
    OUT queued_deliveries bigint, OUT queued_bytes bigint, OUT oldest_waiting interval, OUT starts bigint,
    OUT certificate_expires_at timestamptz)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_sync_status';
COMMENT ON FUNCTION worker_status() IS 'what the view sync_status shows';

-- further columns, so that views that rest on it stay
CREATE OR REPLACE VIEW sync_status AS SELECT * FROM worker_status();
COMMENT ON COLUMN sync_status.ready IS 'deliveries are taken and written, as /readyz says';
COMMENT ON COLUMN sync_status.not_ready_because IS
    'what is missing, by check: endpoint, extension, schema, database, queue (over 80 % of queue_size)';
COMMENT ON COLUMN sync_status.metrics_address IS 'where it serves the status page and the metrics';
COMMENT ON COLUMN sync_status.queued_deliveries IS 'deliveries that wait to be written';
COMMENT ON COLUMN sync_status.queued_bytes IS 'memory of requests that arrive or wait for their commit';
COMMENT ON COLUMN sync_status.oldest_waiting IS 'how long the oldest delivery without an answer has waited, null if none waits';
COMMENT ON COLUMN sync_status.starts IS 'how often its process was started since the server was';
COMMENT ON COLUMN sync_status.certificate_expires_at IS 'until when the certificate for webhooks is valid, null without TLS';

CREATE FUNCTION reset_stats() RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_reset_stats';
COMMENT ON FUNCTION reset_stats() IS
    'begins the figures of sync_lag, intake_lag, sync_counters and /metrics anew, for all workers at one instant';

/* ---- privileges ---- */

SELECT cxone_sync.reset_privileges();
DROP FUNCTION cxone_sync.reset_privileges();

-- the generated statements call these as the owners of targets
GRANT EXECUTE ON FUNCTION
    note_row(boolean, boolean, boolean, bigint), note_row_by_key(boolean, boolean, boolean, record), field_time(jsonb, text, boolean, timestamptz),
    merge_field_times(jsonb, timestamptz, timestamptz, text[], boolean[], boolean[], jsonb, jsonb, text[], text, boolean[]),
    merge_extra(jsonb, jsonb, jsonb, timestamptz, timestamptz, text), extra_wins(jsonb, jsonb, jsonb, timestamptz, timestamptz, text),
    reset_field_times(jsonb, timestamptz, timestamptz, text[], boolean[], boolean[], jsonb, text[], text, boolean[]),
    reset_extra(jsonb, jsonb, timestamptz, timestamptz, text), value_from_extra(text, text, jsonb),
    newest_member_time(jsonb, text[], timestamptz, text), move_member_time(jsonb, text[], text, boolean, boolean, timestamptz, text)
TO PUBLIC;

GRANT EXECUTE ON FUNCTION
    target_states(), other_database(), data_action(), dead_letters_open(), intake_lag(), intake_lag_buckets(), sync_counters(), worker_status()
TO pg_monitor;
GRANT SELECT ON targets, data_action, dead_letters_open, intake_lag, intake_lag_buckets, sync_counters TO pg_monitor;

/* The view sync_status calls another function now: who could read it can do so still. */
CREATE FUNCTION copy_privileges(from_function oid, to_function oid) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'cxone_sync_copy_privileges';
SELECT cxone_sync.copy_privileges(
    'cxone_sync.sync_status()'::pg_catalog.regprocedure::oid, 'cxone_sync.worker_status()'::pg_catalog.regprocedure::oid);
DROP FUNCTION cxone_sync.copy_privileges(oid, oid);
DROP FUNCTION sync_status();

INSERT INTO schema_versions (version) SELECT 3 WHERE pg_catalog.current_setting('row_security')::boolean; -- a dump has its own
