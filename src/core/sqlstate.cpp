#include "core/sqlstate.h"

namespace cxone_sync {

namespace {

struct KindOfPrefix {
    std::string_view prefix;
    ErrorKind kind;
};

/* PostgreSQL manual, appendix A. Single codes come before their classes. */
constexpr KindOfPrefix kinds[] = {
    {"55000", ErrorKind::extension}, /* object not in prerequisite state; of an event its target's fault */
    {"55006", ErrorKind::target},    /* object in use: by the session itself, which holds targets' tables */
    {"XX001", ErrorKind::server},    /* data corrupted */
    {"XX002", ErrorKind::server},    /* index corrupted */
    {"02", ErrorKind::target},       /* no data: no target takes the event */
    {"08", ErrorKind::passing},      /* connection exception, of a foreign table behind a trigger */
    {"09", ErrorKind::raised},       /* triggered action exception: it dropped the row */
    {"22", ErrorKind::value},        /* data exception */
    {"23", ErrorKind::constraint},   /* integrity constraint violation */
    {"25", ErrorKind::server},       /* invalid transaction state: read-only */
    {"27", ErrorKind::raised},       /* triggered data change violation: it changed the key or the time */
    {"3F", ErrorKind::target},       /* invalid schema name */
    {"40", ErrorKind::race},         /* transaction rollback: deadlock, serialization */
    {"42", ErrorKind::target},       /* undefined, or not allowed */
    {"53", ErrorKind::server},       /* insufficient resources: disk full, out of memory, out of xids */
    {"55", ErrorKind::passing},      /* lock not available */
    {"57", ErrorKind::passing},      /* operator intervention: cancel, shutdown */
    {"58", ErrorKind::server},       /* system error: I/O */
    {"72", ErrorKind::passing},      /* snapshot too old */
    {"P0", ErrorKind::raised},       /* PL/pgSQL error: RAISE */
    {"XX", ErrorKind::internal},
};

} // namespace

ErrorKind kind_of_error(std::string_view sqlstate) noexcept
{
    for (const KindOfPrefix &entry : kinds) {
        if (sqlstate.starts_with(entry.prefix))
            return entry.kind;
    }
    return ErrorKind::other;
}

} // namespace cxone_sync
