// Of Machine: how a batch is formed. Which of the calls that wait go together in it.
#pragma once

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/core/sentences.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>

namespace batching::detail {

BATCHER_DECL void Machine::form(Batch& batch, Line& line, DispatchReason why, Time now) noexcept {
    batch.reason = why;
    batch.started = batch.oldest = now;
    if (line.only_plain_calls() && !rules_.weighs) {
        fill(batch, line, now);
    } else {
        fill_by_terms(batch, line, now);
    }
}

BATCHER_DECL std::size_t Machine::most_in_batch() const noexcept {
    return (std::min)(rules_.max_batch_size,
                      slots_.share_of(queue_.size() + recorder_.stats().running));
}

BATCHER_NOINLINE BATCHER_DECL void Machine::fill(Batch& batch, Line& line, Time now) noexcept {
    WaitTimes waits(recorder_, now, Priority::normal);
    std::uint32_t size = 0;
    bool mixed = false;
    const Call& first = line.lane(Priority::normal).front();
    const CompletionExecutor* const executor = first.resumes_on;
    batch.oldest = first.queued_at;
    line.take(limit(most_in_batch(), first, now), batch.calls, [&](Call& call) {
        waits.next(call.queued_at, size);
        mixed |= call.resumes_on != executor;
        run_in(batch, call, size++);
    });
    waits.end(size);
    batch.items = batch.size = batch.weight = size;
    batch.mixed = mixed;
}

// What is known of a batch while it is being filled.
struct Machine::Filling {
    Time now;
    const CompletionExecutor* executor;  // of its first call
    std::size_t calls;                   // at most
    std::size_t size;                    // at most, by the options and the target
    std::size_t allowed;                 // by the earliest deadline in it, too
    std::size_t usual;                   // of what there is to fill it with
    Time unhurried;  // from then on a deadline is met by the largest batch, almost certainly
    // Once there is a deadline in it:
    std::size_t worth = 0;    // the smallest size that is worth its run,
    Time needed{};            // and what even that takes
    std::exception_ptr late;  // of calls that are let go

