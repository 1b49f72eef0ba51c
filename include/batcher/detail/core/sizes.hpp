// Sizes: how large calls, batches and what waits are to the Estimate: in items, or where they have weights, in weight.
// (A batch says it itself: Batch::weight.)
#pragma once

#include <algorithm>
#include <batcher/detail/core/queue.hpp>
#include <batcher/detail/core/rules.hpp>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

class Sizes {
public:
    Sizes(const Rules& rules, const Queue& queue) noexcept : rules_(rules), queue_(queue) {}

    // Of a call that waits, or is to.
    std::size_t of(const Call& call) const noexcept { return rules_.weighs ? call.weight : 1; }
    // Of so many calls that have this weight.
    std::size_t of(std::size_t calls, std::size_t weight) const noexcept {
        return rules_.weighs ? weight : calls;
    }
    std::size_t of(const Line& line) const noexcept { return of(line.size(), line.weight()); }
    std::size_t waiting() const noexcept { return of(queue_.size(), queue_.weight()); }

    // The largest batch of so many calls that may be,
    std::size_t most(std::size_t calls) const noexcept {
        return of(calls, rules_.max_batch_weight);
    }
    // and the largest that there is, judged by the calls that wait.
    std::size_t usual_most(std::size_t calls) const noexcept {
        if (!rules_.weighs) return calls;
        if (queue_.empty()) return rules_.max_batch_weight;
        const double each =
            static_cast<double>(queue_.weight()) / static_cast<double>(queue_.size());
        const double most = each * static_cast<double>(calls);
        if (most >= static_cast<double>(rules_.max_batch_weight)) return rules_.max_batch_weight;
        return std::max<std::size_t>(static_cast<std::size_t>(most), 1);
    }

    // All that has come so far, of `calls`.
    void came(std::size_t weight) noexcept { weight_came_ += weight; }
    std::uint64_t came_so_far(std::uint64_t calls) const noexcept {
        return rules_.weighs ? weight_came_ : calls;
    }

private:
    const Rules& rules_;
    const Queue& queue_;
    std::uint64_t weight_came_ = 0;
};

}  // namespace batching::detail
