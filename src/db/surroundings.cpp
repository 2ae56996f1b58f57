#include "core/assignments.h"
#include "core/shape.h"
#include "cxone/contract.h"

#include <algorithm>
#include <cstdarg>

#include "db/catalog_scan.h"
#include "db/extension.h"
#include "db/guard.h"
#include "db/surroundings.h"
extern "C" {
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_publication.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/readfuncs.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rowsecurity.h"
#include "utils/regproc.h"
#include "utils/rls.h"
}

namespace cxone_sync {

namespace {

/* A partition may be dropped meanwhile. */
const char *name_of(Oid relation)
{
    const char *name = get_rel_name(relation);

    if (name == nullptr)
        return psprintf("%u", relation);
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

/* ---- rules ---- */

const char *command_of(CmdType event)
{
    return event == CMD_INSERT ? "INSERT" : event == CMD_UPDATE ? "UPDATE" : "DELETE";
}

/* A rule for UPDATE keeps ON CONFLICT from working even if it is disabled (rewriteHandler.c: matchLocks). */
bool is_in_the_way(const Target *target, const RewriteRule *rule)
{
    if (rule->event == CMD_UPDATE)
        return true;
    if (rule->enabled == RULE_DISABLED || rule->enabled == RULE_FIRES_ON_REPLICA)
        return false;
    return rule->event == CMD_INSERT || (rule->event == CMD_DELETE && deletes_rows(target));
}

/* ---- row security ---- */

bool is_forced_on(const Target *target, Relation relation)
{
    return check_enable_rls(RelationGetRelid(relation), target->owner, true) == RLS_ENABLED;
}

bool concerns(const RowSecurityPolicy *policy, Oid role)
{
    const auto *roles = reinterpret_cast<Oid *>(ARR_DATA_PTR(policy->roles));

    return std::any_of(roles, roles + ARR_DIMS(policy->roles)[0],
                       [role](Oid of) { return of == ACL_ID_PUBLIC || has_privs_of_role(role, of); });
}

bool some_policy_permits(Relation relation, Oid role, char command)
{
    if (relation->rd_rsdesc == nullptr)
        return false;
    for (const auto *policy : Each<RowSecurityPolicy *>(relation->rd_rsdesc->policies)) {
        if (policy->permissive && (policy->polcmd == '*' || policy->polcmd == command) &&
            concerns(policy, role))
            return true;
    }
    return false;
}

/* ---- indexes ---- */

Form_pg_index form_of_index(HeapTuple tuple)
{
    return reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
}

bool is_plain(HeapTuple index)
{
    return heap_attisnull(index, Anum_pg_index_indpred, nullptr) &&
           heap_attisnull(index, Anum_pg_index_indexprs, nullptr);
}

/* Equal bytes are equal under each deterministic collation, and no others are. */
bool same_equality(Oid a, Oid b)
{
    return a == b || (OidIsValid(a) && OidIsValid(b) && get_collation_isdeterministic(a) &&
                      get_collation_isdeterministic(b));
}

Oid oid_in(HeapTuple index, int attribute, int place)
{
    bool is_null;
    const Datum oids = SysCacheGetAttr(INDEXRELID, index, static_cast<AttrNumber>(attribute), &is_null);

    return reinterpret_cast<oidvector *>(DatumGetPointer(oids))->values[place];
}

Oid equality_of(Oid operator_class)
{
    const Oid type = get_opclass_input_type(operator_class);

    return get_opfamily_member(get_opclass_family(operator_class), type, type, BTEqualStrategyNumber);
}

/* What the index's columns have to do with one column of the key. */
enum class Match { none, unequal, same_rows, same };

Match match_of(const Target *target, HeapTuple index, int key)
{
    const TargetColumn &column = key_column(target, key);
    const Form_pg_index form = form_of_index(index);
    Match best = Match::none;

    for (int i = 0; i < form->indnkeyatts; i++) {
        if (form->indkey.values[i] != column.number)
            continue;
        const Oid collation = oid_in(index, Anum_pg_index_indcollation, i);
        Match match = collation == column.collation ? Match::same : Match::same_rows;
        if (equality_of(oid_in(index, Anum_pg_index_indclass, i)) != target->keys[key].equals ||
            !same_equality(collation, column.collation))
            match = Match::unequal;
        best = std::max(best, match);
    }
    return best;
}

Match match_of(const Target *target, HeapTuple index)
{
    Match worst = Match::same;

    for (int k = 0; k < target->key_count; k++)
        worst = std::min(worst, match_of(target, index, k));
    return worst;
}

/* Whether it has no columns beside the key's. */
bool spans_just_the_key(const Target *target, const Form_pg_index form)
{
    for (int i = 0; i < form->indnkeyatts; i++) {
        bool is_there = false;

        for (int k = 0; k < target->key_count; k++)
            is_there |= form->indkey.values[i] == key_column(target, k).number;
        if (!is_there)
            return false;
    }
    return true;
}

/*
 * Those that ON CONFLICT with the key's columns takes, all of them: as infer_arbiter_indexes() looks. A key
 * WITHOUT OVERLAPS is unique and an exclusion constraint.
 */
bool is_arbiter(const Target *target, HeapTuple index)
{
    const Form_pg_index form = form_of_index(index);

    return form->indisunique && !form->indisexclusion && form->indisvalid && is_plain(index) &&
           spans_just_the_key(target, form) && match_of(target, index) != Match::none;
}

/* Calls visit(pg_index tuple) for each index, without a lock on it. */
template <typename Visit> void for_each_index(Oid relation, Visit visit)
{
    for_each_row(IndexRelationId, IndexIndrelidIndexId, Anum_pg_index_indrelid, relation,
                 [&visit](HeapTuple tuple, TupleDesc) { visit(tuple); });
}

/* ---- publications ---- */

bool any_publication()
{
    Relation publications = table_open(PublicationRelationId, AccessShareLock);
    SysScanDesc scan = systable_beginscan(publications, InvalidOid, false, nullptr, 0, nullptr);
    const bool any = HeapTupleIsValid(systable_getnext(scan));

    systable_endscan(scan);
    table_close(publications, AccessShareLock);
    return any;
}

bool is_not_null(Oid relation, AttrNumber number)
{
    HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(number));

    if (!HeapTupleIsValid(tuple))
        return false; /* of the system */
    const bool result = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;
    ReleaseSysCache(tuple);
    return result;
}

/* Whether REPLICA IDENTITY USING INDEX takes it. */
bool can_identify_rows(HeapTuple index)
{
    const Form_pg_index form = form_of_index(index);

    if (!form->indisunique || !form->indimmediate || !form->indisvalid || !is_plain(index))
        return false;
    for (int i = 0; i < form->indnkeyatts; i++) {
        if (!is_not_null(form->indrelid, form->indkey.values[i]))
            return false;
    }
    return true;
}

const char *hint_for_identity(const char *table, Oid relation)
{
    Oid best = InvalidOid;

    for_each_index(relation, [&best](HeapTuple index) {
        if (can_identify_rows(index))
            best = form_of_index(index)->indexrelid;
    });
    return OidIsValid(best)
               ? psprintf("Run ALTER TABLE %s REPLICA IDENTITY USING INDEX %s.", table,
                          quote_identifier(get_rel_name(best)))
               : psprintf("Add a primary key, or run ALTER TABLE %s REPLICA IDENTITY FULL.", table);
}

/* What is published may need what the table does not have; PostgreSQL refuses such writes, and says why. */
bool check_published(Target *target, Relation relation, CmdType command)
{
    PgError error;
    const bool ok = in_any_subtransaction(
        CurrentMemoryContext, error, [relation, command] { CheckCmdReplicaIdentity(relation, command); });

    if (ok)
        return true;
    if (error.sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE &&
        error.sqlerrcode != ERRCODE_INVALID_COLUMN_REFERENCE)
        raise(error);
    const char *table = name_of(RelationGetRelid(relation));
    /* a row filter or a list of columns */
    if (error.sqlerrcode == ERRCODE_INVALID_COLUMN_REFERENCE)
        return refuse(target, ERRCODE_INVALID_TABLE_DEFINITION,
                      psprintf("Change the publication, or run ALTER TABLE %s REPLICA IDENTITY FULL.", table),
                      "table %s is published with conditions that refuse %s: %s", table, command_of(command),
                      error.detail);
    return refuse(target, ERRCODE_INVALID_TABLE_DEFINITION,
                  hint_for_identity(table, RelationGetRelid(relation)),
                  "table %s is published for %s without a replica identity", table, command_of(command));
}

/* Of a partitioned table those of its partitions count; before 15 PostgreSQL would ask for its own as well.
 */
bool check_identity(Target *target, Relation relation)
{
    if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
        return true;
    return check_published(target, relation, CMD_UPDATE) &&
           (!deletes_rows(target) || check_published(target, relation, CMD_DELETE));
}

/* One that others have locked is not waited for: they will tell of what they change. */
bool check_identity_of_part(Target *target, Oid part)
{
    if (!ConditionalLockRelationOid(part, AccessShareLock))
        return true;
    Relation relation = try_relation_open(part, NoLock);
    const bool ok = relation == nullptr || check_identity(target, relation);
    if (relation != nullptr)
        relation_close(relation, NoLock);
    UnlockRelationOid(part, AccessShareLock);
    return ok;
}

/* ---- expressions ---- */

/*
 * Whether the function may read or write what others do: one that is IMMUTABLE must not, and PostgreSQL's
 * own, such as now() and nextval(), mean no rows.
 */
bool acts_on_tables(Target *target, Oid function, bool is_of_trigger)
{
    watch(target, PROCOID, function);
    if (function < FirstNormalObjectId)
        return false;
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        return true;
    const auto *form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    /* values are made in C by such as uuid_generate_v4(); what a trigger does there is anybody's guess */
    const bool may_act =
        form->provolatile != PROVOLATILE_IMMUTABLE && (is_of_trigger || form->prolang != ClanguageId);
    ReleaseSysCache(tuple);
    return may_act;
}

/* What the expressions of a table mean to its target. */
struct Calls {
    Target *target;
    bool act_on_tables;
    bool have_effects; /* though no row comes of them: a number that is drawn from a sequence is gone */
    Oid forbidden;     /* a function that the owner may not execute; 0: there is none */
    List *sequences;   /* whose next numbers are taken */
};

bool look_at_call(Oid function, void *context)
{
    auto *calls = static_cast<Calls *>(context);

    calls->act_on_tables |= acts_on_tables(calls->target, function, false);
    /* a function of PostgreSQL's without arguments, as gen_random_uuid(), knows no sequence */
    calls->have_effects |= func_volatile(function) == PROVOLATILE_VOLATILE &&
                           (function >= FirstNormalObjectId || get_func_nargs(function) > 0);
    if (compat::function_aclcheck(function, calls->target->owner) != ACLCHECK_OK)
        calls->forbidden = function;
    return false;
}

bool look_at_calls(Node *node, void *calls)
{
    if (node == nullptr)
        return false;
    (void)check_functions_in_node(node, look_at_call, calls);
    static_cast<Calls *>(calls)->have_effects |= IsA(node, NextValueExpr); /* of an identity column */
    if (IsA(node, FuncExpr)) {
        const auto *call = reinterpret_cast<FuncExpr *>(node);
        const auto *argument =
            call->funcid == F_NEXTVAL ? static_cast<Node *>(linitial(call->args)) : nullptr;

        if (argument != nullptr && IsA(argument, Const) &&
            !reinterpret_cast<const Const *>(argument)->constisnull) {
            List *&sequences = static_cast<Calls *>(calls)->sequences;
            sequences = list_append_unique_oid(
                sequences, DatumGetObjectId(reinterpret_cast<const Const *>(argument)->constvalue));
        }
    }
    return compat::walk_expression(node, look_at_calls, calls);
}

/* Whether the condition WHEN of a trigger does what acts_on_tables() says. */
bool has_acting_condition(Target *target, HeapTuple trigger, TupleDesc row)
{
    Calls calls = {.target = target};
    bool is_null;
    const Datum condition = heap_getattr(trigger, Anum_pg_trigger_tgqual, row, &is_null);

    if (!is_null)
        (void)look_at_calls(static_cast<Node *>(stringToNode(TextDatumGetCString(condition))), &calls);
    return calls.act_on_tables;
}

/* `whose` is a column or a constraint. */
bool check_calls(Target *target, Node *expression, const char *whose)
{
    Calls calls = {.target = target};

    (void)look_at_calls(expression, &calls);
    target->is_ordered |= calls.act_on_tables;
    target->inserts_cost |= calls.have_effects;
    target->relations = list_concat_unique_oid(target->relations, calls.sequences);
    const char *owner = quote_identifier(GetUserNameFromId(target->owner, false));
    if (OidIsValid(calls.forbidden))
        return refuse(target, ERRCODE_INSUFFICIENT_PRIVILEGE,
                      psprintf("Run GRANT EXECUTE ON FUNCTION %s TO %s.",
                               format_procedure_qualified(calls.forbidden), owner),
                      "the owner of table %s may not execute function %s, which %s calls", target->table,
                      format_procedure_qualified(calls.forbidden), whose);
    for (const Oid sequence : Each<Oid>(calls.sequences)) {
        /* either will do, as for nextval() */
        if (pg_class_aclcheck(sequence, target->owner, ACL_USAGE | ACL_UPDATE) != ACLCHECK_OK)
            return refuse(target, ERRCODE_INSUFFICIENT_PRIVILEGE,
                          psprintf("Run GRANT USAGE ON SEQUENCE %s TO %s.", name_of(sequence), owner),
                          "the owner of table %s may not use sequence %s, which %s draws from", target->table,
                          name_of(sequence), whose);
    }
    return true;
}

/* Events always have a key, so that its default does not matter. */
bool check_defaults(Target *target, Relation relation)
{
    TupleDesc row = RelationGetDescr(relation);

    for (int i = 0; i < row->natts; i++) {
        const Form_pg_attribute attribute = TupleDescAttr(row, i);

        if (!attribute->attisdropped && !is_in(target->config.key_columns, NameStr(attribute->attname)) &&
            !check_calls(target, build_column_default(relation, attribute->attnum),
                         psprintf("column \"%s\"", NameStr(attribute->attname))))
            return false;
    }
    return true;
}

bool check_constraints(Target *target, Oid relation)
{
    bool ok = true;

    for_each_row(ConstraintRelationId, ConstraintRelidTypidNameIndexId, Anum_pg_constraint_conrelid, relation,
                 [target, &ok](HeapTuple tuple, TupleDesc row) {
                     const auto *form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
                     bool is_null;
                     const Datum check = heap_getattr(tuple, Anum_pg_constraint_conbin, row, &is_null);

                     if (form->contype == CONSTRAINT_CHECK && !is_null && ok)
                         ok = check_calls(target,
                                          static_cast<Node *>(stringToNode(TextDatumGetCString(check))),
                                          psprintf("constraint \"%s\"", NameStr(form->conname)));
                 });
    return ok;
}

/* ---- triggers ---- */

/* A foreign key's on the table that it refers to, other than those that only refuse. */
bool is_cascade(Oid function)
{
    return RI_FKey_trigger_type(function) == RI_TRIGGER_PK && function != F_RI_FKEY_NOACTION_DEL &&
           function != F_RI_FKEY_NOACTION_UPD && function != F_RI_FKEY_RESTRICT_DEL &&
           function != F_RI_FKEY_RESTRICT_UPD;
}

/* tgargs: texts, each with a NUL behind it. */
bool has_argument(HeapTuple tuple, TupleDesc row, const char *argument)
{
    const auto *trigger = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    bool is_null;
    const Datum value = heap_getattr(tuple, Anum_pg_trigger_tgargs, row, &is_null);

    if (is_null)
        return false;
    const char *text = VARDATA_ANY(DatumGetByteaPP(value));
    for (int i = 0; i < trigger->tgnargs; i++, text += strlen(text) + 1) {
        if (strcmp(text, argument) == 0)
            return true;
    }
    return false;
}

bool has_search_path(HeapTuple function)
{
    bool is_null;
    const Datum settings = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_proconfig, &is_null);
    Datum *elements;
    int count;

