#pragma once

#include <atomic>

namespace cxone_sync {

/*
 * SIGTERM in two steps. The first asks the worker to stop: it drains and answers. A second one, at least 100
 * ms later, or the end of cxone_sync.drain_timeout, is PostgreSQL's own die(), which also ends a wait for a
 * lock. With die() alone the deliveries under way would be refused at every restart; without it a lock could
 * hold up the shutdown. `is_stopping`, in shared memory, tells others of the first.
 */
void install_stop_request(int drain_timeout_ms, std::atomic<bool> &is_stopping);
void change_drain_timeout(int drain_timeout_ms) noexcept;
bool stop_requested() noexcept;

} // namespace cxone_sync
