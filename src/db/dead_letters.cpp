#include "core/delivery.h"

#include "db/dead_letters.h"
#include "db/identity.h"

namespace cxone_sync {

namespace {

constexpr const char *statement =
    "INSERT INTO cxone_sync.dead_letters "
    "(received_at, target, event_key, event_time, sqlstate, message, column_name, payload) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

Datum text_datum(std::string_view text)
{
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

char null_if(bool is_null)
{
    return is_null ? 'n' : ' ';
}

Oid owner_of(Oid relation)
{
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));

    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for relation %u", relation);
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

Oid dead_letters_owner()
{
    const Oid schema = get_namespace_oid("cxone_sync", false);
    const Oid table = get_relname_relid("dead_letters", schema);

    if (!OidIsValid(table))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("table \"cxone_sync.dead_letters\" does not exist"),
                        errhint("It may have been renamed: give it its name back.")));
    const Oid owner = owner_of(table);
    if (superuser_arg(owner))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("table \"cxone_sync.dead_letters\" is owned by a superuser"),
                        errhint("Run ALTER TABLE cxone_sync.dead_letters OWNER TO cxone_sync.")));
    return owner;
}

} // namespace

void add_dead_letter(const Delivery *delivery, Event *event, const char *target, const char *sqlstate,
                     std::string_view message, std::string_view column)
{
    static SPIPlanPtr plan = nullptr;
    Oid types[] = {TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
    Datum values[] = {TimestampTzGetDatum(delivery->received),
                      CStringGetTextDatum(target),
                      text_datum(event->key),
                      TimestampTzGetDatum(event->time),
                      CStringGetTextDatum(sqlstate),
                      text_datum(message),
                      text_datum(column),
                      text_datum(event->raw)};
    const char nulls[] = {' ', ' ', null_if(event->key.empty()), null_if(!event->has_time),
                          ' ', ' ', null_if(column.empty()),     ' '};

    const SavedIdentity saved = as_owner(dead_letters_owner());
    if (plan == nullptr) {
        SPIPlanPtr prepared = SPI_prepare(statement, lengthof(types), types);

        if (prepared == nullptr || SPI_keepplan(prepared) != 0)
            elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
        plan = prepared;
    }
    const int result = SPI_execute_plan(plan, values, nulls, false, 0);
    if (result != SPI_OK_INSERT)
        elog(ERROR, "could not write a dead letter: %s", SPI_result_code_string(result));
    back_to(saved);
    event->outcome = Outcome::dead_lettered;
}

bool is_transient(int sqlerrcode)
{
    switch (ERRCODE_TO_CATEGORY(sqlerrcode)) {
    case MAKE_SQLSTATE('0', '8', '0', '0',
                       '0'): /* connection exception, of a foreign table behind a trigger */
    case MAKE_SQLSTATE('2', '5', '0', '0', '0'): /* invalid transaction state: read-only */
    case MAKE_SQLSTATE('4', '0', '0', '0', '0'): /* transaction rollback: deadlock, serialization */
    case MAKE_SQLSTATE('5', '3', '0', '0', '0'): /* insufficient resources: disk full, out of memory */
    case MAKE_SQLSTATE('5', '5', '0', '0', '0'): /* object not in prerequisite state: lock not available */
    case MAKE_SQLSTATE('5', '7', '0', '0', '0'): /* operator intervention: cancel, shutdown */
    case MAKE_SQLSTATE('5', '8', '0', '0', '0'): /* system error: I/O */
        return true;
    default:
        return false;
    }
}

} // namespace cxone_sync
