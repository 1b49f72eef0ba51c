// Random schedules, for the model tests: each is made from a number, its seed, and can be run again alone
// with what it did printed:
//
//     BATCHER_SEED=17 ./unit "name of the test"
//     BATCHER_SCHEDULES=100000 ./unit "[model]"     more of them than usual
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>  // fmt::join, since fmt 11

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <utility>

#include "catch.hpp"

// As REQUIRE, without its cost where it holds: a model test checks millions of things.
#define MUST(condition)                     \
    do {                                    \
        if (!(condition)) FAIL(#condition); \
    } while (false)

class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed * 0x9e3779b97f4a7c15u) {}

    std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
    std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }
    bool one_in(std::size_t n) { return below(n) == 0; }
    template <class Container>
    auto& pick(Container& from) {
        return from[below(from.size())];
    }

private:
    std::mt19937_64 engine_;
};

inline bool replaying() {
    static const bool set = std::getenv("BATCHER_SEED") != nullptr;
    return set;
}

// Printed when one schedule is replayed.
template <class... Args>
void trace(fmt::format_string<Args...> text, Args&&... args) {
    if (replaying()) fmt::print("    {}\n", fmt::format(text, std::forward<Args>(args)...));
}

// Calls `run` with the seeds 1 to `count`, unless the environment says otherwise.
template <class Run>
void for_random_schedules(std::uint64_t count, Run run) {
    std::uint64_t first = 1;
    if (const char* seed = std::getenv("BATCHER_SEED")) {
        first = std::strtoull(seed, nullptr, 10);
        count = 1;
    } else if (const char* schedules = std::getenv("BATCHER_SCHEDULES")) {
        count = std::strtoull(schedules, nullptr, 10);
    }
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        INFO("replay with BATCHER_SEED=" << seed);
        run(seed);
    }
    SUCCEED();
}