    if (is_null)
        return false;
    deconstruct_array(DatumGetArrayTypeP(settings), TEXTOID, -1, false, TYPALIGN_INT, &elements, nullptr,
                      &count);
    for (int i = 0; i < count; i++) {
        if (pg_strncasecmp(TextDatumGetCString(elements[i]), "search_path=", strlen("search_path=")) == 0)
            return true;
    }
    return false;
}

bool is_in_plpgsql(HeapTuple function)
{
    const char *language =
        get_language_name(reinterpret_cast<Form_pg_proc>(GETSTRUCT(function))->prolang, true);

    return language != nullptr && strcmp(language, "plpgsql") == 0;
}

bool sets_order_column(const Target *target, HeapTuple function)
{
    bool is_null;
    const Datum source = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_prosrc, &is_null);

    if (is_null || !is_in_plpgsql(function))
        return false;
    return assigns_field(TextDatumGetCString(source), "new", target->config.order_column);
}

/* A trigger of the user's, about which there may be something to say. */
void look_at_function(Target *target, HeapTuple tuple, TupleDesc row, bool before_row)
{
    const auto *trigger = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    HeapTuple function = SearchSysCache1(PROCOID, ObjectIdGetDatum(trigger->tgfoid));

    if (!HeapTupleIsValid(function))
        return;
    const Oid language = reinterpret_cast<Form_pg_proc>(GETSTRUCT(function))->prolang;
    const char *name = NameStr(trigger->tgname);
    if (before_row &&
        (has_argument(tuple, row, target->config.order_column) || sets_order_column(target, function)))
        warn(target, "trigger \"%s\" of table %s may set \"%s\": every later event would look old", name,
             name_of(trigger->tgrelid), target->config.order_column);
    if (language != INTERNALlanguageId && language != ClanguageId && !has_search_path(function)) {
        const char *procedure = format_procedure_qualified(trigger->tgfoid);
        const char *schema = quote_identifier(get_namespace_name(get_rel_namespace(target->config.relation)));

        warn(target,
             "trigger \"%s\" of table %s runs with search_path = pg_catalog, pg_temp: if it needs another "
             "one, ALTER FUNCTION %s SET search_path = %s, pg_temp",
             name, name_of(trigger->tgrelid), procedure, schema);
    }
    ReleaseSysCache(function);
}

