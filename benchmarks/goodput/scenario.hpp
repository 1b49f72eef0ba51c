// Scenario: what is simulated. How long batches take, how many may run, how calls come.
#pragma once

#include <fmt/format.h>

#include <array>
#include <batcher/detail/core/rules.hpp>
#include <chrono>
#include <cstddef>
#include <string>

namespace goodput {

using batching::detail::Time;
using namespace std::chrono_literals;

constexpr Time never = Time::max();
constexpr std::size_t max_batch_size = 64;
constexpr std::size_t max_batch_weight = 544;  // of 64 items of the mean weight

inline double nanoseconds(Time time) { return static_cast<double>(time.count()); }
inline Time of_nanoseconds(double time) { return Time(static_cast<Time::rep>(time)); }

// A batch function, and the latency that its callers accept.
struct Profile {
    char name;
    Time fixed;
    Time per_item;
    Time objective;

    Time run_time(std::size_t size) const { return fixed + per_item * static_cast<int>(size); }
    // The most items that are done within a time; 0: not even one.
    std::size_t largest_within(Time left) const {
        if (left < run_time(1)) return 0;
        const auto items = static_cast<std::size_t>((left - fixed) / per_item);
        return items < max_batch_size ? items : max_batch_size;
    }
};

// A model on a CPU, as it was measured; one where a batch costs hardly more than an item; one where it saves little.
constexpr std::array<Profile, 3> profiles{
    {{'A', 5072us, 1053us, 25ms}, {'B', 2ms, 50us, 10ms}, {'C', 200us, 1ms, 25ms}}};
// A, where what takes time is not the items but their weights, of 1 to 16.
constexpr Profile profile_by_weight{'W', 5072us, 124us, 25ms};
constexpr std::size_t heaviest_item = 16;
constexpr std::array<std::size_t, 3> slot_counts{1, 2, 8};

enum class Load { poisson, bursts, square_wave, closed_loop };

struct Scenario {
    Profile profile = profiles[0];
    std::size_t slots = 1;
    Load load = Load::poisson;
    double noise = 0;          // standard deviation of a run time, as a share of it
    bool stalls = false;       // one batch of a hundred takes three times as long
    bool timeouts = true;      // a call that is not done within the objective fails
    std::size_t callers = 0;   // of a closed loop
    std::size_t heaviest = 1;  // items weigh from 1 to this, and run times are those of weights
    Time slower_from = never;  // from then on the fixed part of run times is twice as long

    bool weighed() const { return heaviest != 1; }
    double mean_weight() const { return static_cast<double>(1 + heaviest) / 2; }
    // The largest size of a batch: its items, or its weight.
    std::size_t most() const { return weighed() ? max_batch_weight : max_batch_size; }

    // A batch is of this size when slots take turns, and a call waits for one of them and runs in it.
    std::size_t staggered_size() const {
        std::size_t size = 1;
        while (size < most() && staggered(size + 1) <= profile.objective) ++size;
        return size;
    }
    // The staggered bound, calls a second: what the slots complete then. All rates are in units of this.
    double bound() const {
        const std::size_t size = staggered_size();
        return static_cast<double>(slots * size) / mean_weight() * 1e9 /
               nanoseconds(profile.run_time(size));
    }
    // Of all calls. Where batches stall no policy gets 99 % done in time.
    double share_required() const { return stalls ? 0.97 : 0.99; }

private:
    Time staggered(std::size_t size) const {
        return profile.run_time(size) * static_cast<int>(slots + 1) / static_cast<int>(slots);
    }
};

inline std::string name_of(Load load) {
    switch (load) {
        case Load::poisson:
            return "Poisson";
        case Load::bursts:
            return "bursts";
        case Load::square_wave:
            return "square wave";
        case Load::closed_loop:
            return "closed loop";
    }
    return {};
}

inline std::string name_of(const Scenario& scenario) {
    std::string name =
        fmt::format("{}, {} slot{}, {}, {}", scenario.profile.name, scenario.slots,
                    scenario.slots == 1 ? "" : "s", scenario.timeouts ? "timeouts" : "no timeouts",
                    name_of(scenario.load));
    if (scenario.callers != 0) name += fmt::format(" of {}", scenario.callers);
    if (scenario.weighed()) name += fmt::format(", weights of 1 to {}", scenario.heaviest);
    name += fmt::format(", {:.0f} % noise", 100 * scenario.noise);
    return scenario.stalls ? name + " and stalls" : name;
}

}  // namespace goodput
