// to_prometheus: the figures of Batchers as Prometheus reads them, the text exposition format 0.0.4.
//
//     router.http_get("/metrics", [&](auto request, auto) {
//         const std::string page = batching::to_prometheus(batcher.stats(), "digits");
//         return request->create_response()
//             .append_header("Content-Type", std::string(batching::prometheus_content_type))
//             .set_body(page).done();
//     });
//
// The page ends with a newline, and each of its families begins with `batcher_`: so it may be put before or after what else
// a program tells Prometheus. Nothing is counted for it: a Batcher has its Stats anyway, and they are written when asked for.
//
// Each sample has the label batcher="<name>". Units are seconds and items.
//
//   batcher_calls_total           counter    calls that have ended, by `outcome`: completed, failed, rejected, cancelled,
//                                            expired. What has arrived: these, waiting and running together
//   batcher_deduplicated_total    counter    calls that shared the place of an equal item
//   batcher_overloaded_total      counter    calls of those rejected that were so with errc::overloaded
//   batcher_batches_total         counter    batches formed, by `reason`: full, timeout, flushed
//   batcher_batches_cut_total     counter    those made smaller, by what did so (`by`): weight, key, deadline
//   batcher_waiting, _running     gauge      items in the queue, and in batches that run
//   batcher_max_batch_size, batcher_max_concurrent_batches
//                                 gauge      the options in force: rate(batcher_run_seconds_sum) / max_concurrent_batches
//                                            is how busy it is
//   batcher_wait_seconds          histogram  from each call to its batch
//   batcher_run_seconds           histogram  from forming each batch to its results
//   batcher_batch_size            histogram  items of each batch
// and as soon as there is something to tell:
//   batcher_batch_weight          histogram  of each batch, with batching::weigh()
//   batcher_priority_wait_seconds histogram  of the calls of one `priority` alone, high or low; batcher_wait_seconds has all
//   batcher_learnt_fixed_seconds, batcher_learnt_item_seconds, batcher_learnt_deviation_ratio
//                                 gauge      a batch of n items is expected to take fixed + n * item, with such a deviation;
//                                            with batching::weigh(), n is its weight, also in the next two
//   batcher_target_batch_size, batcher_least_batch_size
//                                 gauge      with latency_target: the sizes that it has chosen
//
// How exact: the samples of one Batcher are of one instant. Counters and buckets never fall while it lives. A histogram's
// bounds are powers of two (of nanoseconds, items, weight), the same for every Batcher and every release: replicas can be
// added up, and a bucket's count is exact, not an estimate. histogram_quantile() is within a factor of two, most often far
// closer; the mean, _sum / _count, is exact. Where these come from is said in stats.hpp.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <batcher/detail/prometheus_page.hpp>
#include <batcher/distribution.hpp>
#include <batcher/options.hpp>
#include <batcher/stats.hpp>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching {

// The Content-Type of what to_prometheus() returns.
inline constexpr std::string_view prometheus_content_type =
    "text/plain; version=0.0.4; charset=utf-8";

// The figures of one Batcher on a page of several, and its name there.
struct NamedStats {
    std::string name;  // UTF-8
    Stats stats;       // as its stats() returned them
};

namespace detail {

inline constexpr HistogramBounds time_bounds{10, 36};  // of nanoseconds: a microsecond to 69 s
inline constexpr HistogramBounds size_bounds{0, 16};
inline constexpr HistogramBounds weight_bounds{0, 30};

// The families of Batchers, each with the samples of all of them.
class BatcherFamilies {
public:
    // The Stats have to outlive it.
    void add(std::string_view name, const Stats& stats) {
        batchers_.push_back({fmt::format("batcher=\"{}\"", escaped_label(name)), stats});
    }

    std::string text() && {
        calls();
        batches();
        times();
        batch_sizes();
        learnt();
        return std::move(page_).text();
    }

private:
    struct Labelled {
        std::string label;
        const Stats& stats;

        std::string with(std::string_view name, std::string_view value) const {
            return fmt::format("{},{}=\"{}\"", label, name, value);
        }
    };

    // Begins a family, and calls `samples` with each Batcher.
    template <class Samples>
    void family(std::string name, std::string_view type, std::string_view help, Samples samples) {
        page_.family("batcher_" + std::move(name), type, help);
        for (const Labelled& batcher : batchers_) samples(batcher, batcher.stats);
    }

    // One sample a Batcher.
    template <class Number>
    void one(std::string name, std::string_view type, std::string_view help,
             Number Stats::* value) {
        family(std::move(name), type, help, [&](const Labelled& batcher, const Stats& stats) {
            page_.sample(batcher.label, stats.*value);
        });
    }

    void option(std::string name, std::string_view help, std::size_t Options::* value) {
        family(std::move(name), "gauge", help, [&](const Labelled& batcher, const Stats& stats) {
            page_.sample(batcher.label, stats.options.*value);
        });
    }

    // One of those Batchers of which it is known.
    template <class Known, class Value>
    void known(Known is_known, std::string name, std::string_view help, Value value) {
        family(std::move(name), "gauge", help, [&](const Labelled& batcher, const Stats& stats) {
            if (is_known(stats)) page_.sample(batcher.label, value(stats));
        });
    }

    template <class T>
    void histogram(std::string name, std::string_view help, HistogramBounds bounds,
                   Distribution<T> Stats::* seen) {
        family(std::move(name), "histogram", help,
               [&](const Labelled& batcher, const Stats& stats) {
                   page_.histogram(batcher.label, stats.*seen, bounds);
               });
    }

