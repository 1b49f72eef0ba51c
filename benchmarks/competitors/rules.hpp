// What every contender is given: when a batch leaves, and the batch function.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace bench {

struct Rules {
    std::size_t max_batch_size = 64;
    std::chrono::nanoseconds batch_timeout = std::chrono::milliseconds(1);
};

// A function that does next to nothing, so that what is measured is everything else.
[[gnu::noinline]] inline std::vector<int> twice(const std::vector<int>& numbers) {
    std::vector<int> doubles(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) doubles[i] = 2 * numbers[i];
    return doubles;
}

}  // namespace bench
