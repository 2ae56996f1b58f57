/*
 * Partial events in any order: each field of a row has a time of its own, so that the newest value of each
 * wins and the end is the same for every order and any repetition. sql/cxone_sync--2.0--3.0.sql documents the
 * functions.
 *
 * A row's field_times keeps only the times that differ from the default: the row's time for what is set (a
 * column that is not null, a member of extra that is there), never for what is not. Hence most rows need
 * none. Where extra holds what would feed a column as well, a time of the column is always kept: else nothing
 * would tell whether what it holds is the default that ADD COLUMN gave it.
 */

#include <charconv>
#include <cstring>

#include "db/pg.h"
extern "C" {
#include "utils/array.h"
#include "utils/numeric.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_field_time);
PG_FUNCTION_INFO_V1(cxone_sync_merge_field_times);
PG_FUNCTION_INFO_V1(cxone_sync_merge_extra);
PG_FUNCTION_INFO_V1(cxone_sync_extra_wins);
PG_FUNCTION_INFO_V1(cxone_sync_reset_field_times);
PG_FUNCTION_INFO_V1(cxone_sync_reset_extra);
}

namespace {

constexpr TimestampTz never = DT_NOBEGIN;
constexpr int64 unix_epoch = (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;

/* The times of a row's columns, or of the members of its extra. */
struct Times {
    JsonbContainer *entries; /* null if there are none, like every container here */
    TimestampTz row_time;
};

/* The extra of a row. */
struct Extra {
    JsonbContainer *members;
    Times times;
};

/* ---- errors ---- */

[[noreturn]] void refuse_field_times()
{
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("field_times of a row is not what cxone_sync writes"),
                    errhint("Set it to NULL: each field then has the time of its row.")));
}

[[noreturn]] void refuse_extra_of_row()
{
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("extra of a row is not a JSON object"),
                    errhint("Set it to NULL or to an object.")));
}

[[noreturn]] void refuse_extra_of_event()
{
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("extra of an event is not a JSON object")));
}

/* ---- JSON ---- */

JsonbValue string_value(const char *text, int length)
{
    JsonbValue value;

    value.type = jbvString;
    value.val.string.val = const_cast<char *>(text);
    value.val.string.len = length;
    return value;
}

JsonbValue string_of(Datum datum)
{
    auto *value = reinterpret_cast<text *>(DatumGetPointer(datum));

    return string_value(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* The value of a member, in `room`; null if there is no such member. */
JsonbValue *find(JsonbContainer *object, const JsonbValue *key, JsonbValue *room)
{
    if (object == nullptr)
        return nullptr;
    return getKeyJsonValueFromContainer(object, key->val.string.val, key->val.string.len, room);
}

bool has(JsonbContainer *object, const JsonbValue *key)
{
    JsonbValue room;

    return find(object, key, &room) != nullptr;
}

/* Calls action(key, value) for each member. */
template <typename Action> void for_each_member(JsonbContainer *object, Action action)
{
    if (object == nullptr)
        return;

    JsonbIterator *iterator = JsonbIteratorInit(object);
    JsonbValue key;
    JsonbValue value;
    JsonbIteratorNext(&iterator, &key, true); /* the object itself */
    while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY) {
        JsonbIteratorNext(&iterator, &value, true);
        action(&key, &value);
    }
}

/* An object that is null until it has a member. */
struct NewObject {
    JsonbParseState *state = nullptr;

    void put(JsonbValue *key, JsonbValue *value)
    {
        if (state == nullptr)
            pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
        pushJsonbValue(&state, WJB_KEY, key);
        pushJsonbValue(&state, WJB_VALUE, value);
    }

    JsonbValue *finish()
    {
        return state == nullptr ? nullptr : pushJsonbValue(&state, WJB_END_OBJECT, nullptr);
    }
};

const char *text_of(JsonbValue *value)
{
    return JsonbToCString(nullptr, &JsonbValueToJsonb(value)->root, 0);
}

/* An order of values that has nothing to do with time, for ties; null is the greatest, as it is for columns.
 */
bool is_greater(JsonbValue *a, JsonbValue *b)
{
    if (a->type == jbvNull || b->type == jbvNull)
        return b->type != jbvNull;
    return strcmp(text_of(a), text_of(b)) > 0;
}

/* ---- times ---- */

/* What JSON cannot hold is infinity. */
int64 to_unix(TimestampTz time)
{
    return time > PG_INT64_MAX + unix_epoch ? PG_INT64_MAX : time - unix_epoch;
}

TimestampTz from_unix(int64 unix)
{
    if (unix == PG_INT64_MAX)
        return DT_NOEND;
    if (unix < PG_INT64_MIN - unix_epoch || !IS_VALID_TIMESTAMP(unix + unix_epoch))
        refuse_field_times();
    return unix + unix_epoch;
}

TimestampTz read_time(const JsonbValue *entry)
{
    if (entry->type == jbvNull)
        return never;
    if (entry->type != jbvNumeric)
        refuse_field_times();

    const char *digits =
        DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(entry->val.numeric)));
    const char *end = digits + strlen(digits);
    int64 unix = 0;
    const std::from_chars_result result = std::from_chars(digits, end, unix);
    if (result.ec != std::errc() || result.ptr != end)
        refuse_field_times();
    return from_unix(unix);
}

