// diagnosis(): which figures lead to which sentence.
#include <cstddef>
#include <cstdint>
#include <string>

#include "asking.hpp"
#include "catch.hpp"
#include "support.hpp"

namespace diagnosis_test {

using namespace test;
using batching::Options;
using batching::Stats;
using Time = std::chrono::nanoseconds;

// Batches that were all alike.
struct Batches {
    std::uint64_t count;
    std::size_t size;
    Time wait;  // of each item
    Time run;
};

void record(Stats& stats, const Batches& batches) {
    const std::uint64_t items = batches.count * batches.size;
    stats.submitted += items;
    stats.completed += items;
    stats.batch_size.record(batches.size, batches.count);
    stats.wait_time.record(batches.wait, items);
    stats.run_time.record(batches.run, batches.count);
}

Stats left_full(const Options& options, const Batches& batches) {
    Stats stats;
    stats.options = options;
    record(stats, batches);
    stats.batches_full = batches.count;
    return stats;
}

Stats left_by_timeout(const Options& options, const Batches& batches) {
    Stats stats = left_full(options, batches);
    std::swap(stats.batches_full, stats.batches_timeout);
    return stats;
}

bool says(const Stats& stats, const std::string& words) {
    const std::string diagnosis = batching::diagnosis(stats);
    INFO(diagnosis);
    CHECK(diagnosis.back() == '.');
    return diagnosis.find(words) != std::string::npos;
}

TEST_CASE("diagnosis: before there are batches enough it says so, and advises nothing") {
    CHECK(batching::diagnosis(Stats{}) == "Nothing stands out yet: 0 batches are too few.");
    CHECK(batching::diagnosis(left_full({}, {19, 32, 1us, 1us})) ==
          "Nothing stands out yet: 19 batches are too few.");
}

TEST_CASE("diagnosis: items that wait for a batch that never fills") {
    Stats stats;
    stats.options = {.max_batch_size = 32, .batch_timeout = batching::no_timeout};
    stats.submitted = stats.waiting = 7;
    CHECK(batching::diagnosis(stats) ==
          "No batch has left: batch_timeout is no_timeout, and 7 of the max_batch_size (32) items "
          "wait; call flush(), or set a batch_timeout.");
}

TEST_CASE("diagnosis: the arrivals limit the batches, so many come before the timeout") {
    Stats stats = left_by_timeout({.batch_timeout = 1ms}, {50, 3, 400us, 2ms});
    record(stats, {50, 5, 400us, 2ms});
    stats.batches_timeout = 93;
    stats.batches_full = 7;
    CHECK(
        batching::diagnosis(stats) ==
        "The arrivals limit the batches: 93 % left after batch_timeout (1 ms) with 4.0 of at most "
        "32 items, as many as came in that time; a longer batch_timeout makes them larger, at the "
        "price of as much latency.");
}

TEST_CASE("diagnosis: where calls wait longer than batches run, a shorter timeout is what to try") {
    Stats stats = left_by_timeout({.batch_timeout = 10ms}, {50, 3, 6ms, 2ms});
    record(stats, {50, 5, 6ms, 2ms});
    stats.batches_timeout = 100;
    CHECK(says(stats,
               "half of the calls wait 6 ms or more, longer than a batch runs (2 ms): try a "
               "shorter batch_timeout, 0, or latency_target."));
}

TEST_CASE("diagnosis: calls that come one at a time wait for the timeout in vain") {
    CHECK(batching::diagnosis(left_by_timeout({.batch_timeout = 2ms}, {100, 1, 2ms, 1ms})) ==
          "The arrivals limit the batches: calls come one at a time, and wait for batch_timeout (2 "
          "ms) in vain; try batch_timeout = 0, or latency_target.");
}

TEST_CASE("diagnosis: as many callers as never fill a batch") {
    Stats stats = left_by_timeout({.batch_timeout = 2ms}, {100, 8, 2ms, 1ms});
    record(stats, {4, 3, 2ms, 1ms});
    stats.batches_timeout = 104;
    CHECK(says(stats, "The callers limit the batches: nearly all have 8 items"));
    CHECK(says(stats, "try max_batch_size = 8, or batch_timeout = 0."));
    record(stats, {20, 9, 2ms, 1ms});
    stats.batches_timeout = 124;
    CHECK_FALSE(says(stats, "callers limit"));
}

TEST_CASE("diagnosis: the slots limit batches that wait for one, not for the timeout") {
    const Stats stats =
        left_by_timeout({.batch_timeout = 1ms, .max_concurrent_batches = 2}, {100, 20, 15ms, 20ms});
    CHECK(batching::diagnosis(stats) ==
          "The slots (2) limit the batches: calls wait 15 ms on the average, not for batch_timeout "
          "(1 ms) but for a batch that runs (20 ms); 20.0 of at most 32 items wait meanwhile; if "
          "batches can run side by side, try more max_concurrent_batches.");
}

TEST_CASE("diagnosis: full batches that follow each other too slowly") {
    Stats stats = left_full({.max_batch_size = 16}, {100, 16, 50ms, 20ms});
    CHECK(says(stats, "max_batch_size (16) and the slots (1) limit the batches: 100 % are full"));
    CHECK(says(stats,
               "try a larger max_batch_size (now 16), if it takes less time an item, or more "
               "max_concurrent_batches (now 1)"));
    // Once it is known what an item takes, it says what a larger batch would be worth:
    stats.fixed_run_time = 16ms;
    stats.run_time_per_item = 250us;
    CHECK(says(stats,
               "try max_batch_size = 32 (now 16), by what run times have shown 1.7 times as "
               "many items a second, or more max_concurrent_batches"));
    // or that it would not be worth anything.
    stats.fixed_run_time = 100us;
    stats.run_time_per_item = 1200us;
    CHECK_FALSE(says(stats, "try max_batch_size"));
    CHECK(says(stats, "; try more max_concurrent_batches (now 1)"));
}

TEST_CASE("diagnosis: full batches that nobody waits for long are no trouble") {
    CHECK(says(left_full({}, {100, 32, 300us, 2ms}),
               "Nothing stands out: 100 % of the batches are full"));
    CHECK(says(left_by_timeout({.batch_timeout = 0ms}, {100, 3, 10us, 2ms}),
               "Nothing stands out: batches have 3.0 of at most 32 items."));
}

TEST_CASE("diagnosis: weights") {
    Stats stats = left_full({.max_batch_size = 64, .max_batch_weight = 4096}, {100, 9, 1ms, 2ms});
    stats.batches_cut_by_weight = 80;
    CHECK(
        batching::diagnosis(stats) ==
        "The weights limit the batches: 80 % were full by max_batch_weight (4096), with 9.0 of at "
        "most 64 items; try a larger one, if the batch function can take more at once.");
    stats.batches_cut_by_weight = 30;
    CHECK_FALSE(says(stats, "weight"));
}

TEST_CASE("diagnosis: keys") {
    Stats stats = left_by_timeout({.batch_timeout = 1ms}, {100, 3, 1ms, 2ms});
    stats.batches_cut_by_key = 70;
    CHECK(says(stats,
               "The keys limit the batches: 70 % left with 3.0 of at most 32 items while only "
               "items of other keys waited; try fewer different keys"));
}

TEST_CASE("diagnosis: flushes") {
    Stats stats = left_full({}, {100, 4, 1ms, 2ms});
    std::swap(stats.batches_full, stats.batches_flushed);
    CHECK(
        says(stats,
             "The flushes limit the batches: 100 % left because of flush() or close(), with 4.0"));
}

TEST_CASE("diagnosis: deadlines that make batches smaller, and deadlines that are missed") {
    Stats stats = left_full({}, {100, 20, 5ms, 10ms});
    stats.batches_cut_by_deadline = 40;
    CHECK(says(stats, "The deadlines limit the batches: 40 % left early or smaller to meet one"));
    Stats early = left_by_timeout({.batch_timeout = batching::no_timeout}, {100, 3, 20ms, 1ms});
    CHECK(says(early, "Nothing stands out"));
    early.batches_cut_by_deadline = 100;
    CHECK(says(early, "The deadlines limit the batches: 100 % left early or smaller to meet one"));
    stats.submitted += 500;
    stats.expired = 500;
    CHECK(
        says(stats,
             "The deadlines are missed by 20 % of the calls: a batch alone runs for 10 ms, "
             "after a wait of 5 ms; give them longer timeouts, or try a smaller max_batch_size."));
    Stats waiting = left_full({}, {100, 32, 50ms, 10ms});
    waiting.submitted += 500;
    waiting.expired = 500;
    CHECK(says(waiting,
               "half of those that ran had waited 50 ms or more for it; try a larger "
               "max_batch_size"));
}

TEST_CASE("diagnosis: the bound of the queue") {
    Stats stats = left_full({.max_queue_size = 100}, {100, 32, 30ms, 10ms});
    stats.rejected = stats.overloaded = 800;
    CHECK(says(stats, "The queue bound refuses 20 % of the calls"));
    CHECK(says(stats, "try a larger max_batch_size (now 32)"));
    // Half of the calls find it nearly empty:
    Stats bursts = left_full({.max_queue_size = 100}, {100, 32, 1ms, 10ms});
    bursts.rejected = bursts.overloaded = 800;
    CHECK(says(bursts, "it is full in bursts only: try a larger max_queue_size."));
    // It is smaller than a batch:
    stats.options.max_queue_size = 16;
    CHECK(says(stats, "max_queue_size (16) is less than max_batch_size (32)"));
    // Calls that are refused for another reason, as after close(), say nothing of it.
    stats.overloaded = 0;
    CHECK_FALSE(says(stats, "queue"));
}

TEST_CASE("diagnosis: latency_target met, missed, and out of reach") {
    const Options options{.latency_target = 20ms};
    CHECK(says(left_by_timeout(options, {100, 8, 4ms, 10ms}),
               "Nothing stands out: latency_target (20 ms) is met"));
    CHECK(says(left_full(options, {100, 32, 40ms, 10ms}),
               "The latency_target (20 ms) is missed: 99 % of"));
    CHECK(says(left_full(options, {100, 32, 40ms, 10ms}), "try a larger max_batch_size"));
    CHECK(says(left_by_timeout(options, {100, 8, 1ms, 30ms}),
               "The latency_target (20 ms) cannot be met: the shortest batch ran for 30 ms."));
}

TEST_CASE("diagnosis: what stats say of a Batcher ends with it, and what it advises helps") {
    Asking asking;
    ManualBatcher batcher{asking.context, asking.batches.doubling(), {.batch_timeout = 10ms}};
    const auto ask_eight = [&] {
        asking.ask_all(batcher, {1, 2, 3, 4, 5, 6, 7, 8});
        settle(asking.context);
        if (batcher.stats().waiting != 0) asking.advance(10ms);
    };
    for (int i = 0; i < 30; ++i) ask_eight();
    const Stats before = batcher.stats();
    const std::string table = fmt::format("{}", before);
    CHECK(table.substr(table.rfind('\n') + 1) == batching::diagnosis(before));
    CHECK(says(before, "try max_batch_size = 8"));
    CHECK(before.wait_time.mean() == 10ms);

    batcher.reconfigure({.max_batch_size = 8, .batch_timeout = 10ms});
    for (int i = 0; i < 30; ++i) ask_eight();
    const Stats after = batcher.stats().since(before);
    CHECK(says(after, "Nothing stands out"));
    CHECK(after.wait_time.mean() == 0ms);
}

TEST_CASE("diagnosis: of a handle it names the options that connect() takes") {
    const auto of_handle = [](Stats stats) {
        stats.remote = true;
        return stats;
    };
    const Options options{.max_batch_size = 64, .batch_timeout = 0ms, .max_concurrent_batches = 2};
    CHECK(batching::diagnosis(of_handle(left_by_timeout(options, {100, 8, 5ms, 4ms}))) ==
          "calls_in_flight (2) limits the remote calls: items wait 5 ms on the average for one "
          "that runs (4 ms); 8.0 of at most 64 items wait meanwhile; try more calls_in_flight, or "
          "more replicas.");
    CHECK(batching::diagnosis(of_handle(left_full(options, {100, 64, 5ms, 4ms}))) ==
          "max_items_per_call (64) and calls_in_flight (2) limit the batches: 100 % are full, and "
          "calls wait 5 ms on the average, longer than a batch runs (4 ms); try a larger "
          "max_items_per_call (now 64), if it takes less time an item, or more calls_in_flight "
          "(now 2), or another replica.");
    Stats refused = left_full({.max_batch_size = 64, .max_queue_size = 8}, {100, 8, 5ms, 4ms});
    refused.rejected = refused.overloaded = 100;
    CHECK(says(of_handle(refused), "try several times max_items_per_call."));
    for (Stats stats : {left_by_timeout(options, {100, 8, 5ms, 4ms}),
                        left_full(options, {100, 64, 5ms, 4ms}), refused}) {
        for (const std::uint64_t late : {std::uint64_t{0}, std::uint64_t{1'000}}) {
            stats.expired = late;
            CHECK_FALSE(says(of_handle(stats), "max_batch_size"));
            CHECK_FALSE(says(of_handle(stats), "max_concurrent_batches"));
        }
    }
}

}  // namespace diagnosis_test
