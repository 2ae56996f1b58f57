#include "db/text.h"
#include "db/identity.h"

namespace cxone_sync {

int pin_text_forms()
{
    const int level = NewGUCNestLevel();
    pin_setting("datestyle", "ISO, YMD");
    pin_setting("timezone", "UTC");
    pin_setting("intervalstyle", "postgres");
    pin_setting("extra_float_digits", "1");
    return level;
}

} // namespace cxone_sync