/* Only the triggers of the table itself are asked what key a row would get (insert_triggers.h). */
void check_trigger_of_part(Target *target, const FormData_pg_trigger *trigger)
{
    if (!deletes_rows(target) || !TRIGGER_FOR_ROW(trigger->tgtype) || !TRIGGER_FOR_BEFORE(trigger->tgtype) ||
        !TRIGGER_FOR_INSERT(trigger->tgtype))
        return;
    refuse(target, ERRCODE_INVALID_TABLE_DEFINITION,
           psprintf("Create it on table %s, whose partitions get it from there, or use a mark_column.",
                    target->table),
           "trigger \"%s\" of partition %s may change the key of a row, which a deletion could not find then",
           NameStr(trigger->tgname), name_of(trigger->tgrelid));
}

/*
 * A partition has copies of its parent's triggers, which are the parent's. Which of those that are enabled
 * run is a matter of each session (session_replication_role): all count.
 */
void look_at_trigger(Target *target, HeapTuple tuple, TupleDesc row, bool of_part)
{
    const auto *trigger = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    const bool each_row = TRIGGER_FOR_ROW(trigger->tgtype);
    const bool before_row = each_row && TRIGGER_FOR_BEFORE(trigger->tgtype);

    if (trigger->tgenabled == TRIGGER_DISABLED)
        return;
    target->has_triggers = true;
    target->cascades |= is_cascade(trigger->tgfoid);
    if (trigger->tgfoid == F_RI_FKEY_CHECK_INS)
        target->references = list_append_unique_oid(target->references, trigger->tgconstrrelid);
    target->may_swallow |= before_row;
    target->has_after_triggers |= !trigger->tgisinternal && TRIGGER_FOR_AFTER(trigger->tgtype);
    /* of those for INSERT, these run for a row that is there already, too */
    target->inserts_cost |= TRIGGER_FOR_INSERT(trigger->tgtype) && (before_row || !each_row);
    if (trigger->tgisinternal || TRIGGER_FOR_TRUNCATE(trigger->tgtype))
        return;
    target->is_ordered |=
        acts_on_tables(target, trigger->tgfoid, true) || has_acting_condition(target, tuple, row);
    if (of_part && (!each_row || OidIsValid(trigger->tgparentid)))
        return;
    look_at_function(target, tuple, row, before_row);
    if (of_part)
        check_trigger_of_part(target, trigger);
}

