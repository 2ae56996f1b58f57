#include "core/delivery.h"
#include "core/time_value.h"

#include "db/identity.h"
#include "db/statements.h"
#include "db/text.h"
#include "db/upsert.h"
extern "C" {
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/datum.h"
}

namespace cxone_sync {

/* The statements for one set of columns. */
struct SavedPlan {
    SavedPlan *next;
    SPIPlanPtr upsert;
    SPIPlanPtr update; /* null until it is needed */
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
 * A JSON object, or an array of them, for a column of a row type: json_populate_record() knows how, if it is
 * to fill a row with that column. Returns the value's text.
 */
Datum convert_json(const TargetColumn *column, std::string_view json)
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
    return CStringGetTextDatum(OidOutputFunctionCall(output, value));
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
    if (field.is_json)
        return convert_json(column, text);
    if (column->plain_text)
        return text_datum(text);

    char *terminated = c_string(text);
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

SPIPlanPtr prepare(const char *statement, int parameter_count, Oid *parameter_types)
{
    SPIPlanPtr plan = SPI_prepare(statement, parameter_count, parameter_types);

    if (plan == nullptr || SPI_keepplan(plan) != 0)
        elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
    return plan;
}

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

using StatementText = char *(*)(const Target *, const TargetColumn *const *, int);

SPIPlanPtr prepare_for(const Target *target, const Event *event, StatementText statement)
{
    const int count = event->field_count + 1;
    const TargetColumn **columns = columns_of(target, event);
    auto *types = static_cast<Oid *>(palloc(count * sizeof(Oid)));

    for (int i = 0; i < count; i++)
        types[i] = get_array_type(columns[i]->parameter_type);
    return prepare(statement(target, columns, count), count, types);
}

SavedPlan *make_plan(Target *target, const Event *event)
{
    SPIPlanPtr upsert = prepare_for(target, event, upsert_statement);
    auto *plan = static_cast<SavedPlan *>(MemoryContextAlloc(
        target->context, offsetof(SavedPlan, columns) + event->field_count * sizeof(uint16)));

    plan->next = nullptr;
    plan->upsert = upsert;
    plan->update = nullptr;
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
    SPI_freeplan(plan->upsert);
    if (plan->update != nullptr)
        SPI_freeplan(plan->update);
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

SavedPlan *plan_for(Target *target, const Event *event)
{
    for (SavedPlan **link = &target->plans; *link != nullptr; link = &(*link)->next) {
        SavedPlan *plan = *link;

        if (!feeds_columns(event, plan))
            continue;
        *link = plan->next;
        plan->next = target->plans;
        target->plans = plan;
        return plan;
    }
    if (target->pins <= 1) /* else a write further out may be running one of them */
        make_room_for_plan(target);
    SavedPlan *plan = make_plan(target, event);
    plan->next = target->plans;
    target->plans = plan;
    return plan;
}

void check_result(int result, int expected)
{
    if (result != expected)
        elog(ERROR, "could not execute a statement: %s", SPI_result_code_string(result));
}

/*
 * A plan that is kept stays until the table is analyzed, and may have been made when that was empty. So it is
 * to find rows by their index, whatever the table's size. To be called before each execution: should the plan
 * be out of date, it is made here, and what triggers run is planned as ever.
 */
void plan_by_index(SPIPlanPtr plan)
{
    const int level = NewGUCNestLevel();

    pin_setting("enable_nestloop", "on");
    pin_setting("enable_indexscan", "on");
    pin_setting("enable_hashjoin", "off");
    pin_setting("enable_mergejoin", "off");
    pin_setting("enable_seqscan", "off");
    if (CachedPlan *kept = SPI_plan_get_cached_plan(plan))
        ReleaseCachedPlan(kept, CurrentResourceOwner);
    AtEOXact_GUC(false, level);
}

void execute(SPIPlanPtr plan, Datum *parameters, int expected)
{
    check_result(SPI_execute_plan(plan, parameters, nullptr, false, 0), expected);
}

/* ---- parameters ---- */

/* One array for each column of the statement. */
struct Parameters {
    Datum *arrays;
    int count;
    Datum *keys_and_time; /* of arrays: those of the key's columns, and that of the order column */
};

int field_for(const Event *event, int column)
{
    for (int i = 0; i < event->field_count; i++) {
        if (event->fields[i].column == column)
            return i;
    }
    elog(ERROR, "an event without its key was to be written");
}

Parameters make_parameters(const Target *target, Row *const *rows, int count)
{
    const Event *first = rows[0]->event;
    Parameters parameters = {};
    auto *values = static_cast<Datum *>(palloc(count * sizeof(Datum)));
    auto *nulls = static_cast<bool *>(palloc(count * sizeof(bool)));

    parameters.count = first->field_count + 1;
    parameters.arrays = static_cast<Datum *>(palloc(parameters.count * sizeof(Datum)));
    for (int c = 0; c < parameters.count; c++) {
        const bool is_order = c == first->field_count;
        const TargetColumn *column = is_order ? &target->order : &target->columns[first->fields[c].column];

        for (int r = 0; r < count; r++) {
            values[r] = rows[r]->values[c];
            nulls[r] = !is_order && rows[r]->event->fields[c].is_null;
        }
        parameters.arrays[c] = PointerGetDatum(make_array(column, values, nulls, count));
    }
    parameters.keys_and_time = static_cast<Datum *>(palloc((target->key_count + 1) * sizeof(Datum)));
    for (int k = 0; k < target->key_count; k++)
        parameters.keys_and_time[k] = parameters.arrays[field_for(first, target->keys[k].column)];
    parameters.keys_and_time[target->key_count] = parameters.arrays[first->field_count];
    pfree(values);
    pfree(nulls);
    return parameters;
}

void free_parameters(const Parameters &parameters)
{
    for (int c = 0; c < parameters.count; c++)
        pfree(DatumGetPointer(parameters.arrays[c]));
    pfree(parameters.arrays);
    pfree(parameters.keys_and_time);
}

/* The types of keys_and_time. */
Oid *key_and_time_types(const Target *target)
{
    auto *types = static_cast<Oid *>(palloc((target->key_count + 1) * sizeof(Oid)));

    for (int k = 0; k < target->key_count; k++)
        types[k] = get_array_type(key_column(target, k).type);
    types[target->key_count] = TIMESTAMPTZARRAYOID;
    return types;
}

/* ---- outcomes ---- */

/* Tells the rows that the target has newer, or deleted at their time, from those that change nothing. */
void mark_skipped(Target *target, Row *const *rows, int count, Datum *keys_and_time)
{
    if (target->overtaken_plan == nullptr)
        target->overtaken_plan =
            prepare(overtaken_statement(target), target->key_count + 1, key_and_time_types(target));
    plan_by_index(target->overtaken_plan);
    execute(target->overtaken_plan, keys_and_time, SPI_OK_SELECT);
    for (uint64 i = 0; i < SPI_processed; i++) {
        bool is_null;
        const int64 number =
            DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null));

        const bool is_newer =
            DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &is_null));

