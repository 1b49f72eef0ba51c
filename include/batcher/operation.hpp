// Operation: a call that has not begun, and how it is awaited, got or started.
//
// Lifetime: the Batcher must still exist when the operation is started. Afterwards it may be destroyed;
// see batcher.hpp. A started call that is suspended in a coroutine frame may be destroyed with the frame
// at any time: an item that waits leaves the queue, the result of one that runs is dropped. (If another
// thread is just moving its value into its batch, the destructor waits for that.)
// As with any coroutine, whoever destroys it has to know that it is still suspended: on the executor it
// resumes on, or while nothing runs there.
//
// Where a caller resumes. An Asio handler or asio::awaitable: on its associated executor. A coroutine
// whose promise has get_executor(): there. Any other coroutine: on the Batcher's executor or worker, or
// where .resume_on(executor) says. Always as if posted, never inside process() or the batch function. An
// exception out of a resumed handler or coroutine goes to that executor, as in Asio (on an owned worker:
// std::terminate), and loses no other caller.
//
// Cancellation, by Asio slots. While the item waits, total, partial and terminal remove it, and its place
// is refilled. While it runs, partial and terminal release the caller at once and drop the result.
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

template <class Request>
class Operation;

namespace detail {

template <class In, class Out, class Clock>
class Calls;

// Stands for the value in a callback of (error_code, value).
struct AnyValue {
    template <class T>
    operator T() const;
};

// A type that is nobody's, where there is no value.
struct NoValue {};
template <class Value>
using ValueOf = std::conditional_t<std::is_void_v<Value>, NoValue, Value>;

template <class Token>
inline constexpr bool is_use_awaitable = false;
template <class Executor>
inline constexpr bool is_use_awaitable<asio::use_awaitable_t<Executor>> = true;

// An operation whose coroutine resumes where resume_on() said. Movable until it is awaited.
template <class Request>
class [[nodiscard("co_await it")]] ResumeOn {
public:
    ResumeOn(ResumeOn&&) = default;
    ResumeOn& operator=(ResumeOn&&) = delete;

    // `co_await` in any coroutine but asio::awaitable, which has an executor of its own.
    FrameAwaiter<Request> operator co_await() && noexcept { return FrameAwaiter<Request>(waiter_); }
    template <class R = Request>
    FrameAwaiter<R> operator co_await() & {
        refuse_second_await<R>();
        return FrameAwaiter<R>(waiter_);
    }

private:
    template <class R>
    friend class batching::Operation;

    ResumeOn(Engine& engine, typename Request::payload_type&& payload)
        : waiter_(engine, std::move(payload)) {}

    AwaitableWaiter<Request> waiter_;
};

}  // namespace detail

