// EngineBase: what of an Engine does not depend on item types, and ContextService, which tells it that
// its execution context is going.
#pragma once

#include <array>
#include <atomic>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/home.hpp>
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

    // The home of those who want to resume on an executor. True: it is `home` (null: the Batcher's own).
    // False: who asks needs a Home of its own, and to have its context watched.
    bool find_home(const HomeTable::executor_type& executor, const Home*& home) {
        home = homes_.find(executor);
        if (home == nullptr) {
            home = add_home(executor);
            if (home == nullptr) return false;
        }
        if (home == batchers_home_) home = nullptr;
        return true;
    }
    bool find_home(const asio::any_io_executor& executor, const Home*& home) {
        if (const auto* plain = HomeTable::plain(executor)) return find_home(*plain, home);
        home = nullptr;
        return executor == executor_;
    }

    // Has a context on which somebody wants to resume tell when it goes. Cheap for those that are known,
    // of which there are few.
    void watch(asio::execution_context& context) {
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

    // To be called once; apart from the constructor, as it shares the engine.
    void move_in() {
        watch(context_of(executor_));
        if (const auto* plain = HomeTable::plain(executor_)) batchers_home_ = add_home(*plain);
    }
    void forget(const asio::execution_context& context) noexcept {
        homes_.forget(context);
        for (auto& known : known_contexts_) {
            if (known.load(std::memory_order_relaxed) == &context) known = nullptr;
        }
    }

    std::mutex mutex_;
    asio::any_io_executor executor_;

private:
    void watch_new(asio::execution_context& context);
    const Home* add_home(const HomeTable::executor_type& executor);

    std::array<std::atomic<asio::execution_context*>, 8> known_contexts_{};
    HomeTable homes_;
    const Home* batchers_home_ = nullptr;  // if it has one in the table
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

inline const Home* EngineBase::add_home(const HomeTable::executor_type& executor) {
    auto& context = asio::query(executor, asio::execution::context);
    if (!(executor == static_cast<asio::io_context&>(context).get_executor())) return nullptr;
    watch(context);
    const std::lock_guard lock(mutex_);
    const Home* const known = homes_.find(executor);
    return known != nullptr ? known : homes_.add(executor);
}

}  // namespace batching::detail
