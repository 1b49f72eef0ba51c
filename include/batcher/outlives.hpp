// outlives(item): for items that refer to something of the caller's.
//
// A std::string_view, a std::span or a pointer refers to something of the caller's. A caller that waits, by co_await
// or get(), has it alive; one that goes on, with a callback or a future, may let it go before the batch is formed.
// So such items are refused there, unless the caller says so. asio::use_awaitable is not refused, as who uses it waits.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batching {

namespace detail {

template <class In>
struct Outlives {
    In item;
};

template <class T>
inline constexpr bool refers_elsewhere = std::is_pointer_v<T>;
template <class Char, class Traits>
inline constexpr bool refers_elsewhere<std::basic_string_view<Char, Traits>> = true;
template <class T, std::size_t extent>
inline constexpr bool refers_elsewhere<std::span<T, extent>> = true;

}  // namespace detail

// Says that what an item refers to outlives its call:
//
//     batcher.async_process(batching::outlives(std::string_view("a literal")), asio::use_future);
template <class In>
detail::Outlives<In> outlives(In item) {
    return {std::move(item)};
}

}  // namespace batching