void look_at_triggers(Target *target, Oid relation, bool of_part)
{
    for_each_row(
        TriggerRelationId, TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, relation,
        [target, of_part](HeapTuple tuple, TupleDesc row) { look_at_trigger(target, tuple, row, of_part); });
}

/* ---- partitions ---- */

/* Not find_all_inheritors(), which raises an error if one of them is dropped meanwhile. */
List *add_children(List *parts, Oid parent)
{
    for_each_row(InheritsRelationId, InheritsParentIndexId, Anum_pg_inherits_inhparent, parent,
                 [&parts](HeapTuple tuple, TupleDesc) {
                     const auto *row = reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple));
                     if (!row->inhdetachpending)
                         parts = lappend_oid(parts, row->inhrelid);
                 });
    return parts;
}

/* At any depth. */
List *parts_of(Oid relation)
{
    List *parts = add_children(NIL, relation);

    for (int i = 0; i < list_length(parts); i++) {
        if (get_rel_relkind(list_nth_oid(parts, i)) == RELKIND_PARTITIONED_TABLE)
            parts = add_children(parts, list_nth_oid(parts, i));
    }
    return parts;
}

/* Its triggers run as the owner of the target, who has to be the one that can put them there. */
bool is_of_others(const Target *target, Oid owner)
{
    return owner != target->owner && !superuser_arg(owner) && !superuser_arg(target->owner);
}

