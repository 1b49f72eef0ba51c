// What a deployment hands its items in with.
#include "catch.hpp"
#include "support.hpp"

#include <batcher/detail/access.hpp>
#include <batcher/detail/process_each.hpp>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>

using namespace test;
using batching::errc;
using batching::detail::Thread;

namespace {

// Keeps what each item came to, and how often it was told of the end.
template <class Out>
class Each final : batching::detail::ProcessEach<int, Out, std::chrono::steady_clock> {
    using Base = batching::detail::ProcessEach<int, Out, std::chrono::steady_clock>;
    using Value = std::conditional_t<std::is_void_v<Out>, std::monostate, Out>;

public:
    explicit Each(batching::Batcher<int, Out>& batcher)
        : Base(batching::detail::Access::engine(batcher)) {}

    using Base::add;
    using Base::add_failed;
    using Base::cancel;
    using Base::reserve;
    using Base::submit;

    void submit(const std::vector<int>& items, Thread thread = Thread::kept) {
        reserve(items.size());
        for (const int item : items) add(item);
        submit(thread);
    }

    int ended() const { return ended_; }
    void wait() const { ended_.wait(0); }
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
    struct Visit {
        std::vector<Reply<Value>>& replies;
        void operator()() { replies.emplace_back().set({}); }
        void operator()(std::exception_ptr error) { replies.emplace_back().fail(std::move(error)); }
        template <class T>
            requires(!std::is_convertible_v<T, std::exception_ptr>)
        void operator()(T&& value) {
            replies.emplace_back().set(std::forward<T>(value));
        }
    };

    void done() override {
        this->for_each_result(Visit{replies_});
        ++ended_;
        ended_.notify_all();
    }

    std::vector<Reply<Value>> replies_;
    std::atomic<int> ended_{0};
};

using Values = std::vector<std::optional<int>>;
constexpr batching::Options when_flushed{.batch_timeout = batching::no_timeout};

std::exception_ptr sorry() { return std::make_exception_ptr(std::runtime_error("sorry")); }

}  // namespace

TEST_CASE("each item has its result, in its place") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(), when_flushed);
    Each<int> each(batcher);
    each.reserve(4);
    each.add_failed(sorry());
    each.add(1);
    each.add_failed(sorry());
    each.add(2);
    each.submit();
    settle(context);
    CHECK(each.ended() == 0);
    batcher.flush();
    settle(context);
    CHECK(each.ended() == 1);
    CHECK(each.values() == Values{{}, 2, {}, 4});
    CHECK(each.replies()[0].sentence() == "sorry");
    CHECK(each.replies()[2].sentence() == "sorry");
    CHECK(batches.seen == std::vector<std::vector<int>>{{1, 2}});
}

TEST_CASE("no items, or none that can run, end within submit()") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(), when_flushed);
    Each<int> none(batcher);
    none.submit({});
    CHECK(none.ended() == 1);
    CHECK(none.replies().empty());

    Each<int> unreadable(batcher);
    unreadable.reserve(2);
    unreadable.add_failed(sorry());
    unreadable.add_failed(sorry());
    unreadable.submit();
    CHECK(unreadable.ended() == 1);
    CHECK(unreadable.values() == Values{{}, {}});
    CHECK(batcher.stats().submitted == 0);
}

TEST_CASE("items without results have their ends, too") {
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

TEST_CASE("a failure of the batch function is that of each of its items") {
    aio::io_context context;
    batching::Batcher<int, void> batcher(
        context, [](const std::vector<int>&) { throw std::runtime_error("broken"); },
        {.max_batch_size = 2, .batch_timeout = 0ns});
    Each<void> each(batcher);
    each.submit({1, 2, 3});
    settle(context);
    CHECK(each.ended() == 1);
    REQUIRE(each.replies().size() == 3);
    for (const auto& reply : each.replies()) CHECK(reply.sentence() == "broken");
}

TEST_CASE("a queue that is nearly full takes the first items, and refuses the others one by one") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(
        context, batches.doubling(), {.batch_timeout = batching::no_timeout, .max_queue_size = 4});
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
    for (const auto& reply : third.replies()) CHECK(reply.failed_with(errc::overloaded));

    batcher.flush();
    settle(context);
    CHECK(first.values() == Values{2});
    CHECK(second.ended() == 1);
    CHECK(second.values() == Values{4, 6, 8, {}, {}});
    CHECK(second.replies()[3].failed_with(errc::overloaded));
    CHECK(second.replies()[4].sentence() ==
          "the queue is full: 2 items do not fit, 4 of at most 4 are waiting");
    CHECK(batches.seen == std::vector<std::vector<int>>{{1, 2, 3, 4}});
    CHECK(batcher.stats().waiting == 0);
}

