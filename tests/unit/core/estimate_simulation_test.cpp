// What the rules of the Estimate are for: an overload, in which they are compared with batches that take what
// waits. A simulation, with a clock of its own.
#include <algorithm>
#include <batcher/detail/core/estimate.hpp>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "../catch.hpp"

namespace estimate_simulation_test {

using batching::detail::Estimate;
using batching::detail::Time;
using namespace std::chrono_literals;

constexpr Time timeout = 25ms;
constexpr std::size_t max_batch_size = 64;

// A model on a CPU, as it was measured.
Time run_time(std::size_t size) { return 5072us + 1053us * static_cast<Time::rep>(size); }

// The most calls per nanosecond that slots can complete in time, when each waits for a batch and runs in another.
double staggered_bound(std::size_t slots) {
    std::size_t size = 1;
    while (run_time(size + 1) * (slots + 1) / slots <= timeout) ++size;
    return static_cast<double>(slots * size) / static_cast<double>(run_time(size).count());
}

// One queue, some slots; calls arrive at random and fail when their timeout has passed.
class Simulation {
public:
    Simulation(std::size_t slots, bool by_the_rules)
        : by_the_rules_(by_the_rules), estimate_(slots), slots_(slots), free_(slots) {}

    // Calls that got a result in time, of so many.
    int in_time(int calls, double rate) {
        std::exponential_distribution<double> gap(rate);
        for (Time arrival{}; calls > 0; --calls) {
            arrival += Time(std::llround(gap(random_)));
            run_until(arrival);
            arrive();
        }
        run_until(now_ + 1min);
        return in_time_;
    }

private:
    struct Slot {
        Time ends = Time::max();
        Time started{};
        std::vector<Time> due;  // of its batch
    };

    void run_until(Time end) {
        const auto earlier = [](const Slot& a, const Slot& b) { return a.ends < b.ends; };
        for (;;) {
            Slot& next = *std::min_element(slots_.begin(), slots_.end(), earlier);
            if (next.ends > end) break;
            now_ = next.ends;
            complete(next);
            start_batches();
        }
        now_ = end;
    }

    void arrive() {
        ++submitted_;
        if (by_the_rules_ && estimate_.hopeless_by(due_.size(), free_, timeout, max_batch_size)) {
            return;
        }
        due_.push_back(now_ + timeout);
        start_batches();
    }

    void complete(Slot& slot) {
        for (const Time due : slot.due) in_time_ += now_ <= due ? 1 : 0;
        estimate_.completed(slot.due.size(), now_ - slot.started);
        slot.ends = Time::max();
        ++free_;
    }

    void start_batches() {
        while (free_ > 0) {
            while (!due_.empty() && due_.front() <= now_) due_.pop_front();
            std::size_t size = std::min(due_.size(), max_batch_size);
            if (by_the_rules_ && size > 0 && estimate_.known()) size = size_by_the_rules();
            if (size == 0) return;
            start(size);
        }
    }

    std::size_t size_by_the_rules() {
        estimate_.arrived(now_, submitted_, timeout);
        const std::size_t floor = estimate_.floor(timeout, max_batch_size);
        while (is_late(floor)) due_.pop_front();
        if (due_.empty()) return 0;
        const std::size_t meeting = estimate_.largest_meeting(due_.front() - now_, max_batch_size);
        return std::min(due_.size(), std::max(meeting, floor));
    }
    bool is_late(std::size_t floor) const {
        if (due_.empty() || (due_.size() == 1 && free_ == slots_.size())) return false;
        const std::size_t smallest = std::min(due_.size(), floor);
        return due_.front() < now_ + estimate_.run_time_with_margin(smallest);
    }

    void start(std::size_t size) {
        const auto idle = [](const Slot& slot) { return slot.ends == Time::max(); };
        Slot& slot = *std::find_if(slots_.begin(), slots_.end(), idle);
        const auto end = due_.begin() + static_cast<std::ptrdiff_t>(size);
        slot.due.assign(due_.begin(), end);
        due_.erase(due_.begin(), end);
        const double takes = static_cast<double>(run_time(size).count()) * noise_(random_);
        slot.started = now_;
        slot.ends = now_ + Time(std::llround(takes));
        --free_;
    }

    bool by_the_rules_;
    Estimate estimate_;
    std::vector<Slot> slots_;
    std::size_t free_;
    Time now_{};
    std::deque<Time> due_;  // when the calls that wait fail
    std::uint64_t submitted_ = 0;
    int in_time_ = 0;
    std::mt19937_64 random_{7};
    std::normal_distribution<double> noise_{1, 0.1};
};

TEST_CASE("when half as many calls too many come, most that can be are still served in time",
          "[estimate]") {
    for (const std::size_t slots : {1U, 2U, 8U}) {
        const int calls = 30'000;
        const double possible = calls / 1.5;
        const double rate = 1.5 * staggered_bound(slots);
        const int natural = Simulation(slots, false).in_time(calls, rate);
        const int by_the_rules = Simulation(slots, true).in_time(calls, rate);
        INFO(slots << " slots: " << natural << " by taking what waits, " << by_the_rules
                   << " by the rules, of " << possible);
        CHECK(by_the_rules > 0.8 * possible);
        CHECK(by_the_rules > 8 * natural);
    }
}

}  // namespace estimate_simulation_test
