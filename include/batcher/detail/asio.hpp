// Asio, standalone or Boost's, under one name: batching::asio.
//
// Define BATCHER_USE_BOOST_ASIO (the CMake option of that name does) for Boost.Asio; all translation
// units of a program must agree. Asio 1.22.1 (Debian 12) or newer; Boost 1.81 or newer.
#pragma once

// clang-format off
// NOLINTBEGIN(bugprone-macro-parentheses): these are names of headers
#if defined(BATCHER_USE_BOOST_ASIO)
#define BATCHER_ASIO(header) <boost/asio/header.hpp>
#define BATCHER_ASIO_VERSION BOOST_ASIO_VERSION
#include <boost/system/system_error.hpp>
#else
#define BATCHER_ASIO(header) <asio/header.hpp>
#define BATCHER_ASIO_VERSION ASIO_VERSION
#include <asio/system_error.hpp>
#endif
// NOLINTEND(bugprone-macro-parentheses)

#include BATCHER_ASIO(detail/config)
#include BATCHER_ASIO(version)
#if !defined(BOOST_ASIO_HAS_CO_AWAIT) && !defined(ASIO_HAS_CO_AWAIT)
#error "batcher needs Asio with coroutines: compile as C++20, and with clang -DASIO_HAS_CO_AWAIT (the CMake target does)."
#endif
#if BATCHER_ASIO_VERSION < 102200
#error "batcher needs Asio 1.22.1 (Boost 1.81) or newer."
#endif

#include BATCHER_ASIO(any_io_executor)
#include BATCHER_ASIO(associated_allocator)
#include BATCHER_ASIO(associated_cancellation_slot)
#include BATCHER_ASIO(associated_executor)
#include BATCHER_ASIO(async_result)
#include BATCHER_ASIO(basic_waitable_timer)
#include BATCHER_ASIO(bind_cancellation_slot)
#include BATCHER_ASIO(bind_executor)
#include BATCHER_ASIO(cancellation_signal)
#include BATCHER_ASIO(co_spawn)
#include BATCHER_ASIO(dispatch)
#include BATCHER_ASIO(error)
#include BATCHER_ASIO(executor_work_guard)
#include BATCHER_ASIO(experimental/awaitable_operators)
#include BATCHER_ASIO(io_context)
#include BATCHER_ASIO(post)
#include BATCHER_ASIO(strand)
#include BATCHER_ASIO(thread_pool)
#include BATCHER_ASIO(use_awaitable)
#include BATCHER_ASIO(wait_traits)
// clang-format on

#if defined(BATCHER_USE_BOOST_ASIO)
namespace batching {
namespace asio = boost::asio;
namespace detail {
using boost::system::error_code;
using boost::system::system_error;
}  // namespace detail
}  // namespace batching
#else
namespace batching {
namespace asio = ::asio;
namespace detail {
using ::asio::system_error;
using error_code = ::asio::error_code;
}  // namespace detail
}  // namespace batching
#endif
