// What users rely on: with key_by() only items of equal keys share a batch.
#include "asking.hpp"
#include "sanitized.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>

namespace key_by_test {

using namespace test;
using batching::errc;
using batching::key_by;
using batching::no_timeout;
using batching::Priority;
using batching::weigh;

int tens(int item) { return item / 10; }

using Fixture = Asking;

TEST_CASE("only items of equal keys share a batch, in arrival order") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 1ms}, key_by(tens)};
    for (const int item : {10, 20, 11, 30, 21, 12}) {
        f.ask(batcher, item);
        ManualClock::advance(1ns);
    }
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{10, 11, 12}, {20, 21}, {30}});
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
    CHECK(f.replies[4].value == 42);
}

TEST_CASE("each key fills on its own: a batch is as full as one of its key can be") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.max_batch_size = 3, .batch_timeout = no_timeout},
                          key_by(tens)};
    f.ask_all(batcher, {10, 20, 11, 21, 30, 31});
    settle(f.context);
    CHECK(f.batches.seen.empty());  // six items, and no key has three
    f.ask_all(batcher, {22, 23, 24, 12});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{20, 21, 22}, {10, 11, 12}});
    CHECK(batcher.stats().batches_full == 2);
    CHECK(batcher.stats().waiting == 4);
}

TEST_CASE("each key times out on its own, from when its oldest item was queued") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 10ms}, key_by(tens)};
    f.ask(batcher, 10);
    f.advance(6ms);
    f.ask_all(batcher, {20, 11});
    f.advance(4ms - 1ns);
    CHECK(f.batches.seen.empty());
    f.advance(1ns);
    CHECK(f.batches.seen == Seen{{10, 11}});
    f.advance(6ms - 1ns);
    CHECK(f.batches.seen.size() == 1);
    f.advance(1ns);
    CHECK(f.batches.seen == Seen{{10, 11}, {20}});
}

TEST_CASE("a key whose items all leave is not waited for, and comes back as a new one") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 10ms}, key_by(tens)};
    {
        const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
        const Owned goes = wait(10);
        f.advance(9ms);
    }
    f.ask(batcher, 11);
    f.advance(9ms);
    CHECK(f.batches.seen.empty());
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{11}});
    CHECK(f.context.run_for(1s) < 100);  // no timer is left
    CHECK(f.context.stopped());
}

TEST_CASE("flush(), close() and cancel() are for the items of all keys") {
    Fixture f;
    ManualBatcher batcher{
        f.context, f.batches.doubling(), {.batch_timeout = no_timeout}, key_by(tens)};
    f.ask_all(batcher, {10, 20, 11});
    settle(f.context);
    bool drained = false;
    SECTION("flush()") {
        batcher.flush();
        f.ask(batcher, 30);
        settle(f.context);
        CHECK(f.batches.seen == Seen{{10, 11}, {20}});
        CHECK(batcher.stats().batches_flushed == 2);
        CHECK(batcher.stats().waiting == 1);
    }
    SECTION("close()") {
        batcher.close();
        settle(f.context);
        CHECK(f.batches.seen == Seen{{10, 11}, {20}});
    }
    SECTION("drain()") {
        batcher.async_drain([&](const std::exception_ptr&) {
            drained = true;
            CHECK(f.batches.seen == Seen{{10, 11}, {20}});
        });
        settle(f.context);
        CHECK(drained);
    }
    SECTION("cancel()") {
        batcher.cancel();
        settle(f.context);
        for (const auto& reply : f.replies) CHECK(reply.aborted());
        CHECK(batcher.stats().waiting == 0);
    }
    batcher.cancel();
    settle(f.context);
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
}

