// Blocked: a thread that waits until its call is done.
#pragma once

#include <atomic>
#include <batcher/detail/waking.hpp>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace batching::detail {

template <class Value>
class Blocked {
public:
    Value wait() {
        wait_while(done_, 0);
        if (error_) std::rethrow_exception(error_);
        // NOLINTNEXTLINE(bugprone-unchecked-optional-access): that is what was waited for
        if constexpr (!std::is_void_v<Value>) return std::move(*value_);
    }

    // Ends the wait with what `take` returns or throws. From any thread; the waiter may be gone then.
    template <class Take>
    void wake_with(Take take) noexcept {
        try {
            if constexpr (std::is_void_v<Value>) {
                take();
            } else {
                value_.emplace(take());
            }
        } catch (...) {
            error_ = std::current_exception();
        }
        store_and_wake(done_, 1);
    }

private:
    std::atomic<int> done_{0};
    std::optional<std::conditional_t<std::is_void_v<Value>, std::monostate, Value>> value_;
    std::exception_ptr error_;
};

}  // namespace batching::detail
