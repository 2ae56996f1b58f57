/* The procedure fill_from_extra() and the function that it works with; the extension's script documents both.
 */

#include "core/json_pointer.h"
#include "core/parser.h"
#include "db/settings.h"

#include <climits>

#include "db/catalog.h"
#include "db/deferred.h"
#include "db/held_delivery.h"
#include "db/identity.h"
#include "db/statements.h"
#include "db/text.h"
#include "db/upsert.h"
extern "C" {
#include "tcop/pquery.h"
#include "utils/datum.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_value_from_extra);
PG_FUNCTION_INFO_V1(cxone_sync_fill_from_extra);
}

using namespace cxone_sync;

namespace {

/* Of a table that the caller owns: what is wrong with it, or what becomes of values, is its owner's affair.
 */
Target *require_target_with_extra(const char *name)
{
    Target *target = require_target(name);

    check_caller_owns(target->config.relation);
    check_usable(target);
    if (target->extra < 0)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                        errmsg("table %s has no column \"extra\" of type jsonb", target->table),
                        errhint("There is nothing to fill a column from.")));
    return target;
}

int require_column(const Target *target, const char *name)
{
    for (int i = 0; i < target->column_count; i++) {
        if (strcmp(NameStr(target->columns[i].name), name) == 0 && i != target->extra && i != target->mark)
            return i;
    }
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_COLUMN),
             errmsg("target \"%s\" has no column \"%s\" that events write", target->config.name, name)));
}

/* Maps the members anew for this column alone; the event of the delivery holds what came of it. */
Delivery *map_members(const Target *target, int column, const char *members)
{
    Delivery *delivery = make_delivery("");

    call_cpp([delivery, target, column, members] {
        static std::shared_ptr<const Mapping> catalog_mapping;
        static std::shared_ptr<const Mapping> mapping;
        static const Target *mapped_target;
        static int mapped_column;
        ParseLimits limits = settings::parse_limits();

        if (catalog_mapping != current_mapping() || mapped_target != target || mapped_column != column) {
            mapping = mapping_of_column(target, column);
            catalog_mapping = current_mapping();
            mapped_target = target;
            mapped_column = column;
        }
        delivery->body = json_at_pointer(target->config.root_path, members);
        limits.envelope = {.path = {}, .is_event = true};
        limits.max_depth = UINT_MAX;
        (void)parse_delivery(*delivery, mapping, limits);
    });
    return delivery;
}

const Field *field_of(const Event &event, int column)
{
    for (int i = 0; i < event.field_count; i++) {
        if (event.fields[i].column == column)
            return &event.fields[i];
    }
    return nullptr;
}

/* ---- page by page ---- */

/* A call of fill_from_extra(); it outlives the transactions that it commits. */
struct Fill {
    MemoryContext context;
    const char *target;
    const char *column;
    int page_size;
    int64 filled;
    int64 failed;
    MemoryContext page_context; /* of one try of a page */
    MemoryContext key_context;
    Datum *last_key; /* null: there is no page before */
    Oid *key_types;
    int key_count;
};

struct PageResult {
    int64 rows; /* 0: there are no more */
    int64 filled;
};

void keep_last_key(Fill *fill, const Target *target, HeapTuple tuple, TupleDesc description)
{
    MemoryContextReset(fill->key_context);
    MemoryContext caller_context = MemoryContextSwitchTo(fill->key_context);

    fill->last_key = static_cast<Datum *>(palloc(target->key_count * sizeof(Datum)));
    fill->key_types = static_cast<Oid *>(palloc(target->key_count * sizeof(Oid)));
    fill->key_count = target->key_count;
    for (int k = 0; k < target->key_count; k++) {
        Form_pg_attribute attribute = TupleDescAttr(description, k + 2);
        bool is_null;
        Datum value = SPI_getbinval(tuple, description, k + 3, &is_null);

        fill->key_types[k] = key_column(target, k).type;
        fill->last_key[k] = datumCopy(value, attribute->attbyval, attribute->attlen);
    }
    MemoryContextSwitchTo(caller_context);
}

