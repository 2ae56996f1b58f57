#include "core/delivery.h"

#include "db/upsert.h"
extern "C" {
#include "utils/array.h"
}

namespace cxone_sync {

/* The statement for one set of columns. */
struct SavedPlan {
    SavedPlan *next;
    SPIPlanPtr plan;
    uint32 columns_hash;
    int column_count;
    uint16 columns[FLEXIBLE_ARRAY_MEMBER]; /* indexes into Target::columns, ascending */
};

namespace {

/* A sender decides which columns its events carry, so the number of plans it can make us keep is bounded. */
constexpr int max_plans = 64;

const TargetColumn *converting = nullptr;

/* ---- values ---- */

Datum convert_value(TargetColumn *column, std::string_view text)
{
    if (column->plain_text)
        return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));

    char *terminated = pnstrdup(text.data(), text.size());
    Datum value = InputFunctionCall(&column->input, terminated, column->input_parameter, column->typmod);

    /* Its statement reads it once more; here it is checked where an error can be told from its neighbours. */
    if (column->cast_in_statement)
        return PointerGetDatum(cstring_to_text(terminated));
    return value;
}

ArrayType *make_array(const TargetColumn *column, Datum *values, bool *nulls, int count)
{
    int dimension = count;
    int lower_bound = 1;

    return construct_md_array(values, nulls, 1, &dimension, &lower_bound, column->parameter_type,
                              column->length, column->by_value, column->alignment);
}

/* ---- statements ---- */

/*
 * True if two equal values of the column are the same bytes. Where they need not be (1.0 and 1.00, citext), a
 * row counts as changed when its bytes change.
 */
bool equal_means_identical(const TargetColumn *column)
{
    switch (column->type) {
    case TEXTOID:
    case VARCHAROID:
        return get_collation_isdeterministic(column->collation);
    case BOOLOID:
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case DATEOID:
    case TIMESTAMPTZOID:
    case UUIDOID:
        return true;
    default:
        return false;
    }
}

void append_difference(StringInfo sql, const TargetColumn *column)
{
    const char *name = quote_identifier(NameStr(column->name));

    /* the cast keeps the parser from comparing the rows column by column, with the column type's own *<> */
    if (equal_means_identical(column))
        appendStringInfo(sql, "t.%s IS DISTINCT FROM excluded.%s", name, name);
    else
        appendStringInfo(sql,
                         "ROW(t.%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) "
                         "ROW(excluded.%s)::pg_catalog.record",
                         name, name);
}

/* The parameter list unnest($1, $2, …) AS u(c1, c2, …) for `count` columns. */
void append_unnest(StringInfo sql, int count)
{
    appendStringInfoString(sql, " FROM unnest(");
    for (int i = 1; i <= count; i++)
        appendStringInfo(sql, "%s$%d", i > 1 ? ", " : "", i);
    appendStringInfoString(sql, ") AS u(");
    for (int i = 1; i <= count; i++)
        appendStringInfo(sql, "%sc%d", i > 1 ? ", " : "", i);
    appendStringInfoChar(sql, ')');
}

/*
 * One INSERT … SELECT … ON CONFLICT for `count` columns, the last of which is the order column. The row that
 * is there stays untouched if it is newer (time order wins, not arrival order) or would not change.
 */
char *upsert_statement(const Target *target, const TargetColumn *const *columns, int count)
{
    StringInfoData sql;
    const char *order = quote_identifier(NameStr(target->order.name));
    const char *key = NameStr(target->columns[target->key].name);

    initStringInfo(&sql);
    appendStringInfo(&sql, "INSERT INTO %s AS t (", target->name);
    for (int i = 0; i < count; i++)
        appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", quote_identifier(NameStr(columns[i]->name)));
    appendStringInfoString(&sql, ") SELECT ");
    for (int i = 0; i < count; i++) {
        appendStringInfo(&sql, "%su.c%d", i > 0 ? ", " : "", i + 1);
        if (columns[i]->cast_in_statement)
            appendStringInfo(&sql, "::%s", format_type_be_qualified(columns[i]->type));
    }
    append_unnest(&sql, count);
    appendStringInfo(&sql, " ON CONFLICT (%s) DO UPDATE SET ", quote_identifier(key));
    for (int i = 0, written = 0; i < count; i++) {
        const char *name = quote_identifier(NameStr(columns[i]->name));

        if (strcmp(NameStr(columns[i]->name), key) != 0)
            appendStringInfo(&sql, "%s%s = excluded.%s", written++ > 0 ? ", " : "", name, name);
    }
    appendStringInfo(&sql, " WHERE (t.%s IS NULL OR excluded.%s >= t.%s) AND (", order, order, order);
    for (int i = 0, written = 0; i < count; i++) {
        if (strcmp(NameStr(columns[i]->name), key) == 0)
            continue;
        if (written++ > 0)
            appendStringInfoString(&sql, " OR ");
        append_difference(&sql, columns[i]);
    }
    appendStringInfoChar(&sql, ')');
    return sql.data;
}