// What process(), process_many() and drain() return. It does nothing until it is used, in one of these ways, once:
//
//     double y = co_await batcher.process(item);                // in any coroutine
//     double y = co_await batcher.process(item).resume_on(ex);  // the same, resumed on `ex`
//     double y = batcher.process(item).get();                   // blocks a plain thread
//     batcher.process(item)(token);                             // as async_process(item, token)
template <class Request>
class [[nodiscard("co_await it, or call .get()")]] Operation
    : public detail::ResumeOn<Request>,
      public asio::awaitable<detail::OperationTag<Request>, asio::any_io_executor> {
    using Hook = asio::awaitable<detail::OperationTag<Request>, asio::any_io_executor>;
    using Base = detail::ResumeOn<Request>;
    using Hook::await_ready;  // only for Asio, which takes it as its Hook
    using Hook::await_resume;
    using Hook::await_suspend;

public:
    // What it gives: the Out of process(), a std::vector of process_many() and process_each(), void of drain().
    using value_type = typename Request::value_type;
    // void(std::exception_ptr, Out); void(std::exception_ptr) where there is no value, and
    // void(std::exception_ptr, std::optional<Out>) where Out has no default constructor.
    using signature = typename detail::Completion<value_type>::signature;

    // It may be moved until it is used.
    Operation(Operation&& other) noexcept(
        std::is_nothrow_move_constructible_v<typename Request::payload_type>)
        : Base(std::move(other)), Hook(this->waiter_) {}
    Operation& operator=(Operation&&) = delete;

    // Waits in the caller's coroutine frame; nothing is allocated. The coroutine resumes on its promise's
    // get_executor() if that exists, else on the Batcher's executor (or worker); always as if posted. An
    // asio::awaitable resumes on its own executor, and its cancellation applies; it is one with Asio's
    // default executor type (in others: co_await async_process(item, asio::use_awaitable_t<Executor>())).
    // Errors are thrown.
    using Base::operator co_await;

    // To be awaited, and resumed on `executor`: any that converts to any_io_executor. The wait counts as no work
    // there: it does not keep a run() of that context from returning. Allocates if it is not that of an
    // io_context or of the Batcher. The result is this operation itself.
    template <class Executor>
        requires std::convertible_to<Executor, asio::any_io_executor>
    detail::ResumeOn<Request>&& resume_on(const Executor& executor) && {
        this->waiter_.resume_on(executor);
        return std::move(*this);
    }
    // If you see an error here, resume_on() was given an execution context.
    template <class Context>
        requires(!std::convertible_to<Context, asio::any_io_executor>)
    detail::ResumeOn<Request>&& resume_on(Context&&) && {
        static_assert(sizeof(Context) == 0,
                      "resume_on() takes an executor, not what has one: context.get_executor()");
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
    template <class R = Request>
        requires(R::one_item)
    auto item() && {
        return this->waiter_.take_back();
    }
    // The same of process_many() and process_each(): the items.
    template <class R = Request>
        requires(R::many_items)
    auto items() && {
        return this->waiter_.take_back();
    }

    // Blocks this thread until the result is there; returns or throws it. On a thread that runs the Batcher's
    // executor, or is one of its workers, it throws errc::deadlock, as it might wait for itself; where that
    // cannot be known (for executors other than those of io_context and thread_pool) it may wait for ever.
    value_type get() && { return this->waiter_.get(); }
    // If you see an error here, get() was called on an operation that has a name.
    template <class R = Request>
    value_type get() & {
        static_assert(sizeof(R) == 0, "an operation is got once: write std::move(operation).get()");
    }

    // Starts it with any Asio completion token. The handler is called as if posted to its associated
    // executor (by default the Batcher's), allocates with its associated allocator and is cancelled
    // through its associated slot.
    template <class Token>
        requires(!detail::is_probe<Token> && asio::completion_token_for<Token, signature>)
    auto operator()(Token&& token) && {
        static_assert(!Request::refers || detail::is_use_awaitable<std::decay_t<Token>>,
                      "a string_view, span or pointer may be gone before its batch is formed: copy "
                      "what it refers to, or write async_process(batching::outlives(item), token)");
        return std::move(*this).start(std::forward<Token>(token));
    }

    // If you see an error here, it means that an operation was used as if it were its result.
    operator detail::ValueOf<value_type>() const {
        static_assert(sizeof(Request) == 0,
                      "an operation is not its result: co_await it, or call .get()");
    }

private:
    template <class In, class Out, class Clock>
    friend class Batcher;
    template <class In, class Out, class Clock>
    friend class detail::Calls;

    class Initiation {
    public:
        using executor_type = asio::any_io_executor;
        explicit Initiation(detail::Engine& engine) noexcept : engine_(&engine) {}
        executor_type get_executor() const noexcept {
            detail::Living::check(engine_);
            return engine_->executor();
        }

        template <class Handler>
        void operator()(Handler&& handler, typename Request::payload_type payload) const {
            detail::Living::check(engine_);
            std::decay_t<Handler> own(std::forward<Handler>(handler));
            detail::HandlerWaiter<Request, std::decay_t<Handler>>::start(std::move(own), *engine_,
                                                                         std::move(payload));
        }

    private:
        detail::Engine* engine_;
    };

    Operation(detail::Engine& engine, typename Request::payload_type&& payload)
        : Base(engine, std::move(payload)), Hook(this->waiter_) {}

    template <class Token>
    auto start(Token&& token) && {
        return asio::async_initiate<Token, signature>(Initiation(engine()), token,
                                                      this->waiter_.payload());
    }

    detail::Engine& engine() const noexcept { return this->waiter_.engine(); }
};

namespace detail {

// async_process() and the like. If you see an error here, it means that their last argument cannot be told.
template <class Request, class Token>
auto start(Operation<Request>&& operation, Token&& token) {
    using signature = typename Operation<Request>::signature;
    constexpr bool fits = asio::completion_token_for<Token, signature>;
    constexpr bool takes_error_code = std::is_invocable_v<Token&, error_code, AnyValue>;
    static_assert(fits || !takes_error_code,
                  "a callback of a Batcher takes (std::exception_ptr, Out), not an error_code");
    static_assert(fits || takes_error_code,
                  "this is no completion token of a Batcher: a callback takes (std::exception_ptr, "
                  "Out), or only (std::exception_ptr) where there is no result");
    if constexpr (fits) return std::move(operation)(std::forward<Token>(token));
}

// `process(item) || timer.async_wait(asio::use_awaitable)`, and &&, in asio::awaitable, for those who say
// `using namespace asio::experimental::awaitable_operators`. Asio's operators would take an operation for
// the awaitable that it derives from, and fail; these are better matches, and hand on a true one. (They are
// found here by the operation's Request.)
template <class Request>
auto as_awaitable(Operation<Request>&& operation) {
    return std::move(operation)(asio::use_awaitable);
}

template <class Request, class T>
auto operator||(Operation<Request>&& a, asio::awaitable<T>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return as_awaitable(std::move(a)) || std::move(b);
}
template <class T, class Request>
auto operator||(asio::awaitable<T>&& a, Operation<Request>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return std::move(a) || as_awaitable(std::move(b));
}
template <class A, class B>
auto operator||(Operation<A>&& a, Operation<B>&& b) {
    using asio::experimental::awaitable_operators::operator||;
    return as_awaitable(std::move(a)) || as_awaitable(std::move(b));
}

template <class Request, class T>
auto operator&&(Operation<Request>&& a, asio::awaitable<T>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return as_awaitable(std::move(a)) && std::move(b);
}
template <class T, class Request>
auto operator&&(asio::awaitable<T>&& a, Operation<Request>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return std::move(a) && as_awaitable(std::move(b));
}
template <class A, class B>
auto operator&&(Operation<A>&& a, Operation<B>&& b) {
    using asio::experimental::awaitable_operators::operator&&;
    return as_awaitable(std::move(a)) && as_awaitable(std::move(b));
}

}  // namespace detail
}  // namespace batching
