// When a batch leaves, seen through the whole Batcher: a manual clock, an executor driven by hand.
#include "catch.hpp"
#include "support.hpp"

#include <deque>

namespace batching_test {

using namespace test;

using Batch = std::vector<int>;
using Seen = std::vector<Batch>;
using ManualBatcher = batching::Batcher<int, int, ManualClock>;

struct Fixture {
    aio::io_context context;
    Batches batches;
    std::deque<Reply<int>> replies;

    void call_n(ManualBatcher& batcher, int n) {
        while (n-- > 0) {
            const int id = static_cast<int>(replies.size());
            call(batcher, id, replies.emplace_back());
        }
    }
    void advance(ManualClock::duration d) {
        ManualClock::advance(d);
        settle(context);
    }
};

TEST_CASE("a full batch leaves at once, and each caller gets its own result") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(), {.max_batch_size = 3});
    f.call_n(batcher, 3);
    settle(f.context);
    CHECK(f.batches.seen == Seen{Batch{0, 1, 2}});
    CHECK(f.replies[0].value == 0);
    CHECK(f.replies[1].value == 2);
    CHECK(f.replies[2].value == 4);
}

TEST_CASE("a batch that is not full leaves when its oldest item has waited batch_timeout") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 3, .batch_timeout = 10ms});
    f.call_n(batcher, 1);
    f.advance(6ms);
    f.call_n(batcher, 1);
    f.advance(3ms);
    CHECK(f.batches.seen.empty());
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{Batch{0, 1}});
}

TEST_CASE("the wait starts when the item was queued, not when the executor first gets to look") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 3, .batch_timeout = 10ms});
    f.call_n(batcher, 1);
    ManualClock::advance(9ms);  // the executor is busy elsewhere
    settle(f.context);
    CHECK(f.batches.seen.empty());
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{Batch{0}});
}

TEST_CASE("the wait of what a full batch leaves behind starts when that was queued") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 2, .batch_timeout = 10ms});
    f.call_n(batcher, 1);
    f.advance(4ms);
    f.call_n(batcher, 2);
    settle(f.context);
    REQUIRE(f.batches.seen == Seen{Batch{0, 1}});
    f.advance(9ms);
    CHECK(f.batches.seen.size() == 1);
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{Batch{0, 1}, Batch{2}});
}

TEST_CASE("when the oldest item is cancelled, the wait is that of the next one") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 3, .batch_timeout = 10ms});
    Reply<int> first;
    auto oldest = owned_call(batcher, 100, first);
    f.advance(5ms);
    f.call_n(batcher, 1);
    f.advance(1ms);
    oldest.destroy();
    f.advance(8ms);
    CHECK(f.batches.seen.empty());
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{Batch{0}});
}

TEST_CASE("while all slots are busy the queue grows, and the next batch takes all it can") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher(f.context, gate.doubling(), {.max_batch_size = 4, .batch_timeout = 0ms});
    f.call_n(batcher, 1);
    settle(f.context);
    REQUIRE(gate.started == Seen{Batch{0}});
    f.call_n(batcher, 5);
    f.advance(1h);
    CHECK(gate.started.size() == 1);
    gate.open();
    settle(f.context);
    CHECK(gate.started == Seen{Batch{0}, Batch{1, 2, 3, 4}, Batch{5}});
    CHECK(f.replies[5].value == 10);
}

TEST_CASE("batch_timeout 0: callers of the same moment still share a batch") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 100, .batch_timeout = 0ms});
    f.call_n(batcher, 10);
    settle(f.context);
    CHECK(f.batches.seen.size() == 1);
    CHECK(f.batches.seen[0].size() == 10);
}

TEST_CASE(
    "no_timeout: items wait until their batch is full or flushed, and keep run() from returning") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 3, .batch_timeout = batching::no_timeout});
    f.call_n(batcher, 2);
    f.advance(10000h);
    CHECK(f.batches.seen.empty());
    CHECK_FALSE(f.context.stopped());
    batcher.flush();
    settle(f.context);
    CHECK(f.batches.seen == Seen{Batch{0, 1}});
    f.call_n(batcher, 3);
    settle(f.context);
    CHECK(f.batches.seen.size() == 2);
}

TEST_CASE("run() returns when the last caller has its result: no timer keeps it") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 2, .batch_timeout = 10h});
    SECTION("after a full batch") { f.call_n(batcher, 2); }
    SECTION("after a flush") {
        f.call_n(batcher, 1);
        batcher.flush();
    }
    SECTION("after the only waiting caller was destroyed") {
        Reply<int> reply;
        owned_call(batcher, 1, reply);
    }
    SECTION("after cancel()") {
        f.call_n(batcher, 1);
        batcher.cancel();
    }
    CHECK(f.context.run_for(10s) < 100);
    CHECK(f.context.stopped());
}

TEST_CASE("as many batches run at once as max_concurrent_batches says") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher(f.context, gate.doubling(),
                          {.max_batch_size = 2, .batch_timeout = 0ms, .max_concurrent_batches = 2});
    f.call_n(batcher, 7);
    settle(f.context);
    CHECK(gate.started == Seen{Batch{0, 1}, Batch{2, 3}});
    gate.open();
    settle(f.context);
    CHECK(gate.started.size() == 4);
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
}

TEST_CASE(
    "with several slots, items that have waited batch_timeout do not wait for other batches") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher(
        f.context, gate.doubling(),
        {.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 2});
    f.call_n(batcher, 3);
    settle(f.context);
    REQUIRE(gate.started == Seen{Batch{0, 1}});
    f.advance(10ms);
    CHECK(gate.started == Seen{Batch{0, 1}, Batch{2}});
    gate.open();
    settle(f.context);
}

TEST_CASE("max_batch_size 1: no batching, each item is called alone") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(), {.max_batch_size = 1});
    f.call_n(batcher, 3);
    settle(f.context);
    CHECK(f.batches.seen == Seen{Batch{0}, Batch{1}, Batch{2}});
}

TEST_CASE("a batch size that no batch reaches is no limit, however large") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = batching::no_limit, .batch_timeout = 10ms});
    f.call_n(batcher, 70'000);
    f.advance(10ms);
    REQUIRE(f.batches.seen.size() == 1);
    CHECK(f.batches.seen[0].size() == 70'000);
}

}  // namespace batching_test
