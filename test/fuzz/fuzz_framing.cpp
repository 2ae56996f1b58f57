#include "http/framing.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace cxone_sync;

constexpr std::size_t max_body = 200;
constexpr std::size_t max_head = 400;

void require(bool condition, const char *what)
{
    if (condition)
        return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

/* What a connection makes of the bytes: every request, then how it ends and what is left over. */
struct Conversation {
    std::vector<std::string> requests;
    Framing::State end = Framing::State::needs_bytes;
    int status = 0;
    std::string reason;

    bool operator==(const Conversation &) const = default;
};

class Connection {
public:
    Connection() : budget_(used_) { budget_.set_limit(max_body); }

    void receive(std::string_view piece)
    {
        if (conversation.end == Framing::State::refused)
            return;
        input_ += piece;
        for (;;) {
            MemoryShare &memory = memory_;
            Framing::State state = framing_.feed(input_, memory);
            if (state == Framing::State::needs_continue)
                state = framing_.go_on(input_, memory);
            check(state);
            conversation.end = state;
            if (state != Framing::State::complete)
                return;
            conversation.requests.push_back(framing_.head() + (framing_.keep_alive() ? "+" : "-") +
                                            (framing_.is_gzip() ? "z" : "") + framing_.body());
            framing_ = Framing(limits);
            memory_ = MemoryShare(budget_);
            if (input_.empty())
                return;
        }
    }

    Conversation conversation;

private:
    void check(Framing::State state)
    {
        require(framing_.body().size() <= max_body, "the body is larger than its limit");
        require(framing_.head().size() <= max_head, "the head is larger than its limit");
        require(used_ >= framing_.body().size() && used_ <= max_body, "the body is not accounted for");
        if (state == Framing::State::needs_bytes)
            require(input_.size() <= max_head + 2, "bytes pile up");
        if (state == Framing::State::refused) {
            require(framing_.status() >= 400 && !framing_.keep_alive(), "no proper refusal");
            conversation.status = framing_.status();
            conversation.reason = framing_.reason();
        }
    }

    static constexpr Framing::Limits limits{
        .max_head = max_head, .max_header_lines = 8, .max_body = max_body};
    std::atomic<std::uint64_t> used_{0};
    MemoryBudget budget_;
    MemoryShare memory_{budget_};
    Framing framing_{limits};
    std::string input_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string_view bytes(reinterpret_cast<const char *>(data), size);
    Connection whole;
    whole.receive(bytes);

    Connection one_by_one;
    for (std::size_t at = 0; at < size; at++)
        one_by_one.receive(bytes.substr(at, 1));
    require(whole.conversation == one_by_one.conversation, "byte by byte it is read otherwise");

    std::minstd_rand random(static_cast<unsigned>(size));
    Connection pieces;
    for (std::size_t at = 0; at < size;) {
        const std::size_t length = 1 + random() % 40;
        pieces.receive(bytes.substr(at, length));
        at += length;
    }
    require(whole.conversation == pieces.conversation, "in pieces it is read otherwise");
    return 0;
}
