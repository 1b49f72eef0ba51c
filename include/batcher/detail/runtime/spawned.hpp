// Spawned: an asynchronous batch function that runs, and its cancellation.
//
// Asio wants a coroutine to be cancelled where it runs, and not while it runs: not even by another thread of the same
// executor. So both happen in a strand. The strand lives no longer than the coroutine, as it must not outlive the
// execution context; whoever cancels looks for it while the context is kept from going.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/runtime/completion_executor.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <memory>

namespace batching::detail {

// The Batcher's. Precondition: the batch runs, or is about to.
CompletionExecutor& executor_of(const Batch& batch) noexcept;

struct Spawned {
    // A template, so that programs without asynchronous functions need not compile a strand, a tenth of all.
    template <class Executor>
    explicit Spawned(const Executor& executor) : strand(strand_of(executor)) {}

    asio::any_io_executor strand;
    asio::cancellation_signal signal;

private:
    template <class Executor>
    static asio::any_io_executor strand_of(const Executor& executor) {
        const auto* const plain = CompletionExecutor::plain(executor);
        if (plain != nullptr) return asio::make_strand(*plain);
        return asio::make_strand(executor);
    }
};

// How those find it who cancel.
class Cancellable {
public:
    // In the strand, before the function is called. False: nobody waits for it already.
    bool started(const Batch& batch, const std::shared_ptr<Spawned>& spawned) noexcept {
        bool wanted = true;
        executor_of(batch).while_alive([&] {
            spawned_ = spawned;
            wanted = !batch.stop_requested.load(std::memory_order_relaxed);
        });
        return wanted;
    }

    // Nobody waits for it any more. On any thread, at any time, once.
    void cancel(const Batch& batch) noexcept {
        executor_of(batch).while_alive([&] {
            const auto spawned = spawned_.lock();
            if (spawned == nullptr) return;  // it has not started, and will see it; or it is done
            with_patience([&] {
                asio::post(spawned->strand,
                           [spawned] { spawned->signal.emit(asio::cancellation_type::terminal); });
            });
        });
    }

private:
    std::weak_ptr<Spawned> spawned_;  // under the lock of the executor
};

}  // namespace batching::detail
