// Scheduler: the core. Decides when a batch leaves and which items it takes.
//
// It does no I/O, knows no thread and reads no clock: events go in with the time they happened at, and
// decide() says what to do next. All of the rules "when a batch leaves" are here and tested here.
//
//     submit, remove, flush, close, finished  ->  decide(now)  ->  start a batch / look again at / after
//     take(now)  ->  the items of a started batch, formed at the last moment
//     put_back  ->  it did not run yet, and is to be formed again
//
// The order of service belongs to this class alone: deadlines, priorities, weights or keys would change
// submit() and take(), and nothing outside.
#pragma once

#include <algorithm>
#include <batcher/detail/waiter.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace batching::detail {

// Why a batch left; none: it did not.
enum class Left : std::uint8_t { none, full, timeout, flushed };

// `Item` is a Link with `queued_at` (Clock::time_point).
template <class Item, class Clock>
class Scheduler {
public:
    using duration = typename Clock::duration;
    using time_point = typename Clock::time_point;

    struct Rules {
        std::size_t max_batch_size;
        std::optional<duration> batch_timeout;  // none: wait until full or flushed
        std::size_t slots;
    };

    struct Decision {
        bool start = false;                 // reserve a slot and have it call take()
        std::optional<time_point> wake_at;  // decide again at this instant, if not earlier
        std::size_t wanted = 0;  // decide again after so many arrivals; 0: not on arrivals
    };

    explicit Scheduler(const Rules& rules) noexcept : rules_(rules) {}

    // Queues a chain of items, linked by `next` from the newest to the oldest, behind those that were
    // submitted before. O(n).
    void submit(Link* newest) noexcept {
        if (newest == nullptr) return;
        std::size_t count = 0;
        queue_.append_reversed(newest, [&](Item&) { ++count; });
        waiting_ += count;
        submitted_ += count;
    }

    // A waiting item leaves the queue; those behind it move up. O(1).
    void remove(Item& item) noexcept {
        if (&item == last_flushed_) last_flushed_ = queue_.before(item);
        WaiterList<Item>::unlink(item);
        --waiting_;
    }

    // What waits now may leave in a batch that is not full.
    void flush() noexcept {
        if (!queue_.empty()) last_flushed_ = &queue_.back();
    }

    // From now on every waiting item may.
    void close() noexcept { closed_ = true; }

    // Calls `visit` with each waiting item; it may remove that item.
    template <class Visit>
    void for_each(Visit visit) {
        queue_.for_each(visit);
    }

    // All waiting items leave the queue uncalled.
    void remove_all(WaiterList<Item>& to) noexcept {
        to.splice(queue_);
        waiting_ = 0;
        last_flushed_ = nullptr;
    }

    // What to do now. To be called after every event above, until it no longer says `start`.
    Decision decide(time_point now) noexcept {
        Decision decision;
        if (slots_taken_ == rules_.slots) return decision;  // a slot that is freed asks again
        if (starting_ > 0) {
            // A batch is about to be formed and will ask again; only more than it can take matters now.
            decision.start = waiting_ / rules_.max_batch_size > starting_;
            if (!decision.start) decision.wanted = to_next_full_batch();
        } else if (ready(now)) {
            decision.start = true;
        } else {
            // The first arrival is heard of to set the alarm for it, the last to let a full batch go.
            decision.wanted = waiting_ == 0 ? 1 : to_next_full_batch();
            if (waiting_ > 0) decision.wake_at = due(queue_.front());
        }
        if (decision.start) {
            ++starting_;
            ++slots_taken_;
        }
        return decision;
    }

    // Whether the batch that was just started may as well be formed at once: it is full, so it cannot
    // become any larger, and no other has been started that will take the oldest items.
    bool ripe() const noexcept { return full() && starting_ == 1; }

    // How many items take() would take.
    std::size_t next_size() const noexcept { return std::min(waiting_, rules_.max_batch_size); }

    struct Taken {
        Left why;      // Left::none: it does not leave, see take()
        bool flushed;  // it includes the last item that was flushed
    };

    // Forms a batch that decide() started: moves the oldest items, up to max_batch_size, to `batch`, and
    // calls `visit` with each. Left::none, and the slot is free again, if those it was started for have
    // been removed since.
    template <class Visit>
    Taken take(time_point now, WaiterList<Item>& batch, Visit visit) {
        --starting_;
        if (!ready(now)) {
            --slots_taken_;
            return {Left::none, false};
        }
        const Left why = full() ? Left::full : flushed() ? Left::flushed : Left::timeout;
        const Item* const last_flushed = last_flushed_;
        std::size_t left = next_size();
        waiting_ -= left;
        Item& first = queue_.front();
        Item* item = &first;
        for (;;) {
            visit(*item);
            if (item == last_flushed) last_flushed_ = nullptr;
            if (--left == 0) break;
            item = queue_.after(*item);
        }
        batch.splice(first, *item);
        return {why, last_flushed != nullptr && last_flushed_ == nullptr};
    }

    // The opposite of take(), for a batch of `count` items that does not run yet.
    void put_back(WaiterList<Item>& batch, std::size_t count, bool flushed) noexcept {
        ++starting_;
        waiting_ += count;
        // Those behind the last flushed item leave with it if need be: they were about to.
        if (flushed && last_flushed_ == nullptr) last_flushed_ = &batch.back();
        queue_.prepend(batch);
    }

    // A batch has run; its slot is free.
    void finished() noexcept { --slots_taken_; }

    std::uint64_t submitted() const noexcept { return submitted_; }
    std::size_t waiting() const noexcept { return waiting_; }
    const Item& oldest() const noexcept { return queue_.front(); }  // if any waits
    bool idle() const noexcept { return waiting_ == 0 && slots_taken_ == starting_; }

private:
    // Whether a batch may leave, given a slot.
    bool ready(time_point now) const noexcept {
        return waiting_ != 0 && (full() || flushed() || due(queue_.front()) <= now);
    }

    bool full() const noexcept { return waiting_ >= rules_.max_batch_size; }

    // Whether the oldest item may leave in a batch that is not full.
    bool flushed() const noexcept { return closed_ || last_flushed_ != nullptr; }

    // When an item has waited long enough.
    time_point due(const Item& item) const noexcept {
        if (!rules_.batch_timeout) return time_point::max();
        const duration timeout = *rules_.batch_timeout;
        return item.queued_at > time_point::max() - timeout ? time_point::max()
                                                            : item.queued_at + timeout;
    }

    std::size_t to_next_full_batch() const noexcept {
        return rules_.max_batch_size - waiting_ % rules_.max_batch_size;
    }

    Rules rules_;
    WaiterList<Item> queue_;
    std::size_t waiting_ = 0;
    std::uint64_t submitted_ = 0;
    Item* last_flushed_ = nullptr;  // it and those before it may leave in a batch that is not full
    bool closed_ = false;           // all may
    std::size_t slots_taken_ = 0;   // running, or about to
    std::size_t starting_ = 0;      // of these, started by decide() and not yet formed by take()
};

}  // namespace batching::detail
