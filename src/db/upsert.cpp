#include "core/delivery.h"
#include "core/time_value.h"

#include <algorithm>

#include "db/catalog.h"
#include "db/identity.h"
#include "db/insert_triggers.h"
#include "db/planning.h"
#include "db/spi.h"
#include "db/statements.h"
#include "db/text.h"
#include "db/upsert.h"
extern "C" {
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/typcache.h"
}

namespace cxone_sync {

/* The statements for one set of columns; each is null until it is needed. */
struct SavedPlan {
    SavedPlan *next;
    SPIPlanPtr upsert;
    SPIPlanPtr update;
    SPIPlanPtr lock;
    Form form;
    uint32 columns_hash;
    int column_count;
    uint16 columns[FLEXIBLE_ARRAY_MEMBER]; /* indexes into Target::columns, ascending */
};

namespace {

/* A sender decides which columns its events carry, so the number of plans it can make us keep is bounded. */
constexpr int max_plans = 64;

const TargetColumn *converting = nullptr;

/* ---- values ---- */

/* A row without a name, with one null of the column's type. */
Datum row_with_null(const TargetColumn *column)
{
    Datum value = 0;
    bool is_null = true;
    TupleDesc row = CreateTemplateTupleDesc(1);

    TupleDescInitEntry(row, 1, "value", column->type, column->typmod, 0);
    BlessTupleDesc(row);
    return HeapTupleGetDatum(heap_form_tuple(row, &value, &is_null));
}

/*
 * The text of a JSON object, or of an array of them, for a column of a row type: json_populate_record() knows
 * how, if it is to fill a row with that column.
 */
char *text_of_json(const TargetColumn *column, std::string_view json)
{
    FmgrInfo populate;
    Oid output;
    bool is_varlena;
    bool is_null = false;

    fmgr_info(F_JSON_POPULATE_RECORD, &populate);
    fmgr_info_set_expr(
        reinterpret_cast<Node *>(makeFuncExpr(F_JSON_POPULATE_RECORD, RECORDOID,
                                              list_make1(makeNullConst(RECORDOID, -1, InvalidOid)),
                                              InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL)),
        &populate);
    char *object = psprintf("{\"value\":%.*s}", static_cast<int>(json.size()), json.data());
    Datum row =
        FunctionCall3(&populate, row_with_null(column), CStringGetTextDatum(object), BoolGetDatum(false));
    Datum value = GetAttributeByNum(DatumGetHeapTupleHeader(row), 1, &is_null);
    getTypeOutputInfo(column->type, &output, &is_varlena);
    return OidOutputFunctionCall(output, value);
}

/* Its values are what read_time() gives; else, for a domain or a precision, its input function has a say. */
bool is_plain_time(const TargetColumn *column)
{
    return column->type == DATEOID ||
           ((column->type == TIMESTAMPTZOID || column->type == TIMESTAMPOID) && column->typmod < 0);
}

Datum convert_value(TargetColumn *column, const Field &field)
{
    std::string_view text = field.text;
    char time_text[32];

    if (field.is_time && is_plain_time(column))
        return column->type == DATEOID ? DateADTGetDatum(static_cast<DateADT>(field.time))
                                       : TimestampTzGetDatum(field.time);
    if (field.is_time)
        text = time_text_of(column->shape, field.time, time_text);
    if (column->plain_text)
        return text_datum(text);

    char *terminated = field.is_json ? text_of_json(column, text) : c_string(text);
    Datum value = InputFunctionCall(&column->input, terminated, column->input_parameter, column->typmod);

    /* Its statement reads it once more; here it is checked where an error can be told from its neighbours. */
    if (column->cast_in_statement)
        return PointerGetDatum(cstring_to_text(terminated));
    return value;
}

/* The same, without what input functions leave behind: for jsonb several times its text, in a whole batch. */
Datum convert_with_scratch(MemoryContext scratch, TargetColumn *column, const Field &field)
{
    if (column->plain_text)
        return convert_value(column, field);
    MemoryContextReset(scratch);
    MemoryContext caller_context = MemoryContextSwitchTo(scratch);
    Datum value = convert_value(column, field);
    MemoryContextSwitchTo(caller_context);
    return datumCopy(value, column->by_value, column->length);
}

ArrayType *make_array(const TargetColumn *column, Datum *values, bool *nulls, int count)
{
    int dimension = count;
    int lower_bound = 1;

    return construct_md_array(values, nulls, 1, &dimension, &lower_bound, column->parameter_type,
                              column->length, column->by_value, column->alignment);
}

/* ---- plans ---- */

/* Columns that the event feeds, the order column last. */
const TargetColumn **columns_of(const Target *target, const Event *event)
{
    auto **columns =
        static_cast<const TargetColumn **>(palloc((event->field_count + 1) * sizeof(TargetColumn *)));

    for (int i = 0; i < event->field_count; i++)
        columns[i] = &target->columns[event->fields[i].column];
    columns[event->field_count] = &target->order;
    return columns;
}

using StatementText = char *(*)(const Target *, const TargetColumn *const *, int, Form);

Form form_of(const Row *row, int count)
{
    return {.ties = loses_ties(row) ? Ties::lose : Ties::win,
            .is_single = row->target->is_partitioned && count == 1};
}

/* How many parameters there are beside the rows' values. */
int count_pruning(const Target *target, bool prunes)
{
    int count = 0;

    for (int k = 0; prunes && k < target->key_count; k++)
        count += finds_partition(target, &key_column(target, k));
    return count;
}

/* Of which type these are. */
void add_pruning_types(const Target *target, bool prunes, Oid *types)
{
    for (int k = 0; prunes && k < target->key_count; k++) {
        if (finds_partition(target, &key_column(target, k)))
            *types++ = get_array_type(key_column(target, k).parameter_type);
    }
}

SPIPlanPtr prepare_for(const Target *target, const Row *row, StatementText statement, Form form,
                       Planning planning)
{
    const bool prunes = planning == Planning::each_time && !form.is_single;
    const Event *event = row->event;
    const int count = event->field_count + 1;
    const int all = count + count_pruning(target, prunes);
    const TargetColumn **columns = columns_of(target, event);
    auto *types = static_cast<Oid *>(palloc(all * sizeof(Oid)));

    for (int i = 0; i < count; i++)
        types[i] = get_array_type(columns[i]->parameter_type);
    add_pruning_types(target, prunes, types + count);
    return prepare_spi(statement(target, columns, count, form), all, types, planning);
}

/* Citus chooses the shards by the parameters. */
Planning planning_of_insert(const Target *target)
{
    return target->is_distributed ? Planning::as_needed : Planning::once;
}

/* How statements that look for rows are planned. */
Planning planning_of(const Target *target)
{
    return target->is_partitioned ? Planning::each_time : planning_of_insert(target);
}

SavedPlan *make_plan(Target *target, const Row *row, Form form)
{
    const Event *event = row->event;
    auto *plan = static_cast<SavedPlan *>(MemoryContextAllocZero(
        target->context, offsetof(SavedPlan, columns) + event->field_count * sizeof(uint16)));

    plan->form = form;
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
    for (SPIPlanPtr statement : {plan->upsert, plan->update, plan->lock}) {
        if (statement != nullptr)
            SPI_freeplan(statement);
    }
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

SavedPlan *plan_for(Target *target, const Row *row, int count)
{
    const Form form = form_of(row, count);

    for (SavedPlan **link = &target->plans; *link != nullptr; link = &(*link)->next) {
        SavedPlan *plan = *link;

        if (plan->form != form || !feeds_columns(row->event, plan))
            continue;
        *link = plan->next;
        plan->next = target->plans;
        target->plans = plan;
        return plan;
    }
    if (target->catalog->writes <= 1) /* else a write further out may be running one of them */
        make_room_for_plan(target);
    SavedPlan *plan = make_plan(target, row, form);
    plan->next = target->plans;
    target->plans = plan;
    return plan;
}

/* ---- parameters ---- */

/* Arrays, as statements.h says. */
struct Parameters {
    Datum *arrays;
    int count;
};

struct KeyOfTarget {
    const Target *target;
    int number;
};

int compare_values(const void *a, const void *b, void *key)
{
    const auto *of = static_cast<const KeyOfTarget *>(key);

    return compare_in_key(of->target, of->number, *static_cast<const Datum *>(a),
                          *static_cast<const Datum *>(b));
}

/*
 * Of how many values a list is at least, by repetition: for a partition without statistics the planner thinks
 * that each is in one of 200 rows, and if these seem to be few it would rather read all than look for keys.
 */
constexpr int min_pruning_values = 16;

/* The values of the rows' keys there, each once: the fewer there are, the less there is to plan and to run.
 */
Datum distinct_values(KeyOfTarget key, Row *const *rows, int count, Datum *values)
{
    int kept = 0;

    for (int r = 0; r < count; r++)
        values[r] = rows[r]->keys[key.number];
    qsort_arg(values, count, sizeof(Datum), compare_values, &key);
    for (int r = 0; r < count; r++) {
        if (kept == 0 || compare_values(&values[kept - 1], &values[r], &key) != 0)
            values[kept++] = values[r];
    }
    for (; kept < min_pruning_values; kept++)
        values[kept] = values[0];
    return PointerGetDatum(make_array(&key_column(key.target, key.number), values, nullptr, kept));
}

/* What the planner is to prune by, in the order of the key. */
void add_pruning(const Target *target, Row *const *rows, int count, bool prunes, Datum *arrays)
{
    auto *values = static_cast<Datum *>(palloc(Max(count, min_pruning_values) * sizeof(Datum)));

    for (int k = 0; prunes && k < target->key_count; k++) {
        if (finds_partition(target, &key_column(target, k)))
            *arrays++ = distinct_values({target, k}, rows, count, values);
    }
    pfree(values);
}

int field_for(const Event *event, int column)
{
    for (int i = 0; i < event->field_count; i++) {
        if (event->fields[i].column == column)
            return i;
    }
    elog(ERROR, "an event without its key was to be written");
}

Parameters make_parameters(const Target *target, Row *const *rows, int count, bool prunes)
{
    const Event *first = rows[0]->event;
    const int column_count = first->field_count + 1;
    Parameters parameters = {};
    auto *values = static_cast<Datum *>(palloc(count * sizeof(Datum)));
    auto *nulls = static_cast<bool *>(palloc(count * sizeof(bool)));

    parameters.count = column_count + count_pruning(target, prunes);
    parameters.arrays = static_cast<Datum *>(palloc(parameters.count * sizeof(Datum)));
    for (int c = 0; c < column_count; c++) {
        const bool is_order = c == first->field_count;
        const TargetColumn *column = is_order ? &target->order : &target->columns[first->fields[c].column];

        for (int r = 0; r < count; r++) {
            values[r] = rows[r]->values[c];
            nulls[r] = !is_order && rows[r]->event->fields[c].is_null;
        }
        parameters.arrays[c] = PointerGetDatum(make_array(column, values, nulls, count));
    }
    add_pruning(target, rows, count, prunes, parameters.arrays + column_count);
    pfree(values);
    pfree(nulls);
    return parameters;
}

void free_parameters(const Parameters &parameters)
{
    for (int c = 0; c < parameters.count; c++)
        pfree(DatumGetPointer(parameters.arrays[c]));
    pfree(parameters.arrays);
}

/* The same, of keys and times alone. */
Parameters key_parameters(const Target *target, Row *const *rows, int count, bool prunes)
{
    const int column_count = target->key_count + 1;
    Parameters parameters = {};
    auto *values = static_cast<Datum *>(palloc(count * sizeof(Datum)));

    parameters.count = column_count + count_pruning(target, prunes);
    parameters.arrays = static_cast<Datum *>(palloc(parameters.count * sizeof(Datum)));
    for (int k = 0; k < column_count; k++) {
        for (int r = 0; r < count; r++)
            values[r] = k < target->key_count ? rows[r]->keys[k] : TimestampTzGetDatum(rows[r]->event->time);
        const TargetColumn *of = k < target->key_count ? &key_column(target, k) : &target->order;
        parameters.arrays[k] = PointerGetDatum(make_array(of, values, nullptr, count));
    }
    add_pruning(target, rows, count, prunes, parameters.arrays + column_count);
    pfree(values);
    return parameters;
}

SPIPlanPtr prepare_for_keys(const Target *target, char *(*statement)(const Target *, bool), bool is_single)
{
    const int count = target->key_count + 1;
    const int all = count + count_pruning(target, !is_single);
    auto *types = static_cast<Oid *>(palloc(all * sizeof(Oid)));

    for (int k = 0; k < target->key_count; k++)
        types[k] = get_array_type(key_column(target, k).type);
    types[target->key_count] = TIMESTAMPTZARRAYOID;
    add_pruning_types(target, !is_single, types + count);
    return prepare_spi(statement(target, is_single), all, types, planning_of(target));
}

/* ---- what statements tell ---- */

/* Takes what a statement tells of its rows: by what it returns, and while it runs (cxone_sync_note_row()). */
struct RowReceiver {
    DestReceiver base;
    const Target *target;
    Row *const *rows;
    int count;
    bool by_key;    /* an INSERT: it tells keys, by which the rows are sorted, not numbers */
    int next;       /* where the next key is looked for first */
    int unexpected; /* keys of no row */
    bool other_time;
};

/* That of the statement that runs; null: none does. */
RowReceiver *current_receiver = nullptr;

bool bool_of(TupleTableSlot *slot, int column)
{
    bool is_null;
    const Datum value = slot_getattr(slot, column, &is_null);

    return !is_null && DatumGetBool(value);
}

/* Null: there is none. */
Row *find_row(const RowReceiver *receiver, int64 number)
{
    return number >= 1 && number <= receiver->count ? receiver->rows[number - 1] : nullptr;
}

Row *numbered_row(const RowReceiver *receiver, TupleTableSlot *slot)
{
    bool is_null;
    const int64 number = DatumGetInt64(slot_getattr(slot, 1, &is_null));
    Row *row = is_null ? nullptr : find_row(receiver, number);

    if (row == nullptr)
        elog(ERROR, "a statement has returned a row that it was not given");
    return row;
}

/* As compare_keys(), by which the rows are sorted; `value_of` gives the key's columns. */
template <typename ValueOf> int compare_told_key(const Target *target, ValueOf value_of, const Row *row)
{
    for (int k = 0; k < target->key_count; k++) {
        bool is_null;
        const Datum value = value_of(k, &is_null);

        if (is_null) /* a trigger's doing: no row's key */
            return 1;
        if (target->text_key) {
            const text *key = DatumGetTextPP(value);
            return std::string_view(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)).compare(row->event->key);
        }
        const int order = compare_in_key(target, k, value, row->keys[k]);
        if (order != 0)
            return order;
    }
    return 0;
}

/* Keys come in the order of the rows, but from the servers of Citus in any order. Null: it is no row's. */
template <typename ValueOf> Row *row_with_key(RowReceiver *receiver, ValueOf value_of)
{
    int begin = 0;
    int end = receiver->count;
    int middle = receiver->next < end ? receiver->next : end / 2;

    while (begin < end) {
        const int order = compare_told_key(receiver->target, value_of, receiver->rows[middle]);

        if (order == 0) {
            receiver->next = middle + 1;
            return receiver->rows[middle];
        }
        if (order < 0)
            end = middle;
        else
            begin = middle + 1;
        middle = begin + (end - begin) / 2;
    }
    return nullptr;
}

/* Of a row that was deleted, or locked. */
bool receive_number(TupleTableSlot *slot, DestReceiver *self)
{
    numbered_row(reinterpret_cast<RowReceiver *>(self), slot)->is_written = true;
    return true;
}

/* The number, and what present_statement() tells. */
bool receive_standing(TupleTableSlot *slot, DestReceiver *self)
{
    Row *row = numbered_row(reinterpret_cast<RowReceiver *>(self), slot);

    row->is_present = true;
    row->is_newer = bool_of(slot, 2);
    row->is_marked = bool_of(slot, 3);
    return true;
}

/* A row that was written has its event's time, or in field order perhaps a later one. */
void check_time(RowReceiver *receiver, TupleTableSlot *slot, int column, const Row *row)
{
    bool is_null;
    const Datum time = slot_getattr(slot, column, &is_null);

    receiver->other_time |= is_null || DatumGetTimestampTz(time) < row->event->time ||
                            (DatumGetTimestampTz(time) > row->event->time && !receiver->target->field_order);
}

bool receive_updated(TupleTableSlot *slot, DestReceiver *self)
{
    auto *receiver = reinterpret_cast<RowReceiver *>(self);
    Row *row = numbered_row(receiver, slot);

    row->is_written = true;
    check_time(receiver, slot, 2, row);
    return true;
}

bool receive_key(TupleTableSlot *slot, DestReceiver *self)
{
    auto *receiver = reinterpret_cast<RowReceiver *>(self);
    Row *row = row_with_key(receiver,
                            [slot](int key, bool *is_null) { return slot_getattr(slot, key + 1, is_null); });

    if (row == nullptr) {
        receiver->unexpected++;
        return true;
    }
    row->is_written = true;
    check_time(receiver, slot, receiver->target->key_count + 1, row);
    return true;
}

/* The row of which the statement that runs tells this key, of a type that is made by ROW(). */
Row *row_of_key(RowReceiver *receiver, HeapTupleHeader key)
{
    const Target *target = receiver->target;
    TupleDesc type = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(key), HeapTupleHeaderGetTypMod(key));
    HeapTupleData tuple = {};
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];

