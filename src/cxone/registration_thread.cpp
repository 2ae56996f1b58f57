#include "cxone/registration_thread.h"

#include "core/signal_free_thread.h"

#include <new>
#include <utility>

namespace cxone_sync {

RegistrationThread::RegistrationThread()
{
    thread_ = signal_free_thread("cxone_sync api", [this] { run(); });
}

RegistrationThread::~RegistrationThread()
{
    stop();
}

void RegistrationThread::begin(Job job, std::unique_ptr<ApiSettings> settings, KnownRegistration known,
                               bool forget_token)
{
    const std::lock_guard lock(mutex_);
    order_.emplace(Order{job, std::move(settings), std::move(known), forget_token});
    busy_ = true;
    wanted_.notify_one();
}

std::optional<RegistrationResult> RegistrationThread::take()
{
    event_.clear();
    const std::lock_guard lock(mutex_);
    if (result_)
        busy_ = false;
    return std::exchange(result_, std::nullopt);
}

void RegistrationThread::stop() noexcept
{
    if (!thread_.joinable())
        return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        wanted_.notify_one();
    }
    registration_.cancel();
    thread_.join();
}

/* No exception leaves the thread: it would take the whole cluster along. */
RegistrationResult RegistrationThread::carry_out(const Order &order) noexcept
{
    RegistrationResult failed;

    failed.outcome = RegistrationResult::Outcome::retry;
    try {
        if (order.forget_token)
            registration_.forget_token();
        return order.job == Job::check ? registration_.check(*order.settings, order.known)
                                       : registration_.remove(*order.settings, order.known);
    } catch (const std::bad_alloc &) {
        failed.problem = "out of memory"; /* short enough to need none */
    } catch (...) {
        failed.problem = "internal error";
    }
    return failed;
}

void RegistrationThread::run()
{
    for (;;) {
        std::optional<Order> order;
        {
            std::unique_lock lock(mutex_);
            wanted_.wait(lock, [this] { return stopping_ || order_; });
            if (stopping_)
                return;
            order = std::exchange(order_, std::nullopt);
        }
        RegistrationResult result = carry_out(*order);
        order.reset(); /* wipes the secrets */
        {
            const std::lock_guard lock(mutex_);
            result_ = std::move(result);
        }
        event_.wake();
    }
}

} // namespace cxone_sync
