// What users rely on: who is served first, who makes room when the queue is full, and that nobody starves.
#include "asking.hpp"

#include <algorithm>
#include <deque>
#include <stdexcept>

namespace priority_test {

using namespace test;
using batching::CallOptions;
using batching::errc;
using batching::no_timeout;
using batching::Priority;

// One slot, which is busy until the test opens the gate.
struct Fixture {
    explicit Fixture(batching::Options options = {.max_batch_size = 1})
        : batcher(context, gate.doubling(), at_once(options)) {
        ask(0);
        settle(context);
        gate.started.clear();
    }

    static batching::Options at_once(batching::Options options) {
        options.batch_timeout = 0;
        return options;
    }

    Reply<int>& ask(int item) {
        Reply<int>& reply = replies.emplace_back();
        batcher.async_process(item, into(reply));
        return reply;
    }
    Reply<int>& ask(int item, Priority priority) {
        Reply<int>& reply = replies.emplace_back();
        batcher.async_process(item, {.priority = priority}, into(reply));
        return reply;
    }
    // The batches that the busy slot gets one after the other.
    const Seen& served() {
        gate.open();
        settle(context);
        return gate.started;
    }

    aio::io_context context;
    Gate gate{context};
    std::deque<Reply<int>> replies;
    ManualBatcher batcher;
};

// ---- who is served first ---------------------------------------------------------------------------------

TEST_CASE("higher classes are served first, in arrival order within a class") {
    Fixture f;
    f.ask(1, Priority::low);
    f.ask(2, Priority::normal);
    f.ask(3, Priority::high);
    f.ask(4, Priority::low);
    f.ask(5, Priority::normal);
    f.ask(6, Priority::high);
    CHECK(f.served() == Seen{{3}, {6}, {2}, {5}, {1}, {4}});
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
}

TEST_CASE("one batch may hold several classes") {
    Fixture f({.max_batch_size = 4});
    f.ask(1, Priority::low);
    f.ask(2, Priority::low);
    f.ask(3, Priority::high);
    f.ask(4);
    f.ask(5);
    CHECK(f.served() == Seen{{3, 4, 5, 1}, {2}});
}

TEST_CASE(
    "a call that says nothing is of normal priority, in arrival order with those that say so") {
    Fixture f;
    f.ask(1, Priority::normal);
    f.ask(2);
    Reply<int> reply;
    f.batcher.async_process(3, {}, into(reply));
    f.ask(4);
    f.ask(5, Priority::normal);
    f.ask(6);
    CHECK(f.served() == Seen{{1}, {2}, {3}, {4}, {5}, {6}});
}

TEST_CASE("calls that ask for something and calls that do not fill a batch together") {
    for (unsigned asking = 0; asking < 1U << 4U; ++asking) {
        CAPTURE(asking);
        aio::io_context context;
        Seen seen;
        ManualBatcher batcher{context,
                              [&](Batch items) {
                                  seen.push_back(items);
                                  return items;
                              },
                              {.max_batch_size = 4, .batch_timeout = no_timeout}};
        std::deque<Reply<int>> replies;
        for (int item = 0; item < 4; ++item) {
            Reply<int>& reply = replies.emplace_back();
            if ((asking >> static_cast<unsigned>(item) & 1U) == 0) {
                batcher.async_process(item, into(reply));
            } else if (item % 2 == 0) {
                batcher.async_process(item, {.priority = Priority::normal}, into(reply));
            } else {
                batcher.async_process(item, {.timeout = 1s}, into(reply));
            }
            settle(context);
        }
        CHECK(seen == Seen{{0, 1, 2, 3}});
    }
}

TEST_CASE("many items of one call keep their order within their class") {
    Fixture f;
    std::vector<int> values;
    f.batcher.async_process_many({1, 2}, {.priority = Priority::low},
                                 [](const std::exception_ptr&, std::vector<int>) {});
    f.batcher.async_process_many(
        {3, 4}, {.priority = Priority::high},
        [&](const std::exception_ptr&, std::vector<int> results) { values = std::move(results); });
    f.batcher.async_process_many({5, 6}, [](const std::exception_ptr&, std::vector<int>) {});
    CHECK(f.served() == Seen{{3}, {4}, {5}, {6}, {1}, {2}});
    CHECK(values == std::vector<int>{6, 8});
}

TEST_CASE("a batch leaves when the oldest item has waited batch_timeout, whatever its class") {
    aio::io_context context;
    Batches batches;
    ManualBatcher batcher(context, batches.doubling(), {.batch_timeout = 10ms});
    Reply<int> low;
    Reply<int> high;
    batcher.async_process(1, {.priority = Priority::low}, into(low));
    ManualClock::advance(9ms);
    batcher.async_process(2, {.priority = Priority::high}, into(high));
    settle(context);
    CHECK(batches.seen.empty());
    ManualClock::advance(1ms);
    settle(context);
    CHECK(batches.seen == Seen{{2, 1}});
}

TEST_CASE("flush(), close() and cancel() are for all classes") {
    aio::io_context context;
    Batches batches;
    ManualBatcher batcher(context, batches.doubling(), {.batch_timeout = no_timeout});
    Reply<int> replies[3];
    for (int i = 0; i < 3; ++i) {
        batcher.async_process(i, {.priority = static_cast<Priority>(i)}, into(replies[i]));
    }
    settle(context);
    CHECK(batches.seen.empty());
    SECTION("flush()") {
        batcher.flush();
        settle(context);
        CHECK(batches.seen == Seen{{2, 1, 0}});
    }
    SECTION("close()") {
        batcher.close();
        settle(context);
        CHECK(batches.seen == Seen{{2, 1, 0}});
    }
    SECTION("cancel()") {
        batcher.cancel();
        settle(context);
        CHECK(batches.seen.empty());
        for (const auto& reply : replies) CHECK(reply.aborted());
    }
    for (const auto& reply : replies) CHECK(reply.times == 1);
}

TEST_CASE("a Batcher that is destroyed completes the calls of all classes, each once") {
    Reply<int> replies[3];
    aio::io_context context;
    {
        Batches batches;
        ManualBatcher batcher(context, batches.doubling(), {.batch_timeout = no_timeout});
        for (int i = 0; i < 3; ++i) {
            batcher.async_process(i, {.priority = static_cast<Priority>(i)}, into(replies[i]));
        }
        settle(context);
    }
    settle(context);
    for (const auto& reply : replies) {
        CHECK(reply.aborted());
        CHECK(reply.times == 1);
    }
}

TEST_CASE("a caller of any class that goes is served no more, and the others keep their order") {
    Fixture f;
    f.ask(1, Priority::low);
    f.ask(2, Priority::high);
    {
        const auto wait = [&](int item, Priority priority) -> Owned {
            co_await f.batcher.process(item, {.priority = priority});
        };
        const Owned low = wait(11, Priority::low);
        const Owned normal = wait(12, Priority::normal);
        const Owned high = wait(13, Priority::high);
        f.ask(3, Priority::low);
        f.ask(4, Priority::normal);
        f.ask(5, Priority::high);
        CHECK(f.batcher.stats().waiting == 8);
    }
    CHECK(f.batcher.stats().waiting == 5);
    CHECK(f.served() == Seen{{2}, {5}, {4}, {1}, {3}});
}

// ---- nobody starves --------------------------------------------------------------------------------------

TEST_CASE("an item that has waited for priority_aging counts as high, and no earlier") {
    Fixture f({.max_batch_size = 1, .priority_aging = 10ms});
    f.ask(1, Priority::low);
    f.ask(2, Priority::normal);
    ManualClock::advance(1ms);
    f.ask(3, Priority::high);
    ManualClock::advance(9ms - 1ns);
    SECTION("a moment before") { CHECK(f.served() == Seen{{3}, {2}, {1}}); }
    SECTION("then those that came first are served first, as high ones are") {
        ManualClock::advance(1ns);
        CHECK(f.served() == Seen{{2}, {1}, {3}});
    }
}

TEST_CASE("an item has waited for priority_aging after a second, unless told otherwise") {
    Fixture f;
    f.ask(1, Priority::low);
    ManualClock::advance(1s - 1ns);
    f.ask(2, Priority::high);
    SECTION("just before") { CHECK(f.served() == Seen{{2}, {1}}); }
    SECTION("then") {
        ManualClock::advance(1ns);
        CHECK(f.served() == Seen{{1}, {2}});
    }
}

TEST_CASE("with a priority_aging of no_timeout classes are strict, however long it takes") {
    Fixture f({.max_batch_size = 1, .priority_aging = no_timeout});
    f.ask(1, Priority::low);
    ManualClock::advance(10'000h);
    f.ask(2, Priority::high);
    CHECK(f.served() == Seen{{2}, {1}});
}

TEST_CASE("with a priority_aging of 0 all are served in arrival order") {
    Fixture f({.max_batch_size = 1, .priority_aging = 0});
    for (int i = 1; i <= 3; ++i) {
        f.ask(i, static_cast<Priority>(i - 1));
        ManualClock::advance(1ns);
    }
    CHECK(f.served() == Seen{{1}, {2}, {3}});
}

TEST_CASE("the low class does not starve, although there are always items of the high one") {
    aio::io_context context;
    ManualBatcher* batcher = nullptr;
    std::deque<Reply<int>> replies;
    std::vector<int> seen;
    const auto ask = [&](int item, Priority priority) {
        batcher->async_process(item, {.priority = priority}, into(replies.emplace_back()));
    };
    ManualBatcher busy(context,
                       [&](Batch items) {
                           seen.push_back(items.front());
                           ManualClock::advance(1ms);
                           if (seen.size() < 100) ask(1, Priority::high);
                           return items;
                       },
                       {.max_batch_size = 1, .batch_timeout = 0, .priority_aging = 20ms});
    batcher = &busy;
    ask(1, Priority::high);
    ask(1, Priority::high);
    ask(-1, Priority::low);
    settle(context);
    const auto low = std::find(seen.begin(), seen.end(), -1) - seen.begin();
    CHECK(low >= 19);
    CHECK(low <= 23);
}

TEST_CASE("a priority_aging below 0 is refused") {
    try {
        const ManualBatcher batcher{Batches().doubling(), {.priority_aging = -1ns}};
        FAIL("it was accepted");
    } catch (const std::invalid_argument& error) {
        CHECK(error.what() == std::string("priority_aging must be 0 or more, not -1 ns"));
    }
}

// ---- who makes room --------------------------------------------------------------------------------------

TEST_CASE(
    "in a full queue an item takes the place of the newest one of the lowest class below it") {
    Fixture f({.max_batch_size = 1, .max_queue_size = 4});
    f.ask(1, Priority::low);
    f.ask(2, Priority::low);
    f.ask(3, Priority::normal);
    f.ask(4);
    const auto displaces = [&](std::size_t displaced, int item, Priority priority) {
        f.ask(item, priority);
        settle(f.context);
        CHECK(f.replies[displaced].failed_with(errc::overloaded));
        CHECK(f.replies[displaced].times == 1);
        CHECK(f.batcher.stats().waiting == 4);
    };
    displaces(2, 5, Priority::high);
    displaces(1, 6, Priority::normal);
    displaces(6, 7, Priority::high);  // the newest normal one
    displaces(4, 8, Priority::high);  // one that has said nothing
    CHECK(f.served() == Seen{{5}, {7}, {8}, {3}});
    const batching::Stats stats = f.batcher.stats();
    CHECK(stats.submitted == 5);
    CHECK(stats.rejected == 4);
    CHECK(stats.completed == 5);
    CHECK(stats.cancelled == 0);
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
}

TEST_CASE("an item for which no lower one waits is refused itself, and displaces nobody") {
    Fixture f({.max_batch_size = 1, .max_queue_size = 2});
    f.ask(1, Priority::normal);
    f.ask(2, Priority::high);
    const std::string sentence = "the queue is full: 2 of at most 2 items wait";
    for (const Priority priority : {Priority::low, Priority::normal}) {
        auto& refused = f.ask(3, priority);
        settle(f.context);
        CHECK(refused.failed_with(errc::overloaded));
        CHECK(refused.sentence() == sentence);
    }
    auto& plain = f.ask(4);
    settle(f.context);
    CHECK(plain.sentence() == sentence);
    CHECK(f.served() == Seen{{2}, {1}});
    CHECK(f.batcher.stats().rejected == 3);
}

TEST_CASE("a displaced caller is told so") {
    Fixture f({.max_batch_size = 1, .max_queue_size = 1});
    auto& displaced = f.ask(1, Priority::low);
    f.ask(2, Priority::high);
    settle(f.context);
    CHECK(displaced.failed_with(errc::overloaded));
    CAPTURE(displaced.sentence());
    CHECK(displaced.sentence().find("1") != std::string::npos);
    CHECK(displaced.sentence().find("higher priority") != std::string::npos);
}

TEST_CASE("process_many() displaces as many as it needs, and nobody if it does not fit") {
    Fixture f({.max_batch_size = 1, .max_queue_size = 4});
    f.ask(1, Priority::high);
    f.ask(2, Priority::low);
    f.ask(3, Priority::low);
    f.ask(4, Priority::low);
    std::exception_ptr failure;
    const auto tell = [&](std::exception_ptr error, std::vector<int>) { failure = error; };
    SECTION("it fits") {
        f.batcher.async_process_many({5, 6}, {.priority = Priority::high}, tell);
        CHECK(f.served() == Seen{{1}, {5}, {6}, {2}});
        CHECK(failure == nullptr);
        CHECK(f.batcher.stats().rejected == 2);
    }
    SECTION("it does not") {
        f.batcher.async_process_many({5, 6, 7, 8}, {.priority = Priority::high}, tell);
        CHECK(f.served() == Seen{{1}, {2}, {3}, {4}});
        CHECK(failure != nullptr);
        CHECK(f.batcher.stats().rejected == 4);
    }
}

TEST_CASE("the items of process_each() displace one by one, and never one another") {
    Fixture f({.max_batch_size = 1, .max_queue_size = 2});
    auto& low = f.ask(1, Priority::low);
    std::vector<batching::Result<int>> results;
    f.batcher.async_process_each(
        {5, 6, 7}, {.priority = Priority::high},
        [&](const std::exception_ptr&, std::vector<batching::Result<int>> r) { results = r; });
    CHECK(f.served() == Seen{{5}, {6}});
    CHECK(low.failed_with(errc::overloaded));
    REQUIRE(results.size() == 3);
    CHECK(results[0].value() == 10);
    CHECK(results[1].value() == 12);
    CHECK_FALSE(results[2].has_value());
}

TEST_CASE("an item of process_many() that is displaced fails the whole, once") {
    Fixture f({.max_batch_size = 1, .max_queue_size = 2});
    int completed = 0;
    std::exception_ptr failure;
    f.batcher.async_process_many({1, 2}, {.priority = Priority::low},
                                 [&](std::exception_ptr error, std::vector<int>) {
                                     ++completed;
                                     failure = std::move(error);
                                 });
    f.ask(3, Priority::high);
    CHECK(f.served() == Seen{{3}, {1}});
    CHECK(completed == 1);
    Reply<int> reply;
    reply.fail(failure);
    CHECK(reply.failed_with(errc::overloaded));
}

// ---- what stats() says -----------------------------------------------------------------------------------

TEST_CASE("stats() tells the waits of the high and of the low class apart") {
    Fixture f;
    f.ask(1, Priority::low);
    f.ask(2);
    ManualClock::advance(5ms);
    f.ask(3, Priority::high);
    ManualClock::advance(2ms);
    f.served();
    const batching::Stats stats = f.batcher.stats();
    CHECK(stats.wait_time.count() == 4);
    CHECK(stats.wait_time_high.count() == 1);
    CHECK(stats.wait_time_high.mean() == 2ms);
    CHECK(stats.wait_time_low.count() == 1);
    CHECK(stats.wait_time_low.mean() == 7ms);
}

}  // namespace priority_test
