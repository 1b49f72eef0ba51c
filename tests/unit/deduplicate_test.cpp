// What users rely on: with batching::deduplicate() equal items share one place in the batch, and nothing else.
#include "asking.hpp"
#include "sanitized.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace deduplicate_test {

using namespace test;
using batching::CallOptions;
using batching::deduplicate;
using batching::deduplicate_by;
using batching::errc;
using batching::key_by;
using batching::no_timeout;
using batching::Priority;
using batching::Result;

struct Fixture : Asking {
    Gate gate{context};
};

// ---- sharing ---------------------------------------------------------------------------------------------

TEST_CASE("equal items share one place in the batch, and each caller gets the result") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 1ms}, deduplicate()};
    f.ask_all(batcher, {1, 2, 1, 3, 2, 1});
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{1, 2, 3}});
    const int expected[] = {2, 4, 2, 6, 4, 2};
    for (std::size_t i = 0; i < 6; ++i) CHECK(f.replies[i].value == expected[i]);
    f.check_once();
    const batching::Stats stats = batcher.stats();
    CHECK(stats.submitted == 6);
    CHECK(stats.completed == 6);
    CHECK(stats.deduplicated == 3);
    CHECK(stats.batch_size.quantile(1) == 3);
}

TEST_CASE("a batch is full when so many different items wait, and equal ones take no room") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.max_batch_size = 3, .batch_timeout = no_timeout},
                          deduplicate()};
    f.ask_all(batcher, {1, 1, 1, 2, 2, 2});
    settle(f.context);
    CHECK(f.batches.seen.empty());
    CHECK(batcher.stats().waiting == 6);
    f.ask(batcher, 3);
    settle(f.context);
    CHECK(f.batches.seen == Seen{{1, 2, 3}});
    CHECK(batcher.stats().waiting == 0);
    f.check_once();
}

TEST_CASE("each caller gets a copy of its own") {
    aio::io_context context;
    batching::Batcher<int, std::shared_ptr<int>, ManualClock> by_pointer{
        context,
        [](const Batch& items) {
            std::vector<std::shared_ptr<int>> results;
            for (const int item : items) results.push_back(std::make_shared<int>(item));
            return results;
        },
        {.batch_timeout = 0},
        deduplicate()};
    batching::Batcher<int, std::string, ManualClock> by_value{
        context,
        [](const Batch& items) {
            return std::vector<std::string>(items.size(), std::string(100, 'x'));
        },
        {.batch_timeout = 0},
        deduplicate()};
    std::vector<std::shared_ptr<int>> pointers;
    std::vector<std::string> values;
    for (int i = 0; i < 3; ++i) {
        by_pointer.async_process(1, [&](const std::exception_ptr&, std::shared_ptr<int> p) {
            pointers.push_back(std::move(p));
        });
        by_value.async_process(1, [&](const std::exception_ptr&, std::string value) {
            values.push_back(std::move(value));  // moved away from who has it
        });
    }
    settle(context);
    REQUIRE(pointers.size() == 3);
    CHECK(pointers[0] == pointers[2]);
    CHECK(values == std::vector<std::string>(3, std::string(100, 'x')));
}

TEST_CASE("callers that share a place resume on their own executors, also on other threads") {
    batching::Batcher batcher{[](const Batch& items) {
                                  return std::vector<std::string>(items.size(),
                                                                  std::string(50, 'y'));
                              },
                              {.batch_timeout = 1ms},
                              deduplicate()};
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 50; ++round) {
                right += batcher.process(7).get() == std::string(50, 'y') ? 1 : 0;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(right == 200);
}

TEST_CASE("a function without results may share places, too") {
    aio::io_context context;
    std::size_t items = 0;
    batching::Batcher<int, void, ManualClock> batcher{
        context,
        [&](const Batch& batch) { items += batch.size(); },
        {.batch_timeout = 0},
        deduplicate()};
    int done = 0;
    for (int i = 0; i < 3; ++i) {
        batcher.async_process(1, [&](const std::exception_ptr& error) { done += error ? 0 : 1; });
    }
    settle(context);
    CHECK(items == 1);
    CHECK(done == 3);
}

