// What a batch function may know of its batch: the second parameter, in every form of batch function, and the
// cancellation of asynchronous ones.
#include <algorithm>
#include <batcher/batch_info.hpp>
#include <batcher/detail/batch_info_access.hpp>
#include <deque>
#include <functional>
#include <future>
#include <span>
#include <thread>

#include "catch.hpp"
#include "support.hpp"

namespace batch_info_test {

using namespace test;
using batching::BatchFunction;
using batching::BatchInfo;
using batching::DispatchReason;
using batching::Result;

using Ints = std::vector<int>;
using Sizes = std::vector<std::size_t>;
template <class F>
using Deduced = batching::detail::Deduced<F>;

static_assert(BatchFunction<Ints (*)(Ints, const BatchInfo&), int, int>);
static_assert(BatchFunction<Ints (*)(Ints&, const BatchInfo&), int, int>);
static_assert(BatchFunction<Ints (*)(const Ints&, const BatchInfo&), int, int>);
static_assert(BatchFunction<Ints (*)(std::span<int>, const BatchInfo&), int, int>);
static_assert(BatchFunction<void (*)(std::span<const int>, const BatchInfo&), int, void>);
static_assert(BatchFunction<std::vector<Result<int>> (*)(Ints, const BatchInfo&), int, int>);
static_assert(BatchFunction<aio::awaitable<void> (*)(Ints, const BatchInfo&), int, void>);
static_assert(
    BatchFunction<batching::detail::Replicas<Ints (*)(Ints, const BatchInfo&)>, int, int>);
static_assert(!BatchFunction<Ints (*)(const BatchInfo&, Ints), int, int>);
static_assert(!BatchFunction<Ints (*)(Ints, BatchInfo&), int, int>);
static_assert(!BatchFunction<Ints (*)(Ints, const BatchInfo&, int), int, int>);
static_assert(std::is_same_v<Deduced<Ints (*)(std::span<const char>, const BatchInfo&)>::in, char>);

Ints doubled(std::span<const int> items) {
    Ints results;
    for (const int item : items) results.push_back(2 * item);
    return results;
}

template <class F>
void check_doubles(F function) {
    batching::Batcher batcher{std::move(function)};
    STATIC_REQUIRE(std::is_same_v<decltype(batcher), batching::Batcher<int, int>>);
    CHECK(batcher.process(21).get() == 42);
    CHECK(batcher.process_many({1, 2}).get() == Ints{2, 4});
}

// What a function was told, for after it has returned.
struct Told {
    std::uint64_t number;
    DispatchReason reason;
    std::size_t weight;
    std::vector<std::chrono::nanoseconds> waited;

    explicit Told(const BatchInfo& info)
        : number(info.number()), reason(info.reason()), weight(info.weight()) {
        for (const auto& call : info.calls()) {
            waited.push_back(call.waited);
            CHECK(call.priority == batching::Priority::normal);
        }
    }
};

// Callers that can be cancelled.
class Callers {
public:
    template <class Batcher>
    void add(Batcher& batcher, int item) {
        auto& signal = signals_.emplace_back();
        auto& reply = replies.emplace_back();
        batcher.async_process(item, aio::bind_cancellation_slot(signal.slot(), into(reply)));
    }
    void cancel(std::size_t i) { signals_[i].emit(aio::cancellation_type::terminal); }

