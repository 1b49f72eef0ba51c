// pad_to(sizes, f): a batch function that is only called with batches of certain sizes.
//
//     batching::Batcher batcher{batching::pad_to({8, 16, 32}, embed), {.max_batch_size = 32}};
//
// For what is compiled, captured or tuned for fixed sizes: a CUDA graph, a compiled model. A batch is filled up to the
// next of the sizes with copies of its last item, and the results beyond its own are dropped. `f` is any batch
// function whose types can be seen (no generic lambda), asynchronous ones included, and its items can be copied.
//
// The sizes may be in any order. An empty list or a size of 0 throws std::invalid_argument here. The greatest has to be
// max_batch_size or more: the Batcher's constructor throws std::invalid_argument otherwise. Other wrappers may be
// around it or in it: isolate_failures(pad_to({8, 16}, f)) pads the halves, too. With replicas each is wrapped by
// itself. If `f` takes a BatchInfo, that is of the batch as it was: its calls() end before the copies.
// Complexity: O(log(sizes) + copies).
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <batcher/batch_function.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/detail/result_count.hpp>
#include <batcher/detail/wrapped_function.hpp>
#include <batcher/options.hpp>
#include <concepts>
#include <cstddef>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching {

namespace detail {

template <class F>
class PaddedFunction;
template <class F>
using PaddedOperator = Wrapping<PaddedFunction<F>, typename WrappedFunction<F>::Returned,
                                typename WrappedFunction<F>::In, typename WrappedFunction<F>::Info>;

template <class F>
class PaddedFunction : public PaddedOperator<F> {
    using Traits = WrappedFunction<F>;
    using In = typename Traits::In;
    using Info = typename Traits::Info;
    using Returned = typename Traits::Returned;
    static_assert(std::copy_constructible<In>,
                  "pad_to() repeats the last item of a batch, and these items cannot be copied");

public:
    PaddedFunction(std::vector<std::size_t> sizes, F function)
        : sizes_(std::move(sizes)), function_(std::move(function)) {
        std::sort(sizes_.begin(), sizes_.end());
        if (sizes_.empty() || sizes_.front() == 0) {
            throw std::invalid_argument("pad_to() takes one size or more, of at least 1 each");
        }
    }

    friend void check_function(const PaddedFunction& function, const Options& options) {
        function.check_sizes(options.max_batch_size);
        check_function(function.function_, options);
    }

private:
    friend PaddedOperator<F>;

    Returned call(std::vector<In> items, const Info& info) {
        if constexpr (Traits::asynchronous) {
            return call_later(std::move(items), info);
        } else {
            return call_now(std::move(items), info);
        }
    }

    void check_sizes(std::size_t max_batch_size) const {
        if (max_batch_size <= sizes_.back()) return;
        throw std::invalid_argument(
            fmt::format("the sizes of pad_to() must reach max_batch_size, {}: the greatest is {}",
                        max_batch_size, sizes_.back()));
    }

    // How many items there were.
    std::size_t pad(std::vector<In>& items) const {
        const std::size_t count = items.size();
        check_sizes(count);
        const std::size_t padded = *std::lower_bound(sizes_.begin(), sizes_.end(), count);
        items.reserve(padded);
        while (items.size() != padded) items.push_back(items[count - 1]);
        return count;
    }

    template <class Many>
    static Many cut(Many many, std::size_t padded, std::size_t count) {
        if (many.size() != padded) throw result_count_mismatch(many.size(), padded);
        many.erase(many.begin() + static_cast<std::ptrdiff_t>(count), many.end());
        return many;
    }

    Returned call_now(std::vector<In> items, const Info& info) {
        [[maybe_unused]] const std::size_t count = pad(items);
        [[maybe_unused]] const std::size_t padded = items.size();
        if constexpr (std::is_void_v<Returned>) {
            call_batch_function(function_, items, info);
        } else {
            return cut(call_batch_function(function_, items, info), padded, count);
        }
    }

    Returned call_later(std::vector<In> items, const Info& info) {
        [[maybe_unused]] const std::size_t count = pad(items);
        [[maybe_unused]] const std::size_t padded = items.size();
        if constexpr (std::same_as<Returned, asio::awaitable<void>>) {
            co_await call_batch_function(function_, items, info);
        } else {
            co_return cut(co_await call_batch_function(function_, items, info), padded, count);
        }
    }

    std::vector<std::size_t> sizes_;
    F function_;
};

}  // namespace detail

// A batch function that calls `function` with batches of these sizes only: Batcher batcher{pad_to({8, 16}, f)}.
template <class F>
auto pad_to(std::vector<std::size_t> sizes, F function) {
    return detail::PaddedFunction<F>(std::move(sizes), std::move(function));
}

}  // namespace batching