TEST_CASE("items that can only be moved are deduplicated by what they are known by") {
    struct Query {
        int id;
        std::unique_ptr<int> more;
    };
    aio::io_context context;
    std::vector<int> seen;
    batching::Batcher<Query, int, ManualClock> batcher{context,
                                                       [&](std::vector<Query> queries) {
                                                           std::vector<int> results;
                                                           for (Query& query : queries) {
                                                               const Query own = std::move(query);
                                                               seen.push_back(own.id);
                                                               results.push_back(*own.more);
                                                           }
                                                           return results;
                                                       },
                                                       {.batch_timeout = 0},
                                                       deduplicate_by(&Query::id)};
    Reply<int> replies[3];
    for (int i = 0; i < 3; ++i) {
        batcher.async_process(Query{i / 2, std::make_unique<int>(10 + i)}, into(replies[i]));
    }
    settle(context);
    CHECK(seen == std::vector<int>{0, 1});
    CHECK(replies[0].value == 10);  // that of the first of them
    CHECK(replies[1].value == 10);
    CHECK(replies[2].value == 12);
}

TEST_CASE("an item is equal to those that wait after it was moved into the batch no more") {
    aio::io_context context;
    std::vector<std::vector<std::string>> seen;
    batching::Batcher<std::string, std::size_t, ManualClock>* again = nullptr;
    Reply<std::size_t> later;
    batching::Batcher<std::string, std::size_t, ManualClock> batcher{
        context,
        [&](std::vector<std::string> items) {
            seen.push_back(items);
            if (seen.size() == 1) again->async_process(std::string(40, 'z'), into(later));
            std::vector<std::size_t> sizes;
            for (const auto& item : items) sizes.push_back(item.size());
            return sizes;
        },
        {.batch_timeout = 0},
        deduplicate()};
    again = &batcher;
    Reply<std::size_t> replies[2];
    for (auto& reply : replies) batcher.async_process(std::string(40, 'z'), into(reply));
    settle(context);
    CHECK(seen.size() == 2);
    for (const auto& batch : seen) CHECK(batch == std::vector<std::string>{std::string(40, 'z')});
    for (const auto& reply : replies) CHECK(reply.value == 40U);
    CHECK(later.value == 40U);
}

TEST_CASE("equal items of different keys are not equal") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1ms},
                          deduplicate_by([](int item) { return item % 10; }),
                          key_by([](int item) { return item / 10; })};
    f.ask(batcher, 11);
    ManualClock::advance(1ns);
    f.ask_all(batcher, {21, 11, 21});
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{11}, {21}});
    f.check_once();
}

TEST_CASE("equal items of one process_many() share a place, and each has its result") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 0}, deduplicate()};
    auto many = batcher.async_process_many({1, 1, 2, 1}, aio::use_future);
    auto each = batcher.async_process_each({2, 3, 3}, aio::use_future);
    settle(f.context);
    CHECK(many.get() == std::vector<int>{2, 2, 4, 2});
    const auto results = each.get();
    CHECK(results[0].value() == 4);
    CHECK(results[2].value() == 6);
    CHECK(f.batches.seen == Seen{{1, 2, 3}});
}

TEST_CASE("many equal items are as cheap to come, and to go, as few") {
    // (What looked through those that share a place, for each, would take hours.)
    Fixture f;
    ManualBatcher batcher{
        f.context, f.batches.doubling(), {.batch_timeout = no_timeout}, deduplicate()};
    constexpr int items = sanitized ? 20'000 : 200'000;
    for (int i = 0; i < items; ++i) {
        f.ask(batcher, 1, {.priority = i % 2 == 0 ? Priority::low : Priority::high});
    }
    SECTION("to the batch") {
        batcher.flush();
        settle(f.context);
        CHECK(f.batches.seen == Seen{{1}});
        CHECK(batcher.stats().completed == items);
    }
    SECTION("cancelled") {
        batcher.cancel();
        settle(f.context);
        CHECK(batcher.stats().cancelled == items);
    }
    CHECK(std::all_of(f.replies.begin(), f.replies.end(),
                      [](const auto& reply) { return reply.times == 1; }));
}

