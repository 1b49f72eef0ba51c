// Section 4 of the contract: what a caller gets when something goes wrong.
#include "catch.hpp"
#include "support.hpp"

#include <future>
#include <thread>

namespace errors_test {

using namespace test;
using batching::errc;
using batching::Result;

std::vector<int> identity(std::vector<int> items) { return items; }

// Throws when a moving value is told to.
struct Explosive {
    int value = 0;
    bool armed = false;

    explicit Explosive(int v = 0, bool a = false) : value(v), armed(a) {}
    Explosive(const Explosive&) = delete;
    Explosive& operator=(const Explosive&) = delete;
    Explosive(Explosive&& other) : value(other.value), armed(other.armed) { blow(); }
    Explosive& operator=(Explosive&& other) {
        value = other.value;
        armed = other.armed;
        blow();
        return *this;
    }
    void blow() const {
        if (armed && fuse-- == 0) throw std::runtime_error("a value exploded");
    }
    inline static thread_local int fuse = -1;  // moves of armed values until one throws; -1: never
};

TEST_CASE("what the batch function throws reaches every caller of that batch, and only there") {
    aio::io_context context;
    batching::Batcher batcher{context,
                              [](std::vector<int> items) {
                                  if (items.front() == 0)
                                      throw std::runtime_error("the model is gone");
                                  return items;
                              },
                              {.max_batch_size = 2}};
    Reply<int> replies[4];
    for (int i = 0; i < 4; ++i) call(batcher, i, replies[i]);
    context.run();
    CHECK(replies[0].sentence() == "the model is gone");
    CHECK(replies[1].sentence() == "the model is gone");
    CHECK(replies[2].value == 2);
    CHECK(replies[3].value == 3);
}

TEST_CASE("a batch function may throw anything") {
    batching::Batcher batcher{[](std::vector<int>) -> std::vector<int> { throw 42; }};
    CHECK_THROWS_AS(batcher.process(1).get(), int);
    CHECK_THROWS_AS(batcher.process(1).get(), int);  // and the Batcher goes on
}

TEST_CASE("a Result that holds an exception fails its caller alone") {
    batching::Batcher batcher{[](const std::vector<int>& items) {
        std::vector<Result<int>> results;
        for (const int item : items) {
            if (item % 2 == 0) {
                results.emplace_back(item);
            } else {
                results.emplace_back(std::make_exception_ptr(std::domain_error("odd")));
            }
        }
        return results;
    }};
    CHECK(batcher.process(2).get() == 2);
    CHECK_THROWS_WITH(batcher.process(3).get(), "odd");
}

TEST_CASE("a Result needs a value or an exception") {
    CHECK_THROWS_AS(Result<int>(std::exception_ptr()), std::invalid_argument);
    CHECK_THROWS_AS(Result<void>(std::exception_ptr()), std::invalid_argument);
    CHECK(Result<int>(3).value() == 3);
    CHECK(Result<int>(3).error() == nullptr);
    CHECK_FALSE(Result<int>(std::make_exception_ptr(1)).has_value());
    CHECK_THROWS_AS(Result<int>(std::make_exception_ptr(1)).value(), int);
}

TEST_CASE("Results are made from a range, in parentheses or braces") {
    const std::vector<std::string> values{"a", "b"};
    const std::vector<batching::Result<std::string>> in_parentheses(values.begin(), values.end());
    const std::vector<batching::Result<std::string>> in_braces{values.begin(), values.end()};
    CHECK(in_parentheses.at(1).value() == "b");
    CHECK(in_braces.at(1).value() == "b");
}

TEST_CASE("a Result<void> fails its caller alone, too") {
    batching::Batcher batcher{[](const std::vector<int>& items) {
        std::vector<Result<void>> results(items.size());
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (items[i] < 0) results[i] = std::make_exception_ptr(std::domain_error("negative"));
        }
        return results;
    }};
    batcher.process(1).get();
    CHECK_THROWS_WITH(batcher.process(-1).get(), "negative");
}

