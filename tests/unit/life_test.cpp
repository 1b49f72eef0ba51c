// Section 5 of the contract: flush, close, drain, destruction in every order, the execution context.
#include "catch.hpp"
#include "support.hpp"

#include <future>
#include <thread>

namespace life_test {

using namespace test;

using ManualBatcher = batching::Batcher<int, int, ManualClock>;

std::vector<int> identity(std::vector<int> items) { return items; }

// Counts handlers that are alive, called and destroyed.
struct Probe {
    std::shared_ptr<int> alive = std::make_shared<int>(0);
    int called = 0;

    auto handler() {
        return [this, token = alive](std::exception_ptr, int) { ++called; };
    }
    long pending() const { return alive.use_count() - 1; }
};

// A batch function that blocks its worker until the test lets it go on.
class Block {
public:
    std::vector<int> operator()(std::vector<int> items) {
        entered_.set_value();
        released_.get_future().wait();
        finished = true;
        return items;
    }
    std::atomic<bool> finished{false};

    void wait_until_entered() { entered_.get_future().wait(); }
    void release() { released_.set_value(); }

private:
    std::promise<void> entered_;
    std::promise<void> released_;
};

TEST_CASE("close does not block, also while a batch function does not return") {
    auto block = std::make_shared<Block>();
    batching::Batcher<int, int> batcher{
        [block](std::vector<int> items) { return (*block)(std::move(items)); },
        {.max_batch_size = 1}};
    auto result = batcher.async_process(1, aio::use_future);
    block->wait_until_entered();
    batcher.close();
    auto drained = batcher.async_drain(aio::use_future);
    CHECK(drained.wait_for(0s) == std::future_status::timeout);
    CHECK_THROWS_AS(batcher.process(2).get(), batching::Error);
    block->release();
    drained.get();
    CHECK(result.get() == 1);
}

TEST_CASE(
    "drain closes, lets what waits run without waiting longer, and completes when nothing is "
    "left") {
    aio::io_context context;
    Gate gate(context);
    ManualBatcher batcher{
        context, gate.doubling(), {.max_batch_size = 2, .batch_timeout = batching::no_timeout}};
    Reply<int> replies[3];
    for (int i = 0; i < 3; ++i) call(batcher, i, replies[i]);
    settle(context);
    bool drained = false;
    batcher.async_drain([&](std::exception_ptr error) { drained = error == nullptr; });
    settle(context);
    CHECK_FALSE(drained);
    gate.open();
    settle(context);
    CHECK(drained);
    CHECK(gate.started == std::vector<std::vector<int>>{{0, 1}, {2}});
    for (int i = 0; i < 3; ++i) CHECK(replies[i].value == 2 * i);
    Reply<int> late;
    call(batcher, 4, late);
    settle(context);
    CHECK(late.failed_with(batching::errc::closed));
}

TEST_CASE("drain completes after the callers on the same executor have their results") {
    aio::io_context context;
    ManualBatcher batcher{context, identity};
    std::vector<std::string> order;
    batcher.async_process(1, [&](std::exception_ptr, int) { order.emplace_back("result"); });
    batcher.async_drain([&](std::exception_ptr) { order.emplace_back("drained"); });
    settle(context);
    CHECK(order == std::vector<std::string>{"result", "drained"});
}

TEST_CASE(
    "an idle Batcher drains at once, as often as it is asked, in coroutines, threads and "
    "handlers") {
    aio::io_context context;
    batching::Batcher batcher{context, identity};
    int drained = 0;
    [](auto& b, int& d) -> Detached {
        co_await b.drain();
        ++d;
    }(batcher, drained);
    aio::co_spawn(
        context,
        [&]() -> aio::awaitable<void> {
            co_await batcher.drain();
            ++drained;
            co_await batcher.async_drain(aio::use_awaitable);
            ++drained;
        },
        aio::detached);
    CHECK(drained == 0);  // never inside
    context.run();
    CHECK(drained == 3);
    batching::Batcher owner{identity};
    owner.drain().get();
    owner.drain().get();
}

TEST_CASE("a drain can be cancelled, and a caller that waits for one destroyed") {
    aio::io_context context;
    Gate gate(context);
    ManualBatcher batcher{context, gate.doubling(), {.max_batch_size = 1}};
    Reply<int> reply;
    call(batcher, 1, reply);
    settle(context);
    aio::cancellation_signal signal;
    std::exception_ptr error;
    batcher.async_drain(
        aio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { error = e; }));
    bool resumed = false;
    {
        auto waiting = [&]() -> Owned {
            co_await batcher.drain();
            resumed = true;
        };
        Owned owned = waiting();
    }
    signal.emit(aio::cancellation_type::total);
    settle(context);
    CHECK(error != nullptr);
    gate.open();
    settle(context);
    CHECK(reply.value == 2);
    CHECK_FALSE(resumed);
}