    void calls() {
        family("calls_total", "counter", "Calls that have ended, by their outcome.",
               [&](const Labelled& batcher, const Stats& stats) {
                   const auto ended = [&](std::string_view outcome, std::uint64_t calls) {
                       page_.sample(batcher.with("outcome", outcome), calls);
                   };
                   ended("completed", stats.completed);
                   ended("failed", stats.failed);
                   ended("rejected", stats.rejected);
                   ended("cancelled", stats.cancelled);
                   ended("expired", stats.expired);
               });
        one("overloaded_total", "counter", "Calls of those rejected for which too much waited.",
            &Stats::overloaded);
        one("deduplicated_total", "counter", "Calls that shared the place of an equal item.",
            &Stats::deduplicated);
        one("waiting", "gauge", "Items that wait for a batch.", &Stats::waiting);
        one("running", "gauge", "Items in batches that run.", &Stats::running);
    }

    void batches() {
        family("batches_total", "counter", "Batches formed, by why they left.",
               [&](const Labelled& batcher, const Stats& stats) {
                   const auto formed = [&](std::string_view reason, std::uint64_t batches) {
                       page_.sample(batcher.with("reason", reason), batches);
                   };
                   formed("full", stats.batches_full);
                   formed("timeout", stats.batches_timeout);
                   formed("flushed", stats.batches_flushed);
               });
        family("batches_cut_total", "counter",
               "Batches made smaller, or that left early, by what did so.",
               [&](const Labelled& batcher, const Stats& stats) {
                   const auto cut = [&](std::string_view by, std::uint64_t batches) {
                       page_.sample(batcher.with("by", by), batches);
                   };
                   cut("weight", stats.batches_cut_by_weight);
                   cut("key", stats.batches_cut_by_key);
                   cut("deadline", stats.batches_cut_by_deadline);
               });
        option("max_batch_size", "Most items of a batch, as the options say.",
               &Options::max_batch_size);
        option("max_concurrent_batches", "Most batches that run at a time, as the options say.",
               &Options::max_concurrent_batches);
    }

    void times() {
        histogram("wait_seconds", "From each call to its batch.", time_bounds, &Stats::wait_time);
        family("priority_wait_seconds", "histogram",
               "From each call of that priority to its batch.",
               [&](const Labelled& batcher, const Stats& stats) {
                   const auto waited = [&](std::string_view priority, const auto& times) {
                       if (times.count() == 0) return;
                       page_.histogram(batcher.with("priority", priority), times, time_bounds);
                   };
                   waited("high", stats.wait_time_high);
                   waited("low", stats.wait_time_low);
               });
        histogram("run_seconds", "From forming each batch to its results.", time_bounds,
                  &Stats::run_time);
    }

    void batch_sizes() {
        histogram("batch_size", "Items of each batch.", size_bounds, &Stats::batch_size);
        family("batch_weight", "histogram", "Weight of each batch.",
               [&](const Labelled& batcher, const Stats& stats) {
                   if (stats.batch_weight.count() == 0) return;
                   page_.histogram(batcher.label, stats.batch_weight, weight_bounds);
               });
    }

    void learnt() {
        // Either may be 0: a line that comes and goes would be one with gaps.
        const auto times = [](const Stats& stats) {
            return stats.fixed_run_time.count() > 0 || stats.run_time_per_item.count() > 0;
        };
        const auto target = [](const Stats& stats) { return stats.target_batch_size > 0; };
        known(times, "learnt_fixed_seconds", "What a batch is expected to take besides its items.",
              [](const Stats& stats) { return in_base_units(stats.fixed_run_time); });
        known(times, "learnt_item_seconds",
              "What each item, or unit of weight, is expected to add.",
              [](const Stats& stats) { return in_base_units(stats.run_time_per_item); });
        known(times, "learnt_deviation_ratio",
              "Standard deviation from what is expected, as a share.",
              [](const Stats& stats) { return stats.run_time_deviation; });
        known(target, "target_batch_size",
              "Most items, or weight, of a batch whose first item has just come.",
              [](const Stats& stats) { return stats.target_batch_size; });
        known(target, "least_batch_size",
              "Fewest items, or least weight, of a batch while so many wait.",
              [](const Stats& stats) { return stats.least_batch_size; });
    }

    std::vector<Labelled> batchers_;
    PrometheusPage page_;
};

}  // namespace detail

// One page for several Batchers, which differ in name: {{"digits", digits.stats()}, {"letters", letters.stats()}} or what
// you have collected. Each family is written once, with the samples of all.
//
// Any thread. Throws std::invalid_argument if two names are the same, since Prometheus would drop one of them, and
// std::bad_alloc. Complexity: about 100 lines and 100 us a Batcher.
inline std::string to_prometheus(std::span<const NamedStats> batchers) {
    std::vector<std::string_view> names;
    detail::BatcherFamilies families;
    for (const NamedStats& batcher : batchers) {
        names.push_back(batcher.name);
        families.add(batcher.name, batcher.stats);
    }
    std::sort(names.begin(), names.end());
    if (const auto same = std::adjacent_find(names.begin(), names.end()); same != names.end()) {
        throw std::invalid_argument(fmt::format(
            "two Batchers of one page are named \"{}\"; give each a name of its own", *same));
    }
    return std::move(families).text();
}

// The same, of a list in braces.
inline std::string to_prometheus(std::initializer_list<NamedStats> batchers) {
    return to_prometheus(std::span(batchers.begin(), batchers.size()));
}

// The page of one Batcher. `name`, in UTF-8, becomes the label `batcher` of each sample, and may contain anything: it is
// escaped as the format demands. Replicas of one service have the same name; Prometheus tells them apart by their address.
//
// Any thread. Throws std::bad_alloc. Complexity: about 100 lines and 100 us.
inline std::string to_prometheus(const Stats& stats, std::string_view name) {
    detail::BatcherFamilies families;
    families.add(name, stats);
    return std::move(families).text();
}

}  // namespace batching