TEST_CASE("a wrong number of results is an error in every caller, with both numbers") {
    aio::io_context context;
    batching::Batcher batcher{context,
                              [](std::vector<int> items) {
                                  items.pop_back();
                                  return items;
                              },
                              {.max_batch_size = 4}};
    Reply<int> replies[4];
    for (int i = 0; i < 4; ++i) call(batcher, i, replies[i]);
    context.run();
    for (const auto& reply : replies) {
        CHECK(reply.failed_with(errc::result_count_mismatch));
        CHECK(reply.sentence() == "the batch function returned 3 results for 4 items");
    }
}

TEST_CASE("too many results are an error as too few are") {
    batching::Batcher batcher{[](std::vector<int> items) {
        items.push_back(0);
        return items;
    }};
    CHECK_THROWS_WITH(batcher.process(1).get(), "the batch function returned 2 results for 1 item");
}

TEST_CASE("beyond max_queue_size a call fails at once, and the queue's places are given again") {
    aio::io_context context;
    Gate gate(context);
    batching::Batcher<int, int, ManualClock> batcher{
        context, gate.doubling(), {.max_batch_size = 1, .batch_timeout = 0ms, .max_queue_size = 2}};
    Reply<int> running;
    Reply<int> waiting[2];
    Reply<int> refused;
    call(batcher, 0, running);
    settle(context);  // running: it no longer counts
    call(batcher, 1, waiting[0]);
    call(batcher, 2, waiting[1]);
    call(batcher, 3, refused);
    settle(context);
    CHECK(refused.failed_with(errc::overloaded));
    CHECK(refused.sentence() == "the queue is full: 2 of at most 2 items wait");
    CHECK(waiting[0].pending());
    gate.open();
    settle(context);
    CHECK(waiting[1].value == 4);
    Reply<int> later;
    call(batcher, 4, later);
    settle(context);
    CHECK(later.value == 8);
    CHECK(batcher.stats().rejected == 1);
}

TEST_CASE("a cancelled or destroyed item gives its place in a full queue to the next caller") {
    aio::io_context context;
    batching::Batcher<int, int, ManualClock> batcher{
        context, identity, {.max_batch_size = 9, .max_queue_size = 1}};
    Reply<int> gone;
    Reply<int> stays;
    {
        auto caller = owned_call(batcher, 1, gone);
    }
    call(batcher, 2, stays);
    settle(context);
    CHECK(stays.pending());
    batcher.cancel();
    Reply<int> last;
    call(batcher, 3, last);
    batcher.flush();
    settle(context);
    CHECK(stays.aborted());
    CHECK(last.value == 3);
}

TEST_CASE("process_many is accepted or refused as a whole") {
    aio::io_context context;
    batching::Batcher<int, int, ManualClock> batcher{context, identity, {.max_queue_size = 3}};
    Reply<std::vector<int>> fits;
    Reply<std::vector<int>> does_not;
    Reply<std::vector<int>> never;
    batcher.async_process_many({1, 2}, into(fits));
    batcher.async_process_many({3, 4}, into(does_not));
    batcher.async_process_many({5, 6, 7, 8}, into(never));
    batcher.flush();
    settle(context);
    CHECK(fits.value == std::vector<int>{1, 2});
    CHECK(does_not.failed_with(errc::overloaded));
    CHECK(does_not.sentence() == "the queue is full: 2 items do not fit, 2 of at most 3 wait");
    CHECK(never.failed_with(errc::overloaded));
    CHECK(batcher.stats().rejected == 6);
}

