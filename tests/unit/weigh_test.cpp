// What users rely on: with batching::weigh() the weights of a batch, and of what waits, are limited.
#include "asking.hpp"

#include <deque>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

namespace weigh_test {

using namespace test;
using batching::CallOptions;
using batching::errc;
using batching::no_limit;
using batching::no_timeout;
using batching::Priority;
using batching::weigh;

// An item weighs what it says.
std::size_t itself(int item) { return static_cast<std::size_t>(item); }

struct Fixture : Asking {
    void check_all_doubled() {
        for (const auto& reply : replies) CHECK(reply.value.has_value());
        check_once();
    }
};

std::string refusal_of(const batching::Options& options) {
    try {
        const batching::Batcher batcher{[](Batch items) { return items; }, options};
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "not refused";
}

// ---- the weight of a batch -------------------------------------------------------------------------------

TEST_CASE("the weights of a batch add up to at most max_batch_weight") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1ms, .max_batch_weight = 10},
                          weigh(itself)};
    f.ask_all(batcher, {4, 3, 3, 5, 5, 1});
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{4, 3, 3}, {5, 5}, {1}});
    f.check_all_doubled();
}

TEST_CASE("a batch is full when its weight is, and leaves at once") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = no_timeout, .max_batch_weight = 10},
                          weigh(itself)};
    f.ask_all(batcher, {4, 5});
    settle(f.context);
    CHECK(f.batches.seen.empty());
    SECTION("exactly") {
        f.ask(batcher, 1);
        settle(f.context);
        CHECK(f.batches.seen == Seen{{4, 5, 1}});
    }
    SECTION("or as the next item does not fit any more") {
        f.ask(batcher, 2);
        settle(f.context);
        CHECK(f.batches.seen == Seen{{4, 5}});
        CHECK(batcher.stats().waiting == 1);
    }
    CHECK(batcher.stats().batches_full == 1);
}

TEST_CASE("items keep their order: nobody is skipped to fill a gap") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1ms, .max_batch_weight = 10},
                          weigh(itself)};
    f.ask_all(batcher, {6, 7, 1, 1, 1});
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{6}, {7, 1, 1, 1}});
}

TEST_CASE("items keep their order within their class, and a lower class fills no gap") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1ms, .max_batch_weight = 10},
                          weigh(itself)};
    f.ask(batcher, 6, {.priority = Priority::high});
    f.ask(batcher, 7, {.priority = Priority::high});
    f.ask(batcher, 1, {.priority = Priority::low});
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{6}, {7, 1}});
}

TEST_CASE("max_batch_size holds beside max_batch_weight") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.max_batch_size = 2, .batch_timeout = 1ms, .max_batch_weight = 10},
                          weigh(itself)};
    f.ask_all(batcher, {1, 1, 1, 9, 9});
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{1, 1}, {1, 9}, {9}});
}

TEST_CASE("an item that alone is heavier than a batch may be is refused at once, and never runs") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 0, .max_batch_weight = 10},
                          weigh(itself)};
    auto& heavy = f.ask(batcher, 11);
    f.ask(batcher, 10);
    settle(f.context);
    CHECK(heavy.failed_with(errc::too_heavy));
    CHECK(heavy.sentence() == "an item of weight 11 alone is heavier than max_batch_weight, 10");
    CHECK(heavy.times == 1);
    CHECK(f.batches.seen == Seen{{10}});
    CHECK(batcher.stats().rejected == 1);
    CHECK(batcher.stats().submitted == 1);
}

TEST_CASE("items that weigh nothing are limited by max_batch_size alone") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.max_batch_size = 3, .batch_timeout = 1ms, .max_batch_weight = 1},
                          weigh(itself)};
    f.ask_all(batcher, {0, 0, 0, 0, 1, 0});
    f.advance(1ms);
    CHECK(f.batches.seen == Seen{{0, 0, 0}, {0, 1, 0}});
}

TEST_CASE("without limits a weight is only a figure of stats()") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 1ms}, weigh(itself)};
    f.ask_all(batcher, {1'000'000, 2'000'000});
    f.advance(1ms);
    f.ask(batcher, 5);
    f.advance(1ms);
    const auto weights = batcher.stats().batch_weight;
    CHECK(weights.count() == 2);
    CHECK(weights.quantile(1) == 3'000'000);
    CHECK(weights.quantile(0) == 5);
}

TEST_CASE("without weigh() no weights are counted") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 0}};
    f.ask(batcher, 1);
    settle(f.context);
    CHECK(batcher.stats().batch_weight.count() == 0);
}