TEST_CASE("a Batcher that is destroyed completes the calls of all keys, each once") {
    Fixture f;
    {
        ManualBatcher batcher{
            f.context, f.batches.doubling(), {.batch_timeout = no_timeout}, key_by(tens)};
        f.ask_all(batcher, {10, 20, 11});
        f.ask(batcher, 30, {.timeout = 1h, .priority = Priority::low});
    }
    settle(f.context);
    for (const auto& reply : f.replies) {
        CHECK(reply.aborted());
        CHECK(reply.times == 1);
    }
}

TEST_CASE("priorities count within a key") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 1ms}, key_by(tens)};
    f.ask(batcher, 10, {.priority = Priority::low});
    f.ask(batcher, 20);
    f.ask(batcher, 11);
    f.ask(batcher, 21, {.priority = Priority::high});
    f.ask(batcher, 12, {.priority = Priority::high});
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{12, 11, 10}, {21, 20}});
}

TEST_CASE("max_queue_size is for the items of all keys together") {
    Fixture f;
    ManualBatcher batcher{
        f.context, f.batches.doubling(), {.batch_timeout = 1ms, .max_queue_size = 2}, key_by(tens)};
    f.ask_all(batcher, {10, 20, 30});
    f.ask(batcher, 40, {.priority = Priority::high});
    f.advance(1ms);
    CHECK(f.replies[2].failed_with(errc::overloaded));
    CHECK(f.replies[1].failed_with(errc::overloaded));  // the newest of the lowest class
    CHECK(f.batches.seen == Seen{{10}, {40}});
}

// ---- whose turn it is ------------------------------------------------------------------------------------

// One slot, busy until the test opens the gate; then the batches run one after the other.
template <class... Rules>
Seen served(const std::vector<int>& items, batching::Options options, Rules... rules) {
    aio::io_context context;
    Gate gate(context);
    options.batch_timeout = 0;
    ManualBatcher batcher{context, gate.doubling(), options, std::move(rules)...};
    std::deque<Reply<int>> replies;
    batcher.async_process(0, into(replies.emplace_back()));
    settle(context);
    for (const int item : items) batcher.async_process(item, into(replies.emplace_back()));
    gate.open();
    settle(context);
    for (const auto& reply : replies) CHECK(reply.times == 1);
    gate.started.erase(gate.started.begin());
    return gate.started;
}

TEST_CASE("free slots go round the keys that are ready, so that a busy key cannot starve another") {
    const Seen seen =
        served({10, 11, 12, 13, 14, 15, 16, 20, 21, 30}, {.max_batch_size = 2}, key_by(tens));
    CHECK(seen == Seen{{10, 11}, {20, 21}, {30}, {12, 13}, {14, 15}, {16}});
}

TEST_CASE("the turns of keys are of equal weight, not of equal numbers of batches") {
    // Those of the first key are heavy, and those of the second light.
    const auto weight_of = [](int item) { return tens(item) == 1 ? 4 : 1; };
    std::vector<int> items;
    for (int i = 0; i < 40; ++i) items.push_back(10 + i % 10);
    for (int i = 0; i < 160; ++i) items.push_back(20 + i % 10);
    const Seen seen = served(items, {.max_batch_size = 2, .max_batch_weight = 8}, key_by(tens),
                             weigh([&](int item) { return weight_of(item); }));
    int ahead = 0;  // the first key, in weight
    int most = 0;
    for (const Batch& batch : seen) {
        for (const int item : batch) ahead += tens(item) == 1 ? weight_of(item) : -weight_of(item);
        most = std::max(most, std::abs(ahead));
    }
    CHECK(seen.size() == 100);
    CHECK(most <= 16);
    CHECK(ahead == 0);
}

TEST_CASE("of a key at most max_concurrent_batches_per_key batches run at the same time") {
    aio::io_context context;
    Gate gate(context);
    std::deque<Reply<int>> replies;
    ManualBatcher batcher{context,
                          gate.doubling(),
                          {.max_batch_size = 1,
                           .batch_timeout = 0,
                           .max_concurrent_batches = 4,
                           .max_concurrent_batches_per_key = 1},
                          key_by(tens)};
    for (const int item : {10, 11, 12, 20, 30, 31}) {
        batcher.async_process(item, into(replies.emplace_back()));
    }
    settle(context);
    CHECK(gate.started == Seen{{10}, {20}, {30}});
    gate.open();
    settle(context);
    CHECK(gate.started.size() == 6);
    for (const auto& reply : replies) CHECK(reply.times == 1);
}

