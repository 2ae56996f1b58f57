#include "cxone/data_action.h"

#include "core/utf8.h"
#include "cxone/contract.h"
#include "cxone/encoding.h"
#include "cxone/json_value.h"
#include "cxone/url.h"

#include <algorithm>

namespace cxone_sync {

namespace {

constexpr std::size_t max_id_size = 200;

/* The array of Data Actions; null if there is none. */
const JsonValue *find_list(const JsonValue &reply, const std::vector<std::string> &fields, bool within)
{
    if (reply.kind == JsonKind::array)
        return &reply;
    for (const std::string &name : fields) {
        const JsonValue *member = reply.find(name);
        const JsonValue *list = member && (within || member->kind == JsonKind::array)
                                    ? find_list(*member, fields, false)
                                    : nullptr;
        if (list)
            return list;
    }
    return nullptr;
}

DataAction data_action_of(const JsonValue &value)
{
    return {.id = std::string(value.text_of("id")),
            .name = std::string(value.text_of("name")),
            .endpoint_url = std::string(value.text_of("endpointUrl")),
            .description = std::string(value.text_of("description")),
            .format = std::string(value.text_of("format")),
            .status = std::string(value.text_of("status"))};
}

/* A text, or {"href": text} (HAL). */
std::string_view reference_at(const JsonValue &value, std::string_view key)
{
    const JsonValue *member = value.find(key);

    return member && member->is_object() ? member->text_of("href") : value.text_of(key);
}

std::string_view next_page_of(const JsonValue &reply)
{
    for (const std::string_view key : {"_links", "links"}) {
        if (const JsonValue *links = reply.find(key)) {
            if (const std::string_view next = reference_at(*links, "next"); !next.empty())
                return next;
        }
    }
    for (const std::string_view key : {"next", "nextPageUri", "nextUri"}) {
        if (const std::string_view next = reference_at(reply, key); !next.empty())
            return next;
    }
    return {};
}

/* Ids are numbers or texts; as numbers the shorter one is the lower one. */
bool has_lower_id(const DataAction &a, const DataAction &b)
{
    return a.id.size() != b.id.size() ? a.id.size() < b.id.size() : a.id < b.id;
}

/* It becomes part of a path, where dots alone would lead elsewhere, and is shown. */
bool is_usable_id(const std::string &id)
{
    const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };

    return !id.empty() && id.size() <= max_id_size && id.find_first_not_of('.') != std::string::npos &&
           std::none_of(id.begin(), id.end(), is_control) && is_valid_utf8(id);
}

bool is_as_wanted(const DataAction &action, const ApiSettings &settings)
{
    return action.name == settings.name && is_same_url(action.endpoint_url, settings.endpoint_url) &&
           (action.description.empty() || action.description == settings.description) &&
           (action.format.empty() || action.format == contract::data_action_format);
}

} // namespace

std::string read_data_actions(std::string_view body, const std::vector<std::string> &fields,
                              std::vector<DataAction> &actions, std::string &next)
{
    std::string problem;
    const std::optional<JsonValue> reply = parse_json_value(body, problem);

    if (!reply)
        return problem;
    const JsonValue *list = find_list(*reply, fields, true);
    if (!list)
        return "the reply has no list at " + quoted_names(fields);
    for (const JsonValue &element : list->elements) {
        if (!element.is_object())
            return "an element of the list is no JSON object";
        const DataAction &action = actions.emplace_back(data_action_of(element));
        if (!is_usable_id(action.id))
            return "a Data Action of the list has no usable id";
    }
    next = next_page_of(*reply);
    return {};
}

std::string read_created_id(std::string_view body)
{
    std::string ignored;
    const std::optional<JsonValue> reply = parse_json_value(body, ignored);
    std::string id(reply ? reply->text_of("id") : std::string_view());

    return is_usable_id(id) ? id : std::string();
}

Secret data_action_body(const ApiSettings &settings)
{
    Secret json;
    const auto add = [&json](std::string_view name, std::string_view value) {
        json += json.empty() ? "{" : ",";
        ((json += json_string(name).view()) += ":") += json_string(value).view();
    };

    add("name", settings.name);
    add("description", settings.description);
    add("endpointUrl", settings.endpoint_url);
    add("format", contract::data_action_format);
    return json += "}";
}

RegistrationPlan plan_registration(const std::vector<DataAction> &actions, const ApiSettings &settings,
                                   const KnownRegistration &known)
{
    using Step = RegistrationPlan::Step;
    RegistrationPlan plan;
    std::vector<DataAction> ours;
    const DataAction *left_behind = nullptr;

    for (const DataAction &action : actions) {
        if (action.name == settings.name && is_same_url(action.endpoint_url, settings.endpoint_url))
            ours.push_back(action);
        else if (!known.id.empty() && action.id == known.id && action.name == known.name &&
                 is_same_url(action.endpoint_url, known.endpoint_url))
            left_behind = &action;
        else if (action.name == settings.name)
            plan.others++;
    }
    std::sort(ours.begin(), ours.end(), has_lower_id);
    /* a list that changes while it is read in pages may have one twice */
    ours.erase(std::unique(ours.begin(), ours.end(),
                           [](const DataAction &a, const DataAction &b) { return a.id == b.id; }),
               ours.end());
    if (!ours.empty()) {
        plan.ours = ours.front();
        plan.duplicates.assign(ours.begin() + 1, ours.end());
        plan.step = is_as_wanted(plan.ours, settings) ? Step::leave : Step::update;
        /* it cannot become ours any more */
        plan.others += left_behind && left_behind->name == settings.name;
    } else if (left_behind) {
        plan.ours = *left_behind;
        plan.step = Step::update;
    }
    return plan;
}

} // namespace cxone_sync
