// What users rely on: process_each() gives each item its own fate, in the order of the items.
#include "catch.hpp"
#include "support.hpp"

#include <future>
#include <memory>
#include <string>
#include <type_traits>

namespace process_each_test {

using namespace test;
using batching::errc;

using Results = std::vector<batching::Result<int>>;

// "4", or what went wrong.
std::string fate_of(const batching::Result<int>& result) {
    try {
        return std::to_string(result.value());
    } catch (const std::exception& e) {
        return e.what();
    }
}

std::vector<std::string> fates_of(const Results& results) {
    std::vector<std::string> fates;
    for (const auto& result : results) fates.push_back(fate_of(result));
    return fates;
}

std::vector<batching::Result<int>> double_even(const std::vector<int>& items) {
    Results results;
    for (const int item : items) {
        if (item % 2 == 0) {
            results.emplace_back(2 * item);
        } else {
            results.emplace_back(std::make_exception_ptr(std::runtime_error("odd")));
        }
    }
    return results;
}

std::vector<int> double_all(std::vector<int> items) {
    for (int& item : items) item *= 2;
    return items;
}

TEST_CASE("process_each() gives each item its value or its own error, in their order") {
    batching::Batcher batcher{double_even, {.max_batch_size = 2}};
    const Results results = batcher.process_each({2, 3, 4, 5, 6}).get();
    CHECK(fates_of(results) == std::vector<std::string>{"4", "odd", "8", "odd", "12"});
}

TEST_CASE("process_each() is awaited, started with a token or got") {
    aio::io_context context;
    batching::Batcher batcher{context, double_all, {.batch_timeout = 0}};
    static_assert(std::is_same_v<decltype(batcher.process_each({1}).get()), Results>);
    Results awaited;
    Results called_back;
    aio::co_spawn(
        context, [&]() -> aio::awaitable<void> { awaited = co_await batcher.process_each({1, 2}); },
        aio::detached);
    batcher.async_process_each({3}, [&](const std::exception_ptr& error, Results results) {
        CHECK(error == nullptr);
        called_back = std::move(results);
    });
    context.run();
    CHECK(fates_of(awaited) == std::vector<std::string>{"2", "4"});
    CHECK(fates_of(called_back) == std::vector<std::string>{"6"});
}

TEST_CASE("the items of process_each() that do not fit are refused, and the others run") {
    aio::io_context context;
    batching::Batcher batcher{context, double_all, {.batch_timeout = 0, .max_queue_size = 3}};
    auto results = batcher.async_process_each({1, 2, 3, 4, 5}, aio::use_future);
    context.run();
    const std::string refused = "the queue is full: 2 items do not fit, 3 of at most 3 wait";
    CHECK(fates_of(results.get()) == std::vector<std::string>{"2", "4", "6", refused, refused});
    CHECK(batcher.stats().rejected == 2);
    CHECK(batcher.stats().completed == 3);
}

TEST_CASE("all items of process_each() are refused by a closed Batcher, on the caller's executor") {
    aio::io_context context;
    batching::Batcher batcher{double_all};
    batcher.close();
    bool called = false;
    batcher.async_process_each(
        {1, 2}, aio::bind_executor(context, [&](const std::exception_ptr& error, Results results) {
            called = true;
            CHECK(error == nullptr);
            for (const auto& result : results) {
                try {
                    result.value();
                    FAIL("it was accepted");
                } catch (const batching::Error& e) {
                    CHECK(e.code() == errc::closed);
                }
            }
        }));
    CHECK_FALSE(called);
    context.run();
    CHECK(called);
}

TEST_CASE("process_each() takes a vector, a variable or in place, and items in braces") {
    batching::Batcher batcher{double_all};
    std::vector<int> items{1, 2};
    CHECK(batcher.process_each(items).get().size() == 2);
    CHECK(items.size() == 2);
    CHECK(batcher.process_each(std::move(items)).get().size() == 2);
    CHECK(batcher.process_each({1, 2, 3}).get().size() == 3);
}

TEST_CASE("process_each() of no items gives no results") {
    batching::Batcher batcher{double_all};
    CHECK(batcher.process_each({}).get().empty());
    CHECK(batcher.async_process_each({}, aio::use_future).get().empty());
}

TEST_CASE("process_each() of a function without results tells who is done") {
    batching::Batcher batcher{[](const std::vector<int>&) {}};
    const std::vector<batching::Result<void>> results = batcher.process_each({1, 2}).get();
    CHECK(results.size() == 2);
    CHECK((results[0].has_value() && results[1].has_value()));
}

TEST_CASE(
    "a batch function that throws fails those items of process_each() that were in its batch") {
    batching::Batcher batcher{[](const std::vector<int>& items) {
                                  if (items.front() == 3) throw std::runtime_error("broken");
                                  return double_all(items);
                              },
                              {.max_batch_size = 2, .batch_timeout = batching::no_timeout}};
    const Results results = batcher.process_each({1, 2, 3, 4}).get();
    CHECK(fates_of(results) == std::vector<std::string>{"2", "4", "broken", "broken"});
}

TEST_CASE("cancel() fails those items of process_each() that wait") {
    aio::io_context context;
    batching::Batcher batcher{context, double_all, {.batch_timeout = batching::no_timeout}};
    auto results = batcher.async_process_each({1, 2}, aio::use_future);
    batcher.cancel();
    context.run();
    for (const auto& result : results.get()) CHECK_FALSE(result.has_value());
    CHECK(batcher.stats().cancelled == 2);
}

TEST_CASE(
    "a coroutine that is destroyed in process_each() leaves nothing behind, refused items "
    "included") {
    aio::io_context context;
    batching::Batcher batcher{
        context, double_all, {.batch_timeout = batching::no_timeout, .max_queue_size = 33}};
    {
        const auto caller = [&]() -> Owned {
            co_await batcher.process_each(std::vector<int>(40));
        }();
        CHECK(batcher.stats().waiting == 33);
    }
    CHECK(batcher.stats().waiting == 0);
    CHECK(batcher.stats().cancelled == 33);
    context.run();
}

}  // namespace process_each_test
