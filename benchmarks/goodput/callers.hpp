// Callers: when calls come, and what they weigh. In an open loop at random times, whatever becomes of those before; in a
// closed loop each caller calls again soon after its last call has ended.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <goodput/scenario.hpp>
#include <queue>
#include <random>
#include <vector>

namespace goodput {

class Callers {
public:
    // `rate`, calls a second: of an open loop.
    Callers(const Scenario& scenario, double rate, std::uint64_t seed)
        : load_(scenario.load),
          per_nanosecond_(rate / 1e9),
          shortest_pause_(scenario.profile.objective / 4),
          random_(seed),
          weights_random_(seed),
          weights_(1, scenario.heaviest) {
        if (load_ != Load::closed_loop) {
            take();
            return;
        }
        for (std::size_t i = 0; i < scenario.callers; ++i) {
            returning_.push(of_nanoseconds(50'000 * exponential_(random_)));
        }
    }

    // When the next call comes.
    Time next() const {
        if (load_ != Load::closed_loop) return of_nanoseconds(next_);
        return returning_.empty() ? never : returning_.top();
    }

    // It has come.
    void take() {
        switch (load_) {
            case Load::poisson:
                next_ += exponential_(random_) / per_nanosecond_;
                break;
            case Load::bursts:
                next_ += bursts_(random_) / (shape_of_bursts * per_nanosecond_);
                break;
            case Load::square_wave:
                pass_on_wave(exponential_(random_));
                break;
            case Load::closed_loop:
                returning_.pop();
                break;
        }
    }

    // The weight of the item of the next call.
    std::size_t weigh() { return weights_.max() == 1 ? 1 : weights_(weights_random_); }

    // A call has ended, with a result or without.
    void ended(Time now) {
        if (load_ != Load::closed_loop) return;
        returning_.push(now + of_nanoseconds(30'000 * exponential_(random_)));
    }
    // One was refused, and its caller tries again when it was told to, more or less; but not at once.
    void refused(Time now, Time retry_after) {
        if (load_ != Load::closed_loop) return;
        const double about = std::uniform_real_distribution<double>(0.75, 1.25)(random_);
        const Time pause = std::max(retry_after, shortest_pause_);
        returning_.push(now + of_nanoseconds(about * nanoseconds(pause)));
    }

private:
    // Gaps of a gamma distribution of this shape: many short ones and some very long ones.
    static constexpr double shape_of_bursts = 0.1;

    // Half a second with 0.4 of the rate, half a second with 1.6 of it. `calls` pass, at the mean rate of the moment.
    void pass_on_wave(double calls) {
        constexpr double half = 5e8;
        for (;;) {
            const double halves = std::floor(next_ / half);
            const bool high = std::fmod(halves, 2) != 0;
            const double rate = (high ? 1.6 : 0.4) * per_nanosecond_;
            const double ends = (halves + 1) * half;
            const double until_end = (ends - next_) * rate;
            if (calls < until_end) {
                next_ += calls / rate;
                return;
            }
            calls -= until_end;
            next_ = ends;
        }
    }

    Load load_;
    double per_nanosecond_;
    Time shortest_pause_;
    std::mt19937_64 random_;
    std::mt19937_64 weights_random_;  // so that calls come at the same times, whatever they weigh
    std::uniform_int_distribution<std::size_t> weights_;
    std::exponential_distribution<double> exponential_{1};
    std::gamma_distribution<double> bursts_{shape_of_bursts, 1};
    double next_ = 0;
    std::priority_queue<Time, std::vector<Time>, std::greater<>> returning_;
};

}  // namespace goodput
