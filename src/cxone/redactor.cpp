#include "cxone/redactor.h"

#include "cxone/encoding.h"

#include <algorithm>

namespace cxone_sync {

namespace {

/* %2B as %2b: both are in use. */
Secret with_small_hex(std::string_view encoded)
{
    Secret result;

    for (std::size_t i = 0; i < encoded.size(); i++) {
        const bool is_hex = (i >= 1 && encoded[i - 1] == '%') || (i >= 2 && encoded[i - 2] == '%');
        const char c = is_hex && encoded[i] >= 'A' && encoded[i] <= 'F' ? static_cast<char>(encoded[i] + 32)
                                                                        : encoded[i];
        result += {&c, 1};
    }
    return result;
}

Secret replaced(std::string_view text, std::string_view from, std::string_view to)
{
    Secret result;

    for (std::size_t at; (at = text.find(from)) != std::string_view::npos;) {
        (result += text.substr(0, at)) += to;
        text.remove_prefix(at + from.size());
    }
    return result += text;
}

Secret in_html(std::string_view text)
{
    const Secret ampersands = replaced(text, "&", "&amp;");
    const Secret less = replaced(ampersands.view(), "<", "&lt;");
    const Secret greater = replaced(less.view(), ">", "&gt;");
    return replaced(greater.view(), "\"", "&quot;");
}

} // namespace

void Redactor::add(const Secret &form)
{
    const auto longer = [&form](const Secret &other) { return other.view().size() < form.view().size(); };

    if (std::any_of(forms_.begin(), forms_.end(),
                    [&form](const Secret &other) { return other.view() == form.view(); }))
        return;
    forms_.insert(std::find_if(forms_.begin(), forms_.end(), longer), form);
}

void Redactor::hide(std::string_view secret)
{
    if (secret.empty())
        return;

    const Secret encoded = percent_encoded(secret);
    const Secret in_json = json_string(secret);
    const Secret json_text(in_json.view().substr(1, in_json.view().size() - 2));
    add(Secret(secret));
    add(encoded);
    add(with_small_hex(encoded.view()));
    add(replaced(encoded.view(), "%20", "+"));
    add(json_text);
    add(replaced(json_text.view(), "/", "\\/"));
    add(in_html(secret));
}

std::string Redactor::operator()(std::string_view text) const
{
    std::string result;

    for (std::size_t i = 0; i < text.size();) {
        const auto found = std::find_if(forms_.begin(), forms_.end(), [text, i](const Secret &form) {
            return text.substr(i).starts_with(form.view());
        });
        if (found == forms_.end()) {
            result += text[i++];
        } else {
            result += "***";
            i += found->view().size();
        }
    }
    return result;
}

} // namespace cxone_sync