TEST_CASE(
    "destroying the Batcher: what waits fails, what runs still gets its result, and nothing "
    "blocks") {
    aio::io_context context;
    Gate gate(context);
    auto batcher = std::make_unique<ManualBatcher>(context, gate.doubling(),
                                                   batching::Options{.max_batch_size = 1});
    Reply<int> running;
    Reply<int> waiting;
    call(*batcher, 1, running);
    settle(context);
    call(*batcher, 2, waiting);
    batcher.reset();
    CHECK(waiting.pending());
    settle(context);
    CHECK(waiting.aborted());
    CHECK(running.pending());
    gate.open();
    settle(context);
    CHECK(running.value == 2);
}

TEST_CASE("destroying a Batcher that owns workers waits for the running batch") {
    Block block;
    auto batcher = std::make_unique<batching::Batcher<int, int>>(
        [&](std::vector<int> items) { return block(std::move(items)); },
        batching::Options{.max_batch_size = 1});
    auto running = batcher->async_process(1, aio::use_future);
    block.wait_until_entered();
    auto waiting = batcher->async_process(2, aio::use_future);
    std::thread releaser([&] { block.release(); });
    batcher.reset();
    CHECK(block.finished);
    releaser.join();
    CHECK(running.get() == 1);
    CHECK_THROWS(waiting.get());
}

TEST_CASE("a thread that is blocked in get() when the Batcher is destroyed is released") {
    Block block;
    auto batcher = std::make_unique<batching::Batcher<int, int>>(
        [&](std::vector<int> items) { return block(std::move(items)); },
        batching::Options{.max_batch_size = 1});
    auto running = batcher->async_process(1, aio::use_future);
    block.wait_until_entered();
    std::promise<void> queued;
    auto blocked = std::async(std::launch::async, [&] {
        auto operation = batcher->process(2);
        queued.set_value();
        return std::move(operation).get();
    });
    queued.get_future().wait();
    while (batcher->stats().waiting == 0) std::this_thread::yield();
    std::thread destroyer([&] { batcher.reset(); });
    CHECK_THROWS(blocked.get());
    block.release();
    destroyer.join();
    CHECK(running.get() == 1);
}

TEST_CASE(
    "the Batcher may be destroyed by a caller that it resumed, on an executor and on its own "
    "worker") {
    SECTION("on an executor") {
        aio::io_context context;
        std::optional<ManualBatcher> batcher(std::in_place, context, identity);
        Reply<int> other;
        batcher->async_process(1, [&](std::exception_ptr, int) { batcher.reset(); });
        batcher->async_process(2, into(other));
        batcher->flush();
        settle(context);
        CHECK_FALSE(batcher);
        CHECK(other.value == 2);
    }
    SECTION("on its own worker") {
        std::promise<void> destroyed;
        auto* batcher = new batching::Batcher<int, int>{identity};
        [](auto* b, auto& d) -> Detached {
            co_await b->process(1);
            delete b;
            d.set_value();
        }(batcher, destroyed);
        destroyed.get_future().get();
    }
}