TEST_CASE("a closed Batcher refuses each item") {
    for (const std::size_t limit : {batching::no_limit, std::size_t{1}}) {
        aio::io_context context;
        Batches batches;
        batching::Batcher<int, int> batcher(
            context, batches.doubling(),
            {.batch_timeout = batching::no_timeout, .max_queue_size = limit});
        batcher.close();
        Each<int> each(batcher);
        each.submit({1, 2});
        CHECK(each.ended() == 1);
        for (const auto& reply : each.replies()) CHECK(reply.failed_with(errc::closed));
        CHECK(batcher.stats().rejected == 2);
    }
}

TEST_CASE("items that wait leave the queue when they are cancelled, and others take their places") {
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

TEST_CASE("items that run are let go when they are cancelled, and their results are dropped") {
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
    CHECK(gone.all_aborted());
    CHECK(batcher.stats().waiting == 0);
    CHECK(batcher.stats().running == 1);
    gate.open();
    settle(context);
    CHECK(kept.values() == Values{2});
    CHECK(gone.ended() == 1);
    CHECK(gate.started.size() == 1);
}

TEST_CASE("to cancel what has ended does nothing") {
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

TEST_CASE("the items of a Batcher that is destroyed are aborted, and those that run have results") {
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
    CHECK(each.values() == Values{2, 4, {}});
    CHECK(each.replies()[2].aborted());
}

TEST_CASE("when the execution context goes, each item is aborted") {
    std::optional<aio::io_context> context(std::in_place);
    Batches batches;
    batching::Batcher<int, int> batcher(*context, batches.doubling(), when_flushed);
    Each<int> each(batcher);
    each.submit({1, 2, 3});
    context.reset();
    CHECK(each.ended() == 1);
    CHECK(each.replies().size() == 3);
    CHECK(each.all_aborted());
    Each<int> late(batcher);
    late.submit({4});
    CHECK(late.replies()[0].failed_with(errc::closed));
}

// Doubles, and remembers on which threads.
struct OnThreads {
    std::vector<std::thread::id> seen;

    auto doubling() {
        return [this](std::vector<int> items) {
            seen.push_back(std::this_thread::get_id());
            for (int& item : items) item *= 2;
            return items;
        };
    }
};

TEST_CASE("a thread that is lent runs the batch that is ready with its items, and no other") {
    OnThreads threads;
    batching::Batcher<int, int> batcher(threads.doubling(),
                                        {.max_batch_size = 2, .batch_timeout = 0ns});
    Each<int> one(batcher);
    one.submit({1}, Thread::lent);
    CHECK(one.ended() == 1);
    CHECK(one.values() == Values{2});

    Each<int> many(batcher);
    many.submit({1, 2, 3}, Thread::lent);
    many.wait();
    CHECK(many.values() == Values{2, 4, 6});

    Each<int> kept(batcher);
    kept.submit({1});
    kept.wait();
    const auto here = std::this_thread::get_id();
    REQUIRE(threads.seen.size() == 4);
    CHECK(threads.seen[0] == here);
    CHECK(threads.seen[1] == here);
    CHECK(threads.seen[2] != here);
    CHECK(threads.seen[3] == threads.seen[2]);
}

TEST_CASE("a batch that waits does so also for a thread that is lent") {
    OnThreads threads;
    batching::Batcher<int, int> batcher(threads.doubling(), when_flushed);
    Each<int> each(batcher);
    each.submit({1}, Thread::lent);
    CHECK(each.ended() == 0);
    batcher.flush();
    each.wait();
    CHECK(threads.seen.at(0) != std::this_thread::get_id());
}

TEST_CASE("a Batcher on an executor runs its batches there, whoever lends a thread") {
    aio::io_context context;
    Batches batches;
    batching::Batcher<int, int> batcher(context, batches.doubling(), {.batch_timeout = 0ns});
    Each<int> each(batcher);
    each.submit({1}, Thread::lent);
    CHECK(each.ended() == 0);
    settle(context);
    CHECK(each.values() == Values{2});
}

TEST_CASE("a batch function that throws on a thread that is lent fails its items only") {
    batching::Batcher<int, void> batcher(
        [](const std::vector<int>&) { throw std::runtime_error("broken"); },
        {.batch_timeout = 0ns});
    Each<void> each(batcher);
    each.submit({1, 2}, Thread::lent);
    REQUIRE(each.ended() == 1);
    for (const auto& reply : each.replies()) CHECK(reply.sentence() == "broken");
}

TEST_CASE("callers whose batch runs on a thread that is lent resume on the worker") {
    OnThreads threads;
    std::promise<std::thread::id> resumed;
    batching::Batcher<int, int> batcher(
        threads.doubling(), {.max_batch_size = 2, .batch_timeout = batching::no_timeout});
    const auto caller = [](batching::Batcher<int, int>& to, auto& promise) -> Detached {
        co_await to.process(1);
        promise.set_value(std::this_thread::get_id());
    };
    caller(batcher, resumed);
    Each<int> each(batcher);
    each.submit({2}, Thread::lent);
    CHECK(each.ended() == 1);
    CHECK(resumed.get_future().get() != std::this_thread::get_id());
    CHECK(threads.seen == std::vector{std::this_thread::get_id()});
}

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

TEST_CASE("callers resume before the drain is over, and before the next batch, on any thread") {
    for (const Thread thread : {Thread::kept, Thread::lent}) {
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
        each.submit({2}, thread);
        each.wait();
        CHECK(diary.notes(6) ==
              std::vector<std::string>{"batch", "result", "batch", "result", "result", "drained"});
    }
}

TEST_CASE("callers resume before the drain is over also if the last batch runs on a lent thread") {
    Diary diary;
    batching::Batcher<int, int>* self = nullptr;
    batching::Batcher<int, int> batcher(
        [&](std::vector<int> items) {
            drain_and_note(*self, diary);
            return items;
        },
        {.max_batch_size = 2, .batch_timeout = batching::no_timeout});
    self = &batcher;
    call_and_note(batcher, diary);
    Each<int> each(batcher);
    each.submit({2}, Thread::lent);
    CHECK(diary.notes(2) == std::vector<std::string>{"result", "drained"});
}

TEST_CASE("a lent thread runs no batch of a call that a full queue refuses in part") {
    OnThreads threads;
    batching::Batcher<int, int> batcher(threads.doubling(),
                                        {.batch_timeout = 0ns, .max_queue_size = 4});
    Each<int> each(batcher);
    each.submit({1, 2, 3, 4, 5, 6}, Thread::lent);
    each.wait();
    CHECK(each.values() == Values{2, 4, 6, 8, {}, {}});
    REQUIRE(threads.seen.size() == 1);
    CHECK(threads.seen[0] != std::this_thread::get_id());
}

TEST_CASE("threads may be lent, and callers call, all at the same time") {
    std::atomic<int> running{0};
    std::atomic<int> together{0};
    batching::Batcher<int, int> batcher(
        [&](std::vector<int> items) {
            if (++running != 1) ++together;
            for (int& item : items) item *= 2;
            --running;
            return items;
        },
        {.max_batch_size = 4, .batch_timeout = 0ns});
    std::atomic<int> wrong{0};
    const auto lend = [&] {
        for (int i = 0; i < 2000; ++i) {
            Each<int> each(batcher);
            each.submit({i, i + 1, i + 2}, Thread::lent);
            each.wait();
            if (each.values() != Values{2 * i, 2 * i + 2, 2 * i + 4}) ++wrong;
        }
    };
    const auto block = [&] {
        for (int i = 0; i < 2000; ++i) wrong += batcher.process(i).get() != 2 * i;
    };
    std::vector<std::thread> all;
    for (int i = 0; i < 2; ++i) {
        all.emplace_back(lend);
        all.emplace_back(block);
    }
    for (auto& thread : all) thread.join();
    CHECK(wrong == 0);
    CHECK(together == 0);  // one slot: never two batches at a time
    CHECK(batcher.stats().completed == 4 * 2000 * 2);
}

TEST_CASE("items may be cancelled at the moment that they are handed back") {
    batching::Batcher<int, int> batcher([](std::vector<int> items) { return items; },
                                        {.max_batch_size = 4, .batch_timeout = 0ns});
    for (int i = 0; i < 3000; ++i) {
        Each<int> each(batcher);
        std::atomic<int> ready{0};
        std::thread cancelling([&] {
            ++ready;
            while (ready != 2) {
            }
            while (each.ended() == 0) each.cancel();
        });
        while (ready != 1) {
        }
        each.submit({1, 2, 3, 4, 5, 6, 7, 8});
        ++ready;
        each.wait();
        cancelling.join();
        CHECK(each.ended() == 1);
        CHECK(each.replies().size() == 8);
    }
}
