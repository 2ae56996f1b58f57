#pragma once

#include "core/target_map.h"

#include <memory>

#include "db/pg.h"

namespace cxone_sync {

/* How values become datums of one column. */
struct TargetColumn {
    NameData name;
    AttrNumber number;
    Oid type;
    Oid base_type; /* of a domain; else the type itself */
    Oid collation;
    int32 typmod;
    int16 length;
    bool by_value;
    char alignment;
    Oid parameter_type;     /* the type whose arrays carry the column's values to the statement */
    bool plain_text;        /* text without a length: any string is a value */
    bool cast_in_statement; /* its type has no array type: its values travel as text */
    FmgrInfo input;
    Oid input_parameter;
};

struct SavedPlan;

/* The target as its catalog describes it, in a memory context of its own. */
struct Target {
    MemoryContext context;
    int pins;     /* writes that use it: one, and those inside its triggers */
    bool is_past; /* its definition has changed: freed with the last pin */
    Oid relation;
    Oid owner;
    char *name;       /* schema-qualified and quoted */
    int column_count; /* as TargetMap::columns(), in the same order */
    TargetColumn *columns;
    int key;                   /* index of the key among them */
    TargetColumn order;        /* the column that holds the event's time */
    bool has_triggers;         /* constraints too: they may wait for the commit, or write where others do */
    SavedPlan *plans;          /* for each set of columns seen, most recent first */
    SPIPlanPtr overtaken_plan; /* these two are null until they are needed */
    SPIPlanPtr lock_plan;
};

/* To be called once in each process that opens the target. */
void watch_target_changes();

/*
 * Opens the target for a write that lasts as long as the memory context `user`, or only to look at it if that
 * is null. To be called inside a transaction: makes sure that the extension is there in the library's version
 * and stays for the transaction, locks the table as an INSERT does, and reads its definition anew if it has
 * changed.
 *
 * Raises 55000 (object_not_in_prerequisite_state), with a hint, whenever deliveries cannot be taken: no
 * extension, another version, a database that is not UTF-8, a target that the sync cannot use.
 */
Target *open_target(MemoryContext user);

/* The map of the target last opened; null before. Pure C++: may be shared with the network threads. */
const std::shared_ptr<const TargetMap> &current_target_map() noexcept;

/* What open_target() found as the extension's version; empty if there is none. */
const char *found_extension_version() noexcept;

} // namespace cxone_sync
