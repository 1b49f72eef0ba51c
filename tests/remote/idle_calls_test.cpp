#include "../unit/catch.hpp"

#include <batcher/grpc/detail/idle_calls.hpp>
#include <chrono>

using namespace std::chrono_literals;

namespace idle_calls_test {

using batching::grpc::detail::IdleCall;
using batching::grpc::detail::IdleCalls;

struct Call final : IdleCall {
    void give_up() override { ++given_up; }
    int given_up = 0;
};

constexpr IdleCalls::Clock::time_point start{};

TEST_CASE("of the calls that wait for their client the one that has waited longest is given up") {
    IdleCalls calls(10s);
    Call first;
    Call second;
    calls.add(first, start);
    calls.add(second, start + 1s);
    CHECK(calls.give_up_longest(start + 11s));
    CHECK(first.given_up == 1);
    CHECK(calls.give_up_longest(start + 11s));
    CHECK(second.given_up == 1);
    CHECK_FALSE(calls.give_up_longest(start + 1h));
}

TEST_CASE("a client has time before its call is given up, for each thing that it has to do") {
    IdleCalls calls(10s);
    Call call;
    calls.add(call, start);
    CHECK_FALSE(calls.give_up_longest(start + 10s - 1ns));
    CHECK(calls.remove(call));
    CHECK_FALSE(calls.give_up_longest(start + 1h));
    calls.add(call, start + 1h);
    CHECK_FALSE(calls.give_up_longest(start + 1h + 5s));
    CHECK(call.given_up == 0);
}

TEST_CASE("a client that does one thing has all the time for the next") {
    IdleCalls calls(10s);
    Call watching;
    Call other;
    calls.add(watching, start);
    calls.add(other, start + 1s);
    calls.add(watching, start + 2s);
    CHECK(calls.give_up_longest(start + 11s));
    CHECK(other.given_up == 1);
    CHECK_FALSE(calls.give_up_longest(start + 11s));
}

TEST_CASE("whoever ends a call that waited for its client learns whether it was given up") {
    IdleCalls calls(10s);
    Call call;
    CHECK_FALSE(calls.remove(call));
    calls.add(call, start);
    CHECK(calls.remove(call));
    calls.add(call, start);
    CHECK(calls.give_up_longest(start + 10s));
    CHECK_FALSE(calls.remove(call));
}

}  // namespace idle_calls_test
