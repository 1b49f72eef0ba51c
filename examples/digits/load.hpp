// A measured load: many clients, each asking a Batcher for one digit at a time.
#pragma once

#include "dataset.hpp"
#include "nearest_neighbour.hpp"

#include <batcher.hpp>
#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace digits {

struct Load {
    std::string_view name;
    int clients;
    batching::Options options;
    std::chrono::duration<double> measured;  // for so long, after a warm-up
};

struct Measured {
    double calls_per_second = 0;
    std::chrono::duration<double, std::milli> p50{};  // of one call, as its client sees it
    std::chrono::duration<double, std::milli> p99{};
    std::vector<std::size_t> batches_of_size;  // [n]: how many batches had n images
    std::size_t asked = 0;                     // different questions that were answered,
    std::size_t right = 0;                     // and how many of them rightly

    double mean_batch_size() const;
};

// Runs the load to its end; shows how far it is.
Measured measure(const Load& load, const NearestNeighbour& model,
                 std::span<const Sample> questions);

}  // namespace digits
