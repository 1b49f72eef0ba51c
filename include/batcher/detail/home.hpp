// Home: the executor that a waiter is resumed on, and HomeTable: the homes that an Engine knows.
//
// Most waiters come from a few io_contexts. Their homes are in the table, so that a waiter carries a
// pointer instead of an executor, and those who go home together are found by comparing pointers. Other
// executors (strands, thread pools) have a Home of their own beside the waiter.
#pragma once

#include <array>
#include <atomic>
#include <batcher/detail/asio.hpp>
#include <cstddef>
#include <typeinfo>

namespace batching::detail {

inline asio::execution_context& context_of(const asio::any_io_executor& executor) {
    return asio::query(executor, asio::execution::context_as_t<asio::execution_context&>());
}

struct Home {
    Home() = default;
    explicit Home(const asio::any_io_executor& e)
        : executor(asio::prefer(e, asio::execution::outstanding_work_t::untracked)),
          context(&context_of(e)) {}

    asio::any_io_executor executor;  // without outstanding work
    asio::execution_context* context = nullptr;
};

// Of waiters that may be resumed on any thread (it only wakes a blocked one).
inline const Home anywhere;

inline bool same_home(const Home* a, const Home* b) noexcept {
    return a == b || (a != nullptr && b != nullptr && a->context == b->context &&
                      a->context != nullptr && a->executor == b->executor);
}

// Homes for the plain executors of io_contexts, the first of them that come.
class HomeTable {
public:
    using executor_type = asio::io_context::executor_type;

    // What `executor` holds, if it is such an executor. (Asio 1.22's target() does not look.)
    static const executor_type* plain(const asio::any_io_executor& executor) noexcept {
        return executor.target_type() == typeid(executor_type) ? executor.target<executor_type>()
                                                               : nullptr;
    }

    // The home of an executor, if it is known. Lock-free. O(1).
    const Home* find(const executor_type& executor) const noexcept {
        auto& context = asio::query(executor, asio::execution::context);
        for (const auto& entry : entries_) {
            if (entry.key.load(std::memory_order_acquire) != &context) continue;
            return executor == static_cast<asio::io_context&>(context).get_executor() ? &entry.home
                                                                                      : nullptr;
        }
        return nullptr;
    }

    // Makes a home known, under a lock. Null if there is no room.
    const Home* add(const executor_type& executor) {
        for (auto& entry : entries_) {
            if (entry.key.load(std::memory_order_relaxed) != nullptr) continue;
            entry.home = Home(executor);
            entry.key.store(entry.home.context, std::memory_order_release);
            return &entry.home;
        }
        return nullptr;
    }

    // Its context is going, and with it everybody who has this home.
    void forget(const asio::execution_context& context) noexcept {
        for (auto& entry : entries_) {
            if (entry.key.load(std::memory_order_relaxed) == &context) entry.key = nullptr;
        }
    }

private:
    struct Entry {
        std::atomic<asio::execution_context*> key{nullptr};
        Home home;
    };
    std::array<Entry, 8> entries_;
};

}  // namespace batching::detail
