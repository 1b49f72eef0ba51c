// Execution contexts, as an Engine sees them: the completion executors that it knows, and what becomes of its
// calls when a context goes.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/runtime/completion_executor.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace batching::detail {

BATCHER_DECL void Engine::context_gone(const ContextState& context) noexcept {
    const bool own = own_->context() == &context;
    const auto of_context = [&](const CompletionExecutor* executor) {
        return executor == nullptr ? own : executor->context() == &context;
    };
    Lock locked = lock_loaded([this] {
        Batch* loading = nullptr;
        machine_.for_each_batch([&](Batch& batch) {
            if (batch.phase.load(std::memory_order_relaxed) == BatchPhase::loading)
                loading = &batch;
        });
        return loading;
    });
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
    Actions actions = pump(now);
    locked.unlock();
    carry_out(actions);
    abandon(orphans);
    for (Batch* const batch : users) release(*batch);
    locked.lock();
    std::erase_if(known_, [&](const auto& known) { return known->context() == &context; });
}

// Those in frames are only marked, as their owners may destroy them at any time; the others own handlers, whose
// destructors are user code.
BATCHER_DECL void Engine::abandon(CallList& calls) noexcept {
    for (Lock lock(mutex_); Call* const call = calls.pop_front();) {
        const CallOps& ops = *call->ops;
        // Of one in a frame the last access, as its owner looks at the state without the lock.
        call->state(CallState::done);
        if (ops.in_frame) continue;
        lock.unlock();
        ops.abandon(*call);
        lock.lock();
    }
}

BATCHER_DECL CompletionExecutor* Engine::find(const CompletionExecutor::PlainExecutor& executor) {
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

BATCHER_DECL CompletionExecutor* Engine::find(const asio::any_io_executor& executor,
                                              std::shared_ptr<CompletionExecutor>& kept) {
    if (const auto* plain = CompletionExecutor::plain(executor)) return find(*plain);
    if (executor == own_->executor()) return nullptr;
    kept = std::make_shared<CompletionExecutor>(executor, weak_from_this());
    return kept.get();
}

BATCHER_DECL CompletionExecutor* Engine::look_up(
    const CompletionExecutor::PlainExecutor& executor) {
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

BATCHER_DECL void ContextService::tell_engines() noexcept {
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
