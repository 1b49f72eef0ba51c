// The time of a call, read once for several calls made by callers that are resumed together.
//
// Reading a clock costs as much as everything else in a call. A batch's callers are resumed one after
// the other in one task (Engine::hand_back), and typically call again at once; their calls share a
// reading. How many is found out anew in each burst: one, and four times as many, up to 32, as long as the
// last ones took less than a tolerance in all. Everywhere else the clock is read for each call. So a call's
// time is never too young, and too old by at most what the next 31 callers of a burst take, if they are
// suddenly slow after others were fast.
#pragma once

#include <algorithm>
#include <batcher/detail/core/call.hpp>
#include <chrono>
#include <utility>

namespace batching::detail {

template <class Clock>
Time time_of(typename Clock::time_point point) noexcept {
    return std::chrono::duration_cast<Time>(point.time_since_epoch());
}

// What this thread has read last.
struct ClockReading {
    Time time{};
    const char* clock = nullptr;      // of which it is a reading
    const char* shared_by = nullptr;  // calls that need this clock; nobody any more if it is null
    unsigned uses = 0;
    unsigned uses_left = 0;
    const void* resumed_by = nullptr;  // of bursts in one another the innermost
};

// While one lives, this thread resumes the callers of one batch of an engine, which lives as long.
class Burst {
public:
    explicit Burst(const void* engine) noexcept
        : outer_(std::exchange(reading.resumed_by, engine)) {
        forget();
    }
    Burst(const Burst&) = delete;
    Burst& operator=(const Burst&) = delete;
    ~Burst() {
        reading.resumed_by = outer_;
        forget();
    }

    static bool under_way() noexcept { return reading.resumed_by != nullptr; }
    static bool under_way_of(const void* engine) noexcept { return reading.resumed_by == engine; }

    template <class Clock>
    static Time now(Time tolerance) noexcept {
        Time time;
        return known_time<Clock>(time) ? time : read_clock<Clock>(tolerance);
    }

    // The two parts of now(): a reading that is shared, if there is one; else one that may be, from then on.
    template <class Clock>
    static bool known_time(Time& time) noexcept {
        if (reading.shared_by != &clock_mark<Clock>) return false;
        if (--reading.uses_left == 0) reading.shared_by = nullptr;
        time = reading.time;
        return true;
    }
    template <class Clock>
    static Time read_clock(Time tolerance) noexcept {
        const Time now = time_of<Clock>(Clock::now());
        return under_way() ? share(now, &clock_mark<Clock>, tolerance) : now;
    }

private:
    template <class Clock>
    inline static constexpr char clock_mark = 0;

    static Time share(Time now, const char* clock, Time tolerance) noexcept {
        const bool fast =
            reading.uses != 0 && clock == reading.clock && now - reading.time < tolerance;
        reading.uses = fast ? (std::min)(32U, 4 * reading.uses) : 1;
        reading.uses_left = reading.uses - 1;
        reading.time = now;
        reading.clock = clock;
        reading.shared_by = reading.uses_left == 0 ? nullptr : clock;
        return now;
    }
    static void forget() noexcept {
        reading.uses = 0;
        reading.shared_by = nullptr;
    }

    inline static constinit thread_local ClockReading reading{};
    const void* const outer_;
};

}  // namespace batching::detail
