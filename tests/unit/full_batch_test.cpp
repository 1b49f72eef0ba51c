// A full batch that was started waits until the executor gets to it. Until then its items are waiting
// ones: they can be cancelled, and their places are refilled, in the order of arrival.
#include "catch.hpp"
#include "support.hpp"

#include <cstddef>
#include <deque>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

namespace full_batch_test {

using namespace test;

// Items that are moved as bytes, and items whose move constructor is user code.
int number_of(int item) { return item; }
int number_of(const std::string& item) { return std::stoi(item); }
template <class In>
In item_of(int number) {
    if constexpr (std::is_same_v<In, int>) {
        return number;
    } else {
        return std::to_string(number);
    }
}

using Seen = std::vector<std::vector<int>>;

template <class In>
struct Fixture {
    explicit Fixture(batching::Options options)
        : batcher(
              context,
              [this](const std::vector<In>& items) {
                  auto& batch = seen.emplace_back();
                  for (const In& item : items) batch.push_back(number_of(item));
                  return batch;
              },
              options) {}

    void call(int number) {
        auto& [signal, reply] = calls.emplace_back();
        batcher.async_process(item_of<In>(number),
                              aio::bind_cancellation_slot(signal.slot(), into(reply)));
    }
    void call_n(int n) {
        while (n-- > 0) call(static_cast<int>(calls.size()));
    }
    void cancel(std::size_t i) { calls[i].signal.emit(aio::cancellation_type::total); }

    struct Call {
        aio::cancellation_signal signal;
        Reply<int> reply;
    };
    aio::io_context context;
    Seen seen;
    std::deque<Call> calls;
    batching::Batcher<In, int, ManualClock> batcher;
};

constexpr auto timeout = std::chrono::milliseconds(10);

TEMPLATE_TEST_CASE("an item of a full batch that has not run yet is cancelled, its place refilled",
                   "", int, std::string) {
    Fixture<TestType> f({.max_batch_size = 3, .batch_timeout = timeout});
    f.call_n(5);
    f.cancel(1);
    settle(f.context);
    CHECK(f.seen == Seen{{0, 2, 3}});
    CHECK(f.calls[1].reply.aborted());
    CHECK(f.calls[3].reply.value == 3);
    ManualClock::advance(timeout);
    settle(f.context);
    CHECK(f.seen == Seen{{0, 2, 3}, {4}});
}

TEMPLATE_TEST_CASE("a full batch that is full no more waits for its timeout again", "", int,
                   std::string) {
    Fixture<TestType> f({.max_batch_size = 2, .batch_timeout = timeout});
    f.call(0);
    ManualClock::advance(timeout / 2);
    f.call(1);
    f.cancel(0);
    settle(f.context);
    ManualClock::advance(timeout / 2);
    settle(f.context);
    CHECK(f.seen.empty());
    CHECK(f.batcher.stats().waiting == 1);
    ManualClock::advance(timeout / 2);
    settle(f.context);
    CHECK(f.seen == Seen{{1}});
    CHECK(f.batcher.stats().batches_timeout == 1);
    CHECK(f.batcher.stats().batches_full == 0);
}

TEMPLATE_TEST_CASE("a full batch that was flushed leaves also if it is full no more", "", int,
                   std::string) {
    Fixture<TestType> f({.max_batch_size = 3, .batch_timeout = batching::no_timeout});
    f.call_n(2);
    f.batcher.flush();
    f.call_n(1);
    f.cancel(0);
    settle(f.context);
    CHECK(f.seen == Seen{{1, 2}});
}

TEMPLATE_TEST_CASE("the items of a full batch count as waiting, in stats and in max_queue_size", "",
                   int, std::string) {
    Fixture<TestType> f({.max_batch_size = 2, .batch_timeout = timeout, .max_queue_size = 2});
    f.call_n(3);
    CHECK(f.batcher.stats().waiting == 2);
    CHECK(f.batcher.stats().running == 0);
    settle(f.context);
    CHECK(f.calls[2].reply.failed_with(batching::errc::overloaded));
    CHECK(f.seen == Seen{{0, 1}});
    CHECK(f.batcher.stats().waiting == 0);
    f.call_n(2);
    f.cancel(3);
    f.call_n(1);
    settle(f.context);
    CHECK(f.seen == Seen{{0, 1}, {4, 5}});
}

TEMPLATE_TEST_CASE("with several full batches, the oldest items still leave first", "", int,
                   std::string) {
    Fixture<TestType> f(
        {.max_batch_size = 2, .batch_timeout = timeout, .max_concurrent_batches = 3});
    f.call_n(7);
    f.cancel(1);
    f.cancel(2);
    settle(f.context);
    CHECK(f.seen == Seen{{0, 3}, {4, 5}});
    ManualClock::advance(timeout);
    settle(f.context);
    CHECK(f.seen == Seen{{0, 3}, {4, 5}, {6}});
}

TEMPLATE_TEST_CASE("a full batch that mixes executors keeps its order when it is formed again", "",
                   int, std::string) {
    Fixture<TestType> f({.max_batch_size = 4, .batch_timeout = timeout});
    aio::io_context others[2];
    std::vector<int> resumed;
    for (int i = 0; i < 5; ++i) {
        if (i == 2) {
            f.calls.emplace_back();
            auto handler = [&](std::exception_ptr, int value) { resumed.push_back(value); };
            f.batcher.async_process(item_of<TestType>(i),
                                    aio::bind_cancellation_slot(f.calls[0].signal.slot(), handler));
            continue;
        }
        [](auto& batcher, auto item, auto executor, auto& r) -> Detached {
            r.push_back(co_await batcher.process(std::move(item)).resume_on(executor));
        }(f.batcher, item_of<TestType>(i), others[i % 2].get_executor(), resumed);
    }
    f.cancel(0);
    settle(f.context);
    CHECK(f.seen == Seen{{0, 1, 3, 4}});
    others[0].run();
    others[1].run();
    CHECK(std::multiset<int>(resumed.begin(), resumed.end()) == std::multiset<int>{0, 0, 1, 3, 4});
}

TEMPLATE_TEST_CASE("cancel() and destruction fail the items of a full batch that has not run", "",
                   int, std::string) {
    Fixture<TestType> f({.max_batch_size = 2, .batch_timeout = timeout});
    f.call_n(3);
    SECTION("cancel") { f.batcher.cancel(); }
    SECTION("destruction") { auto gone = std::move(f.batcher); }
    settle(f.context);
    CHECK(f.seen.empty());
    for (auto& call : f.calls) CHECK(call.reply.aborted());
}

TEST_CASE("destroying the context of callers takes them out of a full batch that has not run") {
    Fixture<int> f({.max_batch_size = 2, .batch_timeout = timeout});
    {
        aio::io_context callers;
        f.batcher.async_process(
            7, aio::bind_executor(callers, [](std::exception_ptr, int) { FAIL("resumed"); }));
        f.call(0);
    }
    settle(f.context);
    CHECK(f.seen.empty());
    f.call(1);
    settle(f.context);
    CHECK(f.seen == Seen{{0, 1}});
}

}  // namespace full_batch_test
