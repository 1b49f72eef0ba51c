// BlockingWaiter: a thread that blocks until a request is done.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/burst_clock.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace batching::detail {

template <class Request>
class BlockingWaiter final : public Request {
    using Value = typename Request::value_type;

public:
    BlockingWaiter(typename Request::engine_type& engine, typename Request::payload_type&& payload)
        : Request(engine, std::move(payload)) {
        this->direct = true;
    }

    Value get() {
        if (Burst::more_to_come()) this->engine().run_deferred();
        this->start();
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return error_ || value_; });
        if (error_) std::rethrow_exception(error_);
        // NOLINTNEXTLINE(bugprone-unchecked-optional-access): that is what was waited for
        if constexpr (!std::is_void_v<Value>) return std::move(*value_);
    }

private:
    // Here the value is taken by the thread that resumes, as the outcome does not live longer.
    void resume() override {
        const std::lock_guard lock(mutex_);
        try {
            if constexpr (std::is_void_v<Value>) {
                this->take();
                value_.emplace();
            } else {
                value_.emplace(this->take());
            }
        } catch (...) {
            error_ = std::current_exception();
        }
        done_.notify_one();  // under the lock: the waiter is gone as soon as get() sees the value
    }

    void abandon() noexcept override {
        const std::lock_guard lock(mutex_);
        error_ = std::make_exception_ptr(system_error(asio::error::operation_aborted));
        done_.notify_one();
    }

    std::mutex mutex_;
    std::condition_variable done_;
    std::optional<std::conditional_t<std::is_void_v<Value>, std::monostate, Value>> value_;
    std::exception_ptr error_;
};

}  // namespace batching::detail