TEST_CASE("an item that leaves takes its weight along") {
    Fixture f;
    ManualBatcher batcher{
        f.context,
        f.batches.doubling(),
        {.batch_timeout = no_timeout, .max_batch_weight = 10, .max_queue_weight = 10},
        weigh(itself)};
    {
        const auto wait = [&](int item) -> Owned { co_await batcher.process(item); };
        const Owned goes = wait(9);
        CHECK(batcher.stats().waiting == 1);
    }
    f.ask(batcher, 9);
    settle(f.context);
    CHECK(f.batches.seen.empty());  // not full
    CHECK(batcher.stats().waiting == 1);
    f.ask(batcher, 1);
    settle(f.context);
    CHECK(f.batches.seen == Seen{{9, 1}});
}

// ---- the weight of what waits ----------------------------------------------------------------------------

TEST_CASE("the weights of what waits add up to at most max_queue_weight") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1h, .max_queue_weight = 10},
                          weigh(itself)};
    f.ask_all(batcher, {6, 4});
    auto& refused = f.ask(batcher, 1);
    settle(f.context);
    CHECK(refused.failed_with(errc::overloaded));
    CHECK(refused.sentence() ==
          "the queue is full: a weight of 1 does not fit, items of 10 of at most 10 wait");
    CHECK(batcher.stats().rejected == 1);
    f.ask(batcher, 0);
    batcher.flush();
    settle(f.context);
    CHECK(f.batches.seen == Seen{{6, 4, 0}});
    auto& accepted = f.ask(batcher, 10);
    f.advance(1h);
    CHECK(accepted.value == 20);
}

TEST_CASE("an item that alone is heavier than the queue may be is too heavy, not too late") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.max_queue_weight = 10}, weigh(itself)};
    auto& heavy = f.ask(batcher, 11);
    settle(f.context);
    CHECK(heavy.failed_with(errc::too_heavy));
    CHECK(heavy.sentence() == "an item of weight 11 alone is heavier than max_queue_weight, 10");
}

TEST_CASE("process_many() is refused as a whole if its weight does not fit") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = no_timeout, .max_queue_weight = 10},
                          weigh(itself)};
    f.ask(batcher, 5);
    std::exception_ptr failure;
    batcher.async_process_many(
        {2, 2, 2}, [&](const std::exception_ptr& error, std::vector<int>) { failure = error; });
    settle(f.context);
    CHECK(failure != nullptr);
    CHECK(batcher.stats().rejected == 3);
    CHECK(batcher.stats().waiting == 1);
    batcher.async_process_many(
        {2, 2, 1}, [&](const std::exception_ptr& error, std::vector<int>) { failure = error; });
    batcher.flush();
    settle(f.context);
    CHECK(failure == nullptr);
    CHECK(f.batches.seen == Seen{{5, 2, 2, 1}});
}

TEST_CASE("a heavy item of a higher class takes the places of as many as it needs") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = no_timeout, .max_queue_weight = 10},
                          weigh(itself)};
    for (const int item : {1, 4, 2, 3}) f.ask(batcher, item, {.priority = Priority::low});
    f.ask(batcher, 5, {.priority = Priority::high});
    batcher.flush();
    settle(f.context);
    CHECK(f.batches.seen == Seen{{5, 1, 4}});
    CHECK(f.replies[2].failed_with(errc::overloaded));
    CHECK(f.replies[3].failed_with(errc::overloaded));
    auto& none = f.ask(batcher, 1, {.priority = Priority::low});
    batcher.cancel();
    settle(f.context);
    CHECK(none.aborted());
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
}

// ---- a rule that throws ----------------------------------------------------------------------------------

std::size_t moody(int item) {
    if (item < 0) throw std::runtime_error("cannot be weighed");
    return static_cast<std::size_t>(item);
}

TEST_CASE("if weigh() throws that caller alone gets the exception, and all others go on") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          f.batches.doubling(),
                          {.batch_timeout = 1ms, .max_batch_weight = 10},
                          weigh(moody)};
    f.ask(batcher, 1);
    auto& bad = f.ask(batcher, -1);
    auto& timed = f.ask(batcher, -2, {.timeout = 1h});
    f.ask(batcher, 2);
    f.advance(1ms);
    CHECK(bad.sentence() == "cannot be weighed");
    CHECK(timed.sentence() == "cannot be weighed");
    CHECK(f.batches.seen == Seen{{1, 2}});
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
    CHECK(batcher.stats().rejected == 2);
    f.advance(2h);
    CHECK(batcher.stats().expired == 0);
}

