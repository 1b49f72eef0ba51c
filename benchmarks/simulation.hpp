// Simulation: time that passes only as a benchmark says, so that what it measures in it is exact.
//
//     Simulation simulation;
//     batching::Batcher<int, int, SimulatedClock> batcher{simulation.context(), ...};
//     simulation.at(1ms, [&] { ... });      // something is to be done; also where a timer of the Batcher goes off
//     simulation.run_until(1s);
#pragma once

#include <asio.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace bench {

// One for the whole program.
struct SimulatedClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<SimulatedClock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept { return time_point(elapsed); }
    inline static duration elapsed = std::chrono::seconds(1'000);
};

}  // namespace bench

#if defined(BATCHER_USE_BOOST_ASIO)
namespace boost {
#endif
namespace asio {

// Asio waits for no time at all and then looks at now().
template <>
struct wait_traits<bench::SimulatedClock> {
    using Clock = bench::SimulatedClock;
    static Clock::duration to_wait_duration(const Clock::duration&) { return {}; }
    static Clock::duration to_wait_duration(const Clock::time_point&) { return {}; }
};

}  // namespace asio
#if defined(BATCHER_USE_BOOST_ASIO)
}  // namespace boost
#endif

namespace bench {

class Simulation {
public:
    using Timer = asio::basic_waitable_timer<SimulatedClock>;

    asio::io_context& context() noexcept { return context_; }

    // Since the simulation began.
    SimulatedClock::duration now() const noexcept { return SimulatedClock::elapsed - began_; }

    // At this time `action` is called, and all that follows from it is done, before time goes on. All the timers of the
    // Batcher that go off at this time do so, too; at others they do not.
    void at(SimulatedClock::duration time, std::function<void()> action = [] {}) {
        events_.push({time, number_++, std::move(action)});
    }

    // To be awaited on the context.
    asio::awaitable<void> pass(SimulatedClock::duration time) {
        at(now() + time);
        Timer timer(context_, time);
        co_await timer.async_wait(asio::use_awaitable);
    }

    void run_until(SimulatedClock::duration end) {
        while (!events_.empty() && events_.top().time <= end) {
            const Event event = events_.top();
            events_.pop();
            SimulatedClock::elapsed = began_ + event.time;
            event.action();
            settle();
        }
    }

private:
    struct Event {
        SimulatedClock::duration time;
        std::uint64_t number;  // those of one time come in their order
        std::function<void()> action;

        bool operator<(const Event& other) const noexcept {
            return time != other.time ? time > other.time : number > other.number;
        }
    };

    // Runs all that there is to do now. All timers are looked at together, so where one that is due has gone off, so have
    // the others.
    void settle() {
        for (bool more = true; more;) {
            bool looked = false;
            Timer due(context_, SimulatedClock::time_point::min());
            due.async_wait([&](const auto&) { looked = true; });
            std::size_t handlers = 0;
            while (!looked) {
                context_.restart();
                handlers += context_.poll();
            }
            more = handlers > 1;
        }
    }

    asio::io_context context_{1};
    const SimulatedClock::duration began_ = SimulatedClock::elapsed;
    std::uint64_t number_ = 0;
    std::priority_queue<Event> events_;
};

}  // namespace bench
