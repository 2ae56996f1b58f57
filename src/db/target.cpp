#include "core/json_pointer.h"
#include "core/mapping.h"
#include "cxone/contract.h"

#include <cstdarg>

#include "db/extension.h"
#include "db/guard.h"
#include "db/target.h"
extern "C" {
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "rewrite/rewriteHandler.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"
}

namespace cxone_sync {

namespace {

bool refuse(Target *target, int sqlerrcode, const char *hint, const char *format, ...)
    pg_attribute_printf(4, 5);
bool refuse(Target *target, int sqlerrcode, const char *hint, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    set_problem(target, sqlerrcode, text, hint);
    return false;
}

bool is_in(const List *names, const char *name)
{
    ListCell *cell;

    foreach (cell, names) {
        if (strcmp(static_cast<char *>(lfirst(cell)), name) == 0)
            return true;
    }
    return false;
}

/* ---- one column ---- */

bool is_json(Oid type)
{
    return type == JSONOID || type == JSONBOID;
}

/* Of a range or multirange; scalar if it is not one over times. */
Shape shape_of_range(Oid type)
{
    const Oid subtype = get_range_subtype(type_is_multirange(type) ? get_multirange_range(type) : type);

    switch (OidIsValid(subtype) ? getBaseType(subtype) : InvalidOid) {
    case TIMESTAMPTZOID:
        return Shape::instant_range;
    case TIMESTAMPOID:
        return Shape::local_range;
    case DATEOID:
        return Shape::date_range;
    default:
        return Shape::scalar;
    }
}

Shape shape_of_array(Oid element)
{
    if (type_is_rowtype(element))
        return Shape::record;
    return is_json(element) ? Shape::json_array : Shape::array;
}

bool has_truth_values(Oid base_type)
{
    char category;
    bool is_preferred;

    get_type_category_preferred(base_type, &category, &is_preferred);
    return category == TYPCATEGORY_BOOLEAN || category == TYPCATEGORY_ENUM;
}

Shape shape_of(Oid base_type)
{
    switch (base_type) {
    case JSONOID:
    case JSONBOID:
        return Shape::json;
    case TIMESTAMPTZOID:
        return Shape::instant;
    case TIMESTAMPOID:
        return Shape::local;
    case DATEOID:
        return Shape::date;
    case TIMEOID:
    case TIMETZOID:
        return Shape::clock;
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case OIDOID:
    case XID8OID:
        return Shape::integer;
    default:
        break;
    }
    const Oid element = get_element_type(base_type);

    if (type_is_rowtype(base_type))
        return Shape::record;
    if (OidIsValid(element))
        return shape_of_array(getBaseType(element));
    return has_truth_values(base_type) ? Shape::boolean : shape_of_range(base_type);
}

InnerValuesOfType *inner_values_of(Target *target, Oid type);

/* The fields of a row type that hold values which are rewritten. */
List *inner_values_of_row(Target *target, Oid row_type)
{
    List *fields = NIL;
    TupleDesc row = lookup_rowtype_tupdesc_domain(row_type, -1, true);

    if (row == nullptr)
        return NIL; /* of no particular type */
    target->row_types = list_append_unique_oid(target->row_types, get_typ_typrelid(row_type));
    for (int i = 0; i < row->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(row, i);
        InnerValuesOfType *inner =
            attribute->attisdropped ? nullptr : inner_values_of(target, attribute->atttypid);

        if (inner == nullptr)
            continue;
        inner->name = pstrdup(NameStr(attribute->attname));
        fields = lappend(fields, inner);
    }
    ReleaseTupleDesc(row);
    return fields;
}

/* Null if nothing in values of the type is rewritten. In the current memory context, the target's. */
InnerValuesOfType *inner_values_of(Target *target, Oid type)
{
    check_stack_depth();
    const Oid base = getBaseType(type);
    const Oid element = get_element_type(base);

    if (OidIsValid(element))
        return inner_values_of(target, element);
    const Shape shape = shape_of(base);
    List *fields = shape == Shape::record ? inner_values_of_row(target, base) : NIL;
    if (!is_rewritten_inside(shape) && fields == NIL)
        return nullptr;
    auto *inner = static_cast<InnerValuesOfType *>(palloc0(sizeof(InnerValuesOfType)));
    inner->shape = shape;
    inner->fields = fields;
    return inner;
}

List *paths_for(const TargetConfig &config, const char *column)
{
    ListCell *name;
    ListCell *paths;

    forboth(name, config.mapped_columns, paths, config.mapped_paths)
    {
        if (strcmp(static_cast<char *>(lfirst(name)), column) == 0)
            return static_cast<List *>(lfirst(paths));
    }
    return NIL;
}

void describe_column(Target *target, Form_pg_attribute attribute, TargetColumn *column)
{
    Oid input_function;

    column->name = attribute->attname;
    column->number = attribute->attnum;
    column->type = attribute->atttypid;
    column->base_type = getBaseType(attribute->atttypid);
    column->type_hash = GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(column->type));
    column->collation = attribute->attcollation;
    column->typmod = attribute->atttypmod;
    column->not_null = attribute->attnotnull;
    column->plain_text = column->type == TEXTOID || (column->type == VARCHAROID && column->typmod < 0);
    column->shape = shape_of(column->base_type);
    column->paths = paths_for(target->config, NameStr(attribute->attname));
    if (OidIsValid(get_element_type(column->base_type)) || type_is_rowtype(column->base_type))
        column->inner = inner_values_of(target, column->base_type);
    getTypeInputInfo(column->type, &input_function, &column->input_parameter);
    fmgr_info_cxt(input_function, &column->input, target->context);

