// Section 3 of the contract, against the scheduler alone: no thread, no timer, time is an argument.
#include "catch.hpp"

#include <batcher/detail/scheduler.hpp>
#include <chrono>
#include <deque>
#include <vector>

namespace {

using batching::detail::Left;
using batching::detail::Link;
using namespace std::chrono_literals;

struct TestItem : Link {
    std::chrono::steady_clock::time_point queued_at{};
    int id = 0;
};

using Scheduler = batching::detail::Scheduler<TestItem, std::chrono::steady_clock>;

// A scheduler, the items handed to it (numbered from 0), and what the time is.
struct Fixture {
    explicit Fixture(Scheduler::Rules rules) : scheduler(rules) {}

    TestItem& submit() {
        TestItem& item = items.emplace_back();
        item.id = static_cast<int>(items.size()) - 1;
        item.queued_at = now;
        scheduler.submit(&item);
        return item;
    }
    void submit(int n) {
        while (n-- > 0) submit();
    }
    Scheduler::Decision decide() { return scheduler.decide(now); }

    // The ids of the batch that leaves now; none if none does.
    std::vector<int> batch() {
        if (!decide().start) return {};
        return take();
    }
    std::vector<int> take() {
        std::vector<int> ids;
        batching::detail::WaiterList<TestItem> taken;
        left = scheduler.take(now, taken, [&](TestItem& item) { ids.push_back(item.id); }).why;
        return ids;
    }

    Scheduler scheduler;
    std::deque<TestItem> items;
    std::chrono::steady_clock::time_point now{1h};
    Left left = Left::none;
};

using Ids = std::vector<int>;

}  // namespace

TEST_CASE("a batch leaves as soon as max_batch_size items wait", "[scheduler]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .slots = 1});
    f.submit(2);
    CHECK_FALSE(f.decide().start);
    f.submit();
    CHECK(f.batch() == Ids{0, 1, 2});
    CHECK(f.left == Left::full);
}

TEST_CASE("a batch leaves when the oldest item has waited batch_timeout, not a tick earlier",
          "[scheduler]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .slots = 1});
    f.submit();
    f.now += 6ms;
    f.submit();
    f.now += 4ms - 1ns;
    CHECK_FALSE(f.decide().start);
    f.now += 1ns;
    CHECK(f.batch() == Ids{0, 1});
    CHECK(f.left == Left::timeout);
}

TEST_CASE("the alarm is for the moment the oldest item was queued plus batch_timeout",
          "[scheduler]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .slots = 1});
    CHECK_FALSE(f.decide().wake_at);
    const auto queued = f.now;
    f.submit();
    f.now += 7ms;  // the first look
    CHECK(f.decide().wake_at == queued + 10ms);
}

TEST_CASE("the clock starts when the oldest waiting item was queued, not at the batch before it",
          "[scheduler]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .slots = 1});
    f.submit(2);
    REQUIRE(f.batch() == Ids{0, 1});
    f.now += 3ms;
    const auto queued = f.now;
    f.submit();
    f.now += 5ms;
    f.scheduler.finished();
    CHECK(f.decide().wake_at == queued + 10ms);
}

TEST_CASE("an item that has waited batch_timeout while all slots were busy leaves when one is free",
          "[scheduler]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .slots = 1});
    f.submit(2);
    REQUIRE(f.batch() == Ids{0, 1});
    f.submit();
    f.now += 20ms;
    CHECK_FALSE(f.decide().start);
    CHECK_FALSE(f.decide().wake_at);  // nothing to wake up for: the slot will ask
    f.scheduler.finished();
    CHECK(f.batch() == Ids{2});
}

TEST_CASE("while all slots are busy the queue grows, and the next batch is as large as it can be",
          "[scheduler]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 0ms, .slots = 1});
    f.submit();
    REQUIRE(f.batch() == Ids{0});
    f.submit(6);
    CHECK_FALSE(f.decide().start);
    CHECK(f.decide().wanted == 0);
    f.scheduler.finished();
    CHECK(f.batch() == Ids{1, 2, 3, 4});
    f.scheduler.finished();
    CHECK(f.batch() == Ids{5, 6});
}

TEST_CASE("a batch is formed at the last moment: items that arrive before it is taken still join",
          "[scheduler]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 0ms, .slots = 1});
    f.submit();
    REQUIRE(f.decide().start);
    f.submit(2);
    CHECK(f.take() == Ids{0, 1, 2});
}

