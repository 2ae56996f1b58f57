/* The SQL functions that say which events go where; the extension's script documents each. */

#include "core/mapping.h"
#include "core/monitoring.h"

#include <algorithm>

#include "db/catalog.h"
#include "db/extension.h"
#include "db/near_miss.h"
#include "db/output_row.h"
#include "db/shared_state.h"
#include "db/spi.h"
extern "C" {
#include "commands/trigger.h"
#include "utils/array.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_add_target);
PG_FUNCTION_INFO_V1(cxone_sync_change_target);
PG_FUNCTION_INFO_V1(cxone_sync_remove_target);
PG_FUNCTION_INFO_V1(cxone_sync_map_field);
PG_FUNCTION_INFO_V1(cxone_sync_unmap_field);
PG_FUNCTION_INFO_V1(cxone_sync_config_changed);
PG_FUNCTION_INFO_V1(cxone_sync_target_states);
}

using namespace cxone_sync;

namespace {

/* name, relation, key_columns, order_column, event_types, root_path, type_path, delete_types, mark_column,
 * kept_columns: in the order of the functions' parameters */
constexpr int most_arguments = 10;

constexpr const char *add_statement =
    "INSERT INTO cxone_sync.target_config (name, relation, key_columns, order_column, event_types, "
    "root_path, type_path, delete_types, mark_column, kept_columns, relation_name) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $2::text)";
/* null keeps what is set; what is empty clears what may be null */
constexpr const char *change_statement =
    "UPDATE cxone_sync.target_config AS c SET relation = coalesce($2, c.relation), "
    "key_columns = coalesce($3, c.key_columns), order_column = coalesce($4, c.order_column), "
    "event_types = nullif(coalesce($5, c.event_types), '{}'), root_path = coalesce($6, c.root_path), "
    "type_path = coalesce($7, c.type_path), delete_types = nullif(coalesce($8, c.delete_types), '{}'), "
    "mark_column = nullif(coalesce($9, c.mark_column), ''), kept_columns = coalesce($10, c.kept_columns), "
    "relation_name = coalesce($2::text, c.relation_name) WHERE c.name = $1";
/* in the order of the parameters, as people read it */
constexpr const char *show_query =
    "SELECT v.parameter, v.value FROM cxone_sync.target_config AS c, LATERAL (VALUES "
    "('relation', c.relation::text), ('key_columns', c.key_columns::text), ('order_column', c.order_column), "
    "('event_types', coalesce(c.event_types::text, 'all')), "
    "('root_path', coalesce(nullif(c.root_path, ''), 'empty')), "
    "('type_path', coalesce(nullif(c.type_path, ''), 'empty')), "
    "('delete_types', coalesce(c.delete_types::text, 'none')), "
    "('mark_column', coalesce(c.mark_column, 'none')), "
    "('kept_columns', coalesce(nullif(c.kept_columns::text, '{}'), 'none'))) AS v (parameter, value) "
    "WHERE c.name = $1";
constexpr const char *remove_statement = "DELETE FROM cxone_sync.target_config WHERE name = $1";
constexpr const char *remove_map_statement = "DELETE FROM cxone_sync.field_map WHERE target = $1";
constexpr const char *map_statement =
    "INSERT INTO cxone_sync.field_map (target, column_name, paths) VALUES ($1, $2, $3) "
    "ON CONFLICT (target, column_name) DO UPDATE SET paths = excluded.paths";
constexpr const char *unmap_statement =
    "DELETE FROM cxone_sync.field_map WHERE target = $1 AND column_name = $2";

/* The arguments of a call as parameters of a statement. */
struct Arguments {
    int count;
    Datum values[most_arguments];
    char nulls[most_arguments];
    Oid types[most_arguments];
};

Arguments arguments_of(FunctionCallInfo fcinfo)
{
    Arguments arguments = {};

    arguments.count = PG_NARGS();
    for (int i = 0; i < arguments.count; i++) {
        arguments.values[i] = PG_GETARG_DATUM(i);
        arguments.nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
        arguments.types[i] = get_fn_expr_argtype(fcinfo->flinfo, i);
        /* a literal without a type */
        if (arguments.types[i] == UNKNOWNOID)
            arguments.types[i] = TEXTOID;
    }
    return arguments;
}

/* How many rows of the configuration a statement has changed. */
uint64 change_configuration(const char *statement, Arguments *arguments)
{
    return execute_as_owner("target_config", statement, arguments->count, arguments->types, arguments->values,
                            arguments->nulls);
}

Target *require_own_target(const char *name)
{
    Target *target = require_target(name);

    check_caller_owns(target->config.relation);
    return target;
}

/* ---- what is refused of the arguments, whatever the table is like ---- */

[[noreturn]] void refuse_argument(const char *message, const char *hint)
{
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message), errhint("%s", hint)));
}

