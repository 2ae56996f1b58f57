#include "core/delivery.h"
#include "core/json_text.h"

#include "db/errors.h"
#include "db/guard.h"
#include "db/insert_triggers.h"
#include "db/text.h"
extern "C" {
#include "commands/trigger.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
}

namespace cxone_sync {

namespace {

/* What a new row gets where the event carries nothing; a number of a sequence is not drawn for a question. */
void put_default(Relation relation, EState *state, TupleTableSlot *slot, int column)
{
    const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column);

    slot->tts_isnull[column] = true;
    if (attribute->attisdropped || attribute->attgenerated != '\0')
        return;
    Node *expression = build_column_default(relation, column + 1);
    if (expression == nullptr || contain_volatile_functions(expression))
        return;
    ExprState *ready = ExecPrepareExpr(reinterpret_cast<Expr *>(expression), state);
    slot->tts_values[column] = ExecEvalExpr(ready, GetPerTupleExprContext(state), &slot->tts_isnull[column]);
}

/* The row that an INSERT would propose for the event, or for its key. */
void propose_row(const Target *target, const Row *row, bool only_key, Relation relation, EState *state,
                 TupleTableSlot *slot)
{
    const Event *event = row->event;

    ExecClearTuple(slot);
    for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
        put_default(relation, state, slot, i);
    for (int i = 0; i < event->field_count; i++) {
        const TargetColumn *column = &target->columns[event->fields[i].column];

        if (column->cast_in_statement || (only_key && !is_key(target, column)))
            continue;
        slot->tts_values[column->number - 1] = row->values[i];
        slot->tts_isnull[column->number - 1] = event->fields[i].is_null;
    }
    slot->tts_values[target->order.number - 1] = TimestampTzGetDatum(event->time);
    slot->tts_isnull[target->order.number - 1] = false;
    ExecStoreVirtualTuple(slot);
}

/* Copies the key of the row that the triggers made; false if it has none. */
bool copy_keys(const Target *target, TupleTableSlot *slot, Datum *keys)
{
    for (int k = 0; k < target->key_count; k++) {
        const TargetColumn *column = &key_column(target, k);
        bool is_null;
        const Datum value = slot_getattr(slot, column->number, &is_null);

        if (is_null)
            return false;
        keys[k] = datumCopy(value, column->by_value, column->length);
    }
    return true;
}

bool ask_triggers(const Target *target, const Row *row, bool only_key, Datum *keys)
{
    MemoryContext caller_context = CurrentMemoryContext;
    Relation relation = table_open(target->config.relation, NoLock);
    EState *state = CreateExecutorState();
    ResultRelInfo *result = makeNode(ResultRelInfo);
    TupleTableSlot *slot = table_slot_create(relation, nullptr);

    InitResultRelInfo(result, relation, 0, nullptr, 0);
    propose_row(target, row, only_key, relation, state, slot);
    const bool goes_on = ExecBRInsertTriggers(state, result, slot);
    MemoryContextSwitchTo(caller_context);
    const bool has_keys = goes_on && copy_keys(target, slot, keys);
    ExecDropSingleTupleTableSlot(slot);
    FreeExecutorState(state);
    table_close(relation, NoLock);
    return has_keys;
}

bool is_other_key(const Target *target, const Row *row, const Datum *keys)
{
    for (int k = 0; k < target->key_count; k++) {
        if (compare_in_key(target, k, row->keys[k], keys[k]) != 0)
            return true;
    }
    return false;
}

/* The text of the key stands in the event as well. */
void set_key_text(Row *row)
{
    const char *key = TextDatumGetCString(row->keys[0]);

    call_cpp([row, key] { row->event->key = arena_copy(row->delivery->arena, key); });
}

void set_keys(const Target *target, Row *row, Datum *keys)
{
    const int count = row->event->field_count + 1;
    auto *values = static_cast<Datum *>(palloc(count * sizeof(Datum)));

    memcpy(values, row->values, count * sizeof(Datum));
    for (int k = 0; k < target->key_count; k++) {
        for (int i = 0; i < row->event->field_count; i++) {
            if (row->event->fields[i].column == target->keys[k].column)
                values[i] = keys[k];
        }
    }
    row->keys = keys;
    row->values = values;
    if (target->text_key)
        set_key_text(row);
}

} // namespace

bool take_key_from_triggers(Target *target, Row *row)
{
    auto *keys = static_cast<Datum *>(palloc(target->key_count * sizeof(Datum)));
    bool has_keys = false;

    /* one that refuses the event's values may still tell what becomes of its key */
    for (const bool only_key : {false, true}) {
        PgError error;

        (void)in_any_subtransaction(CurrentMemoryContext, error, [target, row, only_key, keys, &has_keys] {
            has_keys = ask_triggers(target, row, only_key, keys);
            return false;
        });
        if (is_transient(error.sqlerrcode))
            raise(error);
        if (has_keys)
            break;
    }
    if (!has_keys || !is_other_key(target, row, keys))
        return false;
    set_keys(target, row, keys);
    return true;
}

} // namespace cxone_sync
