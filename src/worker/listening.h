#pragma once

#include "http/endpoint.h"

#include <string>

namespace cxone_sync {

/* Keeps one service listening where the settings say, and tries again, ever more rarely, where that fails. */
class Listening {
public:
    /* `what` is a word for the log. */
    Listening(const char *what, std::shared_ptr<Service> service) : what_(what), service_(std::move(service))
    {
    }

    /*
     * Listens there if it does not yet and if it is time to; port 0: nowhere. Returns true if that changed
     * anything; `problem` is set only if it failed, and then the address it had before stays in use, if it
     * was another port's.
     */
    bool update(Endpoint &endpoint, const char *address, int port, Timestamp at, std::error_code &problem);

    /* Whether this is another problem than the last one since it went well: one is told once, however often
     * it is tried again. */
    bool is_news(const std::string &problem);

    /* When to call update() again; INT64_MAX if there is nothing to wait for. */
    Timestamp try_again_at() const noexcept { return failures_ > 0 ? try_again_at_ : INT64_MAX; }

    bool is_up() const noexcept { return port_ != 0; }
    const char *what() const noexcept { return what_; }
    const std::string &address() const noexcept { return address_; }
    int port() const noexcept { return port_; }

private:
    void note_success();

    const char *what_;
    std::shared_ptr<Service> service_;
    std::string address_; /* in use, if port_ is not 0 */
    int port_ = 0;
    std::string asked_address_; /* of the last try */
    int asked_port_ = 0;
    unsigned failures_ = 0; /* of that one, in a row */
    Timestamp try_again_at_ = 0;
    std::string told_; /* the last problem that was */
};

} // namespace cxone_sync
