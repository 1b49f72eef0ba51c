// ManualClock: a Clock that stands still until a test moves it, and settle(), which runs an io_context
// until nothing more happens at the present instant.
//
//     batching::Batcher<int, int, ManualClock> batcher{context, function, {.batch_timeout = 1ms}};
//     settle(context);
//     ManualClock::advance(1ms);
//     settle(context);  // the batch has left, and has run
//
// One clock for the whole program. Do not call run() on a context with an armed timer of this clock: it
// would spin until another thread advances the clock.
#pragma once

#include <atomic>
#include <batcher/detail/asio.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>

struct ManualClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<ManualClock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept { return time_point(duration(ticks.load())); }
    static void advance(duration by) noexcept { ticks.fetch_add(by.count()); }

private:
    inline static std::atomic<std::int64_t> ticks{1'000'000'000'000};
};

#if defined(BATCHER_USE_BOOST_ASIO)
namespace boost {
#endif
namespace asio {

// Asio waits for no time at all and then compares with now(), so that each poll() re-examines the timers.
template <>
struct wait_traits<ManualClock> {
    static ManualClock::duration to_wait_duration(const ManualClock::duration&) { return {}; }
    static ManualClock::duration to_wait_duration(const ManualClock::time_point&) { return {}; }
};

}  // namespace asio
#if defined(BATCHER_USE_BOOST_ASIO)
}  // namespace boost
#endif

// Runs, on this thread, all that `context` has to do now. Returns how many handlers that were. Afterwards
// context.stopped() says whether nothing keeps it alive.
//
// A single poll() may miss a timer: the kernel needs a few microseconds to report even one that is due.
// All timers of a context are examined at once, though, so one that is seen to go off proves that the
// others were looked at.
inline std::size_t settle(batching::asio::io_context& context) {
    std::size_t total = 0;
    for (;;) {
        bool examined = false;
        std::size_t handlers = 0;
        {
            using Clock = std::chrono::steady_clock;
            batching::asio::basic_waitable_timer<Clock> probe(context, Clock::time_point::min());
            probe.async_wait([&](const auto&) { examined = true; });
            while (!examined) {
                context.restart();
                handlers += context.poll();
            }
        }
        context.restart();
        handlers += context.poll();
        total += handlers - 1;
        if (handlers == 1) return total;
    }
}
