// Of Engine: how calls come in that have to be seen at once.
#pragma once

#include <algorithm>
#include <batcher/detail/runtime/engine.hpp>
#include <cstddef>
#include <exception>
#include <utility>

namespace batching::detail {

BATCHER_NOINLINE BATCHER_DECL void Engine::submit(Call& newest, Call& oldest, std::size_t count,
                                                  Accept accept) {
    if (count != 1 && plain_intake_.push(newest, oldest, count)) return;
    const auto self = shared_from_this();  // the calls may be gone, and with them the last owner
    Lock locked = lock();
    const Time now = timer_->now();
    const Admission admission = machine_.admit(count, accept);
    Call* accepted = &newest;
    if (admission.accepted != count) {
        const std::exception_ptr error = machine_.refusal(admission, count - admission.accepted);
        for (std::size_t i = count; i != admission.accepted; --i) {
            Call& refused = *accepted;
            if (i != 1) accepted = &CallList::next(refused);
            machine_.refused(refused, error);
        }
    }
    if (admission.accepted != 0) {
        oldest.next = nullptr;
        if (count == 1) newest.queued_at = now;  // exactly, as the timer is set for this one
        machine_.arrived(accepted);
    }
    Actions actions = pump(now);
    locked.unlock();
    carry_out(actions);
}

// It goes by what the machine has said last, and that must be the last: under the lock; or where this engine cannot go
// meanwhile, by looking again after the push, as the machine says it before it looks for arrivals.
BATCHER_NOINLINE BATCHER_DECL bool Engine::push_with_deadline(ItemCall& call) noexcept {
    const Time deadline = call.deadline->at;
    Lock lock(mutex_, std::defer_lock);
    if (!Burst::under_way_of(this)) lock.lock();
    if (deadline < unhurried_.load() || !push_with_terms(call)) return false;
    if (!lock && deadline < unhurried_.load()) [[unlikely]]
        settle(this->lock());
    return true;
}

// Of calls with terms each has a fate of its own, unless all are accepted or none.
BATCHER_NOINLINE BATCHER_DECL void Engine::submit_with_terms(ItemCall& newest, std::size_t count,
                                                             Accept accept) {
    const auto self = shared_from_this();
    CallList calls;
    std::size_t weight = 0;
    calls.append_reversed(static_cast<Link*>(&newest));
    calls.for_each([&](Call& call) { weight += call.weight; });
    Lock locked = lock();
    const Time now = newest.queued_at;
    std::exception_ptr error;
    if (accept == Accept::all_or_none) {
        error = machine_.admit(terms_of(calls.front()), count, weight, now);
    }
    while (Call* const call = calls.pop_front()) {
        ItemCall& with_terms = terms_of(*call);
        if (accept == Accept::as_many_as_fit) {
            error = machine_.admit(with_terms, 1, with_terms.weight, now);
        }
        error ? machine_.refused(*call, error) : machine_.arrived_with_terms(with_terms);
    }
    Actions actions = pump(now);
    locked.unlock();
    carry_out(actions);
}

BATCHER_DECL void Engine::refuse(Call& call, const std::exception_ptr& error) noexcept {
    change([&] { machine_.refused(call, error); });
}

BATCHER_DECL void Engine::reject(Call& call, const std::exception_ptr& error) noexcept {
    change([&] { machine_.rejected(call, error); });
}

BATCHER_DECL void Engine::give_terms(ItemCall& call, const CallOptions& options,
                                     Deadline* deadline) noexcept {
    call.plain = false;
    // Written once, as all producers read it.
    if (!with_terms_.load(std::memory_order_relaxed)) [[unlikely]]
        with_terms_.store(true, std::memory_order_relaxed);
    call.priority = call.lane = options.priority;
    call.weight = 0;
    call.in_place = call.traced = call.shares = false;
    call.group = nullptr;
    call.deadline = options.timeout == no_timeout ? nullptr : deadline;
    if (call.deadline == nullptr) return;
    deadline->at = Rules::after(call.queued_at, std::max<Time>(options.timeout, Time(0)));
    deadline->call = &call;
}

}  // namespace batching::detail
