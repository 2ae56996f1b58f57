#include "core/counters.h"
#include "core/growing_delay.h"
#include "core/queue.h"
#include "db/settings.h"
#include "http/admin.h"
#include "http/endpoint.h"
#include "http/webhook.h"
#include "worker/stop_request.h"

#include <algorithm>
#include <climits>
#include <sys/resource.h>

#include "db/catalog.h"
#include "db/extension.h"
#include "db/writer.h"
#include "worker/intake.h"
#include "worker/session.h"

namespace cxone_sync {

namespace {

constexpr int max_retries = 3; /* of a transaction that lost a deadlock or a serialization race */
/* For so long no delivery must have failed before the log says that all is well: it is not to flap. */
constexpr std::int64_t settling_us = 5'000'000;
constexpr std::size_t max_told = 8; /* different reasons */
/* For writing deliveries one by one after a failed batch. */
constexpr std::int64_t alone_budget_us = 2'000'000;

/*
 * PostgreSQL must never run out of file descriptors: where it cannot open a WAL file the whole cluster stops.
 */
unsigned most_connections()
{
    constexpr rlim_t reserve = 256;
    rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur <= 2 * reserve)
        return reserve / 4;
    return static_cast<unsigned>(std::min<rlim_t>(files.rlim_cur - reserve, 1'000'000));
}

} // namespace

Intake::Intake(WorkerSlot &slot)
    : slot_(slot), queue_(slot.counters), endpoint_(settings::http_threads, slot.counters, queue_),
      webhook_(std::make_shared<Webhook>(queue_, slot.counters)),
      admin_(std::make_shared<Admin>(slot.counters)), webhook_listening_("webhooks", webhook_),
      admin_listening_("metrics", admin_)
{
}

/* ---- settings ---- */

void Intake::configure()
{
    auto config = std::make_shared<WebhookConfig>();
    config->parse = settings::parse_limits();
    /* a delivery takes up to four times its body; one that the queue can never hold must not get a 503 */
    config->max_body =
        static_cast<std::size_t>(std::min(settings::max_body_size_kb, settings::queue_size_kb / 4)) * 1024;
    config->mapping = current_mapping();
    config_ = config;
    webhook_->configure(config_);

    endpoint_.limits().max_connections =
        std::min(static_cast<unsigned>(settings::max_connections), most_connections());
    endpoint_.limits().request_timeout_ms = settings::request_timeout_ms;
    endpoint_.limits().idle_timeout_ms = settings::idle_timeout_ms;
    queue_.wake_at(static_cast<std::size_t>(settings::batch_size));
    endpoint_.budget().set_limit(static_cast<std::uint64_t>(settings::queue_size_kb) * 1024);
}

void Intake::reload()
{
    PgError error;

    guarded(error, [] {
        ProcessConfigFile(PGC_SIGHUP);
        apply_session_settings();
    });
    configure();
    check_catalog();
}

/* The catalog has changed: new deliveries are mapped by the new one from here on. */
void Intake::publish_mapping()
{
    if (config_->mapping != current_mapping())
        configure();
}

void Intake::listen(Listening &listening, int port)
{
    std::string problem;
    PgError ignored;
    const bool changed = listening.update(endpoint_, settings::listen_address, port, now(), problem);

    if (changed) {
        show_state();
        const char *what = listening.what();
        const char *address = listening.address().c_str();
        guarded(ignored, [what, address, port] {
            if (port == 0)
                ereport(LOG, (errmsg("cxone_sync: no longer listening for %s", what)));
            else
                ereport(LOG, (errmsg("cxone_sync: listening for %s on %s, port %d", what, address, port)));
        });
    } else if (!problem.empty()) {
        char text[256];
        snprintf(text, sizeof(text), "could not listen for %s on %s, port %d: %s", listening.what(),
                 settings::listen_address, port, problem.c_str());
        show_error(slot_, text);
        guarded(ignored, [&text] {
            ereport(WARNING,
                    (errmsg("cxone_sync: %s", text),
                     errhint("Is the port in use by another server? It is tried again, ever more rarely; "
                             "a reload with another port takes effect at once.")));
        });
    }
}

void Intake::listen()
{
    if (!accepting_)
        return;
    listen(webhook_listening_, settings::port);
    listen(admin_listening_, settings::metrics_port);
}

/* ---- the loop ---- */

