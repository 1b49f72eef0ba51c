// What users rely on: reconfigure() changes the options of a Batcher that is at work.
#include "asking.hpp"

#include <atomic>
#include <cstddef>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace reconfigure_test {

using namespace test;
using batching::errc;
using batching::key_by;
using batching::no_timeout;
using batching::Options;
using batching::weigh;

std::vector<std::size_t> sizes(const Seen& seen) {
    std::vector<std::size_t> sizes;
    for (const Batch& batch : seen) sizes.push_back(batch.size());
    return sizes;
}
using Sizes = std::vector<std::size_t>;

int itself(int item) { return item; }

// ---- what holds from the next batch on -------------------------------------------------------------------

TEST_CASE("a smaller max_batch_size holds for what waits") {
    Asking f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.max_batch_size = 100}};
    f.ask_all(batcher, {1, 2, 3, 4, 5});
    settle(f.context);
    CHECK(f.batches.seen.empty());
    batcher.reconfigure({.max_batch_size = 2});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{1, 2}, {3, 4}});
    f.advance(1ms);
    CHECK(f.batches.seen.back() == Batch{5});
    f.check_once();
}

TEST_CASE("a larger max_batch_size holds for what waits") {
    Asking f;
    Gate gate{f.context};
    ManualBatcher batcher{f.context, gate.doubling(), {.max_batch_size = 2, .batch_timeout = 0}};
    f.ask_all(batcher, {1, 2, 3, 4, 5, 6});
    settle(f.context);
    batcher.reconfigure({.max_batch_size = 3, .batch_timeout = 0});
    gate.open();
    settle(f.context);
    CHECK(gate.started == Seen{{1, 2}, {3, 4, 5}, {6}});
    f.check_once();
}

TEST_CASE("a shorter batch_timeout holds for what waits, from when that was queued") {
    Asking f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = no_timeout}};
    f.ask(batcher, 1);
    f.advance(3ms);
    batcher.reconfigure({.batch_timeout = 5ms});
    f.advance(1999us);
    CHECK(f.batches.seen.empty());
    f.advance(1us);
    CHECK(f.batches.seen == Seen{{1}});
}

TEST_CASE("a longer batch_timeout holds for what waits") {
    Asking f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 5ms}};
    f.ask(batcher, 1);
    settle(f.context);
    batcher.reconfigure({.batch_timeout = 10ms});
    f.advance(9ms);
    CHECK(f.batches.seen.empty());
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{1}});
}

TEST_CASE("a smaller max_queue_size refuses what comes, and keeps what waits") {
    Asking f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 1h}};
    f.ask_all(batcher, {1, 2, 3});
    batcher.reconfigure({.batch_timeout = 1h, .max_queue_size = 2});
    Reply<int>& refused = f.ask(batcher, 4);
    settle(f.context);
    CHECK(refused.failed_with(errc::overloaded));
    CHECK(batcher.stats().waiting == 3);
    batcher.reconfigure({.batch_timeout = 1h, .max_queue_size = 4});
    f.ask(batcher, 5);
    batcher.flush();
    settle(f.context);
    CHECK(f.batches.seen == Seen{{1, 2, 3, 5}});
    f.check_once();
}

TEST_CASE("latency_target begins and ends") {
    Asking f;
    ManualBatcher batcher{f.context,
                          [&](std::vector<int> items) {
                              f.batches.seen.push_back(items);
                              ManualClock::advance(std::chrono::milliseconds(1 + items.size()));
                              return items;
                          },
                          {.max_batch_size = 64, .batch_timeout = 1h}};
    f.ask(batcher, 1);
    settle(f.context);
    CHECK(f.batches.seen.empty());
    batcher.reconfigure({.max_batch_size = 64, .latency_target = 12ms});
    settle(f.context);
    CHECK(f.batches.seen.size() == 1);
    for (int size = 1; size <= 10; ++size) {
        for (int i = 0; i < size; ++i) f.ask(batcher, i);
        f.advance(1s);
    }
    CHECK(batcher.stats().target_batch_size == 11);
    batcher.reconfigure({.max_batch_size = 64, .latency_target = 6ms});
    CHECK(batcher.stats().target_batch_size <= 5);
    batcher.reconfigure({.max_batch_size = 64, .batch_timeout = 1h});
    CHECK(batcher.stats().target_batch_size == 0);
    f.batches.seen.clear();
    f.ask(batcher, 1);
    f.advance(1min);
    CHECK(f.batches.seen.empty());
}

TEST_CASE("priority_aging holds for what waits") {
    Asking f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.max_batch_size = 2, .batch_timeout = 1h, .priority_aging = no_timeout}};
    f.ask(batcher, 1, {.priority = batching::Priority::low});
    f.advance(1s);
    batcher.reconfigure({.max_batch_size = 2, .batch_timeout = 1h, .priority_aging = 1ms});
    f.ask_all(batcher, {2, 3});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{1, 2}});
    batcher.flush();
    settle(f.context);
}