TEST_CASE("process_many fails with the error of the first item that failed, when all are done") {
    aio::io_context context;
    batching::Batcher batcher{context,
                              [](const std::vector<int>& items) {
                                  if (items.front() % 2 == 1)
                                      throw std::runtime_error(std::to_string(items.front()));
                                  return items;
                              },
                              {.max_batch_size = 1}};
    Reply<std::vector<int>> reply;
    batcher.async_process_many({2, 5, 4, 3}, into(reply));
    context.run();
    CHECK(reply.times == 1);
    CHECK(reply.sentence() == "5");
}

TEST_CASE("after close a call fails at once, and what was accepted still runs") {
    aio::io_context context;
    batching::Batcher<int, int, ManualClock> batcher{
        context, identity, {.batch_timeout = batching::no_timeout}};
    Reply<int> accepted;
    Reply<int> refused;
    call(batcher, 1, accepted);
    batcher.close();
    call(batcher, 2, refused);
    settle(context);
    CHECK(accepted.value == 1);
    CHECK(refused.failed_with(errc::closed));
    CHECK(refused.sentence() == "the batcher is closed: it accepts no more items");
    CHECK_THROWS_AS(batcher.process(3).get(), batching::Error);
    Reply<std::vector<int>> many;
    batcher.async_process_many({1, 2}, into(many));
    settle(context);
    CHECK(many.failed_with(errc::closed));
}

TEST_CASE("an Error compares with its code, and each code has a sentence") {
    const batching::Error error(errc::overloaded, "the queue is full: 3 of at most 3 items wait");
    CHECK(error.code() == errc::overloaded);
    CHECK(std::string(error.code().category().name()) == "batching");
    for (const errc code : {errc::overloaded, errc::closed, errc::result_count_mismatch,
                            errc::deadline_exceeded, errc::schema_mismatch}) {
        CHECK(static_cast<int>(code) > 0);
        CHECK(make_error_code(code).message() != "unknown batching error");
    }
}

TEST_CASE("an option out of range is refused, naming the field and the value") {
    const auto refused_with = [](batching::Options options) {
        try {
            batching::Batcher batcher{identity, options};
        } catch (const std::invalid_argument& e) {
            return std::string(e.what());
        }
        return std::string("accepted");
    };
    CHECK(refused_with({.max_batch_size = 0}) == "max_batch_size must be 1 or more, not 0");
    CHECK(refused_with({.batch_timeout = -1ms}) ==
          "batch_timeout must be 0 or more, not -1000000 ns");
    CHECK(refused_with({.max_concurrent_batches = 0}) ==
          "max_concurrent_batches must be 1 or more, not 0");
    CHECK(refused_with({.max_queue_size = 0}) == "max_queue_size must be 1 or more, not 0");
    CHECK(refused_with({}) == "accepted");
    aio::io_context context;
    CHECK_THROWS_AS((batching::Batcher{context, identity, {.max_batch_size = 0}}),
                    std::invalid_argument);
}

TEST_CASE("an item that throws while it is moved into its batch fails its caller alone") {
    aio::io_context context;
    batching::Batcher<Explosive, int> batcher{context,
                                              [](const std::vector<Explosive>& items) {
                                                  std::vector<int> values;
                                                  for (const auto& item : items)
                                                      values.push_back(item.value);
                                                  return values;
                                              },
                                              {.max_batch_size = 3}};
    Reply<int> replies[3];
    for (int i = 0; i < 3; ++i) {
        batcher.async_process(Explosive(i, i == 1), into(replies[i]));
    }
    Explosive::fuse = 0;
    context.run();
    Explosive::fuse = -1;
    CHECK(replies[0].value == 0);
    CHECK(replies[1].sentence() == "a value exploded");
    CHECK(replies[2].value == 2);
    CHECK(batcher.stats().failed == 1);
    CHECK(batcher.stats().completed == 2);
}

