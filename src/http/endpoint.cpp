#include "http/endpoint.h"

namespace cxone_sync {

Endpoint::Endpoint(unsigned threads, Gauges &gauges, Queue &queue, Handover *handover,
                   std::shared_ptr<Service> handed_over)
    : budget_(gauges.queued_bytes)
{
    const NetworkThread::Shared shared{limits_, budget_, queue, handover, threads_};
    for (unsigned i = 0; i < threads; i++)
        threads_.push_back(std::make_unique<NetworkThread>(shared, i));
    if (handover)
        threads_[0]->take_from_others(std::move(handed_over));
    for (const auto &thread : threads_)
        thread->start();
}

std::error_code Endpoint::listen(std::shared_ptr<Service> service, const std::string &address, int port)
{
    std::error_code problem;
    const int socket = HttpLibrary::listen_on(address, port, problem);
    /* One thread accepts for all and hands out in turn, so that each gets the same number of connections. */
    if (socket >= 0)
        threads_[0]->listen(socket, std::move(service));
    return problem;
}

void Endpoint::stop_listening(std::shared_ptr<Service> service)
{
    threads_[0]->stop_listening(std::move(service));
}

void Endpoint::answer(const std::vector<Answer> &answers)
{
    std::vector<std::vector<Answer>> by_thread(threads_.size());
    for (const Answer &answer : answers)
        by_thread[NetworkThread::thread_of(answer.ticket)].push_back(answer);
    for (std::size_t i = 0; i < threads_.size(); i++) {
        if (!by_thread[i].empty())
            threads_[i]->answer(std::move(by_thread[i]));
    }
}

void Endpoint::stop() noexcept
{
    /* all at once: each may take a second */
    for (const auto &thread : threads_)
        thread->begin_stop();
    for (const auto &thread : threads_)
        thread->stop();
}

} // namespace cxone_sync
