// The Lane: calls that wait and are served in the order of their arrival.
#include <batcher/detail/core/lane.hpp>
#include <cstddef>
#include <deque>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace lane_test {

using namespace core_test;
using batching::detail::Taken;

// A queue, and the calls in it: their ids are 0 and on, and each is queued 1 ms after the one before.
struct Fixture {
    TestCall& push() {
        TestCall& call = make();
        call.next = nullptr;
        CHECK(lane.push(&call, false).calls == 1);
        return call;
    }
    void push(int n) {
        while (n-- > 0) push();
    }
    TestCall& make() {
        TestCall& call = calls.emplace_back(static_cast<int>(calls.size()));
        call.queued_at = 1ms * call.id;
        call.state(CallState::queued);
        return call;
    }

    Ids take(std::size_t limit) {
        CallList taken;
        Ids visited;
        lane.take(limit, taken, [&](Call& call) {
            visited.push_back(id_of(call));
            call.state(CallState::running);
        });
        CHECK(ids_of(taken) == visited);
        return visited;
    }
    Ids waiting() {
        Ids ids;
        lane.for_each([&](Call& call) { ids.push_back(id_of(call)); });
        CHECK(lane.empty() == ids.empty());
        return ids;
    }

    std::deque<TestCall> calls;
    batching::detail::Lane lane;
};

TEST_CASE("calls are taken in the order of their arrival", "[lane]") {
    Fixture f;
    CHECK(f.waiting().empty());
    f.push(4);
    CHECK(f.waiting() == Ids{0, 1, 2, 3});
    CHECK(f.take(3) == Ids{0, 1, 2});
    CHECK(f.waiting() == Ids{3});
    f.push();
    CHECK(f.take(2) == Ids{3, 4});
    CHECK(f.waiting().empty());
}

TEST_CASE("a chain is queued oldest first, behind those that came before", "[lane]") {
    Fixture f;
    f.push();
    Link* newest = nullptr;
    for (int i = 0; i < 3; ++i) {
        TestCall& call = f.make();
        call.next = newest;
        newest = &call;
    }
    CHECK(f.lane.push(newest, false).calls == 3);
    CHECK(f.lane.push(nullptr, false).calls == 0);
    CHECK(f.waiting() == Ids{0, 1, 2, 3});
}

TEST_CASE("calls are taken to the end of a list", "[lane]") {
    Fixture f;
    f.push(3);
    TestCall other(100);
    CallList list;
    list.push_back(other);
    int visits = 0;
    f.lane.take(2, list, [&](Call& call) {
        ++visits;
        call.state(CallState::running);
    });
    CHECK(visits == 2);
    CHECK(ids_of(list) == Ids{100, 0, 1});
    CHECK(f.waiting() == Ids{2});
}

TEST_CASE("calls are taken for as long as somebody wants the next one", "[lane]") {
    Fixture f;
    f.push(5);
    f.lane.flush();
    f.push();
    TestCall other(100);
    CallList list;
    list.push_back(other);
    const auto take_before = [&](int id) {
        return f.lane.take_while((Time::max)(), list, [&](Call& call, Taken& taken) {
            if (id_of(call) >= id) return false;
            ++taken.plain;
            call.state(CallState::running);
            return true;
        });
    };
    CHECK(take_before(0).calls == 0);
    CHECK(ids_of(list) == Ids{100});
    CHECK(take_before(3).calls == 3);
    CHECK(ids_of(list) == Ids{100, 0, 1, 2});
    CHECK(f.waiting() == Ids{3, 4, 5});
    CHECK(f.lane.size() == 3);
    CHECK(f.lane.only_plain_calls());
    CHECK(f.lane.flushed());
    take_before(5);
    CHECK_FALSE(f.lane.flushed());
    take_before(100);
    CHECK(f.waiting().empty());
    CHECK(f.lane.size() == 0);
    take_before(100);
    CHECK(ids_of(list) == Ids{100, 0, 1, 2, 3, 4, 5});
}

struct Asking final : batching::detail::ItemCall {};

