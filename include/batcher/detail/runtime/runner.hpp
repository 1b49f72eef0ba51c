// Runner: how a batch runs, as far as that depends on the types of its items and results.
//
//     load      moves the items out of their callers' frames
//     invoke    calls the batch function
//     clear     lets go of what came of it
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/runtime/outcome.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <batcher/replicas.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace batching::detail {

// A call with its item.
template <class In>
struct Item : Call {
    explicit Item(In in) : input(std::move(in)) {}
    In input;

protected:
    ~Item() = default;
};

template <class In, class Out>
struct ItemBatch : Batch {
    std::vector<In> items;  // what the batch function is called with
    Outcome<Out> outcome;
};

// The result of a completed call, once.
template <class In, class Out>
Out take_result(const Call& call) {
    if (call.batch->error) std::rethrow_exception(call.batch->error);
    return static_cast<ItemBatch<In, Out>&>(*call.batch).outcome.take(call.index);
}

// Told once that a batch has its outcome, on any thread. If it never is, the function was destroyed before
// its end, and the batch fails.
class Done {
public:
    explicit Done(Batch& batch) noexcept : batch_(&batch) {}
    Done(Done&& other) noexcept : batch_(std::exchange(other.batch_, nullptr)) {}
    Done& operator=(Done&&) = delete;
    ~Done();

    Batch& batch() const noexcept { return *batch_; }
    explicit operator bool() const noexcept { return batch_ != nullptr; }

    // On the Batcher's executor: its callers who resume there do so before this returns.
    void on_executor();
    // On any other thread.
    void elsewhere() noexcept;

private:
    Batch* batch_;
};

class Runner : public BatchFactory {
public:
    virtual ~Runner() = default;

    // False if there is nothing to call the function with. Fails alone each call whose item cannot be moved.
    virtual bool load(Batch& batch) noexcept = 0;
    // True: the batch has its outcome. False: `done` was moved from, and will tell.
    virtual bool invoke(Batch& batch, Done& done) noexcept = 0;
    // How many of the calls that are still in a batch have failed.
    virtual std::size_t failed(Batch& batch) const noexcept = 0;
    virtual void clear_items(Batch& batch) noexcept = 0;
    virtual void clear(Batch& batch) noexcept = 0;

    // True: invoke() only starts a batch, on whatever thread, and never tells before it returns.
    virtual bool never_blocks() const noexcept { return false; }
    // Nobody waits for the batch any more. On any thread, at any time, also before it is invoked.
    virtual void stop(Batch&) noexcept {}
};

// What a Runner needs of the engine.
void fail_not_loaded(Call& call, const std::exception_ptr& error) noexcept;  // its item cannot be moved
const asio::any_io_executor& executor_of(const Batch& batch) noexcept;

template <class In, class Out>
class ItemRunner : public Runner {
public:
    std::unique_ptr<Batch> make_batch() noexcept override {
        return make_batch_as<ItemBatch<In, Out>>();
    }

    bool load(Batch& base) noexcept override {
        auto& items = of(base).items;
        try {
            items.reserve(base.size);
        } catch (...) {
            base.error = std::current_exception();
            return false;
        }
        base.calls.for_each([&](Call& call) {
            try {
                items.push_back(std::move(static_cast<Item<In>&>(call).input));
                call.index = static_cast<std::uint32_t>(items.size() - 1);
            } catch (...) {
                fail_not_loaded(call, std::current_exception());
            }
        });
        return !items.empty();
    }

    std::size_t failed(Batch& base) const noexcept override {
        const auto& outcome = of(base).outcome;
        if (base.error || outcome.has_error()) return base.size;
        if (outcome.has_values()) return 0;
        std::size_t failed = 0;
        base.calls.for_each([&](Call& call) { failed += outcome.has_value(call.index) ? 0U : 1U; });
        return failed;
    }

    void clear_items(Batch& base) noexcept override { of(base).items.clear(); }
    void clear(Batch& base) noexcept override { of(base).outcome = Outcome<Out>(); }

protected:
    template <class T>
    static std::unique_ptr<Batch> make_batch_as() noexcept {
        return with_patience([] {
            auto batch = std::make_unique<T>();
            batch->groups.emplace_back();
            return batch;
        });
    }

    static ItemBatch<In, Out>& of(Batch& batch) noexcept {
        return static_cast<ItemBatch<In, Out>&>(batch);
    }
};

template <class F>
F& replica_of(F& function, std::size_t) {
    return function;
}
template <class F>
F& replica_of(Replicas<F>& replicas, std::size_t slot) {
    return replicas[slot];
}

template <class F, class In, class Out>
class FunctionRunner final : public ItemRunner<In, Out> {
public:
    explicit FunctionRunner(F function) : function_(std::move(function)) {}

    bool invoke(Batch& base, [[maybe_unused]] Done& done) noexcept override {
        auto& batch = this->of(base);
        auto& function = replica_of(function_, batch.slot);
        if constexpr (Asynchronous<F, In>) {
            spawn(executor_of(batch), function, batch, done);
            return false;
        } else {
            batch.outcome = outcome_of<Out>(batch.items.size(), [&]() -> decltype(auto) {
                return call_batch_function(function, batch.items);
            });
            return true;
        }
    }

private:
    template <class Function>
    static void spawn(const asio::any_io_executor& executor, Function& function,
                      ItemBatch<In, Out>& batch, Done& done) noexcept {
        try {
            auto told = [done = std::move(done)](const std::exception_ptr& error,
                                                 Outcome<Out> outcome) mutable {
                auto& of_done = static_cast<ItemBatch<In, Out>&>(done.batch());
                of_done.outcome = error ? Outcome<Out>(error) : std::move(outcome);
                done.on_executor();
            };
            asio::co_spawn(executor, run(function, batch.items),
                           asio::bind_executor(executor, std::move(told)));
        } catch (...) {  // no memory: `told` has been destroyed, and has said so
        }
    }

    template <class Function>
    static asio::awaitable<Outcome<Out>> run(Function& function, std::vector<In>& items) {
        const std::size_t count = items.size();
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
