#include "db/identity.h"

namespace cxone_sync {

SavedIdentity as_owner(Oid owner)
{
    SavedIdentity saved;

    GetUserIdAndSecContext(&saved.user, &saved.security_context);
    SetUserIdAndSecContext(owner, saved.security_context | SECURITY_LOCAL_USERID_CHANGE |
                                      SECURITY_RESTRICTED_OPERATION);
    saved.settings_level = NewGUCNestLevel();
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                            true, 0, false);
    return saved;
}

void back_to(const SavedIdentity &saved)
{
    AtEOXact_GUC(false, saved.settings_level);
    SetUserIdAndSecContext(saved.user, saved.security_context);
}

} // namespace cxone_sync
