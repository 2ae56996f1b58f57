/*
 * How fast one backend runs the extension's own statement through SPI, one batch to a transaction, with nothing
 * around it: the ceiling that the bench compares the worker with. For the bench's private server only.
 *
 *   CALL spi_rate(statement text, columns text[], batch integer, warm_up float8, seconds float8, rows bigint,
 *                 first bigint, bits integer)
 *
 * `columns` are what the statement's parameters feed, in their order. Ends after `seconds` or, if `rows` is not
 * 0, after so many rows. The ids have so many bits. Only the statements and their commits are timed, not the making of the parameters.
 *
 *   nth_id(n bigint) RETURNS integer
 *
 * is the id of that event, for checking what is in the table.
 */
#include "postgres.h"

#include <time.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "events.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(spi_rate);
PGDLLEXPORT Datum spi_rate(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(nth_id);
PGDLLEXPORT Datum nth_id(PG_FUNCTION_ARGS);

#define MAX_COLUMNS 16

static double seconds_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static Oid array_type_of(const char *column)
{
    return strcmp(column, "updated_ts") == 0 ? TIMESTAMPTZARRAYOID : TEXTARRAYOID;
}

static Datum value_of(const char *column, int position, uint32 id)
{
    char digits[id_digits + 1] = "";

    bench_write_digits(digits, id);
    if (strcmp(column, "id") == 0)
        return CStringGetTextDatum(psprintf(BENCH_ID_PREFIX "%s", digits));
    if (strcmp(column, "external_id") == 0)
        return CStringGetTextDatum(psprintf(BENCH_EXTERNAL_ID_PREFIX "%s", digits));
    if (strcmp(column, "first_name") == 0)
        return CStringGetTextDatum(bench_first_names[position % name_count]);
    if (strcmp(column, "last_name") == 0)
        return CStringGetTextDatum(bench_last_names[position % name_count]);
    if (strcmp(column, "email") == 0)
        return CStringGetTextDatum(psprintf(BENCH_EMAIL_PREFIX "%s" BENCH_EMAIL_SUFFIX, digits));
    if (strcmp(column, "updated_ts") == 0)
        return TimestampTzGetDatum(GetCurrentTimestamp() / 1000 * 1000);
    elog(ERROR, "the statement feeds column \"%s\", which this bench does not know", column);
}

static int compare_ids(const void *a, const void *b)
{
    const uint32 x = *(const uint32 *) a;
    const uint32 y = *(const uint32 *) b;

    return x < y ? -1 : x > y;
}

/* In key order, as the extension has to write its rows. */
static void make_parameters(Datum *parameters, char **columns, int column_count, int batch, uint64 first, int bits)
{
    uint32 *ids = palloc(batch * sizeof(uint32));
    Datum *values = palloc(batch * sizeof(Datum));

    for (int i = 0; i < batch; i++)
        ids[i] = bench_nth_id(first + i, bits);
    qsort(ids, batch, sizeof(uint32), compare_ids);
    for (int c = 0; c < column_count; c++)
    {
        for (int i = 0; i < batch; i++)
            values[i] = value_of(columns[c], i, ids[i]);
        if (array_type_of(columns[c]) == TEXTARRAYOID)
            parameters[c] = PointerGetDatum(construct_array(values, batch, TEXTOID, -1, false, TYPALIGN_INT));
        else
            parameters[c] = PointerGetDatum(
                construct_array(values, batch, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
    }
}

Datum spi_rate(PG_FUNCTION_ARGS)
{
    MemoryContext context = AllocSetContextCreate(TopMemoryContext, "spi_rate", ALLOCSET_DEFAULT_SIZES);
    MemoryContext batch_context = AllocSetContextCreate(context, "spi_rate batch", ALLOCSET_DEFAULT_SIZES);
    MemoryContext old = MemoryContextSwitchTo(context);
    char *statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const int batch = PG_GETARG_INT32(2);
    const double warm_up = PG_GETARG_FLOAT8(3);
    const double wanted_seconds = PG_GETARG_FLOAT8(4);
    const int64 wanted_rows = PG_GETARG_INT64(5);
    uint64 next = PG_GETARG_INT64(6);
    const int bits = PG_GETARG_INT32(7);
    char *columns[MAX_COLUMNS];
    Oid types[MAX_COLUMNS];
    Datum parameters[MAX_COLUMNS];
    Datum *names;
    int column_count;
    SPIPlanPtr plan;
    double warm = 0;
    double spent = 0;
    double cpu = 0;
    int64 rows = 0;
    int64 written = 0;

    deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &column_count);
    if (column_count > MAX_COLUMNS)
        elog(ERROR, "too many columns");
    for (int i = 0; i < column_count; i++)
    {
        columns[i] = TextDatumGetCString(names[i]);
        types[i] = array_type_of(columns[i]);
    }
    MemoryContextSwitchTo(old);

    SPI_connect_ext(SPI_OPT_NONATOMIC);
    plan = SPI_prepare(statement, column_count, types);
    if (plan == NULL || SPI_keepplan(plan) != 0)
        elog(ERROR, "SPI_prepare: %s", SPI_result_code_string(SPI_result));

    while (wanted_rows > 0 ? rows < wanted_rows : spent < wanted_seconds)
    {
        double begin;
        double cpu_begin;

        CHECK_FOR_INTERRUPTS();
        old = MemoryContextSwitchTo(batch_context);
        MemoryContextReset(batch_context);
        make_parameters(parameters, columns, column_count, batch, next, bits);
        next += batch;
        MemoryContextSwitchTo(old);

        begin = seconds_of(CLOCK_MONOTONIC);
        cpu_begin = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        if (SPI_execute_plan(plan, parameters, NULL, false, 0) != SPI_OK_INSERT)
            elog(ERROR, "SPI_execute_plan: %s", SPI_result_code_string(SPI_result));
        written += SPI_processed;
        SPI_commit();
        if (warm < warm_up)
        {
            warm += seconds_of(CLOCK_MONOTONIC) - begin;
            written = 0;
            continue;
        }
        cpu += seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin;
        spent += seconds_of(CLOCK_MONOTONIC) - begin;
        rows += batch;
    }
    if (written != rows)
        elog(ERROR, "only %lld of %lld rows were written", (long long) written, (long long) rows);
    SPI_freeplan(plan);
    SPI_finish();
    MemoryContextDelete(context);
    elog(INFO, "seconds=%.3f events=%lld rate=%.0f cpu_main=%.4f next=%llu", spent, (long long) rows, rows / spent,
         cpu, (unsigned long long) next);
    PG_RETURN_VOID();
}

Datum nth_id(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32((int32) bench_nth_id((uint64) PG_GETARG_INT64(0), id_bits));
}
