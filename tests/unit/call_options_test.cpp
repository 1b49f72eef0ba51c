// What users rely on: what a call asks for stands in braces behind its items, in whatever way those are written.
#include "catch.hpp"
#include "support.hpp"

#include <string>
#include <vector>

namespace call_options_test {

using namespace test;
using batching::Priority;

struct Event {
    std::string name;
    int count;
};

std::vector<int> counts(const std::vector<Event>& events) {
    std::vector<int> counts;
    for (const Event& event : events) counts.push_back(event.count);
    return counts;
}

using Counts = std::vector<int>;

Counts values_of(const std::vector<batching::Result<int>>& results) {
    Counts values;
    for (const auto& result : results) values.push_back(result.value());
    return values;
}

TEST_CASE("many aggregates in nested braces are followed by what their call asks for") {
    batching::Batcher batcher{counts, {.batch_timeout = 0}};
    CHECK(batcher.process_many({{"a", 1}, {"b", 2}}, {.timeout = 1h}).get() == Counts{1, 2});
    CHECK(batcher.process_many({{"a", 1}}, {.priority = Priority::high}).get() == Counts{1});
    CHECK(values_of(batcher.process_each({{"a", 1}, {"b", 2}}, {.timeout = 1h}).get()) ==
          Counts{1, 2});
    CHECK(values_of(batcher.process_each({{"a", 1}, {"b", 2}}).get()) == Counts{1, 2});
    CHECK(batcher.process_many({}, {.timeout = 1h}).get().empty());
    CHECK(batcher.process_each({}, {.timeout = 1h}).get().empty());
}

TEST_CASE("the same in the forms with a completion token") {
    batching::Batcher batcher{counts, {.batch_timeout = 0}};
    auto one = batcher.async_process({"a", 1}, {.timeout = 1h}, aio::use_future);
    auto many = batcher.async_process_many({{"a", 1}, {"b", 2}}, {.timeout = 1h}, aio::use_future);
    auto each = batcher.async_process_each({{"a", 1}, {"b", 2}}, {.timeout = 1h}, aio::use_future);
    CHECK(one.get() == 1);
    CHECK(many.get() == Counts{1, 2});
    CHECK(values_of(each.get()) == Counts{1, 2});
}

TEST_CASE("a vector of aggregates, a variable or in place, is followed by what its call asks for") {
    batching::Batcher batcher{counts, {.batch_timeout = 0}};
    std::vector<Event> events{{"a", 1}, {"b", 2}};
    CHECK(batcher.process_many(events, {.timeout = 1h}).get() == Counts{1, 2});
    CHECK(batcher.process_each(events, {.timeout = 1h}).get().size() == 2);
    CHECK(batcher.process_many(std::move(events), {.timeout = 1h}).get() == Counts{1, 2});
}

}  // namespace call_options_test
