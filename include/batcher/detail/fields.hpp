// Fields: an item made from its fields, for `process({a, b})` with an aggregate.
//
// g++ 12 destroys an aggregate twice that is made from braces inside a co_await expression. This class has
// constructors instead, so it is safe there, and the aggregate is made in them.
#pragma once

#include <concepts>
#include <utility>

namespace batching::detail {

template <class In, class... T>
concept MadeFrom = requires(T&&... fields) { In{std::forward<T>(fields)...}; };

template <class In>
struct Fields {
    Fields()
        requires(MadeFrom<In>)
    = default;

    template <std::convertible_to<In> T>
    Fields(T&& converted) : item(std::forward<T>(converted)) {}

    template <class... T>
        requires(MadeFrom<In, T...> && !(sizeof...(T) == 1 && (std::convertible_to<T, In> && ...)))
    Fields(T&&... fields) : item{std::forward<T>(fields)...} {}

    In item;
};

}  // namespace batching::detail
