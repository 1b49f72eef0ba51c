// EngineBase: what of an Engine does not depend on item types, and ContextService, which tells it that
// its execution context is going.
#pragma once

#include <array>
#include <atomic>
#include <batcher/detail/asio.hpp>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace batching::detail {

class EngineBase : public std::enable_shared_from_this<EngineBase> {
public:
    EngineBase(const EngineBase&) = delete;
    EngineBase& operator=(const EngineBase&) = delete;
    virtual ~EngineBase() = default;

    // The Batcher's executor; empty once its context is gone.
    const asio::any_io_executor& executor() const noexcept { return executor_; }

    // Guards everything that is not atomic. Never held while user code runs.
    std::mutex& mutex() noexcept { return mutex_; }

    // Has the context of an executor that somebody wants to resume on tell when it goes. Cheap for the
    // contexts that are known, of which there are few.
    void watch(const asio::any_io_executor& home) {
        asio::execution_context& context = context_of(home);
        for (const auto& known : known_contexts_) {
            if (known.load(std::memory_order_relaxed) == &context) return;
        }
        watch_new(context);
    }

    // Results on their way to other executors: those must not go before they are posted.
    void sending() noexcept { unsent_.fetch_add(1, std::memory_order_relaxed); }
    void sent() noexcept {
        if (unsent_.fetch_sub(1, std::memory_order_release) == 1) unsent_.notify_all();
    }
    bool all_sent() const noexcept { return unsent_.load(std::memory_order_acquire) == 0; }
    void wait_until_sent() const noexcept {
        while (const std::size_t n = unsent_.load(std::memory_order_acquire)) unsent_.wait(n);
    }

    // Lets go of the context if nothing waits or runs: an armed timer would keep its run() from
    // returning.
    virtual void rest() noexcept = 0;

    // An execution context is being destroyed: who waits to be resumed there is destroyed uncalled, and
    // everybody if it is the Batcher's own.
    virtual void abandon(asio::execution_context& context) noexcept = 0;

protected:
    explicit EngineBase(asio::any_io_executor executor) : executor_(std::move(executor)) {}

    static asio::execution_context& context_of(const asio::any_io_executor& executor) {
        return asio::query(executor, asio::execution::context_as_t<asio::execution_context&>());
    }

    void watch_new(asio::execution_context& context);
    void forget(const asio::execution_context& context) noexcept {
        for (auto& known : known_contexts_) {
            if (known.load(std::memory_order_relaxed) == &context) known = nullptr;
        }
    }

    std::mutex mutex_;
    asio::any_io_executor executor_;

private:
    std::array<std::atomic<asio::execution_context*>, 8> known_contexts_{};
    std::atomic<std::size_t> unsent_{0};
};

// A service of the execution context, as asio's channel_service is, for the sake of its shutdown().
class ContextService : public asio::execution_context::service {
public:
    using key_type = ContextService;
    inline static asio::execution_context::id id;

    explicit ContextService(asio::execution_context& context)
        : asio::execution_context::service(context) {}

    void add(const std::shared_ptr<EngineBase>& engine) {
        const std::lock_guard lock(mutex_);
        std::erase_if(engines_, [&](const auto& e) { return e.expired() || e.lock() == engine; });
        engines_.push_back(engine);
    }

private:
    void shutdown() noexcept override {
        std::vector<std::weak_ptr<EngineBase>> engines;
        {
            const std::lock_guard lock(mutex_);
            engines.swap(engines_);
        }
        for (const auto& weak : engines) {
            if (const auto engine = weak.lock()) engine->abandon(context());
        }
    }

    std::mutex mutex_;
    std::vector<std::weak_ptr<EngineBase>> engines_;
};

inline void EngineBase::watch_new(asio::execution_context& context) {
    asio::use_service<ContextService>(context).add(shared_from_this());
    const std::lock_guard lock(mutex_);
    for (auto& known : known_contexts_) {
        if (known.load(std::memory_order_relaxed) != nullptr) continue;
        known.store(&context, std::memory_order_relaxed);
        return;
    }
}

}  // namespace batching::detail
