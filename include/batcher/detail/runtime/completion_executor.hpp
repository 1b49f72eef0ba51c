// CompletionExecutor: where callers resume; and ContextService, which tells when its context goes.
//
// An execution context may be destroyed before those who wait to resume on it, while other threads are
// about to post to it. So all posts go through one object per context, with a lock and a flag.
#pragma once

#include <atomic>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/core/call.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <typeinfo>
#include <utility>
#include <vector>

namespace batching::detail {

class Engine;

inline asio::execution_context& context_of(const asio::any_io_executor& executor) {
    return asio::query(executor, asio::execution::context_as_t<asio::execution_context&>());
}

// What is known of an execution context; it outlives the context.
struct ContextState {
    // Shared by those who post: the thread that a post wakes may post at once, before the other has let go.
    std::shared_mutex mutex;
    // Under the mutex:
    bool alive = true;
    CompletionExecutor* executors = nullptr;  // all of this context, linked
};

class CompletionExecutor : public std::enable_shared_from_this<CompletionExecutor> {
public:
    using PlainExecutor = asio::io_context::executor_type;

    // For callers of `engine`. Throws std::bad_alloc.
    CompletionExecutor(const asio::any_io_executor& executor, std::weak_ptr<Engine> engine);
    CompletionExecutor(const CompletionExecutor&) = delete;
    CompletionExecutor& operator=(const CompletionExecutor&) = delete;
    ~CompletionExecutor() {
        if (context_ == nullptr) return;
        const std::lock_guard lock(context_->mutex);
        (previous_ != nullptr ? previous_->next_ : context_->executors) = next_;
        if (next_ != nullptr) next_->previous_ = previous_;
        executor_ = asio::any_io_executor();
    }

    // That of callers whom any thread may resume, as it only wakes them.
    static CompletionExecutor& anywhere() noexcept {
        static CompletionExecutor object;
        return object;
    }

    // What `executor` holds, if it is an io_context's. (Asio 1.22's target() does not look.)
    static const PlainExecutor* plain(const asio::any_io_executor& executor) noexcept {
        return executor.target_type() == typeid(PlainExecutor) ? executor.target<PlainExecutor>()
                                                               : nullptr;
    }

    // Empty once the context has gone.
    const asio::any_io_executor& executor() const noexcept { return executor_; }
    const ContextState* context() const noexcept { return context_.get(); }

    // Whether this thread runs it, as far as that can be known.
    bool runs_here() const noexcept {
        if (const PlainExecutor* const plain = this->plain(executor_)) {
            return plain->running_in_this_thread();
        }
        using PoolExecutor = asio::thread_pool::executor_type;
        return executor_.target_type() == typeid(PoolExecutor) &&
               executor_.target<PoolExecutor>()->running_in_this_thread();
    }

    // Posts `task`, or does nothing if the context has gone: who is told that takes care of all tasks.
    template <class Task>
    void post(const Task& task) noexcept {
        const std::shared_lock lock(context_->mutex);
        if (!context_->alive) return;
        with_patience([&] {
            if (const PlainExecutor* const plain = this->plain(executor_)) {
                asio::post(*plain, task);
            } else {
                asio::post(executor_, task);
            }
        });
    }

    // Calls `f`, unless the context has gone; it does not go, nor is this called by another thread, meanwhile.
    template <class F>
    void while_alive(F f) noexcept {
        const std::lock_guard lock(context_->mutex);
        if (context_->alive) f();
    }

    // Outstanding work between the two, until the context goes: for callers that wait, and what runs elsewhere.
    void start_work() noexcept {
        if (pieces_of_work_.fetch_add(1, std::memory_order_relaxed) == 0) update_work();
    }
    void finish_work() noexcept {
        if (pieces_of_work_.fetch_sub(1, std::memory_order_relaxed) == 1) update_work();
    }

    friend bool same_executor(const CompletionExecutor* a, const CompletionExecutor* b) noexcept {
        if (a == b) return true;
        if (a == nullptr || b == nullptr || a->context_ != b->context_) return false;
        const std::lock_guard lock(a->context_->mutex);
        return a->executor_ == b->executor_;
    }

private:
    friend class ContextService;
    CompletionExecutor() noexcept = default;

    // The last of those who change the number leaves what is right for it.
    void update_work() noexcept {
        const std::lock_guard lock(context_->mutex);
        const bool some = context_->alive && pieces_of_work_.load(std::memory_order_relaxed) != 0;
        work_ = asio::any_io_executor();
        if (!some) return;
        with_patience(
            [&] { work_ = asio::prefer(executor_, asio::execution::outstanding_work_t::tracked); });
    }

    asio::any_io_executor executor_;  // without outstanding work
    std::shared_ptr<ContextState> context_;
    std::weak_ptr<Engine> engine_;
    asio::any_io_executor work_;  // with outstanding work, while there is some
    std::atomic<std::size_t> pieces_of_work_{0};
    CompletionExecutor* previous_ = nullptr;
    CompletionExecutor* next_ = nullptr;
};

// A service of the execution context, as asio's channel_service is, for the sake of its shutdown().
class ContextService : public asio::execution_context::service {
public:
    using key_type = ContextService;
    inline static asio::execution_context::id id;

    explicit ContextService(asio::execution_context& context)
        : asio::execution_context::service(context), state_(std::make_shared<ContextState>()) {}
    ~ContextService() override { ++generation(); }

    const std::shared_ptr<ContextState>& state() const noexcept { return state_; }

    // Changes whenever a context, or an engine, goes: what was remembered of them may be another's now.
    static std::atomic<std::uint64_t>& generation() noexcept {
        static std::atomic<std::uint64_t> generation{1};
        return generation;
    }

private:
    // Defined here, or each translation unit would have the code of all that it calls, even without a Batcher.
    void shutdown() noexcept override { tell_engines(); }
    void tell_engines() noexcept;

    const std::shared_ptr<ContextState> state_;
};

inline CompletionExecutor::CompletionExecutor(const asio::any_io_executor& executor,
                                              std::weak_ptr<Engine> engine)
    : executor_(asio::prefer(executor, asio::execution::outstanding_work_t::untracked)),
      context_(asio::use_service<ContextService>(context_of(executor)).state()),
      engine_(std::move(engine)) {
    const std::lock_guard lock(context_->mutex);
    next_ = std::exchange(context_->executors, this);
    if (next_ != nullptr) next_->previous_ = this;
}

}  // namespace batching::detail
