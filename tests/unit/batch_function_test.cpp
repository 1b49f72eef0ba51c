// What may be a batch function. The refusals are in tests/compile_fail.
#include "catch.hpp"
#include "support.hpp"

#include <deque>
#include <functional>
#include <span>

namespace batch_function_test {

using namespace test;
using batching::BatchFunction;
using batching::Result;

using Ints = std::vector<int>;

template <class F>
using In = typename batching::detail::Deduced<F>::in;
template <class F>
using Out = typename batching::detail::Deduced<F>::out;

// The concept, what it accepts ...
static_assert(BatchFunction<std::vector<double> (*)(Ints), int, double>);
static_assert(BatchFunction<std::vector<double> (*)(Ints&), int, double>);
static_assert(BatchFunction<std::vector<double> (*)(const Ints&), int, double>);
static_assert(BatchFunction<std::vector<double> (*)(Ints&&), int, double>);
static_assert(BatchFunction<std::vector<double> (*)(std::span<int>), int, double>);
static_assert(BatchFunction<std::vector<double> (*)(std::span<const int>), int, double>);
static_assert(BatchFunction<std::vector<Result<double>> (*)(Ints), int, double>);
static_assert(BatchFunction<std::vector<Result<void>> (*)(Ints), int, void>);
static_assert(BatchFunction<void (*)(Ints), int, void>);
static_assert(BatchFunction<aio::awaitable<void> (*)(Ints), int, void>);
static_assert(BatchFunction<aio::awaitable<Ints> (*)(Ints), int, int>);
static_assert(BatchFunction<aio::awaitable<std::vector<Result<int>>> (*)(Ints), int, int>);
static_assert(BatchFunction<batching::detail::Replicas<Ints (*)(Ints)>, int, int>);
// ... and what it does not: other items, other results, one item, several parameters, no function.
static_assert(!BatchFunction<std::vector<double> (*)(Ints), std::string, double>);
static_assert(!BatchFunction<std::vector<double> (*)(Ints), int, float>);
static_assert(!BatchFunction<int (*)(int), int, int>);
static_assert(!BatchFunction<Ints (*)(Ints, int), int, int>);
static_assert(!BatchFunction<int, int, int>);

static_assert(std::is_same_v<In<std::vector<double> (*)(const Ints&)>, int>);
static_assert(std::is_same_v<Out<std::vector<double> (*)(const Ints&)>, double>);
static_assert(std::is_same_v<In<void (*)(std::span<const std::string>)>, std::string>);
static_assert(std::is_same_v<Out<void (*)(std::span<const std::string>)>, void>);
static_assert(std::is_same_v<Out<aio::awaitable<std::vector<Result<char>>> (*)(Ints)>, char>);

Ints by_value(Ints items) { return items; }
Ints by_noexcept(Ints items) noexcept { return items; }

template <class F>
void check_doubles(F function) {
    batching::Batcher batcher{std::move(function)};
    STATIC_REQUIRE(std::is_same_v<decltype(batcher), batching::Batcher<int, int>>);
    CHECK(batcher.process(21).get() == 42);
    CHECK(batcher.process(1).get() == 2);
}

Ints doubled(std::span<const int> items) {
    Ints results;
    for (const int item : items) results.push_back(2 * item);
    return results;
}

TEST_CASE("a batch function takes its items by value, reference or span") {
    check_doubles([](Ints items) { return doubled(items); });
    check_doubles([](Ints& items) { return doubled(items); });
    check_doubles([](const Ints& items) { return doubled(items); });
    check_doubles([](Ints&& items) { return doubled(items); });
    check_doubles([](std::span<int> items) { return doubled(items); });
    check_doubles([](std::span<const int> items) { return doubled(items); });
}

TEST_CASE(
    "a batch function may be a function, a std::function, a mutable lambda or a move-only object") {
    CHECK(batching::Batcher{by_value}.process(3).get() == 3);
    CHECK(batching::Batcher{&by_value}.process(3).get() == 3);
    CHECK(batching::Batcher{by_noexcept}.process(3).get() == 3);
    check_doubles(std::function<Ints(Ints)>([](const Ints& items) { return doubled(items); }));
    check_doubles(
        [calls = 0](const Ints& items) mutable { return ++calls > 0 ? doubled(items) : Ints(); });
    check_doubles([model = std::make_unique<int>(2)](Ints items) {
        for (int& item : items) item *= *model;
        return items;
    });
}

TEST_CASE("generic callables work when the types are named") {
    batching::Batcher<int, int> batcher{[](auto items) { return items; }};
    CHECK(batcher.process(5).get() == 5);
    batching::Batcher<int, int> by_reference{[](const auto& items) { return doubled(items); }};
    CHECK(by_reference.process(5).get() == 10);
}

TEST_CASE("a batch function that returns nothing: its callers wait until it is done") {
    std::vector<std::string> inserted;
    batching::Batcher batcher{[&](const std::vector<std::string>& rows) {
        inserted.insert(inserted.end(), rows.begin(), rows.end());
    }};
    STATIC_REQUIRE(std::is_same_v<decltype(batcher), batching::Batcher<std::string, void>>);
    batcher.process("a").get();
    batcher.process_many({"b", "c"}).get();
    batcher.async_process("d", aio::use_future).get();
    CHECK(inserted == std::vector<std::string>{"a", "b", "c", "d"});
}

TEST_CASE("a void function: awaited in coroutines, also in asio::awaitable") {
    aio::io_context context;
    int items_seen = 0;
    batching::Batcher batcher{
        context,
        [&](const Ints& items) { items_seen += static_cast<int>(items.size()); },
        {.max_batch_size = 3}};
    int done = 0;
    [](auto& b, int& d) -> Detached {
        co_await b.process(1);
        ++d;
    }(batcher, done);
    aio::co_spawn(
        context,
        [&]() -> aio::awaitable<void> {
            co_await batcher.process(2);
            ++done;
            Ints more{3, 4};
            co_await batcher.process_many(std::move(more));
            ++done;
        },
        aio::detached);
    context.run();
    CHECK(items_seen == 4);
    CHECK(done == 3);
}

TEST_CASE("an asynchronous batch function runs on the Batcher's executor") {
    aio::io_context context;
    Track track;
    bool here = false;
    batching::Batcher batcher{tracked(context, track), [&](Ints items) -> aio::awaitable<Ints> {
                                  co_await aio::post(aio::use_awaitable);
                                  here = track.here();
                                  co_return doubled(items);
                              }};
    STATIC_REQUIRE(std::is_same_v<decltype(batcher), batching::Batcher<int, int>>);
    Reply<int> reply;
    call(batcher, 4, reply);
    context.run();
    CHECK(reply.value == 8);
    CHECK(here);
}

TEST_CASE("what an asynchronous batch function takes by reference lives until it has returned") {
    aio::io_context context;
    batching::Batcher batcher{context, [&](std::span<const int> items) -> aio::awaitable<Ints> {
                                  for (int i = 0; i < 3; ++i)
                                      co_await aio::post(context, aio::use_awaitable);
                                  co_return doubled(items);
                              }};
    Reply<int> first;
    Reply<int> second;
    call(batcher, 4, first);
    call(batcher, 5, second);
    context.run();
    CHECK(first.value == 8);
    CHECK(second.value == 10);
}

TEST_CASE("asynchronous functions: void, a Result per item, exceptions, a wrong count") {
    aio::io_context context;
    batching::Batcher nothing{context, [](Ints) -> aio::awaitable<void> { co_return; }};
    batching::Batcher each{
        context, [](Ints items) -> aio::awaitable<std::vector<Result<int>>> {
            std::vector<Result<int>> results;
            for (const int item : items) {
                if (item < 0) {
                    results.emplace_back(std::make_exception_ptr(std::domain_error("negative")));
                } else {
                    results.emplace_back(item);
                }
            }
            co_return results;
        }};
    batching::Batcher throwing{context, [](Ints) -> aio::awaitable<Ints> {
                                   throw std::runtime_error("no answer");
                                   co_return Ints{};
                               }};
    batching::Batcher short_one{context, [](Ints) -> aio::awaitable<Ints> { co_return Ints{}; }};
    int done = 0;
    nothing.async_process(1, [&](std::exception_ptr error) { done += error == nullptr; });
    Reply<int> replies[4];
    call(each, 1, replies[0]);
    call(each, -1, replies[1]);
    call(throwing, 1, replies[2]);
    call(short_one, 1, replies[3]);
    context.run();
    CHECK(done == 1);
    CHECK(replies[0].value == 1);
    CHECK(replies[1].sentence() == "negative");
    CHECK(replies[2].sentence() == "no answer");
    CHECK(replies[3].sentence() == "the batch function returned 0 results for 1 item");
}

TEST_CASE("replicas: each runs one batch at a time, as many at once as there are") {
    aio::io_context context;
    std::deque<Gate> gates;
    std::vector<std::size_t> made;
    batching::Batcher<int, int, ManualClock> batcher{
        context,
        batching::replicas(3,
                           [&](std::size_t i) {
                               made.push_back(i);
                               return gates.emplace_back(context).doubling();
                           }),
        {.max_batch_size = 1, .max_concurrent_batches = 1}};
    CHECK(made == std::vector<std::size_t>{0, 1, 2});
    std::deque<Reply<int>> replies;
    for (int i = 0; i < 5; ++i) call(batcher, i, replies.emplace_back());
    settle(context);
    for (Gate& gate : gates) CHECK(gate.started.size() == 1);
    gates[1].open();
    settle(context);
    CHECK(gates[0].started.size() == 1);
    CHECK(gates[1].started.size() == 3);
    gates[0].open();
    gates[2].open();
    settle(context);
    for (int i = 0; i < 5; ++i) CHECK(replies[static_cast<std::size_t>(i)].value == 2 * i);
}

TEST_CASE("replicas on workers of the Batcher's own: types are deduced, one thread each") {
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    batching::Batcher batcher{
        batching::replicas(2,
                           [&](std::size_t) {
                               return [&](const Ints& items) {
                                   const int now = ++inside;
                                   int seen = most;
                                   while (seen < now && !most.compare_exchange_weak(seen, now)) {
                                   }
                                   while (most < 2) std::this_thread::yield();
                                   --inside;
                                   return doubled(items);
                               };
                           }),
        {.max_batch_size = 1}};
    STATIC_REQUIRE(std::is_same_v<decltype(batcher), batching::Batcher<int, int>>);
    CHECK(batcher.process_many({1, 2, 3, 4}).get() == Ints{2, 4, 6, 8});
    CHECK(most == 2);
}

TEST_CASE("replicas: none is an error that says so, and what make throws comes out") {
    const auto make = [](std::size_t) { return by_value; };
    CHECK_THROWS_WITH(batching::replicas(0, make),
                      "the number of replicas must be 1 or more, not 0");
    const auto broken = [](std::size_t i) {
        if (i == 1) throw std::runtime_error("device 1 is gone");
        return by_value;
    };
    CHECK_THROWS_WITH(batching::replicas(2, broken), "device 1 is gone");
}

}  // namespace batch_function_test