    bool fits = type->natts == target->key_count;
    for (int k = 0; fits && k < type->natts; k++)
        fits = TupleDescAttr(type, k)->atttypid == key_column(target, k).type;
    if (fits) {
        tuple.t_len = HeapTupleHeaderGetDatumLength(key);
        tuple.t_data = key;
        heap_deform_tuple(&tuple, type, values, nulls);
    }
    ReleaseTupleDesc(type);
    return fits ? row_with_key(receiver,
                               [&values, &nulls](int k, bool *is_null) {
                                   *is_null = nulls[k];
                                   return values[k];
                               })
                : nullptr;
}

/* Takes the first three arguments of note_row(), and returns the third; null counts as false. */
bool note_standing(FunctionCallInfo fcinfo, Row *row)
{
    const auto argument = [fcinfo](int i) { return !PG_ARGISNULL(i) && PG_GETARG_BOOL(i); };
    const bool would_change = argument(2);

    if (row != nullptr) {
        row->is_present = true;
        row->is_newer = argument(0);
        row->is_marked = argument(1);
        row->would_change = would_change;
    }
    return would_change;
}

void ignore_start(DestReceiver *, int, TupleDesc) {}
void ignore_end(DestReceiver *) {}

using Receive = bool (*)(TupleTableSlot *slot, DestReceiver *self);

