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
// thread is just moving its value into its batch, or posting its result, the destructor waits for that.)
// As with any coroutine, whoever destroys it has to know that it is still suspended: on the executor it
// resumes on, or while nothing runs there.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/awaitable_hook.hpp>
#include <batcher/detail/blocking_waiter.hpp>
#include <batcher/detail/coroutine_waiter.hpp>
#include <batcher/detail/handler_waiter.hpp>
#include <batcher/detail/requests.hpp>
#include <type_traits>
#include <utility>

namespace batching {

// An operation that says where its coroutine resumes.
template <class Request>
class [[nodiscard]] ResumeOn {
public:
    // `co_await` in any coroutine but asio::awaitable, which has an executor of its own.
    detail::CoroutineWaiter<Request> operator co_await() && {
        return {*engine_, std::move(payload_), &executor_};
    }

private:
    template <class R>
    friend class Operation;

    ResumeOn(typename Request::engine_type& engine, typename Request::payload_type&& payload,
             const asio::any_io_executor& executor)
        : engine_(&engine), payload_(std::move(payload)), executor_(executor) {}

    typename Request::engine_type* engine_;
    typename Request::payload_type payload_;
    asio::any_io_executor executor_;
};

template <class Request>
class [[nodiscard]] Operation
    : public detail::AwaitableHook<Operation<Request>, typename Request::value_type> {
    using Hook = detail::AwaitableHook<Operation<Request>, typename Request::value_type>;

public:
    using value_type = typename Request::value_type;
    // void(std::exception_ptr, Out); void(std::exception_ptr) where there is no value, and
    // void(std::exception_ptr, std::optional<Out>) where Out has no default constructor.
    using signature = typename detail::Completion<value_type>::signature;

    Operation(Operation&& other) noexcept(
        std::is_nothrow_move_constructible_v<typename Request::payload_type>)
        : Hook(this), engine_(other.engine_), payload_(std::move(other.payload_)) {}
    Operation& operator=(Operation&&) = delete;

    // Waits in the caller's coroutine frame; nothing is allocated. The coroutine resumes on its promise's
    // get_executor() if that exists, else on the Batcher's executor (or worker); always as if posted.
    // (An asio::awaitable waits as an Asio handler does, and resumes on its own executor.)
    // Errors are thrown.
    detail::CoroutineWaiter<Request> operator co_await() && {
        return {*engine_, std::move(payload_)};
    }

    // The same, resuming on `executor`. The wait counts as no work there: it does not keep a run() of
    // that context from returning.
    ResumeOn<Request> resume_on(const asio::any_io_executor& executor) && {
        return {*engine_, std::move(payload_), executor};
    }

    // Blocks this thread until the result is there; returns or throws it. Not to be called on a thread
    // that the batch function, or the Batcher's executor, needs in order to run: it would wait for itself.
    value_type get() && {
        return detail::BlockingWaiter<Request>(*engine_, std::move(payload_)).get();
    }

    // Starts it with any Asio completion token. The handler is called as if posted to its associated
    // executor (by default the Batcher's), allocates with its associated allocator and is cancelled
    // through its associated slot.
    template <BATCHER_ASIO_TOKEN_FOR(signature) Token>
        requires(!(detail::needs_awaitable_hook<value_type> && detail::is_probe<Token>))
    auto operator()(Token&& token) && {
        return asio::async_initiate<Token, signature>(Initiation(*engine_), token,
                                                      std::move(payload_));
    }

private:
    template <class In, class Out, class Clock>
    friend class Batcher;

    class Initiation {
    public:
        using executor_type = asio::any_io_executor;
        explicit Initiation(typename Request::engine_type& engine) noexcept : engine_(&engine) {}
        executor_type get_executor() const noexcept { return engine_->executor(); }

        template <class Handler>
        void operator()(Handler&& handler, typename Request::payload_type payload) const {
            std::decay_t<Handler> own(std::forward<Handler>(handler));
            detail::HandlerWaiter<Request, std::decay_t<Handler>>::start(std::move(own), *engine_,
                                                                         std::move(payload));
        }

    private:
        typename Request::engine_type* engine_;
    };

    Operation(typename Request::engine_type& engine, typename Request::payload_type&& payload)
        : Hook(this), engine_(&engine), payload_(std::move(payload)) {}

    typename Request::engine_type* engine_;
    typename Request::payload_type payload_;
};

}  // namespace batching
