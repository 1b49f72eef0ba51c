// What users rely on: who is refused for want of room or of time is told when to try again (Error::retry_after()).
#include "catch.hpp"
#include "support.hpp"

#include <deque>
#include <optional>
#include <string>

namespace retry_after_test {

using namespace test;
using batching::CallOptions;
using batching::errc;
using batching::Priority;

using ManualBatcher = batching::Batcher<int, int, ManualClock>;
using MaybeTime = std::optional<std::chrono::nanoseconds>;

constexpr int enough_batches = 8;

// What a refused caller is told.
struct Refusal {
    explicit Refusal(const std::exception_ptr& error) {
        try {
            if (error) std::rethrow_exception(error);
            FAIL("it was not refused");
        } catch (const batching::Error& e) {
            code = e.code();
            sentence = e.what();
            retry_after = e.retry_after();
        }
    }

    std::error_code code;
    std::string sentence;
    MaybeTime retry_after;
};

// Batches of 10 that take as long as the test says. None leaves that is not full.
struct Fixture {
    template <class... Rules>
    explicit Fixture(batching::Options options, Rules... rules)
        : batcher(
              context,
              [this](std::vector<int> items) {
                  ManualClock::advance(run_time);
                  return items;
              },
              of_ten(options), rules...) {}

    static batching::Options of_ten(batching::Options options) {
        options.max_batch_size = 10;
        options.batch_timeout = 1h;
        return options;
    }

    Reply<int>& ask(int item = 1) {
        Reply<int>& reply = replies.emplace_back();
        batcher.async_process(item, into(reply));
        return reply;
    }
    Reply<int>& ask(int item, const CallOptions& options) {
        Reply<int>& reply = replies.emplace_back();
        batcher.async_process(item, options, into(reply));
        return reply;
    }
    void submit(int count) {
        for (int i = 0; i < count; ++i) ask();
    }
    void run_batches(int count) {
        for (int i = 0; i < count; ++i) {
            submit(10);
            settle(context);
        }
    }
    Refusal refusal_of(Reply<int>& reply) {
        settle(context);
        return Refusal(reply.error);
    }