/*
 * Runs a statement and has what it tells received. Without SPI's own table of that, whose rows it compares
 * with a count that is another one with Citus.
 */
void run_and_receive(SPIPlanPtr plan, const Parameters &parameters, RowReceiver *receiver, Receive receive,
                     int expected)
{
    RowReceiver *outer = current_receiver; /* of a write whose trigger calls ingest() */
    MemoryContext caller_context = CurrentMemoryContext;
    SPIExecuteOptions options = {};

    receiver->base.receiveSlot = receive;
    receiver->base.rStartup = ignore_start;
    receiver->base.rShutdown = receiver->base.rDestroy = ignore_end;
    receiver->base.mydest = DestTuplestore; /* any but SPI itself, and none */
    options.params = makeParamList(parameters.count);
    for (int i = 0; i < parameters.count; i++)
        options.params->params[i] = {.value = parameters.arrays[i],
                                     .isnull = false,
                                     .pflags = PARAM_FLAG_CONST,
                                     .ptype = SPI_getargtypeid(plan, i)};
    if (receive != nullptr)
        options.dest = &receiver->base;
    PG_TRY();
    {
        current_receiver = receiver;
        watch_planning(plan, receiver->target, !receiver->by_key);
        check_spi(SPI_execute_plan_extended(plan, &options), expected, "a prepared statement");
    }
    PG_FINALLY();
    {
        current_receiver = outer;
        unwatch_planning();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller_context);
    pfree(options.params);
}

