// Measures: what is found out about a contender in a scenario. All the same each time: seeds are fixed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <goodput/contenders.hpp>
#include <goodput/simulation.hpp>
#include <memory>
#include <vector>

namespace goodput {

// How much is simulated. Shorter runs say the same with more noise.
struct Effort {
    int seeds = 3;
    double calls = 20'000;  // of each seed
};

inline Time seconds(double s) { return of_nanoseconds(s * 1e9); }

inline Outcome simulate(const Scenario& scenario, const Contender& contender, double rate,
                        std::uint64_t seed, const Span& span, const Lateness& lateness = {}) {
    Simulation simulation(scenario, rate, seed, span);
    simulation.be_late(lateness);
    return simulation.run(*contender.make(simulation));
}

// ---- goodput ------------------------------------------------------------------------------------------------

// A square wave is seen four times; and of stalls, which are rare, there are enough.
inline double seconds_of_load(const Scenario& scenario, double rate, double calls) {
    const double least = scenario.load == Load::square_wave ? 4 : scenario.stalls ? 8 : 0;
    return std::max(calls / rate, least);
}

// Of calls that come at a rate (of the bound) enough are in time. The first tenth does not count, or 3 s.
inline bool sustains(const Scenario& scenario, const Contender& contender, double load,
                     const Effort& effort) {
    const double rate = load * scenario.bound();
    const double length = seconds_of_load(scenario, rate, effort.calls);
    const Span span{.from = seconds(std::min(0.1 * length, 3.0)), .until = seconds(length)};
    const double counted = (length - nanoseconds(span.from) / 1e9) * rate;
    const double may_miss = (1 - scenario.share_required()) * counted * effort.seeds;
    double missed = 0;
    for (int seed = 1; seed <= effort.seeds && missed <= may_miss; ++seed) {
        Simulation simulation(scenario, rate, static_cast<std::uint64_t>(seed), span);
        simulation.stop_after(static_cast<std::size_t>(may_miss - missed));
        missed += static_cast<double>(simulation.run(*contender.make(simulation)).missed);
    }
    return missed <= may_miss;
}

// Goodput: the highest rate that it sustains, in units of the staggered bound, to a hundredth. `at_least`: is known.
inline double goodput_of(const Scenario& scenario, const Contender& contender, const Effort& effort,
                         double at_least = 0) {
    if (at_least == 0 && !sustains(scenario, contender, 0.02, effort)) return 0;
    double low = at_least;
    double high = 1.28;
    while (high - low > 0.01) {
        const double middle = (low + high) / 2;
        (sustains(scenario, contender, middle, effort) ? low : high) = middle;
    }
    return low;
}

struct BestSetting {
    Contender contender = natural_batching();
    double goodput = 0;
};

inline BestSetting best_of_grid(const Scenario& scenario, const Effort& effort) {
    BestSetting best;
    for (const Contender& setting : grid_of(scenario)) {
        const double better = best.goodput + 0.01;
        if (!sustains(scenario, setting, better, effort)) continue;
        best = {setting, goodput_of(scenario, setting, effort, better)};
    }
    return best;
}

// ---- what comes of a load -------------------------------------------------------------------------------------

// Calls that are done in time, in units of the bound, at a load that may be more than that.
inline double in_time_at(const Scenario& scenario, const Contender& contender, double load,
                         const Effort& effort) {
    const double rate = load * scenario.bound();
    const double length = std::max(1.5 * effort.calls / rate, 2.0);
    const Span span{.from = seconds(std::min(0.1 * length, 3.0)), .until = seconds(length)};
    double share = 0;
    for (int seed = 1; seed <= effort.seeds; ++seed) {
        share += simulate(scenario, contender, rate, static_cast<std::uint64_t>(seed), span)
                     .share_in_time();
    }
    return load * share / effort.seeds;
}

// All results, late ones included, in units of the bound.
inline double throughput_at(const Scenario& scenario, const Contender& contender, double load,
                            const Effort& effort) {
    const double rate = load * scenario.bound();
    const double length = std::max(1.5 * effort.calls / rate, 2.0);
    const double first = std::min(0.1 * length, 3.0);
    const Span span{.from = seconds(first), .until = seconds(length), .end = seconds(length)};
    double completed = 0;
    for (int seed = 1; seed <= effort.seeds; ++seed) {
        completed += static_cast<double>(
            simulate(scenario, contender, rate, static_cast<std::uint64_t>(seed), span).completed);
    }
    return completed / (length - first) / scenario.bound() / effort.seeds;
}

inline double median_latency_ms(const Scenario& scenario, const Contender& contender, double load,
                                const Effort& effort) {
    const double rate = load * scenario.bound();
    const double length = std::max(effort.calls / rate, 6.0);
    Simulation simulation(scenario, rate, 1, {.from = 2s, .until = seconds(length)});
    simulation.keep_latencies();
    std::vector<float> latencies = simulation.run(*contender.make(simulation)).latencies;
    const auto middle = latencies.begin() + static_cast<long>(latencies.size() / 2);
    std::nth_element(latencies.begin(), middle, latencies.end());
    return static_cast<double>(*middle);
}

// What a machine with a target has learnt of run times after 20 seconds, at 0.6 of the bound.
inline batching::Stats learnt_from(const Scenario& scenario, const Contender& target) {
    Simulation simulation(scenario, 0.6 * scenario.bound(), 1, {.until = 20s});
    const std::unique_ptr<Server> server = target.make(simulation);
    simulation.run(*server);
    return dynamic_cast<const MachineServer&>(*server).stats();
}

// ---- change, and callers that wait ----------------------------------------------------------------------------

// The share in time of calls that come while it learns that the fixed part of run times has doubled, and after that.
struct AfterDrift {
    double first_second = 0;
    double ten_seconds = 0;
};

inline AfterDrift after_drift(const Scenario& scenario, const Contender& contender, double load,
                              int seeds) {
    Scenario slower = scenario;
    slower.profile.fixed *= 2;
    const double rate = load * slower.bound();
    Scenario drifts = scenario;
    drifts.slower_from = 10s;
    const auto share = [&](Time until) {
        Outcome all;
        for (int seed = 1; seed <= seeds; ++seed) {
            const Span span{.from = drifts.slower_from, .until = until};
            const Outcome one =
                simulate(drifts, contender, rate, static_cast<std::uint64_t>(seed), span);
            all.offered += one.offered;
            all.in_time += one.in_time;
        }
        return all.share_in_time();
    };
    return {share(11s), share(20s)};
}

// Results a second of callers that call again as soon as they can, in units of the bound.
struct ClosedLoop {
    double in_time = 0;
    double all = 0;
};

inline ClosedLoop closed_loop(const Scenario& scenario, const Contender& contender) {
    // A thousand callers with timeouts are refused hundreds of thousands of times a second.
    const double length = scenario.timeouts ? 2 : 10;
    const Span span{.from = 1s, .end = seconds(1 + length)};
    const Outcome outcome = simulate(scenario, contender, 1, 1, span);
    const double bound = scenario.bound() * length;
    return {static_cast<double>(outcome.in_time) / bound,
            static_cast<double>(outcome.completed) / bound};
}

}  // namespace goodput
