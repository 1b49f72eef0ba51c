// The longer functions of Engine: what follows from an event, how a batch runs, and how it ends.
#pragma once

#include <batcher/detail/runtime/engine.hpp>
#include <exception>
#include <stdexcept>
#include <utility>

namespace batching::detail {

// ---- what follows from an event --------------------------------------------------------------------------

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

// ---- a batch ----------------------------------------------------------------------------------------------

inline void Engine::run(Batch& batch, Where where) {
    struct Nested {
        Nested() noexcept { ++nested_runs; }
        ~Nested() { --nested_runs; }
    } const nested;
    Lock locked = lock();
    const Time now = timer_->now();
    if (machine_.any_late(now)) [[unlikely]]
        machine_.expire(now, runner_->too_late());  // those must not run
    const bool formed = machine_.ready(batch, now);
    if (formed) tracing_.formed(batch);
    Actions actions = pump(now);
    locked.unlock();
    post_starts(actions);
    const bool loaded = formed && load(batch);
    carry_out(actions);  // afterwards: code of the user's that runs here may wait for the loading
    if (!formed) return release(batch);
    Done done(batch);
    if (loaded) {
        const auto current = tracing_.begin(batch, runner_->never_blocks());
        if (!runner_->invoke(batch, done)) return;
    }
    if (where == Where::on_executor) {
        done.on_executor();
    } else {
        done.elsewhere();
    }
}

// Moves the items out of their calls. False if there is nothing to call the function with.
inline bool Engine::load(Batch& batch) noexcept {
    Runner::Failures failures;
    const bool loaded = runner_->load(batch, failures);
    const auto running = [&] { store_and_wake(batch.phase, BatchPhase::running); };
    if (failures.empty() && !batch.ends_terms) {
        running();
    } else {
        change([&] {
            machine_.not_loaded(batch, failures);
            machine_.loaded(batch);
            running();
        });
    }
    return loaded;
}

inline void Engine::complete(Batch& batch, Where where) {
    runner_->clear_items(batch);
    Lock locked = lock();
    const Time now = timer_->now();
    machine_.returned(batch);
    const std::size_t failed = runner_->failed(batch);
    machine_.completed(batch, failed, now);
    Grouping::group(batch);
    Group* const here = where == Where::on_executor ? Grouping::of_own_executor(batch) : nullptr;
    batch.users.fetch_add(batch.group_count - (here != nullptr ? 1 : 0), std::memory_order_relaxed);
    sending_.fetch_add(1, std::memory_order_relaxed);
    Actions actions = pump(now);
    locked.unlock();
    carry_out(actions);
    if (observed_) report(batch, failed, now);
    send_groups(batch, here);
    sent();
    here != nullptr ? hand_back(batch, *here) : release(batch);
}

// Nobody else changes a batch between its completion and the hand-back of its calls.
BATCHER_NOINLINE inline void Engine::report(const Batch& batch, std::size_t failed,
                                            Time now) noexcept {
    const BatchReport report{batch.number,        batch.reason, batch.slot,
                             batch.items,         batch.weight, batch.started - batch.oldest,
                             now - batch.started, failed,       batch.error};
    tracing_.end(batch, report);
    appraiser_->observe(report);
}

// Sends the groups of a completed batch to their executors, but for one.
inline void Engine::send_groups(Batch& batch, const Group* but) {
    auto group = batch.groups.begin();
    for (std::size_t left = batch.group_count; left != 0; --left, ++group) {
        if (&*group != but) send_group(batch, *group);
    }
}

inline void Engine::send_group(Batch& batch, Group& group) {
    if (group.executor == &CompletionExecutor::anywhere()) return hand_back(batch, group);
    CompletionExecutor& executor = group.executor == nullptr ? *own_ : *group.executor;
    executor.post(Task{&batch, &group});
}

// An exception out of a resumed caller goes to the executor, as from any handler; the others of the group
// are posted again.
inline void Engine::hand_back(Batch& batch, Group& group) {
    // No lock: who destroys a suspended caller does so on the caller's executor, or otherwise ordered with
    // it, as he could not know else that it is still suspended.
    try {
        const Burst burst(this);
        while (Call* const call = group.calls.pop_front()) call->hand_back();
    } catch (...) {
        if (!group.calls.empty()) {
            send_group(batch, group);
        } else {
            group.pending = false;
            release(batch);
        }
        throw;
    }
    group.pending = false;
    release(batch);
}

// Without the lock, as this happens on the callers' executors.
inline void Engine::recycle(Batch& batch) noexcept {
    runner_->clear(batch);  // values and errors, which are the user's
    batch.error = nullptr;
    const auto self = std::move(batch.engine);
    // `next` may be anything at first: an exchange that fails says what it has to be.
    while (!returned_.compare_exchange_weak(batch.next, &batch, std::memory_order_release,
                                            std::memory_order_relaxed)) {
    }
    if (!may_rest_.load(std::memory_order_relaxed)) return;
    const Lock lock(mutex_);
    rest();
}

// ---- what others need of an engine, and do not know -------------------------------------------------------

inline void Task::operator()() const {
    Engine& engine = *batch->engine;
    if (group != nullptr) {
        engine.hand_back(*batch, *group);
    } else {
        engine.run(*batch, Engine::Where::on_executor);
    }
}

inline void Alarm::operator()(const error_code& error) const {
    if (!error) engine->on_timer(at);
}

inline void Done::on_executor() {
    Batch& batch = *std::exchange(batch_, nullptr);
    batch.engine->complete(batch, Engine::Where::on_executor);
}
inline void Done::elsewhere() noexcept {
    Batch& batch = *std::exchange(batch_, nullptr);
    batch.engine->complete(batch, Engine::Where::elsewhere);
}
inline Done::~Done() {
    if (batch_ == nullptr) return;
    // While an exception is on its way, that was what spawning the function ran into.
    batch_->error = std::uncaught_exceptions() != 0 ? std::make_exception_ptr(std::bad_alloc())
                                                    : operation_aborted();
    elsewhere();
}

inline CompletionExecutor& executor_of(const Batch& batch) noexcept {
    return *batch.engine->own_executor();
}

}  // namespace batching::detail