/* Runs a statement of statements.h for the next rows, as the table's owner. */
void run_for_page(Fill *fill, const Target *target, const char *statement, int rows, PageResult *page)
{
    const int count = fill_parameters + (fill->last_key ? target->key_count : 0);
    auto *types = static_cast<Oid *>(palloc(count * sizeof(Oid)));
    auto *values = static_cast<Datum *>(palloc(count * sizeof(Datum)));
    bool is_null;

    types[0] = types[1] = TEXTOID;
    types[2] = INT4OID;
    values[0] = CStringGetTextDatum(fill->target);
    values[1] = CStringGetTextDatum(fill->column);
    values[2] = Int32GetDatum(rows);
    for (int k = 0; k < count - fill_parameters; k++) {
        types[fill_parameters + k] = fill->key_types[k];
        values[fill_parameters + k] = fill->last_key[k];
    }
    if (SPI_execute_with_args(statement, count, types, values, nullptr, false, 0) != SPI_OK_SELECT)
        elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(SPI_result));
    *page = {};
    if (SPI_processed == 0)
        return; /* that was the last page */
    HeapTuple tuple = SPI_tuptable->vals[0];
    page->rows = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &is_null));
    page->filled = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &is_null));
    keep_last_key(fill, target, tuple, SPI_tuptable->tupdesc);
    SPI_freetuptable(SPI_tuptable); /* it would stay until SPI_finish() */
}

/* The table may be altered between two pages. */
void check_same_key(const Fill *fill, const Target *target)
{
    bool is_same = fill->last_key == nullptr || fill->key_count == target->key_count;

    for (int k = 0; is_same && fill->last_key != nullptr && k < target->key_count; k++)
        is_same = fill->key_types[k] == key_column(target, k).type;
    if (!is_same)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the key of target \"%s\" has changed", fill->target),
                        errhint("Call fill_from_extra() once more.")));
}

/* In page_context. `rows` 0: passes by the next row. */
void fill_page(Fill *fill, int rows, PageResult *page)
{
    Target *target = require_target_with_extra(fill->target);
    const int column = require_column(target, fill->column);

    check_same_key(fill, target);
    check_constraints_at_once();
    const SavedIdentity saved = as_owner(target->owner);
    (void)pin_text_forms();
    const bool goes_on = fill->last_key != nullptr;
    const char *statement =
        rows > 0 ? fill_statement(target, column, goes_on) : pass_statement(target, goes_on);
    run_for_page(fill, target, statement, Max(rows, 1), page);
    back_to(saved);
}

/* Fills a page of at most `rows`, or as few as there are before one at fault, which is passed by. */
void fill_what_can_be(Fill *fill, int *rows, PageResult *page)
{
    for (;;) {
        PgError error;
        const int wanted = *rows;

        MemoryContextReset(fill->page_context);
        if (in_any_subtransaction(fill->page_context, error, [fill, wanted, page] {
                apart_from_session([fill, wanted, page] { fill_page(fill, wanted, page); });
            })) {
            *rows = static_cast<int>(Min(int64{wanted} * 2, int64{fill->page_size}));
            return;
        }
        if (!is_fault_of_value(error.sqlerrcode))
            raise(error);
        if (wanted > 1) {
            *rows = wanted / 2;
            continue;
        }
        ereport(WARNING, (errcode(error.sqlerrcode), errmsg("a value stays in extra: %s", error.message)));
        fill->failed++;
        apart_from_session([fill, page] { fill_page(fill, 0, page); });
        return;
    }
}

/* What a procedure may do between its statements. */
void commit_page()
{
    SPI_commit();
    SPI_start_transaction(); /* does nothing since PostgreSQL 15 */
    EnsurePortalSnapshotExists();
}

