#include "core/target_map.h"

#include "db/statements.h"

namespace cxone_sync {

namespace {

/*
 * True if two equal values of the column are the same bytes. Where they need not be (1.0 and 1.00, citext), a
 * row counts as changed when its bytes change.
 */
bool equal_means_identical(const TargetColumn *column)
{
    switch (column->type) {
    case TEXTOID:
    case VARCHAROID:
        return get_collation_isdeterministic(column->collation);
    case BOOLOID:
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case DATEOID:
    case TIMESTAMPTZOID:
    case UUIDOID:
        return true;
    default:
        return false;
    }
}

void append_difference(StringInfo sql, const TargetColumn *column)
{
    const char *name = quote_identifier(NameStr(column->name));

    /* the cast keeps the parser from comparing the rows column by column, with the column type's own *<> */
    if (equal_means_identical(column))
        appendStringInfo(sql, "t.%s IS DISTINCT FROM excluded.%s", name, name);
    else
        appendStringInfo(sql,
                         "ROW(t.%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) "
                         "ROW(excluded.%s)::pg_catalog.record",
                         name, name);
}

/* The parameter list unnest($1, $2, …) AS u(c1, c2, …) for `count` columns. */
void append_unnest(StringInfo sql, int count)
{
    appendStringInfoString(sql, " FROM unnest(");
    for (int i = 1; i <= count; i++)
        appendStringInfo(sql, "%s$%d", i > 1 ? ", " : "", i);
    appendStringInfoString(sql, ") AS u(");
    for (int i = 1; i <= count; i++)
        appendStringInfo(sql, "%sc%d", i > 1 ? ", " : "", i);
    appendStringInfoChar(sql, ')');
}

bool is_key(const Target *target, const TargetColumn *column)
{
    return strcmp(NameStr(column->name), NameStr(target->columns[target->key].name)) == 0;
}

const char *key_name(const Target *target)
{
    return quote_identifier(NameStr(target->columns[target->key].name));
}

const char *order_name(const Target *target)
{
    return quote_identifier(NameStr(target->order.name));
}

/* SELECT with a column for each parameter, of the target's names and types. */
void append_source(StringInfo sql, const TargetColumn *const *columns, int count)
{
    appendStringInfoString(sql, "SELECT ");
    for (int i = 0; i < count; i++) {
        appendStringInfo(sql, "%su.c%d", i > 0 ? ", " : "", i + 1);
        if (columns[i]->cast_in_statement)
            appendStringInfo(sql, "::%s", format_type_be_qualified(columns[i]->type));
        appendStringInfo(sql, " AS %s", quote_identifier(NameStr(columns[i]->name)));
    }
    append_unnest(sql, count);
}

/* What is set, from a row called excluded to one called t. */
void append_assignments(StringInfo sql, const Target *target, const TargetColumn *const *columns, int count)
{
    const char *separator = "";

    for (int i = 0; i < count; i++) {
        const char *name = quote_identifier(NameStr(columns[i]->name));

        if (is_key(target, columns[i]))
            continue;
        appendStringInfo(sql, "%s%s = excluded.%s", separator, name, name);
        separator = ", ";
    }
}

/* Time order wins, not arrival order; and what would not change is left alone. */
void append_conditions(StringInfo sql, const Target *target, const TargetColumn *const *columns, int count)
{
    const char *order = order_name(target);
    const char *separator = "";

    appendStringInfo(sql, "(t.%s IS NULL OR excluded.%s >= t.%s) AND (", order, order, order);
    for (int i = 0; i < count; i++) {
        if (is_key(target, columns[i]))
            continue;
        appendStringInfoString(sql, separator);
        append_difference(sql, columns[i]);
        separator = " OR ";
    }
    appendStringInfoChar(sql, ')');
}

} // namespace

char *upsert_statement(const Target *target, const TargetColumn *const *columns, int count)
{
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfo(&sql, "INSERT INTO %s AS t (", target->name);
    for (int i = 0; i < count; i++)
        appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", quote_identifier(NameStr(columns[i]->name)));
    appendStringInfoString(&sql, ") ");
    append_source(&sql, columns, count);
    appendStringInfo(&sql, " ON CONFLICT (%s) DO UPDATE SET ", key_name(target));
    append_assignments(&sql, target, columns, count);
    appendStringInfoString(&sql, " WHERE ");
    append_conditions(&sql, target, columns, count);
    return sql.data;
}

char *update_statement(const Target *target, const TargetColumn *const *columns, int count)
{
    StringInfoData sql;

    initStringInfo(&sql);
    appendStringInfo(&sql, "UPDATE %s AS t SET ", target->name);
    append_assignments(&sql, target, columns, count);
    appendStringInfoString(&sql, " FROM (");
    append_source(&sql, columns, count);
    appendStringInfo(&sql, ") AS excluded WHERE t.%s = excluded.%s AND ", key_name(target), key_name(target));
    append_conditions(&sql, target, columns, count);
    return sql.data;
}

char *overtaken_statement(const Target *target)
{
    return psprintf("SELECT u.number FROM unnest($1, $2) WITH ORDINALITY AS u(key, time, number) "
                    "JOIN %s AS t ON t.%s = u.key WHERE t.%s > u.time",
                    target->name, key_name(target), order_name(target));
}

char *lock_statement(const Target *target)
{
    return psprintf("SELECT FROM %s AS t WHERE t.%s = ANY ($1) FOR UPDATE", target->name, key_name(target));
}

} // namespace cxone_sync
