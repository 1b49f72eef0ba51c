// with_patience(f): what f() returns, tried again until there is memory for it.
//
// For the few small allocations without which calls that were accepted would be lost: a batch, a post, the
// wait of a timer. All others fail the calls they are made for with std::bad_alloc.
#pragma once

#include <chrono>
#include <new>
#include <thread>

namespace batching::detail {

template <class F>
auto with_patience(F f) noexcept {
    for (;;) {
        try {
            return f();
        } catch (const std::bad_alloc&) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
}

}  // namespace batching::detail
