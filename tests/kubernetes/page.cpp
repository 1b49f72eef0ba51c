// prometheus_page: prints the page of a Batcher that was busy, of one that has something of everything to tell, and of a handle.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <batcher/prometheus.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using batching::Priority;

std::vector<std::size_t> lengths(const std::vector<std::string>& words) {
    std::vector<std::size_t> results;
    for (const std::string& word : words) {
        if (word.size() == 13) throw std::runtime_error("thirteen");
        results.push_back(word.size());
    }
    return results;
}

batching::Stats of_a_busy_one() {
    batching::Batcher batcher{
        lengths,
        {.max_batch_size = 64, .max_queue_size = 2'000, .max_batch_weight = 500},
        batching::weigh([](const std::string& word) { return word.size(); }),
        batching::deduplicate()};
    std::vector<std::future<std::size_t>> answers;
    for (std::size_t i = 0; i < 5'000; ++i) {
        const Priority priority = i % 3 == 0   ? Priority::high
                                  : i % 3 == 1 ? Priority::low
                                               : Priority::normal;
        answers.push_back(batcher.async_process(std::string(i % 20, 'x') + std::to_string(i % 300),
                                                {.priority = priority}, asio::use_future));
    }
    for (auto& answer : answers) {
        try {
            answer.get();
        } catch (const std::exception&) {  // of thirteen letters, or one too many
        }
    }
    return batcher.stats();
}

batching::Stats with_everything() {
    batching::Stats stats;
    stats.completed = stats.failed = stats.rejected = stats.cancelled = stats.expired = 1;
    stats.batch_size.record(1'000'000);
    stats.batch_weight.record(std::size_t{1} << 41);
    for (auto* times :
         {&stats.wait_time, &stats.wait_time_high, &stats.wait_time_low, &stats.run_time}) {
        times->record(24h, 1'000'000'000'000);
    }
    stats.fixed_run_time = 1.5us;
    stats.run_time_per_item = 0.1ns;
    stats.run_time_deviation = 0.1;
    stats.target_batch_size = stats.least_batch_size = 1;
    return stats;
}

}  // namespace

int main() {
    fmt::print("{}", batching::to_prometheus({{"busy", of_a_busy_one()},
                                              {"a \"\\\n{everything}=é", with_everything()}}));
    const auto handle = batching::grpc::connect<int, int>("unix:/nowhere", "digits");
    fmt::print("{}",
               batching::grpc::to_prometheus(batching::grpc::connection_stats(handle), "busy"));
}