TimestampTz default_time(TimestampTz row_time, bool is_set)
{
    return is_set ? row_time : never;
}

TimestampTz time_of(const Times &times, const JsonbValue *name, bool is_set)
{
    JsonbValue room;
    const JsonbValue *entry = find(times.entries, name, &room);

    return entry == nullptr ? default_time(times.row_time, is_set) : read_time(entry);
}

void put_time(NewObject *times, JsonbValue *name, TimestampTz time, bool is_set, TimestampTz row_time)
{
    if (time == default_time(row_time, is_set))
        return;

    JsonbValue entry;
    entry.type = jbvNull;
    if (time != never) {
        entry.type = jbvNumeric;
        entry.val.numeric = int64_to_numeric(to_unix(time));
    }
    times->put(name, &entry);
}

void put_times_of_members(NewObject *times, JsonbValue *name, NewObject *members)
{
    JsonbValue *value = members->finish();

    if (value != nullptr)
        times->put(name, value);
}

/* ---- arguments ---- */

JsonbContainer *object_argument(FunctionCallInfo fcinfo, int number, void (*refuse)())
{
    if (PG_ARGISNULL(number))
        return nullptr;

    Jsonb *object = PG_GETARG_JSONB_P(number);
    if (!JB_ROOT_IS_OBJECT(object))
        refuse();
    return &object->root;
}

Times times_argument(FunctionCallInfo fcinfo, int times, int row_time)
{
    return {object_argument(fcinfo, times, refuse_field_times),
            PG_ARGISNULL(row_time) ? never : PG_GETARG_TIMESTAMPTZ(row_time)};
}

/* Of an event or a deletion. */
TimestampTz event_time_argument(FunctionCallInfo fcinfo, int number)
{
    if (PG_ARGISNULL(number) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(number)))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("time of an event is not finite")));
    return PG_GETARG_TIMESTAMPTZ(number);
}

/* The entries for the members of extra. Where extra is a plain column its time is in their place. */
JsonbContainer *entries_of_members(JsonbContainer *entries, const JsonbValue *name, bool extra_is_plain)
{
    JsonbValue room;
    const JsonbValue *entry = find(entries, name, &room);

    if (entry == nullptr)
        return nullptr;
    if (entry->type == jbvBinary && JsonContainerIsObject(entry->val.binary.data))
        return entry->val.binary.data;
    if (!extra_is_plain)
        refuse_field_times();
    return nullptr;
}

JsonbValue name_argument(FunctionCallInfo fcinfo, int number)
{
    if (PG_ARGISNULL(number))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("name of extra is missing")));
    return string_of(PointerGetDatum(PG_GETARG_TEXT_PP(number)));
}

