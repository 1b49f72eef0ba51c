// The longer functions of Machine.
#pragma once

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <cstdint>

namespace batching::detail {

inline void Machine::expire(Time now, const std::exception_ptr& error) noexcept {
    const auto fail_first = [&](auto& calls) {
        while (!calls.empty() && rules_.deadline(calls.front()) <= now) {
            Call& call = calls.front();
            take_out(call);
            recorder_.expired();
            complete(call, error);
        }
    };
    fail_first(queue_);
    late_at_ = Rules::never;
    for_each_batch([&](Batch& batch) {
        if (batch.phase == BatchPhase::running) fail_first(batch.calls);
        note_deadlines(batch);
    });
}

inline bool Machine::ready(Batch& batch, Time now) noexcept {
    --starting_;
    const auto reason = rules_.reason(queue_, closed_, now);
    if (!reason) {
        slots_.give_back(batch.slot);
        return false;
    }
    batch.number = ++formed_;
    batch.reason = *reason;
    batch.started = now;
    fill(batch, now);
    recorder_.formed(batch);
    batch.phase.store(BatchPhase::loading, std::memory_order_relaxed);
    note_deadlines(batch);
    return true;
}

inline Outlook Machine::decide(Time now, bool results_sent) noexcept {
    while (may_start(now)) start();
    if (idle() && results_sent && !drains_.empty()) {
        Batch& batch = completed_batch(nullptr);
        drains_.for_each([&](Call& call) { join(call, batch); });
        batch.calls.splice(drains_);
    }
    Outlook outlook;
    const std::size_t needed = slots_.needed();
    outlook.notify_after = rules_.notify_after(queue_, closed_, needed);
    if (needed != 0 && queue_.size() >= needed && starting_ == 0) {
        outlook.wake_at = rules_.due(queue_);
    }
    if (idle()) late_at_ = Rules::never;
    if (late_at_ < outlook.wake_at.value_or(Rules::never)) outlook.wake_at = late_at_;
    return outlook;
}

inline void Machine::fill(Batch& batch, Time now) noexcept {
    WaitTimes waited(recorder_, now);
    std::uint32_t size = 0;
    bool mixed = false;
    const CompletionExecutor* const executor = queue_.front().resumes_on;
    queue_.take(most_in_batch(), batch.calls, [&](Call& call) {
        waited.note(call.queued_at);
        mixed |= call.resumes_on != executor;
        call.state(CallState::running);
        call.batch = &batch;
        call.index = size++;
    });
    batch.size = size;
    batch.weight = size;
    batch.deadline = Rules::never;
    batch.mixed = mixed;
}

inline bool Machine::take_out(Call& call) noexcept {
    switch (call.state()) {
        case CallState::queued:
            queue_.erase(call);
            break;
        case CallState::running:
            CallList::unlink(call);
            recorder_.left_running();
            if (--call.batch->size == 0) request_stop(*call.batch);
            break;
        default:
            return false;
    }
    return true;
}

inline void Machine::note_deadlines(const Batch& batch) noexcept {
    if (rules_.timeout == Rules::never) return;
    const bool formed = batch.phase == BatchPhase::loading || batch.phase == BatchPhase::running;
    if (!formed || batch.calls.empty()) return;
    const Call& oldest = batch.calls.front();
    if (oldest.queued_at == batch.calls.back().queued_at) return;
    late_at_ = std::min(late_at_, rules_.deadline(oldest));
}

}  // namespace batching::detail
