#include "core/utf8.h"

#include "reference.h"

#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    const bool valid = cxone_sync::is_valid_utf8(text);

    if (valid != reference::is_valid_utf8(text))
        std::abort();
    /* Two well-formed texts make one, and what is broken stays broken with well-formed text before it. */
    if (valid != cxone_sync::is_valid_utf8("\xC3\xA4 " + std::string(text)))
        std::abort();
    return 0;
}
