// What users rely on where a Batcher has a latency_target, whatever comes: nobody starves, and it recovers.
#include "asking.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

namespace target_properties_test {

using namespace test;
using batching::key_by;
using batching::Options;
using batching::Priority;

constexpr ManualClock::duration target = 12ms;
constexpr Options with_target{.max_batch_size = 64, .latency_target = target};

// A function that takes 1 ms for a batch and 1 ms for each item, times `slower`.
struct Fixture : Asking {
    template <class... Rule>
    explicit Fixture(const Options& options, Rule... rule)
        : Asking(),
          batcher(
              context,
              [this](std::vector<int> items) {
                  batches.seen.push_back(items);
                  ManualClock::advance(slower * (1ms + static_cast<int>(items.size()) * 1ms));
                  if (after_batch) after_batch();
                  return items;
              },
              options, rule...) {}

    void burst(int calls, const batching::CallOptions& asked = {}) {
        for (int i = 0; i < calls; ++i) ask(batcher, i, asked);
        settle(context);
    }
    void learn(const batching::CallOptions& asked = {}) {
        for (int size = 1; size <= 10; ++size) {
            burst(size, asked);
            advance(1s);
        }
        batches.seen.clear();
        replies.clear();
    }
    std::size_t results() const {
        return static_cast<std::size_t>(
            std::count_if(replies.begin(), replies.end(),
                          [](const auto& reply) { return reply.value.has_value(); }));
    }

    int slower = 1;
    std::function<void()> after_batch;
    ManualBatcher batcher;
};

// ---- nobody starves --------------------------------------------------------------------------------------

TEST_CASE("with a target, the low class is served although more of the high one come than can be") {
    Options with_aging = with_target;
    with_aging.priority_aging = 100ms;
    Fixture f(with_aging);
    f.learn();
    int left = 200;
    f.after_batch = [&] {
        for (int i = 0; i < 12 && left > 0; ++i) f.ask(f.batcher, 1, {.priority = Priority::high});
        --left;
    };
    f.ask(f.batcher, 1, {.priority = Priority::high});
    const auto low = f.batches.seen.size();
    f.ask(f.batcher, -1, {.priority = Priority::low});
    f.ask(f.batcher, 1, {.priority = Priority::high});
    settle(f.context);
    const auto has_low = [](const Batch& batch) {
        return std::find(batch.begin(), batch.end(), -1) != batch.end();
    };
    const auto found = std::find_if(f.batches.seen.begin() + static_cast<long>(low),
                                    f.batches.seen.end(), has_low);
    CHECK(found - f.batches.seen.begin() < 100);
    CHECK(f.batcher.stats().wait_time_low.quantile(1) < 300ms);
    f.check_once();
}

TEST_CASE("with a target, a key that offers more than can be served does not hold up another") {
    Fixture f({.max_batch_size = 4, .latency_target = target},
              key_by([](int item) { return item; }));
    f.learn();
    int left = 200;
    f.after_batch = [&] {
        for (int i = 0; i < 12 && left > 0; ++i) f.ask(f.batcher, 1);
        if (--left % 10 == 0) f.ask(f.batcher, 2, {.priority = Priority::low});
    };
    f.burst(20);
    CHECK(f.batcher.stats().wait_time_low.count() > 10);
    CHECK(f.batcher.stats().wait_time_low.quantile(1) <= 20ms);
    f.check_once();
}

// ---- it recovers -----------------------------------------------------------------------------------------

TEST_CASE("after an hour in which nothing came, or that a batch took, it is as before") {
    const batching::CallOptions asked{
        .timeout = GENERATE(ManualClock::duration(batching::no_timeout), target)};
    Fixture f(with_target);
    f.learn(asked);
    const std::size_t size = f.batcher.stats().target_batch_size;
    SECTION("idle") { f.advance(1h); }
    SECTION("a stall") {
        f.slower = 1'000'000;
        f.burst(3);
        f.slower = 1;
        f.replies.clear();
    }
    for (int i = 0; i < 10; ++i) {
        f.burst(8, asked);
        f.advance(50ms);
    }
    CHECK(f.results() == f.replies.size());
    CHECK(f.batcher.stats().target_batch_size + 1 >= size);
}

TEST_CASE("when a slow time is over, calls with timeouts are served again") {
    const batching::CallOptions asked{.timeout = target};
    Fixture f(with_target);
    f.learn(asked);
    f.slower = 50;  // not even one alone can be in time
    for (int i = 0; i < 300; ++i) {
        f.burst(10, asked);
        f.advance(50ms);
    }
    CHECK(f.results() < f.replies.size() / 5);  // that are not let go: it has to see how slow it is
    f.slower = 1;
    f.replies.clear();
    for (int i = 0; i < 100; ++i) {
        f.burst(5, asked);
        f.advance(50ms);
    }
    CHECK(f.results() > 450);
    f.check_once();
}

TEST_CASE(
    "a backlog of an overload without timeouts is worked off, and then calls are in time again") {
    Fixture f(with_target);
    f.learn();
    for (int i = 0; i < 5'000; ++i) f.ask(f.batcher, i);
    settle(f.context);
    CHECK(f.results() == 5'000);
    CHECK(f.batches.seen.size() < 100);  // in large batches
    f.batches.seen.clear();
    f.burst(8);
    CHECK(f.batches.seen.size() == 1);
}

// ---- one batch that is unlike the others -----------------------------------------------------------------

TEST_CASE("one batch that took no time at all makes the next ones no larger") {
    Fixture f(with_target);
    for (int i = 0; i < 5; ++i) f.learn();
    f.slower = 0;
    f.burst(5);
    f.slower = 1;
    f.batches.seen.clear();
    f.burst(20);
    CHECK(f.batches.seen.front().size() <= 13);  // as many as take 14 ms; 11 before that
}

}  // namespace target_properties_test
