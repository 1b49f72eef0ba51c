// Rules: what the options say about when a batch may leave, and for what reason.
#pragma once

#include <batcher/detail/core/queue.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace batching::detail {

enum class DispatchReason : std::uint8_t { full, timeout, flushed };

struct Rules {
    static constexpr Time never = Time::max();

    std::size_t max_batch_size;
    Time batch_timeout;  // never: wait until full or flushed
    std::size_t max_concurrent_batches;
    std::size_t max_queue_size = std::numeric_limits<std::size_t>::max();

    // Why a batch may leave now, given a slot; none: it may not.
    std::optional<DispatchReason> reason(const Queue& queue, bool closed, Time now) const noexcept {
        if (queue.empty()) return std::nullopt;
        if (queue.size() >= max_batch_size) return DispatchReason::full;
        if (closed || queue.flushed()) return DispatchReason::flushed;
        if (due(queue) <= now) return DispatchReason::timeout;
        return std::nullopt;
    }

    // When the oldest call has waited long enough. Precondition: there is one.
    Time due(const Queue& queue) const noexcept {
        const Time since = queue.front().queued_at;
        return since > never - batch_timeout ? never : since + batch_timeout;
    }

    // How many more calls fill the batch that is filling.
    std::size_t to_next_full_batch(const Queue& queue) const noexcept {
        return max_batch_size - queue.size() % max_batch_size;
    }

    // How many more calls may wait.
    std::size_t room(const Queue& queue) const noexcept { return max_queue_size - queue.size(); }
};

}  // namespace batching::detail
