/* The SQL functions that say which events go where; the extension's script documents each. */

#include "core/mapping.h"
#include "core/monitoring.h"

#include "db/catalog.h"
#include "db/extension.h"
#include "db/identity.h"
#include "db/shared_state.h"
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
constexpr int target_parameters = 10;

constexpr const char *add_statement =
    "INSERT INTO cxone_sync.target_config (name, relation, key_columns, order_column, event_types, "
    "root_path, "
    "type_path, delete_types, mark_column, kept_columns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
constexpr const char *change_statement =
    "UPDATE cxone_sync.target_config SET relation = $2, key_columns = $3, order_column = $4, event_types = "
    "$5, "
    "root_path = $6, type_path = $7, delete_types = $8, mark_column = $9, kept_columns = $10 WHERE name = $1";
/* what they say of the key no longer holds */
constexpr const char *forget_statement = "DELETE FROM cxone_sync.tombstones WHERE relation = $1";
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
    Datum values[target_parameters];
    char nulls[target_parameters];
    Oid types[target_parameters];
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

bool has_key_columns(const Target *target, ArrayType *columns)
{
    Datum *names;
    bool *nulls;
    int count;

    deconstruct_array(columns, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &count);
    if (count != list_length(target->config.key_columns))
        return false;
    for (int i = 0; i < count; i++) {
        if (nulls[i] || strcmp(TextDatumGetCString(names[i]),
                               static_cast<char *>(list_nth(target->config.key_columns, i))) != 0)
            return false;
    }
    return true;
}

/* After a change: refuses what would make dead letters of all events. */
void check_configured(const char *name)
{
    CommandCounterIncrement();
    const Target *target = require_target(name);
    TargetProblem problem;

    check_usable(target);
    if (find_conflict(target, problem))
        ereport(ERROR,
                (errcode(problem.sqlerrcode), errmsg("%s", problem.message), errhint("%s", problem.hint)));
}

/* Arguments that must not be null, by their place. */
void check_not_null(FunctionCallInfo fcinfo)
{
    static const struct {
        int place;
        const char *name;
    } required[] = {{0, "name"},      {1, "relation"},  {2, "key_columns"}, {3, "order_column"},
                    {5, "root_path"}, {6, "type_path"}, {9, "kept_columns"}};

    for (const auto &argument : required) {
        if (PG_ARGISNULL(argument.place))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("\"%s\" must not be null", argument.name)));
    }
}

} // namespace

Datum cxone_sync_add_target(PG_FUNCTION_ARGS)
{
    check_not_null(fcinfo);
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    Arguments arguments = arguments_of(fcinfo);

    watch_catalog();
    (void)open_catalog();
    if (find_target(name) != nullptr)
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("target \"%s\" already exists", name),
                        errhint("cxone_sync.change_target() changes it.")));
    check_caller_owns(PG_GETARG_OID(1));
    change_configuration(add_statement, &arguments);
    check_configured(name);
    PG_RETURN_VOID();
}

Datum cxone_sync_change_target(PG_FUNCTION_ARGS)
{
    check_not_null(fcinfo);
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    Arguments arguments = arguments_of(fcinfo);

    Target *before = require_own_target(name);
    Arguments relation = {.count = 1,
                          .values = {ObjectIdGetDatum(before->config.relation)},
                          .nulls = {' '},
                          .types = {REGCLASSOID}};
    const bool same_key = has_key_columns(before, PG_GETARG_ARRAYTYPE_P(2));
    check_caller_owns(PG_GETARG_OID(1));
    change_configuration(change_statement, &arguments);
    if (!same_key)
        change_configuration(forget_statement, &relation);
    check_configured(name);
    PG_RETURN_VOID();
}

Datum cxone_sync_remove_target(PG_FUNCTION_ARGS)
{
    Arguments arguments = arguments_of(fcinfo);

    (void)require_own_target(text_to_cstring(PG_GETARG_TEXT_PP(0)));
    change_configuration(remove_statement, &arguments);
    change_configuration(remove_map_statement, &arguments);
    PG_RETURN_VOID();
}

Datum cxone_sync_map_field(PG_FUNCTION_ARGS)
{
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    Arguments arguments = arguments_of(fcinfo);

    (void)require_own_target(name);
    arguments.types[2] = TEXTARRAYOID;
    change_configuration(map_statement, &arguments);
    check_configured(name);
    PG_RETURN_VOID();
}

Datum cxone_sync_unmap_field(PG_FUNCTION_ARGS)
{
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    Arguments arguments = arguments_of(fcinfo);

    (void)require_own_target(name);
    if (change_configuration(unmap_statement, &arguments) == 0)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                        errmsg("column \"%s\" of target \"%s\" has no paths of its own",
                               text_to_cstring(PG_GETARG_TEXT_PP(1)), name)));
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

    watch_catalog();
    const Catalog &catalog = open_catalog();
    for (int i = 0; i < catalog.count; i++) {
        const Target *target = catalog.targets[i];
        const bool is_fine = target->problem.sqlerrcode == 0;
        const char *problem = target->is_locked ? "its table is locked" : target->problem.message;
        Datum values[] = {CStringGetTextDatum(target->config.name), BoolGetDatum(target->field_order),
                          BoolGetDatum(target->extra >= 0), CStringGetTextDatum(problem),
                          CStringGetTextDatum(target->problem.hint)};
        bool nulls[] = {false, target->is_locked, target->is_locked, is_fine && !target->is_locked, is_fine};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return 0;
}
