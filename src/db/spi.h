#pragma once

#include "db/pg.h"

/*
 * The server programming interface, with its results checked: what fails raises an error. Functions below
 * leave the current memory context as it was, as SPI's own do not.
 */
namespace cxone_sync {

inline void connect_spi()
{
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
}

inline void check_spi(int result, int expected, const char *statement)
{
    if (result != expected)
        elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
}

/* What the planner may do with a plan that is kept. */
enum class Planning {
    as_needed,
    once,      /* for all parameters alike: it is kept until a table changes */
    each_time, /* by the parameters: only the partitions that they name are looked at */
};

/* Prepares a statement and keeps it beyond the transaction; SPI_freeplan() ends it. */
inline SPIPlanPtr prepare_spi(const char *statement, int count, const Oid *types,
                              Planning planning = Planning::as_needed)
{
    const int options = planning == Planning::once        ? CURSOR_OPT_GENERIC_PLAN
                        : planning == Planning::each_time ? CURSOR_OPT_CUSTOM_PLAN
                                                          : 0;
    MemoryContext caller_context = CurrentMemoryContext;
    SPIPlanPtr plan = SPI_prepare_cursor(statement, count, const_cast<Oid *>(types), options);

    if (plan == nullptr || SPI_keepplan(plan) != 0)
        elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
    MemoryContextSwitchTo(caller_context);
    return plan;
}

inline void run_spi(SPIPlanPtr plan, Datum *values, const char *nulls, int expected)
{
    MemoryContext caller_context = CurrentMemoryContext;

    check_spi(SPI_execute_plan(plan, values, nulls, false, 0), expected, "a prepared statement");
    MemoryContextSwitchTo(caller_context);
}

/* For statements that run too rarely to be kept. */
inline void run_spi(const char *statement, int count, Oid *types, Datum *values, const char *nulls,
                    int expected)
{
    MemoryContext caller_context = CurrentMemoryContext;

    check_spi(SPI_execute_with_args(statement, count, types, values, nulls, false, 0), expected, statement);
    MemoryContextSwitchTo(caller_context);
}

} // namespace cxone_sync
