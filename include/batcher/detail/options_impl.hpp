// Options out of range, and what is said of them.
#pragma once

#include <fmt/core.h>

#include <batcher/detail/compiler.hpp>
#include <batcher/options.hpp>
#include <chrono>
#include <cstddef>
#include <stdexcept>

namespace batching::detail {

BATCHER_DECL void require_at_least_one(const char* field, std::size_t value) {
    if (value == 0) throw std::invalid_argument(fmt::format("{} must be 1 or more, not 0", field));
}
BATCHER_DECL void require_between(const char* field, std::size_t value, std::size_t most) {
    require_at_least_one(field, value);
    if (value > most) {
        throw std::invalid_argument(
            fmt::format("{} must be at most {}, not {}", field, most, value));
    }
}

BATCHER_DECL void check(const Options& options) {
    require_at_least_one("max_batch_size", options.max_batch_size);
    require_between("max_concurrent_batches", options.max_concurrent_batches, max_slots);
    require_at_least_one("max_queue_size", options.max_queue_size);
    if (options.batch_timeout < std::chrono::nanoseconds::zero()) {
        throw std::invalid_argument(fmt::format("batch_timeout must be 0 or more, not {} ns",
                                                options.batch_timeout.count()));
    }
    require_at_least_one("max_batch_weight", options.max_batch_weight);
    require_at_least_one("max_queue_weight", options.max_queue_weight);
    require_at_least_one("max_concurrent_batches_per_key", options.max_concurrent_batches_per_key);
    if (options.priority_aging < std::chrono::nanoseconds::zero()) {
        throw std::invalid_argument(fmt::format("priority_aging must be 0 or more, not {} ns",
                                                options.priority_aging.count()));
    }
    if (options.latency_target <= std::chrono::nanoseconds::zero()) {
        throw std::invalid_argument(fmt::format("latency_target must be more than 0, not {} ns",
                                                options.latency_target.count()));
    }
    if (options.latency_target == no_timeout && options.batch_timeout == no_timeout &&
        options.max_queue_size < options.max_batch_size) {
        throw std::invalid_argument(
            fmt::format("max_queue_size must be at least max_batch_size, {}, not {}, as "
                        "batch_timeout is no_timeout: "
                        "no batch could ever fill",
                        options.max_batch_size, options.max_queue_size));
    }
}

BATCHER_DECL void check_limits(const Options& options, bool weighs, bool keyed) {
    const auto require = [](bool rule, std::size_t value, const char* field, const char* name) {
        if (rule || value == no_limit) return;
        throw std::invalid_argument(fmt::format(
            "{} is {}, but only counts with batching::{} after the options", field, value, name));
    };
    require(weighs, options.max_batch_weight, "max_batch_weight", "weigh()");
    require(weighs, options.max_queue_weight, "max_queue_weight", "weigh()");
    require(keyed, options.max_concurrent_batches_per_key, "max_concurrent_batches_per_key",
            "key_by()");
}

}  // namespace batching::detail
