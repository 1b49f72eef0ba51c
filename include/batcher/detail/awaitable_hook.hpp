// `co_await operation` inside asio::awaitable, where Asio itself has no way to it.
//
// Asio 1.27 and newer await anything that can be called with a completion token. Older ones await only an
// asio::awaitable, so the operation derives from asio::awaitable<OperationTag<...>>, a specialisation of
// ours for a type of ours, which starts the operation with use_awaitable when it is awaited. It is also
// needed on new ones where the value has no default constructor: the completion then carries an optional,
// and co_await is to give the value itself.
#pragma once

#include <batcher/detail/asio.hpp>
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class Operation, class Value>
struct OperationTag {};

template <class Value>
inline constexpr bool needs_awaitable_hook =
    BATCHER_ASIO_VERSION < 102700 || (!std::is_void_v<Value> && !std::default_initializable<Value>);

struct NoHook {
    explicit NoHook(void*) noexcept {}
};

template <class Operation, class Value>
using AwaitableHook =
    std::conditional_t<needs_awaitable_hook<Value>,
                       asio::awaitable<OperationTag<Operation, Value>, asio::any_io_executor>,
                       NoHook>;

// Asio asks whether an operation is callable with this; those that use the hook must not be.
#if BATCHER_ASIO_VERSION >= 102300
template <class Token>
inline constexpr bool is_probe =
    std::is_same_v<std::decay_t<Token>, asio::detail::async_operation_probe>;
#else
template <class Token>
inline constexpr bool is_probe = false;
#endif

}  // namespace batching::detail

#if defined(BATCHER_USE_BOOST_ASIO)
namespace boost {
#endif
namespace asio {

template <class Operation, class Value, class Executor>
class awaitable<batching::detail::OperationTag<Operation, Value>, Executor> {
    static constexpr bool in_optional =
        !std::is_void_v<Value> && !std::default_initializable<Value>;
    using Inner = awaitable<std::conditional_t<in_optional, std::optional<Value>, Value>, Executor>;

public:
    explicit awaitable(void* operation) noexcept : operation_(static_cast<Operation*>(operation)) {}
    // await_transform() copies this part of the operation, which itself stays where it is until the end
    // of the co_await expression.
    awaitable(const awaitable& other) noexcept : operation_(other.operation_) {}
    awaitable& operator=(const awaitable&) = delete;

    bool await_ready() const noexcept { return false; }

    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) {
        inner_ = std::move(*operation_)(use_awaitable_t<Executor>());
        inner_.await_suspend(caller);
    }

    Value await_resume() {
        if constexpr (in_optional) {
            return std::move(*inner_.await_resume());
        } else {
            return inner_.await_resume();
        }
    }

private:
    Operation* operation_;
    Inner inner_;
};

}  // namespace asio
#if defined(BATCHER_USE_BOOST_ASIO)
}  // namespace boost
#endif