    column->parameter_type = column->type;
    /* unnest() would spread an array of rows over several columns */
    column->cast_in_statement =
        !OidIsValid(get_array_type(column->type)) || type_is_rowtype(column->base_type);
    if (column->cast_in_statement)
        column->parameter_type = TEXTOID;
    get_typlenbyvalalign(column->parameter_type, &column->length, &column->by_value, &column->alignment);
}

/* As SQL; null if there is none. An identity column has that of its sequence. */
char *default_of(Relation relation, AttrNumber number)
{
    Node *expression = build_column_default(relation, number);

    if (expression == nullptr)
        return nullptr;
    return deparse_expression(
        expression, deparse_context_for(RelationGetRelationName(relation), RelationGetRelid(relation)), false,
        false);
}

bool is_computed(Form_pg_attribute attribute)
{
    return attribute->attgenerated != '\0' || attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
}

bool is_named(Form_pg_attribute attribute, const char *name)
{
    return name != nullptr && strcmp(NameStr(attribute->attname), name) == 0;
}

/* Takes one column of the table for what it is to the target. */
void take_column(Target *target, Form_pg_attribute attribute)
{
    const TargetConfig &config = target->config;
    const int index = target->column_count;

    if (is_named(attribute, config.order_column)) {
        describe_column(target, attribute, &target->order);
        return;
    }
    if (is_named(attribute, contract::field_times_column) && attribute->atttypid == JSONBOID) {
        target->field_order = true;
        return;
    }
    if (is_computed(attribute) || is_in(config.kept_columns, NameStr(attribute->attname)))
        return;
    if (is_named(attribute, contract::extra_column) && attribute->atttypid == JSONBOID)
        target->extra = index;
    else if (is_named(attribute, config.mark_column))
        target->mark = index;
    describe_column(target, attribute, &target->columns[target->column_count++]);
}

int column_named(const Target *target, const char *name)
{
    for (int i = 0; i < target->column_count; i++) {
        if (strcmp(NameStr(target->columns[i].name), name) == 0)
            return i;
    }
    return -1;
}

/* ---- the key ---- */

bool describe_key(Target *target)
{
    ListCell *cell;

    target->keys = static_cast<KeyColumn *>(
        MemoryContextAllocZero(target->context, list_length(target->config.key_columns) * sizeof(KeyColumn)));
    foreach (cell, target->config.key_columns) {
        const char *name = static_cast<char *>(lfirst(cell));
        KeyColumn *key = &target->keys[target->key_count++];

        key->column = column_named(target, name);
        if (key->column < 0 || key->column == target->extra || key->column == target->mark)
            return refuse(target, ERRCODE_UNDEFINED_COLUMN, "A key consists of columns that events write.",
                          "table %s has no column \"%s\" that can be part of the key", target->table, name);
        const TargetColumn &column = target->columns[key->column];
        const TypeCacheEntry *type = lookup_type_cache(column.type, TYPECACHE_CMP_PROC | TYPECACHE_EQ_OPR);
        if (!OidIsValid(type->cmp_proc) || !OidIsValid(type->eq_opr) || column.cast_in_statement)
            return refuse(target, ERRCODE_WRONG_OBJECT_TYPE, "Keys are numbers, texts, uuids and the like.",
                          "column \"%s\" of table %s has a type that cannot be a key", name, target->table);
        key->equals = type->eq_opr;
        fmgr_info_cxt(type->cmp_proc, &key->compare, target->context);
    }
    if (target->key_count == 0)
        return refuse(target, ERRCODE_UNDEFINED_COLUMN, "A key consists of columns that events write.",
                      "target \"%s\" has no key", target->config.name);
    const TargetColumn &first = key_column(target, 0);
    target->text_key = target->key_count == 1 && first.plain_text && first.type == TEXTOID &&
                       get_collation_isdeterministic(first.collation);
    return true;
}

/* A unique index on just the key, which ON CONFLICT can use. */
bool spans_the_key(const Target *target, Relation index)
{
    Form_pg_index form = index->rd_index;

    if (!form->indisunique || !form->indisvalid || !form->indimmediate ||
        form->indnkeyatts != target->key_count)
        return false;
    /* not RelationGetIndexPredicate(): that calls the owner's functions */
    if (!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr))
        return false;
    for (int k = 0; k < target->key_count; k++) {
        bool is_there = false;

        for (int i = 0; i < form->indnkeyatts; i++)
            is_there |= form->indkey.values[i] == key_column(target, k).number;
        if (!is_there)
            return false;
    }
    return true;
}

