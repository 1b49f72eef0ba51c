// Diagnosis: the sentences of diagnosis.hpp, and when each is said.
#pragma once

#include <fmt/core.h>

#include <array>
#include <batcher/detail/in_words.hpp>
#include <batcher/options.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace batching::detail {

// Member functions of a template, so that they are compiled only where they are called.
template <class S>
class Diagnosis {
public:
    explicit Diagnosis(const S& stats) : stats_(stats) {}

    std::string sentence() const {
        using Look = std::string (Diagnosis::*)() const;
        constexpr std::array<Look, 12> looks = {
            &Diagnosis::queue_bound, &Diagnosis::late,           &Diagnosis::too_few,
            &Diagnosis::deadlines,   &Diagnosis::weights,        &Diagnosis::keys,
            &Diagnosis::flushes,     &Diagnosis::latency_target, &Diagnosis::full,
            &Diagnosis::slots,       &Diagnosis::callers,        &Diagnosis::arrivals};
        for (const Look look : looks) {
            std::string found = (this->*look)();
            if (!found.empty()) return found;
        }
        return fmt::format("Nothing stands out: batches have {}.", of_most());
    }

private:
    using Time = std::chrono::nanoseconds;

    // Fewer are left to chance.
    static constexpr std::uint64_t enough_batches = 20;
    static constexpr std::uint64_t enough_calls = 10;

    // ---- what callers suffer from ----

    std::string queue_bound() const {
        const double refused = share(stats_.overloaded, stats_.submitted + stats_.rejected);
        if (stats_.overloaded < enough_calls || refused < 0.01) return {};
        if (stats_.options.max_queue_size < most()) {
            return fmt::format(
                "The queue bound limits the batches: {0} of the calls were refused, and "
                "max_queue_size ({1}) is less than {2} ({3}), so that no batch can fill "
                "while another runs; try several times {2}.",
                percent(refused), stats_.options.max_queue_size, size_option(), most());
        }
        const std::string what = fmt::format(
            "The queue bound refuses {} of the calls, who found the queue full, or too long for "
            "their timeouts",
            percent(refused));
        if (stats_.batch_size.count() >= enough_batches &&
            stats_.wait_time.quantile(0.5) <= stats_.run_time.quantile(0.5)) {
            return what + fmt::format(
                              "; yet half of the others waited {} at most, less than a batch runs "
                              "({}), so it is full in bursts only: try a larger max_queue_size.",
                              in_words(stats_.wait_time.quantile(0.5)), run_time());
        }
        return what + more_throughput();
    }

    std::string late() const {
        const double expired = share(stats_.expired, stats_.submitted);
        if (stats_.expired < enough_calls || expired < 0.01) return {};
        const std::string what =
            fmt::format("The deadlines are missed by {} of the calls", percent(expired));
        if (stats_.batch_size.count() < enough_batches) return what + ".";
        const Time wait = stats_.wait_time.quantile(0.5);
        if (wait > stats_.run_time.quantile(0.5)) {
            return what +
                   fmt::format(", and half of those that ran had waited {} or more for it",
                               in_words(wait)) +
                   more_throughput();
        }
        return what + fmt::format(
                          ": a batch alone runs for {}, after a wait of {}; give them longer "
                          "timeouts{}.",
                          run_time(), in_words(wait),
                          most() > 1 ? fmt::format(", or try a smaller {}", size_option()) : "");
    }

    std::string too_few() const {
        if (stats_.batch_size.count() == 0 && stats_.waiting != 0 &&
            stats_.options.batch_timeout == no_timeout &&
            stats_.options.latency_target == no_timeout) {
            return fmt::format(
                "No batch has left: batch_timeout is no_timeout, and {} of the max_batch_size ({}) "
                "items wait; call flush(), or set a batch_timeout.",
                stats_.waiting, most());
        }
        if (stats_.batch_size.count() >= enough_batches) return {};
        return fmt::format("Nothing stands out yet: {} batches are too few.",
                           stats_.batch_size.count());
    }

    // ---- what keeps batches small ----

