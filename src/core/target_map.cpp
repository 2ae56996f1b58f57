#include "core/target_map.h"

#include <stdexcept>

namespace cxone_sync {

std::string camel_case(std::string_view column_name)
{
    std::string camel;
    bool raise = false;
    for (char c : column_name) {
        if (c == '_' && !camel.empty()) {
            raise = true;
            continue;
        }
        camel += raise && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        raise = false;
    }
    return camel;
}

TargetMap::TargetMap(std::vector<Column> columns, std::uint16_t key, std::string_view time_key)
    : columns_(std::move(columns)), key_(key)
{
    if (key_ >= columns_.size())
        throw std::invalid_argument("the key column is not among the target's columns");

    /*
     * The time first, so that no column can take its key; then exact names, which win over camelCase forms.
     */
    add(std::string(time_key), {.role = Role::time});
    for (const bool exact : {true, false}) {
        for (std::size_t i = 0; i < columns_.size(); i++) {
            const Role role = i == key_ ? Role::key : Role::value;
            add(exact ? columns_[i].name : camel_case(columns_[i].name),
                {.role = role, .exact = exact, .column = static_cast<std::uint16_t>(i)});
        }
    }
}

void TargetMap::add(std::string json_key, Source source)
{
    sources_.try_emplace(std::move(json_key), source);
}

const TargetMap::Source *TargetMap::find(std::string_view json_key) const noexcept
{
    const auto found = sources_.find(json_key);
    return found == sources_.end() ? nullptr : &found->second;
}

} // namespace cxone_sync
