#include "core/json_pointer.h"
#include "core/mapping.h"
#include "core/pointer_meant.h"
#include "cxone/contract.h"

#include <algorithm>
#include <cstdarg>

#include "db/catalog_scan.h"
#include "db/errors.h"
#include "db/extension.h"
#include "db/guard.h"
#include "db/identity.h"
#include "db/names.h"
#include "db/near_miss.h"
#include "db/surroundings.h"
#include "db/text.h"
extern "C" {
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"
}

namespace cxone_sync {

namespace {

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

/*
 * The fields of a row type that hold values which are rewritten. Whoever changes the type, or the table whose
 * rows it describes, has a lock on it that is not waited for.
 */
List *inner_values_of_row(Target *target, Oid row_type)
{
    List *fields = NIL;
    const Oid relation = get_typ_typrelid(row_type);

    if (!OidIsValid(relation))
        return NIL; /* of no particular type */
    if (!ConditionalLockRelationOid(relation, AccessShareLock)) {
        target->is_locked = true;
        target->blocker = relation;
        return NIL;
    }
    TupleDesc row = lookup_rowtype_tupdesc(row_type, -1);
    UnlockRelationOid(relation, AccessShareLock);
    target->relations = list_append_unique_oid(target->relations, relation);
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

/* What stands in the second list where the first one has the name; null: it has not. */
void *beside(const List *names, const char *name, const List *others)
{
    for (int i = 0; i < list_length(names); i++) {
        if (strcmp(static_cast<char *>(list_nth(names, i)), name) == 0)
            return list_nth(others, i);
    }
    return nullptr;
}

List *paths_for(const TargetConfig &config, const char *column)
{
    return static_cast<List *>(beside(config.mapped_columns, column, config.mapped_paths));
}

/* Whether the type is a domain that refuses nulls, or stands on one that does. Their changes concern us. */
bool is_domain_without_nulls(Target *target, Oid type)
{
    bool refuses = false;

    while (get_typtype(type) == TYPTYPE_DOMAIN) {
        HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

        if (!HeapTupleIsValid(tuple))
            break;
        watch(target, TYPEOID, type);
        refuses |= reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typnotnull;
        type = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typbasetype;
        ReleaseSysCache(tuple);
    }
    return refuses;
}

bool refuses_null(Target *target, Form_pg_attribute attribute)
{
    return is_domain_without_nulls(target, attribute->atttypid) || attribute->attnotnull;
}

char *lasting_name_of(const TargetConfig &config, const char *column)
{
    void *lasting = beside(config.renamed_columns, column, config.lasting_names);

    return lasting != nullptr ? static_cast<char *>(lasting) : pstrdup(column);
}

void describe_column(Target *target, Form_pg_attribute attribute, TargetColumn *column)
{
    Oid input_function;

    column->name = attribute->attname;
    column->number = attribute->attnum;
    column->type = attribute->atttypid;
    column->base_type = getBaseType(attribute->atttypid);
    watch(target, TYPEOID, column->type);
    column->collation = attribute->attcollation;
    column->typmod = attribute->atttypmod;
    column->not_null = refuses_null(target, attribute);
    column->plain_text = column->type == TEXTOID || (column->type == VARCHAROID && column->typmod < 0);
    column->shape = shape_of(column->base_type);
    column->paths = paths_for(target->config, NameStr(attribute->attname));
    column->lasting_name = lasting_name_of(target->config, NameStr(attribute->attname));
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

/* As SQL. An identity column has that of its sequence. */
void describe_default(Relation relation, TargetColumn *column)
{
    Node *expression = build_column_default(relation, column->number);

    if (expression == nullptr)
        return;
    column->default_is_fixed = !contain_mutable_functions(expression);
    column->default_expression = deparse_expression(
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
    if (is_field_times(attribute)) {
        target->field_order = true;
        return;
    }
    if (is_computed(attribute) || is_in(config.kept_columns, NameStr(attribute->attname))) {
        target->kept_names =
            lappend(target->kept_names, lasting_name_of(config, NameStr(attribute->attname)));
        return;
    }
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

/* ---- columns that somebody named ---- */

/* Null: there is none. */
Form_pg_attribute attribute_named(Relation relation, const char *name)
{
    const AttrNumber number = get_attnum(RelationGetRelid(relation), name);

    return number > 0 ? TupleDescAttr(RelationGetDescr(relation), number - 1) : nullptr;
}

/* A hint with the column that somebody may have meant who wrote `name`; else `otherwise`. */
const char *meant_or(Relation relation, const char *name, const char *otherwise)
{
    const char *hint = hint_of_column(relation, name);

    return hint != nullptr ? hint : otherwise;
}

/* Why events do not feed the column as others: what it is; null: they do. */
const char *special_role(const Target *target, Form_pg_attribute attribute)
{
    const TargetConfig &config = target->config;

    if (is_named(attribute, config.order_column))
        return "is its order column";
    if (is_named(attribute, config.mark_column))
        return "is its mark column";
    if (is_field_times(attribute))
        return "holds the times of fields";
    if (attribute->attgenerated != '\0')
        return "is generated";
    if (attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
        return "is generated always as identity";
    if (is_in(config.kept_columns, NameStr(attribute->attname)))
        return "is kept from events";
    if (is_named(attribute, contract::extra_column) && attribute->atttypid == JSONBOID)
        return "holds what no column takes";
    return nullptr;
}

/* ---- the key ---- */

constexpr const char *hint_for_keys = "A key consists of columns that events write.";

bool check_key_column(Target *target, Relation relation, const char *name)
{
    const Form_pg_attribute attribute = attribute_named(relation, name);

    if (attribute == nullptr)
        return refuse(target, ERRCODE_UNDEFINED_COLUMN, meant_or(relation, name, hint_for_keys),
                      "key column \"%s\" of table %s does not exist", name, target->table);
    const char *role = special_role(target, attribute);
    if (role != nullptr)
        return refuse(target, ERRCODE_INVALID_COLUMN_REFERENCE, hint_for_keys,
                      "key column \"%s\" of table %s %s", name, target->table, role);
    if (is_in(paths_for(target->config, name), ""))
        return refuse(target, ERRCODE_INVALID_PARAMETER_VALUE,
                      "Keys are strings and numbers: run cxone_sync.map_field() with the path of a member.",
                      "key column \"%s\" of table %s is fed from the whole event", name, target->table);
    for (int k = 0; k < target->key_count; k++) {
        if (key_column(target, k).number == attribute->attnum)
            return refuse(target, ERRCODE_DUPLICATE_COLUMN, "Name it once.",
                          "key column \"%s\" of table %s is named twice", name, target->table);
    }
    return true;
}

/*
 * The columns of these names, or of these lasting names, in the order of the table: a key is one, however
 * somebody lists its columns.
 */
List *key_of(const Target *target, const List *names, bool are_lasting)
{
    List *key = NIL;

    for (int i = 0; i < target->column_count; i++) {
        const TargetColumn &column = target->columns[i];

        if (is_in(names, are_lasting ? column.lasting_name : NameStr(column.name)) &&
            !column.cast_in_statement)
            key = lappend_int(key, i);
    }
    return list_length(key) == list_length(names) ? key : NIL;
}

/* A key of which the target's events cannot have all columns tells nothing of them. */
void add_deletion_keys(Target *target, const List *keys, bool are_lasting)
{
    for (const auto *names : Each<List *>(keys)) {
        List *key = key_of(target, names, are_lasting);

        if (key != NIL && !list_member(target->deletion_keys, key))
            target->deletion_keys = lappend(target->deletion_keys, key);
    }
}

void find_deletion_keys(Target *target)
{
    target->deletion_keys = list_make1(key_of(target, target->config.key_columns, false));
    add_deletion_keys(target, target->config.deletion_keys, false);
    add_deletion_keys(target, target->config.tombstone_keys, true);
}

bool describe_key(Target *target, Relation relation)
{
    target->keys = static_cast<KeyColumn *>(
        MemoryContextAllocZero(target->context, list_length(target->config.key_columns) * sizeof(KeyColumn)));
    for (const auto *name : Each<char *>(target->config.key_columns)) {
        KeyColumn *key = &target->keys[target->key_count];

        if (!check_key_column(target, relation, name))
            return false;
        target->key_count++;
        key->column = column_named(target, name);
        const TargetColumn &column = target->columns[key->column];
        /* not even looked at: that would take a lock on the row type */
        const TypeCacheEntry *type =
            column.cast_in_statement ? nullptr
                                     : lookup_type_cache(column.type, TYPECACHE_CMP_PROC | TYPECACHE_EQ_OPR);
        /* the operators of enums take no domain */
        const bool is_enum = column.type != column.base_type && type_is_enum(column.base_type);
        if (type == nullptr || !OidIsValid(type->cmp_proc) || !OidIsValid(type->eq_opr) || is_enum)
            return refuse(target, ERRCODE_WRONG_OBJECT_TYPE, "Keys are numbers, texts, uuids and the like.",
                          "column \"%s\" of table %s has a type that cannot be a key", name, target->table);
        key->equals = type->eq_opr;
        fmgr_info_cxt(type->cmp_proc, &key->compare, target->context);
    }
    if (target->key_count == 0)
        return refuse(target, ERRCODE_UNDEFINED_COLUMN, hint_for_keys, "target \"%s\" has no key",
                      target->config.name);
    find_deletion_keys(target);
    const TargetColumn &first = key_column(target, 0);
    target->text_key = target->key_count == 1 && first.plain_text && first.type == TEXTOID &&
                       get_collation_isdeterministic(first.collation);
    return true;
}

/* ---- the table ---- */

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
                          : psprintf("Its rows would not survive a crash. Run ALTER TABLE %s SET LOGGED.",
                                     target->table),
                      "table %s is %s", target->table,
                      form->relpersistence == RELPERSISTENCE_TEMP ? "temporary" : "unlogged");
    if (IsCatalogNamespace(form->relnamespace) || is_member(RelationRelationId, RelationGetRelid(relation)))
        return refuse(target, ERRCODE_WRONG_OBJECT_TYPE, "Make a table of your own.",
                      "table %s belongs to the system", target->table);
    return true;
}

/* The worker writes as the owner, so the owner has to be somebody who may, and no more than that. */
bool check_owner(Target *target, Relation relation)
{
    const AclMode needed = ACL_INSERT | ACL_UPDATE | ACL_SELECT | (deletes_rows(target) ? ACL_DELETE : 0);

    if (superuser_arg(target->owner))
        return refuse(
            target, ERRCODE_INSUFFICIENT_PRIVILEGE,
            psprintf("Run ALTER TABLE %s OWNER TO cxone_sync, or to another role that is no superuser: its "
                     "triggers run as its owner.",
                     target->table),
            "table %s is owned by a superuser", target->table);
    if (pg_class_aclmask(RelationGetRelid(relation), target->owner, needed, ACLMASK_ALL) != needed ||
        compat::schema_aclcheck(RelationGetNamespace(relation), target->owner, ACL_USAGE) != ACLCHECK_OK)
        return refuse(
            target, ERRCODE_INSUFFICIENT_PRIVILEGE,
            "Grant SELECT, INSERT, UPDATE (and DELETE for deletions) on the table and USAGE on its schema to "
            "the owner.",
            "the owner of table %s may not write it", target->table);
    if ((target->field_order || target->extra >= 0) &&
        compat::schema_aclcheck(get_namespace_oid(extension_name, false), target->owner, ACL_USAGE) !=
            ACLCHECK_OK)
        return refuse(target, ERRCODE_INSUFFICIENT_PRIVILEGE,
                      psprintf("Run GRANT USAGE ON SCHEMA %s TO %s.", extension_name,
                               quote_identifier(GetUserNameFromId(target->owner, false))),
                      "the owner of table %s may not use schema %s, whose functions write column \"%s\"",
                      target->table, extension_name,
                      target->field_order ? contract::field_times_column : contract::extra_column);
    return true;
}

/* The order column, or the one for marks: a time is written there, and read back as it was. */
bool check_time_column(Target *target, Relation relation, const char *what, const char *name)
{
    const Form_pg_attribute attribute = attribute_named(relation, name);

    if (attribute == nullptr)
        return refuse(target, ERRCODE_UNDEFINED_COLUMN,
                      meant_or(relation, name,
                               psprintf("Add it as timestamptz, or name another one as %s_column.", what)),
                      "%s column \"%s\" of table %s does not exist", what, name, target->table);
    const char *type = format_type_with_typemod(attribute->atttypid, attribute->atttypmod);
    if (attribute->atttypid != TIMESTAMPTZOID)
        return refuse(target, ERRCODE_DATATYPE_MISMATCH, "It has to be timestamp with time zone.",
                      "%s column \"%s\" of table %s has type %s", what, name, target->table, type);
    if (attribute->atttypmod >= 0 && attribute->atttypmod < MAX_TIMESTAMP_PRECISION)
        return refuse(target, ERRCODE_DATATYPE_MISMATCH,
                      "It has to be timestamp with time zone without a precision: a time that was rounded is "
                      "another one.",
                      "%s column \"%s\" of table %s has type %s", what, name, target->table, type);
    if (attribute->attgenerated != '\0')
        return refuse(target, ERRCODE_INVALID_COLUMN_REFERENCE, "Name a column that can be written.",
                      "%s column \"%s\" of table %s is generated", what, name, target->table);
    if (is_in(target->config.kept_columns, name))
        return refuse(target, ERRCODE_INVALID_COLUMN_REFERENCE, "Take it out of kept_columns.",
                      "%s column \"%s\" of table %s is kept from events", what, name, target->table);
    return true;
}

bool check_order_column(Target *target, Relation relation)
{
    return check_time_column(target, relation, "order", target->config.order_column);
}

bool check_mark_column(Target *target, Relation relation)
{
    const char *name = target->config.mark_column;

    if (name == nullptr)
        return true;
    if (!check_time_column(target, relation, "mark", name))
        return false;
    if (strcmp(name, target->config.order_column) == 0)
        return refuse(target, ERRCODE_INVALID_COLUMN_REFERENCE, "Add another column for marks.",
                      "mark column \"%s\" of table %s is its order column", name, target->table);
    if (attribute_named(relation, name)->attnotnull)
        return refuse(
            target, ERRCODE_INVALID_TABLE_DEFINITION,
            psprintf("Rows that are not deleted have no mark. Run ALTER TABLE %s ALTER COLUMN %s DROP "
                     "NOT NULL.",
                     target->table, quote_identifier(name)),
            "mark column \"%s\" of table %s is NOT NULL", name, target->table);
    return true;
}

bool check_may_be_null(Target *target, Relation relation, const char *name)
{
    if (!attribute_named(relation, name)->attnotnull)
        return true;
    return refuse(target, ERRCODE_INVALID_TABLE_DEFINITION,
                  psprintf("Run ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL.", target->table, name),
                  "column \"%s\" of table %s is NOT NULL", name, target->table);
}

/* What is worked out for each row may be anything; a constant is what it is. */
bool check_default_is_object(Target *target, Relation relation, const char *name)
{
    Node *expression = build_column_default(relation, attribute_named(relation, name)->attnum);
    const auto *constant = expression != nullptr && IsA(expression, Const)
                               ? reinterpret_cast<const Const *>(expression)
                               : nullptr;

    if (constant == nullptr || constant->constisnull ||
        JB_ROOT_IS_OBJECT(DatumGetJsonbP(constant->constvalue)))
        return true;
    return refuse(target, ERRCODE_INVALID_TABLE_DEFINITION,
                  psprintf("Run ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT.", target->table, name),
                  "column \"%s\" of table %s has a default that is no JSON object", name, target->table);
}

bool check_own_column(Target *target, Relation relation, const char *name)
{
    return check_may_be_null(target, relation, name) && check_default_is_object(target, relation, name);
}

/* Null there means that all fields have the row's time, and that no members are left. */
bool check_own_columns(Target *target, Relation relation)
{
    return (!target->field_order || check_own_column(target, relation, contract::field_times_column)) &&
           (target->extra < 0 || check_own_column(target, relation, contract::extra_column));
}

/* What was a slip when it was configured may be a column that was dropped, later. */
void check_kept_columns(Target *target, Relation relation)
{
    for (const auto *name : Each<char *>(target->config.kept_columns)) {
        const Form_pg_attribute attribute = attribute_named(relation, name);

        if (attribute == nullptr) {
            const char *message =
                psprintf("kept column \"%s\" of table %s does not exist", name, target->table);

            set_problem(target->slip, ERRCODE_UNDEFINED_COLUMN, message,
                        meant_or(relation, name, "Take it out of kept_columns, or add it."));
            warn(target, "%s", message);
        } else if (refuses_null(target, attribute) && !target->inserts_cost && !is_computed(attribute) &&
                   build_column_default(relation, attribute->attnum) == nullptr) {
            warn(target,
                 "no event can make a row of table %s: kept column \"%s\" is NOT NULL and has no default",
                 target->table, name);
        }
    }
}

/* An event writes a row or deletes one. */
bool check_types(Target *target)
{
    for (const auto *type : Each<char *>(target->config.delete_types)) {
        if (is_in(target->config.event_types, type))
            return refuse(target, ERRCODE_INVALID_PARAMETER_VALUE, "Take it out of one of them.",
                          "type \"%s\" is in event_types and in delete_types of target \"%s\"", type,
                          target->config.name);
    }
    return true;
}

/* ---- paths ---- */

/* As much of a text as a message has room for. */
const char *beginning_of(const char *text)
{
    char beginning[100];

    if (strlen(text) < sizeof(beginning))
        return text;
    clip_text(beginning, sizeof(beginning), text);
    return psprintf("%s...", beginning);
}

/* `what` it is and `whose`. Columns may be added: a root leaves room for any of their names. */
bool check_path(Target *target, const char *what, const char *path, const char *whose, bool is_root)
{
    bool is_pointer = false;
    bool has_room = true;
    char meant[128] = "";

    call_cpp([&] {
        is_pointer = parse_json_pointer(path).has_value();
        /* each byte of a name takes two in a pointer at most */
        if (is_root)
            has_room = parse_json_pointer(path + std::string("/") + std::string(2 * (NAMEDATALEN - 1), 'n'))
                           .has_value();
        strlcpy(meant, json_pointer_meant(path).c_str(), sizeof(meant));
    });
    if (is_pointer && has_room)
        return true;
    if (is_pointer || (path[0] == '/' && meant[0] == '\0'))
        return refuse(target, ERRCODE_INVALID_PARAMETER_VALUE,
                      is_root ? "It has 63 steps and 873 bytes at most."
                              : "It has 64 steps and 1000 bytes at most.",
                      "%s \"%s\"%s is too long", what, beginning_of(path), whose);
    return refuse(target, ERRCODE_INVALID_PARAMETER_VALUE,
                  meant[0] != '\0' ? psprintf("Write %s.", meant)
                                   : "JSON pointers (RFC 6901) look like /case/id.",
                  "%s \"%s\"%s is not a JSON pointer", what, beginning_of(path), whose);
}

bool check_mapped_paths(Target *target)
{
    ListCell *name;
    ListCell *paths;

    forboth(name, target->config.mapped_columns, paths, target->config.mapped_paths)
    {
        const char *whose = psprintf(" of column \"%s\"", static_cast<char *>(lfirst(name)));

        for (const auto *path : Each<char *>(static_cast<List *>(lfirst(paths)))) {
            if (!check_path(target, "path", path, whose, false))
                return false;
        }
    }
    return true;
}

bool check_paths(Target *target)
{
    return check_path(target, "type_path", target->config.type_path, "", false) &&
           check_path(target, "root_path", target->config.root_path, "", true) && check_mapped_paths(target);
}

/* ---- deletions ---- */

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
    if (!deletes_rows(target))
        return true;
    for (int i = 0; i < target->key_count; i++) {
        if (!has_one_form(key_column(target, i)))
            return refuse(
                target, ERRCODE_WRONG_OBJECT_TYPE,
                "Use a key of integers, texts, uuids, dates, timestamps or enums, or a mark_column.",
                "column \"%s\" of table %s can hold equal keys that are written differently, so "
                "deletions cannot be kept",
                NameStr(key_column(target, i).name), target->table);
    }
    return check_resets(target);
}

bool check_mapped_columns(Target *target, Relation relation)
{
    for (const auto *name : Each<char *>(target->config.mapped_columns)) {
        const Form_pg_attribute attribute = attribute_named(relation, name);

        if (attribute == nullptr)
            return refuse(target, ERRCODE_UNDEFINED_COLUMN,
                          meant_or(relation, name, "Add it, or run cxone_sync.unmap_field()."),
                          "column \"%s\" of table %s does not exist", name, target->table);
        const char *role = special_role(target, attribute);
        if (role != nullptr && !is_named(attribute, target->config.order_column))
            return refuse(target, ERRCODE_INVALID_COLUMN_REFERENCE, "Run cxone_sync.unmap_field().",
                          "column \"%s\" of table %s %s", name, target->table, role);
    }
    return true;
}

/* Citus lists its tables in a catalog of its own. */
bool is_distributed(Oid relation)
{
    const Oid list = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
    bool found = false;

    if (OidIsValid(list))
        for_each_row(list, InvalidOid, get_attnum(list, "logicalrelid"), relation,
                     [&found](HeapTuple, TupleDesc) { found = true; });
    return found;
}

void describe_table(Target *target, Relation relation)
{
    TupleDesc row = RelationGetDescr(relation);

    target->owner = relation->rd_rel->relowner;
    watch(target, AUTHOID, target->owner);
    target->table = MemoryContextStrdup(
        target->context, quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                                    RelationGetRelationName(relation)));
    note_names(target, relation);
    if (relation->rd_rel->relispartition)
        target->ancestors = get_partition_ancestors(RelationGetRelid(relation));
    target->has_insert_triggers = relation->trigdesc != nullptr && relation->trigdesc->trig_insert_before_row;
    target->is_distributed = is_distributed(RelationGetRelid(relation));
    target->columns = static_cast<TargetColumn *>(
        MemoryContextAllocZero(target->context, row->natts * sizeof(TargetColumn)));
    for (int i = 0; i < row->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(row, i);

        if (!attribute->attisdropped)
            take_column(target, attribute);
    }
    for (int i = 0; i < target->column_count; i++)
        describe_default(relation, &target->columns[i]);
    find_parts(target, relation);
    if (check_kind(target, relation) && check_parts(target, relation) && check_rules(target, relation) &&
        check_owner(target, relation) && check_row_security(target, relation) && check_types(target) &&
        check_paths(target) && check_order_column(target, relation) && describe_key(target, relation) &&
        check_mark_column(target, relation) && check_own_columns(target, relation) &&
        check_deletions(target) && check_unique_key(target, relation) &&
        check_mapped_columns(target, relation) && check_publications(target, relation) &&
        check_expressions(target, relation)) {
        describe_surroundings(target, relation);
        check_kept_columns(target, relation);
    }
}

void describe_present(Target *target)
{
    Relation relation = try_relation_open(target->config.relation, NoLock);

    if (relation == nullptr) {
        refuse(target, ERRCODE_UNDEFINED_TABLE,
               "Run cxone_sync.change_target() with another table, or cxone_sync.remove_target().",
               "the table of target \"%s\" does not exist", target->config.name);
        return;
    }
    describe_table(target, relation);
    relation_close(relation, NoLock);
}

/* What was found of it before an error was in the way. */
void forget_description(Target *target)
{
    target->column_count = target->key_count = target->part_count = 0;
    target->extra = target->mark = -1;
    target->table = target->config.name;
    target->blocker = InvalidOid;
}

} // namespace

void watch(Target *target, int cache, Oid object)
{
    const auto hash = static_cast<int>(GetSysCacheHashValue1(cache, ObjectIdGetDatum(object)));

    target->hashes = list_append_unique_int(target->hashes, hash);
}

bool is_in(const List *names, const char *name)
{
    for (const auto *one : Each<char *>(names)) {
        if (strcmp(one, name) == 0)
            return true;
    }
    return false;
}

bool has_one_form(const TargetColumn &column)
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

bool is_field_times(Form_pg_attribute attribute)
{
    return is_named(attribute, contract::field_times_column) && attribute->atttypid == JSONBOID &&
           !is_computed(attribute);
}

bool refuse(Target *target, int sqlerrcode, const char *hint, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    set_problem(target->problem, sqlerrcode, text, hint);
    return false;
}

void set_problem(TargetProblem &problem, int sqlerrcode, const char *message, const char *hint)
{
    if (problem.sqlerrcode != 0)
        return;
    problem.sqlerrcode = sqlerrcode;
    clip_text(problem.message, sizeof(problem.message), message);
    clip_text(problem.hint, sizeof(problem.hint), hint);
}

void raise_problem(const TargetProblem &problem)
{
    if (problem.sqlerrcode != 0)
        ereport(ERROR,
                (errcode(problem.sqlerrcode), errmsg("%s", problem.message), errhint("%s", problem.hint)));
}

/*
 * Nor are other locks waited for, as on a row type that a default uses: a millisecond is the least that
 * lock_timeout can be. It is the subtransaction that lets go of what a look has opened. What PostgreSQL
 * cannot read of a table, such as an expression that is too deep, is this target's problem and no other's.
 */
void describe_target(Target *target)
{
    PgError error;

    target->extra = target->mark = -1;
    target->table = MemoryContextStrdup(target->context, "");
    const bool ok = in_any_subtransaction(CurrentMemoryContext, error, [target] {
        pin_setting("lock_timeout", "1");
        (void)pin_text_forms(); /* a default is kept as a text, and read under other settings */
        describe_present(target);
    });
    if (ok)
        return;
    forget_description(target);
    target->is_locked = error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
    if (target->is_locked)
        return;
    if (is_transient(error.sqlerrcode))
        raise(error);
    target->is_uncertain = true;
    refuse(target, error.sqlerrcode,
           error.hint[0] != '\0' ? error.hint : "See what its columns, defaults and constraints are made of.",
           "the table of target \"%s\" cannot be described: %s", target->config.name, error.message);
}

} // namespace cxone_sync
