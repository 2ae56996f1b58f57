#pragma once

#include "core/pure_room.h"

#include <string>
#include <string_view>

namespace cxone_sync {

/*
 * The JSON pointer that somebody may have meant who wrote `text`, which is none: data.call, $.data['call'],
 * data->call[0], #/data/call, /a~b. Empty if there is no guess.
 */
std::string json_pointer_meant(std::string_view text);

} // namespace cxone_sync