    std::string deadlines() const {
        const double cut = of_batches(stats_.batches_cut_by_deadline);
        if (cut < 0.2) return {};
        return fmt::format(
            "The deadlines limit the batches: {} left early or smaller to meet one, and have {}; "
            "longer timeouts would let them grow.",
            percent(cut), of_most());
    }

    std::string weights() const {
        const double cut = of_batches(stats_.batches_cut_by_weight);
        if (cut < 0.5) return {};
        return fmt::format(
            "The weights limit the batches: {} were full by max_batch_weight ({}), with {}; try a "
            "larger one, if the batch function can take more at once.",
            percent(cut), stats_.options.max_batch_weight, of_most());
    }

    std::string keys() const {
        const double cut = of_batches(stats_.batches_cut_by_key);
        if (cut < 0.5) return {};
        return fmt::format(
            "The keys limit the batches: {} left with {} while only items of other keys waited; "
            "try fewer different keys, or a longer batch_timeout, in which those of one key come "
            "together.",
            percent(cut), of_most());
    }

    std::string flushes() const {
        const double flushed = of_batches(stats_.batches_flushed);
        if (flushed < 0.5 || mean_size() > 0.9 * static_cast<double>(most())) return {};
        return fmt::format(
            "The flushes limit the batches: {} left because of flush() or close(), with {}; call "
            "it less often.",
            percent(flushed), of_most());
    }

    std::string latency_target() const {
        const Time target = stats_.options.latency_target;
        if (target == no_timeout) return {};
        const Time wait = stats_.wait_time.quantile(0.99);
        const Time run = stats_.run_time.quantile(0.99);
        const std::string times = fmt::format(
            "99 % of the calls wait {} at most, and 99 % of the "
            "batches run {} at most",
            in_words(wait), in_words(run));
        if (wait + run <= target) {
            return fmt::format("Nothing stands out: latency_target ({}) is met, as {}.",
                               in_words(target), times);
        }
        if (stats_.run_time.quantile(0) > target) {
            return fmt::format(
                "The latency_target ({}) cannot be met: the shortest batch ran for {}.",
                in_words(target), in_words(stats_.run_time.quantile(0)));
        }
        const std::string missed =
            fmt::format("The latency_target ({}) is missed: {}", in_words(target), times);
        if (stats_.wait_time.quantile(0.5) <= stats_.run_time.quantile(0.5)) return missed + ".";
        return missed + more_throughput();
    }

    std::string full() const {
        const double full = of_batches(stats_.batches_full);
        if (full < 0.5) return {};
        if (stats_.wait_time.mean() <= stats_.run_time.mean()) {
            return fmt::format(
                "Nothing stands out: {} of the batches are full, and calls wait {} on the average, "
                "not longer than a batch runs ({}).",
                percent(full), in_words(stats_.wait_time.mean()), mean_run_time());
        }
        return fmt::format(
                   "{} ({}) and {} ({}) limit the batches: {} are full, and "
                   "calls wait {} on the average, longer than a batch runs ({})",
                   size_option(), most(), stats_.remote ? "calls_in_flight" : "the slots",
                   stats_.options.max_concurrent_batches, percent(full),
                   in_words(stats_.wait_time.mean()), mean_run_time()) +
               more_throughput();
    }

    std::string slots() const {
        const Time timeout = stats_.options.batch_timeout;
        if (of_batches(stats_.batches_timeout) < 0.5 || timeout == no_timeout) return {};
        const Time wait = stats_.wait_time.mean();
        const Time beyond = wait - timeout;
        if (beyond * 10 < wait || wait * 3 < stats_.run_time.mean()) return {};
        if (stats_.remote) {
            return fmt::format(
                "calls_in_flight ({}) limits the remote calls: items wait {} on the average for "
                "one that runs ({}); {} wait meanwhile; try more calls_in_flight, or more "
                "replicas.",
                stats_.options.max_concurrent_batches, in_words(wait), mean_run_time(), of_most());
        }
        return fmt::format(
            "The slots ({}) limit the batches: calls wait {} on the average, not for "
            "batch_timeout ({}) but for a batch that runs ({}); {} wait meanwhile; if batches can "
            "run side by side, try more max_concurrent_batches.",
            stats_.options.max_concurrent_batches, in_words(wait), batch_timeout(), mean_run_time(),
            of_most());
    }