    // How large the next call may be, which is so large. The first always may join.
    std::size_t room(const Batch& batch, std::size_t next) const noexcept {
        const std::size_t left = allowed - (std::min)(allowed, batch.weight);
        return batch.items == 0 ? (std::max)(left, next) : left;
    }
    bool takes(const Batch& batch, std::size_t next) const noexcept {
        return batch.items != calls && next <= room(batch, next);
    }
};

BATCHER_NOINLINE BATCHER_DECL void Machine::fill_by_terms(Batch& batch, Line& line,
                                                          Time now) noexcept {
    const bool early =
        batch.reason == DispatchReason::timeout && !has_target() && rules_.due(line) > now;
    const Time aged = rules_.aged(now);
    Line::Row row = line.next_row(aged);
    Filling filling = begin_filling(line, row.lane->front(), now);
    batch.has_terms = true;
    batch.shared = rules_.shared;
    batch.line = line.in_table() ? &line : nullptr;
    batch.ends_terms = batch.line != nullptr;
    if (batch.line != nullptr) line.refer();  // it goes with its last call
    while (row.lane != nullptr) {
        rules_.weighs ? take_simple<true>(batch, line, row, filling)
                      : take_simple<false>(batch, line, row, filling);
        if (!take_careful(batch, line, row, filling)) break;
        row = line.next_row(aged);
    }
    note_cut(batch, line, early || (filling.allowed < filling.size && !line.empty()));
    if (batch.line == nullptr) return;
    if (batch.items != 0) {
        ++line.running;
        queue_.lines().served(line, rules_.weighed() ? batch.weight : batch.items);
    }
    changed(&line);
    if (batch.items == 0) line.release();
}

BATCHER_DECL Machine::Filling Machine::begin_filling(const Line& line, Call& first,
                                                     Time now) noexcept {
    const std::size_t calls = most_in_batch();
    const std::size_t size = limit(sizes_.most(calls), first, now);
    const std::size_t usual = (std::min)(size, sizes_.of(line));
    const Time unhurried = estimate_.known() ? Rules::never : (Time::min)();
    Filling filling{now, first.resumes_on, calls, size, size, usual, unhurried, 0, {}, {}};
    const Time deadline = worth_until(first, place_of(first));
    if (deadline != Rules::never && estimate_.known()) plan(filling, deadline - first.queued_at);
    return filling;
}

// Of a row, the next calls that have time, share no place, and are not traced. Without weights each counts one.
template <bool weighs>
BATCHER_NOINLINE void Machine::take_simple(Batch& batch, Line& line, const Line::Row& row,
                                           const Filling& filling) noexcept {
    WaitTimes waits(recorder_, filling.now, row.priority);
    const Call& first = row.lane->front();
    const Time oldest = first.queued_at;
    const std::size_t items = batch.items;
    std::size_t room = filling.room(batch, weighs ? first.weight : 1);
    const std::size_t calls = (std::min)(filling.calls - items, weighs ? Rules::no_limit : room);
    bool mixed = batch.mixed;
    bool ends_terms = batch.ends_terms;
    const auto takes = [&](Call& call, Taken& taken) BATCHER_INLINE_LAMBDA {
        if (taken.calls == calls) return false;
        const std::size_t size = weighs ? call.weight : 1;
        if (weighs && size > room) return false;
        if (call.plain) {
            ++taken.plain;
        } else {
            if (call.is_apart()) return false;
            if (Deadline* const its = terms_of(call).deadline) {
                if (its->at < filling.unhurried || size > filling.usual) return false;
                taken.deadline = (std::min)(taken.deadline, its->at);
                ends_terms = true;
            }
        }
        if (weighs) {
            room -= size;
            taken.weight += size;
        }
        waits.next(call.queued_at, taken.calls);
        mixed |= call.resumes_on != filling.executor;
        run_in(batch, call, items + taken.calls);
        return true;
    };
    const Taken taken = queue_.take(line, row, batch.calls, takes);
    waits.end(taken.calls);
    if (taken.calls == 0) return;
    batch.items += taken.calls;
    batch.size += taken.calls;
    batch.weight += weighs ? taken.weight : taken.calls;
    batch.oldest = (std::min)(batch.oldest, oldest);
    batch.deadline = (std::min)(batch.deadline, taken.deadline);
    batch.mixed = mixed;
    batch.ends_terms = ends_terms;
}

// The rest of the row. False: there is no room for all.
//
// A batch is first made smaller, until it meets the deadlines in it, but not under the size that is worth its run; then
// calls are let go for which even that takes too long. (Dropping only what has expired is nearly worthless: everything
// starts just before its deadline, and ends after it.)
BATCHER_NOINLINE BATCHER_DECL bool Machine::take_careful(Batch& batch, Line& line,
                                                         const Line::Row& row,
                                                         Filling& filling) noexcept {
    WaitTimes waits(recorder_, filling.now, row.priority);
    bool full = false;
    Call* hopeless = nullptr;
    const auto takes = [&](Call& call, Taken& taken) BATCHER_INLINE_LAMBDA {
        const std::size_t size = sizes_.of(call);
        full = !filling.takes(batch, size);
        if (full) return false;
        Place* const place = place_of(call);
        const Time deadline = worth_until(call, place);
        if (deadline != Rules::never && estimate_.known()) {
            if (filling.worth == 0) plan(filling, deadline - call.queued_at);
            // If nothing runs that would show whether it still takes as long, the last one is tried.
            const bool last = batch.items == 0 && line.size() == 1 && slots_.in_use() == 1;
            const Time left = deadline - filling.now;
            const Time run_time =
                size <= filling.worth ? filling.needed : estimate_.run_time_with_margin(size);
            if (left < run_time && !last) {
                if (!filling.late) filling.late = will_be_late(left, run_time);
                hopeless = &call;
                return false;
            }
            if (deadline < filling.unhurried) shrink(filling, left);
            full = !filling.takes(batch, size);
            if (full) return false;
        }
        taken.plain += call.plain ? 1 : 0;
        if (rules_.weighs) taken.weight += call.weight;
        taken.deadline = (std::min)(taken.deadline, deadline_of(call));
        waits.next(call.queued_at, taken.calls);
        batch.oldest = (std::min)(batch.oldest, call.queued_at);
        batch.mixed |= call.resumes_on != filling.executor;
        batch.weight += size;
        take_place(batch, call, place);
        return true;
    };
    waits.end(queue_.take(line, row, batch.calls, takes).calls);
    if (hopeless != nullptr) fail_place(*hopeless, filling.late, [&] { recorder_.expired(); });
    return !full;
}

// The next place in a batch, with those that share it.
BATCHER_DECL void Machine::take_place(Batch& batch, Call& call, Place* place) noexcept {
    const auto add = [&](Call& one) {
        run_in(batch, one, batch.items);
        ++batch.size;
        batch.deadline = (std::min)(batch.deadline, deadline_of(one));
    };
    add(call);
    batch.ends_terms |= !call.plain;
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

// What the deadlines mean for a batch, of calls that have such a timeout.
BATCHER_NOINLINE BATCHER_DECL void Machine::plan(Filling& filling, Time timeout) noexcept {
    const std::uint64_t came = sizes_.came_so_far(recorder_.stats().submitted);
    estimate_.arrived(filling.now, came, timeout);
    filling.worth = estimate_.floor(timeout, sizes_.usual_most(filling.calls));
    filling.needed = estimate_.run_time_with_margin((std::min)(filling.usual, filling.worth));
    filling.unhurried = Rules::after(filling.now, run_time_to_meet(filling.usual));
}

// It becomes so small that it is done when this time is left, but no smaller than is worth its run.
BATCHER_DECL void Machine::shrink(Filling& filling, Time left) const noexcept {
    const std::size_t meets =
        (std::max)(filling.worth, estimate_.largest_meeting(left, filling.usual));
    filling.allowed = (std::min)(filling.allowed, meets);
}

// Why it has no more items than it has.
BATCHER_DECL void Machine::note_cut(const Batch& batch, const Line& line,
                                    bool by_deadline) noexcept {
    if (batch.items == 0 || batch.items == rules_.max_batch_size) return;
    const bool heavy = batch.weight == rules_.max_batch_weight ||
                       (!line.empty() && rules_.latency_target == Rules::never);
    if (by_deadline) {
        recorder_.cut_by_deadline();
    } else if (rules_.weighed() && heavy) {
        recorder_.cut_by_weight();
    } else if (batch.line != nullptr && line.empty() && !queue_.empty()) {
        recorder_.cut_by_key();
    }
}

// Whoever shares a place comes back with its leader: the same index, and others get a copy, too.
BATCHER_NOINLINE BATCHER_DECL void Machine::gather(Batch& batch) noexcept {
    batch.calls.for_each([](Call& call) { call.shares = false; });
    if (batch.sharers.empty()) return;
    batch.calls.for_each([](Call& call) { call.shares = true; });
    batch.sharers.for_each([](Call& call) { call.shares = true; });
    batch.calls.splice(batch.sharers);
}

// ---- its size by the target ------------------------------------------------------------------------------

BATCHER_NOINLINE BATCHER_DECL std::size_t Machine::limit_by_target(std::size_t most,
                                                                   const Call& first,
                                                                   Time now) noexcept {
    if (!estimate_.known()) return most;
    estimate_.arrived(now, sizes_.came_so_far(recorder_.stats().submitted), rules_.latency_target);
    const Time left = Rules::after(first.queued_at, rules_.latency_target) - now;
    return target_size(left, sizes_.of(first), most);
}

// A batch is made as small as its first call needs to be done within the target, but not smaller than the throughput
// needs. If that call is late in any case, the others gain most from a large one. (A size that only keeps up with what
// arrives would never make up for what waits, as no call is let go here: in five of 72 simulated cases 3 to 6 % of the goodput
// of batches that take what waits were lost. With a twentieth more it is 3 % in one.)
BATCHER_DECL std::size_t Machine::target_size(Time left, std::size_t first,
                                              std::size_t most) const noexcept {
    if (left < estimate_.run_time(first)) return most;
    return (std::max)(least_size(), estimate_.largest_meeting(left, most));
}
BATCHER_DECL std::size_t Machine::least_size() const noexcept {
    return estimate_.floor(rules_.latency_target, sizes_.usual_most(most_in_batch()), 1.05);
}

}  // namespace batching::detail