bool has_unique_key(const Target *target, Relation relation)
{
    bool unique = false;
    List *indexes = RelationGetIndexList(relation);
    ListCell *cell;

    foreach (cell, indexes) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);

        unique |= spans_the_key(target, index);
        index_close(index, AccessShareLock);
    }
    list_free(indexes);
    return unique;
}

/* ---- the table ---- */

/* One that the sync writes for its own purposes. */
bool is_own_table(Form_pg_class form)
{
    static const char *const names[] = {"target_config", "field_map", "dead_letters", "tombstones",
                                        "schema_versions"};

    if (form->relnamespace != get_namespace_oid(extension_name, true))
        return false;
    for (const char *name : names) {
        if (strcmp(NameStr(form->relname), name) == 0)
            return true;
    }
    return false;
}

bool check_kind(Target *target, Relation relation)
{
    const Form_pg_class form = relation->rd_rel;

    if (form->relkind != RELKIND_RELATION && form->relkind != RELKIND_PARTITIONED_TABLE)
        return refuse(target, ERRCODE_WRONG_OBJECT_TYPE, "A target is an ordinary or a partitioned table.",
                      "%s is not a table", target->table);
    if (form->relpersistence != RELPERSISTENCE_PERMANENT)
        return refuse(target, ERRCODE_WRONG_OBJECT_TYPE,
                      form->relpersistence == RELPERSISTENCE_TEMP
                          ? "The worker cannot see it."
                          : "Its rows would not survive a crash. Run ALTER TABLE ... SET LOGGED.",
                      "table %s is %s", target->table,
                      form->relpersistence == RELPERSISTENCE_TEMP ? "temporary" : "unlogged");
    if (IsCatalogNamespace(form->relnamespace) || is_own_table(form))
        return refuse(target, ERRCODE_WRONG_OBJECT_TYPE, "Make a table of your own.",
                      "table %s belongs to the system", target->table);
    return true;
}

