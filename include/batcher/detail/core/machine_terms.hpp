// The functions of Machine for calls with terms: classes, deadlines, weights, keys, and places that are shared.
#pragma once

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/core/machine_admission.hpp>
#include <batcher/detail/core/sentences.hpp>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

// ---- coming in ------------------------------------------------------------------------------------------

BATCHER_NOINLINE inline void Machine::arrived_with_terms(Link* newest) noexcept {
    CallList calls;
    calls.append_reversed(newest);
    calls.for_each([&](Call& call) {
        if (!call.plain) return arrived_with_terms(terms_of(call));
        call.Link::next = nullptr;
        arrived(&call);
    });
}

inline void Machine::arrived_with_terms(ItemCall& call) noexcept {
    recorder_.accepted(1);
    if (has_target()) echo_.arrived(call.queued_at);
    if (call.deadline != nullptr) {
        deadlines_.push(*call.deadline);
        had_deadlines_ = true;
    }
    call.lane = call.priority;
    Place* const place = place_of(call);
    if (place != nullptr && share(call, *place)) return;
    sizes_.came(call);
    Line* const line = line_of(call, place);
    queue_.push(call, line);
    changed(line);
}

inline bool Machine::may_be_joined(const Place& place) noexcept {
    const Batch* const batch = place.batch;
    return batch != nullptr && batch->number == place.batch_number && !batch->stop_requested &&
           (batch->phase == BatchPhase::loading || batch->phase == BatchPhase::running);
}

// It needs no room of its own.
inline bool Machine::joins(const ItemCall& call) noexcept {
    const Place* const place = place_of(call);
    return place != nullptr && (place->leader != nullptr || may_be_joined(*place));
}

inline bool Machine::share(ItemCall& call, Place& place) noexcept {
    if (place.leader != nullptr) {
        place.sharers.push_back(call);
        place.count(call, 1);
        ++sharing_;
        recorder_.deduplicated();
        put_in_class(place);
        return true;
    }
    if (may_be_joined(place)) {
        Batch* const batch = place.batch;
        call.state(CallState::running);
        call.batch = batch;
        call.index = place.index;
        batch->sharers.push_back(call);
        ++batch->size;
        batch->mixed = true;
        recorder_.deduplicated();
        recorder_.joined_running();
        return true;
    }
    place.leader = &call;
    place.count(call, 1);
    return false;
}

// ---- leaving --------------------------------------------------------------------------------------------

inline void Machine::put_in_class(Place& place) noexcept {
    ItemCall& leader = *place.leader;
    const Priority priority = place.priority();
    if (priority == leader.lane) return;
    queue_.move(leader, priority);
    changed(place.line);
}

BATCHER_NOINLINE inline void Machine::leave_queue(ItemCall& call) noexcept {
    Place* const place = place_of(call);
    if (place != nullptr) place->count(call, -1);
    if (place == nullptr || (place->leader == &call && place->sharers.empty())) {
        if (place != nullptr) place->leader = nullptr;
        Line* const line = line_of(call, place);
        queue_.erase(call, line);
        changed(line);
        return;
    }
    --sharing_;
    if (place->leader != &call) {
        CallList::unlink(call);
    } else {
        ItemCall& heir = terms_of(*place->sharers.pop_front());
        queue_.replace(call, heir);
        place->leader = &heir;
        changed(place->line);
    }
    put_in_class(*place);
}

// Its deadline is not watched any more, and it refers to nothing that equal keys share.
BATCHER_NOINLINE inline void Machine::end_terms(ItemCall& call) noexcept {
    if (call.deadline != nullptr && call.deadline->call != nullptr)
        deadlines_.erase(*call.deadline);
    release_shared(call);
}
inline void Machine::release_shared(ItemCall& call) noexcept {
    if (call.group != nullptr) call.group->release();
}

BATCHER_NOINLINE inline void Machine::end_terms(Batch& batch) noexcept {
    batch.calls.for_each([&](Call& call) {
        if (!call.plain) end_terms(terms_of(call));
    });
    if (batch.line == nullptr) return;
    --batch.line->running;
    changed(batch.line);
    batch.line->release();
}

template <class Record>
void Machine::fail_place(Call& call, const std::exception_ptr& error, Record record) noexcept {
    const auto fail = [&](Call& one) {
        take_out(one);
        record();
        outbox_.complete(one, error);
    };
    Place* const place = place_of(call);
    if (place != nullptr) place->sharers.for_each(fail);
    fail(call);
}

// ---- lines ----------------------------------------------------------------------------------------------

inline void Machine::changed(Line* line) noexcept {
    if (line == nullptr) return;
    queue_.lines().changed(*line, line->empty() ? Rules::never : due(*line, (Time::max)()),
                           closed_);
}

// Lines may have become due.
inline void Machine::pass_time(Time now) noexcept {
    while (Line* const line = queue_.lines().next_due(now)) changed(line);
}

template <class Change>
void Machine::each_line(Change change) noexcept {
    if (!rules_.keyed) return;
    queue_.lines().for_each([&](Line& line) {
        change(line);
        changed(&line);
    });
}

// ---- together in a batch --------------------------------------------------------------------------------

