// What users rely on: with pad_to() a function only sees batches of the sizes it was made for.
#include "catch.hpp"
#include "support.hpp"

#include <batcher/isolate_failures.hpp>
#include <batcher/pad_to.hpp>

namespace pad_to_test {

using namespace test;
using batching::pad_to;

using Items = std::vector<int>;

struct Doubling {
    std::shared_ptr<std::vector<Items>> calls = std::make_shared<std::vector<Items>>();

    Items operator()(const Items& items) {
        calls->push_back(items);
        Items results;
        for (const int item : items) results.push_back(2 * item);
        return results;
    }
};

TEST_CASE("a batch is filled up to the next size with its last item, and gets its own results") {
    Doubling function;
    auto padded = pad_to({8, 2, 4}, function);
    CHECK(padded({1}) == Items{2});
    CHECK(padded({1, 2}) == Items{2, 4});
    CHECK(padded({1, 2, 3}) == Items{2, 4, 6});
    CHECK(padded({1, 2, 3, 4, 5}) == Items{2, 4, 6, 8, 10});
    CHECK(*function.calls ==
          std::vector<Items>{{1, 1}, {1, 2}, {1, 2, 3, 3}, {1, 2, 3, 4, 5, 5, 5, 5}});
}

TEST_CASE("a Batcher of a padded function gives each caller its own result") {
    Doubling function;
    batching::Batcher batcher{pad_to({4}, function),
                              {.max_batch_size = 4, .batch_timeout = batching::no_timeout}};
    auto results = batcher.async_process_many({1, 2, 3}, aio::use_future);
    batcher.flush();
    CHECK(results.get() == Items{2, 4, 6});
    CHECK(*function.calls == std::vector<Items>{{1, 2, 3, 3}});
    CHECK(batcher.stats().batch_size.quantile(1) == 3);  // padding is nobody's item
}

TEST_CASE("asynchronous functions, functions without results and with a Result each are padded") {
    Items seen;
    pad_to({4}, [&](const Items& items) { seen = items; })({7});
    CHECK(seen == Items{7, 7, 7, 7});

    const auto with_errors = [](const Items& items) {
        std::vector<batching::Result<int>> results;
        for (const int item : items) results.emplace_back(item);
        return results;
    };
    CHECK(pad_to({4}, with_errors)({1, 2}).size() == 2);

    Doubling function;
    auto later = pad_to({4}, [function](Items items) mutable -> aio::awaitable<Items> {
        co_return function(items);
    });
    aio::io_context context;
    Items results;
    aio::co_spawn(context, later({1, 2}), [&](const std::exception_ptr& error, Items r) {
        CHECK(error == nullptr);
        results = std::move(r);
    });
    context.run();
    CHECK(results == Items{2, 4});
}

TEST_CASE("sizes that do not reach max_batch_size are refused when the Batcher is made") {
    using Catch::Matchers::Equals;
    Doubling function;
    const batching::Options options{.max_batch_size = 9};
    const auto sentence =
        Equals("the sizes of pad_to() must reach max_batch_size, 9: the greatest is 8");
    const auto make = [&](auto f) { batching::Batcher batcher{std::move(f), options}; };
    CHECK_THROWS_WITH(make(pad_to({2, 8}, function)), sentence);
    CHECK_THROWS_WITH(make(batching::isolate_failures(pad_to({8}, function))), sentence);
    CHECK_THROWS_WITH(make(pad_to({16}, pad_to({8}, function))), sentence);
    CHECK_THROWS_WITH(
        make(batching::replicas(2, [&](std::size_t) { return pad_to({8}, function); })), sentence);
    CHECK_NOTHROW(make(pad_to({2, 9}, function)));
}

TEST_CASE("no size, and a size of 0, are refused") {
    Doubling function;
    CHECK_THROWS_AS(pad_to({}, function), std::invalid_argument);
    CHECK_THROWS_AS(pad_to({8, 0}, function), std::invalid_argument);
}

TEST_CASE(
    "a padded function that returns too few results fails its batch, with the padded figures") {
    CHECK_THROWS_WITH(pad_to({4}, [](const Items&) { return Items{1}; })({1, 2}),
                      "the batch function returned 1 result for 4 items");
}

}  // namespace pad_to_test
