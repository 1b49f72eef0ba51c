// stats() and the distributions in it.
#include "catch.hpp"
#include "support.hpp"

#include <algorithm>
#include <deque>

namespace stats_test {

using namespace test;
using batching::Distribution;

TEST_CASE("stats count items by what became of them, and batches by why they left") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int, ManualClock> batcher{
        context,
        [](std::vector<int> items) {
            if (items.front() < 0) throw std::runtime_error("negative");
            return items;
        },
        {.max_batch_size = 2, .batch_timeout = 10ms, .max_queue_size = 2}};
    std::deque<Reply<int>> replies;
    std::vector<Owned> callers;  // destroyed with the test, also those that still wait
    const auto submit = [&](int item) {
        callers.push_back(owned_call(batcher, item, replies.emplace_back()));
    };

    submit(1), submit(2), submit(3);  // the third is refused
    settle(context);
    submit(-1);
    ManualClock::advance(10ms);
    settle(context);
    submit(4);
    batcher.flush();
    settle(context);
    submit(5);
    batcher.cancel();
    submit(6);

    const batching::Stats stats = batcher.stats();
    CHECK(stats.submitted == 6);
    CHECK(stats.completed == 3);
    CHECK(stats.failed == 1);
    CHECK(stats.rejected == 1);
    CHECK(stats.cancelled == 1);
    CHECK(stats.expired == 0);
    CHECK(stats.waiting == 1);
    CHECK(stats.running == 0);
    CHECK(stats.batches_full == 1);
    CHECK(stats.batches_timeout == 1);
    CHECK(stats.batches_flushed == 1);
    CHECK(stats.batch_size.count() == 3);
    CHECK(stats.batch_size.quantile(1) == 2);
    CHECK(stats.wait_time.count() == 4);
    CHECK(stats.wait_time.quantile(1) == 10ms);
    CHECK(stats.wait_time.quantile(0) == 0ns);
    CHECK(stats.run_time.count() == 3);
}

TEST_CASE("stats see what runs and how long it took") {
    aio::io_context context;
    Gate gate(context);
    batching::Batcher<int, int, ManualClock> batcher{
        context, gate.doubling(), {.max_batch_size = 2}};
    Reply<int> replies[3];
    for (auto& reply : replies) call(batcher, 1, reply);
    settle(context);
    CHECK(batcher.stats().running == 2);
    CHECK(batcher.stats().waiting == 1);
    ManualClock::advance(7ms);
    gate.open();
    settle(context);
    CHECK(batcher.stats().running == 0);
    CHECK(batcher.stats().run_time.quantile(1) == 7ms);
}

TEST_CASE("of the calls that are refused stats tell those apart that came too many") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int, ManualClock> batcher{
        context,
        batches.doubling(),
        {.max_batch_size = 8, .batch_timeout = 1s, .max_queue_size = 1, .max_batch_weight = 10},
        batching::weigh([](int item) { return static_cast<std::size_t>(item); })};
    std::deque<Reply<int>> replies;
    const auto ask = [&](int item, const batching::CallOptions& options = {}) {
        batcher.async_process(item, options, into(replies.emplace_back()));
    };
    ask(1);
    ask(1);                                          // the queue is full
    ask(11);                                         // heavier than a batch
    ask(1, {.priority = batching::Priority::high});  // displaces the first
    batcher.close();
    ask(1);
    settle(context);
    const batching::Stats stats = batcher.stats();
    CHECK(stats.rejected == 4);
    CHECK(stats.overloaded == 2);
    CHECK(stats.submitted == 1);
    CHECK(stats.completed == 1);
}

TEST_CASE("stats say what made batches smaller than they may be: weights") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int, ManualClock> batcher{
        context,
        batches.doubling(),
        {.max_batch_size = 3, .batch_timeout = 0ms, .max_batch_weight = 10},
        batching::weigh([](int item) { return static_cast<std::size_t>(item); })};
    const auto ask_all = [&](std::vector<int> items) {
        batcher.async_process_many(std::move(items), [](const std::exception_ptr&, const auto&) {});
        settle(context);
    };
    ask_all({1, 2, 3});  // full by number
    ask_all({1, 2});     // no more came
    CHECK(batcher.stats().batches_cut_by_weight == 0);
    ask_all({6, 6});  // the second does not go with the first
    CHECK(batcher.stats().batches_cut_by_weight == 1);
    ask_all({4, 6});  // as heavy as may be
    CHECK(batcher.stats().batches_cut_by_weight == 2);
    CHECK(batches.seen == std::vector<std::vector<int>>{{1, 2, 3}, {1, 2}, {6}, {6}, {4, 6}});
}

