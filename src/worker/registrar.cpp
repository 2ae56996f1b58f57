#include "core/growing_delay.h"
#include "core/monitoring.h"
#include "core/timestamp.h"
#include "cxone/json_value.h"
#include "cxone/registration_thread.h"
#include "cxone/retry.h"
#include "db/registration_settings.h"
#include "worker/stop_request.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "db/extension.h"
#include "db/registration.h"
#include "worker/registrar.h"
#include "worker/session.h"

namespace cxone_sync {

namespace {

using Outcome = RegistrationResult::Outcome;
using Job = RegistrationThread::Job;

template <std::size_t Size> void copy(char (&target)[Size], const std::string &source)
{
    clip_text(target, Size, source.c_str());
}

/* Tells whether what is asked for, or how, has changed; a number, so that no secret is kept for it. */
std::size_t fingerprint_of(const ApiSettings &settings)
{
    std::size_t sum = 0;
    const auto add = [&sum](auto value) { sum = sum * 31 + std::hash<decltype(value)>()(value); };

    for (const std::string *text :
         {&settings.token_url, &settings.data_actions_url, &settings.ca_file, &settings.client_id,
          &settings.username, &settings.scope, &settings.name, &settings.description, &settings.endpoint_url})
        add(*text);
    add(settings.client_secret.view());
    add(settings.password.view());
    for (const auto *names : {&settings.token_fields, &settings.expiry_fields, &settings.list_fields})
        add(quoted_names(*names));
    add(settings.grant);
    add(settings.client_authentication);
    add(settings.token_format);
    add(settings.remove_duplicates);
    return sum;
}

bool endpoint_is_ready()
{
    Overview overview;

    read_overview(require_shared_state().monitoring, now(), overview);
    return overview.is_ready;
}

std::int64_t in_ms(std::int64_t milliseconds)
{
    return now() + milliseconds * 1000;
}

std::int64_t regular_delay_ms()
{
    return settings::registration_interval_s * std::int64_t{1000};
}

} // namespace

Registrar::Registrar(RegistrationSlot &slot)
    : slot_(slot), info_(slot.info.get()), random_(static_cast<unsigned>(now()))
{
    (void)settings_have_changed();
}

/* ---- the loop ---- */

void Registrar::run()
{
    while (!stop_requested() && settings::registration_is_set_up()) {
        if (now() >= due_at())
            begin();
        wait();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            reload();
        }
        take_requests();
        if (const std::optional<RegistrationResult> result = thread_.take())
            finish(*result);
    }
}

/* When a check may begin; INT64_MAX: not before something wakes us. */
std::int64_t Registrar::due_at() const
{
    if (thread_.is_busy())
        return INT64_MAX;
    return asked_ ? not_before_ : info_.next_try;
}

void Registrar::wait()
{
    const std::int64_t until = due_at();
    PgError ignored;
    long timeout_ms = -1;

    if (ConfigReloadPending || stop_requested())
        return;
    if (until != INT64_MAX)
        timeout_ms = static_cast<long>(
            std::clamp<std::int64_t>((until - now() + 999) / 1000, 0, max_retry_after_s * 1000));
    guarded(ignored, [timeout_ms] { wait_for_event(timeout_ms); });
}

bool Registrar::settings_have_changed()
{
    ApiSettings api;
    std::string ignored;

    (void)settings::load_api_settings(api, ignored);
    return std::exchange(fingerprint_, fingerprint_of(api)) != fingerprint_;
}

void Registrar::reload()
{
    PgError ignored;

    guarded(ignored, [] { reload_settings(); });
    forget_token_ = true;
    ask_for_check(settings_have_changed());
}

void Registrar::take_requests()
{
    if (slot_.check_requested.exchange(false)) {
        info_.is_unlisted = false;
        ask_for_check(true);
    }
    const bool extension_changed = slot_.extension_changed.exchange(false);
    const bool endpoint_changed = slot_.endpoint_changed.exchange(false);
    if ((extension_changed || endpoint_changed) && info_.state == RegistrationState::waiting)
        ask_for_check(false);
}

/* A round of its own; `at_once`: also if the service has asked to be left alone. */
void Registrar::ask_for_check(bool at_once)
{
    asked_ = true;
    failures_ = obstacles_ = 0;
    if (at_once)
        not_before_ = 0;
    show();
}

/* ---- before the check ---- */

KnownRegistration Registrar::known() const
{
    return {.id = info_.remote_id,
            .name = info_.name,
            .endpoint_url = info_.endpoint_url,
            .is_unlisted = info_.is_unlisted};
}

void Registrar::begin()
{
    Obstacle obstacle;
    bool unregistered = false;

    asked_ = false;
    if (look_at_database(unregistered, obstacle)) {
        const bool is_removed = unregistered && info_.state == RegistrationState::unregistered;
        if (!unregistered && !endpoint_is_ready()) {
            obstacle.problem = "the endpoint takes no deliveries: see cxone_sync.sync_status";
            /* we are told when that is over, but for what readers find by the gauges */
            obstacle.next_try = in_ms(growing_delay_ms(++obstacles_));
        } else {
            obstacles_ = 0;
            if (!is_removed)
                begin_job(unregistered ? Job::remove : Job::check, obstacle);
        }
    }
    if (!thread_.is_busy())
        release_lock();
    info_.next_try = obstacle.next_try;
    if (obstacle.problem.empty())
        show();
    else
        show_problem(obstacle.state, obstacle.problem, obstacle.hint);
}

