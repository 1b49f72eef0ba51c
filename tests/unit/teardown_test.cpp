// What destroying a Batcher waits for, and what not: its running batches, but no executor of a caller, and
// no timer. What waits is failed in one step.
#include "catch.hpp"
#include "support.hpp"
#include "watchdog.hpp"

#include <future>
#include <thread>

namespace teardown_test {

using namespace test;

using OwnBatcher = batching::Batcher<int, int>;

std::vector<int> doubled(std::vector<int> items) {
    for (int& item : items) item *= 2;
    return items;
}

// A batch function that says when it was entered, and returns once it is released.
class Block {
public:
    auto doubling() {
        return [this](std::vector<int> items) {
            if (!entered_.exchange(true)) has_entered_.set_value();
            released_.wait();
            return doubled(std::move(items));
        };
    }
    void wait_until_entered() { has_entered_.get_future().wait(); }
    void release() { release_.set_value(); }

private:
    std::atomic<bool> entered_{false};
    std::promise<void> has_entered_;
    std::promise<void> release_;
    std::shared_future<void> released_ = release_.get_future().share();
};

enum class Caller { coroutine, awaitable, handler };

Detached call_from(OwnBatcher& batcher, int item, aio::io_context& home, Reply<int>& reply) {
    try {
        auto operation = batcher.process(item);
        reply.set(co_await std::move(operation).resume_on(home.get_executor()));
    } catch (...) {
        reply.fail(std::current_exception());
    }
}

aio::awaitable<void> awaitable_call(OwnBatcher& batcher, int item, Reply<int>& reply) {
    try {
        auto operation = batcher.process(item);
        reply.set(co_await std::move(operation));
    } catch (...) {
        reply.fail(std::current_exception());
    }
}

// Calls process(item) from a caller that resumes on `home`. `home` is to be polled then.
void start(Caller kind, OwnBatcher& batcher, int item, aio::io_context& home, Reply<int>& reply) {
    switch (kind) {
        case Caller::coroutine:
            call_from(batcher, item, home, reply);
            break;
        case Caller::awaitable:
            aio::co_spawn(home, awaitable_call(batcher, item, reply), aio::detached);
            break;
        case Caller::handler:
            batcher.async_process(item, aio::bind_executor(home, into(reply)));
    }
}

// Two callers on `home`, in a full batch that the only worker runs; and one more that waits.
struct BusyWorker {
    explicit BusyWorker(Caller kind, std::chrono::nanoseconds batch_timeout) {
        batcher = std::make_unique<OwnBatcher>(
            block.doubling(),
            batching::Options{.max_batch_size = 2, .batch_timeout = batch_timeout});
        for (int i = 0; i < 2; ++i) start(kind, *batcher, i, *home, running[i]);
        home->poll();
        block.wait_until_entered();
        start(kind, *batcher, 2, *home, waiting);
        home->restart();
        home->poll();
        home->restart();
        REQUIRE(batcher->stats().waiting == 1);
        // The batch goes on once the destructor has failed what waits, which this one tells.
        batcher->async_process(
            3, aio::bind_executor(elsewhere, [this](std::exception_ptr, int) { block.release(); }));
        releaser = std::thread([this] { elsewhere.run(); });
    }
    ~BusyWorker() {
        if (releaser.joinable()) releaser.join();
    }

    void check_replies() const {
        for (int i = 0; i < 2; ++i) {
            CHECK(running[i].times == 1);
            CHECK(running[i].value == 2 * i);
        }
        CHECK(waiting.times == 1);
        CHECK(waiting.aborted());
    }
    bool nobody_was_resumed() const {
        return running[0].pending() && running[1].pending() && waiting.pending();
    }

