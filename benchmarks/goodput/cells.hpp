// Cells: the scenarios of the study that the policy of the library came from.
#pragma once

#include <goodput/scenario.hpp>
#include <vector>

namespace goodput {

inline Scenario usual(const Profile& profile, std::size_t slots) {
    return {.profile = profile, .slots = slots, .noise = 0.1};
}

// Calls `visit` with each profile, each number of slots: timeouts, Poisson, 10 % noise.
template <class Visit>
void each_usual(Visit visit) {
    for (const Profile& profile : profiles) {
        for (const std::size_t slots : slot_counts) visit(usual(profile, slots));
    }
}

// Loads that come and go, run times that vary and stall: 144.
inline std::vector<Scenario> open_loop_cells() {
    std::vector<Scenario> cells;
    for (const bool timeouts : {true, false}) {
        each_usual([&](Scenario cell) {
            cell.timeouts = timeouts;
            for (const Load load : {Load::poisson, Load::bursts, Load::square_wave}) {
                cell.load = load;
                for (const double noise : {0.0, 0.1}) {
                    cell.noise = noise;
                    cells.push_back(cell);
                }
            }
            cell.load = Load::poisson;
            cell.noise = 0.3;
            cells.push_back(cell);
            cell.noise = 0.1;
            cell.stalls = true;
            cells.push_back(cell);
        });
    }
    return cells;
}

// Callers that call again at once: 36.
inline std::vector<Scenario> closed_loop_cells() {
    std::vector<Scenario> cells;
    for (const bool timeouts : {true, false}) {
        each_usual([&](Scenario cell) {
            cell.timeouts = timeouts;
            cell.load = Load::closed_loop;
            for (const std::size_t callers : {64U, 1'000U}) {
                cell.callers = callers;
                cells.push_back(cell);
            }
        });
    }
    return cells;
}

// Items that have weights: 6.
inline std::vector<Scenario> weighed_cells() {
    std::vector<Scenario> cells;
    for (const bool timeouts : {true, false}) {
        for (const std::size_t slots : slot_counts) {
            Scenario cell = usual(profile_by_weight, slots);
            cell.timeouts = timeouts;
            cell.heaviest = heaviest_item;
            cells.push_back(cell);
        }
    }
    return cells;
}

}  // namespace goodput
