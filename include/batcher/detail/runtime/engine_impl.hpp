// The longer functions of Engine: how calls come in, how a batch runs, and how it ends.
#pragma once

#include <batcher/detail/runtime/engine.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <vector>

namespace batching::detail {

// ---- calls come in --------------------------------------------------------------------------------------

BATCHER_NOINLINE inline Admission Engine::submit(Call& newest, Call& oldest, std::size_t count,
                                                 Accept accept) {
    if (count != 1 && intake_.push(newest, oldest, count)) return {count, false, 0, 0};
    const auto self = shared_from_this();  // the calls may be gone, and with them the last owner
    Lock locked = lock();
    const Time now = timer_->now();
    const Admission admission = machine_.admit(count, accept);
    if (admission.accepted != 0) {
        Link* last = &newest;
        for (std::size_t i = count; i != admission.accepted; --i) last = last->next;
        oldest.next = nullptr;
        if (count == 1) newest.queued_at = now;  // exactly, as the timer is set for this one
        machine_.arrived(last);
    }
    Actions actions = pump(now);
    locked.unlock();
    carry_out(actions);
    return admission;
}

// Lets the machine decide until nothing has arrived meanwhile.
inline Actions Engine::pump(Time now) noexcept {
    for (;;) {
        const Outlook outlook = machine_.decide(now);
        if (outlook.wake_at) timer_->arm(*outlook.wake_at, shared_from_this());
        if (outlook.notify_after == 0 || intake_.watch(outlook.notify_after)) break;
        collect();
    }
    may_rest_.store(machine_.idle(), std::memory_order_relaxed);
    Actions actions = machine_.take_actions();
    const bool posted = !runner_->never_blocks() || Burst::under_way();
    actions.start.for_each([&](Batch& batch) {
        batch.awaits_executor = posted;
        batch.users.store(1, std::memory_order_relaxed);
        batch.engine = shared_from_this();
    });
    actions.completed.for_each([&](Batch& batch) {
        Grouping::group(batch);
        batch.users.store(1 + batch.group_count, std::memory_order_relaxed);
        batch.engine = shared_from_this();
    });
    return actions;
}

inline void Engine::carry_out(Actions& actions) {
    while (Batch* const batch = actions.start.pop()) {
        if (batch->awaits_executor) {
            own_->post(Task{batch, nullptr});
        } else {
            run(*batch, Where::elsewhere);
        }
    }
    while (Batch* const batch = actions.stop) {
        actions.stop = batch->next_to_stop;
        runner_->stop(*batch);
        release(*batch);
    }
    while (Batch* const batch = actions.completed.pop()) {
        send_groups(*batch, nullptr);
        release(*batch);
    }
}

inline void Engine::on_timer() {
    Lock locked = lock();
    timer_->expired();
    Actions actions = pump(timer_->now());
    locked.unlock();
    Batch* const here = actions.start.pop();
    carry_out(actions);
    if (here != nullptr) run(*here, Where::on_executor);
}

// ---- a batch ----------------------------------------------------------------------------------------------

inline void Engine::run(Batch& batch, Where where) {
    Lock locked = lock();
    const Time now = timer_->now();
    const bool formed = machine_.ready(batch, now);
    Actions actions = pump(now);
    locked.unlock();
    carry_out(actions);
    if (!formed) return release(batch);
    const bool loaded = runner_->load(batch);
    batch.phase.store(BatchPhase::running, std::memory_order_release);
    batch.phase.notify_all();
    Done done(batch);
    if (loaded && !runner_->invoke(batch, done)) return;
    if (where == Where::on_executor) {
        done.on_executor();
    } else {
        done.elsewhere();
    }
}

inline void Engine::complete(Batch& batch, Where where) {
    runner_->clear_items(batch);
    Lock locked = lock();
    const Time now = timer_->now();
    machine_.completed(batch, runner_->failed(batch), now);
    Grouping::group(batch);
    Group* const here = where == Where::on_executor ? Grouping::of_own_executor(batch) : nullptr;
    const std::size_t elsewhere = batch.group_count - (here != nullptr ? 1 : 0);
    if (elsewhere != 0) batch.users.fetch_add(elsewhere, std::memory_order_relaxed);
    Actions actions = pump(now);
    locked.unlock();
    BatchQueue drained = std::exchange(actions.completed, BatchQueue());
    carry_out(actions);
    send_groups(batch, here);
    actions.completed = drained;
    carry_out(actions);  // who waits for the drain comes after the last results
    here != nullptr ? hand_back(batch, *here) : release(batch);
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
        const Burst burst;
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
    batch.next = returned_.load(std::memory_order_relaxed);
    while (!returned_.compare_exchange_weak(batch.next, &batch, std::memory_order_release,
                                            std::memory_order_relaxed)) {
    }
    if (!may_rest_.load(std::memory_order_relaxed) || !intake_.empty()) return;
    const Lock lock(mutex_);
    rest();
}

// ---- execution contexts that go ---------------------------------------------------------------------------

inline void Engine::context_gone(const ContextState& context) noexcept {
    const bool own = own_->context() == &context;
    const auto of_context = [&](const CompletionExecutor* executor) {
        return executor == nullptr ? own : executor->context() == &context;
    };
    Lock locked = lock();
    for (bool waited = true; waited;) {
        waited = false;
        machine_.for_each_batch([&](Batch& batch) { waited |= wait_until_loaded(batch, locked); });
    }
    if (own) {
        machine_.close();
        timer_->destroy();
    }
    collect();
    CallList orphans;
    machine_.abandon([&](const CompletionExecutor* e) { return own || of_context(e); }, orphans);
    std::vector<Batch*> users;  // whose tasks are lost with the context
    const Time now = timer_->now();
    machine_.for_each_batch([&](Batch& batch) {
        const BatchPhase phase = batch.phase.load(std::memory_order_relaxed);
        if (own && phase == BatchPhase::starting && batch.awaits_executor) {
            machine_.ready(batch, now);  // it finds nothing
            with_patience([&] { users.push_back(&batch); });
        }
        for (Group& group : batch.groups) {
            if (phase != BatchPhase::completed || !of_context(group.executor) || !group.pending)
                continue;
            orphans.splice(group.calls);
            group.pending = false;
            with_patience([&] { users.push_back(&batch); });
        }
    });
    std::erase_if(known_, [&](const auto& known) { return known->context() == &context; });
    Actions actions = pump(now);
    locked.unlock();
    carry_out(actions);
    abandon(orphans);
    for (Batch* const batch : users) release(*batch);
}

// Those in frames are told under the lock, as their owners may destroy them at any time; the others own
// handlers, whose destructors are user code.
inline void Engine::abandon(CallList& calls) noexcept {
    for (Lock lock(mutex_); Call* const call = calls.pop_front();) {
        call->state(CallState::done);
        if (call->ops->in_frame) {
            call->ops->abandon(*call);
        } else {
            lock.unlock();
            call->ops->abandon(*call);
            lock.lock();
        }
    }
}

inline CompletionExecutor* Engine::find(const CompletionExecutor::PlainExecutor& executor) {
    // What this thread has looked up last. Trivial, so that it needs no guard.
    struct Known {
        const Engine* engine;
        const asio::execution_context* context;
        CompletionExecutor* executor;
        std::uint64_t generation;
    };
    constexpr std::size_t size = 64;
    static constinit thread_local Known table[size]{};
    const asio::execution_context* const context = &asio::query(executor, asio::execution::context);
    const auto hash = (reinterpret_cast<std::uintptr_t>(context) >> 5U) ^
                      (reinterpret_cast<std::uintptr_t>(this) >> 6U);
    Known& known = table[(hash ^ (hash >> 4U) ^ (hash >> 8U)) % size];
    const std::uint64_t generation = ContextService::generation().load(std::memory_order_acquire);
    if (known.engine != this || known.context != context || known.generation != generation) {
        known = {this, context, look_up(executor), generation};
    }
    return known.executor;
}

inline CompletionExecutor* Engine::look_up(const CompletionExecutor::PlainExecutor& executor) {
    asio::execution_context& context = asio::query(executor, asio::execution::context);
    const ContextState* const state = asio::use_service<ContextService>(context).state().get();
    const bool own_is_plain = CompletionExecutor::plain(own_->executor()) != nullptr;
    if (own_is_plain && own_->context() == state) return nullptr;
    const Lock lock(mutex_);
    for (const auto& known : known_) {
        if (known->context() == state) return known.get();
    }
    known_.push_back(std::make_shared<CompletionExecutor>(executor, weak_from_this()));
    return known_.back().get();
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
    if (!error) engine->on_timer();
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

inline void fail_not_loaded(Call& call, const std::exception_ptr& error) noexcept {
    call.batch->engine->not_loaded(call, error);
}
inline const asio::any_io_executor& executor_of(const Batch& batch) noexcept {
    return batch.engine->executor();
}

inline void ContextService::shutdown() noexcept {
    std::vector<std::shared_ptr<Engine>> engines;
    {
        const std::lock_guard lock(state_->mutex);
        state_->alive = false;
        for (auto* executor = state_->executors; executor != nullptr; executor = executor->next_) {
            executor->executor_ = asio::any_io_executor();
            executor->work_ = asio::any_io_executor();
            auto engine = executor->engine_.lock();
            if (engine == nullptr || (!engines.empty() && engines.back() == engine)) continue;
            with_patience([&] { engines.push_back(engine); });
        }
    }
    ++generation();
    for (const auto& engine : engines) engine->context_gone(*state_);
}

}  // namespace batching::detail
