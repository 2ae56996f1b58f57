#pragma once

#include "core/timestamp.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace cxone_sync {

/*
 * Whether the next batch waits for deliveries that are likely to come. A commit takes as long for one as for
 * many, and whoever was just answered tends to send again at once; taken without them, a batch makes them
 * wait for its whole commit, and then those in it wait for theirs. To wait is worth while it takes less time
 * than the commit it saves. Whether the senders are that quick is found out by trying: each time they are
 * not, it is tried more rarely.
 */
class Gathering {
public:
    /*
     * A batch is about to be answered: `expected` deliveries would be inside if all its senders came again.
     * Its transaction took so long, its commit included.
     */
    void begin(std::size_t expected, std::int64_t commit_us, std::int64_t transaction_us,
               Timestamp at) noexcept
    {
        expected_ = expected;
        /* else there is more to gain by writing while senders come */
        const bool is_commit_mostly = commit_us > transaction_us / 2;
        until_ = at + (is_commit_mostly ? std::min(commit_us, most_us) : 0);
        if (left_out_ < to_leave_out_) {
            left_out_++;
            until_ = at;
        }
    }

    std::size_t expected() const noexcept { return expected_; }
    /* How long to wait for them, 0: not at all. Bounded here too, as the clock may have been set back. */
    std::int64_t wait_us(Timestamp at) const noexcept
    {
        return std::clamp<std::int64_t>(until_ - at, 0, most_us);
    }

    /* It was waited for them. */
    void end(bool all_came) noexcept
    {
        to_leave_out_ = all_came ? 0 : std::min(2 * to_leave_out_ + 1, most_left_out);
        left_out_ = 0;
    }

private:
    /* a commit that takes longer is of a disk that stalls, or of a standby far away */
    static constexpr std::int64_t most_us = 20'000;
    static constexpr unsigned most_left_out = 255;

    std::size_t expected_ = 0;
    Timestamp until_ = 0;
    unsigned to_leave_out_ = 0; /* batches that do not wait after one that waited in vain */
    unsigned left_out_ = 0;
};

} // namespace cxone_sync
