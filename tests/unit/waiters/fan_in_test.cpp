// FanIn: many items handed in as one chain, and one end; as a deployment uses it.
#include <algorithm>
#include <atomic>
#include <batcher/detail/access.hpp>
#include <batcher/detail/waiters/fan_in.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "../catch.hpp"
#include "../support.hpp"

namespace fan_in_test {

using namespace test;
using batching::errc;
using batching::detail::CompletionExecutor;
using batching::detail::Engine;

// Keeps what each item came to, and how often it was told of the end.
template <class Out>
class Each final : batching::detail::FanIn<int, Out, std::chrono::steady_clock> {
    using Base = batching::detail::FanIn<int, Out, std::chrono::steady_clock>;
    using Value = std::conditional_t<std::is_void_v<Out>, std::monostate, Out>;

public:
    explicit Each(batching::Batcher<int, Out>& batcher)
        : engine_(batching::detail::Access::engine(batcher)) {}

    using Base::add;
    using Base::reserve;
    using Base::size;

    void add_all(const std::vector<int>& items) {
        reserve(items.size());
        for (const int item : items) add(item);
    }
    void submit(CompletionExecutor* executor = &CompletionExecutor::anywhere()) {
        Base::submit(*engine_, executor, batching::detail::Accept::as_many_as_fit);
        this->detach();
    }
    void submit(const std::vector<int>& items) {
        add_all(items);
        submit();
    }
    // All or none.
    void submit_all(const std::vector<int>& items) {
        add_all(items);
        Base::submit(*engine_, &CompletionExecutor::anywhere(),
                     batching::detail::Accept::all_or_none);
    }
    void cancel() { Base::cancel(*engine_); }
    using Base::detach;

    Engine& engine() { return *engine_; }
    int ended() const { return ended_; }
    bool abandoned() const { return abandoned_; }
    void wait() const { batching::detail::wait_while(ended_, 0); }
    const std::vector<Reply<Value>>& replies() const { return replies_; }

    std::vector<std::optional<Value>> values() const {
        std::vector<std::optional<Value>> values;
        for (const auto& reply : replies_) values.push_back(reply.value);
        return values;
    }
    bool all_aborted() const {
        return std::all_of(replies_.begin(), replies_.end(),
                           [](const auto& reply) { return reply.aborted(); });
    }

private:
    void all_ended(bool detached) override {
        if (!detached) return;
        abandoned_ = Base::abandoned();
        for (std::size_t i = 0; i < size(); ++i) {
            auto& part = (*this)[i];
            if (part.error) {
                replies_.emplace_back().fail(part.error);
            } else {
                replies_.emplace_back().set(std::move(part.value.value()));
            }
        }
        batching::detail::store_and_wake(ended_, ended_ + 1);
    }

