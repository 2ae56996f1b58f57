#include "http/handover.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace cxone_sync;

namespace {

/* The sockets and the shared memory of three workers that take deliveries. */
struct Workers {
    std::unique_ptr<Monitoring> memory = std::make_unique<Monitoring>();
    Monitoring &monitoring = *memory;
    HandoverSockets sockets{3};
    Handover of[3] = {{sockets, monitoring, 0}, {sockets, monitoring, 1}, {sockets, monitoring, 2}};

    Workers()
    {
        monitoring.worker_count = 3;
        for (WorkerSlot &slot : monitoring.used_workers()) {
            slot.pid = 7;
            slot.state = WorkerState::running;
        }
    }
    ~Workers()
    {
        for (const HandoverSockets::Pair &pair : sockets.pairs()) {
            ::close(pair.writer);
            ::close(pair.reader);
        }
    }
};

/* One end of a connection; what is given away is a copy of it. */
struct Connection {
    int ends[2];

    Connection() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }
    ~Connection()
    {
        ::close(ends[0]);
        ::close(ends[1]);
    }
};

/* The inode of what a worker has been given; 0: nothing. */
ino_t take(Handover &handover)
{
    struct stat status {};
    const int socket = handover.take();

    if (socket < 0)
        return 0;
    EXPECT_EQ(fstat(socket, &status), 0);
    ::close(socket);
    return status.st_ino;
}

ino_t inode_of(int socket)
{
    struct stat status {};
    fstat(socket, &status);
    return status.st_ino;
}

} // namespace

TEST(Handover, EachWorkerInTurn)
{
    Workers workers;
    const Connection connection;
    int kept = 0;

    for (int i = 0; i < 30; i++)
        kept += !workers.of[1].give(connection.ends[0]);
    EXPECT_EQ(kept, 10) << "its own turn";
    for (const int other : {0, 2}) {
        int given = 0;
        while (take(workers.of[other]) == inode_of(connection.ends[0]))
            given++;
        EXPECT_EQ(given, 10);
    }
    EXPECT_EQ(workers.of[1].take(), -1);
}

TEST(Handover, WhatIsTakenIsTheConnection)
{
    Workers workers;
    Connection connection;
    char byte = 0;

    EXPECT_FALSE(workers.of[0].give(connection.ends[0]));
    ASSERT_TRUE(workers.of[0].give(connection.ends[0]));
    const int taken = workers.of[1].take();
    ASSERT_GE(taken, 0);
    EXPECT_EQ(write(taken, "x", 1), 1);
    EXPECT_EQ(read(connection.ends[1], &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
    EXPECT_NE(fcntl(taken, F_GETFD) & FD_CLOEXEC, 0);
    ::close(taken);
}

TEST(Handover, OnlyToWorkersThatTakeDeliveries)
{
    Workers workers;
    const Connection connection;
    WorkerSlot &second = workers.monitoring.workers[1];
    WorkerSlot &third = workers.monitoring.workers[2];

    const auto given_to_second = [&] {
        for (int i = 0; i < 6; i++)
            workers.of[0].give(connection.ends[0]);
        int given = 0;
        while (take(workers.of[1]) != 0)
            given++;
        while (take(workers.of[2]) != 0) {
        }
        return given;
    };
    EXPECT_EQ(given_to_second(), 2);
    second.state = WorkerState::waiting;
    EXPECT_EQ(given_to_second(), 2) << "its senders get 503, as everywhere";
    for (const WorkerState state : {WorkerState::stopped, WorkerState::starting, WorkerState::stopping}) {
        second.state = state;
        EXPECT_EQ(given_to_second(), 0);
    }
    second.state = WorkerState::running;
    second.is_stopping = true;
    EXPECT_EQ(given_to_second(), 0);
    third.pid = 0;
    EXPECT_FALSE(workers.of[0].give(connection.ends[0])) << "there is nobody else";
    EXPECT_FALSE(workers.of[0].give(connection.ends[0]));
}

TEST(Handover, AWorkerThatTakesNothingHoldsNobodyUp)
{
    Workers workers;
    const Connection connection;
    int given = 0;

    workers.monitoring.workers[2].pid = 0;
    for (int i = 0; i < 10'000; i++)
        given += workers.of[0].give(connection.ends[0]);
    EXPECT_GT(given, 50);
    EXPECT_LT(given, 5'000) << "the rest stays with the one that gives";
    int taken = 0;
    while (take(workers.of[1]) != 0)
        taken++;
    EXPECT_EQ(taken, given) << "and nothing is lost";
}
