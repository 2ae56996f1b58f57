#include "db/settings.h"
#include "worker/stop_request.h"

#include "db/identity.h"
#include "worker/session.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
}

namespace cxone_sync {

namespace {

/* A statement that is cancelled needs some time to roll back. */
constexpr int grace_ms = 3000;

WaitEventSet *wait_set = nullptr;
TimeoutId last_timeout;
volatile sig_atomic_t gave_up = false;
std::int64_t commit_us = 0;
bool unconfirmed = false; /* the last commit, by the standbys */
int cluster_commit;       /* what postgresql.conf says of synchronous_commit, as far as we know */

/* Of a signal. A function that catches query_canceled and goes on is ended by this alone. */
void give_up_transaction()
{
    gave_up = true;
    die(SIGTERM);
}

void set_session_setting(const char *name, const char *value)
{
    SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/* ---- what a durable commit promises ---- */

/* What the commit of a transaction waits for (syncrep.c: assign_synchronous_commit). */
int standby_wait_mode()
{
    if (max_wal_senders == 0)
        return SYNC_REP_NO_WAIT;
    switch (synchronous_commit) {
    case SYNCHRONOUS_COMMIT_REMOTE_WRITE:
        return SYNC_REP_WAIT_WRITE;
    case SYNCHRONOUS_COMMIT_REMOTE_FLUSH:
        return SYNC_REP_WAIT_FLUSH;
    case SYNCHRONOUS_COMMIT_REMOTE_APPLY:
        return SYNC_REP_WAIT_APPLY;
    default:
        return SYNC_REP_NO_WAIT;
    }
}

bool waits_for_standbys(int mode)
{
    return mode != SYNC_REP_NO_WAIT && compat::synchronous_standbys_are_defined();
}

bool standbys_have_confirmed(int mode, XLogRecPtr position)
{
    LWLockAcquire(SyncRepLock, LW_SHARED);
    const bool confirmed = position <= WalSndCtl->lsn[mode];
    LWLockRelease(SyncRepLock);
    return confirmed;
}

/*
 * Where the WAL ends. What GetXLogInsertRecPtr() returns is where the next record begins: on a new page that
 * is behind the page's header, which is not written yet, and XLogFlush() raises an error for it.
 */
XLogRecPtr end_of_wal()
{
    const XLogRecPtr next = GetXLogInsertRecPtr();

    if (XLogSegmentOffset(next, wal_segment_size) == SizeOfXLogLongPHD)
        return next - SizeOfXLogLongPHD;
    return next % XLOG_BLCKSZ == SizeOfXLogShortPHD ? next - SizeOfXLogShortPHD : next;
}

void commit()
{
    const TimestampTz began = GetCurrentTimestamp();

    CommitTransactionCommand();
    commit_us = GetCurrentTimestamp() - began;
}

/* Whether the commit waits for the disk and for standbys: only with both (xact.c: RecordTransactionCommit).
 */
bool has_written()
{
    return XactLastRecEnd != InvalidXLogRecPtr && TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/*
 * For the transaction under way. At least for the standbys' disks, or as the cluster says; what the database,
 * the role or a trigger says may ask for more, not for less. So the worker keeps its promise whoever has
 * promised less elsewhere.
 */
void strengthen_commit()
{
    int level = Max(synchronous_commit, cluster_commit);

    if (level < SYNCHRONOUS_COMMIT_REMOTE_WRITE)
        level = SYNCHRONOUS_COMMIT_REMOTE_FLUSH;
    if (level == synchronous_commit)
        return;
    const char *name = level == SYNCHRONOUS_COMMIT_REMOTE_WRITE   ? "remote_write"
                       : level == SYNCHRONOUS_COMMIT_REMOTE_FLUSH ? "on"
                                                                  : "remote_apply";
    (void)set_config_option("synchronous_commit", name, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
                            false);
}

/*
 * Whatever ends the wait for synchronous standbys (a cancel, a stop, a change of synchronous_standby_names),
 * the commit is done here and PostgreSQL raises no error (syncrep.c). So what counts is what the standbys
 * have confirmed. A transaction that has found all rows as they should be waits for nothing, though the
 * commit that made these rows may not be on the disk or on the standbys yet.
 */
void commit_durably()
{
    strengthen_commit();
    const int mode = standby_wait_mode(); /* the end of the transaction sets synchronous_commit back */
    const bool waits = waits_for_standbys(mode);
    if (waits && !has_written())
        compat::write_wal_message("cxone_sync");
    const bool waited = has_written();
    if (!waited)
        XLogFlush(end_of_wal());
    commit();
    unconfirmed =
        (waits || waits_for_standbys(mode)) && !(waited && standbys_have_confirmed(mode, XactLastCommitEnd));
    if (unconfirmed)
        ereport(ERROR, (errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
                        errmsg("the synchronous standbys have not confirmed a commit"),
                        errdetail("It is done on this server, but may not have been replicated."),
                        errhint("Look at pg_stat_replication and synchronous_standby_names.")));
}

void apply_session_settings()
{
    char lock_timeout[16];

    snprintf(lock_timeout, sizeof(lock_timeout), "%d", settings::lock_timeout_ms);
    set_session_setting("lock_timeout", lock_timeout);
    /* else the error of one event would be the end of the process */
    set_session_setting("exit_on_error", "off");
    /* else constraints and triggers of the targets would not be in force */
    set_session_setting("session_replication_role", "origin");
    /* else a backslash in a literal of a statement of ours, or of the extension's scripts, is no backslash */
    set_session_setting("standard_conforming_strings", "on");
    /* the upsert decides by the row that is there now, not by the one a snapshot shows */
    set_session_setting("default_transaction_isolation", "read committed");
    /* statement_timeout of our own does that, and only gives the batch up */
    if (const char *setting = compat::transaction_timeout_setting())
        set_session_setting(setting, "0");
    change_drain_timeout(settings::drain_timeout_ms);
}

} // namespace

void connect_session(const char *database)
{
    cluster_commit = synchronous_commit; /* the database's is not in force yet */
    BackgroundWorkerInitializeConnection(database, nullptr, 0);
    set_session_setting("role", "none"); /* ALTER DATABASE ... SET role is for clients */
    last_timeout = RegisterTimeout(USER_TIMEOUT, give_up_transaction);
    apply_session_settings();
}

void reload_settings()
{
    const int before = synchronous_commit;

    ProcessConfigFile(PGC_SIGHUP);
    /* where the database has its own, that stays, and the cluster's is known from the start */
    if (synchronous_commit != before)
        cluster_commit = synchronous_commit;
    apply_session_settings();
}

bool commit_is_unconfirmed() noexcept
{
    return unconfirmed;
}

void begin_transaction(const char *activity)
{
    unconfirmed = false;
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    pgstat_report_activity(STATE_RUNNING, activity);
    /* the backend's own statement_timeout is armed only where a client sends statements (postgres.c) */
    EnableTimeoutParams timeouts[2] = {};
    timeouts[0].id = STATEMENT_TIMEOUT;
    timeouts[0].type = timeouts[1].type = TMPARAM_AFTER;
    timeouts[0].delay_ms = settings::statement_timeout_ms;
    timeouts[1].id = last_timeout;
    timeouts[1].delay_ms = settings::statement_timeout_ms + grace_ms;
    enable_timeouts(timeouts, lengthof(timeouts));
}

void allow_any_time()
{
    DisableTimeoutParams timeouts[2] = {};

    timeouts[0].id = STATEMENT_TIMEOUT;
    timeouts[1].id = last_timeout;
    disable_timeouts(timeouts, lengthof(timeouts));
}

bool gave_up_transaction() noexcept
{
    return gave_up;
}

void check_read_write()
{
    if (XactReadOnly)
        ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                        errmsg("transactions of database \"%s\" are read-only", settings::database),
                        errhint("See default_transaction_read_only, of the server and of the database; what "
                                "ALTER DATABASE changes reaches the worker when it is started again, as by "
                                "pg_terminate_backend().")));
}

void end_transaction(Promise promise)
{
    PopActiveSnapshot();
    allow_any_time();
    /* what comes from here on, while the standbys are waited for, cannot undo anything */
    CHECK_FOR_INTERRUPTS();
    if (promise == Promise::durable)
        commit_durably();
    else
        commit();
    pgstat_report_activity(STATE_IDLE, nullptr);
}

std::int64_t last_commit_us() noexcept
{
    return commit_us;
}

void abort_transaction()
{
    allow_any_time();
    QueryCancelPending = false;
    AbortCurrentTransaction();
    pgstat_report_activity(STATE_IDLE, nullptr);
}

/* The end of a transaction leaves those of the session. */
void release_advisory_locks()
{
    LockReleaseAll(USER_LOCKMETHOD, true);
}

void make_wait_set(int event_fd)
{
    wait_set = compat::create_wait_event_set(3);
    AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
    AddWaitEventToSet(wait_set, WL_POSTMASTER_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
    AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, event_fd, nullptr, nullptr);
}

void wait_for_event(long timeout_ms)
{
    WaitEvent events[3];
    const int count = WaitEventSetWait(wait_set, timeout_ms, events, lengthof(events), PG_WAIT_EXTENSION);

    for (int i = 0; i < count; i++) {
        /* without a postmaster nothing can be promised any more; senders come again */
        if (events[i].events & WL_POSTMASTER_DEATH)
            proc_exit(1);
    }
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
}

} // namespace cxone_sync
