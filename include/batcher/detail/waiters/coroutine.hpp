// FrameWaiter: what waits for a request in the frame of a suspended coroutine, of any type, or in that of a
// function that blocks. It is part of the operation itself, which lives there until the wait ends.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waiters/blocking.hpp>
#include <batcher/detail/waiters/cancellation.hpp>
#include <batcher/error.hpp>
#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class Promise>
concept PromiseWithExecutor = requires(Promise& promise) {
    { promise.get_executor() } -> std::convertible_to<asio::any_io_executor>;
};

// What few waiters need. Apart from the frame, as it is larger than all the rest.
struct ColdState {
    std::shared_ptr<CompletionExecutor> executor;  // if the engine does not keep it
    Cancellation cancellation;
};

template <class Request>
class FrameWaiter : public Request {
public:
    FrameWaiter(Engine& engine, typename Request::payload_type&& payload)
        : Request(engine, std::move(payload)) {}
    // Before it is started.
    FrameWaiter(FrameWaiter&& other) noexcept(
        std::is_nothrow_move_constructible_v<typename Request::payload_type>)
        : Request(other.engine(), other.payload()) {
        cold_ = std::exchange(other.cold_, nullptr);
        this->resumes_on = other.resumes_on;
        this->executor_chosen_ = other.executor_chosen_;
    }
    BATCHER_INLINE ~FrameWaiter() {
        if (this->state() != CallState::done || cold_ != nullptr) [[unlikely]]
            leave();
    }

    bool executor_chosen() const noexcept { return this->executor_chosen_; }

    // Has it resume on an executor. Allocates if that is neither an io_context's nor the Batcher's.
    void resume_on(const asio::any_io_executor& executor) {
        this->executor_chosen_ = true;
        std::shared_ptr<CompletionExecutor> kept;
        this->resumes_on = this->engine().find(executor, kept);
        if (kept) cold().executor = std::move(kept);
    }

    // Its last act publishes it: it may be resumed and gone when this returns.
    void start(std::coroutine_handle<> caller) {
        Living::check(&this->engine());
        this->ops = &coroutine;
        this->prepare();
        caller_ = caller.address();
        Request::start();
    }

    // Blocks this thread until the result is there.
    typename Request::value_type get() {
        Living::check(&this->engine());
        if (this->engine().own_executor()->runs_here() && this->has_to_wait()) {
            throw Error(errc::deadlock,
                        "get() on a thread that runs the Batcher's executor or is its worker would "
                        "wait for itself: co_await the operation there");
        }
        Blocked<typename Request::value_type> blocked;
        this->ops = &thread;
        this->prepare();
        this->resumes_on = &CompletionExecutor::anywhere();
        caller_ = &blocked;
        Request::start();
        return blocked.wait();
    }

protected:
    ColdState& cold() {
        if (cold_ == nullptr) cold_ = new ColdState;
        return *cold_;
    }
    std::unique_ptr<ColdState> take_cold() noexcept {
        return std::unique_ptr<ColdState>(std::exchange(cold_, nullptr));
    }
    bool cancellable() const noexcept {
        return cold_ != nullptr && cold_->cancellation.connected();
    }

    void* caller_;  // suspended: its address, or what AwaitableWaiter or get() knows it by

private:
    BATCHER_NOINLINE void leave() noexcept {
        this->withdraw();
        delete cold_;
    }

    ColdState* cold_ = nullptr;  // owned; a plain pointer, so that the destructor looks at it once

    static constexpr CallOps coroutine{
        [](Call& call) {
            std::coroutine_handle<>::from_address(static_cast<FrameWaiter&>(call).caller_).resume();
        },
        [](Call&) noexcept {},  // the frame is its owner's
        true};

    // The value is taken by the thread that resumes, as its batch does not live longer.
    static constexpr CallOps thread{[](Call& call) {
                                        auto& self = static_cast<FrameWaiter&>(call);
                                        self.blocked().wake_with([&] { return self.take(); });
                                    },
                                    [](Call& call) noexcept {
                                        static_cast<FrameWaiter&>(call).blocked().wake_with(
                                            []() -> typename Request::value_type {
                                                std::rethrow_exception(operation_aborted());
                                            });
                                    },
                                    false};
    Blocked<typename Request::value_type>& blocked() const noexcept {
        return *static_cast<Blocked<typename Request::value_type>*>(caller_);
    }
};

// Awaits it, in any coroutine.
template <class Request>
class [[nodiscard]] FrameAwaiter {
public:
    explicit FrameAwaiter(FrameWaiter<Request>& waiter) noexcept : waiter_(waiter) {}

    bool await_ready() const noexcept { return false; }

    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) {
        if constexpr (PromiseWithExecutor<Promise>) {
            if (!waiter_.executor_chosen()) {
                waiter_.resume_on(asio::any_io_executor(caller.promise().get_executor()));
            }
        }
        waiter_.start(caller);
    }

    typename Request::value_type await_resume() { return waiter_.take(); }

private:
    FrameWaiter<Request>& waiter_;
};

}  // namespace batching::detail
