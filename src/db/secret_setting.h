#pragma once

#include "core/secret.h"

#include <string>

#include "db/pg.h"

/*
 * Settings that hold secrets. The server logs a setting that a reload has changed, with its text, if its
 * value before and after differ (ProcessConfigFileInternal(), guc-file.l): so the value is made empty, in
 * place, and the secret is kept beside it, as the setting's `extra`, where nothing that shows settings gets.
 */
namespace cxone_sync::settings {

/* One such setting, a static object: the hooks of a setting get no argument that would tell them apart. */
struct SecretSetting {
    char *shown = nullptr;  /* what PostgreSQL takes for the value: always empty */
    char *secret = nullptr; /* null: none */
};

/* The check hook. Never fails but for want of memory, as the message of a failed check has the value. */
bool hide_secret(char **value, void **extra, GucSource source);
/* For the assign hook. */
void assign_secret(SecretSetting &setting, void *extra);
/* For the show hook. */
const char *show_secret(const SecretSetting &setting);

template <SecretSetting &setting> void define_secret(const char *name, const char *description)
{
    DefineCustomStringVariable(
        name, description, "A file is the better place for it.", &setting.shown, "", PGC_SIGHUP,
        GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE, hide_secret,
        [](const char *, void *extra) { assign_secret(setting, extra); },
        [] { return show_secret(setting); });
}

/*
 * The secret from the file if there is one, else from the setting. Returns what is wrong, or an empty string;
 * `hint` may say what to do. `name` is the setting's.
 */
std::string load_secret(const char *name, const char *file, const SecretSetting &setting, Secret &secret,
                        std::string &hint);

} // namespace cxone_sync::settings