TEST_CASE("stats say what made batches smaller than they may be: keys") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int, ManualClock> batcher{
        context,
        batches.doubling(),
        {.max_batch_size = 2, .batch_timeout = 0ms},
        batching::key_by([](int item) { return item % 10; })};
    const auto ask_all = [&](std::vector<int> items) {
        batcher.async_process_many(std::move(items), [](const std::exception_ptr&, const auto&) {});
        settle(context);
    };
    ask_all({1, 11, 2, 12});  // both full
    CHECK(batcher.stats().batches_cut_by_key == 0);
    ask_all({1, 2});
    CHECK(batcher.stats().batches_cut_by_key == 1);  // the second has left nothing
    CHECK(batches.seen == std::vector<std::vector<int>>{{1, 11}, {2, 12}, {1}, {2}});
}

TEST_CASE("stats say what made batches smaller than they may be: deadlines") {
    aio::io_context context;
    std::vector<std::size_t> sizes;
    batching::Batcher<int, int, ManualClock> batcher{context,
                                                     [&](const std::vector<int>& items) {
                                                         sizes.push_back(items.size());
                                                         ManualClock::advance(items.size() * 1ms);
                                                         return items;
                                                     },
                                                     {.max_batch_size = 32, .batch_timeout = 0ms}};
    const auto ask = [&](std::size_t count, const batching::CallOptions& options) {
        batcher.async_process_each(std::vector<int>(count), options,
                                   [](const std::exception_ptr&, const auto&) {});
        settle(context);
    };
    for (std::size_t i = 0; i < 20; ++i) ask(1 + i % 2, {.timeout = 1s});
    CHECK(batcher.stats().batches_cut_by_deadline == 0);
    ask(32, {.timeout = 25ms});
    CHECK(batcher.stats().batches_cut_by_deadline >= 1);
    CHECK(sizes[20] < 32);
    batcher.reconfigure({.max_batch_size = 32, .batch_timeout = batching::no_timeout});
    const auto before = batcher.stats();
    ask(1, {.timeout = 1s});
    for (int i = 0; i < 1'000; ++i) {
        ManualClock::advance(1ms);
        settle(context);
    }
    CHECK(batcher.stats().expired == before.expired);
    CHECK(batcher.stats().batches_timeout == before.batches_timeout + 1);
    CHECK(batcher.stats().batches_cut_by_deadline == before.batches_cut_by_deadline + 1);
}

TEST_CASE("stats say which options are in force") {
    batching::Batcher batcher{[](std::vector<int> items) { return items; }, {.max_batch_size = 7}};
    CHECK(batcher.stats().options.max_batch_size == 7);
    batcher.reconfigure({.max_batch_size = 9, .batch_timeout = 3ms});
    CHECK(batcher.stats().options.max_batch_size == 9);
    CHECK(batcher.stats().options.batch_timeout == 3ms);
    batching::Batcher of_three{batching::replicas(
        3, [](std::size_t) { return [](std::vector<int> items) { return items; }; })};
    CHECK(of_three.stats().options.max_concurrent_batches == 3);
}

TEST_CASE("a snapshot is small, whatever it holds: stacks of 64 KB are common") {
    CHECK(sizeof(batching::Stats) <= 1'024);
}

TEST_CASE("a Distribution is exact for small values, and for the mean") {
    Distribution<std::size_t> d;
    CHECK(d.count() == 0);
    CHECK(d.mean() == 0);
    CHECK(d.sum() == 0);
    CHECK(d.quantile(0.5) == 0);
    for (std::size_t v = 1; v <= 60; ++v) d.record(v);
    CHECK(d.count() == 60);
    CHECK(std::abs(d.mean() - 30.5) < 1e-9);
    CHECK(std::abs(static_cast<double>(d.sum()) - 1830) < 1e-9);
    CHECK(d.quantile(0) == 1);
    CHECK(d.quantile(0.5) == 30);
    CHECK(d.quantile(1) == 60);
}

TEST_CASE(
    "a quantile of large values is at most 1/32 too high, and never outside of what was seen") {
    Distribution<std::chrono::nanoseconds> d;
    for (int i = 1; i <= 1000; ++i) d.record(std::chrono::microseconds(i));
    for (const double q : {0.01, 0.25, 0.5, 0.9, 0.99}) {
        const std::chrono::nanoseconds exact =
            std::chrono::microseconds(static_cast<int>(q * 1000));
        CHECK(d.quantile(q) >= exact);
        CHECK(d.quantile(q) <= exact + exact / 32);
    }
    CHECK(d.quantile(1) == 1ms);
    CHECK(d.mean() == 500500ns);
    CHECK(d.sum() == 500500us);
    d.record(10000h);  // beyond the last bucket
    CHECK(d.quantile(1) == 10000h);
    d.record(-1ns);
    CHECK(d.quantile(0) == 0ns);
}

TEST_CASE("two snapshots tell what has happened between them") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int, ManualClock> batcher{
        context, batches.doubling(), {.max_batch_size = 4, .batch_timeout = 10ms}};
    std::deque<Reply<int>> replies;
    const auto ask = [&](int items, std::chrono::milliseconds then) {
        for (int i = 0; i < items; ++i) batcher.async_process(i, into(replies.emplace_back()));
        settle(context);
        ManualClock::advance(then);
        settle(context);
    };
    ask(1, 10ms);
    const batching::Stats before = batcher.stats();
    ask(4, 1ms);
    ask(3, 9ms);
    const batching::Stats since = batcher.stats().since(before);
    CHECK(since.submitted == 7);
    CHECK(since.completed == 4);
    CHECK(since.waiting == 3);  // now
    CHECK(since.batches_timeout == 0);
    CHECK(since.batches_full == 1);
    CHECK(since.batch_size.count() == 1);
    CHECK(since.batch_size.quantile(0) == 4);
    CHECK(since.batch_size.quantile(1) == 4);
    CHECK(since.wait_time.count() == 4);
    CHECK(since.wait_time.quantile(1) == 0ms);
    const batching::Stats nothing = batcher.stats().since(batcher.stats());
    CHECK(nothing.submitted == 0);
    CHECK(nothing.batch_size.count() == 0);
    CHECK(nothing.batch_size.quantile(1) == 0);
}