/* The worker writes as the owner, so the owner has to be somebody who may, and no more than that. */
bool check_no_superuser(Target *target)
{
    if (!superuser_arg(target->owner))
        return true;
    return refuse(target, ERRCODE_INSUFFICIENT_PRIVILEGE,
                  "Run ALTER TABLE ... OWNER TO cxone_sync, or to another role that is no superuser: its "
                  "triggers run as its owner.",
                  "table %s is owned by a superuser", target->table);
}

bool check_owner(Target *target, Relation relation)
{
    const bool deletes = target->config.delete_types != NIL && target->config.mark_column == nullptr;
    const AclMode needed = ACL_INSERT | ACL_UPDATE | ACL_SELECT | (deletes ? ACL_DELETE : 0);

    if (!check_no_superuser(target))
        return false;
    if (pg_class_aclmask(RelationGetRelid(relation), target->owner, needed, ACLMASK_ALL) != needed ||
        compat::schema_aclcheck(RelationGetNamespace(relation), target->owner, ACL_USAGE) != ACLCHECK_OK)
        return refuse(
            target, ERRCODE_INSUFFICIENT_PRIVILEGE,
            "Grant SELECT, INSERT, UPDATE (and DELETE for deletions) on the table and USAGE on its schema to "
            "the owner.",
            "the owner of table %s may not write it", target->table);
    return true;
}

bool check_order_column(Target *target)
{
    if (target->order.type == TIMESTAMPTZOID)
        return true;
    return refuse(target, ERRCODE_UNDEFINED_COLUMN, "Add the column, or change the target.",
                  "table %s has no column \"%s\" of type timestamptz", target->table,
                  target->config.order_column);
}

bool check_mark_column(Target *target)
{
    if (target->config.mark_column == nullptr ||
        (target->mark >= 0 && target->columns[target->mark].type == TIMESTAMPTZOID))
        return true;
    return refuse(target, ERRCODE_UNDEFINED_COLUMN, "Add the column, or change the target.",
                  "table %s has no column \"%s\" of type timestamptz for deletions", target->table,
                  target->config.mark_column);
}

/* Whether equal keys have the same text: tombstones are found by that. */
bool has_one_text(const TargetColumn &column)
{
    switch (column.base_type) {
    case TEXTOID:
    case VARCHAROID:
        return get_collation_isdeterministic(column.collation);
    case BOOLOID:
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case OIDOID:
    case DATEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
    case UUIDOID:
        return true;
    default:
        return type_is_enum(column.base_type);
    }
}

/* In field order what a deletion finds of an older time becomes what it is in a new row. */
bool check_resets(Target *target)
{
    for (int i = 0; target->field_order && i < target->column_count; i++) {
        const TargetColumn &column = target->columns[i];

        if (column.not_null && column.default_expression == nullptr && !is_key(target, &column))
            return refuse(target, ERRCODE_INVALID_TABLE_DEFINITION,
                          "Give the column a default, drop its NOT NULL, or use a mark_column.",
                          "column \"%s\" of table %s is NOT NULL and has no default, so a deletion that "
                          "comes late could not reset it",
                          NameStr(column.name), target->table);
    }
    return true;
}

bool check_deletions(Target *target)
{
    if (target->config.delete_types == NIL || target->mark >= 0)
        return true;
    for (int i = 0; i < target->key_count; i++) {
        if (!has_one_text(key_column(target, i)))
            return refuse(
                target, ERRCODE_WRONG_OBJECT_TYPE,
                "Use a key of integers, texts, uuids, dates, timestamps or enums, or a mark_column.",
                "column \"%s\" of table %s can hold equal keys that are written differently, so "
                "deletions cannot be kept",
                NameStr(key_column(target, i).name), target->table);
    }
    return check_resets(target);
}

