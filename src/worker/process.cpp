#include "worker/process.h"

#include "core/growing_delay.h"
#include "core/monitoring.h"
#include "core/queue.h"
#include "cxone/registration_thread.h"
#include "db/registration_settings.h"
#include "db/settings.h"
#include "http/admin.h"
#include "http/endpoint.h"
#include "http/webhook.h"
#include "worker/stop_request.h"

#include <curl/curl.h>
#include <malloc.h>

#include "db/shared_state.h"
#include "worker/intake.h"
#include "worker/registrar.h"
#include "worker/session.h"

namespace cxone_sync {

namespace {

constexpr std::int64_t quick_failure_us = 10'000'000; /* a run shorter than this counts as a failed start */

/* The process is one of the two; the exit callbacks find it here. */
Intake *intake = nullptr;
WorkerSlot *intake_slot = nullptr;
Registrar *registrar = nullptr;
HandoverSockets *handover_sockets = nullptr; /* the postmaster's; null: there is one intake worker */
bool connecting = false;                     /* an error here is FATAL, and nobody else notes it */

/* ---- what both do ---- */

void register_worker(const char *type, const char *name, const char *main_function, int argument)
{
    BackgroundWorker worker = {};

    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = 1;
    strlcpy(worker.bgw_library_name, "cxone_sync", sizeof(worker.bgw_library_name));
    strlcpy(worker.bgw_function_name, main_function, sizeof(worker.bgw_function_name));
    strlcpy(worker.bgw_name, name, sizeof(worker.bgw_name));
    strlcpy(worker.bgw_type, type, sizeof(worker.bgw_type));
    worker.bgw_main_arg = Int32GetDatum(argument);
    RegisterBackgroundWorker(&worker);
}

void catch_signals(ProcessSlot &slot)
{
    install_stop_request(settings::drain_timeout_ms, slot.is_stopping);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
}

void claim_slot(ProcessSlot &slot, pg_on_exit_callback on_exit)
{
    slot.pid = MyProcPid;
    slot.started_at = GetCurrentTimestamp();
    slot.starts++;
    before_shmem_exit(on_exit, 0);
}

void leave_slot(ProcessSlot &slot)
{
    slot.pid = 0;
    /* whoever has ended the worker wants it back at once, and deliveries that need not wait should not */
    if (stop_requested() || gave_up_transaction() ||
        GetCurrentTimestamp() - slot.started_at >= quick_failure_us)
        slot.quick_failures = 0;
    else
        slot.quick_failures++;
}

/* Waits for the latch, at most so long (-1: for ever), then acts on interrupts. */
void wait_for_latch(long timeout_ms)
{
    const int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0);

