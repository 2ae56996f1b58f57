#pragma once

#include "core/statistics.h"

#include <string>
#include <string_view>

namespace cxone_sync {

struct Reply {
    int status = 200;
    std::string body;
    std::string_view content_type = "application/json";
    std::string_view header{}; /* further header lines, without the last CRLF; a text that outlives this */
    Counter counter{};         /* of a refusal: how it is counted */
};

/* A refusal in one line of JSON: {"error":"…"}, counted by its status. `header` is a static text. */
Reply error_reply(int status, std::string_view reason, std::string_view header = {});
/* The same for a status that does not tell how it is counted. */
Reply error_reply(Counter counter, int status, std::string_view reason, std::string_view header = {});

/*
 * The bytes on the wire; `close` announces that the connection ends with this reply, `head_only` leaves the
 * body out (an answer to HEAD). */
std::string to_wire(const Reply &reply, bool close, bool head_only);

} // namespace cxone_sync