TEST_CASE("how many values are at most a power of two is exact, and at most any value up to 64") {
    Distribution<std::size_t> d;
    std::vector<std::size_t> values;
    for (std::size_t v = 0; v <= 70; ++v) values.push_back(v);
    for (unsigned bits = 7; bits < 42; ++bits) {
        const std::size_t power = std::size_t{1} << bits;
        for (const std::size_t v : {power - 1, power, power + 1}) values.push_back(v);
    }
    for (const std::size_t v : values) d.record(v);
    const auto exact = [&](std::size_t bound) {
        return std::count_if(values.begin(), values.end(), [&](auto v) { return v <= bound; });
    };
    for (std::size_t bound = 0; bound <= 64; ++bound) {
        CHECK(d.count_up_to(bound) == static_cast<std::uint64_t>(exact(bound)));
    }
    for (unsigned bits = 7; bits < 42; ++bits) {
        const std::size_t power = std::size_t{1} << bits;
        CHECK(d.count_up_to(power) == static_cast<std::uint64_t>(exact(power)));
    }
}

TEST_CASE("how many values are at most any other value lacks those of the last 1/32 at most") {
    Distribution<std::chrono::nanoseconds> d;
    for (int us = 1; us <= 1'000; ++us) d.record(std::chrono::microseconds(us));
    for (const std::uint64_t us : {100u, 250u, 500u, 999u}) {
        const std::uint64_t counted = d.count_up_to(std::chrono::microseconds(us));
        CHECK(counted <= us);
        CHECK(counted + us / 32 + 1 >= us);
    }
    d.record(10'000h);
    CHECK(d.count_up_to(1s) == 1'000);
    CHECK(d.count_up_to(10'000h) == 1'000);  // beyond the last bucket
    CHECK(d.count_up_to(-1ns) == 0);
}

TEST_CASE("the buckets of a Distribution tell how many values lie where") {
    Distribution<std::chrono::nanoseconds> d;
    d.record(3ns, 2);
    d.record(100ns);
    d.record(10000h);
    std::vector<std::pair<std::chrono::nanoseconds, std::uint64_t>> buckets;
    d.for_each_bucket([&](std::chrono::nanoseconds largest, std::uint64_t count) {
        buckets.emplace_back(largest, count);
    });
    REQUIRE(buckets.size() == 3);
    CHECK(buckets[0] == std::pair{3ns, std::uint64_t{2}});
    CHECK(buckets[1].first >= 100ns);
    CHECK(buckets[1].first <= 103ns);
    CHECK(buckets[1].second == 1);
    CHECK(buckets[2] == std::pair{std::chrono::nanoseconds::max(), std::uint64_t{1}});
}

TEST_CASE("stats print as a short table") {
    batching::Batcher batcher{[](std::vector<int> items) { return items; }};
    batcher.process(1).get();
    const std::string table = fmt::format("{}", batcher.stats());
    CHECK(table.find("submitted 1") != std::string::npos);
    CHECK(table.find("batch size") != std::string::npos);
    CHECK(table.find("wait, us") != std::string::npos);
}

}  // namespace stats_test
