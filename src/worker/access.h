#pragma once

#include "http/authentication.h"
#include "http/tls.h"

#include <memory>
#include <string>
#include <vector>

namespace cxone_sync {

/*
 * Who may send, and by what: as the settings and their files say, looked at anew at each reload. What cannot
 * be loaded leaves in force what was loaded before; if that is nothing, nobody may send.
 */
class Access {
public:
    struct Problem {
        std::string text;
        std::string hint;
    };

    /* Returns what is wrong. Calls nothing of PostgreSQL that can fail; throws std::bad_alloc. */
    std::vector<Problem> reload();

    /* Null: none is needed, or none can be had. */
    const std::shared_ptr<const Authenticator> &authenticator() const noexcept { return authenticator_; }
    /* Null: in the clear, or none can be had. */
    const std::shared_ptr<const TlsContext> &tls() const noexcept { return tls_; }
    /* Why nobody may send; empty: who can be authenticated, or needs not, may. */
    const std::string &closed_because() const noexcept { return closed_because_; }

private:
    void load_tls();
    void load_authentication();
    void warn(std::string text, std::string hint);
    void close(std::string because, std::string hint);

    std::shared_ptr<const Authenticator> authenticator_;
    std::shared_ptr<const TlsContext> tls_;
    std::string closed_because_;
    std::vector<Problem> problems_; /* of the reload under way */
};

} // namespace cxone_sync