TEST_CASE("without max_concurrent_batches_per_key a key may have all slots") {
    aio::io_context context;
    Gate gate(context);
    std::deque<Reply<int>> replies;
    ManualBatcher batcher{context,
                          gate.doubling(),
                          {.max_batch_size = 1, .batch_timeout = 0, .max_concurrent_batches = 3},
                          key_by(tens)};
    for (const int item : {10, 11, 12, 13}) {
        batcher.async_process(item, into(replies.emplace_back()));
    }
    settle(context);
    CHECK(gate.started == Seen{{10}, {11}, {12}});
    gate.open();
    settle(context);
}

TEST_CASE("a small key waits less than twice what it would alone, however busy another is") {
    aio::io_context context;
    std::deque<Reply<int>> replies;
    ManualBatcher* busy = nullptr;
    int batches = 0;
    ManualBatcher batcher{context,
                          [&](Batch items) {
                              ManualClock::advance(1ms);
                              if (++batches < 200) {  // ten times as many of one key
                                  for (int i = 0; i < 10; ++i) {
                                      busy->async_process(10, into(replies.emplace_back()));
                                  }
                                  busy->async_process(20, {.priority = Priority::low},
                                                      into(replies.emplace_back()));
                              }
                              return items;
                          },
                          {.max_batch_size = 2, .batch_timeout = 0},
                          key_by(tens)};
    busy = &batcher;
    batcher.async_process(10, into(replies.emplace_back()));
    settle(context);
    CHECK(batcher.stats().wait_time_low.count() > 100);
    CHECK(batcher.stats().wait_time_low.quantile(1) <= 2ms);  // alone: a batch runs for 1 ms
}

TEST_CASE("a key that becomes ready while a busy one's batch runs goes before that one's next") {
    aio::io_context context;
    std::deque<Reply<int>> replies;
    Seen seen;
    ManualBatcher* busy = nullptr;
    ManualBatcher batcher{context,
                          [&](Batch items) {
                              seen.push_back(items);
                              if (tens(items.front()) == 1 && seen.size() < 8) {
                                  busy->async_process(20, into(replies.emplace_back()));
                                  busy->async_process(21, into(replies.emplace_back()));
                              }
                              return items;
                          },
                          {.max_batch_size = 2, .batch_timeout = 0},
                          key_by(tens)};
    busy = &batcher;
    for (int i = 0; i < 8; ++i) batcher.async_process(10 + i, into(replies.emplace_back()));
    settle(context);
    CHECK(seen ==
          Seen{{10, 11}, {20, 21}, {12, 13}, {20, 21}, {14, 15}, {20, 21}, {16, 17}, {20, 21}});
}

TEST_CASE("keys that are seen once do not hold up one that is always ready") {
    aio::io_context context;
    std::deque<Reply<int>> replies;
    Seen seen;
    int next = 100;
    ManualBatcher* busy = nullptr;
    ManualBatcher batcher{context,
                          [&](Batch items) {
                              seen.push_back(items);
                              if (seen.size() < 100) {  // a new key while each batch runs
                                  busy->async_process(next += 10, into(replies.emplace_back()));
                              }
                              return items;
                          },
                          {.max_batch_size = 2, .batch_timeout = 0},
                          key_by(tens)};
    busy = &batcher;
    for (int i = 0; i < 8; ++i) batcher.async_process(10 + i, into(replies.emplace_back()));
    settle(context);
    std::vector<std::size_t> of_busy;
    for (std::size_t i = 0; i < seen.size(); ++i) {
        if (tens(seen[i].front()) == 1) of_busy.push_back(i);
    }
    REQUIRE(of_busy.size() == 4);
    CHECK(of_busy.back() <= 12);  // its batches are of two items, theirs of one
}