Extra extra_argument(FunctionCallInfo fcinfo, int number, const JsonbValue *name, const Times &times,
                     bool may_be_plain)
{
    JsonbContainer *members = object_argument(fcinfo, number, refuse_extra_of_row);

    return {members,
            {entries_of_members(times.entries, name, may_be_plain && members == nullptr), times.row_time}};
}

ArrayType *array_argument(FunctionCallInfo fcinfo, int number, bool nulls_allowed)
{
    if (PG_ARGISNULL(number))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("names or nulls are missing")));

    ArrayType *array = PG_GETARG_ARRAYTYPE_P(number);
    if (!nulls_allowed && array_contains_nulls(array))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("names or nulls contain a null")));
    return array;
}

int count_of(ArrayType *array)
{
    return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

/* What is said of each column of a row. */
struct Columns {
    ArrayType *names;
    ArrayType *nulls;
    ArrayType *new_nulls;
    ArrayType *shadowed; /* null: none is */
};

/* Three arguments, from the `first` on, and perhaps a fourth one at `shadowed`. */
Columns columns_argument(FunctionCallInfo fcinfo, int first, bool new_nulls_have_nulls, int shadowed)
{
    const Columns columns = {array_argument(fcinfo, first, false), array_argument(fcinfo, first + 1, false),
                             array_argument(fcinfo, first + 2, new_nulls_have_nulls),
                             PG_ARGISNULL(shadowed) ? nullptr : array_argument(fcinfo, shadowed, false)};

    if (count_of(columns.names) != count_of(columns.nulls) ||
        count_of(columns.names) != count_of(columns.new_nulls) ||
        (columns.shadowed != nullptr && count_of(columns.names) != count_of(columns.shadowed)))
        ereport(ERROR,
                (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("names and nulls differ in their number")));
    return columns;
}

/*
 * Calls action(name, is_null, new_is_null, is_shadowed), where new_is_null is null if the event does not
 * carry the column, and a shadowed one is one whose value extra holds members for as well.
 */
template <typename Action> void for_each_column(const Columns &columns, Action action)
{
    Datum *names;
    Datum *nulls;
    Datum *new_nulls;
    Datum *shadowed = nullptr;
    bool *absent;
    int count;

    deconstruct_array(columns.names, TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr, &count);
    deconstruct_array(columns.nulls, BOOLOID, 1, true, TYPALIGN_CHAR, &nulls, nullptr, &count);
    deconstruct_array(columns.new_nulls, BOOLOID, 1, true, TYPALIGN_CHAR, &new_nulls, &absent, &count);
    if (columns.shadowed != nullptr)
        deconstruct_array(columns.shadowed, BOOLOID, 1, true, TYPALIGN_CHAR, &shadowed, nullptr, &count);
    for (int i = 0; i < count; i++) {
        JsonbValue key = string_of(names[i]);
        const bool new_null = DatumGetBool(new_nulls[i]);

        action(&key, DatumGetBool(nulls[i]), absent[i] ? nullptr : &new_null,
               shadowed != nullptr && DatumGetBool(shadowed[i]));
    }
}

/* The times of columns that no event writes stay, for they may be written again. */
void put_kept_times(NewObject *times, FunctionCallInfo fcinfo, int number, const Times &old)
{
    Datum *names;
    int count;

    if (PG_ARGISNULL(number) || old.entries == nullptr)
        return;
    deconstruct_array(array_argument(fcinfo, number, false), TEXTOID, -1, false, TYPALIGN_INT, &names,
                      nullptr, &count);
    for (int i = 0; i < count; i++) {
        JsonbValue name = string_of(names[i]);
        JsonbValue room;
        JsonbValue *entry = find(old.entries, &name, &room);

        if (entry != nullptr)
            times->put(&name, entry);
    }
}

/* ---- the end of an event ---- */

/* True if an event that is later than the row leaves each field with the row's time. */
bool carries_all(const Columns &columns)
{
    return !ARR_HASNULL(columns.new_nulls) &&
           memchr(ARR_DATA_PTR(columns.new_nulls), true, count_of(columns.new_nulls)) == nullptr;
}

void put_merged_columns(NewObject *times, const Columns &columns, const Times &old, TimestampTz event_time,
                        TimestampTz row_time)
{
    for_each_column(columns, [&](JsonbValue *name, bool is_null, const bool *new_is_null, bool is_shadowed) {
        TimestampTz time = time_of(old, name, !is_null);

        if (new_is_null != nullptr && event_time >= time) {
            is_null = *new_is_null || (is_null && event_time == time);
            time = event_time;
        }
        put_time(times, name, time, !is_null && !is_shadowed, row_time);
    });
}

bool member_wins(const Extra &row, const JsonbValue *key, JsonbValue *value, TimestampTz event_time)
{
    JsonbValue room;
    JsonbValue *old = find(row.members, key, &room);
    const TimestampTz time = time_of(row.times, key, old != nullptr);

    if (event_time != time)
        return event_time > time;
    return old == nullptr || is_greater(value, old);
}

/* Members that are in the row, in the event, or have been in the row. */
void put_merged_members(NewObject *times, const Extra &row, JsonbContainer *event, TimestampTz event_time,
                        TimestampTz row_time)
{
    const auto put = [&](JsonbValue *key, bool is_old) {
        TimestampTz time = time_of(row.times, key, is_old);
        bool is_set = is_old;

        if (event_time >= time && has(event, key)) {
            is_set = true;
            time = event_time;
        }
        put_time(times, key, time, is_set, row_time);
    };

    for_each_member(row.members, [&](JsonbValue *key, JsonbValue *) { put(key, true); });
    for_each_member(event, [&](JsonbValue *key, JsonbValue *) {
        if (!has(row.members, key))
            put(key, false);
    });
    for_each_member(row.times.entries, [&](JsonbValue *key, JsonbValue *) {
        if (!has(row.members, key) && !has(event, key))
            put(key, false);
    });
}

/* ---- the end of a deletion that comes after newer fields ---- */

void put_reset_columns(NewObject *times, const Columns &columns, const Times &old, TimestampTz deleted_time)
{
    for_each_column(columns,
                    [&](JsonbValue *name, bool is_null, const bool *default_is_null, bool is_shadowed) {
                        const TimestampTz time = time_of(old, name, !is_null);

                        if (time > deleted_time)
                            put_time(times, name, time, !is_null && !is_shadowed, old.row_time);
                        else
                            put_time(times, name, never, !*default_is_null, old.row_time);
                    });
}

void put_reset_members(NewObject *times, const Extra &row, TimestampTz deleted_time)
{
    const auto put = [&](JsonbValue *key, bool is_set) {
        const TimestampTz time = time_of(row.times, key, is_set);

        if (time > deleted_time)
            put_time(times, key, time, is_set, row.times.row_time);
    };

    for_each_member(row.members, [&](JsonbValue *key, JsonbValue *) { put(key, true); });
    for_each_member(row.times.entries, [&](JsonbValue *key, JsonbValue *) {
        if (!has(row.members, key))
            put(key, false);
    });
}

Datum result_of(FunctionCallInfo fcinfo, NewObject *object)
{
    JsonbValue *value = object->finish();

    if (value == nullptr)
        PG_RETURN_NULL();
    PG_RETURN_JSONB_P(JsonbValueToJsonb(value));
}

} // namespace

