// Lateness: what a machine with other things to do adds to the times of a scenario. Seen in a run with threads, to be
// simulated.
#pragma once

#include <cstddef>
#include <goodput/scenario.hpp>
#include <vector>

namespace goodput {

// One call, and one batch, after the other.
struct Lateness {
    std::vector<Time> calls;    // come so much later than they were due, and count from then
    std::vector<Time> batches;  // take so much longer

    static Time of(const std::vector<Time>& seen, std::size_t i) {
        return i < seen.size() ? seen[i] : Time(0);
    }
};

}  // namespace goodput
