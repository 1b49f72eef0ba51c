// Line: the calls of one key that wait, a lane for each class. Without keys there is one line.
//
// Served next is the call of the highest class that came first. A call that has waited for longer than the aging time
// counts as high, so that no class starves.
#pragma once

#include <algorithm>
#include <array>
#include <batcher/detail/core/heap.hpp>
#include <batcher/detail/core/interned.hpp>
#include <batcher/detail/core/lane.hpp>
#include <batcher/detail/core/terms.hpp>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

class Line : public Interned, public HeapLink {
public:
    explicit Line(KeyTable* table = nullptr) noexcept : Interned(table) {}

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size() == 0; }
    // Of calls that are not plain.
    std::size_t weight() const noexcept { return weight_; }
    // It is of a key.
    bool in_table() const noexcept { return has_table(); }
    bool only_plain_calls() const noexcept { return with_terms_ == 0; }

    const Lane& lane(Priority priority) const noexcept {
        return lanes_[static_cast<std::size_t>(priority)];
    }

    // ---- coming in --------------------------------------------------------------------------------------

    // A chain of plain calls that leads by `next` from the newest to the oldest. Returns how many those were.
    std::size_t push(Link* newest) noexcept {
        const std::size_t count = normal().push(newest);
        size_ += count;
        return count;
    }
    // One that has terms.
    void push(ItemCall& call) noexcept {
        lane_of(call).insert(call);
        ++size_;
        weight_ += call.weight;
        ++with_terms_;
        came(deadline_of(call));
    }

    // ---- leaving ----------------------------------------------------------------------------------------

    // A plain one.
    void erase(Call& call) noexcept {
        --size_;
        normal().erase(call);
    }
    void erase(ItemCall& call) noexcept {
        --size_;
        lane_of(call).erase(call);
        weight_ -= call.weight;
        --with_terms_;
        left(deadline_of(call));
    }
    // `by` waits instead, in the same place, and since the same time.
    void replace(ItemCall& call, ItemCall& by) noexcept {
        by.lane = call.lane;
        by.queued_at = call.queued_at;
        lane_of(call).replace(call, by);
        weight_ += by.weight - call.weight;
        left(deadline_of(call));
        came(deadline_of(by));
    }
    // It goes on waiting in another lane, behind those that were queued before it. What may leave in a batch that is not
    // full still may; all of that lane does then.
    void move(ItemCall& call, Priority to) noexcept {
        const bool flushed = lane_of(call).flushed();
        lane_of(call).erase(call);
        call.lane = to;
        lane_of(call).insert(call);
        if (flushed) lane_of(call).flush();
    }
    // Moves the next calls, at most `limit`, to the end of `to`, and calls `visit` with each. Precondition: there are
    // some, all are plain, and `limit` is not 0.
    template <class Visit>
    void take(std::size_t limit, CallList& to, Visit visit) {
        limit = (std::min)(limit, size_);
        size_ -= limit;
        normal().take(limit, to, visit);
    }

    // ---- looking ----------------------------------------------------------------------------------------

    // The call that is served next, or null. Those that were queued at `aged` or before count as high. O(1).
    Call* next(Time aged) const noexcept {
        Call* first = nullptr;
        for (const Lane* lane = lanes_.end(); lane != lanes_.begin();) {
            --lane;
            if (lane->empty()) continue;
            Call& call = lane->front();
            const bool high = lane == &lanes_.back() || call.queued_at <= aged;
            if (first == nullptr || (high && call.queued_at < first->queued_at)) first = &call;
        }
        return first;
    }

    // The call that has waited longest. Precondition: there is one.
    Call& oldest() const noexcept {
        if (only_plain_calls()) return lane(Priority::normal).front();
        Call* oldest = nullptr;
        for (const Lane& lane : lanes_) {
            if (lane.empty()) continue;
            Call& first = lane.front();
            if (oldest == nullptr || first.queued_at < oldest->queued_at) oldest = &first;
        }
        return *oldest;
    }

    // Of all calls; Time::max(): none has one. O(1), but O(n) where the call that had it has left since.
    Time earliest_deadline() noexcept {
        if (earliest_has_left_) {
            earliest_has_left_ = false;
            earliest_deadline_ = (Time::max)();
            for_each([&](Call& call) { came(deadline_of(call)); });
        }
        return earliest_deadline_;
    }

    // Calls `visit` with each call; it may erase that call.
    template <class Visit>
    void for_each(Visit visit) {
        for (Lane& lane : lanes_) lane.for_each(visit);
    }

    // Calls that wait now may leave in a batch that is not full.
    void flush() noexcept {
        for (Lane& lane : lanes_) lane.flush();
    }
    bool flushed() const noexcept {
        return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& l) { return l.flushed(); });
    }

    std::size_t running = 0;  // batches

private:
    friend class Lines;

    Lane& normal() noexcept { return lanes_[static_cast<std::size_t>(Priority::normal)]; }
    Lane& lane_of(const Call& call) noexcept { return lanes_[static_cast<std::size_t>(call.lane)]; }

    void came(Time deadline) noexcept {
        earliest_deadline_ = (std::min)(earliest_deadline_, deadline);
    }
    void left(Time deadline) noexcept {
        earliest_has_left_ |= deadline == earliest_deadline_ && deadline != (Time::max)();
    }

    std::array<Lane, 3> lanes_;
    std::size_t size_ = 0;
    std::size_t weight_ = 0;
    std::size_t with_terms_ = 0;  // calls
    Time earliest_deadline_ = (Time::max)();
    bool earliest_has_left_ = false;

    // Of Lines:
    struct Turn {
        std::uint64_t position;
        bool again;            // it was ready before
        std::uint64_t number;  // of those at the same position
        auto operator<=>(const Turn&) const = default;
    };
    Turn turn_;                 // while it is ready
    Line* previous_ = nullptr;  // in the list of those with calls
    Line* next_ = nullptr;
    std::size_t batches_ = 0;     // that could start now; if there are any it is ready
    Time due_ = (Time::max)();    // what it waits for in the heap
    bool listed_ = false;         // it has calls, and is in the list
    bool waits_for_due_ = false;  // it is in the heap
};

}  // namespace batching::detail