TEST_CASE("a rule that throws for a blocked thread, or an awaiting coroutine, throws there") {
    batching::Batcher batcher{
        [](Batch items) { return items; }, {.batch_timeout = 0}, weigh(moody)};
    CHECK_THROWS_WITH(batcher.process(-1).get(), "cannot be weighed");
    aio::io_context context;
    std::string sentence;
    aio::co_spawn(
        context,
        [&]() -> aio::awaitable<void> {
            try {
                co_await batcher.process(-1);
            } catch (const std::exception& error) {
                sentence = error.what();
            }
        },
        aio::detached);
    context.run();
    CHECK(sentence == "cannot be weighed");
    CHECK(batcher.process(1).get() == 1);
}

TEST_CASE("a rule that throws for one item of process_each() fails that one") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 0}, weigh(moody)};
    auto each = batcher.async_process_each({1, -1, 2}, aio::use_future);
    settle(f.context);
    const auto results = each.get();
    CHECK(results[0].value() == 2);
    CHECK_THROWS_WITH(results[1].value(), "cannot be weighed");
    CHECK(results[2].value() == 4);
    CHECK(f.batches.seen == Seen{{1, 2}});
}

TEST_CASE("a rule that throws for one item of process_many() refuses the whole, and none runs") {
    Fixture f;
    ManualBatcher batcher{f.context, f.batches.doubling(), {.batch_timeout = 0}, weigh(moody)};
    auto many = batcher.async_process_many({1, -1, 2}, aio::use_future);
    settle(f.context);
    CHECK_THROWS_WITH(many.get(), "cannot be weighed");
    CHECK(f.batches.seen.empty());
    CHECK(batcher.stats().rejected == 3);
    CHECK(batcher.stats().submitted == 0);
}

// ---- what a rule is --------------------------------------------------------------------------------------

TEST_CASE("a rule is called once for each item, with the item itself, by the thread that submits") {
    struct Text {
        std::unique_ptr<std::string> words;
    };
    const auto here = std::this_thread::get_id();
    int calls = 0;
    batching::Batcher<Text, std::size_t> batcher{[](const std::vector<Text>& texts) {
                                                     std::vector<std::size_t> sizes;
                                                     for (const Text& text : texts)
                                                         sizes.push_back(text.words->size());
                                                     return sizes;
                                                 },
                                                 {.batch_timeout = 0, .max_batch_weight = 100},
                                                 weigh([&](const Text& text) {
                                                     ++calls;
                                                     CHECK(std::this_thread::get_id() == here);
                                                     return text.words->size();
                                                 })};
    CHECK(batcher.process(Text{std::make_unique<std::string>("four")}).get() == 4);
    CHECK(calls == 1);
}

TEST_CASE("weigh() takes members, move-only functions, and any unsigned number") {
    struct Text {
        std::size_t length() const { return size; }
        std::size_t size;
    };
    const auto sizes = [](const std::vector<Text>& texts) {
        std::vector<std::size_t> all;
        for (const Text& text : texts) all.push_back(text.size);
        return all;
    };
    const batching::Options options{.batch_timeout = 0, .max_batch_weight = 10};
    const auto refuses_heavy = [](auto& batcher) {
        CHECK(batcher.process(Text{10}).get() == 10);
        CHECK_THROWS_AS(batcher.process(Text{11}).get(), batching::Error);
    };
    batching::Batcher by_function{sizes, options, weigh(&Text::length)};
    refuses_heavy(by_function);
    batching::Batcher by_field{sizes, options, weigh(&Text::size)};
    refuses_heavy(by_field);
    batching::Batcher by_move_only{sizes, options,
                                   weigh([own = std::make_unique<int>(0)](const Text& text) {
                                       return static_cast<std::uint8_t>(text.size);
                                   })};
    refuses_heavy(by_move_only);
}

TEST_CASE("limits of weight are 1 or more, and need weigh()") {
    CHECK(refusal_of({.max_batch_weight = 0}) == "max_batch_weight must be 1 or more, not 0");
    CHECK(refusal_of({.max_queue_weight = 0}) == "max_queue_weight must be 1 or more, not 0");
    CHECK(refusal_of({.max_batch_weight = 5}) ==
          "max_batch_weight is 5, but only counts with batching::weigh() after the options");
    CHECK(refusal_of({.max_queue_weight = 5}) ==
          "max_queue_weight is 5, but only counts with batching::weigh() after the options");
    CHECK(refusal_of({.max_batch_weight = no_limit, .max_queue_weight = no_limit}) ==
          "not refused");
}

}  // namespace weigh_test
