#pragma once

#include "core/pure_room.h"

#include <string>
#include <string_view>

namespace cxone_sync {

struct Reply {
    int status = 200;
    std::string body;
    std::string_view content_type = "application/json";
    std::string_view header{}; /* one more header line, without CRLF; a static text */
};

/* A refusal in one line of JSON: {"error":"…"}. `header` is a static text. */
Reply error_reply(int status, std::string_view reason, std::string_view header = {});

/*
 * The bytes on the wire; `close` announces that the connection ends with this reply, `head_only` leaves the
 * body out (an answer to HEAD). */
std::string to_wire(const Reply &reply, bool close, bool head_only);

} // namespace cxone_sync