/* Takes the lock, unless something is in the way. */
bool Registrar::look_at_database(bool &unregistered, Obstacle &obstacle)
{
    PgError error;
    const bool ok = in_transaction("checking the registration", error, [this, &unregistered] {
        lock_extension();
        unregistered = is_unregistered();
        locked_ = try_registration_lock();
    });

    if (ok && locked_)
        return true;
    obstacle.problem = ok ? "another session holds the advisory lock of the registration" : error.message;
    obstacle.hint = ok ? "pg_locks shows which one." : error.hint;
    /* what the extension lacks we are told of when it comes */
    if (ok || error.sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
        obstacle.next_try = in_ms(growing_delay_ms(++obstacles_));
    return false;
}

void Registrar::begin_job(Job job, Obstacle &obstacle)
{
    auto api = std::make_unique<ApiSettings>();

    obstacle.problem = settings::load_api_settings(*api, obstacle.hint);
    if (!obstacle.problem.empty()) {
        obstacle.state = RegistrationState::failed;
        obstacle.next_try = in_ms(regular_delay_ms());
        return;
    }
    removing_ = job == Job::remove;
    thread_.begin(job, std::move(api), known(), std::exchange(forget_token_, false));
}

/* ---- after it ---- */

void Registrar::release_lock()
{
    PgError ignored;

    if (std::exchange(locked_, false))
        in_transaction("checking the registration", ignored, [] { release_registration_lock(); });
}

void Registrar::finish(const RegistrationResult &result)
{
    if (result.outcome == Outcome::cancelled)
        return;
    release_lock();
    info_.last_check = now();
    not_before_ = in_ms(retry_after_ms(result.retry_after_s));
    has_news_ = has_news_ || *result.change || static_cast<int>(result.duplicates) != info_.duplicates;
    if (!result.action.id.empty() || result.is_unlisted || result.outcome == Outcome::done) {
        copy(info_.remote_id, result.action.id);
        copy(info_.remote_status, result.action.status);
        copy(info_.name, result.action.name);
        copy(info_.endpoint_url, result.action.endpoint_url);
        info_.is_unlisted = result.is_unlisted;
        info_.duplicates = static_cast<int>(result.duplicates);
        info_.others = static_cast<int>(result.others);
    }
    if (result.outcome == Outcome::done)
        note_done(result);
    else
        note_failure(result);
}

void Registrar::note_done(const RegistrationResult &result)
{
    PgError ignored;

    failures_ = 0;
    info_.state = removing_ ? RegistrationState::unregistered : RegistrationState::registered;
    info_.next_try = removing_ ? INT64_MAX : in_ms(regular_delay_ms());
    show();
    told_.clear();
    if (!std::exchange(has_news_, false))
        return;
    const RegistrationResult *done = &result;
    const bool removing = removing_;
    guarded(ignored, [done, removing] {
        const char *id = done->action.id.c_str();
        const char *url = done->action.endpoint_url.c_str();
        const char *change = *done->change ? done->change : "found";
        if (removing)
            ereport(LOG, (errmsg("cxone_sync: the Data Action is %s at CXone",
                                 *done->change ? "removed" : "not registered")));
        else
            ereport(LOG, (errmsg("cxone_sync: Data Action \"%s\" %s at CXone, for %s", id, change, url)));
        if (done->duplicates > 0)
            ereport(LOG, (errmsg("cxone_sync: %zu further Data Actions have that name and endpoint",
                                 done->duplicates),
                          errhint("cxone_sync.remove_duplicates lets them be removed.")));
        if (done->removed_duplicates > 0)
            ereport(LOG, (errmsg("cxone_sync: %zu further Data Actions of that name and endpoint are removed",
                                 done->removed_duplicates)));
    });
}

/* Repeated soon, up to cxone_sync.max_retries times, if that could help; else not before the next regular
 * check. */
void Registrar::note_failure(const RegistrationResult &result)
{
    const bool again =
        result.outcome == Outcome::retry && failures_ < static_cast<unsigned>(settings::max_retries);
    const double random = std::uniform_real_distribution<double>()(random_);

    if (again) {
        info_.next_try = in_ms(retry_delay_ms(++failures_, result.retry_after_s, random));
    } else {
        failures_ = 0;
        info_.next_try = std::max(in_ms(regular_delay_ms()), not_before_);
    }
    show_problem(again ? RegistrationState::retrying : RegistrationState::failed, result.problem,
                 result.hint);
}

/* ---- telling ---- */

void Registrar::show()
{
    RegistrationInfo shown = info_;

    shown.next_try = due_at();
    if (shown.next_try == INT64_MAX)
        shown.next_try = 0;
    slot_.info.set(shown);
}

/* The log has each problem once, not at each retry. */
void Registrar::show_problem(RegistrationState state, const std::string &problem, const std::string &hint)
{
    PgError ignored;

    info_.state = state;
    info_.last_error_at = now();
    copy(info_.last_error, problem);
    copy(info_.hint, hint);
    show();
    /* what is only waited for, others tell of */
    if (state == RegistrationState::waiting || problem == told_)
        return;
    told_ = problem;
    has_news_ = true;
    const char *text = info_.last_error;
    const char *advice = info_.hint;
    guarded(ignored, [text, advice] {
        ereport(LOG, (errmsg("cxone_sync: registration with CXone: %s", text),
                      *advice ? errhint("%s", advice) : 0));
    });
}

} // namespace cxone_sync