    const std::shared_ptr<Engine> engine_;
    std::vector<Reply<Value>> replies_;
    bool abandoned_ = false;
    std::atomic<int> ended_{0};
};

using Values = std::vector<std::optional<int>>;
constexpr batching::Options when_flushed{.batch_timeout = batching::no_timeout};

TEST_CASE("each item has its result, in its place", "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(), when_flushed);
    Each<int> each(batcher);
    each.submit({1, 2, 3});
    settle(context);
    CHECK(each.ended() == 0);
    batcher.flush();
    settle(context);
    CHECK(each.ended() == 1);
    CHECK_FALSE(each.abandoned());
    CHECK(each.values() == Values{2, 4, 6});
    CHECK(batches.seen == std::vector<std::vector<int>>{{1, 2, 3}});
}

TEST_CASE("its end comes with the last of several batches", "[fan_in]") {
    aio::io_context context;
    Gate gate(context);
    batching::Batcher<int, int> batcher(context, gate.doubling(),
                                        {.max_batch_size = 2, .max_concurrent_batches = 2});
    Each<int> each(batcher);
    each.submit({1, 2, 3, 4});
    settle(context);
    CHECK(gate.started == std::vector<std::vector<int>>{{1, 2}, {3, 4}});
    CHECK(each.ended() == 0);
    gate.open();
    settle(context);
    CHECK(each.ended() == 1);
    CHECK(each.values() == Values{2, 4, 6, 8});
}

TEST_CASE("room may be reserved for more items than there are", "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(), {.batch_timeout = 0ns});
    Each<int> each(batcher);
    each.reserve(4);
    each.add(1);
    each.add(2);
    CHECK(each.size() == 2);
    each.submit();
    settle(context);
    CHECK(each.ended() == 1);
    CHECK(each.values() == Values{2, 4});
    CHECK(batcher.stats().submitted == 2);
}

TEST_CASE("no items end when their owner detaches", "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(), when_flushed);
    Each<int> none(batcher);
    none.submit(std::vector<int>());
    CHECK(none.ended() == 1);
    CHECK_FALSE(none.abandoned());
    CHECK(none.replies().empty());

    Each<int> unreadable(batcher);
    unreadable.reserve(2);
    unreadable.submit();
    CHECK(unreadable.ended() == 1);
    CHECK(unreadable.replies().empty());
    CHECK(batcher.stats().submitted == 0);
}

TEST_CASE("items without results have their ends, too", "[fan_in]") {
    aio::io_context context;
    int sum = 0;
    batching::Batcher<int, void> batcher(context,
                                         [&](const std::vector<int>& items) {
                                             for (const int item : items) sum += item;
                                         },
                                         {.batch_timeout = 0ns});
    Each<void> each(batcher);
    each.submit({1, 2});
    settle(context);
    CHECK(each.ended() == 1);
    CHECK(each.values() == std::vector<std::optional<std::monostate>>(2, std::monostate()));
    CHECK(sum == 3);
}

TEST_CASE("a failure of the batch function is that of each of its items", "[fan_in]") {
    aio::io_context context;
    batching::Batcher<int, void> batcher(context,
                                         [](const std::vector<int>& items) {
                                             if (items.front() == 3)
                                                 throw std::runtime_error("broken");
                                         },
                                         {.max_batch_size = 2, .batch_timeout = 0ns});
    Each<void> each(batcher);
    each.submit({1, 2, 3, 4});
    settle(context);
    CHECK(each.ended() == 1);
    REQUIRE(each.replies().size() == 4);
    CHECK(each.replies()[0].value);
    CHECK(each.replies()[1].value);
    CHECK(each.replies()[2].sentence() == "broken");
    CHECK(each.replies()[3].sentence() == "broken");
}

TEST_CASE("it ends on the completion executor of its parts", "[fan_in]") {
    aio::io_context context;
    aio::io_context other;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(),
                                        {.max_batch_size = 2, .batch_timeout = 0ns});
    Each<int> each(batcher);
    each.add_all({1, 2, 3});
    each.submit(each.engine().find(other.get_executor()));
    settle(context);
    CHECK(batches.seen.size() == 2);
    CHECK(each.ended() == 0);
    settle(other);
    CHECK(each.ended() == 1);
    CHECK(each.values() == Values{2, 4, 6});
}

// ---- what does not fit -------------------------------------------------------------------------------

TEST_CASE("a queue that is nearly full takes the first items, and refuses the others one by one",
          "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(
        context, batches.doubling(),
        {.max_batch_size = 4, .batch_timeout = batching::no_timeout, .max_queue_size = 4});
    Each<int> first(batcher);
    first.submit({1});
    Each<int> second(batcher);
    second.submit({2, 3, 4, 5, 6});
    CHECK(second.ended() == 0);
    CHECK(batcher.stats().waiting == 4);
    CHECK(batcher.stats().rejected == 2);
    Each<int> third(batcher);
    third.submit({7, 8});
    CHECK(third.ended() == 1);
    CHECK(batcher.stats().rejected == 4);
    REQUIRE(third.replies().size() == 2);
    for (const auto& reply : third.replies()) CHECK(reply.failed_with(errc::overloaded));

    settle(context);
    CHECK(first.values() == Values{2});
    CHECK(second.ended() == 1);
    CHECK(second.values() == Values{4, 6, 8, {}, {}});
    CHECK(second.replies()[3].failed_with(errc::overloaded));
    CHECK(second.replies()[4].sentence() ==
          "the queue is full: 2 items do not fit, 4 of at most 4 wait");
    CHECK(batches.seen == std::vector<std::vector<int>>{{1, 2, 3, 4}});
    CHECK(batcher.stats().waiting == 0);
}

TEST_CASE("one item that does not fit is told so with the figures of one", "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(
        context, batches.doubling(),
        {.max_batch_size = 2, .batch_timeout = batching::no_timeout, .max_queue_size = 2});
    Each<int> each(batcher);
    each.submit({1, 2, 3});
    settle(context);
    CHECK(each.values() == Values{2, 4, {}});
    CHECK(each.replies()[2].sentence() == "the queue is full: 2 of at most 2 items wait");
}

TEST_CASE("a closed Batcher refuses each item", "[fan_in]") {
    for (const std::size_t limit : {batching::no_limit, std::size_t{1}}) {
        aio::io_context context;
        Batches batches;
        batching::Batcher<int, int> batcher(
            context, batches.doubling(),
            {.max_batch_size = 1, .batch_timeout = batching::no_timeout, .max_queue_size = limit});
        batcher.close();
        Each<int> each(batcher);
        each.submit({1, 2});
        CHECK(each.ended() == 1);
        CHECK_FALSE(each.abandoned());
        REQUIRE(each.replies().size() == 2);
        for (const auto& reply : each.replies()) CHECK(reply.failed_with(errc::closed));
        CHECK(batcher.stats().rejected == 2);
    }
}

