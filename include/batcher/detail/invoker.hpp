// Invoker: the batch function behind one virtual call a batch, so that a Batcher's type names only its
// items and results.
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/outcome.hpp>
#include <batcher/replicas.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace batching::detail {

// A batch: the slot that it runs in, and its number among all of that slot.
struct BatchId {
    std::size_t slot;
    std::uint64_t number;
};

// `Done` is called once with the Outcome, on the thread that called the function, or on the Batcher's executor
// if it is asynchronous; it is destroyed uncalled if the execution context is destroyed before such a
// function has finished.
template <class In, class Done>
class Invoker {
public:
    virtual ~Invoker() = default;
    // Calls the function with `items` (which stay where they are until `done`), as replica `slot`.
    virtual void invoke(const asio::any_io_executor& executor, std::size_t slot,
                        std::vector<In>& items, Done done) = 0;

    // True: invoke() only starts a batch, without blocking, on whatever thread the batch was formed, and
    // Done::from_any_thread() is called later; never inside invoke().
    virtual bool runs_elsewhere() const noexcept { return false; }
    // Nobody waits any more for a batch that runs elsewhere. Any thread; the batch may just be done.
    virtual void unwanted(BatchId) noexcept {}
};

template <class F>
F& replica_of(F& function, std::size_t) {
    return function;
}
template <class F>
F& replica_of(Replicas<F>& replicas, std::size_t slot) {
    return replicas[slot];
}

template <class F, class In, class Out, class Done>
class InvokerOf final : public Invoker<In, Done> {
public:
    explicit InvokerOf(F function) : function_(std::move(function)) {}

    void invoke([[maybe_unused]] const asio::any_io_executor& executor, std::size_t slot,
                std::vector<In>& items, Done done) override {
        auto& function = replica_of(function_, slot);
        if constexpr (Asynchronous<F, In>) {
            asio::co_spawn(executor, run(function, items),
                           asio::bind_executor(
                               executor, [done = std::move(done)](std::exception_ptr error,
                                                                  Outcome<Out> outcome) mutable {
                                   done(error ? Outcome<Out>(error) : std::move(outcome));
                               }));
        } else {
            done(outcome_of<Out>(items.size(), [&]() -> decltype(auto) {
                return call_batch_function(function, items);
            }));
        }
    }

private:
    template <class Function>
    static asio::awaitable<Outcome<Out>> run(Function& function, std::vector<In>& items) {
        const std::size_t count = items.size();
        using Results = typename ResultTraits<typename CallResult<Function, In>::type>::out;
        static_assert(std::same_as<Results, Out>);
        if constexpr (std::same_as<typename CallResult<Function, In>::type,
                                   asio::awaitable<void>>) {
            co_await call_batch_function(function, items);
            co_return Outcome<Out>();
        } else {
            auto results = co_await call_batch_function(function, items);
            co_return Outcome<Out>(count, std::move(results));
        }
    }

    F function_;
};

}  // namespace batching::detail
