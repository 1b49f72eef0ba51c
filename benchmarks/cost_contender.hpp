// A contender of a table of costs: runs for as long as the settings say, whatever it costs.
#pragma once

#include <algorithm>
#include <arrangements.hpp>
#include <chrono>
#include <cstddef>
#include <measure.hpp>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// How many items take about `time`, from what fewer of them cost.
template <class Cost>
std::size_t items_for(std::chrono::nanoseconds time, ClosedLoopLoad load, const Cost& cost) {
    load.items = std::max<std::size_t>(2 * load.callers, 2'000);
    const double nanoseconds = std::max(1.0, cost(load));
    const auto fitting = static_cast<std::size_t>(static_cast<double>(time.count()) / nanoseconds);
    return std::max<std::size_t>(fitting, 1'000);
}

// `cost(load)` gives nanoseconds an item.
template <class Cost>
Contender cost_contender(std::string arrangement, std::string name, ClosedLoopLoad load,
                         const Settings& settings, Cost cost) {
    return {std::move(arrangement), std::move(name),
            [load, cost, time = settings.run_time]() mutable -> std::vector<double> {
                if (load.items == 0) load.items = items_for(time, load, cost);
                return {cost(load)};
            }};
}

}  // namespace bench
