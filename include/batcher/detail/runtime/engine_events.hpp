// Of Engine: an event, and what follows from it.
#pragma once

#include <fmt/format.h>

#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waking.hpp>
#include <exception>
#include <stdexcept>
#include <utility>

namespace batching::detail {

// ---- an event ----------------------------------------------------------------------------------------------

inline void Engine::collect() noexcept {
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

template <class Loading>
Engine::Lock Engine::lock_loaded(Loading loading) {
    for (;;) {
        Lock lock = this->lock();
        Batch* const batch = loading();
        if (batch == nullptr) return lock;
        lock.unlock();
        wait_while(batch->phase, BatchPhase::loading);
    }
}

inline void Engine::settle(Lock lock) noexcept {
    const auto self = shared_from_this();
    Actions actions = pump(timer_->now());
    rest();
    lock.unlock();
    carry_out(actions);
}

BATCHER_NOINLINE inline void Engine::withdraw(Call& call) noexcept {
    Lock lock = lock_loaded([&] { return loading(call); });
    if (call.pending()) machine_.left(call);
    settle(std::move(lock));
}

inline void Engine::shut_down() noexcept {
    const std::exception_ptr error = operation_aborted();
    change([&] {
        machine_.close();
        collect();  // what has come before that was seen by the callers
        machine_.cancel(error);
    });
}

inline bool Engine::idle() noexcept {
    bool idle = false;
    change([&] { idle = machine_.idle(); });
    return idle;
}

inline void Engine::on_timer(Time at) {
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

inline Stats Engine::stats() {
    Stats stats;
    change([&] {
        machine_.stats(stats);
        stats.options = options_;
        stats.remote = runner_->never_blocks();
    });
    return stats;
}

// ---- what follows from it ---------------------------------------------------------------------------

// Lets the machine decide until nothing has arrived meanwhile.
inline Actions Engine::pump(Time now) noexcept {
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
inline void Engine::post_starts(Actions& actions) {
    while (actions.start.first() != nullptr && actions.start.first()->awaits_executor) {
        Batch& batch = *actions.start.pop();
        own_->post(Task{&batch, nullptr});
        release(batch);
    }
}

inline void Engine::carry_out(Actions& actions) {
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
inline void Engine::sent() noexcept {
    if (sending_.fetch_sub(1) == 1 && draining_) change([] {});
}

inline void Engine::rest() noexcept {
    if ((machine_.closed() && !machine_.has_deadlines()) || (machine_.idle() && intake().empty()))
        timer_->cancel();
}

// ---- other options ----------------------------------------------------------------------------------------

inline Rules Engine::rules_of(const Options& options) const {
    Rules rules{options.max_batch_size, options.batch_timeout, options.max_concurrent_batches,
                options.max_queue_size, runner_->timeout(),    options.priority_aging,
                options.latency_target};
    if (rules.latency_target != Rules::never) rules.batch_timeout = Time(0);
    if (appraiser_ != nullptr) appraiser_->add_to(rules, options);
    return rules;
}

inline void Engine::reconfigure(Options options) {
    runner_->complete(options);
    std::exception_ptr error;
    change([&] {
        try {
            reconfigure_machine(options);
        } catch (...) {
            error = std::current_exception();
        }
    });
    if (error) std::rethrow_exception(error);
}

inline void Engine::reconfigure_machine(const Options& options) {
    const Rules& before = machine_.rules();
    check_limits(options, before.weighs, before.keyed);
    if (context_owner_ != nullptr &&
        options.max_concurrent_batches != before.max_concurrent_batches) {
        throw std::invalid_argument(
            fmt::format("max_concurrent_batches cannot change from {} to {}: this Batcher has so "
                        "many workers of its own",
                        before.max_concurrent_batches, options.max_concurrent_batches));
    }
    machine_.reconfigure(rules_of(options));
    options_ = options;
    weight_limits_.of_batch.store(options.max_batch_weight, std::memory_order_relaxed);
    weight_limits_.of_queue.store(options.max_queue_weight, std::memory_order_relaxed);
    max_batch_size_.store(options.max_batch_size, std::memory_order_relaxed);
}

}  // namespace batching::detail