// ---- what it costs ---------------------------------------------------------------------------------------

TEST_CASE("a key with nothing waiting costs nothing: a million seen once leave none behind") {
    constexpr int keys = sanitized ? 50'000 : 1'000'000;
    aio::io_context context;
    batching::Batcher<int, int, ManualClock> batcher{
        context, [](Batch items) { return items; }, {.batch_timeout = 0}, key_by([](int item) {
            return Counted(item);
        })};
    int most = 0;
    int completed = 0;
    for (int i = 0; i < keys; ++i) {
        batcher.async_process(
            i, [&](const std::exception_ptr& error, int) { completed += error ? 0 : 1; });
        if (i % 100 == 99) {
            most = std::max(most, Counted::alive);
            context.poll();
            context.restart();
        }
    }
    settle(context);
    CHECK(completed == keys);
    CHECK(most <= 200);
    CHECK(Counted::alive == 0);
}

TEST_CASE(
    "a key is kept while an item of it waits or runs, and no longer, whatever becomes of it") {
    Fixture f;
    Gate gate(f.context);
    ManualBatcher batcher{f.context,
                          gate.doubling(),
                          {.max_batch_size = 1, .batch_timeout = 0, .max_queue_size = 1},
                          key_by([](int item) { return Counted(item); })};
    f.ask(batcher, 1);
    settle(f.context);
    CHECK(Counted::alive == 1);
    SECTION("it is cancelled") {
        f.ask(batcher, 2);
        CHECK(Counted::alive == 2);
        batcher.cancel();
    }
    SECTION("it expires") {
        f.ask(batcher, 2, {.timeout = 1ms});
        f.advance(1ms);
    }
    SECTION("its caller goes") {
        const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
        const Owned goes = wait(2);
    }
    SECTION("it is displaced, or refused") {
        f.ask(batcher, 2, {.priority = Priority::low});
        f.ask(batcher, 3, {.priority = Priority::low});
        f.ask(batcher, 4);
        CHECK(Counted::alive == 2);
        batcher.cancel();
    }
    settle(f.context);
    CHECK(Counted::alive == 1);
    gate.open();
    settle(f.context);
    CHECK(Counted::alive == 0);
}

TEST_CASE("a key is kept no longer if no item of it can be in time, so that its batch has none") {
    Fixture f;
    Gate gate(f.context);
    const auto held = gate.doubling();
    ManualBatcher batcher{f.context,
                          [&](Batch items) -> aio::awaitable<Batch> {
                              if (items.front() == 0) co_return co_await held(items);
                              ManualClock::advance(20ms);
                              co_return items;
                          },
                          {.max_batch_size = 10, .max_concurrent_batches = 2},
                          key_by([](int item) { return Counted(tens(item)); })};
    for (int i = 0; i < 8; ++i) {
        for (int item = 10; item < 20; ++item) f.ask(batcher, item, {.timeout = 1h});
        settle(f.context);
    }
    f.ask(batcher, 0, {.timeout = 1h});
    f.advance(10ms);
    CHECK(Counted::alive == 1);
    auto& late = f.ask(batcher, 20, {.timeout = 1ms});  // with a slot free it is not refused
    settle(f.context);
    CHECK(late.failed_with(errc::deadline_exceeded));
    CHECK(batcher.stats().expired == 1);
    CHECK(Counted::alive == 1);
    gate.open();
    settle(f.context);
    CHECK(Counted::alive == 0);
}

// ---- what a key may be -----------------------------------------------------------------------------------

// All have the same hash.
struct Clash {
    int value;
    bool operator==(const Clash&) const = default;
};

}  // namespace key_by_test

template <>
struct std::hash<key_by_test::Clash> {
    std::size_t operator()(const key_by_test::Clash&) const noexcept { return 7; }
};

