// Where batches run: alike slots, and those of replicas.
#include <batcher/detail/core/slots.hpp>
#include <limits>
#include <vector>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace slots_test {

using batching::detail::Slots;
using namespace core_test;

std::size_t take_place(Slots& slots) { return Slots::place_of(slots.take()); }

TEST_CASE("of slots that are alike, the one that was freed last is taken first", "[slots]") {
    Slots slots(3);
    CHECK(slots.needed() == 1);
    CHECK(slots.take() == 0);
    CHECK(slots.take() == 1);
    slots.give_back(0);
    CHECK(slots.take() == 0);
    CHECK(slots.take() == 2);
    CHECK(slots.needed() == 0);
    CHECK_FALSE(slots.all_free());
    for (std::size_t slot = 0; slot < 3; ++slot) slots.give_back(slot);
    CHECK(slots.all_free());
    CHECK(slots.share_of(1000) == std::numeric_limits<std::size_t>::max());
}

TEST_CASE("fewer slots: none is free until fewer batches run", "[slots]") {
    Slots slots(3);
    for (int i = 0; i < 3; ++i) slots.take();
    slots.give_back(0);  // 1 and 2 run
    slots.resize(1);
    CHECK(slots.needed() == 0);
    CHECK(slots.free() == 0);
    slots.give_back(2);
    CHECK(slots.needed() == 0);
    slots.give_back(1);
    CHECK(slots.needed() == 1);
    CHECK(slots.take() == 0);
    CHECK(slots.needed() == 0);
}

TEST_CASE("slots that come back while their batches still run are not taken twice", "[slots]") {
    Slots slots(3);
    for (int i = 0; i < 3; ++i) slots.take();
    slots.resize(1);
    slots.resize(4);
    CHECK(slots.free() == 1);
    CHECK(slots.take() == 3);
    CHECK(slots.needed() == 0);
    slots.give_back(2);
    CHECK(slots.take() == 2);
    CHECK(slots.needed() == 0);
}

TEST_CASE("the next batch goes to a replica that has the fewest, in turn", "[slots]") {
    Slots slots(1);
    slots.spread(3, 2, 8);
    const std::size_t first = slots.take();
    CHECK(Slots::place_of(first) == 0);
    slots.give_back(first);
    CHECK(take_place(slots) == 1);
    CHECK(take_place(slots) == 2);
    CHECK(take_place(slots) == 0);
    CHECK(slots.needed() == 8);
    CHECK(take_place(slots) == 1);
    CHECK(take_place(slots) == 2);
    CHECK(take_place(slots) == 0);
    CHECK(slots.needed() == 0);
}

TEST_CASE("a replica that keeps its batches keeps no slot of another", "[slots]") {
    Slots slots(1);
    slots.spread(2, 2, 8);
    for (int i = 0; i < 4; ++i) {
        const std::size_t slot = slots.take();
        if (Slots::place_of(slot) == 1) slots.give_back(slot);
    }
    CHECK(slots.needed() == 1);
    CHECK(take_place(slots) == 1);
    CHECK(slots.needed() == 8);
    CHECK(take_place(slots) == 0);
    CHECK(take_place(slots) == 1);
    CHECK(slots.needed() == 0);
}

TEST_CASE("a batch takes its share of all calls, but no less than is worth a batch", "[slots]") {
    Slots slots(1);
    slots.spread(4, 2, 32);
    CHECK(slots.share_of(10) == 32);
    CHECK(slots.share_of(512) == 64);
    CHECK(slots.share_of(513) == 65);
    slots.spread(1, 2, 32);
    CHECK(slots.share_of(512) == std::numeric_limits<std::size_t>::max());
    CHECK(slots.needed() == 1);
    CHECK(take_place(slots) == 0);
    CHECK(slots.needed() == 1);  // one replica has nobody to share with
}

TEST_CASE("replicas may come and go while batches run", "[slots]") {
    Slots slots(2);
    const std::size_t before = slots.take();
    slots.spread(2, 1, 4);
    const std::size_t old = slots.take();
    slots.spread(3, 1, 4);
    std::vector<std::size_t> taken;
    while (slots.needed() != 0) taken.push_back(slots.take());
    CHECK(taken.size() == 3);
    slots.give_back(before);
    slots.give_back(old);
    CHECK(slots.needed() == 0);
    CHECK_FALSE(slots.all_free());
    for (const std::size_t slot : taken) slots.give_back(slot);
    CHECK(slots.all_free());
}

TEST_CASE("a call that is worth no batch waits for a replica that has none", "[machine]") {
    DrivenMachine f({.max_batch_size = 100, .batch_timeout = 0ns, .max_concurrent_batches = 2});
    f.machine.spread(2, 2, 3);
    f.submit();
    f.run();
    f.submit();
    Batch& second = f.run();
    f.submit();
    Outlook outlook = f.decide();
    CHECK(f.started.empty());
    CHECK(outlook.notify_after == 2);
    CHECK_FALSE(outlook.wake_at);
    f.submit(2);
    CHECK(ids_of(f.run().calls) == Ids{2, 3, 4});
    f.submit(2);
    f.decide();
    CHECK(f.started.empty());
    f.finish(second);
    CHECK(f.batch() == Ids{5, 6});
}

TEST_CASE("what waits is shared by the replicas", "[machine]") {
    DrivenMachine f({.max_batch_size = 100, .batch_timeout = 0ns, .max_concurrent_batches = 2});
    f.machine.spread(2, 1, 2);
    f.submit(8);
    CHECK(f.batch() == Ids{0, 1, 2, 3});
    CHECK(f.batch() == Ids{4, 5, 6, 7});
}

}  // namespace slots_test
