// The Estimate: what batches will take, and what that means for calls with deadlines.
#include <batcher/detail/core/estimate.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>

#include "../catch.hpp"

namespace estimate_test {

using batching::detail::Estimate;
using batching::detail::Time;
using namespace std::chrono_literals;

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

// A run time of a fixed part and one per item.
struct Linear {
    Time fixed;
    Time per_item;
    Time operator()(std::size_t size) const {
        return fixed + per_item * static_cast<Time::rep>(size);
    }
};
constexpr Linear usual{5ms, 1ms};

// Batches of all sizes up to 64 run, in no order.
template <class RunTime>
void run(Estimate& estimate, int batches, RunTime run_time) {
    for (int i = 0; i < batches; ++i) {
        const std::size_t size = 1 + static_cast<std::size_t>(i) * 37 % 64;
        estimate.completed(size, run_time(size));
    }
}
// All of the same size.
void run(Estimate& estimate, int batches, std::size_t size, Time run_time) {
    for (int i = 0; i < batches; ++i) estimate.completed(size, run_time);
}

Estimate estimate_of(Linear run_time, std::size_t slots = 1) {
    Estimate estimate(slots);
    run(estimate, 500, run_time);
    return estimate;
}

// Calls arrive evenly for a second, which is sampled after each.
void arrive(Estimate& estimate, Time apart, Time objective) {
    std::uint64_t submitted = 1000;
    for (Time now = 1h; now < 1h + 1s; now += apart) estimate.arrived(now, submitted++, objective);
}

bool is_near(Time a, Time b, double tolerance) {
    const double ratio = static_cast<double>(a.count()) / static_cast<double>(b.count());
    return ratio > 1 - tolerance && ratio < 1 + tolerance;
}

// ---- run times -----------------------------------------------------------------------------------------

TEST_CASE("nothing is known before 8 batches have run, and no call is refused", "[estimate]") {
    Estimate estimate(1);
    for (int i = 0; i < 8; ++i) {
        CHECK_FALSE(estimate.known());
        CHECK_FALSE(estimate.hopeless_by(1'000'000, 0, 1ns, 64));
        CHECK_FALSE(estimate.until_next(64));
        estimate.completed(10, 1s);
    }
    CHECK(estimate.known());
    CHECK(estimate.hopeless_by(1'000'000, 0, 1ns, 64));
    CHECK(estimate.until_next(64));
}

TEST_CASE("batches of items that weigh nothing teach what one of weight 1 takes", "[estimate]") {
    Estimate estimate(1);
    run(estimate, 100, 0, 5ms);
    CHECK(is_near(estimate.run_time(1), 5ms, 0.01));
    CHECK(is_near(estimate.run_time(0), 2500us, 0.01));  // half of the time is taken to be fixed
}

TEST_CASE("what a batch takes is learnt as a fixed part and one per item", "[estimate]") {
    for (const Linear run_time : {usual, Linear{2ms, 50us}, Linear{200us, 1ms}, Linear{9s, 1s}}) {
        const Estimate estimate = estimate_of(run_time);
        CHECK(is_near(estimate.run_time(64), run_time(64), 0.01));
        CHECK(is_near(estimate.run_time(32), run_time(32), 0.01));
        CHECK(is_near(estimate.run_time(5), run_time(5), 0.04));
    }
}

TEST_CASE("after 8 batches of different sizes it is known about what others take", "[estimate]") {
    Estimate estimate(1);
    run(estimate, 8, usual);
    CHECK(is_near(estimate.run_time(1), usual(1), 0.35));
    CHECK(is_near(estimate.run_time(64), usual(64), 0.05));
}

TEST_CASE("three quarters of a change are known after 100 batches", "[estimate]") {
    Estimate estimate = estimate_of({10ms, 200us});
    SECTION("the fixed part doubles") {
        run(estimate, 100, Linear{20ms, 200us});
        CHECK(estimate.run_time(1) > 17500us);
    }
    SECTION("or halves") {
        run(estimate, 100, Linear{5ms, 200us});
        CHECK(estimate.run_time(1) < 6500us);
    }
    SECTION("an item takes twice as long") {
        run(estimate, 100, Linear{10ms, 400us});
        CHECK(estimate.run_time(64) - estimate.run_time(1) > 350us * 63);
    }
}

TEST_CASE("a batch that stalls counts as at most twice what was expected", "[estimate]") {
    Estimate estimate(1);
    run(estimate, 200, 10, 10ms);
    estimate.completed(10, 1h);
    CHECK(estimate.run_time(10) <= 10200us);
    CHECK(estimate.run_time_with_margin(10) <= 10500us);
}

TEST_CASE("first batches that took seconds are soon forgotten", "[estimate]") {
    Estimate estimate(8);
    SECTION("all of the first") { run(estimate, 8, 64, 10s); }
    SECTION("one of them") {
        run(estimate, 4, 64, 20ms);
        run(estimate, 1, 64, 10s);
    }
    CHECK(estimate.run_time(64) > 1s);
    run(estimate, 20, 64, 20ms);
    CHECK(estimate.run_time(64) < 40ms);
    CHECK(estimate.run_time_with_margin(64) < 100ms);
}

TEST_CASE("a function that took no time at all may take some later", "[estimate]") {
    Estimate estimate(1);
    run(estimate, 100, 10, 0ns);
    CHECK(estimate.run_time(10) == 0ns);
    CHECK(estimate.run_time_with_margin(10) == 0ns);
    run(estimate, 1000, 10, 1ms);
    CHECK(is_near(estimate.run_time(10), 1ms, 0.01));
}

TEST_CASE("the margin is one standard deviation of the run times", "[estimate]") {
    Estimate steady = estimate_of(usual);
    CHECK(steady.run_time_with_margin(20) < steady.run_time(20) + steady.run_time(20) / 50);

    Estimate estimate(1);
    std::mt19937 random(7);
    std::normal_distribution<double> noise(1, 0.1);
    Time mean{};
    Time with_margin{};
    for (int i = 0; i < 100; ++i) {
        run(estimate, 64, [&](std::size_t size) {
            return std::chrono::duration_cast<Time>(usual(size) * noise(random));
        });
        mean += estimate.run_time(20) / 100;
        with_margin += estimate.run_time_with_margin(20) / 100;
    }
    CHECK(is_near(mean, usual(20), 0.01));
    CHECK(is_near(with_margin, mean * 11 / 10, 0.005));
}

TEST_CASE("while all batches have the same size, half of their time is taken to be fixed",
          "[estimate]") {
    Estimate estimate(1);
    run(estimate, 100, 10, 10ms);
    CHECK(is_near(estimate.run_time(10), 10ms, 1e-6));
    CHECK(is_near(estimate.run_time(20), 15ms, 1e-6));
    CHECK(is_near(estimate.run_time(1), 5500us, 1e-6));
    run(estimate, 10, 1, 9100us);  // it is fixed by nine tenths
    CHECK(is_near(estimate.run_time(1), 9100us, 0.03));
    CHECK(is_near(estimate.run_time(20), 11ms, 0.05));
}

TEST_CASE("a larger batch never takes less time, nor more in proportion", "[estimate]") {
    Estimate falling(1);
    run(falling, 100, [](std::size_t size) { return 100ms - 1ms * size; });
    CHECK(falling.run_time(64) >= falling.run_time(1));
    CHECK(falling.run_time(1) > 0ns);

    Estimate rising(1);
    run(rising, 100, [](std::size_t size) { return 1us * size * size; });
    CHECK(is_near(rising.run_time(64), rising.run_time(1) * 64, 1e-3));
}

// ---- how many ------------------------------------------------------------------------------------------

TEST_CASE("the largest size within a time is the one that takes that time", "[estimate]") {
    const Estimate estimate = estimate_of(usual);
    for (std::size_t size = 1; size <= 64; ++size) {
        const Time time = estimate.run_time(size);
        CHECK(estimate.largest_within(time, 64) == size);
        CHECK(estimate.largest_within(time - 10ns, 64) == size - 1);
    }
    CHECK(estimate.largest_within(1h, 64) == 64);
    CHECK(estimate.largest_within(estimate.run_time(20), 7) == 7);
    CHECK(estimate.largest_within(0ns, 64) == 0);
    CHECK(estimate.largest_within(-1h, 64) == 0);
}

TEST_CASE("a size is not missed for a rounding error", "[estimate]") {
    for (std::size_t size = 2; size <= 64; size += 2) {
        Estimate estimate(1);
        run(estimate, 50, size, 1ms * static_cast<Time::rep>(size));  // of which half is per item
        CHECK(estimate.largest_within(1ms * static_cast<Time::rep>(size), 64) == size);
    }
}

TEST_CASE("any size fits where items take no time, if one does", "[estimate]") {
    Estimate estimate(1);
    run(estimate, 100, 1, 0ns);
    CHECK(estimate.largest_within(0ns, no_limit) == no_limit);
    CHECK(estimate.largest_within(-1ns, no_limit) == 0);
}

TEST_CASE(
    "the more the run times vary and the more slots there are, the smaller is the batch that is "
    "almost certain to meet a deadline",
    "[estimate]") {
    const auto size = [](std::size_t slots, Time deviation) {
        Estimate estimate(slots);
        bool longer = false;
        run(estimate, 500, [&](std::size_t n) {
            longer = !longer;
            return usual(n) + (longer ? deviation : -deviation) * n;
        });
        CHECK(estimate.largest_meeting(1h, 64) == 64);
        CHECK(estimate.largest_meeting(1ms, 64) == 0);
        CHECK(estimate.largest_meeting(40ms, 64) <= estimate.largest_within(40ms, 64));
        return estimate.largest_meeting(40ms, 64);
    };
    CHECK(size(1, 0ms) >= 34);
    CHECK(size(8, 0ms) >= 34);
    CHECK(size(1, 200us) < size(1, 0ms));
    CHECK(size(2, 200us) < size(1, 200us));
    CHECK(size(8, 200us) < size(2, 200us));
    CHECK(size(8, 400us) < size(8, 200us));
}

// ---- floor ---------------------------------------------------------------------------------------------

TEST_CASE("when many arrive, no batch is smaller than 95 % of the throughput needs", "[estimate]") {
    for (const std::size_t slots : {1U, 2U, 8U}) {
        Estimate estimate = estimate_of(usual, slots);
        arrive(estimate, 10us, 100ms);
        const std::size_t target =  // all can wait for one and run in another
            estimate.largest_within(100ms * slots / (slots + 1), 1000);
        const auto throughput = [&](std::size_t size) {
            return static_cast<double>(size) / static_cast<double>(estimate.run_time(size).count());
        };
        const std::size_t floor = estimate.floor(100ms, 1000);
        CHECK(floor < target);
        CHECK(throughput(floor) >= 0.95 * throughput(target) * 0.999);
        CHECK(throughput(floor - 1) < 0.95 * throughput(target));
    }
}

TEST_CASE("when few arrive, batches may be as small as keeps up with them", "[estimate]") {
    Estimate one_slot = estimate_of(usual, 1);
    CHECK(one_slot.floor(100ms, 64) == 1);  // none has arrived
    arrive(one_slot, 2ms, 100ms);           // 5 take 10 ms, in which 5 arrive
    CHECK(one_slot.floor(100ms, 64) >= 5);
    CHECK(one_slot.floor(100ms, 64) <= 6);
    Estimate two_slots = estimate_of(usual, 2);
    arrive(two_slots, 2ms, 100ms);  // 2 take 7 ms, in which 3.5 arrive
    CHECK(two_slots.floor(100ms, 64) == 2);
}

TEST_CASE("the floor follows the arrivals of about two objectives", "[estimate]") {
    Estimate estimate = estimate_of(usual);
    arrive(estimate, 2ms, 100ms);  // last looked at when 990 ms had passed
    const std::size_t before = estimate.floor(100ms, 64);
    CHECK(before >= 5);
    estimate.arrived(1h + 999ms, 1'000'000,
                     100ms);  // less than a tenth of an objective: not looked at
    CHECK(estimate.floor(100ms, 64) == before);
    estimate.arrived(1h + 1190ms, 1500,
                     100ms);  // the rate is halved: 2 take 7 ms, in which 1.8 arrive
    CHECK(estimate.floor(100ms, 64) == 2);
    estimate.arrived(1h + 10s, 1500, 100ms);
    CHECK(estimate.floor(100ms, 64) == 1);
}

TEST_CASE("the floor is never above the most that a batch may have, nor below 1", "[estimate]") {
    Estimate estimate = estimate_of(usual);
    arrive(estimate, 1us, 1s);
    CHECK(estimate.floor(1s, 64) > 32);
    CHECK(estimate.floor(1s, 10) <= 10);
    CHECK(estimate.floor(1s, 1) == 1);
    CHECK(estimate.floor(1ms, 64) == 1);
    CHECK(estimate.floor(0ms, 64) == 1);
}

TEST_CASE("calls that were displaced before they were looked at are no flood of arrivals",
          "[estimate]") {
    Estimate estimate = estimate_of(usual);
    arrive(estimate, 2ms, 100ms);
    const std::size_t before = estimate.floor(100ms, 64);
    estimate.arrived(1h + 1190ms, 900, 100ms);  // fewer than before
    CHECK(estimate.floor(100ms, 64) < before);
}

TEST_CASE("where a batch has no fixed part, a small one has all the throughput", "[estimate]") {
    Estimate estimate(1);
    run(estimate, 100, [](std::size_t) { return 0ns; });
    arrive(estimate, 10us, 100ms);
    CHECK(estimate.floor(100ms, no_limit) == 1);
}

// ---- refusal -------------------------------------------------------------------------------------------

TEST_CASE("a call is hopeless if those ahead of it take longer than its timeout", "[estimate]") {
    Estimate estimate(2);
    run(estimate, 100, 10, 10ms);                        // of which a batch of 1 takes 5.5 ms
    CHECK_FALSE(estimate.hopeless_by(28, 0, 20ms, 10));  // 14 ms + 5.5 ms
    const std::optional<Time> late_by = estimate.hopeless_by(100, 0, 20ms, 10);
    REQUIRE(late_by);
    CHECK(is_near(*late_by, 50ms + 5500us - 20ms, 1e-6));
    REQUIRE(estimate.hopeless_by(30, 0, 20ms, 10));
    CHECK(is_near(*estimate.hopeless_by(30, 0, 20ms, 10), 500us, 1e-3));
    CHECK_FALSE(estimate.hopeless_by(100, 0, 20ms + *late_by, 10));
}

TEST_CASE("slots that are free take batches from ahead of it at once", "[estimate]") {
    Estimate estimate(2);
    run(estimate, 100, 10, 10ms);
    CHECK(estimate.hopeless_by(45, 0, 20ms, 10));
    CHECK_FALSE(estimate.hopeless_by(45, 2, 20ms, 10));
    CHECK(estimate.hopeless_by(55, 2, 20ms, 10));
}

TEST_CASE(
    "a call is hopeless if even a batch of its own takes too long, unless a slot is free for it",
    "[estimate]") {
    Estimate estimate(2);
    run(estimate, 100, 10, 10ms);
    CHECK_FALSE(estimate.hopeless_by(0, 0, 6ms, 10));
    REQUIRE(estimate.hopeless_by(0, 0, 5ms, 10));
    CHECK(is_near(*estimate.hopeless_by(0, 0, 5ms, 10), 500us, 1e-3));
    CHECK_FALSE(estimate.hopeless_by(0, 1, 5ms, 10));
    CHECK_FALSE(estimate.hopeless_by(1, 2, 5ms, 10));
    CHECK(estimate.hopeless_by(2, 2, 5ms, 10));
}

TEST_CASE("what a call itself takes counts as well", "[estimate]") {
    Estimate estimate(2);
    run(estimate, 100, 10, 10ms);  // of which a batch of 1 takes 5.5 ms, one of 5 takes 7.5
    CHECK_FALSE(estimate.hopeless_by(0, 0, 7ms, 10, 1));
    CHECK(estimate.hopeless_by(0, 0, 7ms, 10, 5));
    CHECK_FALSE(estimate.hopeless_by(0, 0, 8ms, 10, 5));
}

TEST_CASE("room is made once for each batch that a slot completes", "[estimate]") {
    Estimate estimate(4);
    run(estimate, 100, 10, 10ms);
    REQUIRE(estimate.until_next(10));
    CHECK(is_near(*estimate.until_next(10), 2500us, 1e-6));
}

// ---- extremes ------------------------------------------------------------------------------------------

TEST_CASE("no run time, size or timeout leads beyond what can be told", "[estimate]") {
    const std::size_t sizes[] = {1, 64, no_limit};
    const Time times[] = {-1ns, 0ns, 1ns, 25ms, 10h, Time::max()};
    const std::size_t slots = GENERATE(std::size_t{0}, std::size_t{1}, no_limit);
    const Time first = GENERATE(0ns, -1h, 1ns, 10h, Time::max());
    const Time second = GENERATE(0ns, 1ns, 10h, Time::max());
    const std::size_t size = GENERATE(std::size_t{1}, std::size_t{64}, no_limit);
    Estimate estimate(slots);
    std::size_t wrong = 0;
    const auto expect = [&](bool right) { wrong += right ? 0 : 1; };
    const auto may_be = [](Time time) { return time >= 0ns && time <= Time::max() / 2; };
    const auto look = [&] {
        for (const std::size_t n : sizes) {
            const Time likely = estimate.run_time(n);
            expect(may_be(likely) && may_be(estimate.run_time_with_margin(n)));
            expect(likely <= estimate.run_time_with_margin(n));
            expect(may_be(estimate.until_next(n).value_or(0ns)));
            for (const Time time : times) {
                expect(estimate.largest_within(time, n) <= n);
                expect(estimate.largest_meeting(time, n) <= n);
                expect(estimate.floor(time, n) >= 1);
                expect(estimate.floor(time, n) <= n);
                expect(may_be(estimate.hopeless_by(no_limit, 0, time, n).value_or(0ns)));
                expect(may_be(estimate.hopeless_by(no_limit, 64, time, n).value_or(0ns)));
            }
        }
    };

    look();
    for (int i = 0; i < 20; ++i) {
        estimate.completed(size, i < 10 ? first : second);
        estimate.completed(i % 2 == 0 ? 1 : size, first);
        estimate.arrived(1ms * i, static_cast<std::uint64_t>(i) << 58U, times[i % 6]);
        estimate.arrived(1ms * i, 0, 0ns);  // in no time
        look();
    }
    CHECK(wrong == 0);
}

}  // namespace estimate_test
