// Rules: what the options say about how many calls may wait, and when a batch may leave, and for what reason.
#pragma once

#include <algorithm>
#include <batcher/detail/core/line.hpp>
#include <batcher/dispatch_reason.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace batching::detail {

// How many of some calls may come in, and why not all.
struct Admission {
    std::size_t accepted;
    bool closed;
    std::size_t waiting;  // those that are accepted included
    std::size_t max_queue_size;
};
enum class Accept : std::uint8_t { all_or_none, as_many_as_fit };

// When to decide again, if no other event comes.
struct Outlook {
    std::optional<Time> wake_at;   // at this instant, or earlier
    std::size_t notify_after = 0;  // after so many arrivals; 0: however many there are
    // Calls whose deadline is then, or later, need nothing at once: there is time until wake_at, or notify_after.
    Time unhurried = (Time::max)();
};

// What an arrival counts where weights are limited: its weight in units of 2^bits, and so much that max_batch_size of them
// are a full batch. Otherwise 1.
struct Units {
    unsigned bits = std::numeric_limits<std::size_t>::digits - 1;
    std::size_t least = 1;

    // Rounded up, so that an arrival is seen early, but never late.
    std::size_t of(std::size_t weight) const noexcept {
        return (std::max)((weight >> bits) + (bits == 0 ? 0 : 1), least);
    }
    // The most that arrivals weigh that count as much as this. Where nothing is limited it says nothing.
    std::size_t weight_of(std::size_t units) const noexcept { return units << bits; }
};

struct Rules {
    static constexpr Time never = (Time::max)();
    static constexpr std::size_t no_limit = (std::numeric_limits<std::size_t>::max)();

    std::size_t max_batch_size;
    Time batch_timeout;  // never: wait until full or flushed
    std::size_t max_concurrent_batches;
    std::size_t max_queue_size = no_limit;
    Time timeout = never;  // of every call, from when it was queued to its result
    Time priority_aging = never;
    Time latency_target = never;  // with it batch_timeout is 0
    // Of batchers that weigh their items, and of those that have keys:
    std::size_t max_batch_weight = no_limit;
    std::size_t max_queue_weight = no_limit;
    std::size_t max_concurrent_batches_per_key = no_limit;
    bool weighs = false;
    Units units{};
    bool keyed = false;
    bool shared = false;        // equal items share a place,
    bool join_running = false;  // also that of one that runs

    // Items have weights. Units are chosen so that a limit is no more of them than the intake can count.
    void weigh(std::size_t most_of_batch, std::size_t most_of_queue) noexcept {
        weighs = true;
        max_batch_weight = most_of_batch;
        max_queue_weight = most_of_queue;
        const std::size_t smaller = (std::min)(most_of_batch, most_of_queue);
        if (smaller == no_limit) return;
        units.bits = 0;
        while (smaller >> units.bits > 0x7fff) ++units.bits;
        if (weighed()) units.least = ((max_batch_weight >> units.bits) - 1) / max_batch_size + 1;
    }

    Admission admit(std::size_t waiting, bool closed, std::size_t count,
                    Accept accept) const noexcept {
        const std::size_t room = closed ? 0 : max_queue_size - (std::min)(max_queue_size, waiting);
        const std::size_t accepted = count <= room                   ? count
                                     : accept == Accept::all_or_none ? 0
                                                                     : room;
        return {accepted, closed, waiting + accepted, max_queue_size};
    }

    // Why a batch may leave now, given a slot; none: it may not.
    std::optional<DispatchReason> reason(const Line& line, bool closed, Time now) const noexcept {
        if (line.empty()) return std::nullopt;
        if (is_full(line)) return DispatchReason::full;
        if (closed || line.flushed()) return DispatchReason::flushed;
        if (due(line) <= now) return DispatchReason::timeout;
        return std::nullopt;
    }

    bool is_full(const Line& line) const noexcept {
        return line.size() >= max_batch_size || (weighed() && line.weight() >= max_batch_weight);
    }
    std::size_t full_batches(const Line& line) const noexcept {
        if (!is_full(line)) return 0;
        const std::size_t by_size = line.size() / max_batch_size;
        return weighed() ? (std::max)(by_size, line.weight() / max_batch_weight) : by_size;
    }

    // When the oldest call has waited long enough. Precondition: there is one.
    Time due(const Line& line) const noexcept {
        return after(line.oldest().queued_at, batch_timeout);
    }

    // When a call fails, if it has no result by then.
    Time deadline(const Call& call) const noexcept { return after(call.queued_at, timeout); }

    // Those that were queued then, or before, count as of the highest class.
    Time aged(Time now) const noexcept {
        return priority_aging == never ? (Time::min)() : now - priority_aging;
    }

    // The arrival that has to be seen: with it the next batch has the calls that it needs to start (0: no slot
    // is free, and one that is freed asks again), or is full; or it may not be accepted; or all is closed.
    std::size_t notify_after(std::size_t waiting, std::size_t weight, bool closed,
                             std::size_t needed) const noexcept {
        if (closed) return 1;
        const std::size_t wanted = needed == 0        ? no_limit
                                   : keyed            ? 1
                                   : waiting < needed ? needed - waiting
                                                      : until_full(waiting, weight);
        const std::size_t refused = limited() ? until_refused(waiting, weight) : no_limit;
        const std::size_t first = (std::min)(wanted, refused);
        return first == no_limit ? 0 : first;
    }
    bool limited() const noexcept {
        return max_queue_size != no_limit || max_queue_weight != no_limit;
    }
    bool weighed() const noexcept { return max_batch_weight != no_limit; }

    static Time after(Time since, Time time) noexcept {
        return since > never - time ? never : since + time;
    }

private:
    // Both in units.
    std::size_t until_full(std::size_t waiting, std::size_t weight) const noexcept {
        const std::size_t by_size = (max_batch_size - waiting % max_batch_size) * units.least;
        if (!weighed()) return by_size;
        const std::size_t left = (max_batch_weight - weight % max_batch_weight) >> units.bits;
        return std::clamp<std::size_t>(left, 1, by_size);
    }
    std::size_t until_refused(std::size_t waiting, std::size_t weight) const noexcept {
        const auto room = [](std::size_t most, std::size_t taken) {
            return most - (std::min)(most, taken);
        };
        const std::size_t by_size =
            max_queue_size == no_limit ? no_limit : room(max_queue_size, waiting) + 1;
        if (max_queue_weight == no_limit) return by_size;
        return (std::min)(by_size, (room(max_queue_weight, weight) >> units.bits) + 1);
    }
};

}  // namespace batching::detail
