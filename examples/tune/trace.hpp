// A trace: when calls came, as it was written down.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <vector>

namespace tune {

using Time = std::chrono::nanoseconds;

struct Arrival {
    Time at;  // from the first one
    std::size_t weight = 1;
    Time timeout = Time::max();  // none
};

// A line for each call: the time it came, in seconds, since any moment; then its weight and its timeout in seconds, both
// optional. A first line that does not begin with a number names the columns. Returns them in order of time. Throws
// std::runtime_error with the line that is wrong.
std::vector<Arrival> read_trace(const std::filesystem::path& path);

}  // namespace tune
