// Operations in Asio's operators of awaitables: `batcher.process(x) || timer.async_wait(use_awaitable)` and &&,
// on either side. The one that loses is cancelled.
#include "catch.hpp"
#include "support.hpp"

#include <tuple>
#include <variant>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio/experimental/awaitable_operators.hpp>
#else
#include <asio/experimental/awaitable_operators.hpp>
#endif

namespace operators_test {

using namespace test;
using namespace batching::asio::experimental::awaitable_operators;

using ManualBatcher = batching::Batcher<int, int, ManualClock>;
using Timer =
    aio::basic_waitable_timer<ManualClock, aio::wait_traits<ManualClock>, aio::any_io_executor>;

// A full batch is two items. What is below leaves after 10 ms.
struct Fixture {
    aio::io_context context;
    Batches batches;
    ManualBatcher batcher{
        context, batches.doubling(), {.max_batch_size = 2, .batch_timeout = 10ms}};
    Timer timer{context.get_executor()};
    int ended = 0;

    // Runs a coroutine, which is to end well.
    template <class Coroutine>
    void spawn(Coroutine coroutine) {
        aio::co_spawn(context, std::move(coroutine), [this](std::exception_ptr error) {
            if (error) std::rethrow_exception(error);
            ++ended;
        });
        settle(context);
    }
    void advance(std::chrono::nanoseconds time) {
        ManualClock::advance(time);
        settle(context);
    }
};

TEST_CASE("process || timer: the result, and the timer is cancelled") {
    Fixture f;
    std::variant<int, std::monostate> result;
    std::variant<std::monostate, int> mirrored;
    f.timer.expires_after(1h);
    f.spawn([&]() -> aio::awaitable<void> {
        result = co_await (f.batcher.process(1) || f.timer.async_wait(aio::use_awaitable));
    });
    CHECK(f.ended == 0);
    f.advance(10ms);
    REQUIRE(f.ended == 1);
    REQUIRE(result.index() == 0);
    CHECK(std::get<0>(result) == 2);
    f.spawn([&]() -> aio::awaitable<void> {
        mirrored = co_await (f.timer.async_wait(aio::use_awaitable) || f.batcher.process(2));
    });
    f.advance(10ms);
    REQUIRE(f.ended == 2);
    REQUIRE(mirrored.index() == 1);
    CHECK(std::get<1>(mirrored) == 4);
    CHECK(f.batcher.stats().cancelled == 0);
    CHECK(f.batcher.stats().completed == 2);
}

TEST_CASE("process || timer: the timer, and the item is cancelled") {
    Fixture f;
    std::variant<int, std::monostate> result;
    std::variant<std::monostate, int> mirrored{1};
    f.timer.expires_after(5ms);
    f.spawn([&]() -> aio::awaitable<void> {
        result = co_await (f.batcher.process(1) || f.timer.async_wait(aio::use_awaitable));
    });
    f.advance(5ms);
    REQUIRE(f.ended == 1);
    CHECK(result.index() == 1);
    CHECK(f.batcher.stats().cancelled == 1);
    f.timer.expires_after(5ms);
    f.spawn([&]() -> aio::awaitable<void> {
        mirrored = co_await (f.timer.async_wait(aio::use_awaitable) || f.batcher.process(2));
    });
    f.advance(5ms);
    REQUIRE(f.ended == 2);
    CHECK(mirrored.index() == 0);
    CHECK(f.batcher.stats().cancelled == 2);
    CHECK(f.batcher.stats().waiting == 0);
    CHECK(f.batches.seen.empty());
}

TEST_CASE("process && timer: both are awaited, and the result is that of process") {
    Fixture f;
    int result = 0;
    int mirrored = 0;
    f.timer.expires_after(1s);
    f.spawn([&]() -> aio::awaitable<void> {
        result = co_await (f.batcher.process(1) && f.timer.async_wait(aio::use_awaitable));
    });
    f.advance(10ms);
    CHECK(f.batches.seen == std::vector<std::vector<int>>{{1}});
    CHECK(f.ended == 0);
    f.advance(1s);
    CHECK(f.ended == 1);
    CHECK(result == 2);
    f.timer.expires_after(1s);
    f.spawn([&]() -> aio::awaitable<void> {
        mirrored = co_await (f.timer.async_wait(aio::use_awaitable) && f.batcher.process(2));
    });
    f.advance(1s);
    CHECK(f.ended == 2);
    CHECK(mirrored == 4);
    CHECK(f.batcher.stats().cancelled == 0);
}

TEST_CASE("process && timer: if process fails, the timer is cancelled") {
    Fixture f;
    f.batcher.close();
    bool closed = false;
    f.timer.expires_after(1h);
    f.spawn([&]() -> aio::awaitable<void> {
        try {
            co_await (f.batcher.process(1) && f.timer.async_wait(aio::use_awaitable));
        } catch (const aio::multiple_exceptions& both) {  // the timer's is operation_aborted
            Reply<int> reply;
            reply.fail(both.first_exception());
            closed = reply.failed_with(batching::errc::closed);
        }
    });
    CHECK(f.ended == 1);
    CHECK(closed);
}

TEST_CASE("process && process: both results, of one batch") {
    Fixture f;
    std::tuple<int, int> results;
    f.spawn([&]() -> aio::awaitable<void> {
        results = co_await (f.batcher.process(1) && f.batcher.process(2));
    });
    CHECK(f.ended == 1);
    CHECK(results == std::tuple(2, 4));
    CHECK(f.batches.seen == std::vector<std::vector<int>>{{1, 2}});
}

TEST_CASE("process || process: the first result, and the other item is cancelled") {
    Fixture f;
    ManualBatcher slow{f.context, f.batches.doubling(), {.batch_timeout = batching::no_timeout}};
    std::variant<int, int> result;
    f.spawn([&]() -> aio::awaitable<void> {
        result = co_await (slow.process(1) || f.batcher.process(2));
    });
    CHECK(slow.stats().waiting == 1);
    f.advance(10ms);
    REQUIRE(f.ended == 1);
    REQUIRE(result.index() == 1);
    CHECK(std::get<1>(result) == 4);
    CHECK(slow.stats().cancelled == 1);
    CHECK(f.batcher.stats().cancelled == 0);
    CHECK(f.batches.seen == std::vector<std::vector<int>>{{2}});
}

TEST_CASE("process_many || timer: all results, or all items are cancelled") {
    Fixture f;
    std::variant<std::vector<int>, std::monostate> result;
    std::variant<std::monostate, std::vector<int>> mirrored;
    f.timer.expires_after(1h);
    f.spawn([&]() -> aio::awaitable<void> {
        std::vector<int> items{1, 2};
        result = co_await (f.batcher.process_many(std::move(items)) ||
                           f.timer.async_wait(aio::use_awaitable));
    });
    REQUIRE(f.ended == 1);
    REQUIRE(result.index() == 0);
    CHECK(std::get<0>(result) == std::vector<int>{2, 4});
    f.timer.expires_after(5ms);
    f.spawn([&]() -> aio::awaitable<void> {
        std::vector<int> items{3};
        mirrored = co_await (f.timer.async_wait(aio::use_awaitable) ||
                             f.batcher.process_many(std::move(items)));
    });
    f.advance(5ms);
    REQUIRE(f.ended == 2);
    CHECK(mirrored.index() == 0);
    CHECK(f.batcher.stats().cancelled == 1);
    CHECK(f.batcher.stats().waiting == 0);
}

TEST_CASE("drain || timer: whichever is first") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher{f.context, gate.doubling(), {.max_batch_size = 1}};
    Reply<int> running;
    call(batcher, 1, running);
    settle(f.context);
    std::variant<std::monostate, std::monostate> result;
    f.timer.expires_after(5ms);
    f.spawn([&]() -> aio::awaitable<void> {
        result = co_await (batcher.drain() || f.timer.async_wait(aio::use_awaitable));
    });
    CHECK(f.ended == 0);
    f.advance(5ms);
    CHECK(f.ended == 1);
    CHECK(result.index() == 1);
    f.timer.expires_after(1h);
    f.spawn([&]() -> aio::awaitable<void> {
        result = co_await (f.timer.async_wait(aio::use_awaitable) || batcher.drain());
    });
    CHECK(f.ended == 1);
    gate.open();
    settle(f.context);
    CHECK(f.ended == 2);
    CHECK(result.index() == 1);
    CHECK(running.value == 2);
}

