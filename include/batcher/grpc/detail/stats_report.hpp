// StatsReport: what a deployment answers to Stats.
//
// Figures are copied under the lock of their Batcher, and anybody may ask for them as often as they like. So they are
// copied once in 10 ms at most, and who asks meanwhile gets the same: a Batcher does not notice, whoever asks.
#pragma once

#include <batcher/diagnosis.hpp>
#include <batcher/grpc/detail/served.hpp>
#include <batcher/grpc/detail/stats_wire.hpp>
#include <batcher/stats.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

class StatsReport {
public:
    explicit StatsReport(const std::vector<std::unique_ptr<Served>>& served) noexcept
        : served_(served) {}
    StatsReport(const StatsReport&) = delete;
    StatsReport& operator=(const StatsReport&) = delete;
    ~StatsReport() = default;

    // A StatsResponse. Any thread.
    std::string bytes() {
        const std::lock_guard lock(mutex_);
        if (bytes_.empty() || Clock::now() - made_ >= std::chrono::milliseconds(10)) {
            bytes_ = made();
            made_ = Clock::now();
        }
        return bytes_;
    }

private:
    using Clock = std::chrono::steady_clock;

    std::string made() const {
        std::string bytes;
        for (const auto& served : served_) {
            const Stats stats = served->stats();
            wire::write_deployment_stats(bytes, served->name(), diagnosis(stats), stats);
        }
        return bytes;
    }

    const std::vector<std::unique_ptr<Served>>& served_;
    std::mutex mutex_;
    std::string bytes_;
    Clock::time_point made_;
};

}  // namespace batching::grpc::detail
