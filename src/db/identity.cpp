#include "db/identity.h"
extern "C" {
#include "libpq/be-fsstubs.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/portal.h"
#include "utils/rls.h"
#include "utils/xml.h"
}

namespace cxone_sync {

namespace {

bool keeps_owners_apart = false;

/* What a session has by a name or a number, whoever has made it. */
void close_what_is_open()
{
    PortalHashTableDeleteAll();
    AtEOXact_LargeObject(true);
}

} // namespace

void keep_owners_apart() noexcept
{
    keeps_owners_apart = true;
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
    /* not in the middle of a trigger that has applied events itself */
    if (keeps_owners_apart && (saved.security_context & SECURITY_RESTRICTED_OPERATION) == 0)
        close_what_is_open();
}

} // namespace cxone_sync
