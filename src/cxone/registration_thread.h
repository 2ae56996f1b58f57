#pragma once

#include "core/event_fd.h"
#include "cxone/registration.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace cxone_sync {

/*
 * A thread for the calls to the service, so that the process's main thread never waits for the network. One
 * job at a time: begin(), then the eventfd becomes readable, then take().
 */
class RegistrationThread {
public:
    enum class Job { check, remove };

    /* Throws std::system_error or std::bad_alloc. */
    RegistrationThread();
    ~RegistrationThread();

    void begin(Job job, std::unique_ptr<ApiSettings> settings, KnownRegistration known, bool forget_token);
    bool is_busy() const noexcept { return busy_; }
    /* What the job has come to, once it is done. */
    std::optional<RegistrationResult> take();
    int event_fd() const noexcept { return event_.fd(); }

    /* Breaks off what is under way and ends the thread, within moments. */
    void stop() noexcept;

private:
    struct Order {
        Job job;
        std::unique_ptr<ApiSettings> settings;
        KnownRegistration known;
        bool forget_token;
    };

    void run();
    RegistrationResult carry_out(const Order &order) noexcept;

    EventFd event_;
    Registration registration_;
    bool busy_ = false; /* of the main thread alone */

    std::mutex mutex_;
    std::condition_variable wanted_;
    std::optional<Order> order_;
    std::optional<RegistrationResult> result_;
    bool stopping_ = false;

    std::thread thread_;
};

} // namespace cxone_sync
