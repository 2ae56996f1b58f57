#pragma once

#include "db/guard.h"

namespace cxone_sync {

/* Who and what was before as_owner(). */
struct SavedIdentity {
    Oid user;
    int security_context;
    int settings_level;
};

/*
 * Makes the session act as `owner` in a security-restricted operation with a pinned search_path: triggers,
 * defaults and input functions are somebody's code, which gets the owner's rights and no others, and can
 * change no setting for longer than this. Pinned as well is what says how a value or a statement is read:
 * standard_conforming_strings, array_nulls, row_security, intervalstyle, xmloption, and extra_float_digits,
 * by which the fields of a row type pass. The same that PostgreSQL does for maintenance commands
 * (usercontext.c, guc.c: RestrictSearchPath). An error needs no clean-up: the end of the transaction undoes
 * all.
 */
SavedIdentity as_owner(Oid owner);
void back_to(const SavedIdentity &saved);

/*
 * Runs `work`, in which owners' code runs, so that it cannot reach what the session has by a name or a
 * number: a cursor that it opens anew, or fetches from, would run as whoever uses that, and give away what
 * they may read. Cursors of the session are no one's until `work` ends; its large objects are closed. What an
 * owner's code leaves open is closed by back_to(), before the next owner's code. (Statements it cannot
 * prepare.)
 */
void run_apart_from_session(void (*work)(void *), void *argument);

template <typename Work> void apart_from_session(Work work)
{
    static_assert(is_plain<Work>);
    run_apart_from_session([](void *argument) { (*static_cast<Work *>(argument))(); }, &work);
}

/* Whether the session's pg_temp, which comes before all others where a search_path does not name it, holds
 * anything. */
bool has_temporary_objects();

/* And the session's user, whose objects those may be, can have them. */
bool caller_has_rights_of(Oid owner);

/* Sets it until AtEOXact_GUC() for the level of NewGUCNestLevel() under way. */
void pin_setting(const char *name, const char *value);

} // namespace cxone_sync