    aio::io_context context;
    std::chrono::nanoseconds run_time = 35ms;
    std::deque<Reply<int>> replies;
    ManualBatcher batcher;
};

// ---- a queue that is full --------------------------------------------------------------------------------

TEST_CASE("who finds the queue full is told how long the next batch takes, which makes room") {
    Fixture f({.max_queue_size = 20});
    f.run_batches(enough_batches);
    f.submit(20);
    const Refusal refusal = f.refusal_of(f.ask());
    CHECK(refusal.code == errc::overloaded);
    CHECK(refusal.sentence ==
          "the queue is full: 20 of at most 20 items wait; retry in about 35 ms");
    CHECK(refusal.retry_after == MaybeTime(35ms));
}

TEST_CASE("before enough batches have run a refused caller is told no time") {
    Fixture f({.max_queue_size = 20});
    f.run_batches(enough_batches - 1);
    f.submit(20);
    const Refusal unknown = f.refusal_of(f.ask());  // and two more batches run
    CHECK(unknown.sentence == "the queue is full: 20 of at most 20 items wait");
    CHECK(unknown.retry_after == std::nullopt);
    f.submit(20);
    CHECK(f.refusal_of(f.ask()).retry_after == MaybeTime(35ms));
}

TEST_CASE("with several slots there is room the sooner") {
    Fixture f({.max_concurrent_batches = 2, .max_queue_size = 20});
    f.run_batches(enough_batches);
    f.submit(20);
    CHECK(f.refusal_of(f.ask()).retry_after == MaybeTime(17500us));
}

TEST_CASE("the items of process_many() that do not fit are told when to try again, too") {
    Fixture f({.max_queue_size = 20});
    f.run_batches(enough_batches);
    f.submit(18);
    std::exception_ptr error;
    f.batcher.async_process_many(
        {1, 2, 3}, [&](std::exception_ptr e, std::vector<int>) { error = std::move(e); });
    settle(f.context);
    const Refusal refusal(error);
    CHECK(refusal.sentence ==
          "the queue is full: 3 items do not fit, 18 of at most 20 wait; retry in about 35 ms");
    CHECK(refusal.retry_after == MaybeTime(35ms));
}

TEST_CASE("who finds the queue too heavy is told when to try again") {
    Fixture f({.max_queue_weight = 100}, batching::weigh([](int item) { return item; }));
    f.run_batches(enough_batches);
    f.ask(90);
    const Refusal refusal = f.refusal_of(f.ask(11));
    CHECK(refusal.code == errc::overloaded);
    // The next batch has a weight of 90, and a weight of 10 took 35 ms. Half of that is taken to be fixed, as long as there
    // were no others: 17.5 ms and 1.75 ms for each unit.
    CHECK(refusal.sentence ==
          "the queue is full: a weight of 11 does not fit, items of 90 of at most 100 wait; retry "
          "in about 175 ms");
    CHECK(refusal.retry_after == MaybeTime(175ms));
}

TEST_CASE("who has to make room for a higher priority is told when to try again") {
    Fixture f({.max_queue_size = 20});
    f.run_batches(enough_batches);
    f.submit(19);
    Reply<int>& displaced = f.ask();
    f.ask(1, {.priority = Priority::high});
    const Refusal refusal = f.refusal_of(displaced);
    CHECK(refusal.code == errc::overloaded);
    CHECK(refusal.retry_after == MaybeTime(35ms));
}

TEST_CASE("what batches take is what they have lately taken") {
    Fixture f({.max_queue_size = 20});
    f.run_batches(enough_batches);
    f.run_time = 5ms;
    f.run_batches(1000);  // a quarter of them is looked at, to be cheap
    f.submit(20);
    const Refusal refusal = f.refusal_of(f.ask());
    REQUIRE(refusal.retry_after);
    CHECK(*refusal.retry_after >= 5ms);
    CHECK(*refusal.retry_after < 6ms);
}

// ---- a queue that is too long ----------------------------------------------------------------------------

TEST_CASE("a call that the queue before it makes hopeless is told by how much it would be late") {
    Fixture f({});
    f.ask(1, {.timeout = 1h});  // batches are looked at once there are deadlines
    f.submit(9);
    settle(f.context);
    f.run_batches(enough_batches - 1);
    f.submit(30);
    // Of 35 ms a half is taken to be fixed, as all batches had the same size, so that one item alone takes 19.25 ms; the
    // 30 before it take 105 ms.
    const Refusal refusal = f.refusal_of(f.ask(1, {.timeout = 40ms}));
    CHECK(refusal.code == errc::overloaded);
    CHECK(refusal.sentence ==
          "the deadline cannot be met: 30 items wait before this one, which would be about 84 ms "
          "later than its timeout of 40 ms; retry in about 84 ms");
    REQUIRE(refusal.retry_after);
    CHECK(*refusal.retry_after >= 84250us);
    CHECK(*refusal.retry_after <= 84250us + 1ns);  // rounded up
    CHECK(f.batcher.stats().rejected == 1);
}

TEST_CASE("a call whose time is over when it comes is told that, however much waits before it") {
    Fixture f({});
    f.ask(1, {.timeout = 1h});
    f.submit(9);
    settle(f.context);
    f.run_batches(enough_batches - 1);
    f.submit(30);
    CHECK(f.refusal_of(f.ask(1, {.timeout = 0})).code == errc::deadline_exceeded);
    CHECK(f.batcher.stats().expired == 1);
    CHECK(f.batcher.stats().rejected == 0);
}

TEST_CASE(
    "a call that would be in time is not refused, nor is any before enough batches have run") {
    Fixture f({});
    f.ask(1, {.timeout = 1h});
    f.submit(9);
    settle(f.context);
    SECTION("it would be in time") {
        f.run_batches(enough_batches - 1);
        f.submit(30);
        f.ask(1, {.timeout = 125ms});
    }
    SECTION("nothing is known yet") {
        f.run_batches(enough_batches - 2);
        f.submit(30);
        f.ask(1, {.timeout = 1ms});
    }
    CHECK(f.batcher.stats().rejected == 0);
    CHECK(f.batcher.stats().waiting == 31);
}

// ---- what no time heals ----------------------------------------------------------------------------------

TEST_CASE("a caller of a closed Batcher, or with an item that is too heavy, is told no time") {
    Fixture f({.max_batch_weight = 5}, batching::weigh([](int item) { return item; }));
    f.run_batches(2 * enough_batches);
    const Refusal heavy = f.refusal_of(f.ask(6));
    CHECK(heavy.code == errc::too_heavy);
    CHECK(heavy.retry_after == std::nullopt);
    f.batcher.close();
    const Refusal closed = f.refusal_of(f.ask());
    CHECK(closed.code == errc::closed);
    CHECK(closed.retry_after == std::nullopt);
}

}  // namespace retry_after_test
