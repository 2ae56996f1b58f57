#include "core/secret_file.h"

#include "db/secret_setting.h"

namespace cxone_sync::settings {

bool hide_secret(char **value, void **extra, GucSource)
{
    const std::size_t size = strlen(*value) + 1;
    void *secret = compat::allocate_setting(size);

    if (secret)
        memcpy(secret, *value, size);
    explicit_bzero(*value, size);
    *extra = secret;
    return secret != nullptr;
}

/* The one before is about to be freed; only what is not used any more is wiped. */
void assign_secret(SecretSetting &setting, void *extra)
{
    if (setting.secret && setting.secret != extra)
        explicit_bzero(setting.secret, strlen(setting.secret));
    setting.secret = static_cast<char *>(extra);
}

const char *show_secret(const SecretSetting &setting)
{
    return setting.secret && *setting.secret ? "********" : "";
}

std::string load_secret(const char *name, const char *file, const SecretSetting &setting, Secret &secret,
                        std::string &hint)
{
    if (*file != '\0') {
        const std::string problem = read_secret_file(file, secret, hint);
        return problem.empty() ? problem : std::string("file \"") + file + "\": " + problem;
    }
    if (setting.secret && *setting.secret) {
        secret = Secret(setting.secret);
        return {};
    }
    hint = std::string("Set ") + name + "_file.";
    return std::string(name) + " is not set";
}

} // namespace cxone_sync::settings
