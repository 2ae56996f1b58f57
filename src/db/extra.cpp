/* The SQL function behind fill_from_extra(); the extension's script documents it. */

#include "core/json_pointer.h"
#include "core/parser.h"
#include "db/settings.h"

#include "db/catalog.h"
#include "db/held_delivery.h"
#include "db/upsert.h"

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_value_from_extra);
}

using namespace cxone_sync;

namespace {

Target *require_usable_target(const char *name)
{
    watch_catalog();
    (void)open_catalog();
    Target *target = find_target(name);

    if (target == nullptr)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("target \"%s\" does not exist", name),
                        errhint("SELECT name FROM cxone_sync.targets shows those that do.")));
    if (target->problem.sqlerrcode != 0)
        ereport(ERROR, (errcode(target->problem.sqlerrcode), errmsg("%s", target->problem.message),
                        errhint("%s", target->problem.hint)));
    if (target->is_locked)
        ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                        errmsg("the table of target \"%s\" is locked", name), errhint("Try again later.")));
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

} // namespace

/* Also takes what the column refuses: that raises the column's own error. */
Datum cxone_sync_value_from_extra(PG_FUNCTION_ARGS)
{
    Target *target = require_usable_target(text_to_cstring(PG_GETARG_TEXT_PP(0)));
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
    char *value = field != nullptr ? value_text(&target->columns[column], *field) : nullptr;
    Datum values[] = {BoolGetDatum(field != nullptr), value != nullptr ? CStringGetTextDatum(value) : 0, 0};
    bool nulls[] = {false, value == nullptr, rest == nullptr};

    if (rest != nullptr)
        values[2] =
            DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(rest->text.data(), rest->text.size())));
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls));
}
