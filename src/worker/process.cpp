#include "worker/process.h"
#include "core/counters.h"
#include "core/queue.h"
#include "db/settings.h"
#include "http/admin.h"
#include "http/endpoint.h"
#include "http/webhook.h"
#include "worker/growing_delay.h"
#include "worker/stop_request.h"

#include "db/shared_state.h"
#include "worker/intake.h"
#include "worker/session.h"

namespace cxone_sync {

namespace {

constexpr std::int64_t quick_failure_us = 10'000'000; /* a run shorter than this counts as a failed start */

/* The process has one of each; the exit callback finds them here. */
Intake *intake = nullptr;
WorkerSlot *slot = nullptr;
bool connecting = false; /* an error here is FATAL, and nobody else notes it */

void on_exit(int, Datum)
{
    if (intake)
        intake->stop();
    if (connecting && !stop_requested()) {
        char text[160];
        snprintf(text, sizeof(text), "could not connect to database \"%s\": the server's log says why",
                 settings::database);
        show_error(*slot, text);
    }
    slot->state = WorkerState::stopped;
    slot->pid = 0;
    show_address(*slot, "");
    /* whoever has ended the worker wants it back at once */
    if (stop_requested() || GetCurrentTimestamp() - slot->started_at >= quick_failure_us)
        slot->quick_failures = 0;
    else
        slot->quick_failures++;
}

void claim_slot(int index)
{
    slot = &require_shared_state().workers[index];
    slot->pid = MyProcPid;
    slot->state = WorkerState::starting;
    slot->started_at = GetCurrentTimestamp();
    before_shmem_exit(on_exit, 0);
}

void wait_after_quick_failures()
{
    const Timestamp until = GetCurrentTimestamp() + growing_delay_ms(slot->quick_failures) * INT64CONST(1000);

    while (!stop_requested()) {
        const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

        if (left_ms <= 0)
            return;
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left_ms, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
}

} // namespace

void register_intake_worker(int index)
{
    BackgroundWorker worker = {};

    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = 1;
    strlcpy(worker.bgw_library_name, "cxone_sync", sizeof(worker.bgw_library_name));
    strlcpy(worker.bgw_function_name, "cxone_sync_intake_main", sizeof(worker.bgw_function_name));
    snprintf(worker.bgw_name, sizeof(worker.bgw_name), "cxone_sync intake %d", index + 1);
    strlcpy(worker.bgw_type, "cxone_sync", sizeof(worker.bgw_type));
    worker.bgw_main_arg = Int32GetDatum(index);
    RegisterBackgroundWorker(&worker);
}

} // namespace cxone_sync

extern "C" {
PGDLLEXPORT void cxone_sync_intake_main(Datum index);
}

/* A non-zero exit code is what makes the postmaster start the worker again (bgworker.c). */
void cxone_sync_intake_main(Datum index)
{
    using namespace cxone_sync;

    install_stop_request(settings::drain_timeout_ms);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    claim_slot(DatumGetInt32(index));
    wait_after_quick_failures();
    if (stop_requested())
        proc_exit(1);
    slot->started_at = GetCurrentTimestamp();

    connecting = true;
    BackgroundWorkerInitializeConnection(settings::database, nullptr, 0);
    connecting = false;
    apply_session_settings();
    call_cpp([] { intake = new Intake(*slot); });
    make_wait_set(intake->event_fd());
    call_cpp([] { intake->run(); });
    proc_exit(1);
}
