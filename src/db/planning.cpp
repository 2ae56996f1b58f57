#include "core/mapping.h"

#include "db/catalog.h"
#include "db/identity.h"
#include "db/names.h"
#include "db/planning.h"
extern "C" {
#include "optimizer/planner.h"
#include "utils/plancache.h"
}

namespace cxone_sync {

namespace {

planner_hook_type next_planner = nullptr;

/* The text tells the planner what it plans; null: no statement of ours. */
struct Watched {
    const char *text;
    const Target *target;
    bool by_index;
};

Watched watched = {};

bool mentions(const Query *query, Oid relation)
{
    for (const auto *entry : Each<RangeTblEntry *>(query->rtable)) {
        if (entry->rtekind == RTE_RELATION && entry->relid == relation)
            return true;
    }
    return false;
}

void check_meaning(const Query *query, const Target *target)
{
    if (has_changed_since(*target->catalog))
        check_names(target);
    if (!mentions(query, target->config.relation))
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("another table was given the name of table %s meanwhile", target->table)));
}

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
    if (text == nullptr || text != watched.text)
        return next_planner(query, text, options, parameters, more...);
    if (watched.target != nullptr)
        check_meaning(query, watched.target);
    if (!watched.by_index)
        return next_planner(query, text, options, parameters, more...);
    const int level = NewGUCNestLevel();
    pin_index_settings();
    PlannedStmt *result = next_planner(query, text, options, parameters, more...);
    AtEOXact_GUC(false, level);
    return result;
}

} // namespace

void watch_planning(SPIPlanPtr ours, const Target *target, bool by_index)
{
    if (next_planner == nullptr) {
        next_planner = planner_hook != nullptr ? planner_hook : standard_planner;
        planner_hook = plan;
    }
    const auto *source = static_cast<const CachedPlanSource *>(linitial(SPI_plan_get_plan_sources(ours)));
    watched = {.text = source->query_string, .target = target, .by_index = by_index};
}

void unwatch_planning()
{
    watched = {};
}

} // namespace cxone_sync
