// Terms: what a caller asked for, and what the rules of a Batcher say of its item, beside what stands in its call.
//
// A plain call has asked for nothing, and no rule of its Batcher gives it a key, a place or a context (a weight stands in
// the call); its terms are never looked at, nor set. They stand before the call in memory, so that a plain call and its
// item lie together.
#pragma once

#include <batcher/detail/core/call.hpp>
#include <batcher/detail/core/heap.hpp>
#include <batcher/detail/core/interned.hpp>
#include <batcher/priority.hpp>

namespace batching::detail {

class ItemCall;

// By when a call wants its result.
struct Deadline : HeapLink {
    Time at;
    ItemCall* call;  // null: it has passed, and is not watched until its batch is loaded
    bool in_row;     // where it is watched: deadlines.hpp
};

struct Terms {
    Interned*
        group;  // the place that it shares, or the line of its key; null: neither (group_of() has it)
    Deadline* deadline;  // kept by its owner for as long as the call is pending; null: it has time
};

// A call with an item.
class ItemCall : public Terms, public Call {
protected:
    ~ItemCall() = default;
};

// Precondition: the call is not plain.
inline ItemCall& terms_of(Call& call) noexcept { return static_cast<ItemCall&>(call); }
inline const ItemCall& terms_of(const Call& call) noexcept {
    return static_cast<const ItemCall&>(call);
}

// In which a call waits, or has waited.
inline Priority class_of(const Call& call) noexcept {
    return call.plain ? Priority::normal : call.lane;
}
// Time::max(): it has time.
inline Time deadline_of(const ItemCall& call) noexcept {
    return call.deadline == nullptr ? (Time::max)() : call.deadline->at;
}
inline Time deadline_of(const Call& call) noexcept {
    return call.plain ? (Time::max)() : deadline_of(terms_of(call));
}

}  // namespace batching::detail
