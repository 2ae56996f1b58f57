#pragma once

#include "cxone/registration_thread.h"

#include <random>
#include <string>

#include "db/guard.h"
#include "db/shared_state.h"

namespace cxone_sync {

/*
 * The registrar: keeps the registration with CXone as the settings want it. It decides when to check and
 * shows what came of it; a thread of its own does the calls, so that neither a signal nor the server's other
 * processes ever wait for the network, and no transaction is open meanwhile.
 *
 * Its frames come in the two kinds that intake.h describes.
 */
class Registrar {
public:
    /* Starts the thread; throws std::system_error or std::bad_alloc. */
    explicit Registrar(RegistrationSlot &slot);

    /* Until a stop is asked for, or there is no API any more. */
    void run();
    /* At exit, however it comes. */
    void stop() noexcept { thread_.stop(); }
    int event_fd() const noexcept { return thread_.event_fd(); }

private:
    /* Why no check can begin now. */
    struct Obstacle {
        std::string problem;
        std::string hint;
        RegistrationState state = RegistrationState::waiting;
        std::int64_t next_try = INT64_MAX; /* none: whatever mends it wakes us */
    };

    void wait();
    std::int64_t due_at() const;
    bool settings_have_changed();
    void reload();
    void take_requests();
    void ask_for_check(bool at_once);

    void begin();
    bool look_at_database(bool &unregistered, Obstacle &obstacle);
    void begin_job(RegistrationThread::Job job, Obstacle &obstacle);
    KnownRegistration known() const;

    void finish(const RegistrationResult &result);
    void note_done(const RegistrationResult &result);
    void note_failure(const RegistrationResult &result);
    void release_lock();

    void show();
    void show_problem(RegistrationState state, const std::string &problem, const std::string &hint);

    RegistrationSlot &slot_;
    RegistrationThread thread_;
    RegistrationInfo info_; /* what the slot shows; it outlives the process */
    bool locked_ = false;
    bool removing_ = false; /* what the job under way is to do */
    bool forget_token_ = false;
    bool asked_ = true;           /* for a check, by something else than the timer */
    std::int64_t not_before_ = 0; /* the service has asked for that */
    unsigned failures_ = 0;       /* in a row, of this round */
    unsigned obstacles_ = 0;      /* in a row */
    std::size_t fingerprint_ = 0; /* of the settings, when they were last loaded */
    bool has_news_ = true;        /* for the log, when the registration is found to be right */
    std::string told_;            /* the problem that the log has last told; empty: that all is well */
    std::minstd_rand random_;
};

} // namespace cxone_sync
