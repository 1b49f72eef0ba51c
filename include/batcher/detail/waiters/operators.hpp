// `process(item) || timer.async_wait(asio::use_awaitable)`, and &&, in asio::awaitable, for those who say
// `using namespace asio::experimental::awaitable_operators`.
//
// Asio's operators take awaitables. They would take an operation for one, as it derives from one (see
// awaitable.hpp), and fail; these are better matches, and hand on what is really one.
#pragma once

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio/experimental/awaitable_operators.hpp>
#else
#include <asio/experimental/awaitable_operators.hpp>
#endif

#include <batcher/detail/asio.hpp>
#include <batcher/operation.hpp>
#include <utility>

namespace batching {
namespace detail {

template <class Request>
auto as_awaitable(Operation<Request>&& operation) {
    return std::move(operation)(asio::use_awaitable);
}

}  // namespace detail

template <class Request, class T>
auto operator||(Operation<Request>&& a, asio::awaitable<T>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return detail::as_awaitable(std::move(a)) || std::move(b);
}
template <class T, class Request>
auto operator||(asio::awaitable<T>&& a, Operation<Request>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return std::move(a) || detail::as_awaitable(std::move(b));
}
template <class A, class B>
auto operator||(Operation<A>&& a, Operation<B>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return detail::as_awaitable(std::move(a)) || detail::as_awaitable(std::move(b));
}

template <class Request, class T>
auto operator&&(Operation<Request>&& a, asio::awaitable<T>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return detail::as_awaitable(std::move(a)) && std::move(b);
}
template <class T, class Request>
auto operator&&(asio::awaitable<T>&& a, Operation<Request>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return std::move(a) && detail::as_awaitable(std::move(b));
}
template <class A, class B>
auto operator&&(Operation<A>&& a, Operation<B>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return detail::as_awaitable(std::move(a)) && detail::as_awaitable(std::move(b));
}

}  // namespace batching