SPIPlanPtr prepare(const char *statement, int parameter_count, Oid *parameter_types)
{
    SPIPlanPtr plan = SPI_prepare(statement, parameter_count, parameter_types);

    if (plan == nullptr || SPI_keepplan(plan) != 0)
        elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
    return plan;
}

SavedPlan *make_plan(Target *target, const Event *event)
{
    const int count = event->field_count + 1;
    auto **columns = static_cast<const TargetColumn **>(palloc(count * sizeof(TargetColumn *)));
    auto *types = static_cast<Oid *>(palloc(count * sizeof(Oid)));

    for (int i = 0; i < event->field_count; i++)
        columns[i] = &target->columns[event->fields[i].column];
    columns[count - 1] = &target->order;
    for (int i = 0; i < count; i++)
        types[i] = get_array_type(columns[i]->parameter_type);

    SPIPlanPtr prepared = prepare(upsert_statement(target, columns, count), count, types);
    auto *plan = static_cast<SavedPlan *>(MemoryContextAlloc(
        target->context, offsetof(SavedPlan, columns) + event->field_count * sizeof(uint16)));

    plan->next = nullptr;
    plan->plan = prepared;
    plan->columns_hash = event->columns_hash;
    plan->column_count = event->field_count;
    for (int i = 0; i < event->field_count; i++)
        plan->columns[i] = event->fields[i].column;
    return plan;
}

bool feeds_columns(const Event *event, const SavedPlan *plan)
{
    if (event->columns_hash != plan->columns_hash || event->field_count != plan->column_count)
        return false;
    for (int i = 0; i < plan->column_count; i++) {
        if (event->fields[i].column != plan->columns[i])
            return false;
    }
    return true;
}

void free_plan(SavedPlan *plan)
{
    SPI_freeplan(plan->plan);
    pfree(plan);
}

/* Drops all but the first max_plans - 1. */
void make_room_for_plan(Target *target)
{
    SavedPlan **link = &target->plans;

    for (int i = 1; *link != nullptr && i < max_plans; i++)
        link = &(*link)->next;
    while (*link != nullptr) {
        SavedPlan *last = *link;

        *link = last->next;
        free_plan(last);
    }
}

SPIPlanPtr plan_for(Target *target, const Event *event)
{
    for (SavedPlan **link = &target->plans; *link != nullptr; link = &(*link)->next) {
        SavedPlan *plan = *link;

        if (!feeds_columns(event, plan))
            continue;
        *link = plan->next;
        plan->next = target->plans;
        target->plans = plan;
        return plan->plan;
    }
    if (target->pins <= 1) /* else a write further out may be running one of them */
        make_room_for_plan(target);
    SavedPlan *plan = make_plan(target, event);
    plan->next = target->plans;
    target->plans = plan;
    return plan->plan;
}

/* ---- outcomes ---- */

/* Which of the rows, by number, the target has newer. Rows that were written have their own time there. */
SPIPlanPtr overtaken_plan(Target *target)
{
    if (target->overtaken_plan == nullptr) {
        Oid types[] = {TEXTARRAYOID, TIMESTAMPTZARRAYOID};
        const char *key = quote_identifier(NameStr(target->columns[target->key].name));
        const char *order = quote_identifier(NameStr(target->order.name));

        target->overtaken_plan =
            prepare(psprintf("SELECT u.number FROM unnest($1, $2) WITH ORDINALITY AS u(key, time, number) "
                             "JOIN %s AS t ON t.%s = u.key WHERE t.%s > u.time",
                             target->name, key, order),
                    2, types);
    }
    return target->overtaken_plan;
}