/* A partition at any depth, or a table that inherits from the target's. */
bool check_part(Target *target, Relation relation, const FormData_pg_class *form, Oid part)
{
    if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
        return refuse(target, ERRCODE_WRONG_OBJECT_TYPE,
                      psprintf("Its key does not hold in both. Run ALTER TABLE %s NO INHERIT %s, or make the "
                               "table partitioned.",
                               name_of(part), target->table),
                      "table %s is inherited by table %s", target->table, name_of(part));
    if (form->relkind == RELKIND_FOREIGN_TABLE)
        return refuse(target, ERRCODE_WRONG_OBJECT_TYPE, "Detach it: events are written to tables only.",
                      "partition %s of table %s is a foreign table", name_of(part), target->table);
    if (form->relkind == RELKIND_RELATION && form->relpersistence != RELPERSISTENCE_PERMANENT)
        return refuse(
            target, ERRCODE_WRONG_OBJECT_TYPE,
            psprintf("Its rows would not survive a crash. Run ALTER TABLE %s SET LOGGED.", name_of(part)),
            "partition %s of table %s is %s", name_of(part), target->table,
            form->relpersistence == RELPERSISTENCE_TEMP ? "temporary" : "unlogged");
    if (is_of_others(target, form->relowner))
        return refuse(target, ERRCODE_INSUFFICIENT_PRIVILEGE,
                      psprintf("Its triggers would run as the owner of table %s. See what they do, and run "
                               "ALTER TABLE %s OWNER TO %s.",
                               target->table, name_of(part),
                               quote_identifier(GetUserNameFromId(target->owner, false))),
                      "partition %s of table %s is owned by another role, \"%s\"", name_of(part),
                      target->table, GetUserNameFromId(form->relowner, false));
    return true;
}