    Block block;
    Reply<int> running[2];
    Reply<int> waiting;
    std::unique_ptr<aio::io_context> home = std::make_unique<aio::io_context>();
    aio::io_context elsewhere;
    std::unique_ptr<OwnBatcher> batcher;
    std::thread releaser;
};

TEST_CASE(
    "destroying a Batcher that owns workers waits for its running batch, not for its callers' "
    "executors") {
    const Caller kind = GENERATE(Caller::coroutine, Caller::awaitable, Caller::handler);
    const std::chrono::nanoseconds timeout =
        GENERATE(std::chrono::nanoseconds(1h), batching::no_timeout);
    BusyWorker busy(kind, timeout);
    SECTION("blocked in that very destructor") {
        {
            const Watchdog watchdog("~Batcher, called by a handler of its callers' executor,");
            aio::post(*busy.home, [&] { busy.batcher.reset(); });
            busy.home->run_one();
        }
        busy.home->restart();
        busy.home->run();
        busy.check_replies();
    }
    SECTION("not running, as its thread destroys the Batcher") {
        {
            const Watchdog watchdog("~Batcher, called beside its callers' executor,");
            busy.batcher.reset();
        }
        CHECK(busy.nobody_was_resumed());
        busy.home->run();
        busy.check_replies();
    }
    SECTION("stopped") {
        busy.home->stop();
        {
            const Watchdog watchdog("~Batcher, whose callers' executor is stopped,");
            std::async(std::launch::async, [&] { busy.batcher.reset(); }).get();
        }
        CHECK(busy.nobody_was_resumed());
        busy.home->restart();
        busy.home->run();
        busy.check_replies();
    }
    SECTION("never run again") {
        {
            const Watchdog watchdog("~Batcher, whose callers' executor is not run again,");
            busy.batcher.reset();
        }
        CHECK(busy.nobody_was_resumed());
        if (kind != Caller::coroutine) {  // which would never be destroyed
            busy.home.reset();
            CHECK(busy.nobody_was_resumed());
        } else {
            busy.home->run();
            busy.check_replies();
        }
    }
}

TEST_CASE(
    "destroying a Batcher that owns workers does not wait for callers that it has just resumed") {
    const Caller kind = GENERATE(Caller::coroutine, Caller::awaitable, Caller::handler);
    aio::io_context home;
    auto batcher = std::make_unique<OwnBatcher>(
        doubled, batching::Options{.max_batch_size = 2, .batch_timeout = batching::no_timeout});
    Reply<int> replies[2];
    for (int i = 0; i < 2; ++i) start(kind, *batcher, i, home, replies[i]);
    home.poll();
    // The batch has run, and its callers' executor has not been given a thread since.
    {
        const Watchdog watchdog("Batcher::stats(), until the batch has run,");
        while (batcher->stats().completed < 2) std::this_thread::yield();
    }
    {
        const Watchdog watchdog("~Batcher, whose callers have not resumed yet,");
        batcher.reset();
    }
    home.restart();
    home.run();
    for (int i = 0; i < 2; ++i) CHECK(replies[i].value == 2 * i);
}

// Returns when the only thread of `pool` has done what it was given before.
void settle(aio::thread_pool& pool) {
    for (int i = 0; i < 3; ++i) aio::post(pool, aio::use_future([] {})).get();
}

TEST_CASE("a pool whose Batcher has gone can be joined: no timer keeps it") {
    aio::thread_pool pool(1);
    auto batcher = std::make_unique<OwnBatcher>(
        pool, doubled, batching::Options{.max_batch_size = 2, .batch_timeout = 1h});
    std::promise<int> promise;
    auto waiting = promise.get_future();
    const auto tell = [&](std::exception_ptr error, int value) {
        if (error) {
            promise.set_exception(error);
        } else {
            promise.set_value(value);
        }
    };
    bool aborted = true;
    SECTION("an item waits") {
        batcher->async_process(1, tell);
        settle(pool);  // the timer is armed
    }
    SECTION("an item has just been submitted") { batcher->async_process(1, tell); }
    SECTION("the timer was armed for an item whose batch has filled since") {
        batcher->async_process(1, tell);
        settle(pool);
        batcher->async_process(2, [](std::exception_ptr, int) {});
        CHECK(waiting.get() == 2);
        aborted = false;
    }
    SECTION("the timer was armed for an item that was cancelled since") {
        batcher->async_process(1, tell);
        settle(pool);
        batcher->cancel();
    }
    batcher.reset();
    {
        const Watchdog watchdog("thread_pool::join(), after ~Batcher,");
        pool.join();
    }
    if (aborted) CHECK_THROWS(waiting.get());
}

TEST_CASE("a pool whose Batcher has gone can be joined, whatever its callers' executors do") {
    const Caller kind = GENERATE(Caller::coroutine, Caller::awaitable, Caller::handler);
    aio::thread_pool pool(1);
    aio::io_context home;
    Block block;
    Reply<int> replies[2];
    auto batcher = std::make_unique<OwnBatcher>(
        pool, block.doubling(), batching::Options{.max_batch_size = 2, .batch_timeout = 1h});
    start(kind, *batcher, 0, home, replies[0]);
    home.poll();
    settle(pool);  // the timer is armed
    start(kind, *batcher, 1, home, replies[1]);
    home.restart();
    home.poll();
    block.wait_until_entered();
    SECTION("destroyed while the batch runs") {
        batcher.reset();
        block.release();
    }
    SECTION("closed while the batch runs, destroyed afterwards") {
        batcher->close();
        block.release();
        settle(pool);
        batcher.reset();
    }
    {
        const Watchdog watchdog("thread_pool::join(), with callers that have not resumed yet,");
        pool.join();
    }
    home.restart();
    home.run();
    for (int i = 0; i < 2; ++i) CHECK(replies[i].value == 2 * i);
}

TEST_CASE("a pool can be joined once its Batcher is closed and drained") {
    aio::thread_pool pool(1);
    OwnBatcher batcher{pool, doubled, {.max_batch_size = 2, .batch_timeout = 1h}};
    std::future<int> waiting;
    SECTION("an item waited") {
        waiting = batcher.async_process(1, aio::use_future);
        settle(pool);
    }
    SECTION("no item ever came") {}
    batcher.close();
    {
        const Watchdog watchdog("drain()");
        batcher.drain().get();
    }
    if (waiting.valid()) CHECK(waiting.get() == 2);
    {
        const Watchdog watchdog("thread_pool::join(), after close() and drain(),");
        pool.join();
    }
}

TEST_CASE("an io_context whose Batcher has gone runs out of work: no timer keeps it") {
    aio::io_context context;
    auto batcher = std::make_unique<OwnBatcher>(
        context, doubled, batching::Options{.max_batch_size = 2, .batch_timeout = 1h});
    Reply<int> reply;
    batcher->async_process(1, into(reply));
    context.poll();
    SECTION("destroyed") {
        batcher.reset();
        const Watchdog watchdog("io_context::run(), after ~Batcher,");
        context.run();
        CHECK(reply.aborted());
    }
    SECTION("closed and drained") {
        bool drained = false;
        batcher->close();
        batcher->async_drain([&](std::exception_ptr) { drained = true; });
        const Watchdog watchdog("io_context::run(), after close() and drain(),");
        context.run();
        CHECK(drained);
        CHECK(reply.value == 2);
    }
    CHECK(reply.times == 1);
}

// Runs a full batch of four, lets three more wait, below a full batch and without a timeout, and destroys the
// Batcher while the batch ends. Returns how many of those that waited the batch function has seen, and counts
// those that failed.
template <class Make>
int seen_of_those_who_waited(int round, Make make, int& failed) {
    constexpr int full = 4;
    constexpr int below_full = 3;
    std::promise<void> entered;
    std::atomic<bool> destroying{false};
    std::atomic<int> seen{0};
    const auto function = [&](std::vector<int> items) {
        if (items.front() >= full) {
            seen += static_cast<int>(items.size());
        } else {
            entered.set_value();
            while (!destroying) std::this_thread::yield();
            for (int i = 0; i < round; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        return doubled(std::move(items));
    };
    std::unique_ptr<OwnBatcher> batcher = make(function);
    std::future<int> calls[full + below_full];
    for (int i = 0; i < full; ++i) calls[i] = batcher->async_process(i, aio::use_future);
    entered.get_future().wait();
    for (int i = full; i < full + below_full; ++i) {
        calls[i] = batcher->async_process(i, aio::use_future);
    }
    while (batcher->stats().waiting < below_full) std::this_thread::yield();
    destroying = true;
    batcher.reset();
    for (int i = 0; i < full; ++i) CHECK(calls[i].get() == 2 * i);
    for (int i = full; i < full + below_full; ++i) {
        try {
            calls[i].get();
        } catch (
            ...) {  // not looked at: its last owner may be a thread that ThreadSanitizer cannot order
            ++failed;
        }
    }
    return seen;
}

TEST_CASE("destroying a Batcher is one step: what waits when it begins is aborted, never run") {
    const Watchdog watchdog("destroying Batchers", 60s);
    const std::size_t slots = GENERATE(std::size_t{1}, std::size_t{2});
    const batching::Options options{.max_batch_size = 4,
                                    .batch_timeout = batching::no_timeout,
                                    .max_concurrent_batches = slots};
    constexpr int rounds = 300;
    int seen = 0;
    int failed = 0;
    SECTION("on its own workers") {
        for (int round = 0; round < rounds; ++round) {
            seen += seen_of_those_who_waited(
                round,
                [&](auto function) { return std::make_unique<OwnBatcher>(function, options); },
                failed);
        }
    }
    SECTION("on a pool") {
        for (int round = 0; round < rounds; ++round) {
            aio::thread_pool pool(2);
            seen += seen_of_those_who_waited(
                round,
                [&](auto function) {
                    return std::make_unique<OwnBatcher>(pool, function, options);
                },
                failed);
            pool.join();
        }
    }
    CHECK(seen == 0);
    CHECK(failed == 3 * rounds);
}

}  // namespace teardown_test