// A batch is first made smaller, until it meets the deadlines in it, but not under the size that is worth its run; then
// calls are let go for which even that takes too long. (Dropping only what has expired is nearly worthless: everything
// starts just before its deadline, and ends after it.)
BATCHER_NOINLINE inline void Machine::fill_by_terms(Batch& batch, Line& line, Time now) noexcept {
    const Time aged = rules_.aged(now);
    const std::size_t most_calls = most_in_batch();
    const std::size_t limited = limit(sizes_.most(most_calls), *line.next(aged), now);
    const std::size_t most = (std::min)(limited, sizes_.of(line));
    std::size_t allowed = limited;  // by the earliest deadline, too
    std::size_t worth = 0;  // the smallest size that is worth its run; 0: not asked yet, nor
    Time needed{};          // what even that takes,
    Time ample{};           // and what a batch of `most` takes almost certainly
    std::exception_ptr late;
    WaitTimes waited(recorder_, now);
    batch.has_terms = true;
    batch.shared = rules_.shared;
    batch.line = line.in_table() ? &line : nullptr;
    if (batch.line != nullptr) line.refer();  // it goes with its last call
    const auto fits = [&](std::size_t size, std::size_t limit) {
        return batch.items == 0 || size <= limit - (std::min)(limit, batch.weight);
    };
    while (batch.items < most_calls) {
        Call* const call = line.next(aged);
        if (call == nullptr) break;
        const std::size_t size = sizes_.of(*call);
        if (!fits(size, allowed)) break;
        Place* const place = place_of(*call);
        const Time deadline = worth_until(*call, place);
        if (deadline != Rules::never && estimate_.known()) {
            if (worth == 0) {
                const Time timeout = deadline - call->queued_at;
                estimate_.arrived(now, sizes_.came_so_far(recorder_.stats().submitted), timeout);
                worth = estimate_.floor(timeout, sizes_.usual_most(most_calls));
                needed = estimate_.run_time_with_margin((std::min)(most, worth));
                ample = estimate_.met_by(most);
            }
            // If nothing runs that would show whether it still takes as long, the last one is tried.
            const bool last = batch.items == 0 && line.size() == 1 && slots_.in_use() == 1;
            const Time takes = size <= worth ? needed : estimate_.run_time_with_margin(size);
            if (deadline - now < takes && !last) {
                if (!late) late = will_be_late(deadline - now, takes);
                fail_place(*call, late, [&] { recorder_.expired(); });
                continue;
            }
            if (deadline - now < ample) {
                const std::size_t meets =
                    (std::max)(worth, estimate_.largest_meeting(deadline - now, most));
                allowed = (std::min)(allowed, meets);
                if (!fits(size, allowed)) break;
            }
        }
        batch.weight += size;
        waited.note(call->queued_at);
        take(batch, *call, place, now);
    }
    note_cut(batch, line, allowed < limited);
    if (batch.line == nullptr) return;
    if (batch.items != 0) {
        ++line.running;
        queue_.lines().served(line, rules_.weighed() ? batch.weight : batch.items);
    }
    changed(&line);
    if (batch.items == 0) line.release();
}

// Why it has no more items than it has.
inline void Machine::note_cut(const Batch& batch, const Line& line, bool by_deadline) noexcept {
    if (batch.items == 0 || batch.items == rules_.max_batch_size) return;
    const bool heavy = batch.weight == rules_.max_batch_weight ||
                       (!line.empty() && rules_.latency_target == Rules::never);
    if (by_deadline && !line.empty()) {
        recorder_.cut_by_deadline();
    } else if (rules_.weighed() && heavy) {
        recorder_.cut_by_weight();
    } else if (batch.line != nullptr && line.empty() && !queue_.empty()) {
        recorder_.cut_by_key();
    }
}

inline void Machine::take(Batch& batch, Call& call, Place* place, Time now) noexcept {
    const auto add = [&](Call& one) {
        one.state(CallState::running);
        one.batch = &batch;
        one.index = static_cast<std::uint32_t>(batch.items);
        ++batch.size;
        batch.deadline = (std::min)(batch.deadline, deadline_of(one));
    };
    queue_.erase(call, batch.line);
    if (!batch.calls.empty()) batch.mixed |= batch.calls.front().resumes_on != call.resumes_on;
    batch.calls.push_back(call);
    add(call);
    batch.oldest = (std::min)(batch.oldest, call.queued_at);
    recorder_.waited(now - call.queued_at, class_of(call));
    if (place != nullptr) {
        place->leader = nullptr;
        place->classes = {};
        batch.mixed |= !place->sharers.empty();
        while (Call* const sharer = place->sharers.pop_front()) {
            add(*sharer);
            batch.sharers.push_back(*sharer);
            --sharing_;
        }
        if (rules_.join_running) {
            place->batch = &batch;
            place->batch_number = batch.number;
            place->index = static_cast<std::uint32_t>(batch.items);
        }
    }
    ++batch.items;
}

// Whoever shares a place comes back with its leader: the same index, and others get a copy, too.
BATCHER_NOINLINE inline void Machine::gather(Batch& batch) noexcept {
    batch.calls.for_each([](Call& call) { call.shares = false; });
    if (batch.sharers.empty()) return;
    batch.calls.for_each([](Call& call) { call.shares = true; });
    batch.sharers.for_each([](Call& call) { call.shares = true; });
    batch.calls.splice(batch.sharers);
}

}  // namespace batching::detail
