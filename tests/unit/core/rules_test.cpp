// The Rules: when a batch may leave, and for what reason.
#include <batcher/detail/core/line.hpp>
#include <batcher/detail/core/rules.hpp>
#include <cstddef>
#include <deque>
#include <limits>
#include <optional>
#include <random>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace rules_test {

using namespace core_test;

// So many calls, queued at the same time.
struct Waiting {
    explicit Waiting(int n, Time queued_at = 1h) {
        for (int i = 0; i < n; ++i) {
            TestCall& call = calls.emplace_back(i);
            call.queued_at = queued_at;
            call.next = nullptr;
            line.push(&call, false);
        }
    }
    std::deque<TestCall> calls;
    batching::detail::Line line;
};

constexpr Rules three_in_10ms{
    .max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1};

TEST_CASE("without a call no batch leaves", "[rules]") {
    Waiting none(0);
    none.line.flush();
    CHECK_FALSE(three_in_10ms.reason(none.line, false, Rules::never));
    CHECK_FALSE(three_in_10ms.reason(none.line, true, Rules::never));
}

TEST_CASE("a batch that is full leaves for that reason, whatever else there is", "[rules]") {
    for (const int n : {3, 4, 7}) {
        Waiting waiting(n);
        CHECK(three_in_10ms.reason(waiting.line, false, 1h) == DispatchReason::full);
        waiting.line.flush();
        CHECK(three_in_10ms.reason(waiting.line, true, 2h) == DispatchReason::full);
    }
}

TEST_CASE(
    "a batch that is not full leaves when it is flushed, when all is closed, or when it is due",
    "[rules]") {
    Waiting waiting(2);
    CHECK_FALSE(three_in_10ms.reason(waiting.line, false, 1h));
    CHECK_FALSE(three_in_10ms.reason(waiting.line, false, 1h + 10ms - 1ns));
    CHECK(three_in_10ms.reason(waiting.line, false, 1h + 10ms) == DispatchReason::timeout);
    CHECK(three_in_10ms.reason(waiting.line, false, 2h) == DispatchReason::timeout);
    CHECK(three_in_10ms.reason(waiting.line, true, 1h) == DispatchReason::flushed);
    CHECK(three_in_10ms.reason(waiting.line, true, 2h) == DispatchReason::flushed);
    waiting.line.flush();
    CHECK(three_in_10ms.reason(waiting.line, false, 1h) == DispatchReason::flushed);
    CHECK(three_in_10ms.reason(waiting.line, false, 2h) == DispatchReason::flushed);
}

TEST_CASE("it is the oldest call that is due", "[rules]") {
    Waiting waiting(2);
    waiting.calls[1].queued_at = 1h + 5ms;
    CHECK(three_in_10ms.due(waiting.line) == 1h + 10ms);
    waiting.line.erase(waiting.calls[0]);
    CHECK(three_in_10ms.due(waiting.line) == 1h + 15ms);
}

TEST_CASE("with a timeout of 0 a call is due at once, with none never", "[rules]") {
    Rules rules = three_in_10ms;
    const Waiting waiting(1);
    rules.batch_timeout = 0ms;
    CHECK(rules.due(waiting.line) == 1h);
    CHECK(rules.reason(waiting.line, false, 1h) == DispatchReason::timeout);
    rules.batch_timeout = Rules::never;
    CHECK(rules.due(waiting.line) == Rules::never);
    CHECK_FALSE(rules.reason(waiting.line, false, Rules::never - 1ns));
}

TEST_CASE("a time beyond the end of the clock's range is that end", "[rules]") {
    Rules rules = three_in_10ms;
    const Waiting waiting(1, Rules::never - 10ms);
    CHECK(rules.due(waiting.line) == Rules::never);
    rules.batch_timeout = 10ms - 1ns;
    CHECK(rules.due(waiting.line) == Rules::never - 1ns);
    rules.batch_timeout = 10ms + 1ns;
    CHECK(rules.due(waiting.line) == Rules::never);
}

TEST_CASE("a clock may stand before its epoch", "[rules]") {
    const Waiting waiting(1, -15ms);
    CHECK(three_in_10ms.due(waiting.line) == -5ms);
    CHECK_FALSE(three_in_10ms.reason(waiting.line, false, -6ms));
    CHECK(three_in_10ms.reason(waiting.line, false, -5ms) == DispatchReason::timeout);
}