bool check_unique_key(Target *target, Relation relation)
{
    if (has_unique_key(target, relation))
        return true;
    return refuse(target, ERRCODE_INVALID_OBJECT_DEFINITION,
                  "Add a primary key or a unique constraint, not deferrable, on the target's key columns.",
                  "table %s has no unique constraint on just its key", target->table);
}

bool check_mapped_columns(Target *target)
{
    ListCell *cell;

    foreach (cell, target->config.mapped_columns) {
        const char *name = static_cast<char *>(lfirst(cell));
        const int column = column_named(target, name);

        if (column >= 0 && (column == target->extra || column == target->mark))
            return refuse(target, ERRCODE_INVALID_COLUMN_REFERENCE, "Run cxone_sync.unmap_field().",
                          "column \"%s\" of table %s is not fed from a path", name, target->table);
        if (column < 0 && strcmp(name, target->config.order_column) != 0)
            return refuse(target, ERRCODE_UNDEFINED_COLUMN,
                          "Add the column, or run cxone_sync.unmap_field().",
                          "table %s has no column \"%s\" for what is mapped to it", target->table, name);
    }
    return true;
}

/* Citus lists its tables in a catalog of its own. */
bool is_distributed(Oid relation)
{
    const Oid list = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
    ScanKeyData key;

    if (!OidIsValid(list))
        return false;
    Relation tables = table_open(list, AccessShareLock);
    ScanKeyInit(&key, get_attnum(list, "logicalrelid"), BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(relation));
    SysScanDesc scan = systable_beginscan(tables, InvalidOid, false, nullptr, 1, &key);
    const bool found = HeapTupleIsValid(systable_getnext(scan));
    systable_endscan(scan);
    table_close(tables, AccessShareLock);
    return found;
}

void describe_table(Target *target, Relation relation)
{
    TupleDesc row = RelationGetDescr(relation);

    target->owner = relation->rd_rel->relowner;
    target->table = MemoryContextStrdup(
        target->context, quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                                    RelationGetRelationName(relation)));
    if (relation->rd_rel->relispartition)
        target->ancestors = get_partition_ancestors(RelationGetRelid(relation));
    /* those of partitions are not known here */
    target->has_triggers =
        relation->trigdesc != nullptr || relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
    target->has_insert_triggers =
        relation->trigdesc != nullptr && relation->trigdesc->trig_insert_before_row;
    target->is_distributed = is_distributed(RelationGetRelid(relation));
    target->columns = static_cast<TargetColumn *>(
        MemoryContextAllocZero(target->context, row->natts * sizeof(TargetColumn)));
    for (int i = 0; i < row->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(row, i);

        if (!attribute->attisdropped)
            take_column(target, attribute);
    }
    for (int i = 0; i < target->column_count; i++)
        target->columns[i].default_expression = default_of(relation, target->columns[i].number);
    (void)(check_kind(target, relation) && check_owner(target, relation) && check_order_column(target) &&
           describe_key(target) && check_mark_column(target) && check_deletions(target) &&
           check_unique_key(target, relation) && check_mapped_columns(target));
}

} // namespace

void set_problem(Target *target, int sqlerrcode, const char *message, const char *hint)
{
    TargetProblem &problem = target->problem;

    if (problem.sqlerrcode != 0)
        return;
    problem.sqlerrcode = sqlerrcode;
    clip_text(problem.message, sizeof(problem.message), message);
    clip_text(problem.hint, sizeof(problem.hint), hint);
}

void check_owner_again(Target *target)
{
    if (target->problem.sqlerrcode == 0)
        (void)check_no_superuser(target);
}

void describe_target(Target *target)
{
    Relation relation = try_relation_open(target->config.relation, NoLock);

    target->extra = target->mark = -1;
    target->table = MemoryContextStrdup(target->context, "");
    if (relation == nullptr) {
        refuse(target, ERRCODE_UNDEFINED_TABLE,
               "Run cxone_sync.change_target() with another table, or cxone_sync.remove_target().",
               "the table of target \"%s\" does not exist", target->config.name);
        return;
    }
    describe_table(target, relation);
    relation_close(relation, NoLock);
}

} // namespace cxone_sync