        if (number >= 1 && number <= count && !rows[number - 1]->is_written &&
            (is_newer || !rows[number - 1]->event->is_deletion))
            rows[number - 1]->event->outcome = Outcome::skipped;
    }
    SPI_freetuptable(SPI_tuptable);
}

int compare_datums(KeyColumn *key, Oid collation, Datum a, Datum b)
{
    return DatumGetInt32(FunctionCall2Coll(&key->compare, collation, a, b));
}

/* Takes the keys that a statement returns, and marks their rows as written. */
struct KeyReceiver {
    DestReceiver base;
    const Target *target;
    Row *const *rows; /* sorted by their keys */
    int count;
    int next; /* where the next key is looked for first */
};

/* As compare_keys(), by which the rows are sorted. */
int compare_returned_key(const Target *target, TupleTableSlot *slot, const Row *row)
{
    for (int k = 0; k < target->key_count; k++) {
        bool is_null;
        const Datum value = slot_getattr(slot, k + 1, &is_null);

        if (is_null) /* a trigger's doing: no row's key */
            return 1;
        if (target->text_key) {
            const text *key = DatumGetTextPP(value);
            return std::string_view(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)).compare(row->event->key);
        }
        const int order =
            compare_datums(&target->keys[k], key_column(target, k).collation, value, row->keys[k]);
        if (order != 0)
            return order;
    }
    return 0;
}

/* Keys come in the order of the rows, but from the servers of Citus in any order. */
bool receive_key(TupleTableSlot *slot, DestReceiver *self)
{
    auto *receiver = reinterpret_cast<KeyReceiver *>(self);
    int begin = 0;
    int end = receiver->count;
    int middle = receiver->next < end ? receiver->next : end / 2;

    while (begin < end) {
        const int order = compare_returned_key(receiver->target, slot, receiver->rows[middle]);

        if (order == 0) {
            receiver->rows[middle]->is_written = true;
            receiver->next = middle + 1;
            break;
        }
        if (order < 0)
            end = middle;
        else
            begin = middle + 1;
        middle = begin + (end - begin) / 2;
    }
    return true;
}

void ignore_start(DestReceiver *, int, TupleDesc) {}
void ignore_end(DestReceiver *) {}

/*
 * Runs a statement that returns the keys that it wrote; returns how many of the rows those are. Without SPI's
 * own table of what is returned, whose rows it compares with a count that is another one with Citus.
 */
