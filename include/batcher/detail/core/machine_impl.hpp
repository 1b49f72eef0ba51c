// The longer functions of Machine: how a batch is formed, and what follows.
#pragma once

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/core/sentences.hpp>
#include <cstdint>

namespace batching::detail {

BATCHER_DECL void Machine::flush() noexcept {
    queue_.main().flush();
    each_line([](Line& line) { line.flush(); });
}

BATCHER_DECL void Machine::close() noexcept {
    closed_ = true;
    each_line([](Line&) {});
}

BATCHER_DECL bool Machine::ready(Batch& batch, Time now) noexcept {
    --starting_;
    starts_.saw(now - batch.started);
    batch.number = formed_ + 1;
    if (Line* const line = next_line(now)) {
        const std::optional<DispatchReason> why = reason(*line, now);
        // A line whose turn it is may have become so for a deadline that has left since.
        if (why || rules_.keyed) form(batch, *line, why.value_or(DispatchReason::timeout), now);
    }
    if (batch.items == 0) {
        slots_.give_back(batch.slot);
        return false;
    }
    ++formed_;
    recorder_.formed(batch);
    batch.phase.store(BatchPhase::loading, std::memory_order_relaxed);
    note_deadlines(batch);
    return true;
}

BATCHER_INLINE Outlook Machine::decide(Time now, bool results_sent) noexcept {
    if (rules_.keyed) pass_time(now);
    while (may_start(now)) start(now);
    if (!drains_.empty() && results_sent && idle()) {
        Batch& batch = outbox_.completed_batch(nullptr);
        drains_.for_each([&](Call& call) { Outbox::join(call, batch); });
        batch.calls.splice(drains_);
    }
    Outlook outlook;
    const std::size_t needed = slots_.needed();
    const std::size_t waiting = queue_.size();
    const std::size_t weight = rules_.weighs ? queue_.weight() : 0;
    outlook.notify_after = rules_.notify_after(waiting, weight, closed_, needed);
    if (needed != 0 && waiting >= needed && starting_ == 0) {
        outlook.wake_at = rules_.keyed ? queue_.lines().due() : due(queue_.main(), now);
        if (!rules_.keyed && held_until(queue_.main(), now) > now) {
            const std::size_t missing = echo_.missing() * rules_.units.least;
            if (outlook.notify_after == 0 || outlook.notify_after > missing)
                outlook.notify_after = missing;
        }
    }
    if (idle()) late_at_ = Rules::never;
    const Time late_at =
        deadlines_.empty() ? late_at_ : (std::min)(late_at_, deadlines_.first().at);
    if (late_at < outlook.wake_at.value_or(Rules::never)) outlook.wake_at = late_at;
    if (had_deadlines_) [[unlikely]]
        plan_for_deadlines(outlook, now);
    return outlook;
}

BATCHER_DECL std::exception_ptr Machine::refusal(const Admission& admission,
                                                 std::size_t count) const noexcept {
    if (admission.closed) return closed_error();
    return queue_full(count, admission.waiting, admission.max_queue_size, room_in());
}

BATCHER_DECL void Machine::reconfigure(const Rules& rules) {
    slots_.resize(rules.max_concurrent_batches);
    estimate_.run_on(rules.max_concurrent_batches);
    const Units units = rules_.units;  // callers who are about to arrive count by those
    rules_ = rules;
    rules_.units = units;
    each_line([](Line&) {});
}

BATCHER_DECL void Machine::stats(Stats& to) const noexcept {
    to = recorder_.stats();
    to.waiting = queue_.size() + sharing_;
    if (!estimate_.known()) return;
    const RunTimeModel& run_times = estimate_.run_times();
    to.fixed_run_time = std::chrono::duration<double, std::nano>(run_times.fixed());
    to.run_time_per_item = std::chrono::duration<double, std::nano>(run_times.per_item());
    to.run_time_deviation = run_times.deviation();
    if (!has_target()) return;
    to.least_batch_size = least_size();
    to.target_batch_size =
        target_size(rules_.latency_target, 1, sizes_.usual_most(rules_.max_batch_size));
}

BATCHER_DECL bool Machine::may_start(Time now) noexcept {
    const std::size_t needed = slots_.needed();
    if (needed == 0 || queue_.size() < needed) return false;
    if (rules_.keyed) return queue_.lines().batches() > starting_;
    if (starting_ == 0) return reason(queue_.main(), now).has_value();
    return queue_.size() / most_in_batch() > starting_ ||
           rules_.full_batches(queue_.main()) > starting_;
}

BATCHER_DECL std::optional<DispatchReason> Machine::reason(Line& line, Time now) const noexcept {
    const auto reason = rules_.reason(line, closed_, now);
    const bool held = reason == DispatchReason::timeout && held_until(line, now) > now;
    if (reason && !held) return reason;
    if (line.only_plain_calls() || leave_by(line, sizes_.of(line)) > now) return std::nullopt;
    return DispatchReason::timeout;
}

BATCHER_DECL Time Machine::due(Line& line, Time now) const noexcept {
    const Time due = (std::max)(rules_.due(line), held_until(line, now));
    return line.only_plain_calls() ? due : (std::min)(due, leave_by(line, sizes_.of(line)));
}

BATCHER_DECL void Machine::start(Time now) noexcept {
    Batch& batch = pool_.take();
    batch.started = now;
    batch.slot = slots_.take();
    batch.phase.store(BatchPhase::starting, std::memory_order_relaxed);
    ++starting_;
    outbox_.start(batch);
}

BATCHER_DECL Line* Machine::next_line(Time now) noexcept {
    if (!rules_.keyed) return &queue_.main();
    pass_time(now);
    return queue_.lines().turn();
}

// Not with many slots: those callers find the next one soon. (With eight it cost 5 % of the results of 64 callers.)
BATCHER_NOINLINE BATCHER_DECL Time Machine::held_by_echo(const Line& line,
                                                         Time now) const noexcept {
    if (rules_.keyed || rules_.max_concurrent_batches > 2 || !estimate_.known())
        return (Time::min)();
    const Time left = Rules::after(line.oldest().queued_at, rules_.latency_target) - now;
    const std::size_t most = sizes_.most(rules_.max_batch_size);
    const bool has_room = sizes_.of(line) < estimate_.largest_meeting(left, most);
    return has_room ? echo_.until() : (Time::min)();
}

BATCHER_NOINLINE BATCHER_DECL void Machine::note_arrivals(const Link* newest) noexcept {
    for (const Link* link = newest; link != nullptr; link = link->next) {
        echo_.arrived(static_cast<const Call*>(link)->queued_at);
    }
}

BATCHER_DECL void Machine::drain(Call& call) noexcept {
    close();
    call.state(CallState::completed);
    call.batch = nullptr;
    drains_.push_back(call);
}

BATCHER_DECL bool Machine::drain_cancelled(Call& call, const std::exception_ptr& error) noexcept {
    if (call.state() != CallState::completed || call.batch != nullptr) return false;
    CallList::unlink(call);
    outbox_.complete(call, error);
    return true;
}

BATCHER_DECL bool Machine::take_out(Call& call) noexcept {
    switch (call.state()) {
        case CallState::queued:
            if (call.plain) {
                if (!rules_.weighs) call.weight = 0;
                queue_.erase(call, nullptr);
            } else {
                leave_queue(terms_of(call));
            }
            break;
        case CallState::running:
            if (!undecided(call)) return false;
            CallList::unlink(call);
            recorder_.left_running();
            if (--call.batch->size == 0) outbox_.request_stop(*call.batch);
            break;
        default:
            return false;
    }
    if (!call.plain) end_terms(terms_of(call));
    return true;
}

template <class Gone>
void Machine::abandon(Gone gone, CallList& orphans) noexcept {
    const auto leave = [&](Call& call) {
        if (!gone(call.resumes_on) || !let_go(call)) return;
        call.state(CallState::completed);
        orphans.push_back(call);
    };
    queue_.for_each(leave);
    drains_.for_each([&](Call& call) {
        if (!gone(call.resumes_on)) return;
        CallList::unlink(call);
        orphans.push_back(call);
    });
    for_each_batch([&](Batch& batch) {
        batch.calls.for_each(leave);
        batch.sharers.for_each(leave);
    });
}

template <class Failures>
void Machine::not_loaded(Batch& batch, const Failures& failures) noexcept {
    const auto fail = [&](Call& call, const std::exception_ptr& error) {
        CallList::unlink(call);
        --batch.size;
        recorder_.left_running();
        recorder_.failed();
        if (!call.plain) end_terms(terms_of(call));
        outbox_.complete(call, error);
    };
    if (failures.empty() && !batch.shared) return;
    // The places of those behind one that failed have moved up; whoever shares one goes along.
    batch.sharers.for_each([&](Call& call) {
        std::uint32_t before = 0;
        for (const auto& [failed, error] : failures) {
            if (failed->index == call.index) return fail(call, error);
            before += failed->index < call.index ? 1U : 0U;
        }
        call.index -= before;
    });
    for (const auto& [call, error] : failures) {
        if (Place* const place = place_of(*call)) place->batch = nullptr;
        fail(*call, error);
    }
    batch.calls.for_each([](Call& call) {
        if (Place* const place = place_of(call)) place->index = call.index;
    });
}

}  // namespace batching::detail

#include <batcher/detail/core/machine_deadlines.hpp>
#include <batcher/detail/core/machine_forming.hpp>
#include <batcher/detail/core/machine_terms.hpp>
