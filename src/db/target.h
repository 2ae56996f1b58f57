#pragma once

#include "core/shape.h"

#include "db/each.h"

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
    Oid parameter_type;       /* the type whose arrays carry the column's values to the statement */
    bool not_null;            /* or its domain is, at any level */
    bool plain_text;          /* text without a length: any string is a value */
    bool cast_in_statement;   /* its type has no array type: its values travel as text */
    char *default_expression; /* what a new row gets by itself; null: nothing */
    bool default_is_fixed;    /* and each gets the same */
    Shape shape;
    FmgrInfo input;
    Oid input_parameter;
    struct InnerValuesOfType *inner; /* null: none */
    List *paths;                     /* of field_map: char *; NIL: fed by the key of its name */
    char *lasting_name;              /* by which times and deletions know it (table lasting_names) */
    List *members;                   /* keys of the root by which events feed it: char * */
};

/* How rows are told apart by one column of their key: as its type's btree compares. */
struct KeyColumn {
    int column; /* index into Target::columns */
    FmgrInfo compare;
    Oid equals; /* the operator */
};

/* What is configured for a target; all of it in the target's memory context. Lists are of char *. */
struct TargetConfig {
    char *name;
    Oid relation;
    List *key_columns;
    char *order_column;
    List *event_types; /* NIL: all */
    char *type_path;
    char *root_path;
    List *delete_types;
    char *mark_column; /* null: none */
    List *kept_columns;
    List *deletion_keys;  /* by which targets delete rows of the table: lists of names */
    List *tombstone_keys; /* by which rows of it were deleted: the same, of tombstones */
    List *mapped_columns; /* of field_map, parallel to mapped_paths: char *, List * */
    List *mapped_paths;
    List *renamed_columns; /* of lasting_names, parallel to their lasting names: char * */
    List *lasting_names;
};

/* Why a target cannot be used until somebody mends it: its events are dead letters. */
struct TargetProblem {
    int sqlerrcode = 0; /* 0: it can be used */
    char message[256] = "";
    char hint[256] = "";
};

/* InnerValues (core/inner_values.h), in the target's memory context. */
struct InnerValuesOfType {
    char *name;
    Shape shape;
    List *fields; /* of InnerValuesOfType * */
};

struct SavedPlan;
struct Catalog;

/* A statement that takes keys and times: for a single row of a partitioned table, and else. Null until
 * needed. */
struct KeyPlans {
    SPIPlanPtr plans[2];
};

/* A target as its configuration and its table's catalog describe it, in the memory context of the catalog. */
struct Target {
    MemoryContext context;
    bool is_locked;    /* its table could not be looked at: its events are sent again */
    bool is_uncertain; /* an error was met there, which may pass: it is looked at again each time */
    TargetConfig config;
    TargetProblem problem;
    Oid owner;
    char *table;        /* schema-qualified and quoted */
    uint32 table_names; /* hash of its name and its columns', for check_names() */
    uint32 other_names; /* the same of its schema, and of its columns' types */
    int column_count;   /* as Mapping's, in the same order */
    TargetColumn *columns;
    int key_count;
    KeyColumn *keys;
    List *deletion_keys; /* of its tombstones, its own first: lists of indexes into columns, ascending */
    bool text_key;       /* a single text column whose equal values are the same bytes */
    TargetColumn order;  /* the column that holds the event's time */
    int extra;           /* index of the column for what no other takes, or -1 */
    int mark;            /* index of the column that tells of deletions, or -1 */
    bool field_order;    /* the table has a column field_times: newer fields win one by one */
    List *kept_names;    /* lasting names of the columns that no event writes: char * */
    bool is_distributed; /* Citus keeps its rows, on other servers */
    List *ancestors;     /* OIDs of the tables whose partition the table is */
    /* their changes concern it: those behind row types and defaults; its owner, types and their domains */
    List *relations; /* OIDs */
    List *hashes;    /* by which caches tell of a change */
    Oid blocker;     /* while is_locked: the table whose lock is in the way; 0: it is not known which */
    Oid *parts;      /* partitions, or tables that inherit from it, at any depth: sorted */
    int part_count;
    char *warning;            /* what its owner should know though it stops nothing; null: nothing */
    TargetProblem slip;       /* what is refused when it is configured, and a mere warning later */
    bool inserts_cost;        /* a proposed row has effects even if it is not inserted: triggers, sequences */
    bool has_triggers;        /* those of constraints too, which may wait for the commit */
    bool has_insert_triggers; /* BEFORE INSERT, for each row: they may change its key */
    bool has_after_triggers;  /* of the user's: they may change a row that was written */
    bool may_swallow;         /* a trigger or policy may drop a write without an error */
    bool hides_rows;          /* row security holds for its owner, too */
    bool other_keys;          /* rows have to be unique, or to exclude others, by more than the key */
    bool cascades;            /* foreign keys of others, or its own, change rows when it does */
    List *references;         /* OIDs of the tables that its foreign keys refer to, perhaps its own */
    bool is_partitioned;      /* the next two are of all levels: */
    List *partition_keys;     /* numbers of the columns by which rows find their partition */
    bool hashed_together;     /* by a hash of several of them */

