// What users rely on: with latency_target the Batcher chooses how large batches are and when they leave.
#include "asking.hpp"

#include <cstddef>
#include <future>
#include <random>
#include <stdexcept>
#include <vector>

namespace latency_target_test {

using namespace test;
using batching::no_timeout;
using batching::Options;
using Nanoseconds = std::chrono::duration<double, std::nano>;

// A function that takes a time for a batch and a time for each item, and a Batcher of it.
struct Fixture : Asking {
    auto function() {
        return [this](std::vector<int> items) {
            batches.seen.push_back(items);
            ManualClock::advance(fixed + static_cast<int>(items.size()) * per_item);
            return items;
        };
    }

    explicit Fixture(Options options) : batcher(context, function(), options) {}

    // As many calls at once, and what follows.
    void burst(int calls) {
        for (int i = 0; i < calls; ++i) ask(batcher, i);
        settle(context);
    }
    // Batches of 1 to 10, with long pauses between them.
    void learn() {
        for (int size = 1; size <= 10; ++size) {
            burst(size);
            advance(1s);
        }
        batches.seen.clear();
    }
    std::vector<std::size_t> sizes() const {
        std::vector<std::size_t> sizes;
        for (const Batch& batch : batches.seen) sizes.push_back(batch.size());
        return sizes;
    }

    ManualClock::duration fixed = 1ms;
    ManualClock::duration per_item = 1ms;
    ManualBatcher batcher;
};
using Sizes = std::vector<std::size_t>;

bool near(Nanoseconds learnt, Nanoseconds real) {
    return learnt > 0.8 * real && learnt < 1.2 * real;
}

// ---- when a batch leaves ---------------------------------------------------------------------------------

TEST_CASE("with a target a batch leaves as soon as a slot is free, whatever batch_timeout says") {
    const auto timeout = GENERATE(ManualClock::duration(1h), ManualClock::duration(no_timeout));
    Fixture f({.batch_timeout = timeout, .latency_target = 12ms});
    f.burst(3);
    CHECK(f.sizes() == Sizes{3});
    f.learn();
    f.burst(1);
    CHECK(f.sizes() == Sizes{1});
}

TEST_CASE("with a target and no batch_timeout the queue may be shorter than a batch") {
    CHECK_NOTHROW(Fixture({.max_batch_size = 32,
                           .batch_timeout = no_timeout,
                           .max_queue_size = 8,
                           .latency_target = 1ms}));
}

// ---- how large it is -------------------------------------------------------------------------------------

TEST_CASE("before eight batches have run nothing is known, and a batch takes what waits") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    for (int i = 0; i < 8; ++i) f.burst(30);
    CHECK(f.sizes() == Sizes(8, 30));
}

TEST_CASE("a batch is made as small as its first call needs to be done within the target") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    f.learn();
    f.burst(12);
    CHECK(f.sizes().front() == 11);  // 12 ms
    CHECK(f.replies[f.replies.size() - 12].times == 1);
}

TEST_CASE("what the first call has waited counts") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    f.learn();
    f.fixed = 5ms;  // one stall, in which others come
    f.ask(f.batcher, 0);
    f.context.poll();
    for (int i = 0; i < 12; ++i) f.ask(f.batcher, i);
    settle(f.context);
    REQUIRE(f.sizes().size() >= 2);
    CHECK(f.sizes()[1] <= 11);
    CHECK(f.batcher.stats().completed == f.replies.size());
}

TEST_CASE("a call that is late in any case does not make batches small: the others gain most so") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    f.learn();
    f.burst(40);  // far more than can be in time
    CHECK(f.sizes() == Sizes{11, 29});
    f.check_once();
}

TEST_CASE("a batch is not made smaller than the throughput needs") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    f.learn();
    for (int i = 0; i < 100; ++i) {
        f.burst(20);  // about as many as can be done at all
        f.advance(1ms);
    }
    const std::size_t least = f.batcher.stats().least_batch_size;
    CHECK(least ==
          4);  // 95 % of the throughput of batches of 5, which is what half of the target allows
    f.batches.seen.clear();
    f.burst(20);
    for (std::size_t i = 0; i + 1 < f.sizes().size(); ++i) CHECK(f.sizes()[i] >= least);
}

TEST_CASE("max_batch_size is the most that the Batcher chooses") {
    Fixture f({.max_batch_size = 8, .latency_target = 1h});
    f.learn();
    f.burst(100);
    for (const std::size_t size : f.sizes()) CHECK(size <= 8);
    CHECK(f.batcher.stats().target_batch_size == 8);
    f.check_once();
}

TEST_CASE("with a target that no batch can meet, batches take what waits") {
    Fixture f({.max_batch_size = 64, .latency_target = 1ms});
    f.learn();
    f.burst(30);
    CHECK(f.sizes() == Sizes{30});
    f.check_once();
}