void execute(SPIPlanPtr plan, Datum *parameters, int expected)
{
    const int result = SPI_execute_plan(plan, parameters, nullptr, false, 0);

    if (result != expected)
        elog(ERROR, "could not execute a statement: %s", SPI_result_code_string(result));
}

/* To be called when not every row was written: tells the skipped from those that would not have changed. */
void mark_skipped(Target *target, Row *const *rows, int count, Datum keys, Datum times)
{
    Datum parameters[] = {keys, times};

    execute(overtaken_plan(target), parameters, SPI_OK_SELECT);
    for (uint64 i = 0; i < SPI_processed; i++) {
        bool is_null;
        const int64 number =
            DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null));

        if (number >= 1 && number <= count)
            rows[number - 1]->event->outcome = Outcome::skipped;
    }
    SPI_freetuptable(SPI_tuptable);
}

} // namespace

const TargetColumn *column_being_converted() noexcept
{
    return converting;
}

void convert_row(Target *target, Row *row)
{
    const Event *event = row->event;

    converting = nullptr;
    row->values = static_cast<Datum *>(palloc0((event->field_count + 1) * sizeof(Datum)));
    for (int i = 0; i < event->field_count; i++) {
        const Field &field = event->fields[i];

        converting = &target->columns[field.column];
        /* a domain may refuse even a null */
        if (!field.is_null)
            row->values[i] = convert_value(&target->columns[field.column], field.text);
        else if (converting->base_type != converting->type)
            InputFunctionCall(&target->columns[field.column].input, nullptr, converting->input_parameter,
                              converting->typmod);
    }
    converting = nullptr;
    row->values[event->field_count] = TimestampTzGetDatum(event->time);
}

bool feed_same_columns(const Row *a, const Row *b)
{
    const Event *x = a->event;
    const Event *y = b->event;

    if (x->columns_hash != y->columns_hash || x->field_count != y->field_count)
        return false;
    for (int i = 0; i < x->field_count; i++) {
        if (x->fields[i].column != y->fields[i].column)
            return false;
    }
    return true;
}

void upsert_rows(Target *target, Row *const *rows, int count)
{
    const Event *first = rows[0]->event;
    const int column_count = first->field_count + 1;
    auto *parameters = static_cast<Datum *>(palloc(column_count * sizeof(Datum)));
    auto *values = static_cast<Datum *>(palloc(count * sizeof(Datum)));
    auto *nulls = static_cast<bool *>(palloc(count * sizeof(bool)));
    Datum keys = 0;

    for (int c = 0; c < column_count; c++) {
        const bool is_order = c == first->field_count;
        const TargetColumn *column = is_order ? &target->order : &target->columns[first->fields[c].column];

        for (int r = 0; r < count; r++) {
            values[r] = rows[r]->values[c];
            nulls[r] = !is_order && rows[r]->event->fields[c].is_null;
        }
        parameters[c] = PointerGetDatum(make_array(column, values, nulls, count));
        if (!is_order && first->fields[c].column == target->key)
            keys = parameters[c];
    }

    execute(plan_for(target, first), parameters, SPI_OK_INSERT);
    const bool all_written = SPI_processed == static_cast<uint64>(count);
    for (int r = 0; r < count; r++)
        rows[r]->event->outcome = Outcome::applied;
    if (!all_written)
        mark_skipped(target, rows, count, keys, parameters[column_count - 1]);

    for (int c = 0; c < column_count; c++)
        pfree(DatumGetPointer(parameters[c]));
    pfree(parameters);
    pfree(values);
    pfree(nulls);
}

void free_plans(Target *target)
{
    while (target->plans != nullptr) {
        SavedPlan *plan = target->plans;

        target->plans = plan->next;
        free_plan(plan);
    }
    if (target->overtaken_plan != nullptr)
        SPI_freeplan(target->overtaken_plan);
    target->overtaken_plan = nullptr;
}

} // namespace cxone_sync