void Intake::run()
{
    configure();
    check_catalog();
    listen();
    for (;;) {
        wait();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            reload();
        }
        if (slot_.extension_changed.exchange(false) || now() >= upgrade_due_at_)
            check_catalog();
        write_log_of_threads();
        tell_recovery();
        listen();
        if (stop_requested() && accepting_)
            begin_stop();
        write_batch();
        Timestamp due_at;
        if (!accepting_ && !batch_is_due(due_at))
            return;
    }
}

/* From here on nothing comes into the queue; what is in it is still written. */
void Intake::begin_stop()
{
    accepting_ = false;
    slot_.state = WorkerState::stopping;
    endpoint_.stop_listening();
    queue_.close();
}

/*
 * True if a batch may be taken: it is full, or its first delivery has waited for cxone_sync.flush_interval.
 */
bool Intake::batch_is_due(Timestamp &due_at)
{
    Timestamp oldest;
    std::size_t events;

    if (!queue_.waiting(oldest, events))
        return false;
    due_at = oldest + settings::flush_interval_ms * std::int64_t{1000};
    return !accepting_ || settings::flush_interval_ms == 0 ||
           events >= static_cast<std::size_t>(settings::batch_size) || now() >= due_at;
}

/* -1: until something happens. An idle worker has nothing to wake up for. */
long Intake::milliseconds_to_wait()
{
    std::int64_t until = INT64_MAX;

    /* a wait for a lock resets the latch, whatever it was set for */
    if (ConfigReloadPending || slot_.extension_changed || (stop_requested() && accepting_))
        return 0;
    if (batch_is_due(until))
        return 0;
    until = std::min({until, webhook_listening_.try_again_at(), admin_listening_.try_again_at(),
                      statistics_due_at_, upgrade_due_at_, recovery_due_at_});
    if (until == INT64_MAX)
        return -1;
    return static_cast<long>(std::clamp<std::int64_t>((until - now() + 999) / 1000, 0, max_delay_ms));
}

void Intake::wait()
{
    PgError error;

    /* first cleared, then looked: what comes between wakes us again */
    queue_.clear_event();
    const long timeout_ms = milliseconds_to_wait();
    /* the error can only be a cancel, and nothing runs that it could cancel */
    guarded(error, [timeout_ms] { wait_for_event(timeout_ms); });
    if (now() >= statistics_due_at_)
        report_statistics(true);
}

/*
 * PostgreSQL reports a session's statistics once a second at most; what it held back is reported when idle.
 */
void Intake::report_statistics(bool force)
{
    PgError ignored;
    long held_back_ms = 0;

    guarded(ignored, [force, &held_back_ms] { held_back_ms = compat::report_statistics(force); });
    statistics_due_at_ = held_back_ms > 0 ? now() + held_back_ms * std::int64_t{1000} : INT64_MAX;
}

void Intake::write_log_of_threads()
{
    PgError ignored;

    for (const std::string &line : queue_.take_log()) {
        const char *text = line.c_str();
        guarded(ignored, [text] { ereport(LOG, (errmsg("cxone_sync: %s", text))); });
    }
}

/* ---- writing ---- */

/* One transaction for all; true if it was committed. */
bool Intake::write(const std::vector<Delivery *> &deliveries, PgError &error)
{
    Delivery *const *first = deliveries.data();
    const int count = static_cast<int>(deliveries.size());
    bool ok = false;

    for (int attempt = 0; attempt <= max_retries; attempt++) {
        ok = in_transaction("writing deliveries", error, [this, first, count] {
            check_read_write();
            write_deliveries(first, count, &postponed_);
        });
        if (ok || ERRCODE_TO_CATEGORY(error.sqlerrcode) != ERRCODE_TRANSACTION_ROLLBACK)
            break;
    }
    return ok;
}

void Intake::write_batch()
{
    Timestamp due_at;

    if (!batch_is_due(due_at))
        return;
    batch_.clear();
    queue_.take(static_cast<unsigned>(settings::batch_size), batch_);

    std::vector<Delivery *> deliveries;
    for (const QueuedDelivery &queued : batch_)
        deliveries.push_back(queued.delivery.get());

    PgError error;
    if (write(deliveries, error)) {
        finish(0, batch_.size(), true);
        note_written();
    } else if (write_reached_rows() && batch_.size() > 1) {
        /* a lock on one row, say, is no reason to send the other deliveries back */
        write_alone();
    } else {
        finish(0, batch_.size(), false);
        note_write_failure(error);
    }
    publish_mapping();
    report_statistics(false);
}

