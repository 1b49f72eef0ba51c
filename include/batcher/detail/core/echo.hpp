// Echo: whether callers come straight back, as those of a closed loop do, who call again as soon as they have their results.
//
// If whatever waits left as soon as a slot is free, they would fall apart into batches that take turns: the callers of the
// one that has just run would find the others gone. So the next batch waits for them, for 3 % of a run time at most, as
// long as more than half of those of the last batches have come back within that.
#pragma once

#include <batcher/detail/core/call.hpp>
#include <chrono>
#include <cstddef>

namespace batching::detail {

// Everything is O(1).
class Echo {
public:
    // ---- what happens -----------------------------------------------------------------------------------

    // A batch has run, and so many callers get their results.
    void completed(std::size_t callers, Time now, Time run_time) noexcept {
        if (callers_ != 0 && now > until_) learn();
        until_ = now + run_time * 3 / 100;
        waits_ = until_ - now >= shortest;
        callers_ = callers;
        back_ = 0;
    }
    void arrived(Time queued_at) noexcept { back_ += queued_at <= until_ ? 1 : 0; }

    // ---- what follows -----------------------------------------------------------------------------------

    // Until when a batch waits for them. In the past: there is nobody to wait for.
    Time until() const noexcept {
        return waits_ && share_ > 0.5 && missing() != 0 ? until_ : (Time::min)();
    }
    // For so many more. Nearly all are enough: one who has gone would hold up the others each time.
    std::size_t missing() const noexcept {
        const std::size_t enough = callers_ - callers_ / 20;
        return enough - (back_ < enough ? back_ : enough);
    }

private:
    // A timer may be as late as this, so that it is not worth less.
    static constexpr Time shortest = std::chrono::microseconds(50);

    // About the last 16 batches.
    void learn() noexcept {
        const double share = static_cast<double>(back_) / static_cast<double>(callers_);
        share_ += ((share < 1 ? share : 1) - share_) / 16;
    }

    // Of the batch that has run last:
    std::size_t callers_ = 0;
    std::size_t back_ = 0;  // calls that came until then
    Time until_ = (Time::min)();
    bool waits_ = false;

    double share_ = 0;  // of the callers, that comes back
};

}  // namespace batching::detail