    (void)WaitLatch(MyLatch, events, timeout_ms, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
}

void wait_after_quick_failures(ProcessSlot &slot)
{
    const Timestamp until = GetCurrentTimestamp() + growing_delay_ms(slot.quick_failures) * INT64CONST(1000);

    while (!stop_requested()) {
        const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

        if (left_ms <= 0)
            break;
        wait_for_latch(left_ms);
    }
    slot.started_at = GetCurrentTimestamp();
}

void connect_to_database()
{
    connecting = true;
    connect_session(settings::database);
    connecting = false;
}

/* What to show if the process ends since that has failed. */
bool connection_failed(char *text, std::size_t size)
{
    if (!connecting || stop_requested())
        return false;
    snprintf(text, size, "could not connect to database \"%s\": the server's log says why",
             settings::database);
    return true;
}

/* ---- the intake worker ---- */

/*
 * Each batch needs the memory that the one before has freed. glibc would give that back to the system in
 * between: with the page faults it takes a tenth longer. These bytes may be kept for each thread instead, and
 * smaller blocks are not mapped one by one.
 */
void keep_freed_memory()
{
#ifdef __GLIBC__
    (void)mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
    (void)mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
#endif
}

/* In place of what the last process of this number has left there, and before it has a pid. */
void show_start(WorkerSlot &slot, int number)
{
    slot.statistics.gauges.clear();
    recent_deliveries().end_all_of(number);
    slot.state = WorkerState::starting;
    slot.info.change([](WorkerInfo &info) {
        for (ProblemText &problem : info.problems)
            set_text(problem, "");
        set_text(info.problem(Check::endpoint), "the worker is starting");
    });
}

void tell_given_up()
{
    constexpr const char *problem = "a transaction went on after statement_timeout had cancelled it";

    show_error(*intake_slot, problem);
    ereport(WARNING, (errmsg("cxone_sync: %s, so the worker ends and is started again", problem),
                      errhint("Look for functions of the targets' tables that catch query_canceled.")));
}

void on_intake_exit(int, Datum)
{
    char problem[160];

    if (intake)
        intake->stop();
    if (connection_failed(problem, sizeof(problem)))
        show_error(*intake_slot, problem);
    if (gave_up_transaction())
        tell_given_up();
    intake_slot->state = WorkerState::stopped;
    intake_slot->info.change([](WorkerInfo &info) { info.address[0] = info.metrics_address[0] = '\0'; });
    leave_slot(*intake_slot);
}

/* ---- the registrar ---- */

void on_registrar_exit(int, Datum)
{
    RegistrationSlot &slot = require_shared_state().monitoring.registration;
    RegistrationInfo info = slot.info.get();

    if (registrar)
        registrar->stop();
    char problem[160];
    if (connection_failed(problem, sizeof(problem))) {
        set_text(info.last_error, problem);
        info.last_error_at = GetCurrentTimestamp();
        info.hint[0] = '\0';
        slot.info.set(info);
    }
    leave_slot(slot);
}

/* Without an API there is nothing to do, and no need for a connection. */
void wait_for_api(RegistrationSlot &slot)
{
    if (!settings::registration_is_set_up())
        slot.info.set({});
    while (!settings::registration_is_set_up() && !stop_requested()) {
        wait_for_latch(-1);
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
        }
    }
}

} // namespace

void register_intake_workers(int count)
{
    char name[BGW_MAXLEN];

    if (count > 1)
        call_cpp([count] { handover_sockets = new HandoverSockets(count); });
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "cxone_sync intake %d", i + 1);
        register_worker("cxone_sync", name, "cxone_sync_intake_main", i);
    }
}

void register_registrar()
{
    register_worker("cxone_sync registrar", "cxone_sync registrar", "cxone_sync_registrar_main", 0);
}

} // namespace cxone_sync

extern "C" {
PGDLLEXPORT void cxone_sync_intake_main(Datum index);
PGDLLEXPORT void cxone_sync_registrar_main(Datum);
}

/* A non-zero exit code is what makes the postmaster start a worker again (bgworker.c). */
void cxone_sync_intake_main(Datum index)
{
    using namespace cxone_sync;

    const int number = DatumGetInt32(index);
    Monitoring &monitoring = require_shared_state().monitoring;
    intake_slot = &monitoring.workers[number];
    catch_signals(*intake_slot);
    show_start(*intake_slot, number);
    claim_slot(*intake_slot, on_intake_exit);
    wait_after_quick_failures(*intake_slot);
    if (stop_requested())
        proc_exit(1);
    connect_to_database();
    keep_freed_memory();
    call_cpp([number, &monitoring] {
        intake = new Intake(monitoring, recent_deliveries(), number, handover_sockets);
    });
    make_wait_set(intake->event_fd());
    call_cpp([] { intake->run(); });
    proc_exit(1);
}

void cxone_sync_registrar_main(Datum)
{
    using namespace cxone_sync;

    RegistrationSlot &slot = require_shared_state().monitoring.registration;
    catch_signals(slot);
    claim_slot(slot, on_registrar_exit);
    wait_after_quick_failures(slot);
    wait_for_api(slot);
    slot.started_at = GetCurrentTimestamp();
    if (stop_requested())
        proc_exit(1);
    connect_to_database();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        ereport(FATAL, (errmsg("cxone_sync: could not start libcurl")));
    call_cpp([] { registrar = new Registrar(require_shared_state().monitoring.registration); });
    make_wait_set(registrar->event_fd());
    call_cpp([] { registrar->run(); });
    proc_exit(1);
}
