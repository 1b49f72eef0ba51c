// Stats: the figures of a Batcher.
//
// How exact: a snapshot is taken at one instant under the Batcher's lock, so its counts agree with each
// other: submitted == completed + failed + cancelled + expired + waiting + running. Times are measured when a
// batch is formed and when it has run; a wait is too long by at most the time that 32 callers resumed
// together run before they call again (see options.hpp, "How exact the clock is"). Counts never wrap in
// practice (64 bits).
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <batcher/diagnosis.hpp>
#include <batcher/distribution.hpp>
#include <batcher/options.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace batching {

// What a Batcher has done so far and what it is doing now: items, batches and times.
//
//     fmt::print("{}\n", batcher.stats());   // a short table, and what limits the batches (diagnosis.hpp)
struct Stats {
    // ---- items, since the Batcher was made ----

    std::uint64_t submitted = 0;  // accepted
    std::uint64_t completed = 0;  // the caller gets its value
    std::uint64_t failed = 0;  // the caller gets an exception, from the batch function or a Result
    std::uint64_t rejected = 0;      // not accepted: overloaded, closed or too heavy; or displaced
    std::uint64_t overloaded = 0;    // of those rejected: with errc::overloaded
    std::uint64_t cancelled = 0;     // cancelled, or the caller destroyed, while waiting or running
    std::uint64_t expired = 0;       // the deadline passed, or could not be met
    std::uint64_t deduplicated = 0;  // of those submitted: shared the place of an equal item

    // ---- batches formed, by why they left ----

    std::uint64_t batches_full = 0;  // max_batch_size items waited
    // The oldest item had waited batch_timeout, or one left for its deadline.
    std::uint64_t batches_timeout = 0;
    std::uint64_t batches_flushed = 0;  // flush(), close() or drain() was called

    // ---- and by what made them smaller, where calls have weights, keys or deadlines ----

    // The next item would have been beyond max_batch_weight.
    std::uint64_t batches_cut_by_weight = 0;
    // Items of other keys waited, which could not go with them.
    std::uint64_t batches_cut_by_key = 0;
    // More items, or a longer wait for them, would have made one of them late.
    std::uint64_t batches_cut_by_deadline = 0;

    // ---- items, now ----

    std::size_t waiting = 0;  // in the queue
    std::size_t running = 0;  // in batches that run

    Distribution<std::size_t> batch_size;              // items a batch, of every batch formed
    Distribution<std::size_t> batch_weight;            // the same by weight, with batching::weigh()
    Distribution<std::chrono::nanoseconds> wait_time;  // of every item, from its call to its batch
    Distribution<std::chrono::nanoseconds> wait_time_high;  // of those of high priority alone
    Distribution<std::chrono::nanoseconds> wait_time_low;   // of those of low priority alone
    Distribution<std::chrono::nanoseconds> run_time;  // of every batch, from forming to results

    // ---- what has been learnt of run times: with latency_target or a max_queue_size, or of calls with timeouts ----

    // A batch of n items is expected to take fixed_run_time + n * run_time_per_item; 0: not known yet. With
    // batching::weigh(), n is its weight, and the time is per unit of that.
    std::chrono::duration<double, std::nano> fixed_run_time{};
    std::chrono::duration<double, std::nano> run_time_per_item{};  // what each item adds
    double run_time_deviation = 0;  // the standard deviation from that, as a share of it

    // ---- the options in force ----

    // As they were given, or as reconfigure() has changed them.
    Options options;
    // True: of a remote handle, whose calls_in_flight and max_items_per_call are max_concurrent_batches and
    // max_batch_size of these.
    bool remote = false;

    // ---- with latency_target, now, in items, or with batching::weigh() in weight; 0: not known yet ----

    std::size_t target_batch_size = 0;  // at most, of a batch whose first item has just come
    std::size_t least_batch_size = 0;   // of any batch, while so many wait

    // What has happened since an earlier snapshot of the same Batcher: its counts and distributions are subtracted. What
    // is said of now stays. For rates, and for a diagnosis of the last minute. Throws std::bad_alloc.
    //
    //     const batching::Stats last_minute = batcher.stats().since(a_minute_ago);
    Stats since(const Stats& earlier) const {
        Stats difference = *this;
        for (const auto count :
             {&Stats::submitted, &Stats::completed, &Stats::failed, &Stats::rejected,
              &Stats::overloaded, &Stats::cancelled, &Stats::expired, &Stats::deduplicated,
              &Stats::batches_full, &Stats::batches_timeout, &Stats::batches_flushed,
              &Stats::batches_cut_by_weight, &Stats::batches_cut_by_key,
              &Stats::batches_cut_by_deadline}) {
            difference.*count -= (std::min)(earlier.*count, this->*count);
        }
        difference.batch_size = batch_size.since(earlier.batch_size);
        difference.batch_weight = batch_weight.since(earlier.batch_weight);
        for (const auto times :
             {&Stats::wait_time, &Stats::wait_time_high, &Stats::wait_time_low, &Stats::run_time}) {
            difference.*times = (this->*times).since(earlier.*times);
        }
        return difference;
    }
};

namespace detail {

// A template, so that it is compiled only where it is called.
template <class S>
std::string table_of(const S& s) {
    const auto us = [](std::chrono::nanoseconds t) { return static_cast<double>(t.count()) / 1e3; };
    const auto times = [&](const char* name, const auto& d) {
        return fmt::format("\n{:<12} {:>12.1f} {:>12.1f} {:>12.1f} {:>12.1f}", name, us(d.mean()),
                           us(d.quantile(0.5)), us(d.quantile(0.99)), us(d.quantile(1)));
    };
    std::string table = fmt::format(
        "items    submitted {}  completed {}  failed {}  rejected {}  cancelled {}  expired {}\n"
        "now      waiting {}  running {}\n"
        "batches  full {}  timeout {}  flushed {}\n",
        s.submitted, s.completed, s.failed, s.rejected, s.cancelled, s.expired, s.waiting,
        s.running, s.batches_full, s.batches_timeout, s.batches_flushed);
    table += fmt::format("             {:>12} {:>12} {:>12} {:>12}\n", "mean", "p50", "p99", "max");
    table += fmt::format("batch size   {:>12.1f} {:>12} {:>12} {:>12}", s.batch_size.mean(),
                         s.batch_size.quantile(0.5), s.batch_size.quantile(0.99),
                         s.batch_size.quantile(1));
    table += times("wait, us", s.wait_time) + times("run, us", s.run_time);
    if (s.target_batch_size != 0) {
        const bool weighs = s.batch_weight.count() != 0;
        table += fmt::format(
            "\nlearnt   a batch takes {:.1f} us and {:.3f} us {}, +- {:.0f} %; {} to {} {} best",
            s.fixed_run_time.count() / 1e3, s.run_time_per_item.count() / 1e3,
            weighs ? "a unit of weight" : "an item", 100 * s.run_time_deviation, s.least_batch_size,
            s.target_batch_size, weighs ? "of weight is" : "items are");
    }
    return table + "\n" + diagnosis(s);
}

}  // namespace detail
}  // namespace batching

template <>
struct fmt::formatter<batching::Stats> {
    constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

    template <class FormatContext>
    auto format(const batching::Stats& stats, FormatContext& context) const {
        const std::string table = batching::detail::table_of(stats);
        return std::copy(table.begin(), table.end(), context.out());
    }
};
