// to_prometheus(): what a page says of a Batcher, and what Prometheus relies on.
#include "catch.hpp"
#include "support.hpp"

#include <algorithm>
#include <batcher/prometheus.hpp>
#include <deque>
#include <map>
#include <random>
#include <regex>
#include <set>
#include <sstream>

namespace prometheus_test {

using namespace test;
using batching::NamedStats;
using batching::Stats;
using batching::to_prometheus;

std::vector<std::string> lines_of(const std::string& page) {
    std::istringstream in(page);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

// The samples of a page, each by its name and labels.
std::map<std::string, double> samples_of(const std::string& page) {
    std::map<std::string, double> samples;
    for (const std::string& line : lines_of(page)) {
        if (line.front() == '#') continue;
        const std::size_t space = line.rfind(' ');
        const bool first =
            samples.emplace(line.substr(0, space), std::stod(line.substr(space))).second;
        CHECK(first);  // no sample twice
    }
    return samples;
}

double sample(const std::string& page, const std::string& name) {
    const auto samples = samples_of(page);
    INFO(name << " of\n" << page);
    REQUIRE(samples.count(name) == 1);
    return samples.at(name);
}

bool says(const std::string& page, const std::string& part) {
    return page.find(part) != std::string::npos;
}

// The `le` of each bucket of a histogram, in order.
std::vector<std::string> bounds_of(const std::string& page, const std::string& histogram) {
    std::vector<std::string> bounds;
    const std::regex bucket(histogram + R"re(_bucket\{.*le="([^"]*)"\} .*)re");
    std::smatch match;
    for (const std::string& line : lines_of(page)) {
        if (std::regex_match(line, match, bucket)) bounds.push_back(match[1]);
    }
    return bounds;
}

TEST_CASE("a page says what became of calls, why batches left, and what waits and runs now") {
    Stats stats;
    stats.completed = 1, stats.failed = 2, stats.rejected = 3, stats.cancelled = 4;
    stats.expired = 5, stats.deduplicated = 6, stats.waiting = 7, stats.running = 8;
    stats.overloaded = 2, stats.options.max_batch_size = 64;
    stats.batches_cut_by_weight = 3, stats.batches_cut_by_key = 2,
    stats.batches_cut_by_deadline = 1;
    stats.batches_full = 9, stats.batches_timeout = 10, stats.batches_flushed = 11;
    const std::string page = to_prometheus(stats, "digits");
    CHECK(says(page,
               "# HELP batcher_calls_total Calls that have ended, by their outcome.\n"
               "# TYPE batcher_calls_total counter\n"
               "batcher_calls_total{batcher=\"digits\",outcome=\"completed\"} 1\n"
               "batcher_calls_total{batcher=\"digits\",outcome=\"failed\"} 2\n"
               "batcher_calls_total{batcher=\"digits\",outcome=\"rejected\"} 3\n"
               "batcher_calls_total{batcher=\"digits\",outcome=\"cancelled\"} 4\n"
               "batcher_calls_total{batcher=\"digits\",outcome=\"expired\"} 5\n"));
    CHECK(sample(page, R"(batcher_deduplicated_total{batcher="digits"})") == 6);
    CHECK(sample(page, R"(batcher_overloaded_total{batcher="digits"})") == 2);
    CHECK(sample(page, R"(batcher_max_batch_size{batcher="digits"})") == 64);
    CHECK(sample(page, R"(batcher_max_concurrent_batches{batcher="digits"})") == 1);
    CHECK(sample(page, R"(batcher_batches_cut_total{batcher="digits",by="weight"})") == 3);
    CHECK(sample(page, R"(batcher_batches_cut_total{batcher="digits",by="key"})") == 2);
    CHECK(sample(page, R"(batcher_batches_cut_total{batcher="digits",by="deadline"})") == 1);
    CHECK(sample(page, R"(batcher_waiting{batcher="digits"})") == 7);
    CHECK(sample(page, R"(batcher_running{batcher="digits"})") == 8);
    CHECK(sample(page, R"(batcher_batches_total{batcher="digits",reason="full"})") == 9);
    CHECK(sample(page, R"(batcher_batches_total{batcher="digits",reason="timeout"})") == 10);
    CHECK(sample(page, R"(batcher_batches_total{batcher="digits",reason="flushed"})") == 11);
}

TEST_CASE("times are in seconds, in buckets that count what is at most their bound") {
    aio::io_context context;
    batching::Batcher<int, int, ManualClock> batcher{
        context, [](std::vector<int> items) { return items; }, {.batch_timeout = 10ms}};
    std::deque<Reply<int>> replies(3);
    for (auto& reply : replies) call(batcher, 1, reply);
    ManualClock::advance(10ms);
    settle(context);
    const std::string page = to_prometheus(batcher.stats(), "b");
    CHECK(sample(page, R"(batcher_wait_seconds_bucket{batcher="b",le="0.008388608"})") == 0);
    CHECK(sample(page, R"(batcher_wait_seconds_bucket{batcher="b",le="0.016777216"})") == 3);
    CHECK(sample(page, R"(batcher_wait_seconds_bucket{batcher="b",le="+Inf"})") == 3);
    CHECK(sample(page, R"(batcher_wait_seconds_count{batcher="b"})") == 3);
    CHECK(sample(page, R"(batcher_wait_seconds_sum{batcher="b"})") == 0.03);
    CHECK(sample(page, R"(batcher_run_seconds_count{batcher="b"})") == 1);
}

TEST_CASE("a bucket's count is exact, also for values on its bound or next to it") {
    Stats stats;
    for (unsigned power = 10; power <= 36; ++power) {
        const std::chrono::nanoseconds bound(std::int64_t{1} << power);
        for (const auto time : {bound - 1ns, bound, bound + 1ns}) stats.run_time.record(time);
    }
    for (const std::size_t size : {255u, 256u, 257u}) stats.batch_size.record(size);
    stats.run_time.record(10'000h);
    const std::string page = to_prometheus(stats, "b");
    for (unsigned power = 10; power <= 36; ++power) {
        const std::string bound = fmt::format("{}", static_cast<double>(1ull << power) / 1e9);
        CHECK(sample(page, fmt::format(R"(batcher_run_seconds_bucket{{batcher="b",le="{}"}})",
                                       bound)) == 3.0 * (power - 10) + 2);
    }
    CHECK(sample(page, R"(batcher_run_seconds_bucket{batcher="b",le="+Inf"})") == 3.0 * 27 + 1);
    CHECK(sample(page, R"(batcher_batch_size_bucket{batcher="b",le="128"})") == 0);
    CHECK(sample(page, R"(batcher_batch_size_bucket{batcher="b",le="256"})") == 2);
    CHECK(sample(page, R"(batcher_batch_size_bucket{batcher="b",le="512"})") == 3);
}

TEST_CASE("bounds do not depend on what was seen, so replicas can be added up") {
    Stats busy;
    for (int i = 1; i < 1'000; ++i) {
        busy.run_time.record(std::chrono::milliseconds(i));
        busy.batch_size.record(static_cast<std::size_t>(i));
        busy.wait_time.record(std::chrono::seconds(i));
    }
    for (const char* histogram :
         {"batcher_wait_seconds", "batcher_run_seconds", "batcher_batch_size"}) {
        const auto bounds = bounds_of(to_prometheus(Stats{}, "idle"), histogram);
        CHECK(bounds == bounds_of(to_prometheus(busy, "busy"), histogram));
        CHECK(bounds.back() == "+Inf");
        CHECK(std::is_sorted(bounds.begin(), bounds.end() - 1, [](const auto& a, const auto& b) {
            return std::stod(a) < std::stod(b);
        }));
    }
}

TEST_CASE("no counter and no bucket ever falls") {
    std::mt19937_64 random(1);
    Stats stats;
    std::map<std::string, double> before = samples_of(to_prometheus(stats, "b"));
    for (int round = 0; round < 200; ++round) {
        const auto time = [&] {
            return std::chrono::nanoseconds(random() >> (20 + random() % 44));
        };
        stats.wait_time.record(time(), 1 + random() % 3);
        stats.run_time.record(time());
        stats.batch_size.record(random() >> (30 + random() % 34));
        const auto now = samples_of(to_prometheus(stats, "b"));
        const bool none = std::all_of(before.begin(), before.end(), [&](const auto& one) {
            return now.at(one.first) >= one.second;
        });
        REQUIRE(none);
        before = now;
    }
}

TEST_CASE("a name is a label, whatever it contains") {
    CHECK(says(to_prometheus(Stats{}, "a \"b\"\\c\nd {é},"),
               R"(batcher_waiting{batcher="a \"b\"\\c\nd {é},"} 0)"));
    CHECK(says(to_prometheus(Stats{}, ""), R"(batcher_waiting{batcher=""} 0)"));
}

TEST_CASE("several Batchers share a page: each family stands once, with the samples of all") {
    Stats first, second;
    first.waiting = 1, second.waiting = 2;
    const std::string page = to_prometheus({{"first", first}, {"second", second}});
    CHECK(says(page,
               "# TYPE batcher_waiting gauge\n"
               "batcher_waiting{batcher=\"first\"} 1\n"
               "batcher_waiting{batcher=\"second\"} 2\n"
               "# HELP "));
    std::set<std::string> types;
    for (const std::string& line : lines_of(page)) {
        if (line.rfind("# TYPE", 0) == 0) CHECK(types.insert(line).second);
    }
    const std::vector<NamedStats> collected{{"first", first}, {"second", second}};
    CHECK(to_prometheus(collected) == page);
    CHECK(to_prometheus(std::vector<NamedStats>{{"first", first}}) ==
          to_prometheus(first, "first"));
    CHECK(to_prometheus(std::vector<NamedStats>{}).empty());
}

TEST_CASE("two Batchers of one name are refused: Prometheus would drop one of them") {
    CHECK_THROWS_WITH(to_prometheus({{"same", {}}, {"other", {}}, {"same", {}}}),
                      R"(two Batchers of one page are named "same"; give each a name of its own)");
}

TEST_CASE("weights, priorities and what is learnt stand there once there is something to tell") {
    const std::string nothing = to_prometheus(Stats{}, "b");
    for (const char* family : {"batch_weight", "priority", "learnt", "target", "least"}) {
        CHECK(!says(nothing, family));
    }
    Stats stats;
    stats.batch_weight.record(1'000);
    stats.wait_time_high.record(1us);
    stats.fixed_run_time = 2ms;
    stats.run_time_per_item = 500ns;
    stats.run_time_deviation = 0.25;
    stats.target_batch_size = 24;
    stats.least_batch_size = 3;
    const std::string page = to_prometheus(stats, "b");
    CHECK(sample(page, R"(batcher_batch_weight_bucket{batcher="b",le="512"})") == 0);
    CHECK(sample(page, R"(batcher_batch_weight_bucket{batcher="b",le="1024"})") == 1);
    CHECK(sample(page, R"(batcher_batch_weight_sum{batcher="b"})") == 1'000);
    CHECK(sample(page, R"(batcher_priority_wait_seconds_count{batcher="b",priority="high"})") == 1);
    CHECK(!says(page, "low"));
    CHECK(sample(page, R"(batcher_learnt_fixed_seconds{batcher="b"})") == 0.002);
    CHECK(sample(page, R"(batcher_learnt_item_seconds{batcher="b"})") == 5e-7);
    CHECK(sample(page, R"(batcher_learnt_deviation_ratio{batcher="b"})") == 0.25);
    CHECK(sample(page, R"(batcher_target_batch_size{batcher="b"})") == 24);
    CHECK(sample(page, R"(batcher_least_batch_size{batcher="b"})") == 3);
}

TEST_CASE("a learnt time of 0 is a sample, so that its line has no gaps") {
    Stats stats;
    stats.run_time_per_item = 500ns;
    const std::string page = to_prometheus(stats, "b");
    CHECK(sample(page, R"(batcher_learnt_fixed_seconds{batcher="b"})") == 0);
    CHECK(sample(page, R"(batcher_learnt_deviation_ratio{batcher="b"})") == 0);
}

TEST_CASE("every line of a page is one of the format's, and the last one ends") {
    Stats stats;
    stats.wait_time.record(1h, 1'000'000'000'000);  // large sums, too
    stats.batch_weight.record(std::size_t{1} << 41, 1'000'000);
    const std::string page = to_prometheus(stats, "b");
    const std::regex help("# HELP batcher_[a-z_]+ [^\n]+[.]");
    const std::regex type("# TYPE batcher_[a-z_]+ (counter|gauge|histogram)");
    const std::regex sample(
        R"re(batcher_[a-z_]+\{batcher="b"(,[a-z]+="[^"]+")?\} [0-9]+(\.[0-9]+)?(e[+-][0-9]+)?)re");
    for (const std::string& line : lines_of(page)) {
        INFO(line);
        CHECK((std::regex_match(line, help) || std::regex_match(line, type) ||
               std::regex_match(line, sample)));
    }
    CHECK(page.back() == '\n');
    CHECK(batching::prometheus_content_type == "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace prometheus_test