RowReceiver run_for_rows(SPIPlanPtr plan, const Target *target, Row *const *rows, int count,
                         const Parameters &parameters, Receive receive, int expected)
{
    RowReceiver receiver = {};

    receiver.target = target;
    receiver.rows = rows;
    receiver.count = count;
    receiver.by_key = expected == SPI_OK_INSERT || expected == SPI_OK_INSERT_RETURNING;
    run_and_receive(plan, parameters, &receiver, receive, expected);
    return receiver;
}

/* The same, by the rows' columns and with a statement that finds rows by their index. */
RowReceiver run_by_index(SPIPlanPtr *plan, Target *target, StatementText statement, Form form,
                         Row *const *rows, int count, Receive receive, int expected)
{
    const Parameters parameters = make_parameters(target, rows, count, !form.is_single);

    if (*plan == nullptr)
        *plan = prepare_for(target, rows[0], statement, form, planning_of(target));
    const RowReceiver receiver = run_for_rows(*plan, target, rows, count, parameters, receive, expected);
    free_parameters(parameters);
    return receiver;
}

/* Has the rows that would change and that nobody else has locked locked: they count as written then. */
void lock_rows(Target *target, SavedPlan *plan, Row *const *rows, int count)
{
    forget_standing(rows, count);
    run_by_index(&plan->lock, target, lock_statement, plan->form, rows, count, receive_number, SPI_OK_SELECT);
}

