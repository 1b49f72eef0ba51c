// Scheduler: the core. Decides when a batch leaves and which items it takes.
//
// It does no I/O, knows no thread and reads no clock: events go in with the time they happened at, and
// decide() says what to do next. All of the rules "when a batch leaves" are here and tested here.
//
//     submit, remove, flush, close, finished  ->  decide(now)  ->  start a batch / look again at / after
//     take(now)  ->  the items of a started batch, formed at the last moment
//
// The order of service belongs to this class alone: deadlines, priorities, weights or keys would change
// submit() and take(), and nothing outside.
#pragma once

#include <algorithm>
#include <batcher/detail/waiter.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace batching::detail {

// Why a batch left; none: it did not.
enum class Left : std::uint8_t { none, full, timeout, flushed };

// `Item` is a Link with `queued_at` (Clock::time_point) and `ticket` (std::uint64_t, set here; the same
// for items that were submitted together).
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
        ++last_ticket_;
        queue_.append_reversed(newest, [this](Item& item) {
            item.ticket = last_ticket_;
            ++waiting_;
            ++submitted_;
        });
    }

    // A waiting item leaves the queue; those behind it move up. O(1).
    void remove(Item& item) noexcept {
        WaiterList<Item>::unlink(item);
        --waiting_;
    }

    // What waits now may leave in a batch that is not full.
    void flush() noexcept { flushed_ = std::max(flushed_, last_ticket_); }

    // From now on every waiting item may.
    void close() noexcept { flushed_ = std::numeric_limits<std::uint64_t>::max(); }

    // Calls `visit` with each waiting item; it may remove that item.
    template <class Visit>
    void for_each(Visit visit) {
        queue_.for_each(visit);
    }

    // All waiting items leave the queue uncalled.
    void remove_all(WaiterList<Item>& to) noexcept {
        to.splice(queue_);
        waiting_ = 0;
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

    // Forms a batch that decide() started: moves the oldest items, up to max_batch_size, to `batch`, and
    // calls `visit` with each. Left::none, and the slot is free again, if those it was started for have
    // been removed since.
    template <class Visit>
    Left take(time_point now, WaiterList<Item>& batch, Visit visit) {
        --starting_;
        if (!ready(now)) {
            --slots_taken_;
            return Left::none;
        }
        const Left why = waiting_ >= rules_.max_batch_size   ? Left::full
                         : queue_.front().ticket <= flushed_ ? Left::flushed
                                                             : Left::timeout;
        std::size_t left = std::min(waiting_, rules_.max_batch_size);
        waiting_ -= left;
        Item* item = &queue_.front();
        for (visit(*item); --left != 0; visit(*item)) item = &queue_.next(*item);
        batch.splice_front(queue_, *item);
        return why;
    }

    // A batch has run; its slot is free.
    void finished() noexcept { --slots_taken_; }

    std::uint64_t submitted() const noexcept { return submitted_; }
    std::size_t waiting() const noexcept { return waiting_; }
    bool idle() const noexcept { return waiting_ == 0 && slots_taken_ == starting_; }

private:
    // Whether a batch may leave, given a slot.
    bool ready(time_point now) const noexcept {
        if (waiting_ == 0) return false;
        return waiting_ >= rules_.max_batch_size || queue_.front().ticket <= flushed_ ||
               due(queue_.front()) <= now;
    }

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
    std::uint64_t last_ticket_ = 0;
    std::uint64_t flushed_ = 0;    // items up to this ticket may leave in a batch that is not full
    std::size_t slots_taken_ = 0;  // running, or about to
    std::size_t starting_ = 0;     // of these, started by decide() and not yet formed by take()
};

}  // namespace batching::detail