void check_no_transaction_block(FunctionCallInfo fcinfo)
{
    const auto *call = reinterpret_cast<CallContext *>(fcinfo->context);

    if (call == nullptr || !IsA(call, CallContext) || call->atomic)
        ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
                        errmsg("fill_from_extra() cannot run in a transaction block"),
                        errhint("It commits after each batch: CALL it by itself.")));
}

Fill *begin_fill(FunctionCallInfo fcinfo)
{
    static const char *const names[] = {"target", "column_name", "batch_size"};

    for (int i = 0; i < 3; i++) {
        if (PG_ARGISNULL(i))
            ereport(ERROR,
                    (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("\"%s\" must not be null", names[i])));
    }
    auto *fill = static_cast<Fill *>(palloc0(sizeof(Fill)));
    fill->context = CurrentMemoryContext;
    fill->page_context = AllocSetContextCreate(fill->context, "cxone_sync page", ALLOCSET_DEFAULT_SIZES);
    fill->key_context = AllocSetContextCreate(fill->context, "cxone_sync last key", ALLOCSET_SMALL_SIZES);
    fill->target = text_to_cstring(PG_GETARG_TEXT_PP(0));
    fill->column = text_to_cstring(PG_GETARG_TEXT_PP(1));
    fill->page_size = PG_GETARG_INT32(2);
    if (fill->page_size < 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("batch_size must be at least 1")));
    return fill;
}

} // namespace

Datum cxone_sync_fill_from_extra(PG_FUNCTION_ARGS)
{
    check_no_transaction_block(fcinfo);
    if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    /* in SPI's memory context, which is there until SPI_finish() */
    Fill *fill = begin_fill(fcinfo);
    int rows = fill->page_size;
    PageResult page = {};

    for (;;) {
        fill_what_can_be(fill, &rows, &page);
        MemoryContextSwitchTo(fill->context);
        MemoryContextReset(fill->page_context);
        if (page.rows == 0)
            break;
        fill->filled += page.filled;
        commit_page();
        ereport(NOTICE, (errmsg("%lld rows filled, %lld left as they were",
                                static_cast<long long>(fill->filled), static_cast<long long>(fill->failed))));
    }
    SPI_finish();
    PG_RETURN_VOID();
}

/* PUBLIC may call it, as owners of tables have to. Also takes what the column refuses: that raises the
 * column's own error. */
Datum cxone_sync_value_from_extra(PG_FUNCTION_ARGS)
{
    Target *target = require_target_with_extra(text_to_cstring(PG_GETARG_TEXT_PP(0)));
    const int column = require_column(target, text_to_cstring(PG_GETARG_TEXT_PP(1)));
    Jsonb *extra = PG_GETARG_JSONB_P(2);
    TupleDesc row;

    if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    const Delivery *delivery =
        map_members(target, column, JsonbToCString(nullptr, &extra->root, VARSIZE(extra)));
    if (delivery->events.empty())
        elog(ERROR, "the members of a row could not be read");
    const Event &event = delivery->events[0];
    if (event.refusal.sqlstate != nullptr)
        ereport(ERROR, (errcode(MAKE_SQLSTATE(event.refusal.sqlstate[0], event.refusal.sqlstate[1],
                                              event.refusal.sqlstate[2], event.refusal.sqlstate[3],
                                              event.refusal.sqlstate[4])),
                        errmsg("%.*s", static_cast<int>(event.refusal.message.size()),
                               event.refusal.message.data())));
    const Field *field = field_of(event, column);
    const Field *rest = field_of(event, target->extra);
    char *value = nullptr;
    apart_from_session([target, column, field, &value] {
        const SavedIdentity saved = as_owner(target->owner);
        value = field != nullptr ? value_text(&target->columns[column], *field) : nullptr;
        back_to(saved);
    });
    Datum values[] = {BoolGetDatum(field != nullptr), value != nullptr ? CStringGetTextDatum(value) : 0, 0};
    bool nulls[] = {false, value == nullptr, rest == nullptr};

    if (rest != nullptr)
        values[2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(c_string(rest->text)));
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls));
}
