// The functions of Machine for calls with terms: classes, deadlines, weights, keys, and places that are shared.
#pragma once

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/core/machine_admission.hpp>
#include <batcher/detail/core/sentences.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace batching::detail {

// ---- coming in ------------------------------------------------------------------------------------------

BATCHER_NOINLINE BATCHER_DECL void Machine::arrived_with_terms(Link* newest) noexcept {
    if (has_target()) note_arrivals(newest);
    std::size_t count = 0;
    for (Link* link = CallList::reversed(newest); link != nullptr; ++count) {
        Call& call = *static_cast<Call*>(std::exchange(link, link->next));
        wait(terms_of(call));
    }
    recorder_.accepted(count);
}

// A chain of plain calls. Returns how many those are.
BATCHER_DECL std::size_t Machine::wait(Link* newest) noexcept {
    const Amount came = queue_.main().push(newest, rules_.weighs);
    sizes_.came(came.weight);
    return came.calls;
}

BATCHER_DECL void Machine::arrived_with_terms(ItemCall& call) noexcept {
    recorder_.accepted(1);
    if (has_target()) echo_.arrived(call.queued_at);
    wait(call);
}

BATCHER_DECL void Machine::wait(ItemCall& call) noexcept {
    if (call.plain) {
        call.Link::next = nullptr;
        wait(static_cast<Link*>(&call));
        return;
    }
    if (call.deadline != nullptr) {
        deadlines_.push(*call.deadline);
        had_deadlines_ = true;
    }
    if (call.group != nullptr) return wait_with_others(call);
    sizes_.came(call.weight);
    queue_.push(call, nullptr);
}

// Of those that share a place, or have a key.
BATCHER_DECL void Machine::wait_with_others(ItemCall& call) noexcept {
    Place* const place = place_of(call);
    if (place != nullptr && share(call, *place)) return;
    sizes_.came(call.weight);
    Line* const line = line_of(call, place);
    queue_.push(call, line);
    if (line != nullptr && queue_.lines().changes_by(*line, call)) changed(line);
}

BATCHER_DECL bool Machine::may_be_joined(const Place& place) noexcept {
    const Batch* const batch = place.batch;
    return batch != nullptr && batch->number == place.batch_number && !batch->stop_requested &&
           (batch->phase == BatchPhase::loading || batch->phase == BatchPhase::running);
}

// It needs no room of its own.
BATCHER_DECL bool Machine::joins(const ItemCall& call) noexcept {
    const Place* const place = call.plain ? nullptr : place_of(call);
    return place != nullptr && (place->leader != nullptr || may_be_joined(*place));
}

BATCHER_DECL bool Machine::share(ItemCall& call, Place& place) noexcept {
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
        run_in(*batch, call, place.index);
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

BATCHER_DECL void Machine::put_in_class(Place& place) noexcept {
    ItemCall& leader = *place.leader;
    const Priority priority = place.priority();
    if (priority == leader.lane) return;
    queue_.move(leader, priority, place.line);
    changed(place.line);
}

BATCHER_NOINLINE BATCHER_DECL void Machine::leave_queue(ItemCall& call) noexcept {
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
        queue_.replace(call, heir, place->line);
        place->leader = &heir;
        changed(place->line);
    }
    put_in_class(*place);
}

// Its deadline is not watched any more, and it refers to nothing that equal keys share.
BATCHER_DECL void Machine::end_terms(ItemCall& call) noexcept {
    end_deadline(call);
    release_shared(call);
}
BATCHER_DECL void Machine::end_deadline(ItemCall& call) noexcept {
    if (call.deadline != nullptr && call.deadline->call != nullptr)
        deadlines_.erase(*call.deadline);
}
BATCHER_DECL void Machine::release_shared(ItemCall& call) noexcept {
    if (call.group != nullptr) call.group->release();
}

BATCHER_NOINLINE BATCHER_DECL void Machine::end_terms(Batch& batch) noexcept {
    Releases releases;
    batch.calls.for_each([&](Call& one) {
        if (one.plain) return;
        ItemCall& call = terms_of(one);
        end_deadline(call);
        if (call.group != nullptr) releases.add(*call.group);
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

BATCHER_DECL void Machine::changed(Line* line) noexcept {
    if (line == nullptr) return;
    queue_.lines().changed(*line, line->empty() ? Rules::never : due(*line, (Time::max)()),
                           closed_);
}

// Lines may have become due.
BATCHER_DECL void Machine::pass_time(Time now) noexcept {
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

}  // namespace batching::detail
