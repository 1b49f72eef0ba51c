// The time of a call, read once for up to 16 calls made by callers that are resumed together.
//
// Reading a clock costs as much as everything else in a call. A batch's callers are resumed one after
// the other in one task (see hand_back.hpp), and typically call again at once; their calls share a
// reading. Everywhere else the clock is read. So a call's time is at most as old as it takes 16 resumed
// callers to run up to their next call, and never too young.
#pragma once

#include <cstdint>

namespace batching::detail {

// While one lives, this thread resumes the callers of one batch.
class Burst {
public:
    Burst() noexcept : outer_(current) { current = ++latest; }
    ~Burst() { current = outer_ == 0 ? 0 : ++latest; }
    Burst(const Burst&) = delete;
    Burst& operator=(const Burst&) = delete;

    static std::uint64_t id() noexcept { return current; }  // 0: none

private:
    inline static thread_local std::uint64_t latest = 0;
    inline static thread_local std::uint64_t current = 0;
    std::uint64_t outer_;
};

template <class Clock>
class BurstClock {
public:
    static typename Clock::time_point now() {
        const std::uint64_t burst = Burst::id();
        if (burst == 0) return Clock::now();
        if (burst != cache.burst || cache.uses_left == 0) cache = {Clock::now(), burst, 16};
        --cache.uses_left;
        return cache.now;
    }

private:
    struct Cache {
        typename Clock::time_point now{};
        std::uint64_t burst = 0;
        unsigned uses_left = 0;
    };
    inline static thread_local Cache cache;
};

}  // namespace batching::detail
