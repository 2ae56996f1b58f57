/* Schema version 3: any event into any table. */

\echo Use "ALTER EXTENSION cxone_sync UPDATE TO '3.0'" to load this file. \quit

ALTER TABLE contact_records ADD COLUMN extra jsonb;
COMMENT ON COLUMN contact_records.extra IS
    'what events carry and no column takes: absent keeps a member, null makes it null';

/*
 * Partial events in any order. A target with a side column field_times keeps, beside the time of the row in its order
 * column, a time for each field: a JSON object of the column's name and microseconds since 1970 in UTC, null = never set. Times
 * of the members of extra are in an object of their own at the key extra. Only what differs from the default is kept: the
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
    old_extra jsonb, new_extra jsonb)
RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_merge_field_times';
COMMENT ON FUNCTION merge_field_times(jsonb, timestamptz, timestamptz, text[], boolean[], boolean[], jsonb, jsonb) IS
    'field_times of a row after an event; names: the columns that events may feed, old_nulls: which are null in the row, new_nulls: which are null in the event, null where it does not carry them';

CREATE FUNCTION merge_extra(
    old_extra jsonb, new_extra jsonb, times jsonb, row_time timestamptz, event_time timestamptz)
RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_merge_extra';
COMMENT ON FUNCTION merge_extra(jsonb, jsonb, jsonb, timestamptz, timestamptz) IS
    'extra of a row after an event: each member that wins replaces the row''s';

CREATE FUNCTION extra_wins(
    old_extra jsonb, new_extra jsonb, times jsonb, row_time timestamptz, event_time timestamptz)
RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_extra_wins';
COMMENT ON FUNCTION extra_wins(jsonb, jsonb, jsonb, timestamptz, timestamptz) IS
    'whether an event changes the extra of a row or a time of its members';

CREATE FUNCTION reset_field_times(
    times jsonb, row_time timestamptz, deleted_time timestamptz, names text[], nulls boolean[], default_nulls boolean[],
    extra jsonb)
RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_reset_field_times';
COMMENT ON FUNCTION reset_field_times(jsonb, timestamptz, timestamptz, text[], boolean[], boolean[], jsonb) IS
    'field_times of a row after a deletion that newer fields have overtaken: what is not newer was never set; default_nulls: which columns'' defaults are null';

CREATE FUNCTION reset_extra(extra jsonb, times jsonb, row_time timestamptz, deleted_time timestamptz) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cxone_sync_reset_extra';
COMMENT ON FUNCTION reset_extra(jsonb, jsonb, timestamptz, timestamptz) IS
    'extra of a row after such a deletion: only the newer members';

INSERT INTO schema_versions (version) VALUES (3);