TEST_CASE("what calls weigh is counted while they wait", "[lane]") {
    std::deque<Asking> calls(4);
    batching::detail::Lane lane;
    const auto insert = [&](std::size_t weight) {
        Asking& call = calls[weight - 1];
        call.plain = false;
        call.weight = weight;
        call.queued_at = 1ms * weight;
        lane.insert(call);
    };
    for (std::size_t weight = 1; weight <= calls.size(); ++weight) insert(weight);
    CHECK(lane.size() == 4);
    CHECK_FALSE(lane.only_plain_calls());
    CHECK(lane.weight() == 1 + 2 + 3 + 4);
    lane.erase(calls[2]);
    CHECK(lane.weight() == 1 + 2 + 4);
    CallList taken;
    const auto all = [](Call& call, Taken& so_far) {
        so_far.weight += call.weight;
        call.batch = nullptr;  // as who takes it may do: its weight stood there
        return true;
    };
    CHECK(lane.take_while(2ms, taken, all).calls == 2);
    CHECK(lane.size() == 1);
    CHECK(lane.weight() == 4);
    CHECK(lane.take_while(4ms, taken, all).weight == 4);
    CHECK(lane.empty());
    CHECK(lane.weight() == 0);
}

TEST_CASE("plain calls may have weights", "[lane]") {
    Fixture f;
    TestCall& first = f.make();
    TestCall& second = f.make();
    first.weight = 3;
    first.next = nullptr;
    second.weight = 4;
    second.next = &first;
    const batching::detail::Amount came = f.lane.push(&second, true);
    CHECK(came.calls == 2);
    CHECK(came.weight == 7);
    CHECK(f.lane.only_plain_calls());
    CHECK(f.lane.weight() == 7);
    f.lane.erase(first);
    CHECK(f.lane.weight() == 4);
    CHECK(f.lane.push(nullptr, true).calls == 0);
}

TEST_CASE("the oldest call is the one to be taken next", "[lane]") {
    Fixture f;
    f.push(3);
    CHECK(f.lane.front().queued_at == 0ms);
    f.lane.erase(f.calls[0]);
    CHECK(f.lane.front().queued_at == 1ms);
    f.take(1);
    CHECK(f.lane.front().queued_at == 2ms);
}

TEST_CASE("a call leaves from any place, and those behind it move up", "[lane]") {
    Fixture f;
    f.push(4);
    f.lane.erase(f.calls[1]);
    CHECK(f.waiting() == Ids{0, 2, 3});
    f.lane.erase(f.calls[3]);
    f.lane.erase(f.calls[0]);
    CHECK(f.waiting() == Ids{2});
    f.lane.erase(f.calls[2]);
    CHECK(f.waiting().empty());
    f.push();
    CHECK(f.waiting() == Ids{4});
}

TEST_CASE("calls may leave while the lane is gone through", "[lane]") {
    Fixture f;
    f.push(4);
    f.lane.for_each([&](Call& call) {
        if (id_of(call) != 2) f.lane.erase(call);
    });
    CHECK(f.waiting() == Ids{2});
}

TEST_CASE("calls that wait at a flush are flushed until the last of them is taken", "[lane]") {
    Fixture f;
    f.push(3);
    CHECK_FALSE(f.lane.flushed());
    f.lane.flush();
    f.push(2);
    CHECK(f.lane.flushed());
    SECTION("one by one") {
        f.take(1);
        CHECK(f.lane.flushed());
        f.take(1);
        CHECK(f.lane.flushed());
        f.take(1);
        CHECK_FALSE(f.lane.flushed());
    }
    SECTION("as the last of those that are taken") {
        f.take(3);
        CHECK_FALSE(f.lane.flushed());
    }
    SECTION("among others") {
        f.take(4);
        CHECK_FALSE(f.lane.flushed());
    }
    SECTION("before another flush") {
        f.lane.flush();
        f.take(4);
        CHECK(f.lane.flushed());
        f.take(1);
        CHECK_FALSE(f.lane.flushed());
    }
}

TEST_CASE("the last flushed call that leaves hands its mark to the one before it", "[lane]") {
    Fixture f;
    f.push(3);
    f.lane.flush();
    f.push();
    f.lane.erase(f.calls[1]);  // not the last of them
    CHECK(f.lane.flushed());
    f.lane.erase(f.calls[2]);
    CHECK(f.lane.flushed());
    f.take(1);
    CHECK_FALSE(f.lane.flushed());
    CHECK(f.waiting() == Ids{3});
}

TEST_CASE("when all flushed calls have left nothing is flushed", "[lane]") {
    Fixture f;
    f.push(2);
    f.lane.flush();
    f.push();
    f.lane.erase(f.calls[0]);
    f.lane.erase(f.calls[1]);
    CHECK_FALSE(f.lane.flushed());
}

TEST_CASE("an empty lane is not flushed", "[lane]") {
    Fixture f;
    f.lane.flush();
    CHECK_FALSE(f.lane.flushed());
    f.push();
    CHECK_FALSE(f.lane.flushed());
}

}  // namespace lane_test
