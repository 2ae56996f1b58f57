#pragma once

#include "core/mapping.h"

#include <memory>

#include "db/groups.h"

namespace cxone_sync {

/* The lock that stands for all tables of a group of targets. */
struct WriterLock {
    Oid relation;
    int group;
    bool is_used; /* the group has no other one */
};

/*
 * All targets of the database, as they are now: one immutable snapshot in one memory context, which is read
 * anew as a whole when anything has changed. Changes are noticed by invalidation: of the relation cache for a
 * table's definition and for the configuration's tables (by their triggers), and of the caches of names,
 * functions, types and roles.
 */
struct Catalog {
    MemoryContext context;
    int pins;   /* memory contexts that it was opened in */
    int writes; /* under way by it: one, and those inside its triggers */
    int count;
    Target **targets;         /* ordered by name; as Mapping::targets() */
    Tables connected;         /* their groups rest on the foreign keys of these */
    WriterLock *writer_locks; /* as many, in the order in which they are to be taken */
    uint64 changes;           /* how many were told of before it was read */
    bool tombstones_locked;   /* when it was read: what it says of lost rows is to be looked at again */
};

/*
 * The catalog, for the transaction under way. Makes sure that the extension is there in the library's version
 * and stays so (lock_extension()), and reads anew what has changed. A table that is locked by others is not
 * waited for: its target is_locked until the lock is gone. It stays as it is as long as the current memory
 * context, whatever changes meanwhile.
 *
 * Raises 55000 (object_not_in_prerequisite_state), with a hint, whenever no deliveries can be taken at all.
 */
const Catalog &open_catalog();

/* True if something has changed since that catalog was read. */
bool has_changed_since(const Catalog &opened) noexcept;

/* Has it read anew next time: something may have changed that no invalidation tells of. */
void doubt_catalog() noexcept;

/* A write by the catalog last opened begins; it ends with the current memory context. */
void begin_write();

/* Raises what keeps the target from standing beside another one. */
void check_conflicts(const Target *target);

/* Opens the catalog and looks for the target by name; null if there is none. */
Target *find_target(const char *name);

/* The same, but raises 42704 (undefined_object) if there is none. */
Target *require_target(const char *name);

/* Raises what makes dead letters of the target's events, or 55P03 if its table is locked. */
void check_usable(const Target *target);

/*
 * Raises 42501 unless the caller has the rights of the table's owner: events must not reach a table through
 * somebody who could not write it.
 */
void check_caller_owns(Oid relation);

/* The mapping of the catalog last opened; null before. Pure C++: may be shared with the network threads. */
const std::shared_ptr<const Mapping> &current_mapping() noexcept;

/*
 * A mapping that feeds this column of the target alone, from events of any type, and leaves all other members
 * to its extra column.
 */
std::shared_ptr<const Mapping> mapping_of_column(const Target *target, int column);

} // namespace cxone_sync
