// Echo: whether callers come straight back.
#include <batcher/detail/core/echo.hpp>
#include <chrono>

#include "../catch.hpp"

namespace echo_test {

using batching::detail::Echo;
using batching::detail::Time;
using namespace std::chrono_literals;

constexpr Time run_time = 10ms;
constexpr Time window = 300us;

// Batches of ten run in a row, and so many of their callers come back within the window.
struct Loop {
    Echo echo;
    Time now = 1h;

    void turns(int times, int back) {
        for (int i = 0; i < times; ++i) {
            now += run_time;
            echo.completed(10, now, run_time);
            for (int caller = 0; caller < back; ++caller) echo.arrived(now + window);
        }
    }
    void completed(Time took = run_time) {
        now += took;
        echo.completed(10, now, took);
    }
    bool waits() const { return echo.until() > now; }
};

TEST_CASE("it is worth waiting when more than half of the callers have lately come back",
          "[echo]") {
    Loop loop;
    loop.turns(10, 10);
    loop.completed();
    CHECK_FALSE(loop.waits());
    loop.turns(10, 10);
    loop.completed();
    REQUIRE(loop.waits());
    CHECK(loop.echo.until() == loop.now + window);
    loop.turns(50, 4);
    loop.completed();
    CHECK_FALSE(loop.waits());
    loop.turns(50, 6);
    loop.completed();
    CHECK(loop.waits());
}

TEST_CASE("it is over as soon as 95 % of them are there", "[echo]") {
    Loop loop;
    loop.turns(50, 100);
    loop.completed();
    CHECK(loop.echo.missing() == 10);
    for (int i = 0; i < 9; ++i) loop.echo.arrived(loop.now);
    CHECK(loop.echo.missing() == 1);
    loop.echo.arrived(loop.now);
    CHECK(loop.echo.missing() == 0);
    CHECK_FALSE(loop.waits());
    loop.echo.completed(40, loop.now, run_time);
    CHECK(loop.echo.missing() == 38);
}

TEST_CASE("whoever comes later has not come straight back", "[echo]") {
    Loop loop;
    for (int i = 0; i < 50; ++i) {
        loop.completed();
        for (int caller = 0; caller < 10; ++caller) loop.echo.arrived(loop.now + window + 1ns);
    }
    loop.completed();
    CHECK(loop.echo.missing() == 10);
    CHECK_FALSE(loop.waits());
}

TEST_CASE("nobody waits for less time than a timer is late by, or for nobody", "[echo]") {
    Loop loop;
    CHECK(loop.echo.missing() == 0);
    CHECK_FALSE(loop.waits());
    loop.turns(50, 10);
    loop.completed(1ms);
    CHECK_FALSE(loop.waits());
    loop.echo.completed(0, loop.now, run_time);  // all callers have gone
    CHECK_FALSE(loop.waits());
}

}  // namespace echo_test