// ---- never a cache ---------------------------------------------------------------------------------------

TEST_CASE("a result is not given to a later call: nothing is cached") {
    Fixture f;
    int runs = 0;
    const bool join_running = GENERATE(false, true);
    ManualBatcher batcher{f.context,
                          [&](Batch items) {
                              ++runs;
                              for (int& item : items) item = runs;
                              return items;
                          },
                          {.batch_timeout = 0},
                          deduplicate({.join_running = join_running})};
    for (int i = 1; i <= 3; ++i) {
        auto& reply = f.ask(batcher, 1);
        settle(f.context);
        CHECK(reply.value == i);
    }
    CHECK(batcher.stats().deduplicated == 0);
}

TEST_CASE("an error is not given to a later call") {
    Fixture f;
    bool broken = true;
    const bool join_running = GENERATE(false, true);
    ManualBatcher batcher{f.context,
                          [&](Batch items) {
                              if (std::exchange(broken, false)) throw std::runtime_error("broken");
                              return items;
                          },
                          {.batch_timeout = 0},
                          deduplicate({.join_running = join_running})};
    auto& first = f.ask(batcher, 1);
    settle(f.context);
    auto& second = f.ask(batcher, 1);
    settle(f.context);
    CHECK(first.sentence() == "broken");
    CHECK(second.value == 1);
}

TEST_CASE("nothing is left of items that are over, however they ended") {
    aio::io_context context;
    {
        const bool join_running = GENERATE(false, true);
        batching::Batcher<Counted, int, ManualClock> batcher{
            context,
            [](const std::vector<Counted>& items) { return std::vector<int>(items.size(), 1); },
            {.batch_timeout = 1ms},
            deduplicate({.join_running = join_running})};
        std::deque<Reply<int>> replies;
        for (int i = 0; i < 10; ++i) {
            batcher.async_process(Counted(i % 3), {.timeout = i == 4 ? 500us : 1h},
                                  into(replies.emplace_back()));
        }
        SECTION("with results") {}
        SECTION("cancelled") { batcher.cancel(); }
        SECTION("late") { ManualClock::advance(2h); }
        ManualClock::advance(1ms);
        settle(context);
        CHECK(batcher.stats().waiting == 0);
        CHECK(Counted::alive == 0);
        for (const auto& reply : replies) CHECK(reply.times == 1);
    }
}

// ---- errors ----------------------------------------------------------------------------------------------

TEST_CASE("callers that share a place share its error, and others do not") {
    Fixture f;
    ManualBatcher batcher{
        f.context,
        [](const Batch& items) {
            std::vector<Result<int>> results;
            for (const int item : items) {
                if (item == 1) {
                    results.emplace_back(std::make_exception_ptr(std::runtime_error("not 1")));
                } else {
                    results.emplace_back(item);
                }
            }
            return results;
        },
        {.batch_timeout = 0},
        deduplicate()};
    f.ask_all(batcher, {1, 2, 1, 2, 2});
    settle(f.context);
    for (const std::size_t i : {0U, 2U}) CHECK(f.replies[i].sentence() == "not 1");
    for (const std::size_t i : {1U, 3U, 4U}) CHECK(f.replies[i].value == 2);
    CHECK(batcher.stats().failed == 2);
    CHECK(batcher.stats().completed == 3);
}

TEST_CASE("a function that throws, or returns too few, fails all who share its places") {
    Fixture f;
    ManualBatcher throwing{f.context,
                           [](const Batch&) -> Batch { throw std::runtime_error("broken"); },
                           {.batch_timeout = 0},
                           deduplicate()};
    ManualBatcher short_of{
        f.context, [](const Batch&) { return Batch{}; }, {.batch_timeout = 0}, deduplicate()};
    f.ask_all(throwing, {1, 2, 1});
    f.ask_all(short_of, {1, 2, 1});
    settle(f.context);
    for (std::size_t i = 0; i < 3; ++i) CHECK(f.replies[i].sentence() == "broken");
    for (std::size_t i = 3; i < 6; ++i) {
        CHECK(f.replies[i].failed_with(errc::result_count_mismatch));
        CHECK(f.replies[i].sentence() == "the batch function returned 0 results for 2 items");
    }
    CHECK(throwing.stats().failed == 3);
    f.check_once();
}