struct Parameter {
    const char *name;
    bool may_be_null;
    bool is_array;
    const char *if_empty; /* what to do instead; null: it may be empty */
};

constexpr Parameter target_parameters[] = {
    {.name = "name", .if_empty = "Give the target a name."},
    {.name = "relation"},
    {.name = "key_columns",
     .is_array = true,
     .if_empty = "Name the columns of the table's primary key, or of a unique constraint."},
    {.name = "order_column"},
    {.name = "event_types", .may_be_null = true, .is_array = true, .if_empty = "Leave it out for all types."},
    {.name = "root_path"},
    {.name = "type_path"},
    {.name = "delete_types", .may_be_null = true, .is_array = true, .if_empty = "Leave it out for none."},
    {.name = "mark_column", .may_be_null = true},
    {.name = "kept_columns", .is_array = true}};

/* unmap_field() has the first two */
constexpr Parameter map_parameters[] = {
    {.name = "target"},
    {.name = "column_name", .if_empty = "Name a column of the target's table."},
    {.name = "paths",
     .is_array = true,
     .if_empty = "Name a JSON pointer, or run cxone_sync.unmap_field() for the key of the column's name."}};

void check_elements(const Parameter &parameter, ArrayType *array)
{
    Datum *elements;
    bool *nulls;
    int count;

    if (ARR_NDIM(array) > 1)
        refuse_argument(psprintf("\"%s\" must be a one-dimensional array", parameter.name),
                        "Write it as '{first,second}'.");
    deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
    auto *texts = static_cast<char **>(palloc(count * sizeof(char *)));
    for (int i = 0; i < count; i++) {
        if (nulls[i])
            refuse_argument(psprintf("\"%s\" must not contain nulls", parameter.name),
                            "Leave them out, or write \"NULL\" with quotes if that is meant.");
        texts[i] = TextDatumGetCString(elements[i]);
    }
    std::sort(texts, texts + count, [](const char *a, const char *b) { return strcmp(a, b) < 0; });
    for (int i = 1; i < count; i++) {
        if (strcmp(texts[i - 1], texts[i]) == 0)
            refuse_argument(psprintf("\"%s\" has \"%s\" more than once", parameter.name, texts[i]),
                            "Leave the others out.");
    }
}

/*
 * The one rule for the arguments of all these functions, by their place. Of those for a target that is there,
 * which the first one names, null keeps what is set, and what is empty clears what may be null.
 */
void check_arguments(FunctionCallInfo fcinfo, const Parameter *parameters, bool of_present = false)
{
    for (int i = 0; i < PG_NARGS(); i++) {
        const Parameter &parameter = parameters[i];
        const bool may_be_null = of_present ? i > 0 : parameter.may_be_null;
        const bool may_be_empty =
            parameter.if_empty == nullptr || (of_present && (i == 0 || parameter.may_be_null));

        if (PG_ARGISNULL(i)) {
            if (!may_be_null)
                ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                                errmsg("\"%s\" must not be null", parameter.name)));
            continue;
        }
        if (parameter.is_array)
            check_elements(parameter, PG_GETARG_ARRAYTYPE_P(i));
        if (!may_be_empty && (parameter.is_array ? ARR_NDIM(PG_GETARG_ARRAYTYPE_P(i)) == 0
                                                 : VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(i)) == 0))
            refuse_argument(psprintf("\"%s\" must not be empty", parameter.name), parameter.if_empty);
    }
}

/* Then events of this one clear marks that the other one sets. */
bool shares_mark(const Target *target)
{
    const Catalog *catalog = target->catalog;

    return std::any_of(catalog->targets, catalog->targets + catalog->count, [target](const Target *other) {
        return other != target && other->config.relation == target->config.relation &&
               other->config.mark_column != nullptr &&
               strcmp(other->config.mark_column, target->config.mark_column) == 0;
    });
}

void check_mark(const Target *target)
{
    const TargetConfig &config = target->config;

    if (config.mark_column != nullptr && config.delete_types == NIL && !shares_mark(target))
        refuse_argument(
            "\"mark_column\" needs \"delete_types\"",
            "Name the types of the events that mark a row as deleted, or clear it: mark_column => ''.");
}

/* After a change: refuses what would make dead letters of all events. */
void check_configured(const char *name, bool kept_columns_named)
{
    CommandCounterIncrement();
    const Target *target = require_target(name);

    check_mark(target);
    check_usable(target);
    if (kept_columns_named)
        raise_problem(target->slip);
    if (target->warning != nullptr)
        ereport(WARNING, (errmsg("%s", target->warning)));
    check_conflicts(target);
}