TEST_CASE("batch_timeout 0: a batch leaves as soon as a slot is free", "[scheduler]") {
    Fixture f({.max_batch_size = 100, .batch_timeout = 0ms, .slots = 1});
    f.submit();
    CHECK(f.batch() == Ids{0});
    CHECK(f.left == Left::timeout);
}

TEST_CASE("no_timeout: an item waits until its batch is full or flushed", "[scheduler]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = std::nullopt, .slots = 1});
    f.submit();
    f.now += 10000h;
    CHECK_FALSE(f.decide().start);
    SECTION("full") {
        f.submit();
        CHECK(f.batch() == Ids{0, 1});
    }
    SECTION("flushed") {
        f.scheduler.flush();
        CHECK(f.batch() == Ids{0});
        CHECK(f.left == Left::flushed);
    }
}

TEST_CASE("flush is for what waits now, not for what comes later", "[scheduler]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .slots = 1});
    f.submit(3);
    f.scheduler.flush();
    CHECK(f.batch() == Ids{0, 1});
    f.scheduler.finished();
    CHECK(f.batch() == Ids{2});
    f.scheduler.finished();
    f.submit();
    CHECK_FALSE(f.decide().start);
}

TEST_CASE("a flushed batch takes later items along while it has room", "[scheduler]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 10ms, .slots = 1});
    f.submit();
    f.scheduler.flush();
    f.submit();
    CHECK(f.batch() == Ids{0, 1});
}

TEST_CASE("flush with nothing waiting does nothing", "[scheduler]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 10ms, .slots = 1});
    f.scheduler.flush();
    f.submit();
    CHECK_FALSE(f.decide().start);
}

TEST_CASE("after close every waiting item leaves without waiting", "[scheduler]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = std::nullopt, .slots = 1});
    f.submit(3);
    f.scheduler.close();
    CHECK(f.batch() == Ids{0, 1});
    f.scheduler.finished();
    CHECK(f.batch() == Ids{2});
    CHECK(f.left == Left::flushed);
}

TEST_CASE("a removed item leaves its place to the next, with the next one's own clock",
          "[scheduler]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .slots = 1});
    TestItem& first = f.submit();
    f.now += 4ms;
    const auto queued = f.now;
    f.submit();
    f.scheduler.remove(first);
    CHECK(f.decide().wake_at == queued + 10ms);
    f.submit();
    CHECK(f.batch() == Ids{1, 2});
}

TEST_CASE("a batch whose items were removed before it was taken does not leave, and frees its slot",
          "[scheduler]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .slots = 1});
    TestItem& a = f.submit();
    f.submit();
    REQUIRE(f.decide().start);
    f.scheduler.remove(a);
    CHECK(f.take().empty());
    CHECK(f.left == Left::none);
    CHECK(f.scheduler.idle() == false);  // one still waits
    f.submit();
    CHECK(f.batch() == Ids{1, 2});
}

TEST_CASE("as many batches run at once as there are slots", "[scheduler]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .slots = 2});
    f.submit(3);
    CHECK(f.batch() == Ids{0});
    CHECK(f.batch() == Ids{1});
    CHECK_FALSE(f.decide().start);
    f.scheduler.finished();
    CHECK(f.batch() == Ids{2});
}

TEST_CASE("while a batch is about to be formed, another is started only for a full batch more",
          "[scheduler]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 0ms, .slots = 3});
    f.submit(3);
    REQUIRE(f.decide().start);
    CHECK_FALSE(f.decide().start);
    CHECK(f.decide().wanted == 1);
    f.submit();
    CHECK(f.decide().start);
    CHECK(f.take() == Ids{0, 1});
    CHECK(f.take() == Ids{2, 3});
}

TEST_CASE("the scheduler asks to hear of the arrival that fills a batch, and of the first",
          "[scheduler]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .slots = 1});
    CHECK(f.decide().wanted == 1);
    f.submit(2);
    CHECK(f.decide().wanted == 3);
}

TEST_CASE("it is idle when nothing waits and nothing runs", "[scheduler]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .slots = 1});
    CHECK(f.scheduler.idle());
    f.submit();
    CHECK_FALSE(f.scheduler.idle());
    REQUIRE(f.batch() == Ids{0});
    CHECK_FALSE(f.scheduler.idle());
    f.scheduler.finished();
    CHECK(f.scheduler.idle());
}

TEST_CASE("times at the end of the clock's range do not overflow", "[scheduler]") {
    Fixture f(
        {.max_batch_size = 2, .batch_timeout = std::chrono::nanoseconds::max() - 1ns, .slots = 1});
    f.submit();
    CHECK_FALSE(f.decide().start);
    CHECK(f.decide().wake_at == std::chrono::steady_clock::time_point::max());
}
