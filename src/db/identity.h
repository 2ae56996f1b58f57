#pragma once

#include "db/pg.h"

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
 * array_nulls, row_security, intervalstyle, xmloption, and extra_float_digits, by which the fields of a row
 * type pass. The same that PostgreSQL does for maintenance commands (usercontext.c, guc.c:
 * RestrictSearchPath). An error needs no clean-up: the end of the transaction undoes all.
 */
SavedIdentity as_owner(Oid owner);
void back_to(const SavedIdentity &saved);

/*
 * From now on back_to() also closes the cursors and large objects that the owner's code has left open: the
 * next owner's code could use them, or be hindered by them. (Statements it cannot prepare.) For a process
 * that has none of its own.
 */
void keep_owners_apart() noexcept;

/* Sets it until AtEOXact_GUC() for the level of NewGUCNestLevel() under way. */
void pin_setting(const char *name, const char *value);

} // namespace cxone_sync
