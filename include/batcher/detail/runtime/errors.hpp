// Errors of the library's own, made where nothing may be thrown: std::bad_alloc if there is no memory for them.
#pragma once

#include <fmt/core.h>

#include <batcher/detail/asio.hpp>
#include <batcher/detail/core/rules.hpp>
#include <batcher/error.hpp>
#include <cstddef>
#include <exception>

namespace batching::detail {

inline std::exception_ptr operation_aborted() noexcept {
    try {
        return std::make_exception_ptr(system_error(asio::error::operation_aborted));
    } catch (...) {
        return std::current_exception();
    }
}

// Of `count` calls that were not accepted, in one sentence with the figures.
inline std::exception_ptr refusal(const Admission& admission, std::size_t count) noexcept {
    try {
        if (admission.closed) {
            throw Error(errc::closed, "the batcher is closed: it accepts no more items");
        }
        const std::size_t waiting = admission.waiting;
        const std::size_t limit = admission.max_queue_size;
        throw Error(
            errc::overloaded,
            count == 1 ? fmt::format("the queue is full: {} of at most {} items are waiting",
                                     waiting, limit)
                       : fmt::format(
                             "the queue is full: {} items do not fit, {} of at most {} are waiting",
                             count, waiting, limit));
    } catch (...) {
        return std::current_exception();
    }
}

}  // namespace batching::detail
