// Runner: how a batch runs, as far as that depends on the types of its items and results.
#pragma once

#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/core/pool.hpp>
#include <batcher/detail/core/terms.hpp>
#include <batcher/detail/result_count.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <batcher/options.hpp>
#include <batcher/result.hpp>
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
struct Item : ItemCall {
    explicit Item(In in) : input(std::move(in)) {}
    In input;

protected:
    ~Item() = default;
};

// A batch with its items, and what the function returned for them: values, or results one by one.
template <class In, class Out>
struct ItemBatch : Batch {
    std::vector<In> items;
    using Values = std::vector<std::conditional_t<std::is_void_v<Out>, std::monostate, Out>>;
    Values values;
    Values shared_values;  // instead, if some may be more than one caller's
    std::vector<Result<Out>> results;

    // Of `count` items, which the function may have moved away.
    template <class Many>
    void hold(std::size_t count, Many many) {
        if (many.size() != count) throw result_count_mismatch(many.size(), count);
        if constexpr (std::same_as<Many, decltype(results)>) {
            results = std::move(many);
        } else {
            (this->shared ? shared_values : values) = std::move(many);
        }
    }

    // The value of a call, once; or throws what it failed with.
    BATCHER_INLINE static Out take(const Call& call) {
        auto& batch = static_cast<ItemBatch&>(*call.batch);
        if constexpr (std::is_void_v<Out>) {
            if (batch.error || !batch.results.empty()) [[unlikely]]
                take_slowly(call);
        } else {
            if (batch.values.empty()) [[unlikely]]
                return take_slowly(call);
            return std::move(batch.values[call.index]);
        }
    }

private:
    BATCHER_NOINLINE static Out take_slowly(const Call& call) {
        auto& batch = static_cast<ItemBatch&>(*call.batch);
        if (batch.error) std::rethrow_exception(batch.error);
        if constexpr (std::is_void_v<Out>) {
            batch.results[call.index].value();
        } else {
            if constexpr (std::copy_constructible<Out>) {
                if (batch.shared && call.shares) return batch.copy(call.index);
            }
            if (batch.results.empty()) return std::move(batch.shared_values[call.index]);
            return std::move(batch.results[call.index]).value();
        }
    }
    Out copy(std::size_t index) const {
        if (results.empty()) return Out(shared_values[index]);
        return Out(results[index].value());
    }
};

template <class In, class Out>
BATCHER_INLINE Out take_result(const Call& call) {
    return ItemBatch<In, Out>::take(call);
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

    // What the batch function demands of the options of its Batcher, and what it determines of them. Throws
    // std::invalid_argument.
    virtual void complete(Options& options) const = 0;

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

template <class In, class Out>
class ItemRunner : public Runner {
public:
    std::unique_ptr<Batch> make_batch() noexcept override {
        return make_batch_as<ItemBatch<In, Out>>();
    }

    bool load(Batch& base, Failures& failures) noexcept override {
        return load_each(base, failures, [](const Call&) noexcept {});
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
        std::exchange(of(base).shared_values, {});
        std::exchange(of(base).results, {});
    }

protected:
    // load(), which calls `loaded` with each call whose item has been moved.
    template <class Loaded>
    static bool load_each(Batch& base, Failures& failures, Loaded loaded) noexcept {
        auto& items = of(base).items;
        if (!make_room(base, items)) return false;
        std::uint32_t failed = 0;
        base.calls.for_each([&](Call& call) {
            try {
                if (items.size() == items.capacity()) BATCHER_UNREACHABLE();  // reserved
                items.push_back(std::move(static_cast<Item<In>&>(call).input));
                call.index -= failed;
                loaded(call);
            } catch (...) {
                ++failed;
                with_patience([&] { failures.emplace_back(&call, std::current_exception()); });
            }
        });
        return !items.empty();
    }

    // For all calls of a batch; if there is no memory, the batch fails.
    template <class T>
    static bool make_room(Batch& base, std::vector<T>& vector) noexcept {
        try {
            vector.reserve(base.items);
            return true;
        } catch (...) {
            base.error = std::current_exception();
            return false;
        }
    }

    template <class T>
    static std::unique_ptr<Batch> make_batch_as() noexcept {
        return with_patience([] { return std::make_unique<T>(); });
    }

    static ItemBatch<In, Out>& of(Batch& batch) noexcept {
        return static_cast<ItemBatch<In, Out>&>(batch);
    }
};

}  // namespace batching::detail
