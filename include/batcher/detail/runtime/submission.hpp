// Submission of a call that cannot just be pushed, and the error of those that are not accepted.
#pragma once

#include <fmt/core.h>

#include <batcher/detail/core/machine.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/error.hpp>
#include <cstddef>
#include <exception>

namespace batching::detail {

// Of `count` calls, in one sentence with the figures; std::bad_alloc if there is no memory for it.
inline std::exception_ptr refusal(const Admission& admission, std::size_t count) noexcept {
    try {
        if (admission.closed) {
            return std::make_exception_ptr(
                Error(errc::closed, "the batcher is closed: it accepts no more items"));
        }
        const std::size_t waiting = admission.waiting;
        const std::size_t limit = admission.max_queue_size;
        return std::make_exception_ptr(Error(
            errc::overloaded,
            count == 1 ? fmt::format("the queue is full: {} of at most {} items are waiting",
                                     waiting, limit)
                       : fmt::format(
                             "the queue is full: {} items do not fit, {} of at most {} are waiting",
                             count, waiting, limit)));
    } catch (...) {
        return std::current_exception();
    }
}

// Hands one call in, or back with an error. It may be gone when this returns.
BATCHER_NOINLINE inline void submit(Engine& engine, Call& call) {
    const Admission admission = engine.submit(call, call, 1, Accept::all_or_none);
    if (admission.accepted == 0) engine.refuse(call, refusal(admission, 1));
}

// The batch that is moving the item of a call at this moment, or null. Under the lock.
inline Batch* loading(const Call& call) noexcept {
    if (call.state() != CallState::running) return nullptr;
    const BatchPhase phase = call.batch->phase.load(std::memory_order_acquire);
    return phase == BatchPhase::loading ? call.batch : nullptr;
}

}  // namespace batching::detail
