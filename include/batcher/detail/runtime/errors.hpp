// The error of what was cancelled, made where nothing may be thrown: std::bad_alloc if there is no memory for it.
#pragma once

#include <batcher/detail/asio.hpp>
#include <exception>

namespace batching::detail {

inline std::exception_ptr operation_aborted() noexcept {
    try {
        return std::make_exception_ptr(system_error(asio::error::operation_aborted));
    } catch (...) {
        return std::current_exception();
    }
}

}  // namespace batching::detail
