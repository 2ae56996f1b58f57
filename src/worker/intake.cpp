#include "core/growing_delay.h"
#include "core/monitoring.h"
#include "core/queue.h"
#include "db/registration_settings.h"
#include "db/settings.h"
#include "http/admin.h"
#include "http/endpoint.h"
#include "http/webhook.h"
#include "worker/stop_request.h"

#include <algorithm>
#include <climits>
#include <sys/resource.h>

#include "db/catalog.h"
#include "db/dead_letters.h"
#include "db/extension.h"
#include "db/shared_state.h"
#include "db/writer.h"
#include "worker/intake.h"
#include "worker/session.h"

namespace cxone_sync {

namespace {

constexpr int max_retries = 3; /* of a transaction that lost a deadlock or a serialization race */
/* For writing deliveries one by one after a failed batch. */
constexpr std::int64_t alone_budget_us = 2'000'000;
/* For those that a trigger has refused, and what comes behind them. */
constexpr std::int64_t left_out_budget_us = 500'000;
/*
 * What cannot be looked for, such as a lock on a row that a foreign key refers to, takes a millisecond or two
 * to be met. So long a batch does so, and so long a turn of those that wait, which has no more events than
 * that. The next turn comes when others have had several times as long, and the next round after a pause.
 */
constexpr std::int64_t patience_us = 20'000;
constexpr std::int64_t turn_patience_us = 10'000;
constexpr int most_of_turn = 100;
constexpr std::int64_t turn_pause_factor = 4;
constexpr std::int64_t first_waiting_pause_us = 10'000;
constexpr std::int64_t longest_waiting_pause_us = 100'000;
/* Between two counts of the dead letters; and they are not to take more than a twentieth of our time. */
constexpr std::int64_t letters_pause_us = 5'000'000;
constexpr std::int64_t letters_pause_factor = 20;
constexpr int most_check_pause_ms = 3000; /* between two looks at an extension that is missing, say */
constexpr int letters_timeout_ms = 1000;  /* deliveries wait meanwhile */

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

bool is_lock(const PgError &error)
{
    return error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/* What an error keeps a worker from having: the extension, with its tables, which may be locked; its version;
 * or the database. */
Check check_of(const PgError &error)
{
    const char *version = found_extension_version();

    if (is_lock(error))
        return Check::extension;
    if (error.sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE && !extension_is_older())
        return Check::database;
    return version[0] == '\0' || strcmp(version, library_version) == 0 ? Check::extension : Check::schema;
}

std::string advice_for(std::error_code listen_problem)
{
    if (listen_problem == std::errc::address_in_use)
        return "Is the port in use by another server? ";
    if (listen_problem == std::errc::permission_denied)
        return "Ports below 1024 need a privilege: choose another one. ";
    if (listen_problem == std::errc::address_not_available)
        return "Does this machine have that address? ";
    return "";
}

long milliseconds_until(Timestamp at)
{
    return static_cast<long>(std::clamp<std::int64_t>((at - now() + 999) / 1000, 0, max_delay_ms));
}

/* With the target whose events were being written, which PostgreSQL's message does not tell. */
PgError in_target(const WriteResult &written, const PgError &error)
{
    PgError told = error;

    if (written.target[0] != '\0')
        snprintf(told.message, sizeof(told.message), "%s (while writing events of target \"%s\")",
                 error.message, written.target);
    return told;
}

/* An address and a port as people write them. */
void format_address(char *text, std::size_t size, const Listening &listening)
{
    const char *address = listening.address().c_str();

    text[0] = '\0';
    if (listening.is_up())
        snprintf(text, size, strchr(address, ':') ? "[%s]:%d" : "%s:%d", address, listening.port());
}

} // namespace

Intake::Intake(Monitoring &monitoring, RecentDeliveries &recent, int number, const HandoverSockets *sockets)
    : monitoring_(monitoring), recent_(recent), slot_(monitoring.workers[number]), number_(number),
      statistics_(monitoring.statistics_of(slot_)), queue_(statistics_.gauges()),
      handover_(sockets ? std::optional<Handover>(std::in_place, *sockets, monitoring, number)
                        : std::nullopt),
      webhook_(std::make_shared<Webhook>(queue_, statistics_, recent, number)),
      admin_(std::make_shared<Admin>(monitoring)),
      endpoint_(settings::http_threads, statistics_.gauges(), queue_, handover_ ? &*handover_ : nullptr,
                webhook_),
      webhook_listening_("webhooks", webhook_), admin_listening_("metrics", admin_)
{
}

/* ---- settings ---- */

void Intake::configure()
{
    auto config = std::make_shared<WebhookConfig>();
    config->parse = settings::parse_limits();
    config->framing.max_head = static_cast<std::size_t>(settings::max_header_size_kb) * 1024;
    config->framing.max_header_lines = static_cast<unsigned>(settings::max_header_lines);
    /* a delivery takes up to four times its body; one that the queue can never hold must not get a 503 */
    config->framing.max_body =
        static_cast<std::size_t>(std::min(settings::max_body_size_kb, settings::queue_size_kb / 4)) * 1024;
    if (settings::queue_size_kb / 4 < settings::max_body_size_kb)
        config->framing.body_too_large = "the body is larger than a quarter of cxone_sync.queue_size";
    config->authenticator = access_.authenticator();
    config->tls = access_.tls();
    config->is_open = access_.closed_because().empty();
    config->connections.in_all =
        std::min(static_cast<unsigned>(settings::max_connections), most_connections());
    config->connections.of_peer = static_cast<unsigned>(settings::max_connections_per_address);
    config->is_debugging = message_level_is_interesting(DEBUG1);
    config->mapping = current_mapping();
    config_ = config;
    webhook_->configure(config_);

    endpoint_.limits().request_timeout_ms = settings::request_timeout_ms;
    endpoint_.limits().idle_timeout_ms = settings::idle_timeout_ms;
    queue_.wake_at(static_cast<std::size_t>(settings::batch_size));
    /* what waits for flush_interval does so on purpose */
    queue_.set_bounds(static_cast<std::size_t>(settings::max_queued_events),
                      (std::int64_t{settings::max_queue_wait_ms} + settings::flush_interval_ms) * 1000);
    const auto queue_size = static_cast<std::uint64_t>(settings::queue_size_kb) * 1024;
    endpoint_.budget().set_limit(queue_size);
    statistics_.gauges().queue_limit_bytes = queue_size;
    /* half of each, so that a lock leaves room for those that do not need it */
    waiting_.set_bounds(static_cast<std::uint64_t>(settings::max_queued_events) / 2, queue_size / 2);
    monitoring_.registration.is_wanted = settings::registration_is_set_up();
}

void Intake::reload()
{
    PgError error;

    guarded(error, [] { reload_settings(); });
    load_access();
    configure();
    show_state();
    check_catalog();
}

/* At start and after each reload. */
void Intake::load_access()
{
    for (const Access::Problem &problem : access_.reload())
        warn(problem.text, problem.hint);
}

void Intake::warn(const std::string &problem, const std::string &hint)
{
    const char *text = problem.c_str();
    const char *advice = hint.c_str();
    PgError ignored;

    show_error(slot_, text);
    guarded(ignored, [text, advice] {
        ereport(WARNING, (errmsg("cxone_sync: %s", text), *advice ? errhint("%s", advice) : 0));
    });
}

/* The catalog has changed: new deliveries are mapped by the new one from here on. */
void Intake::publish_mapping()
{
    if (config_->mapping != current_mapping())
        configure();
}

void Intake::listen(Listening &listening, const char *listen_address, int port)
{
    std::error_code problem;
    PgError ignored;
    const bool changed = listening.update(endpoint_, listen_address, port, now(), problem);

    if (changed) {
        show_state();
        tell_registrar_of_endpoint();
    }
    if (changed && has_started_) {
        const char *what = listening.what();
        const char *address = listening.address().c_str();
        guarded(ignored, [what, address, port] {
            if (port == 0)
                ereport(LOG, (errmsg("cxone_sync: no longer listening for %s", what)));
            else
                ereport(LOG, (errmsg("cxone_sync: listening for %s on %s, port %d", what, address, port)));
        });
    } else if (problem) {
        const std::string text = std::string("could not listen for ") + listening.what() + " on " +
                                 listen_address + ", port " + std::to_string(port) + ": " + problem.message();
        if (&listening == &webhook_listening_)
            listen_problem_ = text;
        if (listening.is_news(text))
            warn(text, advice_for(problem) + "It is tried again, ever more rarely; a reload with another "
                                             "address or port takes effect at once.");
        else
            show_error(slot_, text.c_str());
        show_state();
    }
}

/* One worker listens for all, as long as it takes deliveries: whichever comes first. */
bool Intake::become_listener() noexcept
{
    int none = 0;

    return is_listener() || monitoring_.listener.compare_exchange_strong(none, number_ + 1);
}

/* The sockets are closed: another worker may take over. */
void Intake::cease_as_listener() noexcept
{
    if (!is_listener())
        return;
    monitoring_.listener = 0;
    wake_workers();
}

void Intake::listen()
{
    if (!accepting_ || !become_listener())
        return;
    listen(webhook_listening_, settings::listen_address,
           access_.closed_because().empty() ? settings::port : 0);
    listen(admin_listening_, settings::metrics_address, settings::metrics_port);
}

/* One line that says what is where. */
void Intake::tell_start()
{
    char webhooks[96];
    char metrics[96];
    PgError ignored;

    format_address(webhooks, sizeof(webhooks), webhook_listening_);
    format_address(metrics, sizeof(metrics), admin_listening_);
    if (!is_listener()) {
        strlcpy(webhooks, "from the worker that listens", sizeof(webhooks));
        strlcpy(metrics, "there", sizeof(metrics));
    }
    const char *version = found_extension_version();
    const char *by_tls = webhook_listening_.is_up() && access_.tls() ? " by TLS" : "";
    const int number = number_ + 1;
    guarded(ignored, [&webhooks, &metrics, version, by_tls, number] {
        ereport(LOG,
                (errmsg("cxone_sync: worker %d started, webhooks: %s%s, metrics: %s, schema version %s of "
                        "database \"%s\"",
                        number, webhooks[0] ? webhooks : "nowhere", by_tls, metrics[0] ? metrics : "nowhere",
                        version[0] ? version : "none", settings::database)));
    });
    has_started_ = true;
}

/* ---- the loop ---- */

void Intake::run()
{
    load_access();
    configure();
    check_catalog();
    listen();
    tell_start();
    show_state();
    for (;;) {
        wait();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            reload();
        }
        if (slot_.extension_changed.exchange(false) || now() >= std::min(upgrade_due_at_, check_due_at_))
            check_catalog();
        write_log_of_threads();
        tell_journal(now());
        listen();
        if (stop_requested() && accepting_)
            begin_stop();
        write_waiting();
        write_batch();
        probe_database();
        count_dead_letters();
        Timestamp due_at;
        if (!accepting_ && !batch_is_due(due_at) && waiting_.empty()) {
            tell_journal(Journal::at_end);
            return;
        }
    }
}

/* From here on nothing comes into the queue; what is in it is still written. */
void Intake::begin_stop()
{
    accepting_ = false;
    slot_.state = WorkerState::stopping;
    show_state();
    endpoint_.stop_listening();
    cease_as_listener();
    queue_.close();
}

/*
 * True if a batch may be taken: it is full, or its first delivery has waited for cxone_sync.flush_interval,
 * or was taken before and not tried.
 */
bool Intake::batch_is_due(Timestamp &due_at)
{
    Timestamp oldest;
    std::size_t events;

    if (waiting_.has_untried())
        return true;
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
    if (ConfigReloadPending || slot_.extension_changed || (stop_requested() && accepting_) ||
        (monitoring_.listener == 0 && accepting_))
        return 0;
    if (number_ == 0 && monitoring_.dead_letters_changed.exchange(false))
        letters_due_at_ = std::min(letters_due_at_, letters_not_before_);
    if (batch_is_due(until))
        return 0;
    if (!waiting_.empty())
        until = std::min(until, waiting_due_at_);
    if (!accepting_) /* nothing else is still to be done */
        return until == INT64_MAX ? 0 : milliseconds_until(until);
    if (webhook_->has_refusals())
        until = std::min(until, journal_.refusals_due_at());
    until = std::min({until, webhook_listening_.try_again_at(), admin_listening_.try_again_at(),
                      statistics_due_at_, upgrade_due_at_, check_due_at_, probe_due_at_, letters_due_at_,
                      journal_.due_at()});
    return until == INT64_MAX ? -1 : milliseconds_until(until);
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

    for (const LogLine &line : queue_.take_log()) {
        const char *text = line.text.c_str();
        const int level = line.level == LogLevel::debug ? DEBUG1 : LOG;
        guarded(ignored, [text, level] { ereport(level, (errmsg("cxone_sync: %s", text))); });
    }
}

void Intake::tell_journal(Timestamp at)
{
    if (webhook_->has_refusals() && at >= journal_.refusals_due_at())
        journal_.tell_refusals(webhook_->take_refusals());
    journal_.tell(at);
}

/* ---- writing ---- */

/* One transaction for all; true if it was committed. */
bool Intake::write_at(Pace pace, const Batch &batch, PgError &error)
{
    std::vector<Delivery *> deliveries;
    for (const QueuedDelivery *queued : batch)
        deliveries.push_back(queued->delivery.get());
    Delivery *const *first = deliveries.data();
    const int count = static_cast<int>(deliveries.size());
    WriteResult *result = &written_;
    const WriteOptions options = {.looks_at_tables = journal_.is_failing() || !locked_tables_.empty(),
                                  .watched = locked_tables_.data(),
                                  .watched_count = static_cast<int>(locked_tables_.size()),
                                  .patience_us = is_turn_ ? turn_patience_us : patience_us,
                                  .leaves_out_suspects = leaves_out_suspects_};
    PgError ignored;

    result->reached_rows = false;
    const bool ok =
        in_durable_transaction("writing deliveries", error, [first, count, pace, result, options] {
            check_read_write();
            write_deliveries(first, count, pace, result, options);
        });
    guarded(ignored, [] { release_advisory_locks(); });
    if (ok)
        std::erase_if(locked_tables_, [](const WatchedTable &table) { return !table.is_locked; });
    else
        statistics_.count(Counter::rollbacks);
    return ok;
}

/* Whether to write quickly would most likely be in vain: a lock would be met, after the longer wait. */
bool Intake::expects_locks(const Batch &batch) const
{
    if (is_turn_ || waiting_.empty())
        return is_turn_;
    const std::set<std::uint32_t> hidden = waiting_.tables_with_hidden_locks();
    return !hidden.empty() && std::ranges::any_of(batch, [&hidden](const QueuedDelivery *queued) {
        return std::ranges::any_of(queued->delivery->tables(),
                                   [&hidden](std::uint32_t table) { return hidden.contains(table); });
    });
}

/* As quickly as it goes; what is at fault, or locked, takes a second transaction, with care. */
bool Intake::write(const Batch &batch, PgError &error)
{
    const bool is_quick = !expects_locks(batch);
    bool ok = false;

    for (int attempt = 0; !ok && attempt <= max_retries; attempt++) {
        ok = is_quick && write_at(Pace::quick, batch, error);
        if (!ok &&
            (!is_quick || (written_.reached_rows && (!is_transient(error.sqlerrcode) || is_lock(error)))))
            ok = write_at(Pace::careful, batch, error);
        if (!is_lost_race(error.sqlerrcode) || commit_is_unconfirmed())
            break;
    }
    return ok;
}

/* Senders that were just answered may share the next commit; flush_interval has waited long enough. */
void Intake::gather()
{
    const std::int64_t wait_us = gathering_.wait_us(now());

    if (wait_us > 0 && accepting_ && settings::flush_interval_ms == 0)
        gathering_.end(queue_.gather(gathering_.expected(), wait_us));
}

/* Whether others keep from it a table that somebody has waited for in vain since it was locked. */
bool Intake::stays_locked(const Delivery &delivery) const
{
    return delivery.needs_locked_table &&
           std::ranges::any_of(locked_tables_, [tables = delivery.tables()](const WatchedTable &watched) {
               return tables.contains(watched.table);
           });
}

/*
 * Others hold a lock that it needs: it is tried again for cxone_sync.lock_timeout, and holds up nobody. Where
 * its table is known to be locked for longer than that, nobody waits for it once more.
 */
bool Intake::may_wait(QueuedDelivery &queued)
{
    const Timestamp at = now();

    if (queued.delivery->needs_repair || stays_locked(*queued.delivery))
        return false;
    if (queued.give_up_at == 0)
        queued.give_up_at = at + settings::lock_timeout_ms * std::int64_t{1000};
    return at < queued.give_up_at && waiting_.has_room_for(*queued.delivery);
}

/* Whether one that was left out is tried again, and if so, has it wait for that. */
bool Intake::comes_again(QueuedDelivery &queued)
{
    const std::uint64_t number = queued.number;
    const bool is_untried = queued.delivery->is_untried;

    if (!is_untried && !may_wait(queued))
        return false;
    postponed_++;
    if (waiting_.empty() && !is_turn_)
        waiting_due_at_ = now() + (waiting_pause_us_ = first_waiting_pause_us);
    waiting_.push(std::move(queued));
    if (is_untried && is_turn_)
        waiting_.has_turn(number);
    return true;
}

/* One that has waited for long enough, or must not wait. */
void Intake::give_up(const QueuedDelivery &queued)
{
    const Delivery &delivery = *queued.delivery;

    gave_up_ = true;
    if (delivery.needs_locked_table && !stays_locked(delivery) && now() >= queued.give_up_at) {
        for (const std::uint32_t table : delivery.tables())
            locked_tables_.push_back({table, true});
    }
    if (delivery.postponed_by)
        note_write_failure(*delivery.postponed_by);
}

/*
 * What comes behind a delivery that has to come again, and has one of its keys, waits as well, or is sent
 * back: of equal times the later one is to win.
 */
void Intake::hold_back(Batch &batch)
{
    Batch others;
    Batch too_many;
    DeliveryKeys keys;
    std::uint64_t from = 0;

    if (waiting_.empty())
        return;
    for (QueuedDelivery *queued : batch) {
        waiting_.add_keys(keys, from, queued->number);
        from = queued->number;
        if (!keys.concern(*queued->delivery)) {
            others.push_back(queued);
            continue;
        }
        keys.add(*queued->delivery);
        if (may_wait(*queued))
            waiting_.push(std::move(*queued));
        else
            too_many.push_back(queued);
    }
    finish(too_many, false);
    batch.swap(others);
}

/* Of those that are not written: what is in the queue shows itself. */
void Intake::show_oldest(Timestamp in_batch)
{
    const Timestamp waiting = waiting_.oldest();

    statistics_.gauges().oldest_in_batch =
        waiting == 0 || (in_batch != 0 && in_batch < waiting) ? in_batch : waiting;
}

void Intake::write_batch()
{
    Timestamp due_at;

    if (!batch_is_due(due_at))
        return;
    BatchRoom room(static_cast<unsigned>(settings::batch_size));
    taken_.clear();
    waiting_.take_untried(room, taken_);
    if (taken_.empty())
        gather();
    if (room.left() > 0)
        queue_.take(room.left(), taken_);
    write_taken(false);
    report_statistics(false);
}

/* Once more, without a wait, some of those that others kept from being written; between their turns others
 * are written. */
void Intake::write_waiting()
{
    const Timestamp began = now();

    if (waiting_.empty() || began < waiting_due_at_)
        return;
    taken_.clear();
    postponed_ = 0;
    waiting_.take(static_cast<unsigned>(std::min(settings::batch_size, most_of_turn)), taken_);
    write_taken(true);
    const Timestamp ended = now();
    waiting_due_at_ = ended + (postponed_ > 0 ? turn_pause_factor * (ended - began) : 0);
    if (waiting_.round_is_over()) {
        waiting_pause_us_ = std::min(2 * waiting_pause_us_, longest_waiting_pause_us);
        waiting_due_at_ = std::max(waiting_due_at_, ended + waiting_pause_us_);
    }
}

/* Each that was taken is answered, or has to come again; until then it is shown as under way. */
void Intake::write_taken(bool is_turn)
{
    Batch batch;

    if (taken_.empty())
        return;
    for (QueuedDelivery &queued : taken_)
        batch.push_back(&queued);
    is_turn_ = is_turn;
    statistics_.count(Counter::batches, !is_turn);
    show_oldest(batch.front()->delivery->received);
    statistics_.gauges().batch_began = now();
    write_these(std::move(batch));
    write_left_out();
    show_oldest();
    statistics_.gauges().batch_began = 0;
    publish_mapping();
}

/*
 * The one way to write, in a transaction for all, but for those that have to wait behind others. If that
 * fails each is written by itself: a full disk behind one table, say, is no reason to send the others back.
 */
void Intake::write_these(Batch batch)
{
    const Gauges &gauges = statistics_.gauges();
    PgError error;

    hold_back(batch);
    if (batch.empty())
        return;
    if (write(batch, error)) {
        /* counted before they are answered: those that are come back at once */
        const Timestamp at = now();
        if (!is_turn_)
            gathering_.begin(gauges.queued_deliveries + batch.size(), last_commit_us(),
                             at - gauges.batch_began, at);
        finish(batch, true);
        note_written();
    } else if (written_.reached_rows && batch.size() > 1 && !commit_is_unconfirmed()) {
        write_alone(batch);
    } else {
        /* first, so that whoever is sent back can see why */
        note_write_failure(in_target(written_, error));
        finish(batch, false);
    }
}

/*
 * The delivery that needs a transaction of its own, then those behind it, of which another one may. If that
 * takes too long, what triggers refuse is not tried by itself any more.
 */
void Intake::write_left_out()
{
    const Timestamp give_up_at = now() + left_out_budget_us;

    while (!left_out_.empty()) {
        const Batch left = std::exchange(left_out_, {});
        write_these({left.front()});
        leaves_out_suspects_ = now() < give_up_at;
        write_these({left.begin() + 1, left.end()});
    }
    leaves_out_suspects_ = true;
}

/* Each delivery in a transaction of its own, as long as that does not hold up those behind them for long. */
void Intake::write_alone(const Batch &batch)
{
    const Timestamp give_up_at = now() + alone_budget_us;

    for (QueuedDelivery *queued : batch) {
        if (now() < give_up_at)
            write_these({queued});
        else
            finish({queued}, false);
    }
}

/* Answers the deliveries and lets them go. Of those committed, the postponed ones were left out. */
void Intake::finish(const Batch &batch, bool committed)
{
    const Timestamp committed_at = now();
    std::uint64_t sent_back = 0;
    bool any_committed = false;
    PgError ignored;

    gave_up_ = false;
    for (QueuedDelivery *queued : batch) {
        if (committed && (queued->delivery->needs_own_transaction || !left_out_.empty())) {
            left_out_.push_back(queued);
            continue;
        }
        if (committed && queued->delivery->is_postponed) {
            if (comes_again(*queued))
                continue;
            give_up(*queued);
        }
        const Delivery &delivery = *queued->delivery;
        Answer answer{.ticket = queued->ticket,
                      .committed = committed && !delivery.is_postponed,
                      .counts = delivery.counts()};
        if (answer.committed) {
            any_committed = true;
            statistics_.count_committed(delivery, answer.counts, committed_at);
            journal_.count_dead_letters(answer.counts.dead_lettered);
            const Delivery *counted = &delivery;
            if (!delivery.unmapped.empty())
                guarded(ignored, [counted] { note_unmapped_keys(counted); });
        } else {
            statistics_.count(Counter::events_retry_later, answer.counts.received);
            sent_back++;
        }
        if (config_->is_debugging)
            tell_delivery(delivery, answer, committed_at);
        webhook_->note_end(delivery, answer);
        answers_.push_back(answer);
        queued->delivery.reset();
    }
    statistics_.count(Counter::commits, any_committed);
    statistics_.count(Counter::retry_database, sent_back);
    journal_.count_sent_back(sent_back);
    endpoint_.answer(answers_);
    answers_.clear();
}

/* Counts and sizes only: what is in a delivery is not for the log. */
void Intake::tell_delivery(const Delivery &delivery, const Answer &answer, Timestamp at)
{
    const auto bytes = static_cast<unsigned long long>(delivery.body.size());
    const double ms = static_cast<double>(at - delivery.received) / 1000;
    const Answer *told = &answer;
    PgError ignored;

    guarded(ignored, [told, bytes, ms] {
        const DeliveryCounts &counts = told->counts;
        if (told->committed)
            ereport(DEBUG1, (errmsg_internal("cxone_sync: delivery of %u events, %llu bytes, committed after "
                                             "%.3f ms: %u applied, %u skipped, %u dead-lettered",
                                             counts.received, bytes, ms, counts.applied, counts.skipped,
                                             counts.dead_lettered)));
        else
            ereport(DEBUG1, (errmsg_internal("cxone_sync: delivery of %u events, %llu bytes, sent back with "
                                             "503 after %.3f ms",
                                             counts.received, bytes, ms)));
    });
}

/* ---- telling ---- */

void Intake::show_state()
{
    const WorkerState before = slot_.state;
    /* where another worker listens, its problems are told by itself */
    const bool is_up = is_listener() ? webhook_listening_.is_up() : has_started_;
    char address[96];
    char metrics_address[96];

    format_address(address, sizeof(address), webhook_listening_);
    format_address(metrics_address, sizeof(metrics_address), admin_listening_);
    const Timestamp expires_at = access_.tls() ? access_.tls()->expires_at() : 0;
    slot_.info.change([&](WorkerInfo &info) {
        set_text(info.address, address);
        set_text(info.metrics_address, metrics_address);
        set_text(info.schema_version, found_extension_version());
        info.certificate_expires_at = expires_at;
        set_text(info.problem(Check::endpoint), !accepting_                         ? "the worker is stopping"
                                                : !access_.closed_because().empty() ? access_.closed_because()
                                                : !is_up                            ? listen_problem_
                                                                                    : "");
    });
    /* until then it takes no connections from others, and readiness does not depend on it */
    if (accepting_ && has_started_)
        slot_.state = journal_.is_failing() || !is_up ? WorkerState::waiting : WorkerState::running;
    if (slot_.state != before)
        tell_registrar_of_endpoint();
}

/* Of what the database has to have, this is missing, and the rest is there as far as is known. */
void Intake::show_problems(Check check, const char *problem)
{
    slot_.info.change([check, problem](WorkerInfo &info) {
        for (const Check other : {Check::extension, Check::schema, Check::database})
            set_text(info.problem(other), other == check ? problem : "");
    });
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
        allow_any_time(); /* a table may be large */
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

/* What was written into another one's tables says nothing about these. */
void Intake::note_extension(Oid extension)
{
    if (OidIsValid(extension_) && extension != extension_)
        recent_.forget_committed();
    extension_ = extension;
}

/* Whether deliveries can be taken, found out before the first one comes. */
void Intake::check_catalog()
{
    PgError error;
    Oid extension = InvalidOid;
    const auto open = [&extension] {
        (void)open_catalog();
        extension = get_extension_oid(extension_name, true);
        check_read_write();
    };

    upgrade_due_at_ = check_due_at_ = INT64_MAX;
    constexpr const char *activity = "looking at the extension";
    bool ok = in_transaction(activity, error, open);
    if (!ok && settings::auto_upgrade && extension_is_older() && accepting_)
        ok = upgrade(error) && in_transaction(activity, error, open);
    if (OidIsValid(extension) || found_extension_version()[0] == '\0')
        note_extension(extension);
    if (!ok) {
        failing_to_write_ = false; /* this problem hides that one, and must not outlast itself */
        show_problems(check_of(error), error.message);
        note_failure(error);
        /* nobody tells us when a lock is released, say, or when a prepared transaction is committed; the next
         * try of an upgrade comes more rarely */
        if (upgrade_due_at_ == INT64_MAX)
            check_due_at_ = now() + std::min(growing_delay_ms(++failed_checks_), most_check_pause_ms) *
                                        std::int64_t{1000};
        if (number_ == 0)
            monitoring_.dead_letters.set({});
        letters_due_at_ = INT64_MAX;
    } else {
        failed_checks_ = 0;
        slot_.info.change([](WorkerInfo &info) {
            for (const Check check : {Check::extension, Check::schema})
                set_text(info.problem(check), "");
        });
        if (!failing_to_write_)
            note_success();
        if (number_ == 0)
            letters_due_at_ = letters_not_before_;
    }
    show_state();
    publish_mapping();
}

/*
 * Without deliveries nobody would find out that a full disk has room again, or that a lock is gone, and a
 * balancer that looks at /readyz would send none. That the WAL has room is no proof for the targets, so the
 * next delivery may fail again: until one is written the pauses go on growing.
 */
void Intake::probe_database()
{
    PgError error;

    if (now() < probe_due_at_)
        return;
    probe_due_at_ = INT64_MAX;
    const bool ok = in_durable_transaction("looking whether writing works", error,
                                           [] {
                                               check_read_write();
                                               compat::write_wal_message("cxone_sync");
                                           }) &&
                    write_at(Pace::quick, {}, error);
    if (!ok)
        note_write_failure(error);
    else if (written_.any_table_locked || !waiting_.empty())
        probe_later();
    else
        note_success();
}

void Intake::probe_later()
{
    if (probe_due_at_ == INT64_MAX)
        probe_due_at_ = now() + growing_delay_ms(++failed_probes_) * std::int64_t{1000};
}

void Intake::count_dead_letters()
{
    DeadLetterCounts counts = {};
    PgError error;
    const Timestamp began = now();

    if (began < letters_due_at_ || !accepting_)
        return;
    letters_due_at_ = INT64_MAX;
    const bool ok = in_transaction("counting dead letters", error, [&counts] {
        enable_timeout_after(STATEMENT_TIMEOUT, std::min(letters_timeout_ms, settings::statement_timeout_ms));
        counts = count_open_dead_letters();
    });
    const Timestamp ended = now();
    letters_not_before_ = ended + std::max(letters_pause_us, (ended - began) * letters_pause_factor);
    if (ok)
        monitoring_.dead_letters.set(counts);
    else
        letters_due_at_ = letters_not_before_;
}

void Intake::note_written()
{
    if (!gave_up_ && !written_.any_table_locked && waiting_.empty()) {
        failed_probes_ = 0;
        note_success();
    }
}

void Intake::note_success()
{
    if (!journal_.is_failing())
        return;
    failing_to_write_ = false;
    probe_due_at_ = INT64_MAX;
    journal_.note_success();
    show_problems(Check::database, "");
    show_state();
}

/* What is wrong with the extension check_catalog() sees to be over, but not what keeps rows from being
 * written. */
void Intake::note_write_failure(const PgError &error)
{
    /* of a table that only some deliveries need, such as dead_letters: the extension was looked at before */
    const bool is_of_rows =
        error.sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE && written_.reached_rows;

    failing_to_write_ = is_of_rows || (error.sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE &&
                                       error.sqlerrcode != ERRCODE_READ_ONLY_SQL_TRANSACTION);
    if (!failing_to_write_ && upgrade_due_at_ == INT64_MAX)
        check_due_at_ = std::min(check_due_at_, now() + most_check_pause_ms * std::int64_t{1000});
    if ((concerns_everything(error.sqlerrcode) && !is_of_rows) || commit_is_unconfirmed() ||
        (is_lock(error) && !written_.reached_rows))
        show_problems(check_of(error), error.message);
    if (failing_to_write_)
        probe_later();
    note_failure(error);
}

void Intake::note_failure(const PgError &reason)
{
    /* while an upgrade is due to be tried again, that is why the version does not fit */
    const PgError &error = upgrade_due_at_ != INT64_MAX && extension_is_older() ? upgrade_error_ : reason;

    show_error(slot_, error.message);
    journal_.note_failure(error);
    show_state();
}

/* ---- the end ---- */

void Intake::stop() noexcept
{
    try {
        queue_.close();
        queue_.take(INT_MAX, taken_);
        waiting_.take_all(taken_);
        for (const QueuedDelivery &queued : taken_) {
            if (!queued.delivery)
                continue;
            const Answer answer{.ticket = queued.ticket, .committed = false, .counts = {}};
            webhook_->note_end(*queued.delivery, answer);
            statistics_.count(Counter::events_retry_later, queued.delivery->counts().received);
            statistics_.count(Counter::retry_stopping);
            answers_.push_back(answer);
        }
        endpoint_.answer(answers_);
    } catch (...) {
        /* they get no answer then, which tells a sender the same */
    }
    endpoint_.stop();
    cease_as_listener();
    statistics_.gauges().clear();
}

} // namespace cxone_sync