// Cannot be moved into its batch once the test says so.
struct Sticky {
    explicit Sticky(int v) : value(v) {}
    Sticky(const Sticky&) = default;
    Sticky& operator=(const Sticky&) = default;
    Sticky(Sticky&& other) : value(other.value) {
        if (sticks && value == 1) throw std::runtime_error("it sticks");
    }
    Sticky& operator=(Sticky&&) = default;
    bool operator==(const Sticky&) const = default;

    int value;
    inline static bool sticks = false;
};

}  // namespace deduplicate_test

template <>
struct std::hash<deduplicate_test::Sticky> {
    std::size_t operator()(const deduplicate_test::Sticky& sticky) const noexcept {
        return std::hash<int>{}(sticky.value);
    }
};

namespace deduplicate_test {

TEST_CASE("an item whose move constructor throws fails those who share its place, and only those") {
    aio::io_context context;
    std::vector<int> seen;
    const bool join_running = GENERATE(false, true);
    batching::Batcher<Sticky, int, ManualClock> batcher{
        context,
        [&](const std::vector<Sticky>& items) {
            for (const Sticky& item : items) seen.push_back(item.value);
            return seen;
        },
        {.batch_timeout = 1ms},
        deduplicate({.join_running = join_running})};
    std::deque<Reply<int>> replies;
    const int items[] = {0, 1, 2, 1, 0, 2, 3, 3};
    for (const int item : items) {
        batcher.async_process(Sticky(item), into(replies.emplace_back()));
    }
    Sticky::sticks = true;
    ManualClock::advance(1ms);
    settle(context);
    Sticky::sticks = false;
    CHECK(seen == std::vector<int>{0, 2, 3});
    for (std::size_t i = 0; i < replies.size(); ++i) {
        CAPTURE(i);
        CHECK(replies[i].times == 1);
        if (items[i] == 1) {
            CHECK(replies[i].sentence() == "it sticks");
        } else {
            CHECK(replies[i].value == items[i]);
        }
    }
    CHECK(batcher.stats().failed == 2);
    CHECK(batcher.stats().completed == 6);
    Reply<int> again;
    seen.clear();
    batcher.async_process(Sticky(1), into(again));
    ManualClock::advance(1ms);
    settle(context);
    CHECK(again.value == 1);
}

TEST_CASE("if a rule throws that caller alone gets the exception, and what is equal goes on") {
    Fixture f;
    bool throws = false;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1ms},
                          key_by([](int item) { return item / 10; }),
                          deduplicate_by([&](int item) {
                              if (throws) throw std::runtime_error("no id");
                              return item;
                          })};
    f.ask(batcher, 1);
    throws = true;
    auto& bad = f.ask(batcher, 1);
    throws = false;
    f.ask(batcher, 1);
    f.advance(1ms);
    CHECK(bad.sentence() == "no id");
    CHECK(f.replies[0].value == 2);
    CHECK(f.replies[2].value == 2);
    f.check_once();
    CHECK(f.batches.seen == Seen{{1}});
}

// ---- who goes touches nobody else ------------------------------------------------------------------------

TEST_CASE("a caller that goes while it waits leaves the place to the others, whoever came first") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 10ms}, deduplicate()};
    const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
    SECTION("the first") {
        const Owned first = wait(1);
        f.ask_all(batcher, {1, 1});
    }
    SECTION("another") {
        f.ask(batcher, 1);
        {
            const Owned second = wait(1);
        }
        f.ask(batcher, 1);
    }
    CHECK(batcher.stats().cancelled == 1);
    CHECK(batcher.stats().waiting == 2);
    f.advance(10ms);
    CHECK(f.batches.seen == Seen{{1}});
    for (const auto& reply : f.replies) CHECK(reply.value == 2);
    f.check_once();
}

