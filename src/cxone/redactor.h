#pragma once

#include "core/secret.h"

#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* Takes secrets out of texts that come from the service, which may repeat what it was sent. */
class Redactor {
public:
    /* From now on, in every form in which it may come back: plain, percent-encoded, in JSON, in HTML. */
    void hide(std::string_view secret);

    /* `text` with *** for each of them; only its first 2 kB, as nobody wants to read more. */
    std::string operator()(std::string_view text) const;

private:
    std::vector<Secret> secrets_;
};

} // namespace cxone_sync
