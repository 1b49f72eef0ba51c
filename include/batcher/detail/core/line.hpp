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

    std::size_t size() const noexcept {
        return lanes_[0].size() + lanes_[1].size() + lanes_[2].size();
    }
    bool empty() const noexcept {
        return lanes_[1].empty() && lanes_[2].empty() && lanes_[0].empty();
    }
    std::size_t weight() const noexcept {
        return lanes_[0].weight() + lanes_[1].weight() + lanes_[2].weight();
    }
    // It is of a key.
    bool in_table() const noexcept { return has_table(); }
    bool only_plain_calls() const noexcept {
        return lanes_[1].only_plain_calls() && lanes_[2].empty() && lanes_[0].empty();
    }

    // False: no call has a deadline.
    bool has_deadlines() const noexcept { return earliest_deadline_ != (Time::max)(); }

    const Lane& lane(Priority priority) const noexcept {
        return lanes_[static_cast<std::size_t>(priority)];
    }

    // ---- coming in --------------------------------------------------------------------------------------

    // A chain of plain calls that leads by `next` from the newest to the oldest, or null. Returns what came.
    Amount push(Link* newest, bool weighs) noexcept { return normal().push(newest, weighs); }
    // One that has terms.
    void push(ItemCall& call) noexcept {
        lane_of(call).insert(call);
        came(deadline_of(call));
    }

    // ---- leaving ----------------------------------------------------------------------------------------

    void erase(Call& call) noexcept {
        lane_of(call).erase(call);
        left(deadline_of(call));
    }
    // `by` waits instead, in the same place, and since the same time.
    void replace(ItemCall& call, ItemCall& by) noexcept {
        by.lane = call.lane;
        by.queued_at = call.queued_at;
        lane_of(call).replace(call, by);
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
        normal().take((std::min)(limit, normal().size()), to, visit);
    }

    // Those of one lane that are served one after another: the next ones, which were queued at `until` or before.
    struct Row {
        Lane* lane;  // null: no call waits
        Priority priority;
        Time until;
    };
    // The next row. Calls that were queued at `aged` or before count as high. O(1).
    Row next_row(Time aged) noexcept {
        constexpr std::chrono::nanoseconds before{1};  // at the same time a higher class is first
        Row row{nullptr, Priority::high, (Time::max)()};
        for (const Priority priority : {Priority::high, Priority::normal, Priority::low}) {
            Lane& lane = lanes_[static_cast<std::size_t>(priority)];
            if (lane.empty()) continue;
            const Time first = lane.front().queued_at;
            const bool counts_as_high = first <= aged && priority != Priority::high;
            if (row.lane == nullptr) {
                row = {&lane, priority, counts_as_high ? aged : (Time::max)()};
            } else if (counts_as_high) {
                const Time other = row.lane->front().queued_at;
                if (first < other) {
                    row = {&lane, priority, (std::min)(aged, other - before)};
                } else {
                    row.until = (std::min)(row.until, first);
                }
            }
        }
        return row;
    }
    // Moves calls of a row to the end of `to`, as Lane::take_while() does.
    template <class Takes>
    BATCHER_INLINE Taken take(const Row& row, CallList& to, Takes takes) {
        const Taken taken = row.lane->take_while(row.until, to, takes);
        left(taken.deadline);
        return taken;
    }

    // ---- looking ----------------------------------------------------------------------------------------

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
    Lane& lane_of(const Call& call) noexcept {
        return lanes_[static_cast<std::size_t>(class_of(call))];
    }

    void came(Time deadline) noexcept {
        earliest_deadline_ = (std::min)(earliest_deadline_, deadline);
    }
    void left(Time deadline) noexcept {
        earliest_has_left_ |= deadline == earliest_deadline_ && deadline != (Time::max)();
    }

    std::array<Lane, 3> lanes_;
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
