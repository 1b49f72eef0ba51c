// What users rely on: with isolate_failures() a bad item fails alone, at a bounded number of calls.
#include "catch.hpp"
#include "support.hpp"

#include <batcher/isolate_failures.hpp>
#include <batcher/pad_to.hpp>
#include <set>
#include <span>

namespace isolate_failures_test {

using namespace test;
using batching::isolate_failures;

using Items = std::vector<int>;
using Results = std::vector<batching::Result<int>>;

Items numbers(int count) {
    Items items;
    for (int i = 0; i < count; ++i) items.push_back(i);
    return items;
}

// Throws for batches with one of the bad items in them; notes its calls.
struct Picky {
    std::set<int> bad;
    std::shared_ptr<std::vector<Items>> calls = std::make_shared<std::vector<Items>>();

    Items operator()(Items items) {
        calls->push_back(items);
        for (int& item : items) {
            if (bad.contains(item)) throw std::runtime_error(fmt::format("{} is bad", item));
            item *= 2;
        }
        return items;
    }
};

std::string error_of(const std::exception_ptr& error) {
    if (!error) return "";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    }
}

void check_all_but(const Results& results, std::set<int> bad) {
    for (int i = 0; i < static_cast<int>(results.size()); ++i) {
        CAPTURE(i);
        const auto& result = results[static_cast<std::size_t>(i)];
        if (bad.contains(i)) {
            CHECK(error_of(result.error()) == fmt::format("{} is bad", i));
        } else {
            CHECK(result.has_value());
            if (result.has_value()) CHECK(result.value() == 2 * i);
        }
    }
}

int ceil_log2(int n) {
    int log = 0;
    while ((1 << log) < n) ++log;
    return log;
}

TEST_CASE("a batch without a bad item is one call") {
    Picky function;
    check_all_but(isolate_failures(function)(numbers(64)), {});
    CHECK(function.calls->size() == 1);
}

TEST_CASE("one bad item fails alone, wherever it is, and takes 2 log2(n) + 1 calls at most") {
    for (const int size : {1, 2, 3, 5, 8, 33, 64}) {
        for (int bad = 0; bad < size; ++bad) {
            CAPTURE(size, bad);
            Picky function{{bad}};
            check_all_but(isolate_failures(function)(numbers(size)), {bad});
            CHECK(static_cast<int>(function.calls->size()) <= 2 * ceil_log2(size) + 1);
        }
    }
}

TEST_CASE("several bad items of one half fail, each with its own exception") {
    Picky function{{1, 2, 30}};
    check_all_but(isolate_failures(function)(numbers(64)), {1, 2, 30});
}

TEST_CASE("an outage takes three calls, and all items fail with the first exception") {
    Picky function{{0, 40, 63}};
    const Results results = isolate_failures(function)(numbers(64));
    CHECK(function.calls->size() == 3);
    for (const auto& result : results) CHECK(error_of(result.error()) == "0 is bad");
}

TEST_CASE("a bad item that is queued among good ones fails its own caller only") {
    Picky function{{2}};
    batching::Batcher batcher{isolate_failures(function),
                              {.max_batch_size = 4, .batch_timeout = batching::no_timeout}};
    std::vector<std::future<int>> callers;
    for (const int item : {1, 2, 3, 4})
        callers.push_back(batcher.async_process(item, aio::use_future));
    CHECK(callers[0].get() == 2);
    CHECK_THROWS_WITH(callers[1].get(), "2 is bad");
    CHECK(callers[2].get() == 6);
    CHECK(callers[3].get() == 8);
    CHECK(batcher.stats().failed == 1);
    CHECK(batcher.stats().completed == 3);
}

TEST_CASE("asynchronous batch functions are isolated, too") {
    Picky function{{5}};
    auto isolated = isolate_failures([function](Items items) mutable -> aio::awaitable<Items> {
        co_return function(std::move(items));
    });
    aio::io_context context;
    Results results;
    aio::co_spawn(context, isolated(numbers(8)), [&](const std::exception_ptr& error, Results r) {
        CHECK(error == nullptr);
        results = std::move(r);
    });
    context.run();
    CHECK(results.size() == 8);
    check_all_but(results, {5});
}

TEST_CASE("items that cannot be copied are lent to a function that only reads them") {
    const auto sum = [](const std::vector<std::unique_ptr<int>>& items) {
        std::vector<int> values;
        for (const auto& item : items) {
            if (*item == 3) throw std::runtime_error("3 is bad");
            values.push_back(2 * *item);
        }
        return values;
    };
    std::vector<std::unique_ptr<int>> items;
    for (int i = 0; i < 7; ++i) items.push_back(std::make_unique<int>(i));
    check_all_but(isolate_failures(sum)(std::move(items)), {3});
}

TEST_CASE("functions without results are isolated, synchronous and asynchronous ones") {
    const auto check_bad = [](const std::vector<batching::Result<void>>& results) {
        CHECK(results.size() == 4);
        for (std::size_t i = 0; i < results.size(); ++i) CHECK(results[i].has_value() == (i != 1));
    };
    const auto reject_one = [](std::span<const int> items) {
        for (const int item : items) {
            if (item == 1) throw std::runtime_error("1 is bad");
        }
    };
    check_bad(isolate_failures(reject_one)(numbers(4)));

    auto later = isolate_failures([reject_one](std::span<const int> items) -> aio::awaitable<void> {
        reject_one(items);
        co_return;
    });
    aio::io_context context;
    bool called = false;
    aio::co_spawn(
        context, later(numbers(4)),
        [&](const std::exception_ptr& error, const std::vector<batching::Result<void>>& results) {
            called = true;
            CHECK(error == nullptr);
            check_bad(results);
        });
    context.run();
    CHECK(called);
}

TEST_CASE(
    "errors that a function returns for single items stay, and only what it throws is isolated") {
    const auto function = [](const Items& items) {
        Results results;
        for (const int item : items) {
            if (item == 0) throw std::runtime_error("0 is bad");
            if (item == 1) {
                results.emplace_back(std::make_exception_ptr(std::runtime_error("1 is bad")));
            } else {
                results.emplace_back(2 * item);
            }
        }
        return results;
    };
    check_all_but(isolate_failures(function)(numbers(6)), {0, 1});
}

TEST_CASE("results of type bool are isolated") {
    const auto odd = [](const Items& items) {
        std::vector<bool> results;
        for (const int item : items) {
            if (item == 2) throw std::runtime_error("2 is bad");
            results.push_back(item % 2 != 0);
        }
        return results;
    };
    const auto results = isolate_failures(odd)(numbers(4));
    CHECK(results[0].value() == false);
    CHECK(results[1].value() == true);
    CHECK_FALSE(results[2].has_value());
    CHECK(results[3].value() == true);
}

TEST_CASE("a wrong number of results is nobody's bad item: all fail with result_count_mismatch") {
    int calls = 0;
    const auto results = isolate_failures([&](const Items&) {
        ++calls;
        return Items{1};
    })(numbers(3));
    CHECK(calls == 1);
    for (const auto& result : results) {
        CHECK(error_of(result.error()) == "the batch function returned 1 result for 3 items");
    }
}

TEST_CASE("pad_to() inside of isolate_failures() pads the halves") {
    Picky function{{5}};
    check_all_but(isolate_failures(batching::pad_to({2, 4, 8}, function))(numbers(7)), {5});
    for (const auto& call : *function.calls) {
        const auto size = call.size();
        CHECK((size == 2 || size == 4 || size == 8));
    }
    CHECK(function.calls->size() > 3);
}

}  // namespace isolate_failures_test
