// The functions of Machine for deadlines: which have passed, and when a batch leaves to meet one.
#pragma once

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/core/sentences.hpp>
#include <utility>

namespace batching::detail {

BATCHER_INLINE bool Machine::any_late(Time now) const noexcept {
    return late_at_ <= now || (!deadlines_.empty() && deadlines_.first().at <= now) ||
           (rules_.timeout != Rules::never && !queue_.empty() &&
            rules_.deadline(queue_.main().oldest()) <= now);
}

BATCHER_DECL void Machine::expire(Time now, const std::exception_ptr& error) noexcept {
    std::exception_ptr waited;
    std::exception_ptr ran;
    while (!deadlines_.empty() && deadlines_.first().at <= now) {
        ItemCall& call = *deadlines_.first().call;
        if (loading(call) != nullptr) {
            put_off(call);
            continue;
        }
        std::exception_ptr& late = call.state() == CallState::running ? ran : waited;
        if (!late) late = too_late(&late == &ran, queue_.size());
        take_out(call);
        recorder_.expired();
        outbox_.complete(call, late);
    }
    if (rules_.timeout == Rules::never) return;
    const auto fail_late = [&](Call& call) {
        if (rules_.deadline(call) > now) return;
        take_out(call);
        recorder_.expired();
        outbox_.complete(call, error);
    };
    while (!queue_.empty() && rules_.deadline(queue_.main().oldest()) <= now) {
        fail_late(queue_.main().oldest());
    }
    late_at_ = Rules::never;
    for_each_batch([&](Batch& batch) {
        if (batch.phase == BatchPhase::running) batch.calls.for_each(fail_late);
        note_deadlines(batch);
    });
}

// Its item is being moved, so it cannot leave yet. Its deadline is not watched until that is over.
BATCHER_DECL void Machine::put_off(ItemCall& call) noexcept {
    deadlines_.erase(*call.deadline);
    call.deadline->call = nullptr;
    call.batch->late = true;
}

BATCHER_NOINLINE BATCHER_DECL void Machine::loaded(Batch& batch) noexcept {
    if (!std::exchange(batch.late, false)) return;
    const auto watch = [&](Call& call) {
        if (call.plain || terms_of(call).deadline == nullptr) return;
        Deadline& deadline = *terms_of(call).deadline;
        if (std::exchange(deadline.call, &terms_of(call)) == nullptr) deadlines_.push(deadline);
    };
    batch.calls.for_each(watch);
    batch.sharers.for_each(watch);
}

// The oldest call of a batch may have to be looked for before its batch ends.
BATCHER_DECL void Machine::note_deadlines(Batch& batch) noexcept {
    if (rules_.timeout == Rules::never) return;
    const bool formed = batch.phase == BatchPhase::loading || batch.phase == BatchPhase::running;
    if (!formed || batch.calls.empty()) return;
    Call* oldest = &batch.calls.front();
    Time youngest = batch.calls.back().queued_at;
    if (batch.has_terms) {  // they stand in the order of service
        batch.calls.for_each([&](Call& call) {
            if (call.queued_at < oldest->queued_at) oldest = &call;
            youngest = (std::max)(youngest, call.queued_at);
        });
    }
    if (oldest->queued_at == youngest) return;
    late_at_ = (std::min)(late_at_, rules_.deadline(*oldest));
}

// From when on deadlines of calls to come need nothing at once. Some number of those has to be seen, so that whoever relies
// on an earlier answer finds this one, or is found (Engine::push_with_deadline()).
BATCHER_NOINLINE BATCHER_DECL void Machine::plan_for_deadlines(Outlook& outlook,
                                                               Time now) noexcept {
    outlook.unhurried = outlook.wake_at.value_or(Rules::never);
    if (outlook.notify_after == 0) outlook.notify_after = Rules::no_limit;
    if (!estimate_.known()) return;
    Line& line = queue_.main();
    const std::size_t most = sizes_.most(rules_.max_batch_size);
    // The larger its batch, the earlier it has to leave.
    const bool hurried =
        slots_.needed() != 0 && !line.empty() && leave_by(line, most) < rules_.due(line);
    const std::size_t unseen = hurried ? 1 : 64;
    outlook.notify_after = (std::min)(outlook.notify_after, unseen);
    const Time leaves = Rules::after(outlook.unhurried, run_time_to_meet(most));
    const std::size_t ahead =
        sizes_.of(queue_.size() + unseen, queue_.weight() + rules_.units.weight_of(unseen));
    const Time served = Rules::after(now, estimate_.ample(ahead, most));
    outlook.unhurried = (std::max)(leaves, served);
}

BATCHER_NOINLINE BATCHER_DECL Time Machine::leave_by(Line& line, std::size_t size) const noexcept {
    if (!estimate_.known() || rules_.is_full(line)) return Rules::never;
    const Time earliest = line.earliest_deadline();
    if (earliest == Rules::never) return earliest;
    return earliest - run_time_to_meet(size) - timers_.margin() - starts_.margin();
}

// With so much time left a batch is not made smaller, and none of its calls is let go.
BATCHER_DECL Time Machine::run_time_to_meet(std::size_t size) const noexcept {
    return (std::max)(estimate_.met_by(size), estimate_.run_time_with_margin(size));
}

}  // namespace batching::detail
