#include "db/settings.h"
#include "worker/stop_request.h"

#include "worker/session.h"

namespace cxone_sync {

namespace {

/* A statement that is cancelled needs some time to roll back. */
constexpr int grace_ms = 3000;

WaitEventSet *wait_set = nullptr;
TimeoutId last_timeout;
volatile sig_atomic_t gave_up = false;
std::int64_t commit_us = 0;

/* Of a signal. A function that catches query_canceled and goes on is ended by this alone. */
void give_up_transaction()
{
    gave_up = true;
    die(SIGTERM);
}

void set_session_setting(const char *name, const char *value)
{
    SetConfigOption(name, value, PGC_USERSET, PGC_S_OVERRIDE);
}

} // namespace

void connect_session(const char *database)
{
    BackgroundWorkerInitializeConnection(database, nullptr, 0);
    last_timeout = RegisterTimeout(USER_TIMEOUT, give_up_transaction);
    apply_session_settings();
}

void apply_session_settings()
{
    char lock_timeout[16];

    snprintf(lock_timeout, sizeof(lock_timeout), "%d", settings::lock_timeout_ms);
    set_session_setting("lock_timeout", lock_timeout);
    /* the upsert decides by the row that is there now, not by the one a snapshot shows */
    set_session_setting("default_transaction_isolation", "read committed");
    /* statement_timeout of our own does that, and only gives the batch up */
    if (const char *setting = compat::transaction_timeout_setting())
        set_session_setting(setting, "0");
    change_drain_timeout(settings::drain_timeout_ms);
}

void begin_transaction(const char *activity)
{
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    /* 200 promises that the events survive a crash */
    if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
        (void)set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                                true, 0, false);
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
                        errhint("See default_transaction_read_only, of the server and of the database.")));
}

void end_transaction()
{
    PopActiveSnapshot();
    allow_any_time();
    const TimestampTz began = GetCurrentTimestamp();
    CommitTransactionCommand();
    commit_us = GetCurrentTimestamp() - began;
    /* a process that has to end does not wait for its synchronous standby (syncrep.c): no 200 for that */
    if (ProcDiePending)
        CHECK_FOR_INTERRUPTS();
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