TEST_CASE(
    "of items that are accepted as a whole or not at all, all are handed in, or each is told why "
    "not",
    "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(
        context, batches.doubling(),
        {.max_batch_size = 3, .batch_timeout = batching::no_timeout, .max_queue_size = 3});
    Each<int> two(batcher);
    two.submit_all({1, 2});
    CHECK(batcher.stats().waiting == 2);
    two.detach();
    Each<int> too_many(batcher);
    too_many.submit_all({3, 4});
    CHECK(too_many.ended() == 0);
    too_many.detach();
    REQUIRE(too_many.ended() == 1);
    REQUIRE(too_many.replies().size() == 2);
    for (const auto& reply : too_many.replies()) {
        CHECK(reply.failed_with(errc::overloaded));
        CHECK(reply.sentence() == "the queue is full: 2 items do not fit, 2 of at most 3 wait");
    }
    CHECK(batcher.stats().waiting == 2);
    CHECK(batcher.stats().rejected == 2);
    Each<int> one(batcher);
    one.submit_all({5});
    CHECK(batcher.stats().waiting == 3);
    settle(context);
    CHECK(batches.seen == std::vector<std::vector<int>>{{1, 2, 5}});
    CHECK(two.ended() == 1);
    CHECK(two.values() == Values{2, 4});
    CHECK(one.ended() == 0);  // its parts have
    one.detach();
    CHECK(one.ended() == 1);
    CHECK(one.values() == Values{10});
    CHECK(too_many.ended() == 1);
    batcher.close();
    Each<int> late(batcher);
    late.submit_all({6});
    late.detach();
    CHECK(late.replies().at(0).failed_with(errc::closed));
}

// ---- what ends early ---------------------------------------------------------------------------------

TEST_CASE("items that wait leave the queue when they are cancelled, and others take their places",
          "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(
        context, batches.doubling(),
        {.max_batch_size = 2, .batch_timeout = batching::no_timeout, .max_queue_size = 3});
    Each<int> kept(batcher);
    kept.submit({1});
    Each<int> gone(batcher);
    gone.submit({2, 3, 4});  // the last is refused; the first fills a batch that has not begun
    gone.cancel();
    CHECK(gone.ended() == 1);
    CHECK_FALSE(gone.abandoned());
    REQUIRE(gone.replies().size() == 3);
    CHECK(gone.replies()[0].aborted());
    CHECK(gone.replies()[1].aborted());
    CHECK(gone.replies()[2].failed_with(errc::overloaded));
    settle(context);
    CHECK(kept.ended() == 0);
    CHECK(batcher.stats().waiting == 1);
    CHECK(batcher.stats().cancelled == 2);
    Each<int> late(batcher);
    late.submit({5});
    settle(context);
    CHECK(batches.seen == std::vector<std::vector<int>>{{1, 5}});
    CHECK(kept.values() == Values{2});
    CHECK(late.values() == Values{10});
}

TEST_CASE("items that run are let go when they are cancelled, and their results are dropped",
          "[fan_in]") {
    aio::io_context context;
    Gate gate(context);
    batching::Batcher<int, int> batcher(context, gate.doubling(),
                                        {.max_batch_size = 3, .batch_timeout = 0ns});
    Each<int> kept(batcher);
    kept.submit({1});
    Each<int> gone(batcher);
    gone.submit({2, 3, 4});
    settle(context);
    REQUIRE(gate.started == std::vector<std::vector<int>>{{1, 2, 3}});
    CHECK(batcher.stats().waiting == 1);
    gone.cancel();  // two that run, and one that waits
    CHECK(gone.ended() == 1);
    REQUIRE(gone.replies().size() == 3);
    CHECK(gone.all_aborted());
    CHECK(batcher.stats().waiting == 0);
    CHECK(batcher.stats().running == 1);
    gate.open();
    settle(context);
    CHECK(kept.values() == Values{2});
    CHECK(gone.ended() == 1);
    CHECK(gate.started.size() == 1);
}

TEST_CASE("items that are cancelled end on their completion executor", "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(), when_flushed);
    Each<int> each(batcher);
    each.add_all({1, 2});
    each.submit(nullptr);  // the Batcher's own
    each.cancel();
    CHECK(each.ended() == 0);
    each.cancel();  // they are on their way
    settle(context);
    CHECK(each.ended() == 1);
    REQUIRE(each.replies().size() == 2);
    CHECK(each.all_aborted());
    CHECK(batcher.stats().cancelled == 2);
}

