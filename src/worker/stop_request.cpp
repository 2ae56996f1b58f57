#include "worker/stop_request.h"

#include <csignal>
#include <ctime>

#include "db/pg.h"

namespace cxone_sync {

namespace {

volatile sig_atomic_t requested = false;
timer_t drain_timer;
itimerspec drain_limit;
std::atomic<bool> *shown_as_stopping = nullptr;

/* timer_settime() and SetLatch() are safe in a signal handler (POSIX.1-2017 section 2.4.3; latch.c). */
void on_sigterm(SIGNAL_ARGS)
{
    const int saved_errno = errno;

    if (requested) {
        die(postgres_signal_arg);
    } else {
        requested = true;
        shown_as_stopping->store(true, std::memory_order_relaxed);
        timer_settime(drain_timer, 0, &drain_limit, nullptr);
        SetLatch(MyLatch);
    }
    errno = saved_errno;
}

} // namespace

void install_stop_request(int drain_timeout_ms, std::atomic<bool> &is_stopping)
{
    sigevent at_end = {};

    at_end.sigev_notify = SIGEV_SIGNAL;
    at_end.sigev_signo = SIGTERM;
    if (timer_create(CLOCK_MONOTONIC, &at_end, &drain_timer) != 0)
        ereport(FATAL, (errmsg("cxone_sync: could not create a timer: %m")));
    change_drain_timeout(drain_timeout_ms);
    shown_as_stopping = &is_stopping;
    is_stopping = false;
    pqsignal(SIGTERM, on_sigterm);
}

void change_drain_timeout(int drain_timeout_ms) noexcept
{
    drain_limit.it_value.tv_sec = drain_timeout_ms / 1000;
    drain_limit.it_value.tv_nsec = (drain_timeout_ms % 1000) * 1000000L;
}

bool stop_requested() noexcept
{
    return requested;
}

} // namespace cxone_sync