/* ---- outcomes ---- */

/* What became of a row that the last statement has not written, as far as the table tells. */
void settle_unwritten(const Target *target, Row *row)
{
    if (row->would_change || (target->may_swallow && !row->is_present))
        raise_swallowed(target);
    else if (row->is_newer || (row->is_marked && !row->event->is_deletion) || loses_ties(row))
        row->event->outcome = Outcome::skipped;
    else
        row->event->outcome = Outcome::applied;
}

/* Copies the rows that are not written to `others`; returns how many. */
int unwritten(Row *const *rows, int count, Row **others)
{
    return choose(rows, count, others, [](const Row *row) { return !row->is_written; });
}

void raise_other_time(const Target *target)
{
    ereport(ERROR,
            (errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
             errmsg("a trigger of table %s has changed column \"%s\"", target->table,
                    NameStr(target->order.name)),
             errdetail("It holds the time of the newest event: by another time later events look old."),
             errhint("Have the trigger set another column, or name another order_column.")));
}

void check_returned(const Target *target, const RowReceiver &receiver)
{
    if (receiver.unexpected > 0)
        raise_other_key(target);
    if (receiver.other_time)
        raise_other_time(target);
}

/* What was applied has to be there still when AFTER triggers have run, of which no statement tells. */
void check_applied(Target *target, Row *const *rows, int count)
{
    if (!target->has_after_triggers)
        return;
    look_for_rows(target, rows, count);
    for (int r = 0; r < count; r++) {
        if (rows[r]->event->outcome != Outcome::applied || !rows[r]->is_written)
            continue;
        if (!rows[r]->is_present)
            raise_swallowed(target);
        if (rows[r]->is_newer && !target->field_order)
            raise_other_time(target);
    }
}

