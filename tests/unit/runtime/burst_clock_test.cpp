// How often the clock is read for calls that are made one after the other, and how old a call's time may be.
#include <batcher/detail/runtime/burst_clock.hpp>
#include <chrono>
#include <cstddef>

#include "../catch.hpp"

namespace burst_clock_test {

using namespace std::chrono_literals;
using batching::detail::Burst;
using batching::detail::Time;

// Stands still until a test moves it, and counts how often it is read. One for each kind.
template <int kind>
struct CountedClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<CountedClock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept {
        ++reads;
        return time_point(at);
    }

    inline static duration at{1h};
    inline static std::size_t reads = 0;
};
using Clock = CountedClock<0>;
using OtherClock = CountedClock<1>;

constexpr Time tolerance = 50us;
constexpr char engine{};  // whose address stands for one
constexpr char other_engine{};

// How often the clock is read for so many calls, each of which is given the time that it is.
template <class C = Clock>
std::size_t reads_for(std::size_t calls, Time each_takes = 0ns) {
    const std::size_t before = C::reads;
    for (std::size_t i = 0; i < calls; ++i) {
        const Time now = Burst::now<C>(tolerance);
        CHECK(now <= C::at);
        CHECK(now >= C::at - 31 * each_takes);
        C::at += each_takes;
    }
    return C::reads - before;
}

TEST_CASE("outside a burst each call reads the clock", "[burst_clock]") {
    CHECK(reads_for(100) == 100);
    {
        const Burst burst(&engine);
        reads_for(10);
    }
    CHECK(reads_for(100) == 100);
}

TEST_CASE("in a burst of fast calls 1, 4, 16, and then 32 at a time share a reading",
          "[burst_clock]") {
    for (int i = 0; i < 2; ++i) {  // the second burst begins anew
        const Burst burst(&engine);
        CHECK(reads_for(1) == 1);
        CHECK(reads_for(4) == 1);
        CHECK(reads_for(16) == 1);
        for (int j = 0; j < 5; ++j) CHECK(reads_for(32) == 1);
        Clock::at += 1s;  // between one reading and the next
    }
}

TEST_CASE("calls that share a reading are given its time, not one from before", "[burst_clock]") {
    const Burst burst(&engine);
    reads_for(1);
    Clock::at += tolerance / 2;
    const Time now = Clock::at;
    for (int i = 0; i < 4; ++i) CHECK(Burst::now<Clock>(tolerance) == now);
}

TEST_CASE("a call that takes as long as the tolerance makes the next ones read the clock again",
          "[burst_clock]") {
    const Burst burst(&engine);
    CHECK(reads_for(20, tolerance) == 20);
    CHECK(reads_for(1) == 1);
    CHECK(reads_for(4) == 1);  // they are fast again
    Clock::at += tolerance;
    CHECK(reads_for(1) == 1);
    CHECK(reads_for(4) == 1);
}

TEST_CASE("calls that take less than the tolerance in all go on to share readings",
          "[burst_clock]") {
    const Burst burst(&engine);
    CHECK(reads_for(1 + 4 + 16 + 32 + 32, tolerance / 32 - 1ns) == 5);
}

TEST_CASE("a burst inside another one begins anew, and ends both", "[burst_clock]") {
    const Burst outer(&engine);
    CHECK(reads_for(1 + 4 + 16) == 3);
    CHECK(reads_for(10) == 1);  // 22 more might share it
    {
        const Burst inner(&other_engine);
        CHECK(reads_for(1) == 1);
        CHECK(reads_for(2) == 1);  // 2 more might share it
        CHECK(Burst::under_way_of(&other_engine));
        CHECK_FALSE(Burst::under_way_of(&engine));
    }
    CHECK(Burst::under_way_of(&engine));
    CHECK(reads_for(1) == 1);
    CHECK(reads_for(4) == 1);
}

TEST_CASE("a call by another clock is not given the time of this one", "[burst_clock]") {
    OtherClock::at = 5h;
    const Burst burst(&engine);
    CHECK(reads_for(1 + 4) == 2);
    CHECK(reads_for(2) == 1);  // 14 more might share it
    CHECK(reads_for<OtherClock>(1) == 1);
    CHECK(reads_for<OtherClock>(4) == 1);
    CHECK(reads_for(1) == 1);
    CHECK(reads_for(4) == 1);
}

}  // namespace burst_clock_test