    std::deque<Reply<int>> replies;

private:
    std::deque<aio::cancellation_signal> signals_;
};

// An item that cannot be moved any more once it is told so.
struct Stubborn {
    explicit Stubborn(const bool* told) : stays(told) {}
    Stubborn(Stubborn&& other) : stays(other.stays) {
        if (stays != nullptr && *stays) throw std::runtime_error("it stays where it is");
    }
    const bool* stays;
};

// Waits until it is cancelled, and notes that.
aio::awaitable<void> until_cancelled(int& cancelled) {
    aio::steady_timer never(co_await aio::this_coro::executor,
                            std::chrono::steady_clock::time_point::max());
    batching::detail::error_code error;
    co_await never.async_wait(aio::redirect_error(aio::use_awaitable, error));
    CHECK(error == aio::error::operation_aborted);
    ++cancelled;
}

TEST_CASE("a BatchInfo may stand after the items, however those are taken") {
    const auto check = [](std::span<const int> items, const BatchInfo& batch) {
        CHECK(batch.calls().size() == items.size());
        CHECK(batch.weight() == items.size());
        CHECK(batch.slot() == 0);
        CHECK(batch.deadline() == std::nullopt);
        CHECK_FALSE(batch.stop_requested());
        return doubled(items);
    };
    check_doubles([=](Ints items, const BatchInfo& batch) { return check(items, batch); });
    check_doubles([=](Ints& items, const BatchInfo& batch) { return check(items, batch); });
    check_doubles([=](const Ints& items, const BatchInfo& batch) { return check(items, batch); });
    check_doubles([=](Ints&& items, const BatchInfo& batch) { return check(items, batch); });
    check_doubles(
        [=](std::span<int> items, const BatchInfo& batch) { return check(items, batch); });
    check_doubles([=](std::span<const int> items, const BatchInfo& batch) mutable {
        return check(items, batch);
    });
    check_doubles(std::function<Ints(Ints, const BatchInfo&)>(check));
    batching::Batcher<int, int> generic{
        [=](auto items, const auto& batch) { return check(items, batch); }};
    CHECK(generic.process(4).get() == 8);
}

TEST_CASE("a BatchInfo comes with a Result for each item, and with no results") {
    batching::Batcher each{[](const Ints& items, const BatchInfo& batch) {
        std::vector<Result<std::size_t>> results;
        for (std::size_t i = 0; i != items.size(); ++i) results.emplace_back(batch.weight());
        return results;
    }};
    CHECK(each.process_many({1, 2, 3}).get() == Sizes{3, 3, 3});
    std::size_t seen = 0;
    batching::Batcher nothing{
        [&](std::span<const int>, const BatchInfo& batch) { seen += batch.calls().size(); }};
    STATIC_REQUIRE(std::is_same_v<decltype(nothing), batching::Batcher<int, void>>);
    nothing.process_many({1, 2, 3}).get();
    CHECK(seen == 3);
}

TEST_CASE("a batch knows its number, why it has left, and how long each of its calls has waited") {
    aio::io_context context;
    std::vector<Told> told;
    batching::Batcher<int, int, ManualClock> batcher{context,
                                                     [&](Ints items, const BatchInfo& batch) {
                                                         told.emplace_back(batch);
                                                         return items;
                                                     },
                                                     {.max_batch_size = 3, .batch_timeout = 10ms}};
    std::deque<Reply<int>> replies;
    const auto add = [&] {
        call(batcher, 1, replies.emplace_back());
        settle(context);
    };
    add();
    ManualClock::advance(4ms);
    add();
    ManualClock::advance(1ms);
    add();  // the batch is full
    add();
    ManualClock::advance(10ms);
    settle(context);
    add();
    ManualClock::advance(2ms);
    batcher.flush();
    settle(context);

    using Times = std::vector<std::chrono::nanoseconds>;
    REQUIRE(told.size() == 3);
    CHECK(told[0].number == 1);
    CHECK(told[0].reason == DispatchReason::full);
    CHECK(told[0].weight == 3);
    CHECK(told[0].waited == Times{5ms, 1ms, 0ms});
    CHECK(told[1].number == 2);
    CHECK(told[1].reason == DispatchReason::timeout);
    CHECK(told[1].waited == Times{10ms});
    CHECK(told[2].number == 3);
    CHECK(told[2].reason == DispatchReason::flushed);
    CHECK(told[2].waited == Times{2ms});
}

TEST_CASE("a call whose item could not be moved stands in no BatchInfo") {
    aio::io_context context;
    std::vector<std::chrono::nanoseconds> waited;
    batching::Batcher<Stubborn, void, ManualClock> batcher{
        context,
        [&](const std::vector<Stubborn>& items, const BatchInfo& batch) {
            CHECK(items.size() == batch.calls().size());
            waited = Told(batch).waited;
        },
        {.max_batch_size = 3}};
    bool stays = false;
    int failed = 0;
    for (int i = 0; i < 3; ++i) {
        batcher.async_process(Stubborn(i == 1 ? &stays : nullptr),
                              [&](const std::exception_ptr& e) { failed += e != nullptr; });
        ManualClock::advance(i == 2 ? 0ms : 100us);
    }
    stays = true;
    settle(context);
    CHECK(failed == 1);
    CHECK(waited == std::vector<std::chrono::nanoseconds>{200us, 0us});
}

TEST_CASE("a replica is told by the slot which one it is") {
    aio::io_context context;
    std::vector<std::pair<std::size_t, std::size_t>> seen;  // replica, slot
    batching::Batcher batcher{
        context,
        batching::replicas(3,
                           [&](std::size_t i) {
                               return [&, i](Ints items,
                                             const BatchInfo& batch) -> aio::awaitable<Ints> {
                                   seen.emplace_back(i, batch.slot());
                                   co_await aio::post(aio::use_awaitable);
                                   co_return items;
                               };
                           }),
        {.max_batch_size = 1}};
    std::deque<Reply<int>> replies;
    for (int i = 0; i < 3; ++i) call(batcher, i, replies.emplace_back());
    settle(context);
    using Seen = decltype(seen);
    std::sort(seen.begin(), seen.end());
    CHECK(seen == Seen{{0, 0}, {1, 1}, {2, 2}});
}

TEST_CASE("an asynchronous function has its BatchInfo until it has returned") {
    aio::io_context context;
    std::vector<Told> told;
    batching::Batcher batcher{
        context,
        [&](std::span<const int> items, const BatchInfo& batch) -> aio::awaitable<Ints> {
            for (int i = 0; i < 3; ++i) co_await aio::post(aio::use_awaitable);
            told.emplace_back(batch);
            co_return doubled(items);
        },
        {.max_batch_size = 2, .max_concurrent_batches = 2}};
    std::deque<Reply<int>> replies;
    for (int i = 0; i < 4; ++i) call(batcher, i, replies.emplace_back());
    settle(context);
    for (int i = 0; i < 4; ++i) CHECK(replies[static_cast<std::size_t>(i)].value == 2 * i);
    REQUIRE(told.size() == 2);
    CHECK(told[0].number == 1);
    CHECK(told[1].number == 2);
    CHECK(told[1].waited.size() == 2);
}

TEST_CASE("a function is told when nobody waits for its batch any more, and not before") {
    aio::io_context context;
    Callers callers;
    int runs = 0;
    batching::Batcher batcher{context,
                              [&](Ints items, const BatchInfo& batch) {
                                  if (++runs == 2) {
                                      CHECK_FALSE(batch.stop_requested());
                                      return items;
                                  }
                                  callers.cancel(1);
                                  CHECK_FALSE(batch.stop_requested());
                                  callers.cancel(0);
                                  CHECK(batch.stop_requested());
                                  return items;
                              },
                              {.max_batch_size = 2}};
    for (int i = 0; i < 4; ++i) callers.add(batcher, i);
    settle(context);
    CHECK(runs == 2);
    CHECK(callers.replies[0].aborted());
    CHECK(callers.replies[1].aborted());
    CHECK(callers.replies[2].value == 2);
    CHECK(callers.replies[3].value == 3);
}

TEST_CASE("an asynchronous function is cancelled when the last of its callers has left") {
    aio::io_context context;
    Callers callers;
    int cancelled = 0;
    int runs = 0;
    batching::Batcher batcher{context,
                              [&](Ints items) -> aio::awaitable<Ints> {
                                  if (++runs == 1) co_await until_cancelled(cancelled);
                                  co_return items;
                              },
                              {.max_batch_size = 2}};
    callers.add(batcher, 1);
    Reply<int> destroyed;
    Owned caller = owned_call(batcher, 2, destroyed);
    settle(context);
    CHECK(runs == 1);
    callers.cancel(0);
    settle(context);
    CHECK(cancelled == 0);
    caller.destroy();
    settle(context);
    CHECK(cancelled == 1);
    callers.add(batcher, 3);
    callers.add(batcher, 4);
    settle(context);
    CHECK(callers.replies[1].value == 3);
    CHECK(callers.replies[2].value == 4);
    CHECK(batcher.stats().running == 0);
}

TEST_CASE("an asynchronous function that ignores its cancellation holds nobody up") {
    aio::io_context context;
    Callers callers;
    Gate gate(context);
    auto doubling = gate.doubling();
    batching::Batcher batcher{
        context,
        [&](Ints items) -> aio::awaitable<Ints> {
            co_await aio::this_coro::reset_cancellation_state(aio::disable_cancellation());
            auto answer = doubling(std::move(items));
            co_return co_await std::move(answer);
        },
        {.max_batch_size = 1}};
    callers.add(batcher, 1);
    settle(context);
    callers.cancel(0);
    callers.add(batcher, 2);
    settle(context);
    CHECK(callers.replies[0].aborted());
    CHECK(gate.started.size() == 1);
    gate.open();
    settle(context);
    CHECK(gate.started.size() == 2);
    CHECK(callers.replies[1].value == 4);
}

TEST_CASE("an asynchronous function that nobody waits for any more is not started") {
    aio::io_context context;
    Track track;
    Callers callers;
    Ints started;
    batching::Batcher batcher{tracked(context, track),  // posts what others do at once
                              [&](Ints items) -> aio::awaitable<Ints> {
                                  started.push_back(items[0]);
                                  co_return items;
                              },
                              {.max_batch_size = 1}};
    callers.add(batcher, 1);
    while (batcher.stats().running == 0) context.poll_one();
    REQUIRE(started.empty());
    callers.cancel(0);
    callers.add(batcher, 2);
    settle(context);
    CHECK(started == Ints{2});
    CHECK(callers.replies[1].value == 2);
}

TEST_CASE("callers that leave while an asynchronous function runs on another thread are no race") {
    aio::thread_pool pool(2);
    batching::Batcher batcher{pool,
                              [&](Ints items) -> aio::awaitable<Ints> {
                                  for (int i = 0; i < items[0] % 8; ++i) {
                                      aio::steady_timer timer(pool, 0s);
                                      co_await timer.async_wait(aio::use_awaitable);
                                  }
                                  co_return items;
                              },
                              {.max_batch_size = 1, .max_concurrent_batches = 2}};
    for (int i = 0; i < 300; ++i) {
        aio::cancellation_signal signal;
        std::promise<void> done;
        batcher.async_process(
            i, aio::bind_cancellation_slot(
                   signal.slot(), [&](const std::exception_ptr&, int) { done.set_value(); }));
        for (int k = 0; k < i % 16; ++k) std::this_thread::yield();
        signal.emit(aio::cancellation_type::terminal);
        done.get_future().get();
    }
    batcher.drain().get();
    CHECK(batcher.stats().running == 0);
    pool.join();
}

TEST_CASE("callers that leave after the Batcher's context has gone cancel nothing") {
    auto context = std::make_unique<aio::io_context>();
    aio::io_context elsewhere;
    Callers callers;
    int cancelled = 0;
    std::optional batcher(batching::Batcher{*context,
                                            [&](Ints items) -> aio::awaitable<Ints> {
                                                co_await until_cancelled(cancelled);
                                                co_return items;
                                            },
                                            {.max_batch_size = 1}});
    callers.add(*batcher, 1);
    Reply<int> destroyed;
    Owned caller = owned_call(*batcher, 2, destroyed);
    settle(*context);
    context.reset();
    caller.destroy();
    callers.cancel(0);
    batcher.reset();
    CHECK(cancelled == 0);
    CHECK(callers.replies[0].pending());
}

TEST_CASE("a Batcher that goes does not stop its batches, as their callers still wait") {
    aio::io_context context;
    Gate gate(context);
    Reply<int> reply;
    std::optional batcher(batching::Batcher{context, gate.doubling(), {.max_batch_size = 1}});
    call(*batcher, 4, reply);
    settle(context);
    batcher.reset();
    settle(context);
    CHECK(reply.pending());
    gate.open();
    settle(context);
    CHECK(reply.value == 8);
}

TEST_CASE("what isolate_failures() calls again is told of the calls that it is given, in order") {
    aio::io_context context;
    const bool asynchronous = GENERATE(false, true);
    std::vector<Told> told;
    const auto function = [&](const Ints& items, const BatchInfo& batch) {
        told.emplace_back(batch);
        for (const int item : items) {
            if (item == 2) throw std::runtime_error("2 is bad");
        }
        return items;
    };
    const auto later = [&](const Ints& items, const BatchInfo& batch) -> aio::awaitable<Ints> {
        co_await aio::post(aio::use_awaitable);
        co_return function(items, batch);
    };
    using Batcher = batching::Batcher<int, int, ManualClock>;
    const batching::Options options{.max_batch_size = 3, .batch_timeout = 1s};
    std::optional<Batcher> batcher;
    if (asynchronous) {
        batcher.emplace(context, batching::isolate_failures(later), options);
    } else {
        batcher.emplace(context, batching::isolate_failures(function), options);
    }
    std::deque<Reply<int>> replies;
    for (const int item : {1, 2, 3}) {
        call(*batcher, item, replies.emplace_back());
        ManualClock::advance(item == 3 ? 0ms : 1ms);
    }
    settle(context);
    using Times = std::vector<std::chrono::nanoseconds>;
    REQUIRE(told.size() == 5);
    CHECK(told[0].waited == Times{2ms, 1ms, 0ms});
    CHECK(told[1].waited == Times{2ms});
    CHECK(told[2].waited == Times{1ms, 0ms});
    CHECK(told[3].waited == Times{1ms});
    CHECK(told[4].waited == Times{0ms});
    for (const auto& part : told) {
        CHECK(part.number == 1);
        CHECK(part.weight == 3);
    }
    CHECK(replies[0].value == 1);
    CHECK(replies[1].sentence() == "2 is bad");
    CHECK(replies[2].value == 3);
}

TEST_CASE("an isolated function that is cancelled is not called again with halves") {
    aio::io_context context;
    Callers callers;
    int cancelled = 0;
    int runs = 0;
    batching::Batcher batcher{
        context,
        batching::isolate_failures([&](const Ints& items) -> aio::awaitable<Ints> {
            ++runs;
            co_await until_cancelled(cancelled);
            throw std::runtime_error("nobody waits");
            co_return items;
        }),
        {.max_batch_size = 2}};
    callers.add(batcher, 1);
    callers.add(batcher, 2);
    settle(context);
    callers.cancel(0);
    callers.cancel(1);
    settle(context);
    CHECK(cancelled == 1);
    CHECK(runs == 1);
}

TEST_CASE("a BatchInfo has no calls for what pad_to() has added") {
    std::vector<std::pair<std::size_t, std::size_t>> seen;  // items, calls
    const auto function = [&](Ints items, const BatchInfo& batch) {
        seen.emplace_back(items.size(), batch.calls().size());
        return items;
    };
    using Seen = decltype(seen);
    SECTION("alone") {
        batching::Batcher batcher{batching::pad_to({4, 32}, function)};
        CHECK(batcher.process_many({1, 2, 3}).get() == Ints{1, 2, 3});
        CHECK(seen == Seen{{4, 3}});
    }
    SECTION("asynchronous") {
        aio::io_context context;
        batching::Batcher batcher{
            context,
            batching::pad_to({4, 32},
                             [&](Ints items, const BatchInfo& batch) -> aio::awaitable<Ints> {
                                 co_await aio::post(aio::use_awaitable);
                                 co_return function(std::move(items), batch);
                             }),
            {.max_batch_size = 3}};
        std::deque<Reply<int>> replies;
        for (const int item : {1, 2, 3}) call(batcher, item, replies.emplace_back());
        settle(context);
        CHECK(seen == Seen{{4, 3}});
        CHECK(replies[2].value == 3);
    }
    SECTION("around a function whose failures are isolated") {
        const auto picky = [&](const Ints& items, const BatchInfo& batch) {
            function(items, batch);
            if (items.front() == 1) throw std::runtime_error("1 is bad");
            return items;
        };
        batching::Batcher batcher{batching::pad_to({4, 32}, batching::isolate_failures(picky))};
        CHECK_THROWS_WITH(batcher.process_many({1, 2, 3}).get(), "1 is bad");
        CHECK(seen == Seen{{4, 3}, {2, 2}, {2, 1}, {1, 1}, {1, 1}});
    }
}

TEST_CASE("who calls a batch function himself gives it a BatchInfo of no batch") {
    const BatchInfo none;
    CHECK(none.number() == 0);
    CHECK(none.slot() == 0);
    CHECK(none.weight() == 0);
    CHECK(none.deadline() == std::nullopt);
    CHECK(none.calls().empty());
    CHECK_FALSE(none.stop_requested());
    const auto function = [](const Ints& items, const BatchInfo& batch) {
        if (!batch.calls().empty() || items[0] == 1) throw std::runtime_error("1 is bad");
        return items;
    };
    CHECK(batching::isolate_failures(function)({2, 1, 3}, none)[2].value() == 3);
}

TEST_CASE("the deadline of a batch is a time of the steady clock, whatever the Batcher's clock") {
    using Access = batching::detail::BatchInfoAccess;
    using Steady = std::chrono::steady_clock;
    batching::detail::Batch batch;
    CHECK(Access::of<Steady>(batch, {}).deadline() == std::nullopt);
    CHECK(Access::of<ManualClock>(batch, {}).deadline() == std::nullopt);
    batch.deadline = 5s;
    CHECK(Access::of<Steady>(batch, {}).deadline() == Steady::time_point(5s));
    batch.deadline = ManualClock::now().time_since_epoch() + 5s;
    const auto before = Steady::now();
    const auto deadline = Access::of<ManualClock>(batch, {}).deadline();
    REQUIRE(deadline.has_value());
    CHECK(*deadline >= before + 5s);
    CHECK(*deadline <= Steady::now() + 5s);
}

}  // namespace batch_info_test