    std::string callers() const {
        const std::size_t size = stats_.batch_size.quantile(0.5);
        const bool always =
            stats_.batch_size.quantile(0.05) == size && stats_.batch_size.quantile(0.95) == size;
        if (!waits_in_vain() || !always || size == most()) return {};
        if (size == 1) {
            return fmt::format(
                "The arrivals limit the batches: calls come one at a time, and wait for "
                "batch_timeout ({}) in vain; try batch_timeout = 0, or latency_target.",
                batch_timeout());
        }
        return fmt::format(
            "The callers limit the batches: nearly all have {0} items, which then wait for "
            "batch_timeout ({1}) in vain; if there are {0} callers, who all wait, try "
            "max_batch_size = {0}, or batch_timeout = 0.",
            size, batch_timeout());
    }

    std::string arrivals() const {
        if (!waits_in_vain()) return {};
        const std::string what = fmt::format(
            "The arrivals limit the batches: {} left after batch_timeout ({}) with {}, as many as "
            "came in that time",
            percent(of_batches(stats_.batches_timeout)), batch_timeout(), of_most());
        if (stats_.wait_time.quantile(0.5) > stats_.run_time.quantile(0.5)) {
            return what + fmt::format(
                              "; half of the calls wait {} or more, longer than a batch runs ({}): "
                              "try a shorter batch_timeout, 0, or latency_target.",
                              in_words(stats_.wait_time.quantile(0.5)), run_time());
        }
        return what +
               "; a longer batch_timeout makes them larger, at the price of as much latency.";
    }

    // ---- what sentences share ----

    // What to try where more come than are done.
    std::string more_throughput() const {
        const bool full = of_batches(stats_.batches_full) >= 0.5;
        std::string advice = full ? larger_batches() : std::string();
        return advice + fmt::format("{} more {} (now {}){}.", advice.empty() ? "; try" : ", or",
                                    stats_.remote ? "calls_in_flight" : "max_concurrent_batches",
                                    stats_.options.max_concurrent_batches,
                                    stats_.remote ? ", or another replica"
                                                  : ", if batches can run side by side, or another "
                                                    "machine");
    }

    std::string larger_batches() const {
        const double fixed = stats_.fixed_run_time.count();
        const double per_item = stats_.run_time_per_item.count();
        if (fixed + per_item == 0) {
            return fmt::format("; try a larger {} (now {}), if it takes less time an item",
                               size_option(), most());
        }
        const bool weighs = stats_.batch_weight.count() != 0;
        const double size = weighs ? stats_.batch_weight.mean() : static_cast<double>(most());
        const double gain = (fixed / size + per_item) / (fixed / size / 2 + per_item);
        if (gain < 1.1) return {};
        return fmt::format(
            "; try {} = {} (now {}), by what run times have shown {:.1f} times as many "
            "items a second",
            size_option(), 2 * most(), most(), gain);
    }

    bool waits_in_vain() const {
        return of_batches(stats_.batches_timeout) >= 0.5 &&
               stats_.options.batch_timeout != Time::zero() &&
               stats_.options.batch_timeout != no_timeout &&
               stats_.options.latency_target == no_timeout;
    }

    const char* size_option() const {
        return stats_.remote ? "max_items_per_call" : "max_batch_size";
    }
    std::size_t most() const { return stats_.options.max_batch_size; }
    double mean_size() const { return stats_.batch_size.mean(); }
    std::string of_most() const {
        return fmt::format("{:.1f} of at most {} items", mean_size(), most());
    }
    std::string run_time() const { return in_words(stats_.run_time.quantile(0.5)); }
    std::string mean_run_time() const { return in_words(stats_.run_time.mean()); }
    std::string batch_timeout() const { return in_words(stats_.options.batch_timeout); }
    double of_batches(std::uint64_t batches) const {
        return share(batches, stats_.batch_size.count());
    }
    static double share(std::uint64_t part, std::uint64_t all) {
        return all == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(all);
    }
    static std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

    const S& stats_;
};

}  // namespace batching::detail
