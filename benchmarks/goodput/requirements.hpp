// What is asked of latency_target, and how far it is met.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <goodput/cells.hpp>
#include <goodput/measures.hpp>
#include <measure.hpp>
#include <string>

namespace goodput {

// Of each profile, with 1, 2 and 8 slots; in units of the staggered bound.
using Limits = std::array<std::array<double, slot_counts.size()>, profiles.size()>;
constexpr Limits least_goodput{{{.62, .66, .77}, {.79, .87, .93}, {.86, .91, .93}}};
constexpr Limits least_in_overload{{{.90, .86, .82}, {.89, .87, .84}, {.89, .90, .86}}};
constexpr std::array<double, slot_counts.size()> least_after_drift{.85, .80, .87};
constexpr double overload = 1.5;
constexpr double near_natural = 0.97;

inline std::string short_name(const Scenario& scenario) {
    return fmt::format("{}, {} slot{}", scenario.profile.name, scenario.slots,
                       scenario.slots == 1 ? "" : "s");
}

inline void require_goodput(bench::Budgets& budgets, const Effort& effort) {
    std::size_t cell = 0;
    each_usual([&](const Scenario& scenario) {
        const std::size_t profile = cell / slot_counts.size();
        const std::size_t slots = cell++ % slot_counts.size();
        const std::string name = short_name(scenario);
        budgets.at_least(name + ": goodput", goodput_of(scenario, latency_target(), effort),
                         least_goodput[profile][slots]);
        budgets.at_least(name + ": in time at 1.5 times the bound",
                         in_time_at(scenario, latency_target(), overload, effort),
                         least_in_overload[profile][slots]);
    });
}

inline void require_low_latency(bench::Budgets& budgets, const Effort& effort) {
    each_usual([&](Scenario scenario) {
        scenario.timeouts = false;
        for (const double load : {0.1, 0.3}) {
            const auto median = [&](const Contender& contender) {
                return median_latency_ms(scenario, contender, load, effort);
            };
            budgets.at_most(fmt::format("{}, no timeouts, {} of the bound: median latency beyond "
                                        "natural batching's, ms",
                                        short_name(scenario), load),
                            median(latency_target()) - median(natural_batching()), 0.1);
        }
    });
}

inline void require_learning(bench::Budgets& budgets) {
    for (std::size_t i = 0; i < slot_counts.size(); ++i) {
        const Scenario scenario = usual(profiles[0], slot_counts[i]);
        const AfterDrift share = after_drift(scenario, latency_target(), 0.7, 10);
        const std::string name = short_name(scenario) + ": in time, of the calls of the ";
        budgets.at_least(name + "first second after fixed run times have doubled",
                         share.first_second, least_after_drift[i]);
        budgets.at_least(name + "ten seconds after that", share.ten_seconds, least_after_drift[i]);
    }
}

inline void require_throughput(bench::Budgets& budgets, const Effort& effort) {
    each_usual([&](Scenario scenario) {
        scenario.timeouts = false;
        const auto throughput = [&](const Contender& contender) {
            return throughput_at(scenario, contender, overload, effort);
        };
        budgets.at_least(
            short_name(scenario) + ", no timeouts, 1.5 times the bound: results, times natural's",
            throughput(latency_target()) / throughput(natural_batching()), near_natural);
    });
}

// Weights are the size: run times are learnt by them, and batches made as heavy as the target admits. Not told of them,
// it has fewer calls in time.
inline void require_weights(bench::Budgets& budgets, const Effort& effort) {
    for (const Scenario& scenario : weighed_cells()) {
        const auto goodput = [&](const Contender& contender) {
            return goodput_of(scenario, contender, effort);
        };
        const std::string name = name_of(scenario);
        const double target = goodput(latency_target());
        budgets.at_least(name + ": goodput, times natural's", target / goodput(natural_batching()),
                         near_natural);
        budgets.at_least(name + ": goodput, times that without weigh()",
                         target / goodput(latency_target_by_items()), 0.99);
        const batching::Stats learnt = learnt_from(scenario, latency_target());
        const double real = nanoseconds(scenario.profile.per_item);
        budgets.at_most(name + ": time of a unit of weight that is learnt, off by",
                        std::abs(learnt.run_time_per_item.count() / real - 1), 0.15);
        budgets.at_most(name + ": spread of run times that is learnt, of 0.10",
                        learnt.run_time_deviation, 0.12);
    }
}

// ---- in no cell worse than doing nothing ----------------------------------------------------------------------

// Natural batching may have nothing in time; then so may others.
inline double times(double measured, double natural) {
    return natural == 0 ? 1 : measured / natural;
}

// Only those that are below are named, and those that are known to be.
inline void note_if_below(bench::Budgets& budgets, const std::string& what, double ratio) {
    if (ratio >= near_natural && !budgets.is_known(what)) return;
    budgets.at_least(what, ratio, near_natural);
}

// Returns how many cells were looked at.
inline std::size_t require_no_loss_in_open_loops(bench::Budgets& budgets, const Effort& effort) {
    const auto cells = open_loop_cells();
    for (const Scenario& scenario : cells) {
        const std::string what = name_of(scenario) + ": goodput, times natural's";
        const double natural = goodput_of(scenario, natural_batching(), effort);
        const double enough = near_natural * natural;
        if (natural == 0) continue;
        if (sustains(scenario, latency_target(), enough, effort) && !budgets.is_known(what))
            continue;
        note_if_below(budgets, what,
                      times(goodput_of(scenario, latency_target(), effort), natural));
    }
    return cells.size();
}

inline std::size_t require_no_loss_in_closed_loops(bench::Budgets& budgets) {
    const auto cells = closed_loop_cells();
    for (const Scenario& scenario : cells) {
        const ClosedLoop target = closed_loop(scenario, latency_target());
        const ClosedLoop natural = closed_loop(scenario, natural_batching());
        if (scenario.timeouts) {
            note_if_below(budgets, name_of(scenario) + ": in time, times natural's",
                          times(target.in_time, natural.in_time));
        } else {
            note_if_below(budgets, name_of(scenario) + ": results, times natural's",
                          times(target.all, natural.all));
        }
    }
    return cells.size();
}

}  // namespace goodput
