#pragma once

#include "cxone/api_settings.h"
#include "cxone/http_client.h"

#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* A Data Action as the service's list shows it. A member that the list does not have is empty. */
struct DataAction {
    std::string id;
    std::string name;
    std::string endpoint_url;
    std::string description;
    std::string format;
    std::string status;
};

/*
 * Reads one page of the list: an array, or an object with the array at one of the members `fields`, or at
 * such a member of the object at such a member. Appends to `actions`; `next` is the reference to the next
 * page that the body has, or empty. Returns what is wrong, or an empty string. What is not the list must
 * never pass for an empty one: ours would be created anew each time.
 */
std::string read_data_actions(std::string_view body, const std::vector<std::string> &fields,
                              std::vector<DataAction> &actions, std::string &next);

/* The id in the reply to a creation; empty if there is no usable one, which the list will show. */
std::string read_created_id(std::string_view body);

/* The body that creates the Data Action of the settings, or makes another one that. */
Secret data_action_body(const ApiSettings &settings);

/* What a server knows of its registration: of the last check that was done. */
struct KnownRegistration {
    std::string id; /* empty: none */
    std::string name;
    std::string endpoint_url;
    bool is_unlisted = false; /* it was created, and then the list did not show it */
};

/* What is to be done about a list. */
struct RegistrationPlan {
    enum class Step { create, update, leave };
    Step step = Step::create;
    DataAction ours;                    /* to be updated or left */
    std::vector<DataAction> duplicates; /* more of the same name and endpoint */
    std::size_t others = 0;             /* of our name, with another endpoint */
};

/*
 * Ours has the name and the endpoint of the settings. Of several, the one with the lowest id counts, so that
 * two servers that look at one list choose the same. If there is none, but the one that this server has
 * registered is as it left it, the settings have changed, and that one is to be updated.
 */
RegistrationPlan plan_registration(const std::vector<DataAction> &actions, const ApiSettings &settings,
                                   const KnownRegistration &known);

} // namespace cxone_sync
