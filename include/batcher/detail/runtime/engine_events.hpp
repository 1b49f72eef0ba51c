// Of Engine: an event, and what follows from it.
#pragma once

#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waking.hpp>
#include <exception>
#include <utility>

namespace batching::detail {

// ---- an event ----------------------------------------------------------------------------------------------

BATCHER_DECL void Engine::collect() noexcept {
    Link* const newest = intake().collect(machine_.notify_after_meanwhile());
    if (!with_terms_.load(std::memory_order_relaxed)) {
        machine_.arrived(newest);
    } else {
        machine_.arrived_with_terms(newest);
    }
    if (returned_.load(std::memory_order_relaxed) == nullptr) return;
    for (Batch* batch = returned_.exchange(nullptr, std::memory_order_acquire); batch != nullptr;) {
        machine_.recycled(*std::exchange(batch, batch->next));
    }
}

BATCHER_DECL void Engine::settle(Lock lock) noexcept {
    const auto self = shared_from_this();
    Actions actions = pump(timer_->now());
    rest();
    lock.unlock();
    carry_out(actions);
}

BATCHER_NOINLINE BATCHER_DECL void Engine::withdraw(Call& call) noexcept {
    Lock lock = lock_loaded([&] { return loading(call); });
    if (call.pending()) machine_.left(call);
    settle(std::move(lock));
}

BATCHER_DECL bool Engine::idle() noexcept {
    bool idle = false;
    change([&] { idle = machine_.idle(); });
    return idle;
}

BATCHER_DECL void Engine::on_timer(Time at) {
    Lock locked = lock();
    timer_->expired(at);
    const Time now = timer_->now();
    machine_.woken(now - at);
    Actions actions = pump(now);
    locked.unlock();
    Batch* const here = actions.start.pop();
    carry_out(actions);
    if (here == nullptr) return;
    if (here->awaits_executor) release(*here);  // it was not posted
    run(*here, Where::on_executor);
}

// ---- what follows from it ---------------------------------------------------------------------------

// Lets the machine decide until nothing has arrived meanwhile.
BATCHER_DECL Actions Engine::pump(Time now) noexcept {
    for (;;) {
        if (machine_.any_late(now)) [[unlikely]]
            machine_.expire(now, runner_->too_late());
        const Outlook outlook = machine_.decide(now, sending_ == 0);
        if (outlook.wake_at) timer_->arm(*outlook.wake_at, shared_from_this());
        if (unhurried_.load(std::memory_order_relaxed) != outlook.unhurried)
            unhurried_.store(outlook.unhurried);
        if (outlook.notify_after == 0 || intake().watch(outlook.notify_after)) break;
        collect();
    }
    may_rest_.store(machine_.idle(), std::memory_order_relaxed);
    Actions actions = machine_.take_actions();
    const bool posted = !runner_->never_blocks() || Burst::under_way() || nested_runs >= 8;
    actions.start.for_each([&](Batch& batch) {
        batch.awaits_executor = posted;
        // One for its run, and if that is posted, one for carry_out(): the context may go meanwhile.
        batch.users.store(posted ? 2 : 1, std::memory_order_relaxed);
        batch.engine = shared_from_this();
    });
    actions.completed.for_each([&](Batch& batch) {
        Grouping::group(batch);
        batch.users.store(1 + batch.group_count, std::memory_order_relaxed);
        batch.engine = shared_from_this();
        sending_.fetch_add(1, std::memory_order_relaxed);
    });
    return actions;
}

// Those batches that are to start on the executor. No code of the user's runs here.
BATCHER_DECL void Engine::post_starts(Actions& actions) {
    while (actions.start.first() != nullptr && actions.start.first()->awaits_executor) {
        Batch& batch = *actions.start.pop();
        own_->post(Task{&batch, nullptr});
        release(batch);
    }
}

BATCHER_DECL void Engine::carry_out(Actions& actions) {
    post_starts(actions);
    while (Batch* const batch = actions.start.pop()) run(*batch, Where::elsewhere);
    while (Batch* const batch = actions.stop) {
        actions.stop = batch->next_to_stop;
        runner_->stop(*batch);
        release(*batch);
    }
    while (Batch* const batch = actions.completed.pop()) {
        send_groups(*batch);
        sent();
        release(*batch);
    }
}

// The calls of a completed batch are on their way: drains may end after the last one.
BATCHER_DECL void Engine::sent() noexcept {
    if (sending_.fetch_sub(1) == 1 && draining_) change([] {});
}

BATCHER_DECL void Engine::rest() noexcept {
    if ((machine_.closed() && !machine_.has_deadlines()) || (machine_.idle() && intake().empty()))
        timer_->cancel();
}

}  // namespace batching::detail