TEST_CASE("when every item of a batch throws while it is moved, the batch function is not called") {
    aio::io_context context;
    int called = 0;
    batching::Batcher<Explosive, int> batcher{context, [&](const std::vector<Explosive>&) {
                                                  ++called;
                                                  return std::vector<int>{0};
                                              }};
    Reply<int> first;
    Reply<int> second;
    batcher.async_process(Explosive(0, true), into(first));
    Explosive::fuse = 0;
    context.run();
    Explosive::fuse = -1;
    CHECK(first.sentence() == "a value exploded");
    CHECK(called == 0);
    context.restart();
    batcher.async_process(Explosive(0, false), into(second));
    context.run();
    CHECK(second.value == 0);  // the slot is free again
}

TEST_CASE("a result that throws while it is moved to its caller fails that caller alone") {
    aio::io_context context;
    batching::Batcher<int, Explosive> batcher{context,
                                              [](const std::vector<int>& items) {
                                                  std::vector<Explosive> results;
                                                  results.reserve(items.size());
                                                  for (const int i : items)
                                                      results.emplace_back(i, i == 1);
                                                  return results;
                                              },
                                              {.max_batch_size = 3}};
    Reply<int> replies[3];
    for (int i = 0; i < 3; ++i) {
        [](auto& b, int item, Reply<int>& reply) -> Detached {
            try {
                Explosive result = co_await b.process(item);
                reply.set(result.value);
            } catch (...) {
                reply.fail(std::current_exception());
            }
        }(batcher, i, replies[i]);
    }
    Explosive::fuse = 0;
    context.run();
    Explosive::fuse = -1;
    CHECK(replies[0].value == 0);
    CHECK(replies[1].sentence() == "a value exploded");
    CHECK(replies[2].value == 2);
}

TEST_CASE("an exception out of a handler of process_many goes to the executor, and loses nobody") {
    aio::io_context context;
    batching::Batcher batcher{context, identity, {.max_batch_size = 3}};
    Reply<int> other;
    batcher.async_process_many({1, 2}, [](std::exception_ptr, const std::vector<int>&) {
        throw std::runtime_error("thrown by a handler");
    });
    batcher.async_process(3, into(other));
    CHECK_THROWS_WITH(context.run(), "thrown by a handler");
    context.restart();
    context.run();
    CHECK(other.value == 3);
}

TEST_CASE("get() on a thread that has to run the batch is refused instead of waiting for ever") {
    const auto is_refused = [](auto operation) {
        try {
            std::move(operation).get();
            return false;
        } catch (const batching::Error& error) {
            return error.code() == errc::deadlock &&
                   std::string(error.what()).find("would wait for itself") != std::string::npos;
        }
    };
    SECTION("the only thread of its io_context") {
        aio::io_context context;
        batching::Batcher<int, int> batcher(context, [](std::vector<int> items) { return items; });
        bool refused = false;
        bool many_refused = false;
        bool drained = false;
        aio::post(context, [&] {
            refused = is_refused(batcher.process(1));
            many_refused = is_refused(batcher.process_many({1, 2}));
            CHECK(batcher.process_many({}).get().empty());  // does not have to wait
            batcher.drain().get();                          // nothing to wait for
            drained = true;
        });
        context.run();
        CHECK(refused);
        CHECK(many_refused);
        CHECK(drained);
        CHECK(batcher.stats().submitted == 0);
    }
    SECTION("a thread of its pool") {
        aio::thread_pool pool(1);
        batching::Batcher<int, int> batcher(pool, [](std::vector<int> items) { return items; });
        std::promise<bool> refused;
        aio::post(pool, [&] { refused.set_value(is_refused(batcher.process(1))); });
        CHECK(refused.get_future().get());
        CHECK(batcher.process(2).get() == 2);
    }
    SECTION("its worker") {
        batching::Batcher<int, int>* self = nullptr;
        std::atomic<bool> refused{false};
        batching::Batcher<int, int> batcher([&](std::vector<int> items) {
            refused = is_refused(self->process(1));
            return items;
        });
        self = &batcher;
        CHECK(batcher.process(2).get() == 2);
        CHECK(refused);
    }
}

}  // namespace errors_test