TEST_CASE("operators nest: process || process_many || timer") {
    Fixture f;
    std::variant<int, std::vector<int>, std::monostate> result;
    f.timer.expires_after(5ms);
    ManualBatcher slow{f.context, f.batches.doubling(), {.batch_timeout = batching::no_timeout}};
    f.spawn([&]() -> aio::awaitable<void> {
        std::vector<int> items{2, 3};
        result = co_await (slow.process(1) || slow.process_many(std::move(items)) ||
                           f.timer.async_wait(aio::use_awaitable));
    });
    CHECK(slow.stats().waiting == 3);
    f.advance(5ms);
    CHECK(f.ended == 1);
    CHECK(result.index() == 2);
    CHECK(slow.stats().cancelled == 3);
}

// g++ before 13 takes a braced list in a co_await expression for an array.
#if defined(__clang__) || !defined(__GNUC__) || __GNUC__ >= 13
TEST_CASE("process_many takes a braced list in a co_await expression") {
    Fixture f;
    std::vector<int> in_awaitable;
    std::vector<int> in_plain;
    f.spawn([&]() -> aio::awaitable<void> {
        in_awaitable = co_await f.batcher.process_many({1, 2, 3, 4});
    });
    [](ManualBatcher& batcher, std::vector<int>& results) -> Detached {
        results = co_await batcher.process_many({5, 6});
    }(f.batcher, in_plain);
    settle(f.context);
    CHECK(in_awaitable == std::vector<int>{2, 4, 6, 8});
    CHECK(in_plain == std::vector<int>{10, 12});
}
#endif

}  // namespace operators_test
