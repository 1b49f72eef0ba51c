// observe(): who is told of batches, of what, and when.
#include <stdexcept>

#include "asking.hpp"
#include "catch.hpp"
#include "support.hpp"

namespace observe_test {

using namespace test;
using batching::BatchReport;
using batching::DispatchReason;

struct Reports {
    std::vector<BatchReport> seen;
    auto keep() {
        return batching::observe([this](const BatchReport& report) { seen.push_back(report); });
    }
};

std::string what(const std::exception_ptr& error) {
    Reply<int> reply;
    reply.fail(error);
    return reply.sentence();
}

TEST_CASE("an observer is told of every batch: which, why, how many, how long") {
    Asking asking;
    Reports reports;
    Gate gate(asking.context);
    batching::Batcher<int, int, ManualClock> batcher{asking.context,
                                                     gate.doubling(),
                                                     {.max_batch_size = 2, .batch_timeout = 10ms},
                                                     reports.keep()};
    asking.ask(batcher, 1);
    asking.advance(4ms);
    asking.ask(batcher, 2);
    settle(asking.context);
    CHECK(reports.seen.empty());  // it runs
    asking.advance(7ms);
    gate.open();
    settle(asking.context);
    asking.ask(batcher, 3);
    asking.advance(10ms);
    asking.ask(batcher, 4);
    batcher.flush();
    settle(asking.context);

    REQUIRE(reports.seen.size() == 3);
    const BatchReport& first = reports.seen[0];
    CHECK(first.number == 1);
    CHECK(first.reason == DispatchReason::full);
    CHECK(first.slot == 0);
    CHECK(first.size == 2);
    CHECK(first.weight == 2);
    CHECK(first.oldest_wait == 4ms);
    CHECK(first.run_time == 7ms);
    CHECK(first.failed == 0);
    CHECK(first.error == nullptr);
    CHECK(reports.seen[1].number == 2);
    CHECK(reports.seen[1].reason == DispatchReason::timeout);
    CHECK(reports.seen[1].oldest_wait == 10ms);
    CHECK(reports.seen[2].reason == DispatchReason::flushed);
    CHECK(reports.seen[2].oldest_wait == 0ms);
}

TEST_CASE("an observer is told with what a batch failed, and how many items failed alone") {
    Asking asking;
    Reports reports;
    batching::Batcher<int, int, ManualClock> whole{
        asking.context,
        [](std::vector<int>) -> std::vector<int> { throw std::runtime_error("no such table"); },
        {.max_batch_size = 2},
        reports.keep()};
    asking.ask_all(whole, {1, 2});
    settle(asking.context);
    REQUIRE(reports.seen.size() == 1);
    CHECK(reports.seen[0].failed == 2);
    CHECK(what(reports.seen[0].error) == "no such table");

    batching::Batcher<int, int, ManualClock> each{
        asking.context,
        [](const std::vector<int>& items) {
            std::vector<batching::Result<int>> results;
            for (const int item : items) {
                if (item < 0)
                    results.emplace_back(std::make_exception_ptr(std::runtime_error("negative")));
                else
                    results.emplace_back(item);
            }
            return results;
        },
        {.max_batch_size = 3},
        reports.keep()};
    asking.ask_all(each, {1, -2, 3});
    settle(asking.context);
    REQUIRE(reports.seen.size() == 2);
    CHECK(reports.seen[1].failed == 1);
    CHECK(reports.seen[1].error == nullptr);
}

TEST_CASE("a caller who has its result can rely on the report of its batch") {
    int told = 0;
    batching::Batcher batcher{[](std::vector<int> items) { return items; },
                              {.batch_timeout = 0ms},
                              batching::observe([&](const BatchReport&) { ++told; })};
    for (int i = 1; i <= 100; ++i) {
        batcher.process(i).get();
        REQUIRE(told == i);
    }
}

TEST_CASE("what an observer throws goes nowhere, and the next one is told all the same") {
    Reports reports;
    batching::Batcher batcher{
        [](std::vector<int> items) { return items; },
        {.batch_timeout = 0ms},
        batching::observe([](const BatchReport&) { throw std::runtime_error("full disk"); }),
        reports.keep()};
    CHECK(batcher.process(7).get() == 7);
    CHECK(batcher.process(8).get() == 8);
    CHECK(reports.seen.size() == 2);
}

TEST_CASE("an observer is told outside of the lock: it may call the Batcher") {
    Asking asking;
    std::vector<std::size_t> waiting;
    ManualBatcher* called = nullptr;
    ManualBatcher batcher{asking.context,
                          [](std::vector<int> items) { return items; },
                          {.max_batch_size = 2},
                          batching::observe([&](const BatchReport& report) {
                              waiting.push_back(called->stats().waiting);
                              if (report.number == 1) called->flush();
                          })};
    called = &batcher;
    asking.ask_all(batcher, {1, 2, 3});
    settle(asking.context);
    CHECK(waiting == std::vector<std::size_t>{1, 0});
    asking.check_once();
}

TEST_CASE("an observer stands beside rules for items, in any order, and is told weights") {
    Asking asking;
    Reports reports;
    ManualBatcher batcher{asking.context,
                          asking.batches.doubling(),
                          {.max_batch_size = 8, .max_batch_weight = 10},
                          reports.keep(),
                          batching::weigh([](int item) { return static_cast<std::size_t>(item); }),
                          batching::deduplicate()};
    asking.ask_all(batcher, {6, 6, 4});
    settle(asking.context);
    REQUIRE(reports.seen.size() == 1);
    CHECK(reports.seen[0].size == 2);
    CHECK(reports.seen[0].weight == 10);
    CHECK(reports.seen[0].reason == DispatchReason::full);
}

TEST_CASE("the wait of the oldest item is reported whatever the order of service") {
    Asking asking;
    Reports reports;
    ManualBatcher batcher{
        asking.context, asking.batches.doubling(), {.max_batch_size = 2}, reports.keep()};
    asking.ask(batcher, 1, {.priority = batching::Priority::low});
    ManualClock::advance(500us);
    asking.ask(batcher, 2, {.priority = batching::Priority::high});
    settle(asking.context);
    REQUIRE(reports.seen.size() == 1);
    CHECK(reports.seen[0].oldest_wait == 500us);
}

TEST_CASE("the failed of a report are those who still waited for the batch") {
    Asking asking;
    Reports reports;
    Gate gate(asking.context);
    ManualBatcher batcher{asking.context,
                          [&](std::vector<int> items) -> aio::awaitable<std::vector<int>> {
                              const auto answers = co_await gate.doubling()(items);
                              throw std::runtime_error(fmt::format("{} items", answers.size()));
                          },
                          {.max_batch_size = 3},
                          reports.keep()};
    aio::cancellation_signal signal;
    Reply<int> cancelled;
    batcher.async_process(1, aio::bind_cancellation_slot(signal.slot(), into(cancelled)));
    asking.ask_all(batcher, {2, 3});
    settle(asking.context);
    signal.emit(aio::cancellation_type::terminal);
    gate.open();
    settle(asking.context);
    REQUIRE(reports.seen.size() == 1);
    CHECK(reports.seen[0].size == 3);
    CHECK(reports.seen[0].failed == 2);
    CHECK(what(reports.seen[0].error) == "3 items");
}

}  // namespace observe_test