TEST_CASE("who takes over a place has waited as long as that") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 10ms}, deduplicate()};
    {
        const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
        const Owned first = wait(1);
        ManualClock::advance(4ms);
        f.ask(batcher, 2);
        ManualClock::advance(4ms);
        f.ask(batcher, 1);
    }
    f.advance(2ms);
    CHECK(f.batches.seen == Seen{{1, 2}});
}

TEST_CASE(
    "when the last caller goes the place is empty, and the next equal item has one of its own") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 10ms}, deduplicate()};
    {
        const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
        const Owned first = wait(1);
        const Owned second = wait(1);
        f.advance(9ms);
    }
    CHECK(batcher.stats().waiting == 0);
    f.ask(batcher, 1);
    f.advance(9ms);
    CHECK(f.batches.seen.empty());
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{1}});
}

TEST_CASE("a caller that goes while its batch runs touches nobody who shares its place") {
    Fixture f;
    ManualBatcher batcher{f.context, f.gate.doubling(), {.batch_timeout = 0}, deduplicate()};
    const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
    Owned first = wait(1);
    f.ask(batcher, 1);
    Owned third = wait(1);
    settle(f.context);
    REQUIRE(f.gate.started == Seen{{1}});
    SECTION("the first") { first.destroy(); }
    SECTION("another") { third.destroy(); }
    SECTION("both") {
        third.destroy();
        first.destroy();
    }
    f.gate.open();
    settle(f.context);
    CHECK(f.replies[0].value == 2);
    f.check_once();
}

TEST_CASE("the batch is stopped when all who share its places have gone, and not before") {
    Fixture f;
    ManualBatcher batcher{f.context, f.gate.doubling(), {.batch_timeout = 0}, deduplicate()};
    const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
    Owned first = wait(1);
    Owned second = wait(1);
    settle(f.context);
    first.destroy();
    settle(f.context);
    CHECK(batcher.stats().run_time.count() == 0);  // it runs
    second.destroy();
    settle(f.context);
    CHECK(batcher.stats().run_time.count() == 1);  // it was cancelled
    CHECK(batcher.stats().cancelled == 2);
}

TEST_CASE("one caller's cancellation touches nobody else") {
    Fixture f;
    const bool running = GENERATE(false, true);
    ManualBatcher batcher{
        f.context, f.gate.doubling(), {.batch_timeout = running ? 0ms : 10ms}, deduplicate()};
    aio::cancellation_signal signals[3];
    Reply<int> replies[3];
    for (int i = 0; i < 3; ++i) {
        batcher.async_process(1, aio::bind_cancellation_slot(signals[i].slot(), into(replies[i])));
    }
    settle(f.context);
    const std::size_t who = GENERATE(0U, 1U, 2U);
    signals[who].emit(aio::cancellation_type::terminal);
    settle(f.context);
    CHECK(replies[who].aborted());
    f.gate.open();
    f.advance(10ms);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(replies[i].times == 1);
        if (i != who) CHECK(replies[i].value == 2);
    }
}

TEST_CASE("one caller's timeout touches nobody else") {
    Fixture f;
    const bool running = GENERATE(false, true);
    ManualBatcher batcher{
        f.context, f.gate.doubling(), {.batch_timeout = running ? 0ms : 10ms}, deduplicate()};
    const std::size_t who = GENERATE(0U, 1U, 2U);
    for (std::size_t i = 0; i < 3; ++i) {
        f.ask(batcher, 1, {.timeout = i == who ? std::chrono::nanoseconds(5ms) : no_timeout});
    }
    f.advance(5ms);
    CHECK(f.replies[who].failed_with(errc::deadline_exceeded));
    f.gate.open();
    f.advance(5ms);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(f.replies[i].times == 1);
        if (i != who) CHECK(f.replies[i].value == 2);
    }
    CHECK(batcher.stats().expired == 1);
}

