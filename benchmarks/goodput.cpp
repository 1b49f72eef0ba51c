// Table 8: goodput. How many calls a second are done within the latency that their callers accept, with one number
// (latency_target), with settings, and with the policies of others. The library's state machine runs in simulated time,
// so all figures are the same in each run. (Those of two points with threads stand beside them.)
//
// --check: only what is asked of latency_target, in less than a minute. Exit status 1: something is missed of which that
// was not known.
#include <algorithm>
#include <cstddef>
#include <goodput/cells.hpp>
#include <goodput/measures.hpp>
#include <goodput/real.hpp>
#include <goodput/requirements.hpp>
#include <goodput/table.hpp>
#include <measure.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace goodput;

namespace {

// Budgets that are missed, for reasons that stand in benchmarks/README.md.
const std::set<std::string> known_to_be_missed{
    "B, 8 slots, no timeouts, Poisson, 10 % noise and stalls: goodput, times natural's",
    "A, 1 slot, no timeouts, closed loop of 64, 10 % noise: results, times natural's",
    "B, 8 slots, no timeouts, closed loop of 1000, 10 % noise: results, times natural's"};

const bench::Metric part_of_bound{"goodput", "of the bound"};

Effort effort_of(const bench::Settings& settings) {
    return settings.quick ? Effort{.seeds = 1, .calls = 2'000} : Effort{};
}

// The setting that is best for a scenario stands in a column of its own, whatever it is there.
std::vector<Contender> contenders_and_best_setting(const BestSetting& best = {}) {
    std::vector<Contender> all = contenders();
    all.push_back({"best setting", best.contender.make});
    return all;
}

// ---- tables ---------------------------------------------------------------------------------------------------

void measure_goodput(const bench::Settings& settings, const std::vector<Scenario>& cells) {
    const Effort effort = effort_of(settings);
    const auto all = contenders();
    Table table(settings, "goodput",
                "Goodput, of the staggered bound: the highest rate of which 99 % are in time (97 % "
                "where batches stall)",
                contenders_and_best_setting(), {part_of_bound});
    for (const Scenario& scenario : cells) {
        std::vector<std::vector<double>> values;
        for (const Contender& contender : all) {
            values.push_back({goodput_of(scenario, contender, effort)});
        }
        const BestSetting best = best_of_grid(scenario, effort);
        values.push_back({best.goodput});
        table.row({.scenario = scenario, .note = "best setting: " + best.contender.name}, values);
    }
}

// With 8 slots, as in the plot; otherwise only what an overload does.
std::vector<double> loads_for(std::size_t slots, bool quick) {
    if (slots != 8 || quick) return {overload};
    std::vector<double> loads;
    for (int tenths = 1; tenths <= 16; ++tenths) loads.push_back(tenths / 10.0);
    return loads;
}

void measure_over_load(const bench::Settings& settings) {
    const Effort effort = effort_of(settings);
    Table table(settings, "goodput_over_load",
                "Calls done in time, of the staggered bound, as more of them come",
                contenders_and_best_setting(), {{"in time", "of the bound"}});
    each_usual([&](const Scenario& scenario) {
        const auto all = contenders_and_best_setting(best_of_grid(scenario, effort));
        for (const double load : loads_for(scenario.slots, settings.quick)) {
            std::vector<std::vector<double>> values;
            for (const Contender& contender : all) {
                values.push_back({in_time_at(scenario, contender, load, effort)});
            }
            table.row({.scenario = scenario, .load = fmt::format("{:.1f}", load)}, values);
        }
    });
}

void measure_idle(const bench::Settings& settings) {
    const Effort effort = effort_of(settings);
    const auto all = contenders();
    Table table(settings, "goodput_idle", "Median latency of few calls, ms", all, {{"p50", "ms"}});
    each_usual([&](Scenario scenario) {
        scenario.timeouts = false;
        for (const double load : {0.1, 0.3}) {
            std::vector<std::vector<double>> values;
            for (const Contender& contender : all) {
                values.push_back({median_latency_ms(scenario, contender, load, effort)});
            }
            table.row({.scenario = scenario, .load = fmt::format("{}", load)}, values);
        }
    });
}

void measure_drift(const bench::Settings& settings) {
    const auto all = contenders();
    Table table(settings, "goodput_drift",
                "The fixed part of run times doubles: share of the calls that is in time, in the "
                "first second after that / in ten",
                all, {{"first second", ""}, {"ten seconds", ""}});
    for (const std::size_t slots : slot_counts) {
        std::vector<std::vector<double>> values;
        for (const Contender& contender : all) {
            const AfterDrift share =
                after_drift(usual(profiles[0], slots), contender, 0.7, settings.quick ? 1 : 10);
            values.push_back({share.first_second, share.ten_seconds});
        }
        table.row({.scenario = usual(profiles[0], slots), .load = "0.7"}, values);
    }
}

void measure_closed_loops(const bench::Settings& settings, std::vector<Scenario> cells) {
    if (settings.quick) cells.resize(2);
    const auto all = contenders();
    Table table(settings, "goodput_closed_loop",
                "Callers that call again at once: results a second, of the staggered bound, in "
                "time / all",
                all, {{"in time", "of the bound"}, {"all", "of the bound"}});
    for (const Scenario& scenario : cells) {
        std::vector<std::vector<double>> values;
        for (const Contender& contender : all) {
            const ClosedLoop results = closed_loop(scenario, contender);
            values.push_back({results.in_time, results.all});
        }
        table.row({.scenario = scenario}, values);
    }
}

// Items that have weights.
void measure_weights(const bench::Settings& settings) {
    const Effort effort = effort_of(settings);
    const std::vector<Contender> all{latency_target(), latency_target_by_items(),
                                     natural_batching()};
    std::vector<Contender> columns = all;
    columns.push_back({"best setting", {}});
    Table table(settings, "goodput_weights",
                "Items that have weights: goodput / calls done in time at 1.5 times the bound, of "
                "the bound",
                columns, {part_of_bound, {"in time", "of the bound"}});
    for (const Scenario& scenario : weighed_cells()) {
        std::vector<std::vector<double>> values;
        for (const Contender& contender : all) {
            values.push_back({goodput_of(scenario, contender, effort),
                              in_time_at(scenario, contender, overload, effort)});
        }
        const BestSetting best = best_of_grid(scenario, effort);
        values.push_back({best.goodput, in_time_at(scenario, best.contender, overload, effort)});
        table.row({.scenario = scenario, .note = "best setting: " + best.contender.name}, values);
    }
}

double quantile_ms(std::vector<Time> times, double q) {
    const auto at = times.begin() + static_cast<long>(q * static_cast<double>(times.size() - 1));
    std::nth_element(times.begin(), at, times.end());
    return nanoseconds(*at) / 1e6;
}
std::string said_of(const Lateness& late) {
    return fmt::format(
        "calls late by {:.2f} ms, p99 {:.1f} ms, batches by {:.2f} ms, p99 {:.1f} ms",
        quantile_ms(late.calls, 0.5), quantile_ms(late.calls, 0.99), quantile_ms(late.batches, 0.5),
        quantile_ms(late.batches, 0.99));
}

// Two points as they are simulated, and as they are with threads; ten seconds each. Threads and sleeps are late; so they are
// simulated once more, with calls and batches as late as they were.
void measure_real(const bench::Settings& settings) {
    Table table(settings, "goodput_real",
                "Share of the calls in time with latency_target: simulated, and the whole Batcher "
                "with threads and a function that sleeps",
                {{"simulated", {}}, {"as late as real", {}}, {"real", {}}}, {{"in time", ""}});
    struct Point {
        Scenario scenario;
        double load;
    };
    for (const auto& [scenario, load] :
         {Point{usual(profiles[0], 2), 0.7}, Point{usual(profiles[2], 1), 1.2}}) {
        const Span span{.from = 1s, .until = settings.quick ? 2s : 11s};
        const double rate = load * scenario.bound();
        const auto simulated = [&, &cell = scenario](const Lateness& lateness) {
            return simulate(cell, latency_target(), rate, 1, span, lateness).share_in_time();
        };
        const RealRun real = run_in_real_time(scenario, rate, 1, span);
        table.row(
            {.scenario = scenario, .load = fmt::format("{}", load), .note = said_of(real.lateness)},
            {{simulated({})}, {simulated(real.lateness)}, {real.share_in_time}});
    }
}

// ---- what is asked for ----------------------------------------------------------------------------------------

std::size_t require_all(bench::Budgets& budgets, const Effort& effort) {
    require_goodput(budgets, effort);
    require_low_latency(budgets, effort);
    require_learning(budgets);
    require_throughput(budgets, effort);
    require_weights(budgets, effort);
    // A share of two rates varies more than one of them.
    const Effort more{.seeds = effort.seeds, .calls = 2 * effort.calls};
    return require_no_loss_in_open_loops(budgets, more) + require_no_loss_in_closed_loops(budgets);
}

// Removes an argument; true if it was there.
bool take_argument(int& argc, char** argv, std::string_view argument) {
    char** const end = std::remove(argv + 1, argv + argc, argument);
    const bool found = end != argv + argc;
    argc = static_cast<int>(end - argv);
    argv[argc] = nullptr;
    return found;
}

}  // namespace

int main(int argc, char** argv) {
    const bool check = take_argument(argc, argv, "--check");
    const bench::Settings settings = bench::settings_from(argc, argv);
    fmt::print(
        "The library's state machine, and policies that we have written from the papers of "
        "Clipper, "
        "Nexus,\nClockwork and Symphony and from BentoML's source: what these say of batches, not "
        "those systems.\n");
    if (!check) {
        std::vector<Scenario> cells = open_loop_cells();
        if (settings.quick) cells.resize(4);
        measure_goodput(settings, cells);
        measure_over_load(settings);
        measure_idle(settings);
        measure_drift(settings);
        measure_closed_loops(settings, closed_loop_cells());
        measure_weights(settings);
        measure_real(settings);
    }
    bench::Budgets budgets(settings, "goodput", known_to_be_missed);
    std::size_t cells = 0;
    if (!settings.quick) cells = require_all(budgets, effort_of(settings));
    budgets.print();
    if (!check) return 0;
    fmt::print("checked {}\n", cells + budgets.size());
    return budgets.newly_missed() == 0 ? 0 : 1;
}
