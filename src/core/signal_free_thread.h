#pragma once

#include "core/pure_room.h"

#include <csignal>
#include <pthread.h>
#include <thread>
#include <utility>

namespace cxone_sync {

/*
 * Starts a thread with every signal blocked: all of them are for the main thread, which alone may act on
 * them. `name` has at most 15 bytes. Throws std::system_error.
 */
template <typename Work> std::thread signal_free_thread(const char *name, Work work)
{
    sigset_t all, before;
    std::thread thread;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread = std::thread(std::move(work));
    } catch (...) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread.native_handle(), name);
    return thread;
}

} // namespace cxone_sync