Datum cxone_sync_field_time(PG_FUNCTION_ARGS)
{
    if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
        PG_RETURN_NULL();

    const Times times = times_argument(fcinfo, 0, 3);
    const bool is_set = !PG_GETARG_BOOL(2);
    if (times.entries == nullptr)
        PG_RETURN_TIMESTAMPTZ(default_time(times.row_time, is_set));

    const JsonbValue key = string_of(PointerGetDatum(PG_GETARG_TEXT_PP(1)));
    PG_RETURN_TIMESTAMPTZ(time_of(times, &key, is_set));
}

Datum cxone_sync_merge_field_times(PG_FUNCTION_ARGS)
{
    const Times old = times_argument(fcinfo, 0, 1);
    const TimestampTz event_time = event_time_argument(fcinfo, 2);
    const Columns columns = columns_argument(fcinfo, 3, true, 10);
    const bool has_extra = !PG_ARGISNULL(6) || !PG_ARGISNULL(7);

    if (old.entries == nullptr && event_time > old.row_time && !has_extra && carries_all(columns))
        PG_RETURN_NULL();

    JsonbContainer *new_extra = object_argument(fcinfo, 7, refuse_extra_of_event);
    JsonbValue name_of_extra = name_argument(fcinfo, 9);
    const Extra extra = extra_argument(fcinfo, 6, &name_of_extra, old, new_extra == nullptr);
    const TimestampTz row_time = Max(old.row_time, event_time);
    NewObject times;
    NewObject members;

    put_merged_columns(&times, columns, old, event_time, row_time);
    put_kept_times(&times, fcinfo, 8, old);
    put_merged_members(&members, extra, new_extra, event_time, row_time);
    put_times_of_members(&times, &name_of_extra, &members);
    return result_of(fcinfo, &times);
}

