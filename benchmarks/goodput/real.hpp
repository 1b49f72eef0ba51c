// Real: a point of the simulation with the whole Batcher, its threads and the clock of the machine. The function sleeps for as
// long as a batch is simulated to take.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <batcher.hpp>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <goodput/callers.hpp>
#include <goodput/lateness.hpp>
#include <goodput/simulation.hpp>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace goodput {

class SleepingFunction {
public:
    SleepingFunction(const Scenario& scenario, std::uint64_t seed)
        : scenario_(scenario), random_(seed) {}

    void run(std::size_t size) {
        const Time time = of_nanoseconds(nanoseconds(scenario_.profile.run_time(size)) * factor());
        const auto start = std::chrono::steady_clock::now();
        std::this_thread::sleep_for(time);
        const Time slept = std::chrono::steady_clock::now() - start;
        const std::lock_guard lock(mutex_);
        late_.push_back(slept - time);
    }
    // Of each batch so far. Precondition: none runs.
    const std::vector<Time>& late() const { return late_; }

private:
    // 1 on the average.
    double factor() {
        const std::lock_guard lock(mutex_);
        const double noise = scenario_.noise;
        return std::exp(noise * normal_(random_) - noise * noise / 2);
    }

    const Scenario scenario_;
    std::mutex mutex_;
    std::vector<Time> late_;
    std::mt19937_64 random_;
    std::normal_distribution<double> normal_;
};

struct RealRun {
    double share_in_time;  // of the calls of an open loop, counted from when they were to come
    Lateness lateness;
};

inline RealRun run_in_real_time(const Scenario& scenario, double rate, std::uint64_t seed,
                                const Span& span) {
    using Clock = std::chrono::steady_clock;
    const Time objective = scenario.profile.objective;
    SleepingFunction function(scenario, 2 * seed + 1);
    std::atomic<std::size_t> in_time{0};
    std::size_t offered = 0;
    std::vector<Time> late;
    batching::Batcher batcher{[&](std::vector<int> items) {
                                  function.run(items.size());
                                  return items;
                              },
                              {.max_batch_size = max_batch_size,
                               .max_concurrent_batches = scenario.slots,
                               .latency_target = objective}};
    const batching::CallOptions options =
        scenario.timeouts ? batching::CallOptions{.timeout = objective} : batching::CallOptions{};
    Callers callers(scenario, rate, 2 * seed);
    const Clock::time_point start = Clock::now();
    for (; callers.next() < span.until; callers.take()) {
        const bool counts = callers.next() >= span.from;
        const Clock::time_point due = start + callers.next();
        std::this_thread::sleep_until(due);
        offered += counts ? 1 : 0;
        late.push_back(Clock::now() - due);
        batcher.async_process(0, options, [=, &in_time](const std::exception_ptr& error, int) {
            if (counts && !error && Clock::now() - due <= objective) ++in_time;
        });
    }
    batcher.async_drain(asio::use_future).get();
    return {static_cast<double>(in_time) / static_cast<double>(offered),
            {std::move(late), function.late()}};
}

}  // namespace goodput
