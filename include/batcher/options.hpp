// Options: when a batch leaves, how many run at once, how many items may wait.
//
//     batching::Batcher batcher{add, {.max_batch_size = 64, .batch_timeout = 2ms}};
//
// Every field has a default that batches. The Batcher's constructor checks them: a value outside its
// range throws std::invalid_argument naming the field and the value.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <limits>
#include <stdexcept>

namespace batching {

// For batch_timeout: a batch leaves only when it is full, or at flush(), close() or drain().
inline constexpr std::chrono::nanoseconds no_timeout = std::chrono::nanoseconds::max();

// For max_queue_size: memory is the only limit.
inline constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

struct Options {
    // Most items in one call of the batch function; 1 or more. 1: no batching.
    std::size_t max_batch_size = 32;

    // Longest the oldest waiting item waits for its batch to fill; 0 or more. 0: a batch leaves as soon
    // as a slot is free, with whatever waits then.
    std::chrono::nanoseconds batch_timeout = std::chrono::milliseconds(1);

    // Slots: batches that may run at the same time; 1 or more. Without an executor, also the number of
    // worker threads. batching::replicas(n, ...) sets it to n.
    std::size_t max_concurrent_batches = 1;

    // Most items waiting, those in running batches not counted; 1 or more. Beyond it a call fails at
    // once with errc::overloaded.
    std::size_t max_queue_size = no_limit;
};

namespace detail {

inline void require_at_least_one(const char* field, std::size_t value) {
    if (value == 0) throw std::invalid_argument(fmt::format("{} must be 1 or more, not 0", field));
}

inline void check(const Options& options) {
    require_at_least_one("max_batch_size", options.max_batch_size);
    require_at_least_one("max_concurrent_batches", options.max_concurrent_batches);
    require_at_least_one("max_queue_size", options.max_queue_size);
    if (options.batch_timeout < std::chrono::nanoseconds::zero()) {
        throw std::invalid_argument(fmt::format("batch_timeout must be 0 or more, not {} ns",
                                                options.batch_timeout.count()));
    }
}

}  // namespace detail
}  // namespace batching
