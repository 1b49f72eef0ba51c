// Asio, standalone or Boost's, under one name: batching::asio.
//
// Define BATCHER_USE_BOOST_ASIO (the CMake option of that name does) for Boost.Asio; all translation
// units of a program must agree. Asio 1.22.1 (Debian 12) or newer; Boost 1.81 or newer.
#pragma once

#if defined(BATCHER_USE_BOOST_ASIO)

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/version.hpp>
#include <boost/asio/wait_traits.hpp>
#include <boost/system/system_error.hpp>

#define BATCHER_ASIO_VERSION BOOST_ASIO_VERSION
#define BATCHER_ASIO_TOKEN_FOR(signature) BOOST_ASIO_COMPLETION_TOKEN_FOR(signature)
#if !defined(BOOST_ASIO_HAS_CO_AWAIT)
#error \
    "batcher needs Boost.Asio with coroutines: compile as C++20 (with clang, use the CMake target)."
#endif

namespace batching {
namespace asio = boost::asio;
namespace detail {
using boost::system::error_code;
using boost::system::system_error;
}  // namespace detail
}  // namespace batching

#else

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/system_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/version.hpp>
#include <asio/wait_traits.hpp>

#define BATCHER_ASIO_VERSION ASIO_VERSION
#define BATCHER_ASIO_TOKEN_FOR(signature) ASIO_COMPLETION_TOKEN_FOR(signature)
#if !defined(ASIO_HAS_CO_AWAIT)
#error "batcher needs Asio with coroutines: compile as C++20 (with clang, use the CMake target)."
#endif

namespace batching {
namespace asio = ::asio;
namespace detail {
using ::asio::system_error;
using error_code = ::asio::error_code;
}  // namespace detail
}  // namespace batching

#endif

#if BATCHER_ASIO_VERSION < 102200
#error "batcher needs Asio 1.22.1 (Boost 1.81) or newer."
#endif
