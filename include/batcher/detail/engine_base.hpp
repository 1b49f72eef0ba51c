// EngineBase: what of an Engine does not depend on item types, and ContextService, which tells it that
// its execution context is going.
#pragma once

#include <batcher/detail/asio.hpp>
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

    // Lets go of the context if nothing waits or runs: an armed timer would keep its run() from returning.
    virtual void rest() = 0;

    // The execution context is being destroyed: what waits is destroyed uncalled.
    virtual void abandon() noexcept = 0;

protected:
    explicit EngineBase(asio::any_io_executor executor) : executor_(std::move(executor)) {}

    std::mutex mutex_;
    asio::any_io_executor executor_;
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
        std::erase_if(engines_, [](const auto& e) { return e.expired(); });
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
            if (const auto engine = weak.lock()) engine->abandon();
        }
    }

    std::mutex mutex_;
    std::vector<std::weak_ptr<EngineBase>> engines_;
};

}  // namespace batching::detail
