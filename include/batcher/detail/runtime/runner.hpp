// Runner: how a batch runs, as far as that depends on the types of its items and results.
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/core/pool.hpp>
#include <batcher/detail/result_count.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <batcher/replicas.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>
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

// A batch with its items, and what the function returned for them: values, or results one by one.
template <class In, class Out>
struct ItemBatch : Batch {
    std::vector<In> items;
    std::vector<std::conditional_t<std::is_void_v<Out>, std::monostate, Out>> values;
    std::vector<Result<Out>> results;

    // Of `count` items, which the function may have moved away.
    template <class Many>
    void hold(std::size_t count, Many many) {
        if (many.size() != count) throw result_count_mismatch(many.size(), count);
        if constexpr (std::same_as<Many, decltype(results)>) {
            results = std::move(many);
        } else {
            values = std::move(many);
        }
    }

    // The value of a call, once; or throws what it failed with.
    Out take(std::size_t index) {
        if constexpr (std::is_void_v<Out>) {
            if (this->error || !results.empty()) [[unlikely]]
                take_result(index);
        } else {
            if (values.empty()) [[unlikely]]
                return take_result(index);
            return std::move(values[index]);
        }
    }

private:
    BATCHER_NOINLINE Out take_result(std::size_t index) {
        if (this->error) std::rethrow_exception(this->error);
        return std::move(results[index]).value();
    }
};

template <class In, class Out>
Out take_result(const Call& call) {
    return static_cast<ItemBatch<In, Out>&>(*call.batch).take(call.index);
}

// Told once that a batch has its results, or an error. If it never is, the function was destroyed before its
// end, and the batch fails.
class Done {
public:
    explicit Done(Batch& batch) noexcept : batch_(&batch) {}
    Done(Done&& other) noexcept : batch_(std::exchange(other.batch_, nullptr)) {}
    Done& operator=(Done&&) = delete;
    ~Done();

    explicit operator bool() const noexcept { return batch_ != nullptr; }
    // On the Batcher's executor: callers who resume there do so before this returns. Or on any thread.
    void on_executor();
    void elsewhere() noexcept;

private:
    Batch* batch_;
};

class Runner : public BatchFactory {
public:
    virtual ~Runner() = default;

    // Calls whose items could not be moved, and why.
    using Failures = std::vector<std::pair<Call*, std::exception_ptr>>;

    // Moves the items out of their calls. False if there is nothing to call the function with.
    virtual bool load(Batch& batch, Failures& failures) noexcept = 0;
    // Calls the batch function. True: it is done. False: `done` was moved from, and will be told.
    virtual bool invoke(Batch& batch, Done& done) noexcept = 0;
    // How many of the calls that are still in a batch have failed.
    virtual std::size_t failed(Batch& batch) const noexcept = 0;
    // Let go of the items, and of what came of them.
    virtual void clear_items(Batch& batch) noexcept = 0;
    virtual void clear(Batch& batch) noexcept = 0;

    // Longest that a call waits and runs, and what it fails with then; under the engine's lock.
    virtual Time timeout() const noexcept { return Rules::never; }
    virtual std::exception_ptr too_late() noexcept { return nullptr; }

    // True: invoke() only starts a batch, on whatever thread.
    virtual bool never_blocks() const noexcept { return false; }
    // Nobody waits for the batch any more. On any thread, at any time, also before it is invoked.
    virtual void stop(Batch&) noexcept {}
};

// What a Runner needs of the engine.
const asio::any_io_executor& executor_of(const Batch& batch) noexcept;

template <class In, class Out>
class ItemRunner : public Runner {
public:
    std::unique_ptr<Batch> make_batch() noexcept override {
        return make_batch_as<ItemBatch<In, Out>>();
    }

    bool load(Batch& base, Failures& failures) noexcept override {
        auto& items = of(base).items;
        try {
            items.reserve(base.size);
        } catch (...) {
            base.error = std::current_exception();
            return false;
        }
        std::uint32_t failed = 0;
        base.calls.for_each([&](Call& call) {
            try {
                if (items.size() == items.capacity()) BATCHER_UNREACHABLE();  // reserved
                items.push_back(std::move(static_cast<Item<In>&>(call).input));
                call.index -= failed;
            } catch (...) {
                ++failed;
                with_patience([&] { failures.emplace_back(&call, std::current_exception()); });
            }
        });
        return !items.empty();
    }

    std::size_t failed(Batch& base) const noexcept override {
        if (base.error) return base.size;
        const auto& results = of(base).results;
        if (results.empty()) return 0;
        std::size_t failed = 0;
        base.calls.for_each(
            [&](Call& call) { failed += results[call.index].has_value() ? 0U : 1U; });
        return failed;
    }

    void clear_items(Batch& base) noexcept override { of(base).items.clear(); }
    void clear(Batch& base) noexcept override {
        std::exchange(of(base).values, {});
        std::exchange(of(base).results, {});
    }

protected:
    template <class T>
    static std::unique_ptr<Batch> make_batch_as() noexcept {
        return with_patience([] { return std::make_unique<T>(); });
    }

    static ItemBatch<In, Out>& of(Batch& batch) noexcept {
        return static_cast<ItemBatch<In, Out>&>(batch);
    }
};

template <class F, class In, class Out>
class FunctionRunner final : public ItemRunner<In, Out> {
public:
    explicit FunctionRunner(F function) : function_(std::move(function)) {}

    bool invoke(Batch& base, [[maybe_unused]] Done& done) noexcept override {
        auto& batch = this->of(base);
        [[maybe_unused]] const std::size_t count = batch.items.size();
        try {
            if constexpr (Asynchronous<F, In>) {
                const auto& executor = executor_of(batch);
                auto told = [&batch,
                             done = std::move(done)](const std::exception_ptr& error) mutable {
                    batch.error = error;
                    done.on_executor();
                };
                asio::co_spawn(executor, run(replica(batch.slot), batch),
                               asio::bind_executor(executor, std::move(told)));
                return false;
            } else if constexpr (std::is_void_v<decltype(call(batch))>) {
                call(batch);
            } else {
                batch.hold(count, call(batch));
            }
        } catch (...) {
            // If it was told that it was destroyed, it has said so, with what it knew.
            if (done) base.error = std::current_exception();
        }
        return static_cast<bool>(done);
    }

private:
    auto& replica([[maybe_unused]] std::size_t slot) {
        if constexpr (is_replicas<F>) {
            return function_[slot];
        } else {
            return function_;
        }
    }

    decltype(auto) call(ItemBatch<In, Out>& batch) {
        return call_batch_function(replica(batch.slot), batch.items);
    }

    template <class Function>
    static asio::awaitable<void> run(Function& function, ItemBatch<In, Out>& batch) {
        [[maybe_unused]] const std::size_t count = batch.items.size();
        if constexpr (std::same_as<typename CallResult<Function, In>::type,
                                   asio::awaitable<void>>) {
            co_await call_batch_function(function, batch.items);
        } else {
            batch.hold(count, co_await call_batch_function(function, batch.items));
        }
    }

    F function_;
};

}  // namespace batching::detail
