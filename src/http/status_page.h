#pragma once

#include "core/pure_room.h"

#include <string>
#include <string_view>

namespace cxone_sync {

/* The status page: status_page.html as it was built in, and the headers that it is served with. */
class StatusPage {
public:
    StatusPage();

    std::string_view html() const noexcept;
    /*
     * Its content-security policy allows its own style and script, by their hashes, and calls to where it
     * comes from; nothing else.
     */
    std::string_view header() const noexcept { return header_; }

private:
    std::string header_;
};

} // namespace cxone_sync
