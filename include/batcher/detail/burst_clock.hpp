// The time of a call, read once for several calls made by callers that are resumed together.
//
// Reading a clock costs as much as everything else in a call. A batch's callers are resumed one after
// the other in one task (see delivery.hpp), and typically call again at once; their calls share a
// reading. How many is found out anew in each burst: one, and twice as many, up to 16, as long as the
// last ones took less than 5 us in all. Everywhere else the clock is read for each call. So a call's
// time is never too young, and too old by at most what the next 15 callers of a burst take, if they are
// suddenly slow after others were fast.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace batching::detail {

// While one lives, this thread resumes the callers of one batch.
class Burst {
public:
    Burst() noexcept : outer_(current) { current = ++latest; }
    ~Burst() {
        current = outer_ == 0 ? 0 : ++latest;
        more = false;
    }
    Burst(const Burst&) = delete;
    Burst& operator=(const Burst&) = delete;

    static std::uint64_t id() noexcept { return current; }  // 0: none

    // Whether this thread is about to resume more callers, who may be about to call.
    static bool more_to_come() noexcept { return more; }
    static void more_to_come(bool will) noexcept { more = will; }

private:
    inline static thread_local std::uint64_t latest = 0;
    inline static thread_local std::uint64_t current = 0;
    inline static thread_local bool more = false;
    std::uint64_t outer_;
};

template <class Clock>
class BurstClock {
public:
    static typename Clock::time_point now() {
        const std::uint64_t burst = Burst::id();
        if (burst == 0) return Clock::now();
        if (burst != reading.burst || reading.uses_left == 0) read(burst);
        --reading.uses_left;
        return reading.time;
    }

private:
    struct Reading {
        typename Clock::time_point time{};
        std::uint64_t burst = 0;
        unsigned uses = 0;
        unsigned uses_left = 0;
    };

    static void read(std::uint64_t burst) {
        const auto now = Clock::now();
        const bool fast =
            burst == reading.burst && now - reading.time < std::chrono::microseconds(5);
        const unsigned uses = fast ? std::min(16U, 2 * reading.uses) : 1;
        reading = {now, burst, uses, uses};
    }

    inline static thread_local Reading reading;
};

}  // namespace batching::detail