TEST_CASE("the target is an objective: late calls get their results") {
    Fixture f({.max_batch_size = 4, .latency_target = 2ms});
    f.learn();
    f.burst(50);
    f.check_once();
    CHECK(f.batcher.stats().completed == f.replies.size());
    CHECK(f.batcher.stats().expired == 0);
}

TEST_CASE("a call with a timeout is a matter of that, and of the target") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    f.learn();
    f.ask(f.batcher, 0, {.timeout = 6ms});
    for (int i = 0; i < 10; ++i) f.ask(f.batcher, i);
    settle(f.context);
    CHECK(f.sizes().front() <= 5);  // 6 ms
    CHECK(f.batcher.stats().expired == 0);
}

// ---- what is learnt --------------------------------------------------------------------------------------

TEST_CASE("stats() says what has been learnt, and which sizes follow from it") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    CHECK(f.batcher.stats().fixed_run_time == Nanoseconds(0));
    CHECK(f.batcher.stats().target_batch_size == 0);
    f.learn();
    const batching::Stats stats = f.batcher.stats();
    CHECK(near(stats.fixed_run_time, 1ms));
    CHECK(near(stats.run_time_per_item, 1ms));
    CHECK(stats.run_time_deviation < 0.1);
    CHECK(stats.target_batch_size == 11);
    CHECK(stats.least_batch_size >= 1);
    CHECK(fmt::format("{}", stats).find("learnt   a batch takes ") != std::string::npos);
}

TEST_CASE("without a target, timeouts or a limit nothing is learnt") {
    Fixture f({.batch_timeout = 0});
    f.learn();
    CHECK(f.batcher.stats().fixed_run_time == Nanoseconds(0));
    CHECK(fmt::format("{}", f.batcher.stats()).find("learnt") == std::string::npos);
}

TEST_CASE("one stall teaches nothing: the next batches are about as large") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    for (int i = 0; i < 10; ++i) f.learn();
    f.fixed = 10s;
    f.burst(5);
    f.fixed = 1ms;
    CHECK(f.batcher.stats().target_batch_size >= 9);
    f.advance(1h);  // nor does it if nothing follows for long
    f.batches.seen.clear();
    f.burst(12);
    CHECK(f.sizes().front() >= 9);
}

TEST_CASE("when run times double, batches become smaller, and larger again afterwards") {
    Fixture f({.max_batch_size = 64, .latency_target = 12ms});
    f.learn();
    f.fixed = 2ms;
    f.per_item = 2ms;
    for (int i = 0; i < 20; ++i) f.learn();
    CHECK(f.batcher.stats().target_batch_size <= 5);
    f.fixed = 1ms;
    f.per_item = 1ms;
    for (int i = 0; i < 20; ++i) f.learn();
    CHECK(f.batcher.stats().target_batch_size >= 9);
}

TEST_CASE("an error teaches nothing") {
    Fixture f({.latency_target = 12ms});
    ManualBatcher failing(f.context,
                          [](std::vector<int>) -> std::vector<int> {
                              ManualClock::advance(1ns);
                              throw std::runtime_error("out of order");
                          },
                          {.latency_target = 12ms});
    for (int i = 0; i < 20; ++i) {
        f.ask(failing, 0);
        settle(f.context);
    }
    CHECK(failing.stats().failed == 20);
    CHECK(failing.stats().run_time_per_item == Nanoseconds(0));
}

TEST_CASE("random loads: no batch is larger than allowed, each call ends once, in its turn") {
    std::mt19937 random(1);  // NOLINT(cert-msc51-cpp)
    for (int round = 0; round < 30; ++round) {
        const std::size_t most = 1 + random() % 40;
        Fixture f({.max_batch_size = most,
                   .max_concurrent_batches = 1 + random() % 3,
                   .latency_target = std::chrono::milliseconds(1 + random() % 30)});
        int calls = 0;
        for (int step = 0; step < 100; ++step) {
            f.per_item = std::chrono::microseconds(random() % 2'000);
            for (auto i = random() % 30; i != 0; --i) f.ask(f.batcher, calls++);
            f.advance(std::chrono::microseconds(random() % 20'000));
        }
        f.advance(1h);
        int next = 0;
        for (const Batch& batch : f.batches.seen) {
            REQUIRE(batch.size() <= most);
            for (const int item : batch) REQUIRE(item == next++);
        }
        REQUIRE(next == calls);
        for (const auto& reply : f.replies) REQUIRE(reply.times == 1);
    }
}

// ---- mistakes --------------------------------------------------------------------------------------------

TEST_CASE("a target of 0 or less is refused with a sentence") {
    CHECK_THROWS_WITH(Fixture({.latency_target = 0}),
                      "latency_target must be more than 0, not 0 ns");
    CHECK_THROWS_WITH(Fixture({.latency_target = -5ns}),
                      "latency_target must be more than 0, not -5 ns");
}

}  // namespace latency_target_test