namespace key_by_test {

TEST_CASE("keys are told apart by ==, also if their hashes are equal") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 0},
                          key_by([](int item) { return Clash{tens(item)}; })};
    f.ask_all(batcher, {10, 20, 11, 21});
    settle(f.context);
    CHECK(f.batches.seen == Seen{{10, 11}, {20, 21}});
}

TEST_CASE("a key may be a string, a member, or what can only be moved") {
    struct Text {
        std::string model;
        int value;
    };
    const auto first = [](std::vector<Text> texts) {
        for (Text& text : texts) {
            if (text.model != texts.front().model) throw std::runtime_error("two keys");
        }
        std::vector<int> values;
        for (const Text& text : texts) values.push_back(text.value);
        return values;
    };
    const batching::Options options{.batch_timeout = 10ms};
    batching::Batcher by_member{first, options, key_by(&Text::model)};
    const auto values = by_member.process_many({Text{"a", 1}, Text{"b", 2}, Text{"a", 3}}).get();
    CHECK(values == std::vector<int>{1, 2, 3});
    batching::Batcher by_pointer{first, options, key_by([](const Text& text) {
                                     return text.model == "a" ? std::unique_ptr<int>()
                                                              : std::make_unique<int>(1);
                                 })};
    CHECK(by_pointer.process({"a", 1}).get() == 1);
}

TEST_CASE("if key_by() throws, or its key cannot be hashed, that caller alone gets the exception") {
    Fixture f;
    ManualBatcher batcher{
        f.context, f.batches.doubling(), {.batch_timeout = 1ms}, key_by([](int item) {
            if (item < 0) throw std::runtime_error("no key");
            return tens(item);
        })};
    f.ask(batcher, 10);
    auto& bad = f.ask(batcher, -1);
    f.ask(batcher, 11);
    f.advance(1ms);
    CHECK(bad.sentence() == "no key");
    CHECK(f.batches.seen == Seen{{10, 11}});
    auto each = batcher.async_process_each({12, -1, 13}, aio::use_future);
    f.advance(1ms);
    const auto results = each.get();
    CHECK(results[0].has_value());
    CHECK_THROWS_WITH(results[1].value(), "no key");
    CHECK(results[2].has_value());
    CHECK(batcher.stats().rejected == 2);
}

TEST_CASE("max_concurrent_batches_per_key is 1 or more, and needs key_by()") {
    const auto refusal_of = [](const batching::Options& options) -> std::string {
        try {
            const batching::Batcher batcher{[](Batch items) { return items; }, options};
        } catch (const std::invalid_argument& error) {
            return error.what();
        }
        return "not refused";
    };
    CHECK(refusal_of({.max_concurrent_batches_per_key = 0}) ==
          "max_concurrent_batches_per_key must be 1 or more, not 0");
    CHECK(refusal_of({.max_concurrent_batches_per_key = 2}) ==
          "max_concurrent_batches_per_key is 2, but only counts with batching::key_by() after the "
          "options");
}

// ---- deadlines ------------------------------------------------------------------------------------------

TEST_CASE("a key whose last items are let go, as they cannot be in time, is forgotten") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          [](Batch items) {
                              ManualClock::advance(10ms);
                              return items;
                          },
                          {.batch_timeout = 0, .max_concurrent_batches = 2},
                          key_by([](int item) { return item; })};
    for (int i = 0; i < 8; ++i) {  // so that it is known what a batch takes
        f.ask(batcher, i, {.timeout = 1h});
        settle(f.context);
    }
    f.ask(batcher, 10);
    auto& late = f.ask(batcher, 11, {.timeout = 15ms});  // 5 ms are left when its turn comes
    f.ask(batcher, 12);
    settle(f.context);
    CHECK(late.failed_with(errc::deadline_exceeded));
    CHECK(batcher.stats().expired == 1);
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
}

}  // namespace key_by_test