/*
 * Of rows that were to be written and were not: a trigger may have dropped them, or written what they say by
 * itself. And no server of Citus calls note_row() here.
 */
void look_again(Target *target, SavedPlan *plan, Row *const *rows, int count)
{
    auto **left = static_cast<Row **>(palloc(Max(count, 1) * sizeof(Row *)));
    const int left_count =
        choose(rows, count, left, [](const Row *row) { return row->would_change || !row->is_present; });

    if (left_count > 0 && target->is_distributed)
        look_for_rows(target, left, left_count);
    else if (left_count > 0 && target->may_swallow) {
        lock_rows(target, plan, left, left_count);
        for (int r = 0; r < left_count; r++)
            left[r]->is_written = false;
    }
    pfree(left);
}

/*
 * Updates those of the rows that are there; returns how many are not, copied to `absent`. Where nothing can
 * drop an update, a row that would change and was not written has gone, or got another key, while it was
 * waited for.
 */
int update_rows(Target *target, SavedPlan *plan, Row *const *rows, int count, Row **absent)
{
    int missing = 0;

    forget_standing(rows, count);
    check_returned(target, run_by_index(&plan->update, target, update_statement, plan->form, rows, count,
                                        receive_updated, SPI_OK_UPDATE_RETURNING));
    const int left = unwritten(rows, count, absent);
    look_again(target, plan, absent, left);
    for (int r = 0; r < left; r++) {
        Row *row = absent[r];

        if (row->is_present && (target->may_swallow || !row->would_change))
            settle_unwritten(target, row);
        else
            absent[missing++] = row;
    }
    return missing;
}

/* Runs the upsert, and has each row tell whether it was written. */
void run_upsert(Target *target, SavedPlan *plan, Row *const *rows, int count)
{
    const Parameters parameters = make_parameters(target, rows, count, false);
    const bool returns = returns_keys(target);

    forget_standing(rows, count);
    if (plan->upsert == nullptr)
        plan->upsert = prepare_for(target, rows[0], upsert_statement, plan->form, planning_of_insert(target));
    const RowReceiver receiver =
        run_for_rows(plan->upsert, target, rows, count, parameters, returns ? receive_key : nullptr,
                     returns ? SPI_OK_INSERT_RETURNING : SPI_OK_INSERT);
    const uint64 written = SPI_processed;
    free_parameters(parameters);
    check_returned(target, receiver);
    if (returns)
        return;
    for (int r = 0; r < count; r++)
        rows[r]->is_written = !rows[r]->is_present || rows[r]->would_change;
    if (std::count_if(rows, rows + count, [](const Row *row) { return row->is_written; }) !=
        static_cast<std::ptrdiff_t>(written))
        raise_swallowed(target);
}

void insert_rows(Target *target, SavedPlan *plan, Row *const *rows, int count)
{
    run_upsert(target, plan, rows, count);
    auto **left = static_cast<Row **>(palloc(count * sizeof(Row *)));
    const int left_count = unwritten(rows, count, left);
    look_again(target, plan, left, left_count);
    for (int r = 0; r < left_count; r++) {
        /* it may be there by another key */
        if (!left[r]->is_present && target->has_insert_triggers && !left[r]->is_alone)
            raise_other_key(target);
        settle_unwritten(target, left[r]);
    }
    pfree(left);
}