// ---- slots -----------------------------------------------------------------------------------------------

TEST_CASE("more slots start what waits at once") {
    Asking f;
    Gate gate{f.context};
    ManualBatcher batcher{f.context, gate.doubling(), {.max_batch_size = 1}};
    f.ask_all(batcher, {1, 2, 3});
    settle(f.context);
    CHECK(gate.started.size() == 1);
    batcher.reconfigure({.max_batch_size = 1, .max_concurrent_batches = 3});
    settle(f.context);
    CHECK(gate.started.size() == 3);
    gate.open();
    settle(f.context);
    f.check_once();
}

TEST_CASE("fewer slots: batches that run keep theirs, and none starts until there are fewer") {
    Asking f;
    Gate gate{f.context};
    Options options{.max_batch_size = 1, .max_concurrent_batches = 3};
    ManualBatcher batcher{f.context, gate.doubling(), options};
    f.ask_all(batcher, {1, 2, 3});
    settle(f.context);
    options.max_concurrent_batches = 1;
    batcher.reconfigure(options);
    f.ask_all(batcher, {4, 5});
    settle(f.context);
    CHECK(gate.started.size() == 3);
    gate.open();
    settle(f.context);
    CHECK(gate.started == Seen{{1}, {2}, {3}, {4}, {5}});
    f.check_once();
}

TEST_CASE("each slot has one batch at most, however often their number changes") {
    Asking f;
    std::vector<int> in_slot(8);
    std::vector<std::unique_ptr<aio::steady_timer>> under_way;
    Options options{.max_batch_size = 1, .batch_timeout = 0, .max_concurrent_batches = 4};
    ManualBatcher batcher{
        f.context,
        [&](std::vector<int> items,
            const batching::BatchInfo& info) -> aio::awaitable<std::vector<int>> {
            const std::size_t slot = info.slot();
            CHECK(++in_slot.at(slot) == 1);
            aio::steady_timer timer(co_await aio::this_coro::executor,
                                    std::chrono::steady_clock::time_point::max());
            auto& mine =
                under_way.emplace_back(std::make_unique<aio::steady_timer>(std::move(timer)));
            batching::detail::error_code ignored;
            co_await mine->async_wait(aio::redirect_error(aio::use_awaitable, ignored));
            --in_slot.at(slot);
            co_return items;
        },
        options};
    std::size_t next = 0;
    for (const std::size_t slots : std::vector<std::size_t>{4, 1, 4, 2, 8, 3, 8, 1, 2}) {
        options.max_concurrent_batches = slots;
        batcher.reconfigure(options);
        for (int i = 0; i < 6; ++i) f.ask(batcher, i);
        settle(f.context);
        for (int i = 0; i < 3 && next < under_way.size(); ++i) under_way[next++]->cancel();
        settle(f.context);
    }
    while (next < under_way.size()) {
        under_way[next++]->cancel();
        settle(f.context);
    }
    f.check_once();
    CHECK(batcher.stats().completed == f.replies.size());
}

TEST_CASE("the workers of a Batcher that owns them are as many as they were") {
    batching::Batcher batcher{Batches{}.doubling(), {.max_concurrent_batches = 2}};
    CHECK_THROWS_WITH(batcher.reconfigure({.max_concurrent_batches = 4}),
                      "max_concurrent_batches cannot change from 2 to 4: this Batcher has so many "
                      "workers of its own");
    CHECK_NOTHROW(batcher.reconfigure({.max_batch_size = 1, .max_concurrent_batches = 2}));
}

TEST_CASE("replicas are as many as they were, whatever is given") {
    Asking f;
    Gate gate{f.context};
    ManualBatcher batcher{f.context,
                          batching::replicas(2, [&](std::size_t) { return gate.doubling(); }),
                          {.max_batch_size = 1}};
    batcher.reconfigure({.max_batch_size = 1, .max_concurrent_batches = 7});
    f.ask_all(batcher, {1, 2, 3});
    settle(f.context);
    CHECK(gate.started.size() == 2);
    gate.open();
    settle(f.context);
    f.check_once();
}

// ---- rules -----------------------------------------------------------------------------------------------

TEST_CASE("smaller limits of weight hold for what waits and what comes") {
    Asking f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 1h}, weigh(itself)};
    f.ask_all(batcher, {9, 2, 3, 4});
    batcher.reconfigure({.batch_timeout = 1h, .max_batch_weight = 5});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{9}, {2, 3}});  // 9 alone, as it is in already
    Reply<int>& too_heavy = f.ask(batcher, 6);
    settle(f.context);
    CHECK(too_heavy.failed_with(errc::too_heavy));
    f.ask(batcher, 1);
    settle(f.context);
    CHECK(f.batches.seen.back() == Batch{4, 1});
    f.check_once();
}