/* Each delivery in a transaction of its own, as long as that does not hold up those behind them for long. */
void Intake::write_alone()
{
    const Timestamp give_up_at = now() + alone_budget_us;
    std::vector<Delivery *> one(1);

    for (std::size_t i = 0; i < batch_.size(); i++) {
        PgError error;
        one[0] = batch_[i].delivery.get();
        const bool in_time = now() < give_up_at;
        const bool committed = in_time && write(one, error);

        finish(i, i + 1, committed);
        if (committed)
            note_written();
        else if (in_time)
            note_write_failure(error);
    }
}

/* Answers the deliveries and lets them go. Of those committed, the postponed ones were left out. */
void Intake::finish(std::size_t begin, std::size_t end, bool committed)
{
    const Timestamp committed_at = now();
    std::size_t written = 0;
    PgError ignored;

    answers_.clear();
    for (std::size_t i = begin; i < end; i++) {
        const Delivery &delivery = *batch_[i].delivery;
        Answer answer{
            .ticket = batch_[i].ticket, .committed = committed && !delivery.is_postponed, .counts = {}};
        if (answer.committed) {
            answer.counts = delivery.counts();
            count_events(delivery, answer.counts, committed_at);
            const Delivery *counted = &delivery;
            if (!delivery.unmapped.empty())
                guarded(ignored, [counted] { note_unmapped_keys(counted); });
            written++;
        }
        answers_.push_back(answer);
        batch_[i].delivery.reset();
    }
    Counters &counters = slot_.counters;
    counters.deliveries += written;
    counters.deliveries_retry += end - begin - written;
    counters.batches += committed;
    refused_ += end - begin - written;
    endpoint_.answer(answers_);
}

void Intake::count_events(const Delivery &delivery, const DeliveryCounts &counts, Timestamp committed_at)
{
    Counters &counters = slot_.counters;

    for (std::size_t begin = 0, end; begin < delivery.events.size(); begin = end) {
        const Event &event = delivery.events[begin];
        const bool failed = delivery.outcome_of_event(begin, end) == Outcome::dead_lettered;
        const Timestamp time = event.refusal.sqlstate || !event.has_time ? delivery.received : event.time;

        (failed ? counters.failure : counters.success).record(committed_at - time);
        (failed ? counters.last_failure : counters.last_success)
            .store(committed_at, std::memory_order_relaxed);
    }
    counters.events_applied += counts.applied;
    counters.events_skipped += counts.skipped;
    counters.events_dead_lettered += counts.dead_lettered;
    dead_letters_ += counts.dead_lettered;
}

/* ---- telling ---- */

void Intake::show_state()
{
    const WorkerState before = slot_.state;
    char address[96] = "";

    if (webhook_listening_.is_up())
        snprintf(address, sizeof(address),
                 strchr(webhook_listening_.address().c_str(), ':') ? "[%s]:%d" : "%s:%d",
                 webhook_listening_.address().c_str(), webhook_listening_.port());
    show_address(slot_, address);
    show_schema_version(slot_, found_extension_version());
    if (accepting_)
        slot_.state = failing_ || !webhook_listening_.is_up() ? WorkerState::waiting : WorkerState::running;
    if (slot_.state != before)
        tell_registrar_of_endpoint();
}

/*
 * Brings the extension up to the library's version; true if that is done. If it fails all is as before, and
 * it is tried again, ever more rarely.
 */
bool Intake::upgrade(PgError &error)
{
    PgError ignored;
    char from[32];

    bool by_us = false;

    strlcpy(from, found_extension_version(), sizeof(from));
    const bool done = in_transaction("upgrading the extension", error, [&by_us] {
        disable_timeout(STATEMENT_TIMEOUT, false); /* a table may be large */
        by_us = upgrade_extension();
    });
    if (done) {
        failed_upgrades_ = 0;
        if (by_us)
            guarded(ignored, [&from] {
                ereport(LOG, (errmsg("cxone_sync: the extension was upgraded from version %s to %s", from,
                                     library_version)));
            });
        return true;
    }
    upgrade_error_ = error;
    snprintf(upgrade_error_.message, sizeof(upgrade_error_.message),
             "could not upgrade the extension from version %s to %s: %s", from, library_version,
             error.message);
    error = upgrade_error_;
    upgrade_due_at_ = now() + growing_delay_ms(++failed_upgrades_) * std::int64_t{1000};
    return false;
}

