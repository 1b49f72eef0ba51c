// Of Engine: how a batch runs, and how it ends.
#pragma once

#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waking.hpp>
#include <exception>
#include <utility>

namespace batching::detail {

BATCHER_DECL void Engine::run(Batch& batch, Where where) {
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
BATCHER_DECL bool Engine::load(Batch& batch) noexcept {
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

BATCHER_DECL void Engine::complete(Batch& batch, Where where) {
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
BATCHER_NOINLINE BATCHER_DECL void Engine::report(const Batch& batch, std::size_t failed,
                                                  Time now) noexcept {
    const BatchReport report{batch.number,        batch.reason, batch.slot,
                             batch.items,         batch.weight, batch.started - batch.oldest,
                             now - batch.started, failed,       batch.error};
    tracing_.end(batch, report);
    appraiser_->observe(report);
}

// Sends the groups of a completed batch to their executors, but for one.
BATCHER_DECL void Engine::send_groups(Batch& batch, const Group* but) {
    auto group = batch.groups.begin();
    for (std::size_t left = batch.group_count; left != 0; --left, ++group) {
        if (&*group != but) send_group(batch, *group);
    }
}

BATCHER_DECL void Engine::send_group(Batch& batch, Group& group) {
    if (group.executor == &CompletionExecutor::anywhere()) return hand_back(batch, group);
    CompletionExecutor& executor = group.executor == nullptr ? *own_ : *group.executor;
    executor.post(Task{&batch, &group});
}

// An exception out of a resumed caller goes to the executor, as from any handler; the others of the group
// are posted again.
BATCHER_DECL void Engine::hand_back(Batch& batch, Group& group) {
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
BATCHER_DECL void Engine::recycle(Batch& batch) noexcept {
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

BATCHER_DECL void Task::operator()() const {
    Engine& engine = *batch->engine;
    if (group != nullptr) {
        engine.hand_back(*batch, *group);
    } else {
        engine.run(*batch, Engine::Where::on_executor);
    }
}

BATCHER_DECL void Alarm::operator()(const error_code& error) const {
    if (!error) engine->on_timer(at);
}

BATCHER_DECL void Done::on_executor() {
    Batch& batch = *std::exchange(batch_, nullptr);
    batch.engine->complete(batch, Engine::Where::on_executor);
}
BATCHER_DECL void Done::elsewhere() noexcept {
    Batch& batch = *std::exchange(batch_, nullptr);
    batch.engine->complete(batch, Engine::Where::elsewhere);
}
BATCHER_DECL Done::~Done() {
    if (batch_ == nullptr) return;
    // While an exception is on its way, that was what spawning the function ran into.
    batch_->error = std::uncaught_exceptions() != 0 ? std::make_exception_ptr(std::bad_alloc())
                                                    : operation_aborted();
    elsewhere();
}

BATCHER_DECL CompletionExecutor& executor_of(const Batch& batch) noexcept {
    return *batch.engine->own_executor();
}

}  // namespace batching::detail
