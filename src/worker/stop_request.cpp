#include "worker/stop_request.h"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <ctime>

#include "db/pg.h"

namespace cxone_sync {

namespace {

constexpr std::int64_t repeat_us = 100'000;

volatile sig_atomic_t requested = false;
std::int64_t counts_again_at; /* another request */
timer_t drain_timer;
itimerspec drain_limit;
std::atomic<bool> *shown_as_stopping = nullptr;

std::int64_t to_us(const timespec &time)
{
    return time.tv_sec * std::int64_t{1'000'000} + time.tv_nsec / 1000;
}

/*
 * The postmaster sends a signal to the process and then to its group, which is the process once more
 * (postmaster.c: signal_child): what comes right behind the first is no second request. The end of the drain
 * is told by the same signal. What is called here is safe in a signal handler (POSIX.1-2017 section 2.4.3;
 * latch.c).
 */
void on_sigterm(SIGNAL_ARGS)
{
    const int saved_errno = errno;
    timespec now = {};

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (requested) {
        if (to_us(now) >= counts_again_at)
            die(postgres_signal_arg);
    } else {
        counts_again_at = to_us(now) + std::min(repeat_us, to_us(drain_limit.it_value));
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
