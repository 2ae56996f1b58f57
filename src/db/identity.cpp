#include <initializer_list>

#include "db/catalog_scan.h"
#include "db/identity.h"
extern "C" {
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "commands/trigger.h"
#include "libpq/be-fsstubs.h"
#include "parser/parser.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/portal.h"
#include "utils/rls.h"
#include "utils/xml.h"
}

namespace cxone_sync {

namespace {

/* A cursor, or another portal of the session, as it was. */
struct KnownPortal {
    Portal portal;
    PortalStatus status;
};

/* What of the session is out of owners' reach, and where in their code. */
struct Apart {
    KnownPortal *portals;
    int portal_count;
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

/*
 * Visits all portals; the one it visits may be dropped. PostgreSQL has no list of them, but each has a memory
 * context of its own, which is called after it, below that of all (portalmem.c: CreatePortal).
 */
template <typename Visit> void for_each_portal(Visit visit)
{
    static MemoryContext all = nullptr;

    for (MemoryContext child = TopMemoryContext->firstchild; all == nullptr && child != nullptr;
         child = child->nextchild) {
        if (strcmp(child->name, "TopPortalContext") == 0)
            all = child;
    }
    for (MemoryContext child = all != nullptr ? all->firstchild : nullptr, next; child != nullptr;
         child = next) {
        next = child->nextchild;
        for (const char *name : {child->ident, ""}) {
            Portal portal = name != nullptr ? GetPortalByName(name) : nullptr;
            if (!PortalIsValid(portal) || portal->portalContext != child)
                continue;
            visit(portal);
            break;
        }
    }
}

bool is_known(const Apart *apart, Portal portal)
{
    for (int i = 0; i < apart->portal_count; i++) {
        if (apart->portals[i].portal == portal)
            return true;
    }
    return false;
}

/* Nobody can fetch from a portal that is at work, or close it. One that is about to begin is left alone. */
bool can_be_hidden(PortalStatus status)
{
    return status == PORTAL_READY || status == PORTAL_DONE || status == PORTAL_FAILED;
}

/* The command that creates the object is still under way: only SnapshotSelf shows it. */
bool is_in_temporary_schema(Oid catalog, Oid object)
{
    ScanKeyData key;
    bool is_null = true;
    bool result = false;

    if (!is_objectclass_supported(catalog) || get_object_attnum_namespace(catalog) == InvalidAttrNumber)
        return false;
    Relation relation = table_open(catalog, AccessShareLock);
    ScanKeyInit(&key, get_object_attnum_oid(catalog), BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(object));
    SysScanDesc scan =
        systable_beginscan(relation, get_object_oid_index(catalog), true, SnapshotSelf, 1, &key);
    HeapTuple tuple = systable_getnext(scan);
    if (HeapTupleIsValid(tuple)) {
        const Datum schema =
            heap_getattr(tuple, get_object_attnum_namespace(catalog), RelationGetDescr(relation), &is_null);
        result = !is_null && isTempNamespace(DatumGetObjectId(schema));
    }
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
    return result;
}

object_access_hook_type next_access_hook = nullptr;

/*
 * In a security-restricted operation PostgreSQL refuses temporary tables, but not types, which the session,
 * or the next owner's code in it, would take for what it means by their name: they come before pg_catalog's.
 */
void refuse_temporary_object(ObjectAccessType access, Oid catalog, Oid object, int part, void *argument)
{
    if (next_access_hook != nullptr)
        next_access_hook(access, catalog, object, part, argument);
    if (access == OAT_POST_CREATE && part == 0 && current_apart != nullptr && is_restricted() &&
        is_in_temporary_schema(catalog, object))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("cannot create temporary objects while events are written")));
}

void watch_access()
{
    static bool watching = false;

    if (watching)
        return;
    next_access_hook = object_access_hook;
    object_access_hook = refuse_temporary_object;
    watching = true;
}

void begin_apart(Apart *apart)
{
    int count = 0;

    watch_access();
    for_each_portal([&count](Portal) { count++; });
    apart->portals = static_cast<KnownPortal *>(palloc(Max(count, 1) * sizeof(KnownPortal)));
    apart->portal_count = 0;
    for_each_portal([apart](Portal portal) {
        apart->portals[apart->portal_count++] = {portal, portal->status};
    });
    apart->is_restricted = is_restricted();
    apart->trigger_depth = trigger_depth();
    apart->outer = current_apart;
    AtEOXact_LargeObject(true);
    current_apart = apart;
    for (int i = 0; i < apart->portal_count; i++) {
        if (can_be_hidden(apart->portals[i].status))
            apart->portals[i].portal->status = PORTAL_ACTIVE;
    }
}

/* What owners' code has left. */
void close_what_is_open(const Apart *apart)
{
    for_each_portal([apart](Portal portal) {
        if (!is_known(apart, portal) && portal->status != PORTAL_ACTIVE && !portal->portalPinned)
            PortalDrop(portal, false);
    });
    AtEOXact_LargeObject(true);
}

/* To be called before the transaction is aborted, which treats portals by their state. */
void end_apart(const Apart *apart)
{
    for (int i = 0; i < apart->portal_count; i++) {
        if (can_be_hidden(apart->portals[i].status))
            apart->portals[i].portal->status = apart->portals[i].status;
    }
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
        close_what_is_open(&apart);
    }
    PG_FINALLY();
    {
        end_apart(&apart);
    }
    PG_END_TRY();
}

bool has_temporary_objects()
{
    const Oid schema = LookupNamespaceNoError("pg_temp");
    bool any = false;

    if (OidIsValid(schema))
        for_each_dependent(NamespaceRelationId, schema, [&any](const FormData_pg_depend &) { any = true; });
    return any;
}

bool caller_has_rights_of(Oid owner)
{
    return has_privs_of_role(GetUserId(), owner) && compat::can_set_role(GetSessionUserId(), owner);
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
    if (!standard_conforming_strings)
        pin_setting("standard_conforming_strings", "on");
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
        close_what_is_open(current_apart);
}

} // namespace cxone_sync
