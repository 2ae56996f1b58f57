#include "http/header.h"

namespace cxone_sync {

std::string header_value(std::string_view head, std::string_view name)
{
    std::string joined;
    bool is_there = false;

    /* after the request line */
    for (std::size_t begin = head.find("\r\n"); begin != head.npos;) {
        begin += 2;
        const std::size_t end = head.find("\r\n", begin);
        const std::string_view line = head.substr(begin, end - begin);
        const std::size_t colon = line.find(':');
        begin = end;
        if (colon == line.npos || !equal_ignoring_case(line.substr(0, colon), name))
            continue;
        if (is_there)
            joined += ", ";
        joined += trimmed(line.substr(colon + 1));
        is_there = true;
    }
    return joined;
}

} // namespace cxone_sync
