// Callers of the table ray that call one after the other, through a handle:
//
//     ray_load ADDRESS APPLICATION IN_FLIGHT SECONDS
//
// Prints items, seconds, and p50 and p99 in microseconds.
#include "scorer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <asio.hpp>
#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <measure.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

using namespace bench;

namespace {

using Scorer = batching::Batcher<Features, float>;

struct Load {
    Clock::time_point begin;  // what ends before does not count
    Clock::time_point end;
    std::vector<double> latencies = {};  // in microseconds
};

asio::awaitable<void> keep_calling(Scorer& scorer, Load& load, Features item) {
    const float expected = std::inner_product(item.begin(), item.end(), weights().begin(), 0.0F);
    for (auto asked = Clock::now(); asked < load.end;) {
        const float score = co_await scorer.process(item);
        if (std::abs(score - expected) > 1e-3F * expected) throw std::logic_error("a wrong score");
        const auto answered = Clock::now();
        if (answered > load.begin)
            load.latencies.push_back(nanoseconds_between(asked, answered) / 1e3);
        asked = answered;
    }
}

void run(const std::string& address, const std::string& application, int in_flight,
         double seconds) {
    auto scorer = batching::grpc::connect<Features, float>(
        address, "scorer", {.metadata = {{"application", application}}});
    const auto duration =
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    const auto begin = Clock::now() + duration / 4;
    Load load{begin, begin + duration};
    asio::io_context event_loop;
    for (int i = 0; i < in_flight; ++i) {
        Features item{};
        item.fill(static_cast<float>(i % 16 + 1));
        asio::co_spawn(event_loop, keep_calling(scorer, load, item), [](std::exception_ptr error) {
            if (error) std::rethrow_exception(error);
        });
    }
    event_loop.run();
    fmt::print("{} {} {} {}\n", load.latencies.size(), seconds, quantile(load.latencies, 0.5),
               quantile(load.latencies, 0.99));
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 5) throw std::invalid_argument("ADDRESS APPLICATION IN_FLIGHT SECONDS");
    run(argv[1], argv[2], std::atoi(argv[3]), std::atof(argv[4]));
} catch (const std::exception& error) {
    fmt::print(stderr, "ray_load: {}\n", error.what());
    return 1;
}
