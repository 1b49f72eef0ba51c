// What never happens while the Batcher's lock is held: the user's code, and the moving of items; and what takes no lock.
//
// stats() takes that lock. So what calls it whenever it is moved or destroyed would block for ever if that
// happened under the lock.
#include "catch.hpp"
#include "support.hpp"
#include "watchdog.hpp"

#include <batcher/detail/access.hpp>
#include <functional>
#include <future>

namespace lock_test {

using namespace test;

std::function<void()> look;
int moves = 0;

struct Curious {
    explicit Curious(int v) : value(v) {}
    Curious(const Curious&) = delete;
    Curious& operator=(const Curious&) = delete;
    Curious(Curious&& other) noexcept : value(std::exchange(other.value, -1)) {
        ++moves;
        if (look) look();
    }
    Curious& operator=(Curious&& other) noexcept {
        value = std::exchange(other.value, -1);
        ++moves;
        if (look) look();
        return *this;
    }
    ~Curious() {
        if (look) look();
    }
    int value;
};

struct CuriousError : std::exception {
    ~CuriousError() override {
        if (look) look();
    }
};

using CuriousBatcher = batching::Batcher<Curious, Curious, ManualClock>;

Detached call_with(CuriousBatcher& batcher, int number, int& result) {
    try {
        Curious item(number);
        auto operation = batcher.process(std::move(item));
        const Curious value = co_await std::move(operation);
        result = value.value;
    } catch (...) {
        result = -2;
    }
}

TEST_CASE("no item, value or error is moved or destroyed while the lock is held") {
    const Watchdog watchdog("a Batcher whose items look at it");
    aio::io_context context;
    const bool fails = GENERATE(false, true);
    int results[6] = {};
    {
        CuriousBatcher batcher(context,
                               [&](std::vector<Curious> items) {
                                   if (fails) throw CuriousError();
                                   return items;
                               },
                               {.max_batch_size = 3, .batch_timeout = 1h});
        look = [&] { batcher.stats(); };
        for (int i = 0; i < 5; ++i) call_with(batcher, i + 1, results[i]);
        settle(context);
        batcher.flush();
        settle(context);
        call_with(batcher, 6, results[5]);
        batcher.cancel();
        settle(context);
        look = nullptr;
    }
    for (int i = 0; i < 5; ++i) CHECK(results[i] == (fails ? -2 : i + 1));
    CHECK(results[5] == -2);
}

TEST_CASE("the caller that fills a batch moves no item but its own") {
    aio::io_context context;
    CuriousBatcher batcher(context, [](std::vector<Curious> items) { return items; },
                           {.max_batch_size = 8});
    int results[8] = {};
    moves = 0;
    call_with(batcher, 1, results[0]);
    const int of_one = moves;
    for (int i = 1; i < 8; ++i) {
        moves = 0;
        call_with(batcher, i + 1, results[i]);
        CHECK(moves == of_one);
    }
    settle(context);
    for (int i = 0; i < 8; ++i) CHECK(results[i] == i + 1);
}

TEST_CASE("callers get their results without the lock, as long as others wait") {
    const Watchdog watchdog("handing results back while the lock is held");
    aio::io_context context;
    aio::io_context home;
    batching::Batcher<int, int, ManualClock> batcher(context,
                                                     [](std::vector<int> items) { return items; },
                                                     {.max_batch_size = 2, .batch_timeout = 1h});
    Reply<int> replies[3];
    for (int i = 0; i < 3; ++i) {
        batcher.async_process(i, aio::bind_executor(home, into(replies[i])));
    }
    settle(context);
    {
        const auto lock = batching::detail::Access::engine(batcher)->lock();
        settle(home);
    }
    for (int i = 0; i < 2; ++i) CHECK(replies[i].value == i);
    CHECK(replies[2].pending());
}

TEST_CASE("nobody holds the lock while he waits until a batch has moved its items") {
    using batching::detail::Batch;
    using batching::detail::BatchPhase;
    const Watchdog watchdog("the lock, held while a batch loads,");
    aio::io_context context;
    batching::Batcher<int, int> batcher(context, [](std::vector<int> items) { return items; });
    auto& engine = *batching::detail::Access::engine(batcher);
    Batch batch;
    batch.phase = BatchPhase::loading;
    std::promise<void> asked;
    int times = 0;
    auto waiting = std::async(std::launch::async, [&] {
        const auto lock = engine.lock_loaded([&]() -> Batch* {
            if (++times == 1) asked.set_value();
            return batch.phase == BatchPhase::loading ? &batch : nullptr;
        });
        return lock.owns_lock();
    });
    asked.get_future().wait();
    batcher.stats();  // he waits, or is about to
    batching::detail::store_and_wake(batch.phase, BatchPhase::running);
    CHECK(waiting.get());
    CHECK(times == 2);
}

}  // namespace lock_test
