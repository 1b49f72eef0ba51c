// isolate_failures(f): a batch function in which one bad item does not fail the others.
//
//     batching::Batcher batcher{batching::isolate_failures(insert_rows)};
//
// If `f` throws for several items, it is called again with one half of them and then with the other, and so on,
// until those that it throws for are alone. Their callers get the exception, the others their results. For one such
// item of n that takes at most 2 * ceil(log2(n)) + 1 calls. If both halves of all items fail, too, it is an outage
// rather than a bad item: there are no more calls, and all items fail with the first exception.
//
// `f` is any batch function whose types can be seen (no generic lambda), asynchronous ones included, and has to bear
// that it sees an item twice. What it did for the items of a call before it threw must not count, as what a
// transaction did that is rolled back. If it returns a Result for each item, an item that failed so stays as it is:
// only what is thrown is isolated.
//
// The items are copied before each call; not if `f` takes them as const std::vector<In>& or as std::span<const In>,
// and then they need not be copyable. Each item takes a Result. Other wrappers may be around it or in it:
// isolate_failures(pad_to({8, 16}, f)) pads the halves, too. With replicas each is wrapped by itself. If `f` takes a
// BatchInfo, its calls() are those of the items that `f` is given, and all else is of the whole batch. Wrong numbers
// of results are not isolated, nor what copying items throws: all items fail with it. Sources: this is delta debugging
// for one culprit (Zeller, Hildebrandt, 2002), and what is usual for the batches of a queue's consumer.
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/detail/bisection.hpp>
#include <batcher/detail/wrapped_function.hpp>
#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching {

namespace detail {

template <class F>
class IsolatedFunction;
template <class F>
using IsolatedOperator =
    Wrapping<IsolatedFunction<F>, WrappedResult<F, typename WrappedFunction<F>::Results>,
             typename WrappedFunction<F>::In, typename WrappedFunction<F>::Info>;

template <class F>
class IsolatedFunction : public IsolatedOperator<F> {
    using Traits = WrappedFunction<F>;
    using In = typename Traits::In;
    using Info = typename Traits::Info;
    using Results = typename Traits::Results;
    using Parts = Bisection<In, typename Traits::Out, Traits::only_reads>;

public:
    explicit IsolatedFunction(F function) : function_(std::move(function)) {}

    friend void check_function(const IsolatedFunction& function, const Options& options) {
        check_function(function.function_, options);
    }

private:
    friend IsolatedOperator<F>;

    WrappedResult<F, Results> call(std::vector<In> items, const Info& batch) {
        if constexpr (Traits::asynchronous) {
            return call_later(Parts(std::move(items)), batch);
        } else {
            return call_now(Parts(std::move(items)), batch);
        }
    }

    Results call_now(Parts parts, const Info& batch) {
        while (!parts.done()) {
            auto& items = parts.load();
            const Info info = parts.part_of(batch);
            try {
                if constexpr (std::is_void_v<typename Traits::Returned>) {
                    call_batch_function(function_, items, info);
                    parts.returned();
                } else {
                    parts.returned(call_batch_function(function_, items, info));
                }
            } catch (...) {
                parts.threw(std::current_exception());
            }
        }
        return std::move(parts).results();
    }

    asio::awaitable<Results> call_later(Parts parts, const Info& batch) {
        while (!parts.done()) {
            auto& items = parts.load();
            const Info info = parts.part_of(batch);
            try {
                if constexpr (std::is_same_v<typename Traits::Returned, asio::awaitable<void>>) {
                    co_await call_batch_function(function_, items, info);
                    parts.returned();
                } else {
                    parts.returned(co_await call_batch_function(function_, items, info));
                }
            } catch (...) {
                parts.threw(std::current_exception());
            }
        }
        co_return std::move(parts).results();
    }

    F function_;
};

}  // namespace detail

// A batch function in which each item that `function` throws for fails alone: Batcher batcher{isolate_failures(f)}.
template <class F>
auto isolate_failures(F function) {
    return detail::IsolatedFunction<F>(std::move(function));
}

}  // namespace batching
