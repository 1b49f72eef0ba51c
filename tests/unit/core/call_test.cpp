// Call and CallList, and the lists of batches.
#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/core/call.hpp>
#include <cstddef>
#include <memory>
#include <vector>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace call_test {

using namespace core_test;

// Calls with the ids 0 to 9, in no list.
struct Calls {
    Calls() {
        for (int i = 0; i < 10; ++i) all.push_back(std::make_unique<TestCall>(i));
    }
    TestCall& operator[](std::size_t i) { return *all[i]; }
    std::vector<std::unique_ptr<TestCall>> all;
};

void append(CallList& list, Calls& calls, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i <= last; ++i) list.push_back(calls[i]);
}

// The ids in a list, which must be the same from its end as from its front.
Ids both_ways(CallList& list) {
    Ids forward;
    Ids backward;
    if (list.empty()) return {};
    for (Call* call = &list.front(); call != nullptr; call = list.after(*call)) {
        forward.push_back(id_of(*call));
    }
    for (Call* call = &list.back(); call != nullptr; call = list.before(*call)) {
        backward.push_back(id_of(*call));
    }
    CHECK(Ids(backward.rbegin(), backward.rend()) == forward);
    CHECK(ids_of(list) == forward);
    return forward;
}

TEST_CASE("a call is pending from when it is handed in until it is handed back", "[call]") {
    TestCall call;
    CHECK(call.state() == CallState::created);
    CHECK_FALSE(call.pending());
    for (const CallState state : {CallState::queued, CallState::running, CallState::completed}) {
        call.state(state);
        CHECK(call.state() == state);
        CHECK(call.pending());
    }
    call.state(CallState::done);
    CHECK_FALSE(call.pending());
    call.state(CallState::created);  // its owner may use it again
    CHECK_FALSE(call.pending());
}

TEST_CASE("a call that is handed back is done before it is resumed", "[call]") {
    struct Watched final : Call {
        void resume() { seen = state(); }
        void abandon() noexcept {}
        CallState seen = CallState::created;
    };
    Watched call;
    call.ops = &batching::detail::call_ops<Watched, false>;
    call.state(CallState::completed);
    call.hand_back();
    CHECK(call.seen == CallState::done);
    CHECK(call.state() == CallState::done);
}

TEST_CASE("the ops of a call reach its own functions", "[call]") {
    TestCall call;
    const batching::detail::CallOps& in_frame = batching::detail::call_ops<TestCall, true>;
    CHECK(in_frame.in_frame);
    CHECK_FALSE(test_ops.in_frame);
    test_ops.resume(call);
    CHECK(call.resumed == 1);
    CHECK(call.abandoned == 0);
    in_frame.abandon(call);
    CHECK(call.resumed == 1);
    CHECK(call.abandoned == 1);
}

TEST_CASE("a list is empty until a call is put into it", "[call]") {
    Calls calls;
    CallList list;
    CHECK(list.empty());
    CHECK(list.pop_front() == nullptr);
    list.push_back(calls[0]);
    CHECK_FALSE(list.empty());
    CHECK(&list.front() == &calls[0]);
    CHECK(&list.back() == &calls[0]);
    CHECK(list.after(calls[0]) == nullptr);
    CHECK(list.before(calls[0]) == nullptr);
}

TEST_CASE("calls stand in a list in the order in which they were put there", "[call]") {
    Calls calls;
    CallList list;
    append(list, calls, 0, 2);
    CHECK(both_ways(list) == Ids{0, 1, 2});
    CHECK(list.after(calls[0]) == &calls[1]);
    CHECK(list.before(calls[2]) == &calls[1]);
    CHECK(list.pop_front() == &calls[0]);
    CHECK(list.pop_front() == &calls[1]);
    list.push_back(calls[0]);
    CHECK(both_ways(list) == Ids{2, 0});
    CHECK(list.pop_front() == &calls[2]);
    CHECK(list.pop_front() == &calls[0]);
    CHECK(list.pop_front() == nullptr);
    CHECK(list.empty());
}

TEST_CASE("a call leaves its list from any place", "[call]") {
    Calls calls;
    CallList list;
    append(list, calls, 0, 2);
    SECTION("the front") {
        CallList::unlink(calls[0]);
        CHECK(both_ways(list) == Ids{1, 2});
    }
    SECTION("the middle") {
        CallList::unlink(calls[1]);
        CHECK(both_ways(list) == Ids{0, 2});
    }
    SECTION("the back") {
        CallList::unlink(calls[2]);
        CHECK(both_ways(list) == Ids{0, 1});
        list.push_back(calls[3]);
        CHECK(both_ways(list) == Ids{0, 1, 3});
    }
    SECTION("all of them") {
        for (std::size_t i = 0; i < 3; ++i) CallList::unlink(calls[i]);
        CHECK(list.empty());
    }
}