/* ---- what a change has changed ---- */

const SPITupleTable *show(const char *name)
{
    Oid type = TEXTOID;
    Datum value = CStringGetTextDatum(name);

    return run_as(own_table("target_config", AccessShareLock).owner, show_query, 1, &type, &value);
}

void tell_changes(const char *name, const SPITupleTable *before, const SPITupleTable *after)
{
    bool any = false;

    for (uint64 i = 0; i < before->numvals && i < after->numvals; i++) {
        const char *was = SPI_getvalue(before->vals[i], before->tupdesc, 2);
        const char *is = SPI_getvalue(after->vals[i], after->tupdesc, 2);

        if (strcmp(was, is) == 0)
            continue;
        any = true;
        ereport(NOTICE, (errmsg("target \"%s\": %s was %s, is now %s", name,
                                SPI_getvalue(before->vals[i], before->tupdesc, 1), was, is)));
    }
    if (!any)
        ereport(NOTICE, (errmsg("target \"%s\": nothing has changed", name)));
}

} // namespace

Datum cxone_sync_add_target(PG_FUNCTION_ARGS)
{
    check_arguments(fcinfo, target_parameters);
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    Arguments arguments = arguments_of(fcinfo);

    if (find_target(name) != nullptr)
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("target \"%s\" already exists", name),
                        errhint("cxone_sync.change_target() changes it.")));
    check_caller_owns(PG_GETARG_OID(1));
    change_configuration(add_statement, &arguments);
    check_configured(name, true);
    PG_RETURN_VOID();
}

Datum cxone_sync_change_target(PG_FUNCTION_ARGS)
{
    check_arguments(fcinfo, target_parameters, true);
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    Arguments arguments = arguments_of(fcinfo);

    (void)require_own_target(name);
    if (!PG_ARGISNULL(1))
        check_caller_owns(PG_GETARG_OID(1));
    connect_spi();
    const SPITupleTable *before = show(name);
    change_configuration(change_statement, &arguments);
    check_configured(name, !PG_ARGISNULL(9));
    tell_changes(name, before, show(name));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum cxone_sync_remove_target(PG_FUNCTION_ARGS)
{
    check_arguments(fcinfo, target_parameters, true);
    Arguments arguments = arguments_of(fcinfo);

    (void)require_own_target(text_to_cstring(PG_GETARG_TEXT_PP(0)));
    change_configuration(remove_statement, &arguments);
    change_configuration(remove_map_statement, &arguments);
    PG_RETURN_VOID();
}

Datum cxone_sync_map_field(PG_FUNCTION_ARGS)
{
    check_arguments(fcinfo, map_parameters);
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    Arguments arguments = arguments_of(fcinfo);

    const Oid relation = require_own_target(name)->config.relation;
    if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
        check_column_exists(relation, text_to_cstring(PG_GETARG_TEXT_PP(1)));
    arguments.types[2] = TEXTARRAYOID;
    change_configuration(map_statement, &arguments);
    check_configured(name, false);
    PG_RETURN_VOID();
}

Datum cxone_sync_unmap_field(PG_FUNCTION_ARGS)
{
    check_arguments(fcinfo, map_parameters);
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    Arguments arguments = arguments_of(fcinfo);

    (void)require_own_target(name);
    if (change_configuration(unmap_statement, &arguments) == 0)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                        errmsg("column \"%s\" of target \"%s\" has no paths of its own",
                               text_to_cstring(PG_GETARG_TEXT_PP(1)), name),
                        errhint("cxone_sync.field_map has those that have.")));
    PG_RETURN_VOID();
}

/*
 * A trigger on the configuration's tables. Invalidation reaches every process, and at the commit (inval.c);
 * an idle worker that has something to publish is woken.
 */
Datum cxone_sync_config_changed(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("config_changed() is a trigger")));
    CacheInvalidateRelcache(reinterpret_cast<TriggerData *>(fcinfo->context)->tg_relation);
    tell_workers_at_commit();
    return PointerGetDatum(nullptr);
}

Datum cxone_sync_target_states(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);

    const Catalog &catalog = open_catalog();
    for (int i = 0; i < catalog.count; i++) {
        const Target *target = catalog.targets[i];
        OutputRow row;

        row.add_text(target->config.name);
        row.add(BoolGetDatum(target->field_order), target->is_locked);
        row.add(BoolGetDatum(target->extra >= 0), target->is_locked);
        row.add_text(target->is_locked ? "its table is locked" : target->problem.message);
        row.add_text(target->problem.hint);
        row.add_text(target->warning == nullptr ? "" : target->warning);
        row.put(result);
    }
    return 0;
}