TEST_CASE("larger limits of weight hold for what comes") {
    Asking f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1h, .max_batch_weight = 5, .max_queue_weight = 8},
                          weigh(itself)};
    CHECK(f.ask(batcher, 6).times == 0);
    batcher.reconfigure({.batch_timeout = 1h, .max_batch_weight = 1'000'000});
    f.ask_all(batcher, {600'000, 400'000});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{600'000, 400'000}});
}

TEST_CASE("max_concurrent_batches_per_key holds at once") {
    Asking f;
    Gate gate{f.context};
    Options options{
        .max_batch_size = 1, .max_concurrent_batches = 4, .max_concurrent_batches_per_key = 1};
    ManualBatcher batcher{f.context, gate.doubling(), options, key_by(itself)};
    f.ask_all(batcher, {7, 7, 7});
    settle(f.context);
    CHECK(gate.started.size() == 1);
    options.max_concurrent_batches_per_key = 2;
    batcher.reconfigure(options);
    settle(f.context);
    CHECK(gate.started.size() == 2);
    gate.open();
    settle(f.context);
    f.check_once();
}

TEST_CASE("keys that wait for their time get the new one") {
    Asking f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 1h}, key_by(itself)};
    f.ask_all(batcher, {1, 2});
    f.advance(1ms);
    batcher.reconfigure({.batch_timeout = 1ms});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{1}, {2}});
}

// ---- what is refused -------------------------------------------------------------------------------------

TEST_CASE("an option that is out of range is refused, and nothing has changed") {
    Asking f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.max_batch_size = 2}};
    CHECK_THROWS_WITH(batcher.reconfigure({.max_batch_size = 0}),
                      "max_batch_size must be 1 or more, not 0");
    CHECK_THROWS_WITH(batcher.reconfigure({.max_batch_size = 9, .max_batch_weight = 3}),
                      "max_batch_weight is 3, but only counts with batching::weigh() after the "
                      "options");
    f.ask_all(batcher, {1, 2});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{1, 2}});
}

TEST_CASE("what the batch function demands of the options is demanded again") {
    Asking f;
    const auto make = [&] {
        return batching::pad_to({4, 8}, [](std::vector<int> items) { return items; });
    };
    ManualBatcher batcher{f.context, make(), {.max_batch_size = 8}};
    CHECK_THROWS_AS(batcher.reconfigure({.max_batch_size = 9}), std::invalid_argument);
    CHECK_NOTHROW(batcher.reconfigure({.max_batch_size = 4}));
}

TEST_CASE("a Batcher that is closed can be reconfigured, and drains by that") {
    Asking f;
    Gate gate{f.context};
    ManualBatcher batcher{f.context, gate.doubling(), {.max_batch_size = 1}};
    f.ask_all(batcher, {1, 2, 3});
    settle(f.context);
    batcher.close();
    batcher.reconfigure({.max_batch_size = 2});
    gate.open();
    settle(f.context);
    CHECK(gate.started == Seen{{1}, {2, 3}});
    f.check_once();
}

// ---- at any moment ---------------------------------------------------------------------------------------

TEST_CASE(
    "while many threads call, each call ends once, and no batch is larger than ever allowed") {
    std::atomic<std::size_t> largest{0};
    aio::thread_pool pool(2);
    batching::Batcher batcher{
        pool,
        [&](std::vector<int> items) {
            std::size_t seen = largest;
            while (items.size() > seen && !largest.compare_exchange_weak(seen, items.size())) {
            }
            return items;
        },
        {.max_batch_size = 4},
        weigh([](int) { return std::size_t{1}; })};
    std::atomic<bool> stop{false};
    std::vector<std::thread> callers;
    std::atomic<int> wrong{0};
    for (int caller = 0; caller < 2; ++caller) {
        callers.emplace_back([&] {
            for (int i = 0; i < 1'000; ++i) {
                try {
                    if (batcher.process(i).get() != i) ++wrong;
                } catch (const batching::Error& error) {
                    if (error.code() != errc::overloaded) ++wrong;
                }
            }
        });
    }
    std::thread changer([&] {
        for (std::size_t i = 0; !stop; ++i) {
            batcher.reconfigure({.max_batch_size = 1 + i % 8,
                                 .batch_timeout = std::chrono::microseconds(i % 50),
                                 .max_concurrent_batches = 1 + i % 3,
                                 .max_queue_size = i % 2 == 0 ? batching::no_limit : 8,
                                 .max_batch_weight = 1 + i % 5,
                                 .latency_target = i % 4 == 0 ? batching::Timeout(1ms)
                                                              : batching::Timeout(no_timeout)});
            std::this_thread::yield();
        }
    });
    for (auto& caller : callers) caller.join();
    stop = true;
    changer.join();
    CHECK(wrong == 0);
    CHECK(largest <= 5);
    CHECK(batcher.stats().waiting == 0);
}

}  // namespace reconfigure_test
