#include "core/shape.h"
#include "cxone/contract.h"

#include "db/statements.h"
extern "C" {
#include "utils/typcache.h"
}

namespace cxone_sync {

namespace {

const char *name_of(const TargetColumn *column)
{
    return quote_identifier(NameStr(column->name));
}

const char *order_name(const Target *target)
{
    return name_of(&target->order);
}

bool is_extra(const Target *target, const TargetColumn *column)
{
    return target->extra >= 0 && column == &target->columns[target->extra];
}

bool is_mark(const Target *target, const TargetColumn *column)
{
    return target->mark >= 0 && column == &target->columns[target->mark];
}

bool is_order(const Target *target, const TargetColumn *column)
{
    return column->number == target->order.number;
}

constexpr const char *locks_free_rows = " FOR NO KEY UPDATE OF t SKIP LOCKED";

/* What numbers the rows of a source: no name that a column might have. */
constexpr const char *number_name = "\"cxone_sync number\"";

/*
 * Of each event its values, as u(c1, c2, …, number). The values of a single event are to be seen by the
 * planner.
 */
void append_listed(StringInfo sql, int count, bool is_single)
{
    appendStringInfoString(sql, is_single ? "(SELECT " : "unnest(");
    for (int i = 1; i <= count; i++)
        appendStringInfo(sql, is_single ? "%s($%d)[1]" : "%s$%d", i > 1 ? ", " : "", i);
    appendStringInfoString(sql, is_single ? ", 1::bigint) AS u(" : ") WITH ORDINALITY AS u(");
    for (int i = 1; i <= count; i++)
        appendStringInfo(sql, "c%d, ", i);
    appendStringInfoString(sql, "number)");
}

void append_key_names(StringInfo sql, const Target *target, const char *prefix)
{
    for (int i = 0; i < target->key_count; i++)
        appendStringInfo(sql, "%s%s%s", i > 0 ? ", " : "", prefix, name_of(&key_column(target, i)));
}

/* The key's columns of t equal what `format` makes of the column's name and number. */
using KeyValue = const char *(*)(const TargetColumn *column, int number);

/* An operator by its own name, which the pinned search_path may not find. */
void append_operator(StringInfo sql, Oid operation)
{
    HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operation));

    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for operator %u", operation);
    const auto *form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
    appendStringInfo(sql, " OPERATOR(%s.%s) ", quote_identifier(get_namespace_name(form->oprnamespace)),
                     NameStr(form->oprname));
    ReleaseSysCache(tuple);
}

void append_key_match(StringInfo sql, const Target *target, KeyValue value)
{
    for (int i = 0; i < target->key_count; i++) {
        const TargetColumn *column = &key_column(target, i);

        appendStringInfo(sql, "%st.%s", i > 0 ? " AND " : "", name_of(column));
        append_operator(sql, target->keys[i].equals);
        appendStringInfoString(sql, value(column, i + 1));
    }
}

const char *proposed_key(const TargetColumn *column, int)
{
    return psprintf("excluded.%s", name_of(column));
}

const char *listed_key(const TargetColumn *, int number)
{
    return psprintf("u.c%d", number);
}

/* For statements that take keys and times: the latter. */
const char *listed_time(const Target *target)
{
    return psprintf("u.c%d", target->key_count + 1);
}

/*
 * Of a partitioned table only the partitions of the keys at hand are to be planned and locked: says once more
 * what the join says, in words that the planner prunes by. What it prunes by comes behind the `count` other
 * parameters.
 */
void append_pruning(StringInfo sql, const Target *target, int count, bool is_single)
{
    for (int k = 0; !is_single && k < target->key_count; k++) {
        const TargetColumn *column = &key_column(target, k);

        if (!finds_partition(target, column))
            continue;
        appendStringInfo(sql, " AND t.%s", name_of(column));
        append_operator(sql, target->keys[k].equals);
        appendStringInfo(sql, "ANY ($%d)", ++count);
    }
}

void append_key_pruning(StringInfo sql, const Target *target, bool is_single)
{
    append_pruning(sql, target, target->key_count + 1, is_single);
}

/* FROM the keys of events JOIN the rows that have them */
void append_rows_listed(StringInfo sql, const Target *target, bool is_single)
{
    appendStringInfoString(sql, " FROM ");
    append_listed(sql, target->key_count + 1, is_single);
    appendStringInfo(sql, " JOIN %s AS t ON ", target->table);
    append_key_match(sql, target, listed_key);
    append_key_pruning(sql, target, is_single);
}

/* ---- what extra holds of columns ---- */

const char *extra_name(const Target *target)
{
    return name_of(&target->columns[target->extra]);
}

void append_texts(StringInfo sql, const List *texts, const char *&separator)
{
    for (const auto *text : Each<char *>(texts)) {
        appendStringInfo(sql, "%s%s", separator, quote_literal_cstr(text));
        separator = ", ";
    }
}