TEST_CASE("cancel() and the end of the Batcher complete all who share a place, each once") {
    Fixture f;
    {
        ManualBatcher batcher{
            f.context, f.batches.doubling(), {.batch_timeout = no_timeout}, deduplicate()};
        f.ask_all(batcher, {1, 1, 2, 1});
        SECTION("cancel()") {
            batcher.cancel();
            CHECK(batcher.stats().cancelled == 4);
        }
        SECTION("the end") {}
    }
    settle(f.context);
    for (const auto& reply : f.replies) CHECK(reply.aborted());
    f.check_once();
}

// ---- classes and room ------------------------------------------------------------------------------------

TEST_CASE("a place has the highest priority of those who share it, for as long as they do") {
    Fixture f;
    ManualBatcher batcher{
        f.context, f.gate.doubling(), {.max_batch_size = 1, .batch_timeout = 0}, deduplicate()};
    f.ask(batcher, 0);
    settle(f.context);
    f.ask(batcher, 1, {.priority = Priority::low});
    f.ask(batcher, 2);
    {
        const auto wait = [&](int item, Priority priority) -> Owned {
            co_await batcher.process(item, {.priority = priority});
        };
        const Owned goes = wait(1, Priority::high);
        SECTION("one of them is of the highest") {
            f.ask(batcher, 1, {.priority = Priority::high});
            f.gate.open();
            settle(f.context);
            CHECK(f.gate.started == Seen{{0}, {1}, {2}});
        }
    }
    SECTION("it has gone") {
        f.gate.open();
        settle(f.context);
        CHECK(f.gate.started == Seen{{0}, {2}, {1}});
    }
    f.check_once();
}

TEST_CASE("an equal item takes no room, so it is not refused where the queue is full") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1ms, .max_queue_size = 2},
                          deduplicate()};
    f.ask(batcher, 1, {.priority = Priority::low});
    f.ask(batcher, 2);
    f.ask(batcher, 1, {.priority = Priority::high});
    f.ask(batcher, 2);
    auto& refused = f.ask(batcher, 3);
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{1, 2}});
    CHECK(refused.failed_with(errc::overloaded));
    CHECK(batcher.stats().completed == 4);
    f.check_once();
}

TEST_CASE("all who share a place that is displaced are told, each once") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1ms, .max_queue_size = 1},
                          deduplicate()};
    for (int i = 0; i < 3; ++i) f.ask(batcher, 1, {.priority = Priority::low});
    f.ask(batcher, 2, {.priority = Priority::high});
    f.advance(1ms);
    for (std::size_t i = 0; i < 3; ++i) CHECK(f.replies[i].failed_with(errc::overloaded));
    CHECK(f.batches.seen == Seen{{2}});
    CHECK(batcher.stats().rejected == 3);
    CHECK(batcher.stats().submitted == 1);
    f.check_once();
}

// ---- joining what runs -----------------------------------------------------------------------------------

TEST_CASE("items join one that waits, and one that runs only with join_running") {
    Fixture f;
    SECTION("without") {
        ManualBatcher batcher{f.context, f.gate.doubling(), {.batch_timeout = 0}, deduplicate()};
        f.ask(batcher, 1);
        settle(f.context);
        f.ask_all(batcher, {1, 1});
        f.gate.open();
        settle(f.context);
        CHECK(f.gate.started == Seen{{1}, {1}});
        CHECK(batcher.stats().deduplicated == 1);
    }
    SECTION("with") {
        ManualBatcher batcher{f.context,
                              f.gate.doubling(),
                              {.batch_timeout = 0},
                              deduplicate({.join_running = true})};
        f.ask_all(batcher, {2, 1});
        settle(f.context);
        f.ask_all(batcher, {1, 1, 3});
        CHECK(batcher.stats().running == 4);
        CHECK(batcher.stats().waiting == 1);
        f.gate.open();
        settle(f.context);
        CHECK(f.gate.started == Seen{{2, 1}, {3}});
        CHECK(batcher.stats().deduplicated == 2);
        CHECK(batcher.stats().completed == 5);
    }
    for (const auto& reply : f.replies) CHECK(reply.value.has_value());
    f.check_once();
}

