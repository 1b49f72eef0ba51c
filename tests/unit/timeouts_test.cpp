// What users rely on: a call may say by when it wants its result (CallOptions::timeout), and then it either gets it in
// time or is told so at once.
#include "asking.hpp"
#include "sanitized.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <future>
#include <random>

namespace timeouts_test {

using namespace test;
using batching::CallOptions;
using batching::errc;
using batching::no_timeout;

using Lookups = batching::Batcher<std::string, std::size_t, ManualClock>;

using Fixture = Asking;

// ---- what a timeout means --------------------------------------------------------------------------------

TEST_CASE("a call whose timeout passes while it waits fails at that moment, and never runs") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(), {.batch_timeout = 1h});
    auto& hurried = f.ask(batcher, 1, {.timeout = 5ms});
    auto& patient = f.ask(batcher, 2);
    f.advance(5ms - 1ns);
    CHECK(hurried.pending());
    f.advance(1ns);
    CHECK(hurried.failed_with(errc::deadline_exceeded));
    CHECK(hurried.sentence() ==
          "the deadline has passed while the item waited for its batch: 2 items wait");
    CHECK(batcher.stats().expired == 1);
    CHECK(batcher.stats().waiting == 1);
    f.advance(1h);
    CHECK(f.batches.seen == Seen{Batch{2}});
    CHECK(patient.value == 4);
    CHECK(hurried.times == 1);
}

TEST_CASE("a call whose timeout passes while it runs fails at that moment, and no other") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher(f.context, gate.doubling(), {.max_batch_size = 2, .batch_timeout = 1h});
    auto& hurried = f.ask(batcher, 1, {.timeout = 5ms});
    auto& patient = f.ask(batcher, 2);
    settle(f.context);
    REQUIRE(gate.started == Seen{Batch{1, 2}});
    f.advance(5ms - 1ns);
    CHECK(hurried.pending());
    f.advance(1ns);
    CHECK(hurried.failed_with(errc::deadline_exceeded));
    CHECK(hurried.sentence() == "the deadline has passed while the item's batch was running");
    CHECK(batcher.stats().expired == 1);
    CHECK(batcher.stats().running == 1);
    gate.open();
    settle(f.context);
    CHECK(patient.value == 4);
    CHECK(hurried.times == 1);
    CHECK(batcher.stats().completed == 1);
}

TEST_CASE("the time of a call starts when it is awaited, not when its operation is made") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(), {.batch_timeout = 4ms});
    auto operation = batcher.process(1, {.timeout = 5ms});
    ManualClock::advance(1h);
    Reply<int> reply;
    std::move(operation)(into(reply));
    settle(f.context);
    CHECK(reply.pending());
    f.advance(4ms);
    CHECK(reply.value == 2);
}

TEST_CASE("a call that says nothing never expires") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(), {.batch_timeout = no_timeout});
    f.ask(batcher, 1);
    f.ask(batcher, 2, {});
    f.ask(batcher, 3, {.timeout = no_timeout});
    f.ask(batcher, 4, {.timeout = std::chrono::hours::max()});
    f.ask(batcher, 5, {.timeout = std::chrono::nanoseconds::max() - 1ns});
    f.advance(10'000h);
    CHECK(batcher.stats().waiting == 5);
    batcher.flush();
    settle(f.context);
    for (const auto& reply : f.replies) CHECK(reply.value.has_value());
    CHECK(batcher.stats().expired == 0);
}

TEST_CASE("a timeout of 0, or less, has passed at once: the item never runs") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(), {.max_batch_size = 1});
    const auto late = f.ask(batcher, 1, {.timeout = 0}).times;
    CHECK(late == 0);  // never inside the call
    f.ask(batcher, 2, {.timeout = -1ns});
    f.ask(batcher, 3, {.timeout = std::chrono::hours::min()});
    settle(f.context);
    for (const auto& reply : f.replies) {
        CHECK(reply.failed_with(errc::deadline_exceeded));
        CHECK(reply.times == 1);
    }
    CHECK(f.batches.seen.empty());
    CHECK(batcher.stats().expired == 3);
}

