#include "db/by_index.h"
#include "db/identity.h"
extern "C" {
#include "optimizer/planner.h"
#include "utils/plancache.h"
}

namespace cxone_sync {

namespace {

planner_hook_type next_planner = nullptr;

/* The text of the statement, by which the planner is told what it plans. */
const char *text_by_index = nullptr;

void pin_index_settings()
{
    pin_setting("enable_nestloop", "on");
    pin_setting("enable_indexscan", "on");
    pin_setting("enable_hashjoin", "off");
    pin_setting("enable_mergejoin", "off");
    pin_setting("enable_seqscan", "off");
    /* what counts is how many rows are looked at */
    pin_setting("random_page_cost", "0");
    pin_setting("cpu_operator_cost", "0");
    /* where there is no index to use, the cost of a disabled plan would have each run of it compiled */
    pin_setting("jit", "off");
}

/* Since 19 there is one more parameter. */
template <typename... More>
PlannedStmt *plan(Query *query, const char *text, int options, ParamListInfo parameters, More... more)
{
    if (text == nullptr || text != text_by_index)
        return next_planner(query, text, options, parameters, more...);
    const int level = NewGUCNestLevel();
    pin_index_settings();
    PlannedStmt *result = next_planner(query, text, options, parameters, more...);
    AtEOXact_GUC(false, level);
    return result;
}

} // namespace

void plan_by_index(SPIPlanPtr plan_of_ours)
{
    if (next_planner == nullptr) {
        next_planner = planner_hook != nullptr ? planner_hook : standard_planner;
        planner_hook = plan;
    }
    text_by_index =
        plan_of_ours != nullptr
            ? static_cast<const CachedPlanSource *>(linitial(SPI_plan_get_plan_sources(plan_of_ours)))
                  ->query_string
            : nullptr;
}

} // namespace cxone_sync