/* Whether deliveries can be taken, found out before the first one comes. */
void Intake::check_catalog()
{
    PgError error;
    const auto open = [] {
        (void)open_catalog();
        check_read_write();
    };

    watch_catalog();
    upgrade_due_at_ = INT64_MAX;
    constexpr const char *activity = "looking at the extension";
    bool ok = in_transaction(activity, error, open);
    if (!ok && settings::auto_upgrade && extension_is_older() && accepting_)
        ok = upgrade(error) && in_transaction(activity, error, open);
    if (!ok)
        note_failure(error);
    else if (!failing_to_write_)
        note_success();
    show_state();
    publish_mapping();
}

void Intake::note_written()
{
    if (postponed_.count > 0)
        note_write_failure(postponed_.error);
    else if (!a_target_is_blocked())
        note_success();
    else
        note_dead_letters();
}

void Intake::note_success()
{
    if (failing_) {
        failing_ = failing_to_write_ = false;
        recovery_due_at_ = last_failure_at_ + settling_us;
        show_state();
        tell_recovery();
    }
    note_dead_letters();
}

void Intake::tell_recovery()
{
    PgError ignored;
    const auto refused = static_cast<unsigned long long>(refused_);

    if (now() < recovery_due_at_)
        return;
    guarded(ignored, [refused] {
        ereport(LOG, (errmsg("cxone_sync: deliveries are taken from now on, %llu were answered with 503",
                             refused)));
    });
    recovery_due_at_ = INT64_MAX;
    refused_ = 0;
    told_.clear();
}

/* What is wrong with the extension check_catalog() sees to be over, but not what keeps rows from being
 * written. */
void Intake::note_write_failure(const PgError &error)
{
    failing_to_write_ = error.sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE &&
                        error.sqlerrcode != ERRCODE_READ_ONLY_SQL_TRANSACTION;
    note_failure(error);
}

/* At once, then at most once a minute. The events' contents are not for the log. */
void Intake::note_dead_letters()
{
    constexpr std::int64_t pause_us = 60'000'000;
    PgError ignored;

    if (dead_letters_ > 0 && now() - dead_letters_logged_at_ >= pause_us) {
        const auto count = static_cast<unsigned long long>(dead_letters_);
        guarded(ignored, [count] {
            ereport(LOG,
                    (errmsg("cxone_sync: %llu events could not be applied and are in cxone_sync.dead_letters",
                            count)));
        });
        dead_letters_ = 0;
        dead_letters_logged_at_ = now();
    }
}

/* Once for each new reason, not once for each delivery. */
void Intake::note_failure(const PgError &reason)
{
    PgError ignored;
    /* while an upgrade is due to be tried again, that is why the version does not fit */
    const PgError &error = upgrade_due_at_ != INT64_MAX && extension_is_older() ? upgrade_error_ : reason;

    show_error(slot_, error.message);
    failing_ = true;
    last_failure_at_ = now();
    recovery_due_at_ = INT64_MAX;
    show_state();
    if (told_.size() == max_told || std::find(told_.begin(), told_.end(), error.message) != told_.end())
        return;
    told_.emplace_back(error.message);
    guarded(ignored, [&error] {
        ereport(LOG, (errcode(error.sqlerrcode),
                      errmsg("cxone_sync: deliveries are answered with 503: %s", error.message),
                      error.detail[0] ? errdetail_internal("%s", error.detail) : 0,
                      error.hint[0] ? errhint("%s", error.hint) : 0));
    });
}

/* ---- the end ---- */

void Intake::stop() noexcept
{
    try {
        queue_.close();
        queue_.take(INT_MAX, batch_);
        answers_.clear();
        for (const QueuedDelivery &queued : batch_) {
            if (queued.delivery)
                answers_.push_back({.ticket = queued.ticket, .committed = false, .counts = {}});
        }
        endpoint_.answer(answers_);
    } catch (...) {
        /* they get no answer then, which tells a sender the same */
    }
    endpoint_.stop();
}

} // namespace cxone_sync