TEST_CASE("the place of an item that expires is refilled") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(), {.max_batch_size = 2});
    // The batch is to start, and the executor is busy until the timeout has passed.
    aio::post(f.context, [&] { ManualClock::advance(6ms); });
    f.ask(batcher, 1, {.timeout = 5ms});
    f.ask(batcher, 2);
    f.ask(batcher, 3);
    settle(f.context);
    CHECK(f.replies[0].failed_with(errc::deadline_exceeded));
    CHECK(f.batches.seen == Seen{Batch{2, 3}});
    CHECK(f.replies[1].value == 4);
    CHECK(f.replies[2].value == 6);
}

TEST_CASE("calls expire in the order of their deadlines, whatever the order they came in") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 100, .batch_timeout = no_timeout});
    for (const auto timeout : {3ms, 1ms, 5ms, 2ms, 4ms}) f.ask(batcher, 0, {.timeout = timeout});
    std::vector<std::string> seen;
    for (int i = 0; i < 5; ++i) {
        f.advance(1ms);
        std::string& pending = seen.emplace_back();
        for (const auto& reply : f.replies) pending += reply.pending() ? 'x' : '-';
    }
    CHECK(seen == std::vector<std::string>{"x-xxx", "x-x-x", "--x-x", "--x--", "-----"});
}

TEST_CASE("a call that expires as its batch ends is completed once") {
    Fixture f;
    ManualBatcher batcher(f.context,
                          [](Batch items) {
                              ManualClock::advance(10ms);
                              return items;
                          },
                          {.batch_timeout = 0});
    f.ask(batcher, 1, {.timeout = 10ms});
    f.ask(batcher, 2, {.timeout = 5ms});
    settle(f.context);
    f.advance(1h);
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
    const batching::Stats stats = batcher.stats();
    CHECK(stats.completed + stats.expired == 2);
}

std::function<void()> on_move;

struct Curious {
    explicit Curious(int v) : value(v) {}
    Curious(Curious&& other) noexcept : value(other.value) {
        if (on_move && value == 1) std::exchange(on_move, nullptr)();
    }
    Curious& operator=(Curious&&) = default;
    int value;
};

TEST_CASE("an item that expires while items are moved into its batch does not disturb those") {
    aio::io_context context;
    batching::Batcher<Curious, int, ManualClock> batcher{
        context,
        [](std::vector<Curious> items) {
            std::vector<int> values;
            for (const auto& item : items) values.push_back(item.value);
            return values;
        },
        {.max_batch_size = 3, .batch_timeout = 1h}};
    Reply<int> replies[3];
    batcher.async_process(Curious(1), into(replies[0]));
    batcher.async_process(Curious(2), {.timeout = 5ms}, into(replies[1]));
    batcher.async_process(Curious(3), into(replies[2]));
    on_move = [&] {
        ManualClock::advance(5ms);
        CHECK(batcher.stats().running == 3);  // it looks at what has expired
    };
    settle(context);
    CHECK_FALSE(on_move);
    CHECK(replies[0].value == 1);
    CHECK(replies[1].failed_with(errc::deadline_exceeded));
    CHECK(replies[1].times == 1);
    CHECK(replies[2].value == 3);
}

TEST_CASE("a timeout holds after close(), too, and drain() waits for nobody who is late") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher(f.context, gate.doubling(), {.max_batch_size = 1});
    f.ask(batcher, 1, {.timeout = 5ms});
    f.ask(batcher, 2, {.timeout = 6ms});
    settle(f.context);
    bool drained = false;
    batcher.async_drain([&](const std::exception_ptr&) { drained = true; });
    f.advance(6ms);
    CHECK(f.replies[0].failed_with(errc::deadline_exceeded));
    CHECK(f.replies[1].failed_with(errc::deadline_exceeded));
    CHECK(drained);  // nobody waited for the asynchronous function any more, so it was cancelled
    CHECK(gate.started == Seen{Batch{1}});
}

