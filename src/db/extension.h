#pragma once

#include "db/guard.h"

namespace cxone_sync {

inline constexpr const char *extension_name = "cxone_sync";

/*
 * Makes sure that the extension is there in the library's version, and keeps DROP and ALTER EXTENSION away
 * until the transaction ends. Raises 55000 (object_not_in_prerequisite_state), with a hint, if it is not, or
 * if the database is not UTF-8.
 */
void lock_extension();

/*
 * Whether the extension, as lock_extension() last found it, has a version below the library's: then
 * upgrade_extension() can bring it up.
 */
bool extension_is_older() noexcept;

/*
 * Runs ALTER EXTENSION UPDATE to the library's version, as the current user, who has to be a superuser. Waits
 * for everybody who uses the extension or upgrades it; if another one has upgraded or dropped it meanwhile,
 * nothing is left to do, and the result is false. Raises what the scripts raise, and lock_not_available.
 */
bool upgrade_extension();

/* The database that the worker writes to if it is not this one; else null. */
const char *other_database();

/* What lock_extension() found as the extension's version; empty if there is none. */
const char *found_extension_version() noexcept;

/*
 * A table of the extension, locked until the transaction ends, and its owner, a superuser. Raises 55000, with
 * a hint, if it is not there, if it is unlogged, or if others than superusers own it or may have put code on
 * it: a statement would run that as its owner. RowExclusiveLock keeps new triggers away; AccessShareLock is
 * for whoever only reads.
 */
struct OwnTable {
    Oid relation;
    Oid owner;
};
OwnTable own_table(const char *name, LOCKMODE lock = RowExclusiveLock);

/* The same, but false, with the reason in `error`. */
bool find_own_table(const char *name, LOCKMODE lock, OwnTable &table, PgError &error);

/*
 * Runs a statement as `owner`, that of one of these tables, in a security-restricted operation. SPI has to be
 * connected; what the statement has found stays until SPI_finish().
 */
const SPITupleTable *run_as(Oid owner, const char *statement, int count = 0, Oid *types = nullptr,
                            Datum *values = nullptr, const char *nulls = nullptr);

/* The same as the owner of that table, with SPI connected for it; returns how many rows it found or changed.
 */
uint64 execute_as_owner(const char *table, const char *statement, int count = 0, Oid *types = nullptr,
                        Datum *values = nullptr, const char *nulls = nullptr);

/* The owner of a relation that exists. */
Oid owner_of(Oid relation);

/* Whether the object of that catalog is one of the extension's. */
bool is_member(Oid catalog, Oid object);

} // namespace cxone_sync