bool share_lock_statement(const Row *a, const Row *b)
{
    return is_removal(a) == is_removal(b) && (is_removal(a) || feed_same_columns(a, b));
}

} // namespace

std::string_view time_text_of(Shape shape, std::int64_t time, char (&buffer)[32]) noexcept
{
    return {buffer, format_time(*time_kind(shape), time, buffer)};
}

const TargetColumn *column_being_converted() noexcept
{
    return converting;
}

void convert_row(Target *target, Row *row, MemoryContext scratch)
{
    const Event *event = row->event;

    converting = nullptr;
    row->values = static_cast<Datum *>(palloc0((event->field_count + 1) * sizeof(Datum)));
    for (int i = 0; i < event->field_count; i++) {
        const Field &field = event->fields[i];

        converting = &target->columns[field.column];
        /* a domain may refuse even a null */
        if (!field.is_null)
            row->values[i] = convert_with_scratch(scratch, &target->columns[field.column], field);
        else if (converting->base_type != converting->type)
            InputFunctionCall(&target->columns[field.column].input, nullptr, converting->input_parameter,
                              converting->typmod);
    }
    converting = nullptr;
    row->values[event->field_count] = TimestampTzGetDatum(event->time);
    row->keys = static_cast<Datum *>(palloc(target->key_count * sizeof(Datum)));
    for (int k = 0; k < target->key_count; k++)
        row->keys[k] = row->values[field_for(event, target->keys[k].column)];
    row->own_key = event->key;
    row->own_values = row->values;
    row->own_keys = row->keys;
}

char *value_text(TargetColumn *column, const Field &field)
{
    Oid output;
    bool is_varlena;

    if (field.is_null)
        return nullptr;
    Datum value = convert_value(column, field);
    if (column->cast_in_statement)
        return TextDatumGetCString(value);
    getTypeOutputInfo(column->type, &output, &is_varlena);
    return OidOutputFunctionCall(output, value);
}

int compare_keys(const Target *target, const Row *a, const Row *b)
{
    if (target->text_key)
        return a->event->key.compare(b->event->key);
    for (int k = 0; k < target->key_count; k++) {
        const int order = compare_in_key(target, k, a->keys[k], b->keys[k]);

        if (order != 0)
            return order;
    }
    return 0;
}