TEST_CASE("run() returns when the last caller has its result: no timeout keeps it") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 2, .batch_timeout = 10h});
    SECTION("after a batch") {
        f.ask(batcher, 1, {.timeout = 1h});
        f.ask(batcher, 2, {.timeout = 2h});
    }
    SECTION("after a refusal") { f.ask(batcher, 1, {.timeout = 0}); }
    SECTION("after cancel()") {
        f.ask(batcher, 1, {.timeout = 1h});
        batcher.cancel();
    }
    CHECK(f.context.run_for(10s) < 100);
    CHECK(f.context.stopped());
}

// ---- what else may happen to a call with a timeout -------------------------------------------------------

TEST_CASE("a coroutine with a timeout that is destroyed is not looked for any more") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher(f.context, gate.doubling(), {.max_batch_size = 1});
    const auto wait = [&](int item) -> Owned { co_await batcher.process(item, {.timeout = 5ms}); };
    {
        const Owned runs = wait(1);
        const Owned waits = wait(2);
        settle(f.context);
        REQUIRE(gate.started == Seen{Batch{1}});
    }
    CHECK(batcher.stats().cancelled == 2);
    f.advance(5ms);
    CHECK(batcher.stats().expired == 0);
    gate.open();
    settle(f.context);
    CHECK(gate.started == Seen{Batch{1}});
}

TEST_CASE("a call with a timeout that is cancelled does not expire, too") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher(f.context, gate.doubling(), {.max_batch_size = 1});
    aio::cancellation_signal signals[2];
    Reply<int> replies[2];
    for (int i = 0; i < 2; ++i) {
        batcher.async_process(i, {.timeout = 5ms},
                              aio::bind_cancellation_slot(signals[i].slot(), into(replies[i])));
    }
    settle(f.context);
    for (auto& signal : signals) signal.emit(aio::cancellation_type::terminal);
    f.advance(5ms);
    for (const auto& reply : replies) {
        CHECK(reply.aborted());
        CHECK(reply.times == 1);
    }
    CHECK(batcher.stats().cancelled == 2);
    CHECK(batcher.stats().expired == 0);
    gate.open();
    settle(f.context);
}

TEST_CASE("a Batcher that is destroyed completes calls with timeouts once") {
    Fixture f;
    {
        ManualBatcher batcher(f.context, f.batches.doubling(), {.batch_timeout = 1h});
        f.ask(batcher, 1, {.timeout = 5ms});
        f.ask(batcher, 2, {.timeout = 1h});
    }
    f.advance(10h);
    for (const auto& reply : f.replies) {
        CHECK(reply.aborted());
        CHECK(reply.times == 1);
    }
}

TEST_CASE("the timeout of process_many() is that of every item: the whole fails when it passes") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(), {.batch_timeout = 1h});
    auto all = batcher.async_process_many({1, 2, 3}, {.timeout = 5ms}, aio::use_future);
    f.advance(5ms);
    REQUIRE(all.wait_for(10s) == std::future_status::ready);  // Boost's is set by another thread
    Reply<int> reply;
    try {
        all.get();
    } catch (...) {
        reply.fail(std::current_exception());
    }
    CHECK(reply.failed_with(errc::deadline_exceeded));
    CHECK(batcher.stats().expired == 3);
    CHECK(batcher.stats().waiting == 0);
    f.advance(1h);
    CHECK(f.batches.seen.empty());
}