char *text_array(const List *texts)
{
    StringInfoData sql;
    const char *separator = "";

    initStringInfo(&sql);
    appendStringInfoString(&sql, "ARRAY[");
    append_texts(&sql, texts, separator);
    appendStringInfoString(&sql, "]::text[]");
    return sql.data;
}

/* Whether an extra has some of these members; false, not null, if there is none. */
char *has_members(const char *extra, const List *members)
{
    return psprintf("COALESCE(%s ?| %s, false)", extra, text_array(members));
}

bool may_have_members(const Target *target, const TargetColumn *column)
{
    return target->extra >= 0 && column->members != NIL;
}

const char *type_of(const TargetColumn *column)
{
    return format_type_extended(column->type, column->typmod,
                                FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* Whether the row has the column's default, null if it has none or one that differs from row to row. */
char *is_default(const TargetColumn *column)
{
    return psprintf("(NOT pg_catalog.record_image_ne(ROW(t.%s), ROW((%s)::%s)))", name_of(column),
                    column->default_is_fixed ? column->default_expression : "NULL", type_of(column));
}

/* ---- field order ---- */

/*
 * Arguments of our own functions have their types: a literal or NULL without one would fit better what others
 * have defined for text.
 */

/*
 * What tells that no event has set a column of the row, unless its entry in field_times says more. A default
 * counts as never set as long as extra holds what would feed the column: that is what ADD COLUMN gave it,
 * since what an event has set has an entry then (append_shadowed()). Else nothing tells the two apart.
 */
char *is_unset(const Target *target, const TargetColumn *column)
{
    const char *name = name_of(column);

    if (!column->default_is_fixed || !may_have_members(target, column))
        return psprintf("t.%s IS NULL", name);
    return psprintf("(t.%s IS NULL OR CASE WHEN %s THEN %s ELSE false END)", name,
                    has_members(psprintf("t.%s", extra_name(target)), column->members), is_default(column));
}

/* The time of the row's value of this column (field_order.cpp). */
char *field_time(const Target *target, const TargetColumn *column)
{
    return psprintf("cxone_sync.field_time(t.%s, %s::text, %s, t.%s)", contract::field_times_column,
                    quote_literal_cstr(column->lasting_name), is_unset(target, column), order_name(target));
}

/*
 * Further arguments of the functions of field_order.cpp. All are passed, also where a default would do: a
 * function of others that has no further ones would fit better.
 */
char *name_of_extra(const Target *target)
{
    const char *name =
        target->extra >= 0 ? target->columns[target->extra].lasting_name : contract::extra_column;

    return psprintf(", %s::text", quote_literal_cstr(name));
}

char *kept_names(const Target *target)
{
    return psprintf(", %s", target->kept_names == NIL ? "NULL::text[]" : text_array(target->kept_names));
}

/*
 * Of values with the same time null wins, else the one with the greater bytes: any fixed rule would do. But a
 * deletion wins, and that is a mark that is not null.
 */
void append_wins(StringInfo sql, const Target *target, const TargetColumn *column)
{
    const char *order = order_name(target);
    const char *time = field_time(target, column);

    if (is_extra(target, column)) {
        appendStringInfo(sql, "cxone_sync.extra_wins(t.%s, excluded.%s, t.%s, t.%s, excluded.%s%s)",
                         name_of(column), name_of(column), contract::field_times_column, order, order,
                         name_of_extra(target));
        return;
    }
    if (is_mark(target, column)) {
        appendStringInfo(
            sql, "(excluded.%s > %s OR (excluded.%s = %s AND t.%s IS NULL AND excluded.%s IS NOT NULL))",
            order, time, order, time, name_of(column), name_of(column));
        return;
    }
    appendStringInfo(sql,
                     "(excluded.%s > %s OR (excluded.%s = %s AND "
                     "pg_catalog.record_image_gt(ROW(excluded.%s), ROW(t.%s))))",
                     order, time, order, time, name_of(column), name_of(column));
}

const TargetColumn *find_column(const TargetColumn *const *columns, int count, const TargetColumn *wanted)
{
    for (int i = 0; i < count; i++) {
        if (columns[i] == wanted)
            return wanted;
    }
    return nullptr;
}

bool has_field_time(const Target *target, const TargetColumn *column)
{
    return !is_key(target, column) && !is_extra(target, column);
}

/* What tells of each column with a time: whether a row has a null there. */
using NullTest = const char *(*)(const Target *target, const TargetColumn *column, bool is_carried);

void append_null_tests(StringInfo sql, const Target *target, const TargetColumn *const *columns, int count,
                       NullTest test)
{
    const char *separator = "";

    appendStringInfoString(sql, "ARRAY[");
    for (int i = 0; i < target->column_count; i++) {
        const TargetColumn *column = &target->columns[i];

        if (!has_field_time(target, column))
            continue;
        appendStringInfo(sql, "%s%s", separator,
                         test(target, column, find_column(columns, count, column) != nullptr));
        separator = ", ";
    }
    appendStringInfoString(sql, "]::boolean[]");
}

void append_timed_names(StringInfo sql, const Target *target)
{
    const char *separator = "";

    appendStringInfoString(sql, "ARRAY[");
    for (int i = 0; i < target->column_count; i++) {
        if (!has_field_time(target, &target->columns[i]))
            continue;
        appendStringInfo(sql, "%s%s", separator, quote_literal_cstr(target->columns[i].lasting_name));
        separator = ", ";
    }
    appendStringInfoString(sql, "]::text[]");
}

const char *null_before(const Target *target, const TargetColumn *column, bool)
{
    return is_unset(target, column);
}

/*
 * merge_field_times() lets null win a tie, with which a mark wins: so a mark that is proposed meets no null
 * at its own time, and none meets a mark.
 */
const char *null_to_merge(const Target *target, const TargetColumn *column, bool)
{
    const char *name = name_of(column);

    if (!is_mark(target, column))
        return is_unset(target, column);
    return psprintf("(t.%s IS NULL AND (excluded.%s IS NULL OR excluded.%s <> %s))", name, name,
                    order_name(target), field_time(target, column));
}
const char *null_proposed(const Target *target, const TargetColumn *column, bool is_carried)
{
    const char *name = name_of(column);

    if (!is_carried)
        return "NULL";
    if (!is_mark(target, column))
        return psprintf("excluded.%s IS NULL", name);
    return psprintf(
        "CASE WHEN excluded.%s IS NOT NULL OR t.%s IS NULL OR excluded.%s <> %s THEN excluded.%s IS NULL END",
        name, name, order_name(target), field_time(target, column), name);
}
/* a new row gets a default where the event carries nothing */
const char *null_at_first(const Target *, const TargetColumn *column, bool)
{
    return column->default_expression ? "false" : "true";
}
const char *null_in_source(const Target *, const TargetColumn *column, bool is_carried)
{
    return is_carried ? psprintf("s.%s IS NULL", name_of(column)) : "NULL";
}

/* Null: the event carries nothing for it. */
const char *extra_of(const Target *target, const TargetColumn *const *columns, int count, const char *row)
{
    if (target->extra < 0)
        return nullptr;
    const TargetColumn *column = &target->columns[target->extra];

    return find_column(columns, count, column) ? psprintf("%s.%s", row, name_of(column)) : nullptr;
}

/*
 * Which columns extra holds members for as well, when all is done: those of the row, and those of the event,
 * which may be there where another name of the column has won. Either may be null: there are none.
 */
void append_shadowed(StringInfo sql, const Target *target, const char *row_extra, const char *event_extra)
{
    List *of_row = NIL;
    List *of_event = NIL;
    const char *separator = "";
    StringInfoData columns;

    initStringInfo(&columns);
    for (int i = 0; i < target->column_count; i++) {
        const TargetColumn *column = &target->columns[i];
        const bool in_row = row_extra != nullptr && column->members != NIL;
        const bool in_event = event_extra != nullptr && list_length(column->members) > 1;

        if (!has_field_time(target, column))
            continue;
        appendStringInfo(&columns, "%s%s%s%s", separator,
                         in_row ? has_members(row_extra, column->members) : "false", in_event ? " OR " : "",
                         in_event ? has_members(event_extra, column->members) : "");
        separator = ", ";
        if (in_row)
            of_row = list_concat(of_row, column->members);
        if (in_event)
            of_event = list_concat(of_event, column->members);
    }
    if (of_row == NIL && of_event == NIL) {
        appendStringInfoString(sql, ", NULL::boolean[]");
        return;
    }
    appendStringInfo(sql, ", CASE WHEN %s%s%s THEN ARRAY[%s]::boolean[] END",
                     of_row != NIL ? has_members(row_extra, of_row) : "false", of_event != NIL ? " OR " : "",
                     of_event != NIL ? has_members(event_extra, of_event) : "", columns.data);
}

/*
 * Where an event carries each column, none of them null, all have its time, and there is nothing to keep: the
 * ordinary case, for which no function is called. Appends what has to hold of the row that `row` names, and
 * returns true; false if that cannot be, whatever the row holds.
 */
bool append_has_one_time(StringInfo sql, const Target *target, const TargetColumn *const *columns, int count,
                         const char *row)
{
    const char *separator = "";

    for (int i = 0; i < target->column_count; i++) {
        const TargetColumn *column = &target->columns[i];

        if (is_key(target, column))
            continue;
        if (is_extra(target, column) != (find_column(columns, count, column) == nullptr))
            return false;
        if (is_extra(target, column))
            continue;
        appendStringInfo(sql, "%s%s.%s IS NOT NULL", separator, row, name_of(column));
        separator = " AND ";
    }
    return separator[0] != '\0';
}

void append_merged_times(StringInfo sql, const Target *target, const TargetColumn *const *columns, int count)
{
    const char *order = order_name(target);
    const TargetColumn *extra = target->extra >= 0 ? &target->columns[target->extra] : nullptr;
    StringInfoData whole;

    initStringInfo(&whole);
    const bool may_be_whole = append_has_one_time(&whole, target, columns, count, "excluded");
    if (may_be_whole)
        appendStringInfo(sql, "CASE WHEN excluded.%s > t.%s AND t.%s IS NULL%s AND %s THEN NULL ELSE ", order,
                         order, contract::field_times_column,
                         extra ? psprintf(" AND t.%s IS NULL", name_of(extra)) : "", whole.data);
    appendStringInfo(sql, "cxone_sync.merge_field_times(t.%s, t.%s, excluded.%s, ",
                     contract::field_times_column, order, order);
    append_timed_names(sql, target);
    appendStringInfoString(sql, ", ");
    append_null_tests(sql, target, columns, count, null_to_merge);
    appendStringInfoString(sql, ", ");
    append_null_tests(sql, target, columns, count, null_proposed);
    const char *row_extra = extra ? psprintf("t.%s", name_of(extra)) : nullptr;
    const char *event_extra = extra_of(target, columns, count, "excluded");
    appendStringInfo(sql, ", %s, %s%s%s", row_extra ? row_extra : "NULL::jsonb",
                     event_extra ? event_extra : "NULL::jsonb", kept_names(target), name_of_extra(target));
    append_shadowed(sql, target, row_extra, event_extra);
    appendStringInfoString(sql, may_be_whole ? ") END" : ")");
}

void append_first_times(StringInfo sql, const Target *target, const TargetColumn *const *columns, int count)
{
    StringInfoData whole;

    initStringInfo(&whole);
    const bool is_whole = append_has_one_time(&whole, target, columns, count, "s");
    if (is_whole)
        appendStringInfo(sql, "CASE WHEN %s THEN NULL ELSE ", whole.data);
    appendStringInfo(sql, "cxone_sync.merge_field_times(NULL::jsonb, NULL::timestamptz, s.%s, ",
                     order_name(target));
    append_timed_names(sql, target);
    appendStringInfoString(sql, ", ");
    append_null_tests(sql, target, columns, count, null_at_first);
    appendStringInfoString(sql, ", ");
    append_null_tests(sql, target, columns, count, null_in_source);
    const char *event_extra = extra_of(target, columns, count, "s");
    appendStringInfo(sql, ", NULL::jsonb, %s, NULL::text[]%s", event_extra ? event_extra : "NULL::jsonb",
                     name_of_extra(target));
    append_shadowed(sql, target, nullptr, event_extra);
    appendStringInfoString(sql, is_whole ? ") END" : ")");
}

/* ---- what is written ---- */

/* SELECT with a column for each parameter, of the target's names and types, and their number. */
void append_source(StringInfo sql, const TargetColumn *const *columns, int count, Form form,
                   bool numbered = false)
{
    appendStringInfoString(sql, "SELECT ");
    for (int i = 0; i < count; i++) {
        appendStringInfo(sql, "%su.c%d", i > 0 ? ", " : "", i + 1);
        if (columns[i]->cast_in_statement)
            appendStringInfo(sql, "::%s", format_type_be_qualified(columns[i]->type));
        appendStringInfo(sql, " AS %s", name_of(columns[i]));
    }
    if (numbered)
        appendStringInfo(sql, ", u.number AS %s", number_name);
    appendStringInfoString(sql, " FROM ");
    append_listed(sql, count, form.is_single);
}

/* The keys of the root by which events feed these columns, as an array; null: there are none. A key's are
 * never in extra. */
char *fed_members(const Target *target, const TargetColumn *const *columns, int count)
{
    List *members = NIL;

    for (int i = 0; i < count; i++) {
        if (!is_key(target, columns[i]))
            members = list_concat(members, columns[i]->members);
    }
    return members != NIL ? text_array(members) : nullptr;
}

/*
 * In row order an event that feeds a column takes what else would feed it out of the row's extra: so what is
 * there has not been overtaken, of which nothing else tells. (In field order the times do.) Null: there is
 * nothing to take out.
 */
char *is_overtaken(const Target *target, const TargetColumn *const *columns, int count)
{
    const char *members =
        target->extra >= 0 && !target->field_order ? fed_members(target, columns, count) : nullptr;

    if (members == nullptr)
        return nullptr;
    return psprintf("(t.%s ?| %s AND pg_catalog.jsonb_typeof(t.%s) = 'object')", extra_name(target), members,
                    extra_name(target));
}

char *extra_left(const Target *target, const TargetColumn *const *columns, int count)
{
    const char *extra = extra_name(target);
    const char *overtaken = is_overtaken(target, columns, count);

    if (overtaken == nullptr)
        return psprintf("t.%s", extra);
    return psprintf("CASE WHEN %s THEN NULLIF(t.%s - %s, '{}') ELSE t.%s END", overtaken, extra,
                    fed_members(target, columns, count), extra);
}

/* What the column becomes, from a row called excluded to one called t. */
char *new_value(const Target *target, const TargetColumn *column, const TargetColumn *const *columns,
                int count)
{
    const char *name = name_of(column);
    const char *order = order_name(target);
    StringInfoData sql;

    if (is_extra(target, column))
        return target->field_order
                   ? psprintf("cxone_sync.merge_extra(t.%s, excluded.%s, t.%s, t.%s, excluded.%s%s)", name,
                              name, contract::field_times_column, order, order, name_of_extra(target))
                   : psprintf("cxone_sync.merge_extra(%s, excluded.%s, NULL::jsonb, NULL::timestamptz, "
                              "excluded.%s%s)",
                              extra_left(target, columns, count), name, order, name_of_extra(target));
    if (!target->field_order)
        return psprintf("excluded.%s", name);
    if (is_order(target, column))
        return psprintf("GREATEST(t.%s, excluded.%s)", name, name);
    initStringInfo(&sql);
    appendStringInfo(&sql, "CASE WHEN excluded.%s > t.%s OR ", order, order);
    append_wins(&sql, target, column);
    appendStringInfo(&sql, " THEN excluded.%s ELSE t.%s END", name, name);
    return sql.data;
}

/* Whether extra changes though the event carries nothing for it. */
bool takes_from_extra_only(const Target *target, const TargetColumn *const *columns, int count)
{
    return is_overtaken(target, columns, count) != nullptr &&
           find_column(columns, count, &target->columns[target->extra]) == nullptr;
}

void append_assignments(StringInfo sql, const Target *target, const TargetColumn *const *columns, int count)
{
    const char *separator = "";

    for (int i = 0; i < count; i++) {
        if (is_key(target, columns[i]))
            continue;
        appendStringInfo(sql, "%s%s = %s", separator, name_of(columns[i]),
                         new_value(target, columns[i], columns, count));
        separator = ", ";
    }
    if (takes_from_extra_only(target, columns, count))
        appendStringInfo(sql, "%s%s = %s", separator, extra_name(target), extra_left(target, columns, count));
    if (target->field_order) {
        appendStringInfo(sql, ", %s = ", contract::field_times_column);
        append_merged_times(sql, target, columns, count);
    }
}

void append_difference(StringInfo sql, const Target *target, const TargetColumn *column,
                       const TargetColumn *const *columns, int count)
{
    /*
     * Where equal values need not be the same bytes (1.0 and 1.00, citext), a row counts as changed when its
     * bytes change. A domain is not compared by its own operators: enums have none for one.
     *
     * Not by their operators *<> and *>: the parser compares rows of one column by the column type's own,
     * unless a cast keeps it from that, and the cast is lost where a statement is sent on as text, as Citus
     * does.
     */
    if (column->type == column->base_type && has_one_form(*column))
        appendStringInfo(sql, "t.%s IS DISTINCT FROM excluded.%s", name_of(column), name_of(column));
    else
        appendStringInfo(sql, "pg_catalog.record_image_ne(ROW(t.%s), ROW(%s))", name_of(column),
                         new_value(target, column, columns, count));
}

/* Of equal times a deletion wins. */
void append_mark_condition(StringInfo sql, const Target *target)
{
    if (target->mark < 0)
        return;
    const char *mark = name_of(&target->columns[target->mark]);

    appendStringInfo(
        sql, " AND NOT (excluded.%s IS NOT DISTINCT FROM t.%s AND t.%s IS NOT NULL AND excluded.%s IS NULL)",
        order_name(target), order_name(target), mark, mark);
}

/*
 * Time order wins, not arrival order; and what would not change is left alone. The time is compared first,
 * since a newer event makes all further looks superfluous.
 */
void append_conditions(StringInfo sql, const Target *target, const TargetColumn *const *columns, int count,
                       Form form)
{
    const char *order = order_name(target);

    if (!target->field_order) {
        appendStringInfo(sql, "(t.%s IS NULL OR excluded.%s %s t.%s)", order, order,
                         form.ties == Ties::win ? ">=" : ">", order);
        append_mark_condition(sql, target);
        appendStringInfo(sql, " AND (t.%s IS DISTINCT FROM excluded.%s", order, order);
    } else
        appendStringInfo(sql, "(t.%s IS NULL OR excluded.%s > t.%s", order, order, order);
    for (int i = 0; i < count; i++) {
        if (is_key(target, columns[i]) || is_order(target, columns[i]))
            continue;
        appendStringInfoString(sql, " OR ");
        if (target->field_order)
            append_wins(sql, target, columns[i]);
        else
            append_difference(sql, target, columns[i], columns, count);
    }
    if (takes_from_extra_only(target, columns, count))
        appendStringInfo(sql, " OR %s", is_overtaken(target, columns, count));
    appendStringInfoChar(sql, ')');
}

void append_returning(StringInfo sql, const Target *target)
{
    if (!returns_keys(target))
        return;
    appendStringInfoString(sql, " RETURNING ");
    append_key_names(sql, target, "t.");
    appendStringInfo(sql, ", t.%s", order_name(target));
}

/* Whether the row is newer; and whether it is marked as deleted at the same time. */
void append_standing(StringInfo sql, const Target *target, const char *time)
{
    appendStringInfo(sql, "COALESCE(t.%s > %s, false), ", order_name(target), time);
    if (target->mark >= 0)
        appendStringInfo(sql, "COALESCE(t.%s = %s, false) AND t.%s IS NOT NULL", order_name(target), time,
                         name_of(&target->columns[target->mark]));
    else
        appendStringInfoString(sql, "false");
}

/* The condition `changes`; and the row that it is asked of is noted for the event, by the function that takes
 * such an `event`. */
void append_noted(StringInfo sql, const Target *target, const char *time, const char *changes,
                  const char *function, const char *event)
{
    appendStringInfo(sql, "cxone_sync.%s(", function);
    append_standing(sql, target, time);
    appendStringInfo(sql, ", %s, %s)", changes, event);
}

/*
 * The same where rows are joined with events, of which `number` tells: only what has the event's key is
 * asked, in whatever order the planner has conditions checked.
 */
void append_noted_match(StringInfo sql, const Target *target, const char *time, const char *changes,
                        KeyValue key, const char *number)
{
    if (target->is_distributed) {
        appendStringInfoString(sql, changes);
        return;
    }
    appendStringInfoString(sql, "CASE WHEN ");
    append_key_match(sql, target, key);
    appendStringInfoString(sql, " THEN ");
    append_noted(sql, target, time, changes, "note_row", number);
    appendStringInfoString(sql, " ELSE false END");
}

char *proposed_time(const Target *target)
{
    return psprintf("excluded.%s", order_name(target));
}

char *changes_by(const Target *target, const TargetColumn *const *columns, int count, Form form)
{
    StringInfoData changes;

    initStringInfo(&changes);
    append_conditions(&changes, target, columns, count, form);
    return changes.data;
}

/* Whether the event that u lists deletes the row. */
void append_noted_removal(StringInfo sql, const Target *target)
{
    const char *order = order_name(target);
    const char *time = listed_time(target);

    append_noted_match(sql, target, time, psprintf("(t.%s IS NULL OR t.%s <= %s)", order, order, time),
                       listed_key, "u.number");
}

/* For an INSERT, which knows of no number where it meets a row. */
void append_noted_conflict(StringInfo sql, const Target *target, const char *changes)
{
    StringInfoData key;

    if (target->is_distributed) {
        appendStringInfoString(sql, changes);
        return;
    }
    initStringInfo(&key);
    append_key_names(&key, target, "excluded.");
    append_noted(sql, target, proposed_time(target), changes, "note_row_by_key",
                 psprintf("ROW(%s)", key.data));
}

/* ---- what extra holds ---- */

/* Of the key's type, by its default btree operators. */
Oid comparison(const TargetColumn *column, int strategy)
{
    const TypeCacheEntry *type = lookup_type_cache(column->type, TYPECACHE_BTREE_OPFAMILY);
    const Oid operation = get_opfamily_member(type->btree_opf, type->btree_opintype, type->btree_opintype,
                                              static_cast<int16>(strategy));

    if (!OidIsValid(operation))
        elog(ERROR, "type %u has no btree operator %d", column->type, strategy);
    return operation;
}

/* Rows behind the last key: a >= x AND (a > x OR (a = x AND (b > y OR …))), which an index on the key serves.
 */
void append_rows_behind(StringInfo sql, const Target *target)
{
    const auto compare = [sql, target](int key, Oid operation) {
        appendStringInfo(sql, "t.%s", name_of(&key_column(target, key)));
        append_operator(sql, operation);
        appendStringInfo(sql, "$%d", fill_parameters + key + 1);
    };
    const int last = target->key_count - 1;

    appendStringInfoString(sql, " AND ");
    if (last > 0) {
        compare(0, comparison(&key_column(target, 0), BTGreaterEqualStrategyNumber));
        appendStringInfoString(sql, " AND (");
    }
    for (int k = 0; k <= last; k++) {
        compare(k, comparison(&key_column(target, k), BTGreaterStrategyNumber));
        if (k == last)
            break;
        appendStringInfoString(sql, " OR (");
        compare(k, target->keys[k].equals);
        appendStringInfoString(sql, " AND (");
    }
    for (int k = 0; k < last; k++)
        appendStringInfoString(sql, "))");
    if (last > 0)
        appendStringInfoChar(sql, ')');
}

const char *page_key(const TargetColumn *, int number)
{
    return psprintf("p.key%d", number);
}

/* SELECT … FROM the next rows that have an extra. */
void append_page(StringInfo sql, const Target *target, const char *more_columns, bool goes_on)
{
    appendStringInfoString(sql, "SELECT ");
    for (int k = 0; k < target->key_count; k++)
        appendStringInfo(sql, "%st.%s AS key%d", k > 0 ? ", " : "", name_of(&key_column(target, k)), k + 1);
    appendStringInfo(sql, "%s FROM %s AS t WHERE t.%s IS NOT NULL", more_columns, target->table,
                     name_of(&target->columns[target->extra]));
    if (goes_on)
        append_rows_behind(sql, target);
    appendStringInfoString(sql, " ORDER BY ");
    append_key_names(sql, target, "t.");
    appendStringInfo(sql, " LIMIT $%d", fill_parameters);
}

void append_page_keys(StringInfo sql, const Target *target)
{
    for (int k = 1; k <= target->key_count; k++)
        appendStringInfo(sql, ", p.key%d", k);
}

/*
 * Whether what extra holds becomes the column's value: not if an event has set the column since it was added,
 * or somebody else has given it a value that is not its default. In row order such an event has taken out of
 * extra what it has overtaken; in field order the times tell.
 */
char *fill_condition(const Target *target, const TargetColumn *column)
{
    const char *untouched = is_default(column);

    if (!target->field_order)
        return pstrdup(untouched);
    return psprintf("(cxone_sync.newest_member_time(t.%s, p.members, t.%s%s) > %s OR (%s AND "
                    "COALESCE(t.%s, '{}') -> %s IS NULL))",
                    contract::field_times_column, order_name(target), name_of_extra(target),
                    field_time(target, column), untouched, contract::field_times_column,
                    quote_literal_cstr(column->lasting_name));
}

} // namespace

char *fill_statement(const Target *target, int column_index, bool goes_on)
{
    const TargetColumn *column = &target->columns[column_index];
    const char *name = name_of(column);
    const char *extra = extra_name(target);
    const char *wins = fill_condition(target, column);
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfoString(&sql, "WITH page AS (");
    append_page(&sql, target, psprintf(", t.%s AS extra", extra), goes_on);
    appendStringInfo(
        &sql,
        " FOR UPDATE OF t), p AS (SELECT page.*, v.value, v.rest, ARRAY(SELECT jsonb_object_keys(page.extra) "
        "EXCEPT SELECT jsonb_object_keys(COALESCE(v.rest, '{}'))) AS members "
        "FROM page, LATERAL cxone_sync.value_from_extra($1, $2, page.extra) AS v WHERE v.found), "
        "filled AS (UPDATE %s AS t SET %s = CASE WHEN %s THEN p.value::%s ELSE t.%s END, %s = p.rest",
        target->table, name, wins, type_of(column), name, extra);
    if (target->field_order)
        appendStringInfo(&sql,
                         ", %s = cxone_sync.move_member_time(t.%s, p.members, %s::text, %s, "
                         "p.value IS NULL OR COALESCE(p.rest ?| %s, false), t.%s%s)",
                         contract::field_times_column, contract::field_times_column,
                         quote_literal_cstr(column->lasting_name), wins, text_array(column->members),
                         order_name(target), name_of_extra(target));
    appendStringInfoString(&sql, " FROM p WHERE ");
    append_key_match(&sql, target, page_key);
    appendStringInfoString(&sql, " RETURNING 1) SELECT p.seen, (SELECT count(*) FROM filled)");
    append_page_keys(&sql, target);
    appendStringInfoString(&sql,
                           " FROM (SELECT page.*, row_number() OVER () AS number, count(*) OVER () AS seen "
                           "FROM page) AS p ORDER BY p.number DESC LIMIT 1");
    return sql.data;
}

char *pass_statement(const Target *target, bool goes_on)
{
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfoString(&sql, "SELECT 1::bigint, 0::bigint");
    append_page_keys(&sql, target);
    appendStringInfoString(&sql, " FROM (");
    append_page(&sql, target, "", goes_on);
    appendStringInfoString(&sql, ") AS p");
    return sql.data;
}

char *upsert_statement(const Target *target, const TargetColumn *const *columns, int count, Form form)
{
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfo(&sql, "INSERT INTO %s AS t (", target->table);
    for (int i = 0; i < count; i++)
        appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", name_of(columns[i]));
    if (target->field_order) {
        appendStringInfo(&sql, ", %s) SELECT s.*, ", contract::field_times_column);
        append_first_times(&sql, target, columns, count);
        appendStringInfoString(&sql, " FROM (");
        append_source(&sql, columns, count, form);
        appendStringInfoString(&sql, ") AS s");
    } else {
        appendStringInfoString(&sql, ") ");
        append_source(&sql, columns, count, form);
    }
    appendStringInfoString(&sql, " ON CONFLICT (");
    append_key_names(&sql, target, "");
    appendStringInfoString(&sql, ") DO UPDATE SET ");
    append_assignments(&sql, target, columns, count);
    appendStringInfoString(&sql, " WHERE ");
    append_noted_conflict(&sql, target, changes_by(target, columns, count, form));
    append_returning(&sql, target);
    return sql.data;
}

char *update_statement(const Target *target, const TargetColumn *const *columns, int count, Form form)
{
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfo(&sql, "UPDATE %s AS t SET ", target->table);
    append_assignments(&sql, target, columns, count);
    appendStringInfoString(&sql, " FROM (");
    append_source(&sql, columns, count, form, true);
    appendStringInfoString(&sql, ") AS excluded WHERE ");
    append_key_match(&sql, target, proposed_key);
    append_pruning(&sql, target, count, form.is_single);
    appendStringInfoString(&sql, " AND ");
    append_noted_match(&sql, target, proposed_time(target), changes_by(target, columns, count, form),
                       proposed_key, psprintf("excluded.%s", number_name));
    appendStringInfo(&sql, " RETURNING excluded.%s, t.%s", number_name, order_name(target));
    return sql.data;
}

char *lock_statement(const Target *target, const TargetColumn *const *columns, int count, Form form)
{
    const char *number = psprintf("excluded.%s", number_name);
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfo(&sql, "SELECT %s FROM (", number);
    append_source(&sql, columns, count, form, true);
    appendStringInfo(&sql, ") AS excluded JOIN %s AS t ON ", target->table);
    append_key_match(&sql, target, proposed_key);
    append_pruning(&sql, target, count, form.is_single);
    appendStringInfoString(&sql, " WHERE ");
    append_noted_match(&sql, target, proposed_time(target), changes_by(target, columns, count, form),
                       proposed_key, number);
    appendStringInfoString(&sql, locks_free_rows);
    return sql.data;
}

char *present_statement(const Target *target, bool is_single)
{
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfoString(&sql, "SELECT u.number, ");
    append_standing(&sql, target, listed_time(target));
    append_rows_listed(&sql, target, is_single);
    return sql.data;
}

char *lock_removals_statement(const Target *target, bool is_single)
{
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfoString(&sql, "SELECT u.number");
    append_rows_listed(&sql, target, is_single);
    appendStringInfoString(&sql, " WHERE ");
    append_noted_removal(&sql, target);
    appendStringInfoString(&sql, locks_free_rows);
    return sql.data;
}

char *delete_statement(const Target *target, bool is_single)
{
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfo(&sql, "DELETE FROM %s AS t USING ", target->table);
    append_listed(&sql, target->key_count + 1, is_single);
    appendStringInfoString(&sql, " WHERE ");
    append_key_match(&sql, target, listed_key);
    append_key_pruning(&sql, target, is_single);
    appendStringInfoString(&sql, " AND ");
    append_noted_removal(&sql, target);
    appendStringInfoString(&sql, " RETURNING u.number");
    return sql.data;
}

char *reset_statement(const Target *target, bool is_single)
{
    const char *order = order_name(target);
    const char *time = listed_time(target);
    const TargetColumn *extra = target->extra >= 0 ? &target->columns[target->extra] : nullptr;
    StringInfoData sql;
    StringInfoData times;

    initStringInfo(&times);
    appendStringInfo(&times, "cxone_sync.reset_field_times(t.%s, t.%s, %s, ", contract::field_times_column,
                     order, time);
    append_timed_names(&times, target);
    appendStringInfoString(&times, ", ");
    append_null_tests(&times, target, nullptr, 0, null_before);
    appendStringInfoString(&times, ", ");
    append_null_tests(&times, target, nullptr, 0, null_at_first);
    const char *reset_extra = extra
                                  ? psprintf("cxone_sync.reset_extra(t.%s, t.%s, t.%s, %s%s)", name_of(extra),
                                             contract::field_times_column, order, time, name_of_extra(target))
                                  : nullptr;
    appendStringInfo(&times, ", %s%s%s", extra ? psprintf("t.%s", name_of(extra)) : "NULL::jsonb",
                     kept_names(target), name_of_extra(target));
    append_shadowed(&times, target, reset_extra, nullptr);
    appendStringInfoChar(&times, ')');
    initStringInfo(&sql);
    appendStringInfo(&sql, "UPDATE %s AS t SET %s = %s", target->table, contract::field_times_column,
                     times.data);
    if (extra)
        appendStringInfo(&sql, ", %s = %s", name_of(extra), reset_extra);
    for (int i = 0; i < target->column_count; i++) {
        const TargetColumn *column = &target->columns[i];

        if (has_field_time(target, column))
            appendStringInfo(&sql, ", %s = CASE WHEN %s <= %s THEN %s ELSE t.%s END", name_of(column),
                             field_time(target, column), time,
                             column->default_expression ? column->default_expression : "NULL",
                             name_of(column));
    }
    appendStringInfoString(&sql, " FROM ");
    append_listed(&sql, target->key_count + 1, is_single);
    appendStringInfoString(&sql, " WHERE ");
    append_key_match(&sql, target, listed_key);
    append_key_pruning(&sql, target, is_single);
    /* a field that is not newer has a time of its own, which goes: where none does, nothing would change */
    appendStringInfo(&sql, " AND t.%s > %s AND t.%s IS DISTINCT FROM %s", order, time,
                     contract::field_times_column, times.data);
    return sql.data;
}

} // namespace cxone_sync
