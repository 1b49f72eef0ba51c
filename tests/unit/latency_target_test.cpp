// What users rely on: with latency_target the Batcher chooses how large batches are and when they leave.
#include "asking.hpp"

#include <algorithm>
#include <cstddef>
#include <future>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

namespace latency_target_test {

using namespace test;
using batching::no_timeout;
using batching::Options;
using batching::weigh;
using Nanoseconds = std::chrono::duration<double, std::nano>;

// What an item counts: one, or what it says.
std::size_t one(int) { return 1; }
std::size_t itself(int item) { return static_cast<std::size_t>(item); }
struct Weighed {};

// A function that takes a time for a batch and a time for each item, or each unit of weight, and a Batcher of it.
struct Fixture : Asking {
    template <class Size>
    auto by(Size size) {
        return [this, size](std::vector<int> items) {
            batches.seen.push_back(items);
            std::size_t sum = 0;
            for (const int item : items) sum += size(item);
            ManualClock::advance(fixed + static_cast<int>(sum) * per_item);
            return items;
        };
    }

    explicit Fixture(const Options& options) : batcher(context, by(one), options) {}
    Fixture(const Options& options, Weighed)
        : batcher(context, by(itself), options, weigh(itself)) {}

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
    // The same with weights.
    void learn_weights() {
        for (int weight = 1; weight <= 91; weight += 10) {
            ask_all(batcher, {weight, 1});
            settle(context);
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

bool is_near(Nanoseconds learnt, Nanoseconds real) {
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
    CHECK(is_near(stats.fixed_run_time, 1ms));
    CHECK(is_near(stats.run_time_per_item, 1ms));
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

// ---- callers who come straight back ----------------------------------------------------------------------

// A closed loop: callers call again soon after they have their results. Batches run side by side, for 1 ms and 1 ms an item.
struct ClosedLoop : Asking {
    explicit ClosedLoop(Options options = {.max_batch_size = 64, .latency_target = 100ms})
        : batcher(
              context,
              [this](std::vector<int> items) -> aio::awaitable<std::vector<int>> {
                  sizes.push_back(items.size());
                  aio::basic_waitable_timer<ManualClock> runs(context);
                  runs.expires_after(1ms + static_cast<int>(items.size()) * 1ms);
                  co_await runs.async_wait(aio::use_awaitable);
                  co_return items;
              },
              options) {}

    void calls(int callers) {
        for (int i = 0; i < callers; ++i) {
            batcher.async_process(i, [this](const std::exception_ptr&, int) { ++resumed; });
        }
        settle(context);
    }
    // 16 callers, half of whom come while the others run.
    void loop_for(ManualClock::duration time) {
        calls(8);
        calls(8);
        for (ManualClock::duration passed = 0ns; passed < time; passed += 100us) {
            const int back = std::exchange(resumed, 0);
            advance(100us);
            calls(back);
        }
        resumed = 0;
        last = sizes.back();
        for (int i = 0; i < 100; ++i) advance(1ms);  // those that are under way end
        sizes.clear();
    }
    // Four call of whom one comes back, who is behind all others.
    void three_go() {
        loop_for(300ms);
        calls(4);
        advance(5ms);
        ask(batcher, 1);
        settle(context);
    }
    static constexpr ManualClock::duration window = 150us;  // 3 % of a run of four

    int resumed = 0;  // callers who have their results
    Sizes sizes;
    std::size_t last = 0;  // of those, while all callers were there
    ManualBatcher batcher;
};

TEST_CASE("callers who come straight back share a batch, although they began in two") {
    const auto slots = GENERATE(std::size_t{1}, std::size_t{2});
    ClosedLoop f({.max_batch_size = 64, .max_concurrent_batches = slots, .latency_target = 100ms});
    f.loop_for(300ms);
    CHECK(f.last == 16);
}

TEST_CASE("callers who do not come back are waited for at most 3 % of the last run time") {
    ClosedLoop f;
    f.three_go();
    REQUIRE(f.sizes == Sizes{4});
    f.advance(ClosedLoop::window - 1ns);
    CHECK(f.sizes == Sizes{4});
    f.advance(1ns);
    CHECK(f.sizes == Sizes{4, 1});
    f.advance(2ms);
    f.check_once();
}

TEST_CASE("as soon as they are there their batch leaves") {
    ClosedLoop f;
    f.three_go();
    f.ask_all(f.batcher, {2, 3});
    settle(f.context);
    CHECK(f.sizes == Sizes{4});
    f.ask(f.batcher, 4);
    settle(f.context);
    CHECK(f.sizes == Sizes{4, 4});
}

TEST_CASE("flush(), close() and drain() wait for nobody") {
    ClosedLoop f;
    f.three_go();
    SECTION("flush()") { f.batcher.flush(); }
    SECTION("close()") { f.batcher.close(); }
    SECTION("drain()") {
        f.batcher.async_drain([](const std::exception_ptr&) {});
    }
    settle(f.context);
    CHECK(f.sizes == Sizes{4, 1});
}

TEST_CASE("a caller who leaves while its batch waits for others harms nobody") {
    ClosedLoop f;
    f.three_go();
    f.batcher.cancel();
    f.advance(1s);
    CHECK(f.sizes == Sizes{4});
    f.calls(3);
    CHECK(f.sizes == Sizes{4, 3});
    CHECK(f.replies.front().aborted());
    f.check_once();
}

TEST_CASE("without a target, or with many slots, nobody is waited for") {
    ClosedLoop f(GENERATE(
        Options{.max_batch_size = 64, .batch_timeout = 0},
        Options{.max_batch_size = 64, .max_concurrent_batches = 3, .latency_target = 100ms}));
    f.three_go();
    CHECK(f.sizes == Sizes{4, 1});
}

TEST_CASE("callers who come whenever they like are not waited for") {
    Fixture f({.max_batch_size = 64, .latency_target = 100ms});
    std::mt19937 random(1);  // NOLINT(cert-msc51-cpp)
    for (int i = 0; i < 500; ++i) {
        f.burst(1 + static_cast<int>(random() % 3));
        f.advance(std::chrono::microseconds(random() % 4'000));
    }
    CHECK(f.batcher.stats().wait_time.quantile(1) == 0ns);
}

// ---- items that have weights -----------------------------------------------------------------------------

constexpr Options by_weight{.max_batch_size = 64, .latency_target = 120ms};

TEST_CASE("with weigh() run times are learnt over the weight of a batch") {
    Fixture f(by_weight, Weighed());
    f.learn_weights();
    const batching::Stats stats = f.batcher.stats();
    CHECK(is_near(stats.run_time_per_item, 1ms));
    CHECK(stats.run_time_deviation < 0.1);
    CHECK(stats.target_batch_size >= 115);
    CHECK(stats.target_batch_size <= 119);
    CHECK(fmt::format("{}", stats).find(" us a unit of weight") != std::string::npos);
}

TEST_CASE(
    "with weigh() a batch is as heavy as its first call admits, however many items that are") {
    Fixture f(by_weight, Weighed());
    f.learn_weights();
    SECTION("light ones: all") {
        f.ask_all(f.batcher, std::vector<int>(60, 1));
        settle(f.context);
        CHECK(f.sizes() == Sizes{60});
    }
    SECTION("light ones and a heavy one that does not fit any more") {
        f.ask_all(f.batcher, {1, 1, 1, 1, 1, 60, 60, 1});
        settle(f.context);
        CHECK(f.batches.seen == Seen{{1, 1, 1, 1, 1, 60}, {60, 1}});
    }
    SECTION("a heavy one that fills it") {
        f.ask_all(f.batcher, {100, 100, 1});
        settle(f.context);
        CHECK(f.batches.seen.front() == Batch{100});
    }
}

TEST_CASE("items of weight 1 and 100 with a run time by weight: the target holds") {
    Fixture f(by_weight, Weighed());
    f.learn_weights();
    std::vector<ManualClock::duration> latencies;
    const auto ask = [&](int weight) {
        f.batcher.async_process(weight,
                                [&, asked = ManualClock::now()](const std::exception_ptr&, int) {
                                    latencies.push_back(ManualClock::now() - asked);
                                });
    };
    for (int round = 0; round < 300; ++round) {
        for (int i = 0; i < 12; ++i) ask(1);
        ask(round % 3 == 0 ? 100 : 1);
        settle(f.context);
        f.advance(50ms);
    }
    f.advance(1h);
    REQUIRE(latencies.size() == 300 * 13);
    const auto late =
        std::count_if(latencies.begin(), latencies.end(), [](auto l) { return l > 120ms; });
    CHECK(late <= 39);  // 1 %
}

TEST_CASE(
    "a batch never weighs more than max_batch_weight, nor has more than max_batch_size items") {
    Fixture f({.max_batch_size = 8, .max_batch_weight = 50, .latency_target = 1h}, Weighed());
    for (int i = 0; i < 20; ++i) f.ask_all(f.batcher, {1, 20, 1, 2, 1, 30});
    f.advance(1h);
    for (int i = 0; i < 20; ++i) f.ask_all(f.batcher, {0, 0, 0, 1, 1, 0});
    f.advance(1h);
    for (const Batch& batch : f.batches.seen) {
        CHECK(batch.size() <= 8);
        CHECK(std::accumulate(batch.begin(), batch.end(), 0) <= 50);
    }
    f.check_once();
}

TEST_CASE("items that weigh nothing do no harm") {
    Fixture f(by_weight, Weighed());
    f.learn_weights();
    f.ask_all(f.batcher, std::vector<int>(100, 0));
    f.advance(1s);
    CHECK(f.sizes() == Sizes{64, 36});
    f.check_once();
}

TEST_CASE("with weigh() a deadline limits the weight of a batch") {
    Fixture f({.max_batch_size = 64, .batch_timeout = 0}, Weighed());
    f.ask(f.batcher, 1, {.timeout = 1h});  // so that run times are learnt
    f.advance(1s);
    f.learn_weights();
    for (const int weight : {20, 5, 60, 1}) f.ask(f.batcher, weight, {.timeout = 100ms});
    f.ask(f.batcher, 1);
    settle(f.context);
    CHECK(f.batches.seen == Seen{{20, 5, 60, 1, 1}});
    f.batches.seen.clear();
    f.ask(f.batcher, 20, {.timeout = 60ms});
    f.ask_all(f.batcher, {30, 40, 1});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{20, 30}, {40, 1}});
}

TEST_CASE("with weigh() a call is let go, or refused, if its own weight takes too long") {
    Fixture f({.max_batch_size = 64, .batch_timeout = 0}, Weighed());
    f.ask(f.batcher, 1, {.timeout = 1h});
    f.advance(1s);
    f.learn_weights();
    auto& runs = f.ask(f.batcher, 1);
    f.context.poll_one();  // the slot is taken
    auto& heavy = f.ask(f.batcher, 90, {.timeout = 50ms});
    auto& light = f.ask(f.batcher, 3, {.timeout = 50ms});
    settle(f.context);
    CHECK(runs.value == 1);
    CHECK((heavy.failed_with(batching::errc::overloaded) ||
           heavy.failed_with(batching::errc::deadline_exceeded)));
    CHECK(light.value == 3);
}

TEST_CASE("with weigh() a heavy queue makes a timeout hopeless that a light one does not") {
    const int weight = GENERATE(1, 100);
    Fixture f({.max_batch_size = 4, .batch_timeout = 0}, Weighed());
    f.ask(f.batcher, 1, {.timeout = 1h});
    f.advance(1s);
    f.learn_weights();
    for (int i = 0; i < 10; ++i) f.ask(f.batcher, weight);
    auto& last = f.ask(f.batcher, 1, {.timeout = 200ms});
    CHECK(f.batcher.stats().rejected == (weight == 1 ? 0 : 1));
    settle(f.context);
    CHECK(last.failed_with(batching::errc::overloaded) == (weight != 1));
    f.check_once();
}

// ---- mistakes --------------------------------------------------------------------------------------------

TEST_CASE("a target of 0 or less is refused with a sentence") {
    CHECK_THROWS_WITH(Fixture({.latency_target = 0}),
                      "latency_target must be more than 0, not 0 ns");
    CHECK_THROWS_WITH(Fixture({.latency_target = -5ns}),
                      "latency_target must be more than 0, not -5 ns");
}

}  // namespace latency_target_test
