#include "db/text.h"

namespace cxone_sync {

int pin_text_forms()
{
    const int level = NewGUCNestLevel();
    const char *const settings[][2] = {{"datestyle", "ISO, YMD"},
                                       {"timezone", "UTC"},
                                       {"intervalstyle", "postgres"},
                                       {"extra_float_digits", "1"}};

    for (const auto &setting : settings)
        (void)set_config_option(setting[0], setting[1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                                false);
    return level;
}

} // namespace cxone_sync
