// The Line: which of the calls that wait are served next, by class and by age.
#include <batcher/detail/core/line.hpp>
#include <cstddef>
#include <deque>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace line_test {

using namespace core_test;
using batching::Priority;
using batching::detail::Taken;

struct Asking final : batching::detail::ItemCall {
    int id = 0;
};

struct Fixture {
    void push(Priority priority, Time queued_at) {
        Asking& call = calls.emplace_back();
        call.id = static_cast<int>(calls.size()) - 1;
        call.plain = false;
        call.priority = call.lane = priority;
        call.weight = 0;
        call.deadline = nullptr;
        call.queued_at = queued_at;
        line.push(call);
    }
    // The ids of the rows that are served, one after the other.
    std::vector<Ids> rows(Time aged) {
        std::vector<Ids> rows;
        while (!line.empty()) {
            CallList taken;
            line.take(line.next_row(aged), taken, [](Call&, Taken&) { return true; });
            rows.emplace_back();
            taken.for_each(
                [&](Call& call) { rows.back().push_back(static_cast<Asking&>(call).id); });
            REQUIRE_FALSE(rows.back().empty());
        }
        CHECK(line.next_row(aged).lane == nullptr);
        return rows;
    }

    batching::detail::Line line;
    std::deque<Asking> calls;
};

TEST_CASE("the highest class is served first, in the order of arrival", "[line]") {
    Fixture f;
    f.push(Priority::low, 1ms);
    f.push(Priority::high, 2ms);
    f.push(Priority::normal, 3ms);
    f.push(Priority::high, 4ms);
    CHECK(f.rows(0ms) == std::vector<Ids>{{1, 3}, {2}, {0}});
}

TEST_CASE("calls that are old enough are served with those of the highest class, by age",
          "[line]") {
    Fixture f;
    f.push(Priority::low, 1ms);
    f.push(Priority::high, 2ms);
    f.push(Priority::low, 3ms);
    f.push(Priority::normal, 4ms);
    f.push(Priority::high, 5ms);
    f.push(Priority::low, 6ms);
    f.push(Priority::high, 7ms);
    SECTION("some of them") {
        CHECK(f.rows(4ms) == std::vector<Ids>{{0}, {1}, {2}, {3}, {4, 6}, {5}});
    }
    SECTION("none") { CHECK(f.rows(0ms) == std::vector<Ids>{{1, 4, 6}, {3}, {0, 2, 5}}); }
    SECTION("all") { CHECK(f.rows(9ms) == std::vector<Ids>{{0}, {1}, {2}, {3}, {4}, {5}, {6}}); }
}

TEST_CASE("at the same age the higher class is first", "[line]") {
    Fixture f;
    for (int i = 0; i < 2; ++i) {
        for (const Priority priority : {Priority::low, Priority::normal, Priority::high}) {
            f.push(priority, 1ms * i);
        }
    }
    CHECK(f.rows(9ms) == std::vector<Ids>{{2}, {1}, {0}, {5}, {4}, {3}});
}

}  // namespace line_test