TEST_CASE("the arrival that fills the batch that is filling is seen, and the first", "[rules]") {
    const auto seen = [](std::size_t n) { return three_in_10ms.notify_after(n, 0, false, true); };
    CHECK(seen(0) == 1);
    CHECK(seen(1) == 2);
    CHECK(seen(2) == 1);
    CHECK(seen(3) == 3);
    CHECK(seen(7) == 2);
    Rules one = three_in_10ms;
    one.max_batch_size = 1;
    CHECK(one.notify_after(5, 0, false, true) == 1);
}

TEST_CASE("while no slot is free no arrival is seen but those that do not fit", "[rules]") {
    Rules rules = three_in_10ms;
    CHECK_FALSE(rules.limited());
    CHECK(rules.notify_after(2, 0, false, false) == 0);
    rules.max_queue_size = 5;
    CHECK(rules.limited());
    CHECK(rules.notify_after(2, 0, false, false) == 4);
    CHECK(rules.notify_after(2, 0, false, true) == 1);
    CHECK(rules.notify_after(5, 0, false, false) == 1);
    CHECK(rules.notify_after(5, 0, false, true) == 1);
    rules.max_queue_size = 4;
    CHECK(rules.notify_after(3, 0, false, true) == 2);
}

TEST_CASE("however heavy items are, the one that fills a batch or the queue is seen", "[rules]") {
    std::mt19937 random(7);
    const auto up_to = [&](std::size_t most) {
        return std::uniform_int_distribution<std::size_t>(1, most)(random);
    };
    for (int i = 0; i < 2'000; ++i) {
        Rules rules{
            .max_batch_size = 1 + up_to(100), .batch_timeout = 10ms, .max_concurrent_batches = 1};
        const std::size_t heaviest = std::size_t{1} << up_to(62);
        const std::size_t of_batch = i % 3 == 0 ? Rules::no_limit : 1 + up_to(heaviest);
        const std::size_t of_queue = i % 3 == 1 ? Rules::no_limit : up_to(heaviest);
        rules.weigh(of_batch, of_queue);
        std::size_t size = 1;
        std::size_t weight = 1;
        const auto countdown =
            static_cast<std::ptrdiff_t>(rules.notify_after(size, weight, false, 1));
        REQUIRE(countdown > 0);
        const std::size_t most = std::min({of_batch, of_queue, std::size_t{1} << 62});
        for (std::ptrdiff_t left = countdown; left > 0;) {
            const bool unseen =
                size < rules.max_batch_size && weight < of_batch && weight <= of_queue;
            CHECK(unseen);  // up to here
            if (!unseen) break;
            const std::size_t next = i % 2 == 0 ? up_to(most) : up_to(1 + most / 100);
            left -= static_cast<std::ptrdiff_t>(rules.units.of(next));
            ++size;
            weight += std::min(next, Rules::no_limit - weight);
        }
    }
}

TEST_CASE("items that just fill a batch are not looked at before", "[rules]") {
    Rules rules{.max_batch_size = 64, .batch_timeout = 10ms, .max_concurrent_batches = 1};
    rules.weigh(64, Rules::no_limit);
    CHECK(rules.units.of(1) == 1);
    CHECK(rules.notify_after(1, 1, false, 1) == 63);
    rules.weigh(640, Rules::no_limit);
    CHECK(rules.units.of(1) == 10);  // 64 of them
    CHECK(rules.units.of(30) == 30);
    CHECK(rules.notify_after(1, 10, false, 1) == 630);
}

TEST_CASE("once closed each arrival is seen", "[rules]") {
    CHECK(three_in_10ms.notify_after(0, 0, true, true) == 1);
    CHECK(three_in_10ms.notify_after(2, 0, true, false) == 1);
}

TEST_CASE("calls are accepted as far as they have room, or as a whole, and none once closed",
          "[rules]") {
    Rules rules = three_in_10ms;
    const Waiting waiting(2);
    const auto accepted = [&](std::size_t count, Accept accept, bool closed = false) {
        return rules.admit(waiting.line.size(), closed, count, accept).accepted;
    };
    CHECK(accepted(1000, Accept::all_or_none) == 1000);
    rules.max_queue_size = 5;
    CHECK(accepted(3, Accept::all_or_none) == 3);
    CHECK(accepted(4, Accept::all_or_none) == 0);
    CHECK(accepted(4, Accept::as_many_as_fit) == 3);
    CHECK(accepted(1, Accept::as_many_as_fit, true) == 0);
    const auto admission = rules.admit(waiting.line.size(), false, 4, Accept::as_many_as_fit);
    CHECK(admission.waiting == 5);
    CHECK(admission.max_queue_size == 5);
    CHECK_FALSE(admission.closed);
    CHECK(rules.admit(waiting.line.size(), true, 1, Accept::all_or_none).closed);
}

}  // namespace rules_test