int execute_for_keys(SPIPlanPtr plan, const Target *target, Row *const *rows, int count,
                     const Parameters &parameters, int expected)
{
    KeyReceiver receiver = {};
    SPIExecuteOptions options = {};
    int written = 0;

    receiver.base.receiveSlot = receive_key;
    receiver.base.rStartup = ignore_start;
    receiver.base.rShutdown = receiver.base.rDestroy = ignore_end;
    receiver.base.mydest = DestNone;
    receiver.target = target;
    receiver.rows = rows;
    receiver.count = count;
    options.params = makeParamList(parameters.count);
    for (int i = 0; i < parameters.count; i++)
        options.params->params[i] = {.value = parameters.arrays[i],
                                     .isnull = false,
                                     .pflags = PARAM_FLAG_CONST,
                                     .ptype = SPI_getargtypeid(plan, i)};
    options.dest = &receiver.base;
    check_result(SPI_execute_plan_extended(plan, &options), expected);
    pfree(options.params);
    for (int r = 0; r < count; r++)
        written += rows[r]->is_written;
    return written;
}

/* Writes the rows by a statement, and sets their outcomes. */
void write_rows_by(SPIPlanPtr plan, Target *target, Row *const *rows, int count, const Parameters &parameters,
                   int plain, int returning)
{
    int written;

    for (int r = 0; r < count; r++)
        rows[r]->is_written = false;
    if (returns_keys(target))
        written = execute_for_keys(plan, target, rows, count, parameters, returning);
    else {
        execute(plan, parameters.arrays, plain);
        written = static_cast<int>(SPI_processed);
    }
    for (int r = 0; r < count; r++)
        rows[r]->event->outcome = Outcome::applied;
    if (written != count)
        mark_skipped(target, rows, count, parameters.keys_and_time);
}

/* True if the row is there; then it stays until the transaction ends. */
bool lock_row(Target *target, const Parameters &parameters)
{
    if (target->lock_plan == nullptr)
        target->lock_plan = prepare(lock_statement(target), target->key_count, key_and_time_types(target));
    plan_by_index(target->lock_plan);
    execute(target->lock_plan, parameters.keys_and_time, SPI_OK_SELECT);
    const bool is_there = SPI_processed > 0;
    SPI_freetuptable(SPI_tuptable);
    return is_there;
}

} // namespace

std::string_view time_text_of(Mapping::Shape shape, std::int64_t time, char (&buffer)[32]) noexcept
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
        const int order =
            compare_datums(&target->keys[k], key_column(target, k).collation, a->keys[k], b->keys[k]);

        if (order != 0)
            return order;
    }
    return 0;
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
    const Parameters parameters = make_parameters(target, rows, count);

    write_rows_by(plan_for(target, rows[0]->event)->upsert, target, rows, count, parameters, SPI_OK_INSERT,
                  SPI_OK_INSERT_RETURNING);
    free_parameters(parameters);
}

bool update_row(Target *target, Row *row)
{
    const Parameters parameters = make_parameters(target, &row, 1);
    SavedPlan *plan = plan_for(target, row->event);
    bool is_there = false;

    if (lock_row(target, parameters)) {
        if (plan->update == nullptr)
            plan->update = prepare_for(target, row->event, update_statement);
        plan_by_index(plan->update);
        write_rows_by(plan->update, target, &row, 1, parameters, SPI_OK_UPDATE, SPI_OK_UPDATE_RETURNING);
        is_there = true;
    }
    free_parameters(parameters);
    return is_there;
}

void key_arrays(const Target *target, Row *const *rows, int count, Datum *values, Oid *types)
{
    const Oid *wanted = key_and_time_types(target);
    auto *column = static_cast<Datum *>(palloc(count * sizeof(Datum)));

    for (int k = 0; k <= target->key_count; k++) {
        for (int r = 0; r < count; r++)
            column[r] = k < target->key_count ? rows[r]->keys[k] : TimestampTzGetDatum(rows[r]->event->time);
        const TargetColumn *of = k < target->key_count ? &key_column(target, k) : &target->order;
        values[k] = PointerGetDatum(make_array(of, column, nullptr, count));
        types[k] = wanted[k];
    }
    pfree(column);
}

void skip_overtaken(Target *target, Row *const *rows, int count)
{
    auto *values = static_cast<Datum *>(palloc((target->key_count + 1) * sizeof(Datum)));
    auto *types = static_cast<Oid *>(palloc((target->key_count + 1) * sizeof(Oid)));

    for (int r = 0; r < count; r++)
        rows[r]->is_written = false;
    key_arrays(target, rows, count, values, types);
    mark_skipped(target, rows, count, values);
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
    if (target->lock_plan != nullptr)
        SPI_freeplan(target->lock_plan);
    target->overtaken_plan = target->lock_plan = nullptr;
}

} // namespace cxone_sync
