// Operation: what process(), process_many() and drain() return. It does nothing until it is used, in one
// of these ways, once:
//
//     double y = co_await batcher.process(item);                // in any coroutine
//     double y = co_await batcher.process(item).resume_on(ex);  // the same, resumed on `ex`
//     double y = batcher.process(item).get();                   // blocks a plain thread
//     batcher.process(item)(token);                             // as async_process(item, token)
//
// Lifetime: the Batcher must still exist when the operation is started. Afterwards it may be destroyed;
// see batcher.hpp. A started call that is suspended in a coroutine frame may be destroyed with the frame
// at any time: an item that waits leaves the queue, the result of one that runs is dropped. (If another
// thread is just moving its value into its batch, the destructor waits for that.)
// As with any coroutine, whoever destroys it has to know that it is still suspended: on the executor it
// resumes on, or while nothing runs there.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/waiters/awaitable.hpp>
#include <batcher/detail/waiters/coroutine.hpp>
#include <batcher/detail/waiters/fan_in.hpp>
#include <batcher/detail/waiters/handler.hpp>
#include <batcher/detail/waiters/request.hpp>
#include <concepts>
#include <type_traits>
#include <utility>

namespace batching {

// An operation whose coroutine resumes where resume_on() said. Movable until it is awaited.
template <class Request>
class [[nodiscard]] ResumeOn {
public:
    ResumeOn(ResumeOn&&) = default;
    ResumeOn& operator=(ResumeOn&&) = delete;

    // `co_await` in any coroutine but asio::awaitable, which has an executor of its own.
    detail::FrameAwaiter<Request> operator co_await() && noexcept {
        return detail::FrameAwaiter<Request>(waiter_);
    }
    template <class R = Request>
    detail::FrameAwaiter<R> operator co_await() & {
        detail::refuse_second_await<R>();
        return detail::FrameAwaiter<R>(waiter_);
    }

private:
    template <class R>
    friend class Operation;

    ResumeOn(detail::Engine& engine, typename Request::payload_type&& payload)
        : waiter_(engine, std::move(payload)) {}

    detail::AwaitableWaiter<Request> waiter_;
};

template <class Request>
class [[nodiscard]] Operation
    : public ResumeOn<Request>,
      public asio::awaitable<detail::OperationTag<Request>, asio::any_io_executor> {
    using Hook = asio::awaitable<detail::OperationTag<Request>, asio::any_io_executor>;

public:
    using value_type = typename Request::value_type;
    // void(std::exception_ptr, Out); void(std::exception_ptr) where there is no value, and
    // void(std::exception_ptr, std::optional<Out>) where Out has no default constructor.
    using signature = typename detail::Completion<value_type>::signature;

    Operation(Operation&& other) noexcept(
        std::is_nothrow_move_constructible_v<typename Request::payload_type>)
        : ResumeOn<Request>(std::move(other)), Hook(this->waiter_) {}
    Operation& operator=(Operation&&) = delete;

    // Waits in the caller's coroutine frame; nothing is allocated. The coroutine resumes on its promise's
    // get_executor() if that exists, else on the Batcher's executor (or worker); always as if posted. An
    // asio::awaitable resumes on its own executor, and its cancellation applies; it is one with Asio's
    // default executor type (in others: co_await async_process(item, asio::use_awaitable_t<Executor>())).
    // Errors are thrown.
    using ResumeOn<Request>::operator co_await;

    // The same, resuming on `executor`: any that converts to any_io_executor. The wait counts as no work
    // there: it does not keep a run() of that context from returning. Allocates if it is not that of an
    // io_context or of the Batcher. The result is this operation itself.
    template <class Executor>
        requires std::convertible_to<Executor, asio::any_io_executor>
    ResumeOn<Request>&& resume_on(const Executor& executor) && {
        this->waiter_.resume_on(executor);
        return std::move(*this);
    }

    // What the operation was made with: of process() the item, of process_many() the items. It is there
    // until the operation is started, and again after it was refused: with errc::overloaded or errc::closed
    // as the error of co_await or get(). (A call that was refused through a completion token keeps it.)
    //
    //     auto operation = batcher.process(std::move(item));
    //     try {
    //         co_return co_await std::move(operation);
    //     } catch (const batching::Error& error) {
    //         if (error.code() != batching::errc::overloaded) throw;
    //         item = std::move(operation).item();     // as it was
    //     }
    auto item() && requires(Request::one_item) { return this->waiter_.take_back(); } auto items() &&
        requires(Request::many_items) { return this->waiter_.take_back(); }

        // Blocks this thread until the result is there; returns or throws it. Not to be called on a thread
        // that the batch function, or the Batcher's executor, needs in order to run: it would wait for itself.
        value_type get() && {
        return this->waiter_.get();
    }

    // Starts it with any Asio completion token. The handler is called as if posted to its associated
    // executor (by default the Batcher's), allocates with its associated allocator and is cancelled
    // through its associated slot.
    template <BATCHER_ASIO_TOKEN_FOR(signature) Token>
        requires(!detail::is_probe<Token>)
    auto operator()(Token&& token) && {
        return asio::async_initiate<Token, signature>(Initiation(engine()), token,
                                                      this->waiter_.payload());
    }

private:
    template <class In, class Out, class Clock>
    friend class Batcher;

    class Initiation {
    public:
        using executor_type = asio::any_io_executor;
        explicit Initiation(detail::Engine& engine) noexcept : engine_(&engine) {}
        executor_type get_executor() const noexcept { return engine_->executor(); }

        template <class Handler>
        void operator()(Handler&& handler, typename Request::payload_type payload) const {
            std::decay_t<Handler> own(std::forward<Handler>(handler));
            detail::HandlerWaiter<Request, std::decay_t<Handler>>::start(std::move(own), *engine_,
                                                                         std::move(payload));
        }

    private:
        detail::Engine* engine_;
    };

    Operation(detail::Engine& engine, typename Request::payload_type&& payload)
        : ResumeOn<Request>(engine, std::move(payload)), Hook(this->waiter_) {}

    detail::Engine& engine() const noexcept { return this->waiter_.engine(); }
};

// `process(item) || timer.async_wait(asio::use_awaitable)`, and &&, in asio::awaitable, for those who say
// `using namespace asio::experimental::awaitable_operators`. Asio's operators would take an operation for
// the awaitable that it derives from, and fail; these are better matches, and hand on a true one.
namespace detail {
template <class Request>
auto as_awaitable(Operation<Request>&& operation) {
    return std::move(operation)(asio::use_awaitable);
}
}  // namespace detail

template <class Request, class T>
auto operator||(Operation<Request>&& a, asio::awaitable<T>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return detail::as_awaitable(std::move(a)) || std::move(b);
}
template <class T, class Request>
auto operator||(asio::awaitable<T>&& a, Operation<Request>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return std::move(a) || detail::as_awaitable(std::move(b));
}
template <class A, class B>
auto operator||(Operation<A>&& a, Operation<B>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return detail::as_awaitable(std::move(a)) || detail::as_awaitable(std::move(b));
}

template <class Request, class T>
auto operator&&(Operation<Request>&& a, asio::awaitable<T>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return detail::as_awaitable(std::move(a)) && std::move(b);
}
template <class T, class Request>
auto operator&&(asio::awaitable<T>&& a, Operation<Request>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return std::move(a) && detail::as_awaitable(std::move(b));
}
template <class A, class B>
auto operator&&(Operation<A>&& a, Operation<B>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return detail::as_awaitable(std::move(a)) && detail::as_awaitable(std::move(b));
}

}  // namespace batching
