#include "worker/access.h"

#include "core/loopback.h"
#include "core/timestamp.h"
#include "db/authentication_settings.h"
#include "db/settings.h"
#include "db/tls_settings.h"

#include <utility>

namespace cxone_sync {

std::vector<Access::Problem> Access::reload()
{
    problems_.clear();
    closed_because_.clear();
    load_tls();
    load_authentication();
    return std::exchange(problems_, {});
}

void Access::warn(std::string text, std::string hint)
{
    problems_.push_back({std::move(text), std::move(hint)});
}

/* For the first reason that there is. */
void Access::close(std::string because, std::string hint)
{
    if (closed_because_.empty())
        closed_because_ = because;
    warn(std::move(because), std::move(hint));
}

void Access::load_tls()
{
    std::string problem;
    std::string hint;

    if (!settings::wants_tls()) {
        tls_ = nullptr;
        return;
    }
    if (std::shared_ptr<const TlsContext> loaded = settings::load_tls(problem, hint))
        tls_ = std::move(loaded);
    else if (tls_)
        warn("TLS goes on with the certificate it had: " + problem, hint);
    else
        /* whoever asks for TLS does not mean to listen in the clear */
        close("TLS cannot be had: " + problem, hint);
    if (tls_ && tls_->expires_at() < now())
        warn("the certificate for webhooks has expired",
             "Renew the file that cxone_sync.tls_cert_file names, and reload.");
}

void Access::load_authentication()
{
    AuthenticationConfig config;
    std::string hint;
    const std::string problem = settings::load_authentication(config, hint);
    const AuthenticationMethod method = config.method;
    const bool is_local = is_loopback_address(settings::listen_address);

    if (problem.empty())
        authenticator_ = method == AuthenticationMethod::none
                             ? nullptr
                             : std::make_shared<const Authenticator>(std::move(config));
    else if (authenticator_)
        warn("senders are authenticated as before: " + problem, hint);
    else
        close("senders cannot be authenticated: " + problem, hint);

    /* nobody may send without proof but from this machine */
    if (!authenticator_ && problem.empty() && !is_local)
        close(std::string("senders are not authenticated, and ") + settings::listen_address +
                  " is no loopback address",
              "Set cxone_sync.authentication, or let cxone_sync.listen_address be 127.0.0.1 and a proxy on "
              "this machine authenticate them.");
    if (authenticator_ && method != AuthenticationMethod::signature && !is_local && !settings::wants_tls())
        warn(std::string("senders show their secret in the clear on ") + settings::listen_address,
             "Set cxone_sync.tls_cert_file and cxone_sync.tls_key_file, unless a proxy does TLS and the "
             "network "
             "between is private.");
}

} // namespace cxone_sync