Datum cxone_sync_merge_extra(PG_FUNCTION_ARGS)
{
    JsonbContainer *new_extra = object_argument(fcinfo, 1, refuse_extra_of_event);
    const JsonbValue name = name_argument(fcinfo, 5);
    const Extra extra = extra_argument(fcinfo, 0, &name, times_argument(fcinfo, 2, 3), false);
    const TimestampTz event_time = event_time_argument(fcinfo, 4);
    NewObject winners;

    for_each_member(new_extra, [&](JsonbValue *key, JsonbValue *value) {
        if (member_wins(extra, key, value, event_time))
            winners.put(key, value);
    });
    if (extra.members == nullptr)
        return result_of(fcinfo, &winners);
    if (winners.state == nullptr)
        PG_RETURN_DATUM(PG_GETARG_DATUM(0));
    return DirectFunctionCall2(jsonb_concat, PG_GETARG_DATUM(0),
                               JsonbPGetDatum(JsonbValueToJsonb(winners.finish())));
}

Datum cxone_sync_extra_wins(PG_FUNCTION_ARGS)
{
    JsonbContainer *new_extra = object_argument(fcinfo, 1, refuse_extra_of_event);
    const JsonbValue name = name_argument(fcinfo, 5);
    const Extra extra = extra_argument(fcinfo, 0, &name, times_argument(fcinfo, 2, 3), false);
    const TimestampTz event_time = event_time_argument(fcinfo, 4);
    bool wins = false;

    for_each_member(new_extra, [&](JsonbValue *key, JsonbValue *value) {
        wins = wins || member_wins(extra, key, value, event_time);
    });
    PG_RETURN_BOOL(wins);
}

Datum cxone_sync_reset_field_times(PG_FUNCTION_ARGS)
{
    const Times old = times_argument(fcinfo, 0, 1);
    const TimestampTz deleted_time = event_time_argument(fcinfo, 2);
    const Columns columns = columns_argument(fcinfo, 3, false, 9);
    JsonbValue name_of_extra = name_argument(fcinfo, 8);
    const Extra extra = extra_argument(fcinfo, 6, &name_of_extra, old, true);
    NewObject times;
    NewObject members;

    put_reset_columns(&times, columns, old, deleted_time);
    put_kept_times(&times, fcinfo, 7, old);
    put_reset_members(&members, extra, deleted_time);
    put_times_of_members(&times, &name_of_extra, &members);
    return result_of(fcinfo, &times);
}

Datum cxone_sync_reset_extra(PG_FUNCTION_ARGS)
{
    const JsonbValue name = name_argument(fcinfo, 4);
    const Extra extra = extra_argument(fcinfo, 0, &name, times_argument(fcinfo, 1, 2), false);
    const TimestampTz deleted_time = event_time_argument(fcinfo, 3);
    NewObject left;

    for_each_member(extra.members, [&](JsonbValue *key, JsonbValue *value) {
        if (time_of(extra.times, key, true) > deleted_time)
            left.put(key, value);
    });
    return result_of(fcinfo, &left);
}
