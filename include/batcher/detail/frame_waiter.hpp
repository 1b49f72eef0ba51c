// FrameWaiter: what waits for a request in the frame of a suspended coroutine, of any type. It is part of
// the operation itself, which lives in that frame until the co_await expression ends.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/cancellation.hpp>
#include <batcher/detail/home.hpp>
#include <batcher/detail/waiter.hpp>
#include <concepts>
#include <coroutine>
#include <memory>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class Promise>
concept PromiseWithExecutor = requires(Promise& promise) {
    { promise.get_executor() } -> std::convertible_to<asio::any_io_executor>;
};

template <class Request>
class FrameWaiter : public Request {
public:
    FrameWaiter(typename Request::engine_type& engine, typename Request::payload_type&& payload)
        : Request(engine, std::move(payload)) {}
    // Before it is started.
    FrameWaiter(FrameWaiter&& other) noexcept(
        std::is_nothrow_move_constructible_v<typename Request::payload_type>)
        : Request(other.engine(), other.payload()) {
        away_ = std::move(other.away_);
        this->home = other.home;
        this->home_chosen_ = other.home_chosen_;
    }
    ~FrameWaiter() { this->withdraw(); }

    bool home_chosen() const noexcept { return this->home_chosen_; }

    // Has it resumed on an executor: an io_context's own, or any. The latter allocates unless it stands
    // for the former.
    template <class Executor>
    void go_home_to(const Executor& executor) {
        this->home_chosen_ = true;
        if (this->engine().find_home(executor, this->home)) return;
        away().home = Home(executor);
        this->home = &away_->home;
        this->engine().watch(*away_->home.context);
    }

    // Its last act publishes it: it may be resumed and gone when this returns.
    void start(std::coroutine_handle<> caller) {
        this->prepare();
        this->kind = &coroutine;
        caller_ = caller.address();
        Request::start();
    }

protected:
    // What few need. Apart from the frame, as it is larger than all the rest.
    struct Away {
        Home home;                   // if it is not known to the engine
        asio::any_io_executor work;  // outstanding, there (of AwaitableWaiter)
        Cancellation<Request> cancellation;
    };
    Away& away() {
        if (!away_) away_ = std::make_unique<Away>();
        return *away_;
    }

    void* caller_ = nullptr;  // suspended: its address, or what AwaitableWaiter knows it by
    std::unique_ptr<Away> away_;

private:
    static constexpr Kind coroutine{
        [](Waiter& waiter) {
            std::coroutine_handle<>::from_address(static_cast<FrameWaiter&>(waiter).caller_)
                .resume();
        },
        // The frame is its owner's. A strand, say, must not outlive its context.
        [](Waiter& waiter) noexcept { static_cast<FrameWaiter&>(waiter).away_.reset(); }, true};
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
            if (!waiter_.home_chosen()) {
                waiter_.go_home_to(asio::any_io_executor(caller.promise().get_executor()));
            }
        }
        waiter_.start(caller);
    }

    typename Request::value_type await_resume() { return waiter_.take(); }

private:
    FrameWaiter<Request>& waiter_;
};

}  // namespace batching::detail
