// The Queue: the calls that wait, and the order in which they are served.
#include <batcher/detail/core/queue.hpp>
#include <cstddef>
#include <deque>

#include "../catch.hpp"
#include "driven_machine.hpp"

using namespace core_test;

namespace {

// A queue, and the calls in it: their ids are 0 and on, and each is queued 1 ms after the one before.
struct Fixture {
    TestCall& push() {
        TestCall& call = make();
        call.next = nullptr;
        CHECK(queue.push(&call) == 1);
        return call;
    }
    void push(int n) {
        while (n-- > 0) push();
    }
    TestCall& make() {
        TestCall& call = calls.emplace_back(static_cast<int>(calls.size()));
        call.queued_at = 1ms * call.id;
        return call;
    }

    Ids take(std::size_t limit) {
        CallList taken;
        Ids visited;
        queue.take(limit, taken, [&](Call& call) { visited.push_back(id_of(call)); });
        CHECK(ids_of(taken) == visited);
        return visited;
    }
    Ids waiting() {
        Ids ids;
        queue.for_each([&](Call& call) { ids.push_back(id_of(call)); });
        CHECK(queue.size() == ids.size());
        CHECK(queue.empty() == ids.empty());
        return ids;
    }

    std::deque<TestCall> calls;
    batching::detail::Queue queue;
};

}  // namespace

TEST_CASE("calls are taken in the order of their arrival", "[queue]") {
    Fixture f;
    CHECK(f.waiting().empty());
    f.push(4);
    CHECK(f.waiting() == Ids{0, 1, 2, 3});
    CHECK(f.take(3) == Ids{0, 1, 2});
    CHECK(f.waiting() == Ids{3});
    f.push();
    CHECK(f.take(3) == Ids{3, 4});
    CHECK(f.waiting().empty());
}

TEST_CASE("a chain is queued oldest first, behind those that came before", "[queue]") {
    Fixture f;
    f.push();
    Link* newest = nullptr;
    for (int i = 0; i < 3; ++i) {
        TestCall& call = f.make();
        call.next = newest;
        newest = &call;
    }
    CHECK(f.queue.push(newest) == 3);
    CHECK(f.queue.push(nullptr) == 0);
    CHECK(f.waiting() == Ids{0, 1, 2, 3});
}

TEST_CASE("calls are taken to the end of a list", "[queue]") {
    Fixture f;
    f.push(3);
    TestCall other(100);
    CallList list;
    list.push_back(other);
    int visits = 0;
    f.queue.take(2, list, [&](Call&) { ++visits; });
    CHECK(visits == 2);
    CHECK(ids_of(list) == Ids{100, 0, 1});
    CHECK(f.waiting() == Ids{2});
}

TEST_CASE("the oldest call is the one to be taken next", "[queue]") {
    Fixture f;
    f.push(3);
    CHECK(f.queue.front().queued_at == 0ms);
    f.queue.erase(f.calls[0]);
    CHECK(f.queue.front().queued_at == 1ms);
    f.take(1);
    CHECK(f.queue.front().queued_at == 2ms);
}

TEST_CASE("a call leaves from any place, and those behind it move up", "[queue]") {
    Fixture f;
    f.push(4);
    f.queue.erase(f.calls[1]);
    CHECK(f.waiting() == Ids{0, 2, 3});
    f.queue.erase(f.calls[3]);
    f.queue.erase(f.calls[0]);
    CHECK(f.waiting() == Ids{2});
    f.queue.erase(f.calls[2]);
    CHECK(f.waiting().empty());
    f.push();
    CHECK(f.waiting() == Ids{4});
}

TEST_CASE("calls may leave while the queue is gone through", "[queue]") {
    Fixture f;
    f.push(4);
    f.queue.for_each([&](Call& call) {
        if (id_of(call) != 2) f.queue.erase(call);
    });
    CHECK(f.waiting() == Ids{2});
}

TEST_CASE("all calls leave at once", "[queue]") {
    Fixture f;
    f.push(3);
    f.queue.flush();
    TestCall other(100);
    CallList list;
    list.push_back(other);
    f.queue.take_all(list);
    CHECK(ids_of(list) == Ids{100, 0, 1, 2});
    CHECK(f.waiting().empty());
    f.push();
    CHECK_FALSE(f.queue.flushed());
    CHECK(f.waiting() == Ids{3});
}

TEST_CASE("calls that wait at a flush are flushed until the last of them is taken", "[queue]") {
    Fixture f;
    f.push(3);
    CHECK_FALSE(f.queue.flushed());
    f.queue.flush();
    f.push(2);
    CHECK(f.queue.flushed());
    SECTION("one by one") {
        f.take(1);
        CHECK(f.queue.flushed());
        f.take(1);
        CHECK(f.queue.flushed());
        f.take(1);
        CHECK_FALSE(f.queue.flushed());
    }
    SECTION("as the last of those that are taken") {
        f.take(3);
        CHECK_FALSE(f.queue.flushed());
    }
    SECTION("among others") {
        f.take(4);
        CHECK_FALSE(f.queue.flushed());
    }
    SECTION("before another flush") {
        f.queue.flush();
        f.take(4);
        CHECK(f.queue.flushed());
        f.take(1);
        CHECK_FALSE(f.queue.flushed());
    }
}

TEST_CASE("the last flushed call that leaves hands its mark to the one before it", "[queue]") {
    Fixture f;
    f.push(3);
    f.queue.flush();
    f.push();
    f.queue.erase(f.calls[1]);  // not the last of them
    CHECK(f.queue.flushed());
    f.queue.erase(f.calls[2]);
    CHECK(f.queue.flushed());
    f.take(1);
    CHECK_FALSE(f.queue.flushed());
    CHECK(f.waiting() == Ids{3});
}

TEST_CASE("when all flushed calls have left nothing is flushed", "[queue]") {
    Fixture f;
    f.push(2);
    f.queue.flush();
    f.push();
    f.queue.erase(f.calls[0]);
    f.queue.erase(f.calls[1]);
    CHECK_FALSE(f.queue.flushed());
}

TEST_CASE("an empty queue is not flushed", "[queue]") {
    Fixture f;
    f.queue.flush();
    CHECK_FALSE(f.queue.flushed());
    f.push();
    CHECK_FALSE(f.queue.flushed());
}
