// Contenders: what is compared. The state machine with the settings that a user can choose, and published policies.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <goodput/machine_server.hpp>
#include <goodput/policy_server.hpp>
#include <goodput/published.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace goodput {

struct Contender {
    std::string name;
    std::function<std::unique_ptr<Server>(Simulation&)> make;
};

// ---- the state machine ------------------------------------------------------------------------------------

constexpr std::size_t largest = Rules::no_limit;  // size there is

// `size`: items, or where they have weights the weight.
inline Rules rules_for(const Scenario& scenario, std::size_t size, Time wait) {
    size = std::min(size, scenario.most());
    Rules rules{.max_batch_size = scenario.weighed() ? max_batch_size : size,
                .batch_timeout = wait,
                .max_concurrent_batches = scenario.slots};
    if (scenario.weighed()) rules.weigh(size, Rules::no_limit);
    return rules;
}

// A maximum size and a wait. Expired calls fail, and nothing else follows from timeouts.
inline Contender fixed_setting(std::string name, std::size_t size, double wait_share) {
    return {std::move(name), [=](Simulation& simulation) -> std::unique_ptr<Server> {
                const Scenario& scenario = simulation.scenario();
                const Time objective = scenario.profile.objective;
                Rules rules =
                    rules_for(scenario, size, of_nanoseconds(wait_share * nanoseconds(objective)));
                if (scenario.timeouts) rules.timeout = objective;
                const Timeouts timeouts = scenario.timeouts ? Timeouts::of_handle : Timeouts::none;
                return std::make_unique<MachineServer>(rules, timeouts, simulation);
            }};
}

inline Contender natural_batching() { return fixed_setting("natural", largest, 0); }

// Natural batching, where each call says when it has to be done.
inline Contender timeouts_alone() {
    return {"call timeouts", [](Simulation& simulation) -> std::unique_ptr<Server> {
                const Scenario& scenario = simulation.scenario();
                const Timeouts timeouts =
                    scenario.timeouts ? Timeouts::of_each_call : Timeouts::none;
                return std::make_unique<MachineServer>(rules_for(scenario, largest, Time(0)),
                                                       timeouts, simulation);
            }};
}

inline Contender latency_target() {
    return {"latency_target", [](Simulation& simulation) -> std::unique_ptr<Server> {
                const Scenario& scenario = simulation.scenario();
                Rules rules = rules_for(scenario, largest, Time(0));
                rules.latency_target = scenario.profile.objective;
                const Timeouts timeouts =
                    scenario.timeouts ? Timeouts::of_each_call : Timeouts::none;
                return std::make_unique<MachineServer>(rules, timeouts, simulation);
            }};
}

// The same, not told what items weigh.
inline Contender latency_target_by_items() {
    return {"without weigh()", [](Simulation& simulation) -> std::unique_ptr<Server> {
                const Scenario& scenario = simulation.scenario();
                return std::make_unique<MachineServer>(
                    Rules{.max_batch_size = max_batch_size,
                          .batch_timeout = Time(0),
                          .max_concurrent_batches = scenario.slots,
                          .latency_target = scenario.profile.objective},
                    scenario.timeouts ? Timeouts::of_each_call : Timeouts::none, simulation);
            }};
}

// ---- the grid of fixed settings ---------------------------------------------------------------------------

// Sizes around the one that is right when slots take turns, and waits as a share of the objective.
inline std::vector<Contender> grid_of(const Scenario& scenario) {
    std::vector<Contender> grid;
    std::size_t last = 0;
    for (const double times : {0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 64.0}) {
        const double wanted = std::round(times * static_cast<double>(scenario.staggered_size()));
        const std::size_t size =
            std::clamp<std::size_t>(static_cast<std::size_t>(wanted), 1, scenario.most());
        if (size == last) continue;
        last = size;
        for (const double wait : {0.0, 0.04, 0.1, 0.25}) {
            const std::string name =
                fmt::format("up to {}, wait {:g} of the objective", size, wait);
            grid.push_back(fixed_setting(name, size, wait));
        }
    }
    return grid;
}

// ---- published policies -----------------------------------------------------------------------------------

template <class P>
Contender published(std::string name) {
    return {std::move(name), [](Simulation& simulation) -> std::unique_ptr<Server> {
                return std::make_unique<PolicyServer>(std::make_unique<P>(simulation.scenario()),
                                                      simulation);
            }};
}

inline std::vector<Contender> published_policies() {
    return {published<ClipperLike>("Clipper-like"), published<BentoLike>("BentoML-like"),
            published<NexusLike>("Nexus-like"), published<ClockworkLike>("Clockwork-like"),
            published<SymphonyLike>("Symphony-like")};
}

// All but the grid, which of them is best depends on the scenario.
inline std::vector<Contender> contenders() {
    std::vector<Contender> all{latency_target(), natural_batching(), timeouts_alone()};
    for (Contender& policy : published_policies()) all.push_back(std::move(policy));
    return all;
}

}  // namespace goodput
