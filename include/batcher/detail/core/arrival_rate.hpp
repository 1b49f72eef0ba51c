// ArrivalRate: how many items (or how much weight) arrive, lately. "worst": see estimate.hpp.
#pragma once

#include <algorithm>
#include <batcher/detail/core/call.hpp>
#include <cstdint>
#include <optional>

namespace batching::detail {

class ArrivalRate {
public:
    // The mean over about two objectives (1: worst 0.87, 4: 0.83, 16: 0.79), looked at as often as needed.
    void sample(Time now, std::uint64_t came_so_far, double objective) noexcept {
        if (!first_) {
            first_ = sampled_at_ = now;
            came_ = came_so_far;
            return;
        }
        const double window = 2 * objective;
        const auto passed = static_cast<double>((now - sampled_at_).count());
        if (passed <= 0 || passed < window / 20) return;
        const auto since_first = static_cast<double>((now - *first_).count());
        // Less than before: some were displaced.
        const double came = came_so_far < came_ ? 0 : static_cast<double>(came_so_far - came_);
        rate_ += (came / passed - rate_) * passed / (std::min)(since_first, passed + window);
        sampled_at_ = now;
        came_ = came_so_far;
    }
    double per_nanosecond() const noexcept { return rate_; }

private:
    std::optional<Time> first_;
    Time sampled_at_{};
    std::uint64_t came_ = 0;
    double rate_ = 0;
};

}  // namespace batching::detail
