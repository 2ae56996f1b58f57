#include "db/identity.h"
#include "db/spi.h"
extern "C" {
#include "commands/trigger.h"
#include "libpq/be-fsstubs.h"
#include "postmaster/bgworker.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/portal.h"
#include "utils/rls.h"
#include "utils/xml.h"
}

namespace cxone_sync {

namespace {

/* What of the session is out of owners' reach, and where in their code. */
struct Apart {
    List *cursors; /* of Portal */
    bool is_restricted;
    int trigger_depth;
    const Apart *outer;
};

const Apart *current_apart = nullptr;

bool is_restricted()
{
    Oid user;
    int security_context;

    GetUserIdAndSecContext(&user, &security_context);
    return (security_context & SECURITY_RESTRICTED_OPERATION) != 0;
}

int trigger_depth()
{
    return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, 0));
}

/* Those that could be fetched from; names are all that PostgreSQL tells of them. A worker has none. */
List *find_cursors()
{
    static SPIPlanPtr plan = nullptr;
    MemoryContext caller_context = CurrentMemoryContext;
    List *cursors = NIL;

    if (MyBgworkerEntry != nullptr && !is_restricted())
        return NIL;
    connect_spi();
    if (plan == nullptr)
        plan = prepare_spi("SELECT name FROM pg_catalog.pg_cursor()", 0, nullptr);
    run_spi(plan, nullptr, nullptr, SPI_OK_SELECT);
    MemoryContextSwitchTo(caller_context);
    for (uint64 i = 0; i < SPI_processed; i++) {
        Portal portal = GetPortalByName(SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));

        if (PortalIsValid(portal) && portal->status == PORTAL_READY)
            cursors = lappend(cursors, portal);
    }
    SPI_finish();
    return cursors;
}

/* Nobody can fetch from a cursor that is at work, or close it. */
void set_status(const List *cursors, PortalStatus status)
{
    const ListCell *cell;

    foreach (cell, cursors)
        static_cast<Portal>(lfirst(cell))->status = status;
}

void begin_apart(Apart *apart)
{
    apart->cursors = find_cursors();
    apart->is_restricted = is_restricted();
    apart->trigger_depth = trigger_depth();
    apart->outer = current_apart;
    AtEOXact_LargeObject(true);
    current_apart = apart;
    set_status(apart->cursors, PORTAL_ACTIVE);
}

void close_what_is_open()
{
    PortalHashTableDeleteAll();
    AtEOXact_LargeObject(true);
}

/* To be called before the transaction is aborted, which treats cursors by their state. */
void end_apart(const Apart *apart)
{
    set_status(apart->cursors, PORTAL_READY);
    current_apart = apart->outer;
}

} // namespace

void run_apart_from_session(void (*work)(void *), void *argument)
{
    Apart apart;

    begin_apart(&apart);
    PG_TRY();
    {
        work(argument);
        close_what_is_open();
    }
    PG_FINALLY();
    {
        end_apart(&apart);
    }
    PG_END_TRY();
}

void pin_setting(const char *name, const char *value)
{
    (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

SavedIdentity as_owner(Oid owner)
{
    SavedIdentity saved;

    GetUserIdAndSecContext(&saved.user, &saved.security_context);
    SetUserIdAndSecContext(owner, saved.security_context | SECURITY_LOCAL_USERID_CHANGE |
                                      SECURITY_RESTRICTED_OPERATION);
    saved.settings_level = NewGUCNestLevel();
    pin_setting("search_path", "pg_catalog, pg_temp");
    if (!Array_nulls)
        pin_setting("array_nulls", "on");
    if (!row_security)
        pin_setting("row_security", "on");
    if (IntervalStyle != INTSTYLE_POSTGRES)
        pin_setting("intervalstyle", "postgres");
    if (xmloption != XMLOPTION_CONTENT)
        pin_setting("xmloption", "content");
    if (extra_float_digits < 1)
        pin_setting("extra_float_digits", "1");
    return saved;
}

void back_to(const SavedIdentity &saved)
{
    AtEOXact_GUC(false, saved.settings_level);
    SetUserIdAndSecContext(saved.user, saved.security_context);
    /* not in the middle of an owner's code that has us look at something */
    if (current_apart != nullptr && current_apart->is_restricted == is_restricted() &&
        current_apart->trigger_depth == trigger_depth())
        close_what_is_open();
}

} // namespace cxone_sync