    /* with regard to the other targets */
    int number;          /* its place among them */
    int group;           /* targets whose tables are one, or that foreign keys connect, have the same */
    int rank;            /* referenced tables before those that reference them */
    bool is_ordered;     /* its events are written one by one, in the order of arrival: code of users may read
                          * and write anything, and foreign keys may change rows when one of theirs is updated */
    bool has_other_keys; /* another target of its table has another key */
    bool keeps_arrival;  /* its group's events are written in the order of arrival */
    bool takes_turns;    /* its group's rows can be in each other's way: its writers follow one another */
    bool may_lose_rows;  /* a target of its table deletes rows, or has done so: tombstones count */

    const Catalog *catalog;
    BlockNumber planned_blocks; /* size of the table when the first of these was made; 0: none was */
    SavedPlan *plans;           /* for each set of columns seen, most recent first */
    KeyPlans present_plans;
    KeyPlans lock_plans;
    KeyPlans delete_plans;
    KeyPlans reset_plans;
};

/* Whether rows find their partition by this column. */
inline bool finds_partition(const Target *target, const TargetColumn *column)
{
    return target->is_partitioned && list_member_int(target->partition_keys, column->number);
}

inline const TargetColumn &key_column(const Target *target, int key)
{
    return target->columns[target->keys[key].column];
}

/* What to lock before the target is written; 0: it is not known what is in the way. */
inline Oid lock_in_the_way(const Target *target)
{
    return target->is_locked ? target->blocker : target->config.relation;
}

inline bool is_key(const Target *target, const TargetColumn *column)
{
    for (int k = 0; k < target->key_count; k++) {
        if (column == &key_column(target, k))
            return true;
    }
    return false;
}

/* Whether some events delete rows of the target, rather than mark them. */
inline bool deletes_rows(const Target *target)
{
    return target->config.delete_types != NIL && target->config.mark_column == nullptr;
}

/* Whether a list of names, of char *, has this one. */
bool is_in(const List *names, const char *name);

/* Whether equal values of the column are the same bytes, and have the same text. */
bool has_one_form(const TargetColumn &column);

/* Whether the column holds the times of fields: one of that name that is something else is as any other. */
bool is_field_times(Form_pg_attribute attribute);

/* We lock a table as an object, too, where nobody else does: with these sub-ids, for these reasons. */
enum TableLock : uint16 { lock_of_deletions = 1, lock_of_writers = 2 };

/*
 * Fills `target` from the catalog, by its configuration. The table must be locked against changes of its
 * definition, if it exists. What makes it unusable is in target->problem.
 */
void describe_target(Target *target);

/* Has the catalog read anew when what is in that cache of the system under this OID changes. */
void watch(Target *target, int cache, Oid object);

/* Notes what is wrong, if it is the first thing. */
void set_problem(TargetProblem &problem, int sqlerrcode, const char *message, const char *hint);

/* Raises it, if there is one. */
void raise_problem(const TargetProblem &problem);

/* Sets the target's problem; returns false. */
bool refuse(Target *target, int sqlerrcode, const char *hint, const char *format, ...)
    pg_attribute_printf(4, 5);

} // namespace cxone_sync
