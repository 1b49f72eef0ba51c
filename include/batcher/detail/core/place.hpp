// Place: the place in a batch that equal items share.
//
// One of the calls leads: it stands in the queue with its item. The others stand here, and take over if it leaves. When
// the batch is formed they go along, without their items, and get copies of the leader's result.
#pragma once

#include <algorithm>
#include <array>
#include <batcher/detail/core/line.hpp>
#include <batcher/detail/core/terms.hpp>
#include <batcher/detail/core/traced.hpp>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

struct Place : Interned {
    // In a line, or null: there are no keys.
    Place(KeyTable* table, Line* l) noexcept : Interned(table), line(l) {
        if (line != nullptr) line->refer();
    }
    void let_go() noexcept {
        if (line != nullptr) line->release();
    }

    // A call comes to wait for it (1), or does so no longer (-1).
    void count(const Call& call, int by) noexcept {
        classes[static_cast<std::size_t>(call.priority)] += static_cast<std::size_t>(by);
    }
    // The highest class of those that wait for it.
    Priority priority() const noexcept {
        if (classes[2] != 0) return Priority::high;
        return classes[1] != 0 ? Priority::normal : Priority::low;
    }
    // The latest deadline of those that wait for it: until then it is worth running.
    Time deadline() noexcept {
        Time latest = deadline_of(*leader);
        sharers.for_each([&](Call& call) { latest = (std::max)(latest, deadline_of(call)); });
        return latest;
    }

    Line* const line;
    ItemCall* leader = nullptr;            // while it waits
    CallList sharers;                      // without the leader
    std::array<std::size_t, 3> classes{};  // how many wait for it, of each
    Batch* batch = nullptr;  // that may be joined while it runs, if it still has this number:
    std::uint64_t batch_number = 0;
    std::uint32_t index = 0;  // in that
};

// The place that a call shares, or null. (Of an ItemCall: precondition: it is not plain.)
inline Place* place_of(const ItemCall& call) noexcept {
    return call.in_place ? static_cast<Place*>(group_of(call)) : nullptr;
}
inline Place* place_of(const Call& call) noexcept {
    return call.plain ? nullptr : place_of(terms_of(call));
}
// The line of its key; null: there are no keys. `place` is that of the call.
inline Line* line_of(const ItemCall& call, const Place* place) noexcept {
    return place != nullptr ? place->line : static_cast<Line*>(group_of(call));
}
inline Line* line_of(const ItemCall& call) noexcept { return line_of(call, place_of(call)); }
// Until when a call that waits is worth running: for those that share its place.
inline Time worth_until(const Call& call, Place* place) noexcept {
    return place == nullptr ? deadline_of(call) : place->deadline();
}

}  // namespace batching::detail
