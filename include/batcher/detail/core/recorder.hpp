// Recorder: the figures of stats(), as they come.
#pragma once

#include <batcher/detail/core/batch.hpp>
#include <batcher/priority.hpp>
#include <batcher/stats.hpp>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

class Recorder {
public:
    explicit Recorder(bool weighs = false) : weighs_(weighs) {}

    const Stats& stats() const noexcept { return stats_; }

    void accepted(std::size_t calls) noexcept { stats_.submitted += calls; }
    void rejected(std::size_t calls) noexcept { stats_.rejected += calls; }
    void overloaded(std::size_t calls) noexcept {
        stats_.overloaded += calls;
        rejected(calls);
    }
    void cancelled(std::size_t calls = 1) noexcept { stats_.cancelled += calls; }
    void expired() noexcept { ++stats_.expired; }
    // One that had been accepted, and is not any more.
    void displaced() noexcept {
        --stats_.submitted;
        overloaded(1);
    }
    void deduplicated() noexcept { ++stats_.deduplicated; }
    void joined_running() noexcept { ++stats_.running; }
    void failed(std::size_t calls = 1) noexcept { stats_.failed += calls; }

    void formed(const Batch& batch) noexcept {
        switch (batch.reason) {
            case DispatchReason::full:
                ++stats_.batches_full;
                break;
            case DispatchReason::timeout:
                ++stats_.batches_timeout;
                break;
            case DispatchReason::flushed:
                ++stats_.batches_flushed;
                break;
        }
        stats_.batch_size.record(batch.items);
        if (weighs_) stats_.batch_weight.record(batch.weight);
        stats_.running += batch.size;
    }
    void cut_by_weight() noexcept { ++stats_.batches_cut_by_weight; }
    void cut_by_key() noexcept { ++stats_.batches_cut_by_key; }
    void cut_by_deadline() noexcept { ++stats_.batches_cut_by_deadline; }
    void left_running(std::size_t calls = 1) noexcept { stats_.running -= calls; }
    void waited(Time time, std::size_t calls, Priority priority) noexcept {
        stats_.wait_time.record(time, calls);
        if (priority == Priority::high) record(stats_.wait_time_high, time, calls);
        if (priority == Priority::low) record(stats_.wait_time_low, time, calls);
    }

    // A batch has run: `failed` of the calls still in it get an error.
    void completed(const Batch& batch, std::size_t failed, Time now) noexcept {
        stats_.running -= batch.size;
        stats_.failed += failed;
        stats_.completed += batch.size - failed;
        stats_.run_time.record(now - batch.started);
    }

private:
    // Where it is inlined for plain calls, it is so for them alone.
    BATCHER_NOINLINE static void record(Distribution<Time>& times, Time time,
                                        std::size_t calls) noexcept {
        times.record(time, calls);
    }

    const bool weighs_;
    Stats stats_;
};

// How long calls of a batch have waited, all of one class. Neighbours were often queued at the same time.
//
//     for (each call) waits.next(call.queued_at, so_many_before_it);
//     waits.end(so_many);
class WaitTimes {
public:
    WaitTimes(Recorder& recorder, Time now, Priority priority) noexcept
        : recorder_(recorder), now_(now), priority_(priority) {}
    WaitTimes(const WaitTimes&) = delete;
    WaitTimes& operator=(const WaitTimes&) = delete;

    void next(Time queued_at, std::size_t before) noexcept {
        if (queued_at == queued_at_) [[likely]]
            return;
        end(before);
        queued_at_ = queued_at;
    }
    BATCHER_INLINE void end(std::size_t calls) noexcept {
        if (calls != recorded_) recorder_.waited(now_ - queued_at_, calls - recorded_, priority_);
        recorded_ = calls;
    }

private:
    Recorder& recorder_;
    const Time now_;
    const Priority priority_;
    Time queued_at_{};  // of the calls that are not recorded yet
    std::size_t recorded_ = 0;
};

}  // namespace batching::detail