TEST_CASE("a call may leave the list while that is gone through", "[call]") {
    Calls calls;
    CallList list;
    CallList other;
    append(list, calls, 0, 4);
    Ids visited;
    list.for_each([&](Call& call) {
        visited.push_back(id_of(call));
        if (id_of(call) % 2 != 0) return;
        CallList::unlink(call);
        other.push_back(call);
    });
    CHECK(visited == Ids{0, 1, 2, 3, 4});
    CHECK(both_ways(list) == Ids{1, 3});
    CHECK(both_ways(other) == Ids{0, 2, 4});
}

TEST_CASE("a part of a list moves to the end of another", "[call]") {
    Calls calls;
    CallList from;
    CallList to;
    append(from, calls, 0, 4);
    append(to, calls, 5, 6);
    SECTION("its front") {
        to.splice(calls[0], calls[1]);
        CHECK(both_ways(from) == Ids{2, 3, 4});
        CHECK(both_ways(to) == Ids{5, 6, 0, 1});
    }
    SECTION("its middle") {
        to.splice(calls[1], calls[3]);
        CHECK(both_ways(from) == Ids{0, 4});
        CHECK(both_ways(to) == Ids{5, 6, 1, 2, 3});
    }
    SECTION("its back") {
        to.splice(calls[4], calls[4]);
        CHECK(both_ways(from) == Ids{0, 1, 2, 3});
        CHECK(both_ways(to) == Ids{5, 6, 4});
    }
    SECTION("the whole") {
        to.splice(calls[0], calls[4]);
        CHECK(from.empty());
        CHECK(both_ways(to) == Ids{5, 6, 0, 1, 2, 3, 4});
        from.push_back(calls[7]);
        CHECK(both_ways(from) == Ids{7});
    }
}

TEST_CASE("a whole list moves to the end of another", "[call]") {
    Calls calls;
    CallList from;
    CallList to;
    SECTION("into an empty one") {
        append(from, calls, 0, 2);
        to.splice(from);
        CHECK(both_ways(to) == Ids{0, 1, 2});
    }
    SECTION("behind others") {
        append(from, calls, 0, 2);
        append(to, calls, 5, 6);
        to.splice(from);
        CHECK(both_ways(to) == Ids{5, 6, 0, 1, 2});
    }
    SECTION("an empty one") {
        append(to, calls, 5, 6);
        to.splice(from);
        CHECK(both_ways(to) == Ids{5, 6});
    }
    CHECK(from.empty());
    from.push_back(calls[9]);
    CHECK(both_ways(from) == Ids{9});
}

TEST_CASE("a chain from the newest to the oldest is appended oldest first", "[call]") {
    Calls calls;
    CallList list;
    const auto chain = [&](std::size_t first, std::size_t last) -> Link* {
        Link* newest = nullptr;
        for (std::size_t i = first; i <= last; ++i) {
            Link& link = calls[i];
            link.next = newest;
            newest = &link;
        }
        return newest;
    };
    CHECK(list.append_reversed(nullptr) == 0);
    CHECK(list.empty());
    CHECK(list.append_reversed(chain(0, 2)) == 3);
    CHECK(both_ways(list) == Ids{0, 1, 2});
    CHECK(list.append_reversed(nullptr) == 0);
    CHECK(both_ways(list) == Ids{0, 1, 2});
    CHECK(list.append_reversed(chain(3, 3)) == 1);
    CHECK(list.append_reversed(chain(4, 5)) == 2);
    CHECK(both_ways(list) == Ids{0, 1, 2, 3, 4, 5});
}

// ---- batches -----------------------------------------------------------------------------------------

TEST_CASE("batches come out of their queue in the order in which they went in", "[call]") {
    Batch a;
    Batch b;
    Batch c;
    batching::detail::BatchQueue queue;
    CHECK(queue.pop() == nullptr);
    CHECK(queue.last() == nullptr);
    queue.push(a);
    queue.push(b);
    CHECK(queue.last() == &b);
    std::vector<Batch*> seen;
    queue.for_each([&](Batch& batch) { seen.push_back(&batch); });
    CHECK(seen == std::vector<Batch*>{&a, &b});
    CHECK(queue.pop() == &a);
    CHECK(queue.last() == &b);
    CHECK(queue.pop() == &b);
    CHECK(queue.last() == nullptr);
    CHECK(queue.pop() == nullptr);
    a.next = &c;  // as in the pool
    queue.push(a);
    CHECK(queue.last() == &a);
    CHECK(queue.pop() == &a);
    CHECK(queue.pop() == nullptr);
}

}  // namespace call_test