TEST_CASE("to cancel what has ended does nothing", "[fan_in]") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(), {.batch_timeout = 0ns});
    Each<int> each(batcher);
    each.submit({1, 2});
    settle(context);
    each.cancel();
    each.cancel();
    CHECK(each.ended() == 1);
    CHECK(each.values() == Values{2, 4});
    CHECK(batcher.stats().cancelled == 0);
}

TEST_CASE("the items of a Batcher that is destroyed are aborted, and those that run have results",
          "[fan_in]") {
    aio::io_context context;
    Gate gate(context);
    std::optional<batching::Batcher<int, int>> batcher;
    batcher.emplace(context, gate.doubling(), batching::Options{.max_batch_size = 2});
    Each<int> each(*batcher);
    each.submit({1, 2, 3});
    settle(context);
    REQUIRE(gate.started.size() == 1);
    batcher.reset();
    settle(context);
    CHECK(each.ended() == 0);
    gate.open();
    settle(context);
    CHECK(each.ended() == 1);
    CHECK_FALSE(each.abandoned());
    CHECK(each.values() == Values{2, 4, {}});
    CHECK(each.replies()[2].aborted());
}

TEST_CASE("when the execution context goes, each item is aborted", "[fan_in]") {
    CompletionExecutor* const executor =
        GENERATE(&CompletionExecutor::anywhere(), static_cast<CompletionExecutor*>(nullptr));
    std::optional<aio::io_context> context(std::in_place);
    Batches batches;
    batching::Batcher<int, int> batcher(*context, batches.doubling(), when_flushed);
    Each<int> each(batcher);
    each.add_all({1, 2, 3});
    each.submit(executor);
    context.reset();
    CHECK(each.ended() == 1);
    CHECK(each.abandoned());
    CHECK(each.replies().size() == 3);
    CHECK(each.all_aborted());
    Each<int> late(batcher);
    late.submit({4});
    CHECK(late.ended() == 1);
    CHECK(late.replies().at(0).failed_with(errc::closed));
}

TEST_CASE("when the context goes that its parts complete on, those are aborted that have not yet",
          "[fan_in]") {
    aio::io_context context;
    std::optional<aio::io_context> other(std::in_place);
    Gate gate(context);
    batching::Batcher<int, int> batcher(context, gate.doubling(), {.max_batch_size = 2});
    Each<int> gone(batcher);
    gone.add_all({1, 2, 3});
    gone.submit(gone.engine().find(other->get_executor()));
    Each<int> kept(batcher);
    kept.submit({4});
    settle(context);
    REQUIRE(gate.started == std::vector<std::vector<int>>{{1, 2}});
    other.reset();
    CHECK(gone.ended() == 1);
    CHECK(gone.abandoned());
    REQUIRE(gone.replies().size() == 3);
    CHECK(gone.all_aborted());
    CHECK(batcher.stats().cancelled == 3);
    gate.open();
    batcher.flush();
    settle(context);
    CHECK(gone.ended() == 1);
    CHECK(kept.values() == Values{8});
}

// ---- in which order ----------------------------------------------------------------------------------

// What happens, in its order, also on the worker.
class Diary {
public:
    void note(const char* what) {
        const std::lock_guard lock(mutex_);
        notes_.emplace_back(what);
        changed_.notify_all();
    }
    std::vector<std::string> notes(std::size_t size) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, 30s, [&] { return notes_.size() >= size; });
        return notes_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> notes_;
};

Detached call_and_note(batching::Batcher<int, int>& batcher, Diary& diary) {
    co_await batcher.process(1);
    diary.note("result");
}
Detached drain_and_note(batching::Batcher<int, int>& batcher, Diary& diary) {
    co_await batcher.drain();
    diary.note("drained");
}

TEST_CASE("callers resume before the next batch of their Batcher, and before its drain is over",
          "[fan_in]") {
    Diary diary;
    batching::Batcher<int, int>* self = nullptr;
    bool first = true;
    batching::Batcher<int, int> batcher(
        [&](std::vector<int> items) {
            diary.note("batch");
            if (std::exchange(first, false)) {
                call_and_note(*self, diary);
                call_and_note(*self, diary);
                drain_and_note(*self, diary);
            }
            return items;
        },
        {.max_batch_size = 2, .batch_timeout = batching::no_timeout});
    self = &batcher;
    call_and_note(batcher, diary);
    Each<int> each(batcher);
    each.submit({2});
    each.wait();
    CHECK(diary.notes(6) ==
          std::vector<std::string>{"batch", "result", "batch", "result", "result", "drained"});
}

}  // namespace fan_in_test