TEST_CASE("the Batcher may be destroyed inside its own batch function") {
    SECTION("on an executor") {
        aio::io_context context;
        std::optional<ManualBatcher> batcher;
        batcher.emplace(
            context,
            [&](std::vector<int> items) {
                batcher.reset();
                return items;
            },
            batching::Options{.max_batch_size = 1});
        Reply<int> running;
        Reply<int> waiting;
        call(*batcher, 1, running);
        call(*batcher, 2, waiting);
        settle(context);
        CHECK(running.value == 1);
        CHECK(waiting.aborted());
    }
    SECTION("on its own worker") {
        batching::Batcher<int, int>* batcher = nullptr;
        batcher = new batching::Batcher<int, int>{[&](std::vector<int> items) {
                                                      delete batcher;
                                                      return items;
                                                  },
                                                  {.max_batch_size = 1}};
        auto running = batcher->async_process(1, aio::use_future);
        CHECK(running.get() == 1);
    }
}

TEST_CASE("a stopped context keeps what waits and goes on when restarted") {
    aio::io_context context;
    batching::Batcher batcher{context, identity};
    Reply<int> reply;
    call(batcher, 1, reply);
    context.stop();
    context.run();
    CHECK(reply.pending());
    context.restart();
    context.run();
    CHECK(reply.value == 1);
}

TEST_CASE(
    "destroying the context first destroys what waits uncalled, whoever waits, without a leak") {
    Probe probe;
    auto context = std::make_unique<aio::io_context>();
    ManualBatcher batcher{*context, identity, {.max_batch_size = 100}};
    batcher.async_process(1, probe.handler());
    Reply<int> plain;
    Owned coroutine = owned_call(batcher, 2, plain);
    bool awaitable_destroyed = false;
    aio::co_spawn(
        *context,
        [&, token = probe.alive]() -> aio::awaitable<void> {
            struct AtExit {
                bool& flag;
                ~AtExit() { flag = true; }
            } at_exit{awaitable_destroyed};
            co_await batcher.process(3);
        },
        aio::detached);
    settle(*context);
    auto many = [token = probe.alive](std::exception_ptr, const std::vector<int>&) {};
    batcher.async_process_many({4, 5}, std::move(many));
    CHECK(probe.pending() > 0);
    context.reset();
    CHECK(probe.called == 0);
    CHECK(probe.pending() == 0);
    CHECK(awaitable_destroyed);
    CHECK(plain.pending());
}

TEST_CASE(
    "destroying the context with a batch running, handed back or drained: all are destroyed "
    "uncalled") {
    Probe probe;
    auto context = std::make_unique<aio::io_context>();
    auto callers = std::make_unique<aio::io_context>();
    Gate gate(*context);
    ManualBatcher batcher{
        *context, gate.doubling(), {.max_batch_size = 1, .max_concurrent_batches = 2}};
    batcher.async_process(1, probe.handler());
    Reply<int> plain;
    Owned coroutine = owned_call(batcher, 2, plain);
    batcher.async_drain([token = probe.alive](std::exception_ptr) {});
    settle(*context);
    REQUIRE(gate.started.size() == 2);
    SECTION("running") {
        gate.~Gate();  // its timer is of that context
        context.reset();
        new (&gate) Gate(*callers);
    }
    CHECK(probe.called == 0);
    if (!context) CHECK(probe.pending() == 0);
    coroutine.destroy();
    if (context) {
        gate.open();
        settle(*context);
        CHECK(probe.called == 1);
    }
}

TEST_CASE("destroying the callers' context drops their results") {
    Probe probe;
    aio::io_context functions;
    auto callers = std::make_unique<aio::io_context>();
    batching::Batcher batcher{functions, identity};
    batcher.async_process(1, aio::bind_executor(*callers, probe.handler()));
    functions.run();
    CHECK(probe.pending() == 1);
    callers.reset();
    CHECK(probe.called == 0);
    CHECK(probe.pending() == 0);
}

