// Items: the items of `process_many({a, b, c})`, without the array that std::vector is made of from braces, since
// g++ 12 refuses to co_await an expression with an array in it.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

template <class In>
class Items {
public:
    Items() = default;

    Items(std::vector<In> items) : items_(std::move(items)) {}
    template <std::convertible_to<In>... T>
        requires(!std::same_as<std::vector<In>, std::remove_cvref_t<T>> && ...)
    Items(T&&... items) {
        items_.reserve(sizeof...(T));
        (items_.push_back(std::forward<T>(items)), ...);
    }

    std::vector<In> vector() && noexcept { return std::move(items_); }

private:
    std::vector<In> items_;
};

}  // namespace batching::detail