/* Takes the columns by which one of the partitioned tables sends rows on; columns go by their names. */
void take_partition_key(Target *target, Relation top, Oid relation)
{
    HeapTuple tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(relation));

    if (!HeapTupleIsValid(tuple))
        return;
    const auto *form = reinterpret_cast<Form_pg_partitioned_table>(GETSTRUCT(tuple));
    target->hashed_together |= form->partstrat == 'h' && form->partnatts > 1;
    for (int i = 0; i < form->partnatts; i++) {
        const AttrNumber number = form->partattrs.values[i];
        const char *name = number > 0 ? get_attname(relation, number, true) : nullptr;

        if (name != nullptr)
            target->partition_keys =
                list_append_unique_int(target->partition_keys, get_attnum(RelationGetRelid(top), name));
    }
    ReleaseSysCache(tuple);
}

/* An index that a partition has for itself. */
bool is_own_key(HeapTuple index)
{
    const Form_pg_index form = form_of_index(index);

    return (form->indisunique || form->indisexclusion) && form->indisready &&
           !get_rel_relispartition(form->indexrelid);
}

void look_at_part(Target *target, Relation top, Oid part)
{
    if (get_rel_relkind(part) == RELKIND_PARTITIONED_TABLE)
        take_partition_key(target, top, part);
    else
        for_each_index(part, [target](HeapTuple index) { target->other_keys |= is_own_key(index); });
    look_at_triggers(target, part, true);
}