TEST_CASE("a thread blocked in get() is released when the execution context is destroyed") {
    auto context = std::make_unique<aio::io_context>();
    ManualBatcher batcher{*context, identity, {.batch_timeout = batching::no_timeout}};
    auto blocked = std::async(std::launch::async, [&] { return batcher.process(1).get(); });
    while (batcher.stats().waiting == 0) std::this_thread::yield();
    context.reset();
    CHECK_THROWS(blocked.get());
}

TEST_CASE("a Batcher can be moved and assigned while calls are in flight") {
    aio::io_context context;
    ManualBatcher first{context, identity};
    Reply<int> one;
    Reply<int> two;
    call(first, 1, one);
    ManualBatcher second{std::move(first)};
    call(second, 2, two);
    settle(context);
    ManualBatcher third{context, identity};
    Reply<int> three;
    call(third, 3, three);
    third = std::move(second);
    third.flush();
    settle(context);
    CHECK(one.value == 1);
    CHECK(two.value == 2);
    CHECK(three.aborted());  // of the Batcher that was assigned over
}

TEST_CASE("the batch function is destroyed with the Batcher") {
    auto model = std::make_shared<int>(1);
    aio::io_context context;
    {
        batching::Batcher<int, int> owner{[model](std::vector<int> items) { return items; }};
        batching::Batcher<int, int> guest{context,
                                          [model](std::vector<int> items) { return items; }};
        CHECK(owner.process(1).get() == 1);
        Reply<int> reply;
        call(guest, 1, reply);
        context.run();
    }
    CHECK(model.use_count() == 1);
}

TEST_CASE("the values of a batch are destroyed when its callers get their results") {
    aio::io_context context;
    using Pointer = std::shared_ptr<int>;
    batching::Batcher<Pointer, int> batcher{
        context, [](const std::vector<Pointer>& items) { return std::vector<int>(items.size()); }};
    auto item = std::make_shared<int>(1);
    Reply<int> reply;
    batcher.async_process(item, [&](std::exception_ptr e, int v) {
        CHECK(item.use_count() == 1);
        into(reply)(e, v);
    });
    context.run();
    CHECK(reply.times == 1);
}

TEST_CASE("a result of whose caller has left is destroyed when the others get theirs") {
    using Pointer = std::shared_ptr<int>;
    const std::vector<Pointer> results{std::make_shared<int>(0), std::make_shared<int>(1)};
    aio::io_context context;
    aio::cancellation_signal signal;
    Reply<Pointer> replies[2];
    const auto check = [&](auto function) {
        batching::Batcher<int, Pointer> batcher{context, function, {.max_batch_size = 2}};
        batcher.async_process(0, aio::bind_cancellation_slot(signal.slot(), into(replies[0])));
        batcher.async_process(1, into(replies[1]));
        settle(context);
        CHECK(replies[0].aborted());
        CHECK(replies[1].value == results[1]);
        CHECK(results[0].use_count() == 1);
    };
    SECTION("of values") {
        check([&](const std::vector<int>&) {
            signal.emit(aio::cancellation_type::terminal);
            return results;
        });
    }
    SECTION("of results one by one") {
        check([&](const std::vector<int>&) {
            signal.emit(aio::cancellation_type::terminal);
            return std::vector<batching::Result<Pointer>>(results.begin(), results.end());
        });
    }
}

TEST_CASE(
    "a call with a timeout expires on time while the batcher is closed and its batch still runs") {
    aio::io_context context;
    Gate gate(context);
    ManualBatcher batcher(context, gate.doubling(), {.max_batch_size = 1});
    Reply<int> timed;
    Reply<int> patient;
    batcher.async_process(1, {.timeout = 10ms}, into(timed));
    batcher.async_process(2, into(patient));
    settle(context);
    REQUIRE(gate.started.size() == 1);
    batcher.close();
    ManualClock::advance(10ms);
    settle(context);
    CHECK(timed.failed_with(batching::errc::deadline_exceeded));
    gate.open();
    settle(context);
    CHECK(patient.value == 4);
}

}  // namespace life_test
