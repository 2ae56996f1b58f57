#pragma once

#include "core/gathering.h"
#include "core/monitoring.h"
#include "core/queue.h"
#include "core/waiting.h"
#include "http/admin.h"
#include "http/endpoint.h"
#include "http/webhook.h"
#include "worker/access.h"
#include "worker/listening.h"

#include <memory>
#include <optional>
#include <vector>

#include "db/guard.h"
#include "db/writer.h"
#include "worker/journal.h"

namespace cxone_sync {

/*
 * The intake worker: takes what the network threads have queued, writes it in shared transactions, answers.
 *
 * Its frames come in two kinds. Those that call PostgreSQL hold no object with a destructor, since an error
 * there is a longjmp; they run under guarded(). The others call no PostgreSQL, or only guarded().
 */
class Intake {
public:
    /* The worker of this number, from 0; `sockets` are null if it is the only one. Starts the network
     * threads; throws std::system_error or std::bad_alloc. */
    Intake(Monitoring &monitoring, RecentDeliveries &recent, int number, const HandoverSockets *sockets);

    /* Takes and writes deliveries until a stop is asked for and all that waited is answered. */
    void run();
    /* At exit, however it comes: every delivery that was not committed is answered with 503. */
    void stop() noexcept;
    int event_fd() const noexcept { return queue_.event_fd(); }

private:
    using Batch = std::vector<QueuedDelivery *>;

    void configure();
    void publish_mapping();
    void reload();
    void load_access();
    bool is_listener() const noexcept { return monitoring_.listener == number_ + 1; }
    bool become_listener() noexcept;
    void cease_as_listener() noexcept;
    void listen();
    void listen(Listening &listening, const char *listen_address, int port);
    void warn(const std::string &problem, const std::string &hint);
    void tell_start();
    void begin_stop();

    bool batch_is_due(Timestamp &due_at);
    long milliseconds_to_wait();
    void wait();
    void report_statistics(bool force);
    void write_log_of_threads();
    void tell_journal(Timestamp at);

    void check_catalog();
    bool upgrade(PgError &error);
    void note_extension(Oid extension);
    void probe_database();
    void probe_later();
    void count_dead_letters();

    void gather();
    void write_batch();
    void write_waiting();
    void write_taken(bool is_turn);
    void write_these(Batch batch);
    void write_alone(const Batch &batch);
    void write_left_out();
    bool write(const Batch &batch, PgError &error);
    bool write_at(Pace pace, const Batch &batch, PgError &error);
    bool expects_locks(const Batch &batch) const;
    bool stays_locked(const Delivery &delivery) const;
    bool may_wait(QueuedDelivery &queued);
    bool comes_again(QueuedDelivery &queued);
    void give_up(const QueuedDelivery &queued);
    void hold_back(Batch &batch);
    void show_oldest(Timestamp in_batch = 0);
    void finish(const Batch &batch, bool committed);
    void tell_delivery(const Delivery &delivery, const Answer &answer, Timestamp at);

    void show_state();
    void show_problems(Check check, const char *problem);
    void note_written();
    void note_success();
    void note_failure(const PgError &reason);
    void note_write_failure(const PgError &error);

    Monitoring &monitoring_;
    RecentDeliveries &recent_;
    WorkerSlot &slot_;
    const int number_;
    StatisticsWriter statistics_;
    Queue queue_;
    std::optional<Handover> handover_;
    std::shared_ptr<Webhook> webhook_;
    std::shared_ptr<Admin> admin_;
    Endpoint endpoint_;
    Listening webhook_listening_;
    Listening admin_listening_;
    std::shared_ptr<const WebhookConfig> config_;
    Access access_;
    Journal journal_;

    /* What was taken to be written: what is neither answered yet nor waits has a delivery. With queue_ and
     * waiting_ it owns all that we have not answered, whatever ends us. */
    std::vector<QueuedDelivery> taken_;
    Batch left_out_; /* of taken_, by the last transaction: the first is to be written by itself */
    bool leaves_out_suspects_ = true;
    std::vector<Answer> answers_; /* that are not given yet */
    Gathering gathering_;
    Waiting waiting_{statistics_.gauges()};
    std::int64_t waiting_due_at_ = 0; /* when they are tried again */
    std::int64_t waiting_pause_us_ = 0;
    WriteResult written_ = {};                /* of the last transaction */
    bool is_turn_ = false;                    /* of those that wait: these are written */
    std::size_t postponed_ = 0;               /* in this turn */
    bool gave_up_ = false;                    /* a delivery that waited for a lock, in the last batch */
    std::vector<WatchedTable> locked_tables_; /* one has waited for them in vain, and they are locked still */
    bool has_started_ = false;                /* and has said so */
    std::string listen_problem_ = "the worker is starting"; /* why nobody listens for webhooks */
    bool accepting_ = true;                                 /* no stop has been asked for */
    bool failing_to_write_ = false; /* for a reason that only another try can show to be over */
    unsigned failed_probes_ = 0;    /* in a row */
    std::int64_t probe_due_at_ = INT64_MAX;
    std::int64_t letters_due_at_ = INT64_MAX; /* when the dead letters are to be counted */
    std::int64_t letters_not_before_ = 0;
    std::int64_t statistics_due_at_ = INT64_MAX;
    Oid extension_ = InvalidOid;            /* that was last found */
    unsigned failed_checks_ = 0;            /* of the catalog, in a row */
    std::int64_t check_due_at_ = INT64_MAX; /* when it is looked at again */
    unsigned failed_upgrades_ = 0;          /* in a row */
    std::int64_t upgrade_due_at_ = INT64_MAX;
    PgError upgrade_error_; /* of the last of them */
};

} // namespace cxone_sync