TEST_CASE("the timeout of process_each() fails those items that are late, and not the others") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher(f.context, gate.doubling(),
                          {.max_batch_size = 2, .batch_timeout = no_timeout});
    auto each = batcher.async_process_each({1, 2, 3}, {.timeout = 5ms}, aio::use_future);
    settle(f.context);
    gate.open();
    settle(f.context);
    CHECK(gate.started == Seen{Batch{1, 2}});
    f.advance(5ms);
    REQUIRE(each.wait_for(10s) == std::future_status::ready);
    const auto results = each.get();
    CHECK(results[0].value() == 2);
    CHECK(results[1].value() == 4);
    CHECK_FALSE(results[2].has_value());
    CHECK(batcher.stats().expired == 1);
}

// ---- many of them ----------------------------------------------------------------------------------------

TEST_CASE("100,000 timeouts take one timer, and are found without looking through them") {
    // (What looked through those that wait, for each, would take minutes.)
    constexpr int calls = sanitized ? 20'000 : 100'000;
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 1'000'000, .batch_timeout = no_timeout});
    std::vector<int> timeouts(calls);
    for (int i = 0; i < calls; ++i) timeouts[static_cast<std::size_t>(i)] = i + 1;
    SECTION("in order") {}
    SECTION("in the opposite order") { std::reverse(timeouts.begin(), timeouts.end()); }
    SECTION("in any order") {
        std::shuffle(timeouts.begin(), timeouts.end(), std::mt19937(1));  // NOLINT(cert-msc51-cpp)
    }
    f.ask(batcher, 0, {.timeout = 1ns});  // the timer is set for this one, and for no other
    for (const int timeout : timeouts) {
        f.ask(batcher, 0, {.timeout = std::chrono::microseconds(timeout)});
    }
    CHECK(settle(f.context) < 10);
    f.advance(std::chrono::microseconds(calls / 2));
    CHECK(batcher.stats().expired == 1 + calls / 2);
    for (int i = 0; i < 1'000; ++i) f.advance(std::chrono::microseconds(calls / 4 / 1'000));
    CHECK(batcher.stats().expired == 1 + calls / 2 + calls / 4);
    f.advance(1h);
    CHECK(batcher.stats().expired == 1 + calls);
    const auto once = [](const auto& reply) { return reply.times == 1; };
    CHECK(std::all_of(f.replies.begin(), f.replies.end(), once));
}

TEST_CASE(
    "a batch leaves early for the earliest deadline in it, also that of a call behind others that "
    "have time") {
    Fixture f;
    auto run_time = 35ms;
    ManualBatcher batcher(f.context,
                          [&](std::vector<int> items) {
                              f.batches.seen.push_back(items);
                              ManualClock::advance(run_time);
                              return items;
                          },
                          {.max_batch_size = 10, .batch_timeout = 1h});
    for (int i = 0; i < 8; ++i) {
        for (int item = 0; item < 10; ++item) f.ask(batcher, item, {.timeout = 1h});
        settle(f.context);
    }
    f.batches.seen.clear();
    run_time = 20ms;
    f.ask(batcher, 1, {.timeout = 10min});
    f.advance(5ms);
    auto& hurried = f.ask(batcher, 2, {.timeout = 100ms});
    f.ask(batcher, 3, {.timeout = 20min});
    settle(f.context);
    // Of 35 ms for 10 items a half is taken to be fixed, so that 3 are expected to take 22.75 ms.
    f.advance(100ms - 22750us - 1us);
    CHECK(f.batches.seen.empty());
    f.advance(1us);
    CHECK(f.batches.seen == Seen{Batch{1, 2, 3}});
    CHECK(hurried.value == 2);
    CHECK(batcher.stats().expired == 0);
}

