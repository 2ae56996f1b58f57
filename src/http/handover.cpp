#include "http/handover.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <system_error>

namespace cxone_sync {

namespace {

/* A message of one byte and one file descriptor. */
struct Message {
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr header{};

    Message() noexcept
    {
        header.msg_iov = &data;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof(control);
    }
};

bool send_descriptor(int writer, int descriptor) noexcept
{
    Message message;
    cmsghdr *rights = CMSG_FIRSTHDR(&message.header);

    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
    return sendmsg(writer, &message.header, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

} // namespace

HandoverSockets::HandoverSockets(int workers)
{
    for (int i = 0; i < workers; i++) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
            throw std::system_error(errno, std::generic_category(), "socketpair");
        pairs_.push_back({ends[0], ends[1]});
    }
}

bool Handover::give(int socket) noexcept
{
    for (std::size_t i = 0; i < pairs_.size(); i++) {
        const std::size_t turn = next_++ % pairs_.size();
        if (turn == static_cast<std::size_t>(number_))
            return false;
        if (monitoring_.workers[turn].takes_deliveries() && send_descriptor(pairs_[turn].writer, socket))
            return true;
    }
    return false;
}

int Handover::take() noexcept
{
    Message message;
    int descriptor = -1;

    if (recvmsg(fd(), &message.header, MSG_CMSG_CLOEXEC) < 0)
        return -1;
    /* without it the kernel had no file descriptor left for the connection, and has closed it */
    if (const cmsghdr *rights = CMSG_FIRSTHDR(&message.header))
        std::memcpy(&descriptor, CMSG_DATA(rights), sizeof(int));
    return descriptor;
}

} // namespace cxone_sync
