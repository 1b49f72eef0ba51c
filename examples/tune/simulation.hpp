// A Batcher under the calls of a trace, in simulated time.
#pragma once

#include "trace.hpp"

#include <batcher.hpp>
#include <cstddef>
#include <vector>

namespace tune {

// What a batch takes: batcher.stats() says it.
struct Cost {
    Time fixed;
    Time per_item;         // or for each unit of weight, if the trace has weights
    double deviation = 0;  // of run times, as a share of them
};

struct Outcome {
    double in_time = 0;  // share of the calls: within the target, and their timeout
    Time p50{};          // of the calls that got a result
    Time p99{};
    double busy = 0;        // share of the time that slots ran batches
    double mean_batch = 0;  // items
};

// What those options would have done. It is the Batcher's own state machine that decides; the same in each run.
// O(calls). Throws std::bad_alloc.
Outcome simulate(const std::vector<Arrival>& trace, const Cost& cost,
                 const batching::Options& options, Time target);

}  // namespace tune
