// WrappedFunction: a batch function that another one is made around (isolate_failures.hpp, pad_to.hpp).
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/detail/asio.hpp>
#include <batcher/replicas.hpp>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

// If you see an error here, it means that a batch function was made around something that is none, or one whose
// types cannot be seen; the sentence says what to write.
template <class F>
struct WrappedFunction {
    static_assert(!is_replicas<F>,
                  "each replica is wrapped by itself: write replicas(n, [](std::size_t i) { return "
                  "isolate_failures(make(i)); })");
    static_assert(SignatureOf<F>::found || !std::is_class_v<F>,
                  "what is made around a batch function takes its types from it: write it with one "
                  "operator(), whose parameter has a type, as std::vector<In>");

    using In = typename Deduced<F>::in;
    using Out = typename Deduced<F>::out;
    using Returned = typename CallResult<F, In>::type;

    static constexpr bool asynchronous = Asynchronous<F, In>;
    using Info = InfoFor<F, In>;
    using Results = std::vector<Result<Out>>;

    // It leaves the items as they are.
    using Parameter = typename SignatureOf<F>::parameter;
    static constexpr bool only_reads =
        std::same_as<Parameter, const std::vector<In>&> ||
        std::same_as<std::remove_cvref_t<Parameter>, std::span<const In>>;
};

// Whether it is asked for what it does at once, or for an awaitable of it.
template <class F, class T>
using WrappedResult = std::conditional_t<WrappedFunction<F>::asynchronous, asio::awaitable<T>, T>;

// What makes a batch function of Wrapper, with its call(items, info): one that takes a BatchInfo if the function in it
// does. (Two operators with constraints are not seen as one by g++ 12.)
template <class Wrapper, class Returned, class In, class Info>
struct Wrapping {
    Returned operator()(std::vector<In> items, const BatchInfo& info) {
        return static_cast<Wrapper&>(*this).call(std::move(items), info);
    }
};
template <class Wrapper, class Returned, class In>
struct Wrapping<Wrapper, Returned, In, NoInfo> {
    Returned operator()(std::vector<In> items) {
        return static_cast<Wrapper&>(*this).call(std::move(items), no_info);
    }
};

}  // namespace batching::detail