/* ---- foreign keys ---- */

/* PostgreSQL looks for a row that is referred to as the owner of its table. */
void check_references(Target *target)
{
    for (const Oid referenced : Each<Oid>(target->references)) {
        const Oid schema = get_rel_namespace(referenced);

        if (!OidIsValid(schema)) /* a partition's, which is not locked */
            continue;
        const Oid owner = owner_of(referenced);
        if (compat::schema_aclcheck(schema, owner, ACL_USAGE) != ACLCHECK_OK)
            refuse(target, ERRCODE_INSUFFICIENT_PRIVILEGE,
                   psprintf("Run GRANT USAGE ON SCHEMA %s TO %s.",
                            quote_identifier(get_namespace_name(schema)),
                            quote_identifier(GetUserNameFromId(owner, false))),
                   "the owner of table %s, which table %s refers to, may not use its schema",
                   name_of(referenced), target->table);
    }
}

} // namespace

void warn(Target *target, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    target->warning = MemoryContextStrdup(
        target->context, target->warning == nullptr ? text : psprintf("%s; %s", target->warning, text));
}

void find_parts(Target *target, Relation relation)
{
    const List *parts = parts_of(RelationGetRelid(relation));

    target->part_count = list_length(parts);
    if (parts == NIL)
        return;
    target->parts = static_cast<Oid *>(MemoryContextAlloc(target->context, target->part_count * sizeof(Oid)));
    for (int i = 0; i < target->part_count; i++)
        target->parts[i] = list_nth_oid(parts, i);
    std::sort(target->parts, target->parts + target->part_count);
}

bool check_parts(Target *target, Relation relation)
{
    for (int i = 0; i < target->part_count; i++) {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(target->parts[i]));

        if (!HeapTupleIsValid(tuple))
            continue;
        const bool is_fine =
            check_part(target, relation, reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple)), target->parts[i]);
        ReleaseSysCache(tuple);
        if (!is_fine)
            return false;
    }
    return true;
}

bool check_rules(Target *target, Relation relation)
{
    for (int i = 0; relation->rd_rules != nullptr && i < relation->rd_rules->numLocks; i++) {
        const RewriteRule *rule = relation->rd_rules->rules[i];

        if (is_in_the_way(target, rule))
            return refuse(target, ERRCODE_WRONG_OBJECT_TYPE,
                          psprintf("Run DROP RULE ... ON %s; a trigger can do its work.", target->table),
                          "table %s has a rule for %s", target->table, command_of(rule->event));
    }
    return true;
}

bool check_row_security(Target *target, Relation relation)
{
    constexpr struct {
        char command;
        const char *name;
    } needed[] = {{ACL_SELECT_CHR, "SELECT"}, {ACL_INSERT_CHR, "INSERT"}, {ACL_UPDATE_CHR, "UPDATE"}};

    if (!is_forced_on(target, relation))
        return true;
    for (const auto &[command, name] : needed) {
        if (!some_policy_permits(relation, target->owner, command))
            return refuse(
                target, ERRCODE_INSUFFICIENT_PRIVILEGE,
                psprintf("Create a policy for the owner, or run ALTER TABLE %s NO FORCE ROW LEVEL SECURITY.",
                         target->table),
                "table %s forces row security on its owner, and no policy permits it %s", target->table,
                name);
    }
    if (deletes_rows(target))
        return refuse(
            target, ERRCODE_INVALID_TABLE_DEFINITION,
            psprintf("Run ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, or use a mark_column.", target->table),
            "table %s forces row security on its owner: a policy could hide the row that a deletion "
            "means",
            target->table);
    return true;
}

