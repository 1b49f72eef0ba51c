// How late a batch that leaves at a certain time is taken to begin.
#include <batcher/detail/core/lateness.hpp>
#include <chrono>

#include "../catch.hpp"

namespace lateness_test {

using namespace std::chrono_literals;
using batching::detail::Lateness;

TEST_CASE("lateness: nothing at first, then a quarter more than was seen", "[lateness]") {
    Lateness lateness;
    CHECK(lateness.margin() == 0ns);
    lateness.saw(40us);
    CHECK(lateness.margin() == 50us);
    lateness.saw(80us);
    CHECK(lateness.margin() == 100us);
}

TEST_CASE(
    "lateness: what is late now and then is expected, and forgotten if it does not come again",
    "[lateness]") {
    Lateness lateness;
    for (int i = 0; i < 100; ++i) lateness.saw(i % 16 == 0 ? 100us : 40us);
    CHECK(lateness.margin() > 100us);
    for (int i = 0; i < 100; ++i) lateness.saw(40us);
    CHECK(lateness.margin() < 55us);
}

TEST_CASE("lateness: a machine that stood still says nothing of the next time", "[lateness]") {
    Lateness lateness;
    lateness.saw(40us);
    lateness.saw(1s);
    CHECK(lateness.margin() <= 50us);
}

}  // namespace lateness_test
