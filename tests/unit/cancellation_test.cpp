// Cancellation by Asio slots, by destroying a suspended caller, and by cancel().
#include "catch.hpp"
#include "support.hpp"

namespace cancellation_test {

using namespace test;

using ManualBatcher = batching::Batcher<int, int, ManualClock>;
using Type = aio::cancellation_type;

struct Fixture {
    aio::io_context context;
    Gate gate{context};
    ManualBatcher batcher{context, gate.doubling(), {.max_batch_size = 2, .batch_timeout = 10ms}};
    aio::cancellation_signal signal;

    void start(int item, Reply<int>& reply) {
        batcher.async_process(item, aio::bind_cancellation_slot(signal.slot(), into(reply)));
    }
    // One item in a running batch.
    void start_running(int item, Reply<int>& reply) {
        start(item, reply);
        batcher.flush();
        settle(context);
        REQUIRE(gate.started.back() == std::vector<int>{item});
    }
};

TEST_CASE("a waiting item is removed by each type of cancellation, and its place is refilled") {
    const Type type = GENERATE(Type::total, Type::partial, Type::terminal);
    Fixture f;
    Reply<int> cancelled;
    Reply<int> others[2];
    f.start(0, cancelled);
    f.signal.emit(type);
    CHECK(cancelled.pending());  // never inside the emitter
    call(f.batcher, 1, others[0]);
    settle(f.context);
    CHECK(cancelled.aborted());
    CHECK(f.gate.started.empty());
    call(f.batcher, 2, others[1]);
    settle(f.context);
    CHECK(f.gate.started == std::vector<std::vector<int>>{{1, 2}});
    CHECK(f.batcher.stats().cancelled == 1);
    f.gate.open();
    settle(f.context);
}

TEST_CASE("a running item is released at once by partial and terminal, and its result is dropped") {
    const Type type = GENERATE(Type::partial, Type::terminal);
    Fixture f;
    Reply<int> reply;
    f.start_running(1, reply);
    f.signal.emit(type);
    settle(f.context);
    CHECK(reply.aborted());
    f.gate.open();
    settle(f.context);
    CHECK(reply.times == 1);
    CHECK(f.batcher.stats().cancelled == 1);
    CHECK(f.batcher.stats().running == 0);
}

TEST_CASE("a running item is not released by total: its effects can no longer be prevented") {
    Fixture f;
    Reply<int> reply;
    f.start_running(1, reply);
    f.signal.emit(Type::total);
    settle(f.context);
    CHECK(reply.pending());
    f.gate.open();
    settle(f.context);
    CHECK(reply.value == 2);
}

TEST_CASE("a cancellation that comes after the result, or after the completion, changes nothing") {
    aio::io_context functions;
    aio::io_context callers;
    batching::Batcher batcher{functions, [](std::vector<int> items) { return items; }};
    aio::cancellation_signal signal;
    Reply<int> reply;
    batcher.async_process(
        7, aio::bind_cancellation_slot(signal.slot(), aio::bind_executor(callers, into(reply))));
    functions.run();
    signal.emit(Type::terminal);  // between the result and the resumption
    callers.run();
    signal.emit(Type::terminal);
    CHECK(reply.value == 7);
    CHECK(reply.times == 1);
}

TEST_CASE("a slot may outlive the Batcher, and the Batcher the slot") {
    aio::io_context context;
    Reply<int> first;
    Reply<int> second;
    auto signal = std::make_unique<aio::cancellation_signal>();
    {
        ManualBatcher batcher{context, [](std::vector<int> items) { return items; }};
        batcher.async_process(1, aio::bind_cancellation_slot(signal->slot(), into(first)));
    }
    signal->emit(Type::terminal);
    settle(context);
    CHECK(first.aborted());
    CHECK(first.times == 1);
    signal->emit(Type::terminal);

    ManualBatcher batcher{context, [](std::vector<int> items) { return items; }};
    batcher.async_process(2, aio::bind_cancellation_slot(signal->slot(), into(second)));
    signal.reset();
    batcher.flush();
    settle(context);
    CHECK(second.value == 2);
}

TEST_CASE("an asio::awaitable that waits is cancelled through its own slot") {
    Fixture f;
    Reply<int> reply;
    aio::co_spawn(
        f.context,
        [&]() -> aio::awaitable<void> {
            try {
                reply.set(co_await f.batcher.process(1));
            } catch (...) {
                reply.fail(std::current_exception());
            }
        },
        aio::bind_cancellation_slot(f.signal.slot(), aio::detached));
    settle(f.context);
    f.signal.emit(Type::terminal);
    settle(f.context);
    CHECK(reply.aborted());
}

TEST_CASE("a suspended caller may be destroyed while its item waits: the item leaves the queue") {
    Fixture f;
    Reply<int> gone;
    Reply<int> others[2];
    auto caller = owned_call(f.batcher, 0, gone);
    call(f.batcher, 1, others[0]);
    caller.destroy();
    settle(f.context);
    CHECK(f.gate.started.empty());  // two called, but one is gone: the batch is not full
    call(f.batcher, 2, others[1]);
    settle(f.context);
    CHECK(f.gate.started == std::vector<std::vector<int>>{{1, 2}});
    f.gate.open();
    settle(f.context);
    CHECK(gone.pending());
    CHECK(others[1].value == 4);
}

TEST_CASE("a suspended caller may be destroyed while its item runs: the result is dropped") {
    Fixture f;
    Reply<int> gone;
    Reply<int> stays;
    auto caller = owned_call(f.batcher, 1, gone);
    call(f.batcher, 2, stays);
    settle(f.context);
    REQUIRE(f.gate.started == std::vector<std::vector<int>>{{1, 2}});
    caller.destroy();
    f.gate.open();
    settle(f.context);
    CHECK(gone.pending());
    CHECK(stays.value == 4);
    CHECK(f.batcher.stats().cancelled == 1);
    CHECK(f.batcher.stats().completed == 1);
}

TEST_CASE("a suspended caller may be destroyed between its result and its resumption") {
    aio::io_context functions;
    aio::io_context callers;
    batching::Batcher batcher{functions, [](std::vector<int> items) { return items; }};
    int resumed = 0;
    auto call_on = [&](int item) -> Owned {
        co_await batcher.process(item).resume_on(callers.get_executor());
        ++resumed;
    };
    Owned first = call_on(1);
    Owned second = call_on(2);
    functions.run();
    first.destroy();
    callers.run();
    CHECK(resumed == 1);
}

TEST_CASE("a resumed caller may destroy another caller of the same batch") {
    aio::io_context context;
    batching::Batcher batcher{
        context, [](std::vector<int> items) { return items; }, {.max_batch_size = 2}};
    int resumed = 0;
    std::optional<Owned> victim;
    auto killer = [&]() -> Owned {
        co_await batcher.process(1);
        ++resumed;
        victim.reset();
    };
    auto ordinary = [&]() -> Owned {
        co_await batcher.process(2);
        ++resumed;
    };
    Owned first = killer();
    victim.emplace(ordinary());
    context.run();
    CHECK(resumed == 1);
}

TEST_CASE("an operation in a frame that is destroyed before it was awaited does nothing") {
    Fixture f;
    {
        [[maybe_unused]] auto operation = f.batcher.process(1);
    }
    CHECK(f.batcher.stats().submitted == 0);
}

TEST_CASE("cancel fails every waiting item with operation_aborted, and none that runs") {
    Fixture f;
    Reply<int> running[2];
    Reply<int> waiting[3];
    for (auto& reply : running) call(f.batcher, 1, reply);
    settle(f.context);
    for (auto& reply : waiting) call(f.batcher, 2, reply);
    f.batcher.cancel();
    CHECK(waiting[0].pending());  // never inside cancel()
    settle(f.context);
    for (auto& reply : waiting) CHECK(reply.aborted());
    CHECK(running[0].pending());
    f.gate.open();
    settle(f.context);
    CHECK(running[0].value == 2);
    Reply<int> later[2];
    for (auto& reply : later) call(f.batcher, 3, reply);
    settle(f.context);
    CHECK(later[0].value == 6);  // the Batcher is still open
}

TEST_CASE("process_many is cancelled as a whole, in the queue and while it runs") {
    Fixture f;
    Reply<std::vector<int>> reply;
    const auto start = [&](std::vector<int> items) {
        f.batcher.async_process_many(std::move(items),
                                     aio::bind_cancellation_slot(f.signal.slot(), into(reply)));
    };
    SECTION("waiting") {
        start({1});
        f.signal.emit(Type::total);
    }
    SECTION("running and waiting") {
        start({1, 2, 3});
        settle(f.context);
        REQUIRE(f.gate.started.size() == 1);
        f.signal.emit(Type::total);
        settle(f.context);
        CHECK(reply.pending());
        f.signal.emit(Type::terminal);
    }
    settle(f.context);
    CHECK(reply.aborted());
    CHECK(reply.times == 1);
    f.gate.open();
    settle(f.context);
    CHECK(reply.times == 1);
    CHECK(f.batcher.stats().waiting == 0);
}

TEST_CASE("a caller of process_many may be destroyed in the queue and while it runs") {
    Fixture f;
    int resumed = 0;
    auto caller = [&]() -> Owned {
        std::vector<int> items{1, 2, 3};
        co_await f.batcher.process_many(std::move(items));
        ++resumed;
    };
    Owned owned = caller();
    SECTION("waiting") {}
    SECTION("two running, one waiting") {
        settle(f.context);
        REQUIRE(f.gate.started.size() == 1);
    }
    owned.destroy();
    f.gate.open();
    settle(f.context);
    CHECK(resumed == 0);
    CHECK(f.batcher.stats().cancelled == 3);
}

}  // namespace cancellation_test