bool check_unique_key(Target *target, Relation relation)
{
    Oid deferrable = InvalidOid;
    Oid unequal = InvalidOid;
    Oid slow = InvalidOid;
    bool quick = false;

    for_each_index(RelationGetRelid(relation), [&](HeapTuple index) {
        const Form_pg_index form = form_of_index(index);
        const Match match = match_of(target, index);

        if (is_arbiter(target, index)) {
            if (!form->indimmediate)
                deferrable = form->indexrelid;
            else if (match == Match::unequal)
                unequal = form->indexrelid;
            else if (match == Match::same_rows)
                slow = form->indexrelid;
            else
                quick = true;
        } else if ((form->indisunique || form->indisexclusion) && form->indisready) {
            /* what is unique by the key is so by the key and more */
            target->other_keys |= form->indisexclusion || match < Match::same_rows;
        }
    });
    if (OidIsValid(deferrable))
        return refuse(target, ERRCODE_INVALID_OBJECT_DEFINITION,
                      "Drop it, or make one that is not deferrable in its place.",
                      "unique constraint \"%s\" on the key of table %s is deferrable",
                      get_rel_name(deferrable), target->table);
    if (OidIsValid(unequal))
        return refuse(
            target, ERRCODE_INVALID_OBJECT_DEFINITION,
            "Make it with the collation and the operator class of its columns.",
            "unique index \"%s\" on the key of table %s takes other values for equal than its columns "
            "do",
            get_rel_name(unequal), target->table);
    if (!quick && !OidIsValid(slow))
        return refuse(
            target, ERRCODE_INVALID_OBJECT_DEFINITION,
            "Add a primary key or a unique constraint, not deferrable, on the target's key columns.",
            "table %s has no unique constraint on just its key", target->table);
    if (!quick)
        warn(target,
             "unique index \"%s\" of table %s has another collation than its columns: rows cannot be looked "
             "up in it, so every write reads the whole table",
             get_rel_name(slow), target->table);
    return true;
}

bool check_publications(Target *target, Relation relation)
{
    if (!any_publication())
        return true;
    bool ok = check_identity(target, relation);
    for (int i = 0; ok && i < target->part_count; i++)
        ok = check_identity_of_part(target, target->parts[i]);
    return ok;
}

bool check_expressions(Target *target, Relation relation)
{
    bool ok = check_defaults(target, relation) && check_constraints(target, RelationGetRelid(relation));

    for (int i = 0; ok && i < target->part_count; i++)
        ok = check_constraints(target, target->parts[i]);
    return ok;
}

bool has_acting_triggers(Target *target, Oid relation)
{
    List *tables = parts_of(relation);
    bool act = false;

    for (const Oid table : Each<Oid>(lappend_oid(tables, relation))) {
        for_each_row(TriggerRelationId, TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, table,
                     [target, &act](HeapTuple tuple, TupleDesc row) {
                         const auto *trigger = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
                         act |= !trigger->tgisinternal && trigger->tgenabled != TRIGGER_DISABLED &&
                                (trigger->tgtype & (TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)) != 0 &&
                                (acts_on_tables(target, trigger->tgfoid, true) ||
                                 has_acting_condition(target, tuple, row));
                     });
    }
    return act;
}

void describe_surroundings(Target *target, Relation relation)
{
    const Oid relid = RelationGetRelid(relation);

    target->is_partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
    take_partition_key(target, relation, relid);
    look_at_triggers(target, relid, false);
    for (int i = 0; i < target->part_count; i++)
        look_at_part(target, relation, target->parts[i]);
    if (target->is_partitioned && target->part_count == 0)
        warn(target, "table %s has no partition: no event can make a row", target->table);
    /* a policy may look at any table */
    if (is_forced_on(target, relation))
        target->hides_rows = target->may_swallow = target->inserts_cost = target->is_ordered = true;
    check_references(target);
}

} // namespace cxone_sync