TEST_CASE(
    "a batch leaves early, too, for a deadline after its batch_timeout by less than it runs") {
    Fixture f;
    auto run_time = 20ms;
    ManualBatcher batcher(f.context,
                          [&](std::vector<int> items) {
                              f.batches.seen.push_back(items);
                              ManualClock::advance(run_time);
                              return items;
                          },
                          {.max_batch_size = 10, .batch_timeout = 100ms});
    for (int i = 0; i < 8; ++i) {
        for (int item = 0; item < 10; ++item) f.ask(batcher, item, {.timeout = 1h});
        settle(f.context);
    }
    f.batches.seen.clear();
    run_time = 12ms;
    f.ask(batcher, 1, {.timeout = 1h});
    settle(f.context);
    auto& hurried = f.ask(batcher, 2, {.timeout = 105ms});
    // Of 20 ms for 10 items a half is taken to be fixed, so that 2 are expected to take 12 ms.
    f.advance(105ms - 12ms - 1us);
    CHECK(f.batches.seen.empty());
    f.advance(1us);
    CHECK(f.batches.seen == Seen{Batch{1, 2}});
    CHECK(hurried.value == 2);
}

TEST_CASE(
    "a batch is made smaller for a deadline in it, also that of a call behind one that has none") {
    Fixture f;
    Gate gate(f.context);
    const auto held = gate.doubling();
    ManualBatcher batcher(f.context,
                          [&](Batch items) -> aio::awaitable<Batch> {
                              f.batches.seen.push_back(items);
                              if (items.front() == 0) co_return co_await held(items);
                              ManualClock::advance(10ms + items.size() * 1ms);
                              co_return items;
                          },
                          {.max_batch_size = 10, .batch_timeout = 0});
    for (int i = 0; i < 12; ++i) {
        for (int item = 10; item < 20; ++item) f.ask(batcher, item, {.timeout = 100ms});
        settle(f.context);
    }
    f.ask(batcher, 0);
    settle(f.context);
    f.batches.seen.clear();
    f.ask(batcher, 1);
    for (int item = 2; item < 7; ++item) f.ask(batcher, item, {.timeout = 26ms});
    f.advance(11ms);
    gate.open();
    settle(f.context);
    CHECK(f.batches.seen == Seen{Batch{1, 2, 3, 4, 5}});  // 15 ms are left
    CHECK(f.replies.back().failed_with(errc::deadline_exceeded));
    CHECK(batcher.stats().expired == 1);
}

// As if timers went off up to 40 us late.
TEST_CASE("a batch that waits for nothing but its deadlines meets them where timers are late") {
    Fixture f;
    ManualBatcher batcher(f.context,
                          [](const std::vector<int>& items) {
                              ManualClock::advance(1us);
                              return items;
                          },
                          {.max_batch_size = 10, .batch_timeout = no_timeout});
    for (int i = 0; i < 8; ++i) {
        for (int item = 0; item < 10; ++item) f.ask(batcher, item, {.timeout = 1h});
        settle(f.context);
    }
    const auto expired_of = [&](int calls) {
        const auto before = batcher.stats().expired;
        for (int i = 0; i < calls; ++i) {
            const auto& reply = f.ask(batcher, i, {.timeout = 1ms + i * 7us});
            while (reply.pending()) f.advance(40us);
        }
        return batcher.stats().expired - before;
    };
    expired_of(20);  // until that is known
    CHECK(expired_of(100) <= 10);
}

TEST_CASE("once the call that is in a hurry has gone, the others wait for their batch to fill") {
    Fixture f;
    ManualBatcher batcher(f.context, f.batches.doubling(),
                          {.max_batch_size = 10, .batch_timeout = 1h});
    for (int i = 0; i < 8; ++i) {
        for (int item = 0; item < 10; ++item) f.ask(batcher, item, {.timeout = 1h});
        settle(f.context);
    }
    f.batches.seen.clear();
    f.ask(batcher, 1, {.timeout = 10min});
    Reply<int> hurried;
    aio::cancellation_signal signal;
    batcher.async_process(2, {.timeout = 100ms},
                          aio::bind_cancellation_slot(signal.slot(), into(hurried)));
    settle(f.context);
    signal.emit(aio::cancellation_type::total);
    f.advance(1min);
    CHECK(hurried.aborted());
    CHECK(f.batches.seen.empty());
}

}  // namespace timeouts_test
