// AwaitableWaiter: `co_await operation` inside asio::awaitable, in the frame of the coroutine.
//
// Asio's own ways take an allocation or two: from use_awaitable a coroutine frame, from a completion
// handler a place of its own. (And before 1.27 it awaits nothing but an asio::awaitable.) So the operation
// derives from asio::awaitable<OperationTag<...>>, a specialisation of ours for a type of ours. It takes
// along Asio's thread of coroutines, as Asio's own completion handlers do, waits in the frame as in that
// of any other coroutine, and then lets that thread go on.
//
// It is for asio::awaitable<T> with its default executor.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/runtime/completion_executor.hpp>
#include <batcher/detail/waiters/coroutine.hpp>
#include <coroutine>
#include <memory>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class Request>
struct OperationTag {};

// If you see an error here, it means that an operation with a name was awaited; the sentence says how.
template <class Request>
constexpr void refuse_second_await() {
    static_assert(sizeof(Request) == 0,
                  "an operation is awaited once: write co_await std::move(operation)");
}

// Asio from 1.23 on asks whether an operation is callable with this, and would then rather call it.
#if BATCHER_ASIO_VERSION >= 102300
template <class Token>
inline constexpr bool is_probe =
    std::is_same_v<std::decay_t<Token>, asio::detail::async_operation_probe>;
#else
template <class Token>
inline constexpr bool is_probe = false;
#endif

template <class Request>
class AwaitableWaiter : public FrameWaiter<Request> {
    using Executor = asio::any_io_executor;
    using Frame = asio::detail::awaitable_frame_base<Executor>;
    using Thread = asio::detail::awaitable_thread<Executor>;

    // All coroutines that wait for one another, from the one that was spawned; it owns their frames.
    struct Running : Thread {
        explicit Running(Thread&& thread) noexcept : Thread(std::move(thread)) {}
        void go_on(Frame& top, bool cancellable) {
            top.attach_thread(this);
            if (cancellable) top.clear_cancellation_slot();
            this->pump();
        }
    };

public:
    using FrameWaiter<Request>::FrameWaiter;
    AwaitableWaiter(AwaitableWaiter&& other) noexcept(
        std::is_nothrow_move_constructible_v<typename Request::payload_type>)
        : FrameWaiter<Request>(std::move(other)) {}
    using FrameWaiter<Request>::start;

    // To be called in the suspended coroutine. It may be resumed and gone when this returns.
    void start(Frame& frame) {
        Living::check(&this->engine());
        this->ops = &awaitable;
        this->prepare();
        Thread* const running = frame.detach_thread();
        try {
            find_executor(*running);
        } catch (...) {
            frame.attach_thread(running);
            throw;
        }
        this->caller_ = &frame;
        std::construct_at(&place_.thread, std::move(*running));
        Request::start();
    }

private:
    void find_executor(const Thread& running) {
        this->resume_on(running.get_executor());
        const auto slot = running.get_cancellation_slot();
        if (slot.is_connected()) this->cold().cancellation.connect(slot, *this);
        // Outstanding work there while it waits. The Batcher's own executor has some anyway.
        if (this->resumes_on != nullptr) this->resumes_on->start_work();
    }

    static AwaitableWaiter& self(Call& call) noexcept {
        return static_cast<AwaitableWaiter&>(call);
    }
    static constexpr CallOps awaitable{[](Call& call) { self(call).resume(); },
                                       [](Call& call) noexcept { self(call).take_thread(); },
                                       false};

    void resume() {
        Frame& frame = *static_cast<Frame*>(this->caller_);
        const bool cancellable = this->cancellable();
        Running running = take_thread();
        running.go_on(frame, cancellable);
    }

    // What it returns owns this waiter.
    Running take_thread() noexcept {
        if (this->resumes_on != nullptr) this->resumes_on->finish_work();
        if (const auto cold = this->take_cold()) cold->cancellation.forget(this->engine());
        Running running(std::move(place_.thread));
        std::destroy_at(&place_.thread);
        return running;
    }

    // There is one while it waits.
    union Place {
        Place() noexcept {}
        ~Place() {}
        Thread thread;
    } place_;
};

}  // namespace batching::detail

#if defined(BATCHER_USE_BOOST_ASIO)
namespace boost {
#endif
namespace asio {

template <class Request>
class awaitable<batching::detail::OperationTag<Request>, any_io_executor> {
public:
    using waiter_type = batching::detail::AwaitableWaiter<Request>;

    // await_transform() moves this part of the operation, which itself stays where it is until the end
    // of the co_await expression.
    explicit awaitable(waiter_type& waiter) noexcept : hooked_(waiter) {}
    awaitable(awaitable&& other) = default;
    awaitable(const awaitable& other) noexcept : hooked_(other.hooked_) {
        batching::detail::refuse_second_await<Request>();
    }
    awaitable& operator=(const awaitable&) = delete;

    bool await_ready() const noexcept { return false; }

    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) {
        hooked_.start(caller.promise());
    }

    auto await_resume() { return hooked_.take(); }

private:
    waiter_type& hooked_;
};

}  // namespace asio
#if defined(BATCHER_USE_BOOST_ASIO)
}  // namespace boost
#endif