bool loses_ties(const Row *row)
{
    if (row->delivery->dead_letter == 0 || row->target->field_order || row->event->is_deletion)
        return false;
    for (const Row *before = row->tied; before != nullptr; before = before->tied) {
        /* by different keys of one table they may mean the same row */
        if (before->event->outcome == Outcome::applied &&
            (before->target != row->target || compare_keys(row->target, before, row) == 0))
            return false;
    }
    return true;
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

bool upsert_rows(Target *target, Row *const *rows, int count, bool update_first)
{
    SavedPlan *plan = plan_for(target, rows[0], count);

    for (int r = 0; r < count; r++) {
        rows[r]->is_written = false;
        rows[r]->event->outcome = Outcome::applied; /* unless something else turns out */
    }
    if (!update_first) {
        insert_rows(target, plan, rows, count);
        check_applied(target, rows, count);
        return true;
    }
    auto **absent = static_cast<Row **>(palloc(count * sizeof(Row *)));
    const int absent_count = update_rows(target, plan, rows, count, absent);
    if (absent_count > 0 && absent[0]->is_alone && target->has_insert_triggers &&
        take_key_from_triggers(target, absent[0]))
        return false;
    if (absent_count > 0)
        insert_rows(target, plan, absent, absent_count);
    pfree(absent);
    check_applied(target, rows, count);
    return true;
}

void raise_other_key(const Target *target)
{
    ereport(ERROR,
            (errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
             errmsg("a trigger of table %s has changed the key of a row", target->table),
             errdetail("The row that was written is not the one that the event means."),
             target->is_partitioned && !target->has_insert_triggers
                 ? errhint("Create the trigger on the table, whose partitions get it from there.")
                 : errhint("Have the trigger change a key in a way that leaves its own result alone.")));
    pg_unreachable();
}

bool cannot_be_inserted(const Target *target, const Event *event)
{
    int f = 0;

    for (int c = 0; c < target->column_count; c++) {
        while (f < event->field_count && event->fields[f].column < c)
            f++;
        const bool is_fed = f < event->field_count && event->fields[f].column == c;
        const TargetColumn *column = &target->columns[c];
        if (column->not_null && column->default_expression == nullptr && !is_fed)
            return true;
    }
    return false;
}

void run_for_keys(Target *target, KeyPlans *plans, char *(*statement)(const Target *, bool), Row *const *rows,
                  int count, int expected)
{
    const bool is_single = target->is_partitioned && count == 1;
    SPIPlanPtr *plan = &plans->plans[is_single];
    const Parameters parameters = key_parameters(target, rows, count, !is_single);

    if (*plan == nullptr)
        *plan = prepare_for_keys(target, statement, is_single);
    run_for_rows(*plan, target, rows, count, parameters,
                 statement == present_statement ? receive_standing : receive_number, expected);
    free_parameters(parameters);
}

void look_for_rows(Target *target, Row *const *rows, int count)
{
    forget_standing(rows, count);
    run_for_keys(target, &target->present_plans, present_statement, rows, count, SPI_OK_SELECT);
}

int find_locked(Target *target, Row **rows, int count)
{
    std::sort(rows, rows + count,
              [](const Row *a, const Row *b) { return a->event->columns_hash < b->event->columns_hash; });
    for (int r = 0; r < count; r++)
        rows[r]->is_written = false;
    for (int first = 0, next; first < count; first = next) {
        for (next = first + 1; next < count && share_lock_statement(rows[first], rows[next]);)
            next++;
        if (is_removal(rows[first])) {
            forget_standing(rows + first, next - first);
            run_for_keys(target, &target->lock_plans, lock_removals_statement, rows + first, next - first,
                         SPI_OK_SELECT);
        } else
            lock_rows(target, plan_for(target, rows[first], next - first), rows + first, next - first);
    }
    const auto is_locked = [](const Row *row) { return row->would_change && !row->is_written; };
    return static_cast<int>(std::partition(rows, rows + count, is_locked) - rows);
}

void raise_swallowed(const Target *target)
{
    ereport(
        ERROR,
        (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
         errmsg("the event was dropped by a trigger or a policy of table %s", target->table),
         errdetail("The statement for it ended without an error, but the table does not hold what it says."),
         errhint("See its BEFORE triggers, which drop a row by returning NULL, its AFTER triggers, which may "
                 "change or delete it again, and its row security.")));
    pg_unreachable();
}

void renew_plans(Target *target)
{
    if (target->is_partitioned ||
        target->catalog->writes > 1) /* each time; or a write further out may be running one */
        return;
    Relation relation = table_open(target->config.relation, NoLock);
    const BlockNumber blocks = RelationGetNumberOfBlocks(relation);
    table_close(relation, NoLock);
    if (blocks / 2 <= target->planned_blocks)
        return;
    free_plans(target);
    target->planned_blocks = blocks;
}

void free_plans(Target *target)
{
    while (target->plans != nullptr) {
        SavedPlan *plan = target->plans;

        target->plans = plan->next;
        free_plan(plan);
    }
    for (KeyPlans *plans :
         {&target->present_plans, &target->lock_plans, &target->delete_plans, &target->reset_plans}) {
        for (SPIPlanPtr &plan : plans->plans) {
            if (plan != nullptr)
                SPI_freeplan(plan);
            plan = nullptr;
        }
    }
}

} // namespace cxone_sync

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_note_row);
PG_FUNCTION_INFO_V1(cxone_sync_note_row_by_key);

/*
 * The generated statements call it for each row that they meet: takes whether that is newer, whether it is
 * marked as deleted, whether the event would change it, and the event's number among those of the statement.
 * Returns whether it would. Only a statement that runs for us has events; others may call it, to no effect.
 */
Datum cxone_sync_note_row(PG_FUNCTION_ARGS)
{
    using namespace cxone_sync;
    const RowReceiver *receiver = current_receiver;
    const bool is_ours = receiver != nullptr && !receiver->by_key && !PG_ARGISNULL(3);

    PG_RETURN_BOOL(note_standing(fcinfo, is_ours ? find_row(receiver, PG_GETARG_INT64(3)) : nullptr));
}

/* The same, with the event's key. */
Datum cxone_sync_note_row_by_key(PG_FUNCTION_ARGS)
{
    using namespace cxone_sync;
    RowReceiver *receiver = current_receiver;
    const bool is_ours = receiver != nullptr && receiver->by_key && !PG_ARGISNULL(3);

    PG_RETURN_BOOL(
        note_standing(fcinfo, is_ours ? row_of_key(receiver, PG_GETARG_HEAPTUPLEHEADER(3)) : nullptr));
}
}