// Does something when it is moved, once.
struct Moving {
    explicit Moving(int of) : key(of) {}
    Moving(Moving&& other) : key(other.key) {
        if (on_move) std::exchange(on_move, nullptr)();
    }
    int key;
    inline static std::function<void()> on_move;
};

TEST_CASE("an item joins one that is on its way into its batch") {
    Fixture f;
    std::vector<std::size_t> sizes;
    batching::Batcher<Moving, int, ManualClock> batcher{
        f.context,
        [&](std::vector<Moving> items) {
            sizes.push_back(items.size());
            return std::vector<int>(items.size(), 7);
        },
        {.batch_timeout = 0},
        deduplicate_by([](const Moving& item) { return item.key; }, {.join_running = true})};
    std::vector<int> results;
    const auto ask = [&] {
        batcher.async_process(Moving(1),
                              [&](const std::exception_ptr&, int r) { results.push_back(r); });
    };
    ask();
    Moving::on_move = ask;
    settle(f.context);
    CHECK(sizes == std::vector<std::size_t>{1});
    CHECK(results == std::vector<int>{7, 7});
    CHECK(batcher.stats().deduplicated == 1);
}

TEST_CASE("who joins one that runs may go, expire, and gets its error") {
    Fixture f;
    bool fails = false;
    ManualBatcher batcher{f.context,
                          [&](const Batch& items) -> aio::awaitable<Batch> {
                              auto doubled = co_await f.gate.doubling()(items);
                              if (fails) throw std::runtime_error("broken");
                              co_return doubled;
                          },
                          {.batch_timeout = 0},
                          deduplicate({.join_running = true})};
    f.ask(batcher, 1);
    settle(f.context);
    const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
    {
        const Owned goes = wait(1);
    }
    auto& late = f.ask(batcher, 1, {.timeout = 1ms});
    auto& stays = f.ask(batcher, 1);
    f.advance(1ms);
    CHECK(late.failed_with(errc::deadline_exceeded));
    SECTION("a value") {
        f.gate.open();
        settle(f.context);
        CHECK(stays.value == 2);
    }
    SECTION("an error") {
        fails = true;
        f.gate.open();
        settle(f.context);
        CHECK(stays.sentence() == "broken");
        CHECK(f.replies[0].sentence() == "broken");
        CHECK(batcher.stats().failed == 2);
    }
    CHECK(batcher.stats().cancelled == 1);
    f.check_once();
}

TEST_CASE("who joins one that runs keeps it running when the others go") {
    Fixture f;
    ManualBatcher batcher{
        f.context, f.gate.doubling(), {.batch_timeout = 0}, deduplicate({.join_running = true})};
    const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
    {
        const Owned first = wait(1);
        settle(f.context);
        f.ask(batcher, 1);
    }
    settle(f.context);
    f.gate.open();
    settle(f.context);
    CHECK(f.replies[0].value == 2);
    CHECK(f.gate.started.size() == 1);
}

TEST_CASE("nobody joins a batch that is being stopped, as everybody in it has gone") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.gate.doubling(),
                          {.batch_timeout = 0, .max_concurrent_batches = 2},
                          deduplicate({.join_running = true})};
    const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
    {
        const Owned goes = wait(1);
        settle(f.context);
    }
    auto& next = f.ask(batcher, 1);
    settle(f.context);
    f.gate.open();
    settle(f.context);
    CHECK(next.value == 2);
    CHECK(f.gate.started.size() == 2);
}

TEST_CASE("a closed Batcher takes no joiners") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.gate.doubling(),
                          {.max_batch_size = 1, .batch_timeout = 0},
                          deduplicate({.join_running = true})};
    f.ask_all(batcher, {1, 2});
    settle(f.context);
    batcher.close();
    f.ask_all(batcher, {1, 2});
    settle(f.context);
    CHECK(f.replies[2].failed_with(errc::closed));
    CHECK(f.replies[3].failed_with(errc::closed));
    f.gate.open();
    settle(f.context);
    f.check_once();
}

}  // namespace deduplicate_test
