#pragma once

#include "db/guard.h"

namespace cxone_sync {

/* What is told to others after a transaction: of a durable one, that what it wrote or found survives. */
enum class Promise { none, durable };

/* The worker's own session and its transactions. Plain frames: to be called under guarded(), but
 * in_transaction(). */

void connect_session(const char *database);

/* When the server's configuration has changed. */
void reload_settings();

/* `activity` is what pg_stat_activity shows. */
void begin_transaction(const char *activity);
/* Raises 25006 (read_only_sql_transaction) if transactions are read-only by default. */
void check_read_write();

/* Lifts the transaction's limit of cxone_sync.statement_timeout. */
void allow_any_time();

/*
 * Commits. A durable transaction is on the disk then, and with synchronous standbys they have confirmed it as
 * synchronous_commit says, also what it has only read; else it raises an error for which
 * commit_is_unconfirmed() holds, though the transaction is committed on this server.
 */
void end_transaction(Promise promise);
void abort_transaction();

/*
 * Whether the last transaction was committed, which the synchronous standbys have not confirmed: to repeat it
 * is to wait for them. Not by the SQLSTATE, which a trigger of the user's can raise, too.
 */
bool commit_is_unconfirmed() noexcept;

/* How long the last commit took; mostly it waits for the WAL's disk and for synchronous standbys. */
std::int64_t last_commit_us() noexcept;

/* True if the process ends because a transaction went on after statement_timeout had cancelled it. */
bool gave_up_transaction() noexcept;

/* What functions of others have taken by pg_advisory_lock() in a transaction before. */
void release_advisory_locks();

/* Runs `work`, a plain callable, in a transaction; true if that was committed and keeps the promise. */
template <typename Work>
bool in_transaction(const char *activity, PgError &error, Work work, Promise promise = Promise::none)
{
    static_assert(is_plain<Work>);
    const bool ok = guarded(error, [activity, work, promise] {
        begin_transaction(activity);
        work();
        end_transaction(promise);
    });

    if (!ok)
        abort_transaction();
    return ok;
}

template <typename Work> bool in_durable_transaction(const char *activity, PgError &error, Work work)
{
    return in_transaction(activity, error, work, Promise::durable);
}

/* Makes what wait_for_event() waits for: the latch, the end of the postmaster, and this eventfd. */
void make_wait_set(int event_fd);

/*
 * Waits at most `timeout_ms` (-1: for ever), then acts on interrupts. Ends the process with the postmaster.
 */
void wait_for_event(long timeout_ms);

} // namespace cxone_sync
