// What never happens while the Batcher's lock is held: the user's code, and the moving of items.
//
// stats() takes that lock. So what calls it whenever it is moved or destroyed would block for ever if that
// happened under the lock.
#include "catch.hpp"
#include "support.hpp"
#include "watchdog.hpp"

#include <functional>

using namespace test;

namespace {

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

}  // namespace

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
