// HandlerWaiter: an Asio completion handler that waits for a request.
//
// It allocates itself with the handler's associated allocator and frees itself before it calls the
// handler; it keeps outstanding work on the handler's executor, and takes part in cancellation by slot.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/runtime/completion_executor.hpp>
#include <batcher/detail/waiters/cancellation.hpp>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace batching::detail {

// Completion signatures. A value that cannot be default-constructed comes as an optional, empty on error.
template <class Value>
struct Completion {
    using argument = Value;
    using signature = void(std::exception_ptr, Value);
};
template <class Value>
    requires(!std::is_void_v<Value> && !std::default_initializable<Value>)
struct Completion<Value> {
    using argument = std::optional<Value>;
    using signature = void(std::exception_ptr, std::optional<Value>);
};
template <>
struct Completion<void> {
    using argument = void;
    using signature = void(std::exception_ptr);
};

template <class Executor>
concept Groupable = std::convertible_to<Executor, asio::any_io_executor> &&
                    asio::can_require_v<Executor, asio::execution::blocking_t::never_t>;

// Outstanding work on the executor of a handler, for as long as it waits; and what the library knows it by.
template <class Executor>
class HandlerWork {
public:
    // An executor that cannot be asked never to block, as any_completion_executor: the handler is
    // dispatched to it, one by one.
    HandlerWork(const Executor& executor, Engine&, Call&)
        : tracked_(asio::prefer(executor, asio::execution::outstanding_work_t::tracked)) {}
    const auto& executor() const noexcept { return tracked_; }

private:
    std::decay_t<decltype(asio::prefer(std::declval<const Executor&>(),
                                       asio::execution::outstanding_work_t::tracked))>
        tracked_;
};

template <Groupable Executor>
class HandlerWork<Executor> {
public:
    // None on the Batcher's own executor, whose work the engine accounts for.
    HandlerWork(const Executor& executor, Engine& engine, Call& call)
        : executor_(engine.find(asio::any_io_executor(executor), kept_)) {
        call.resumes_on = executor_;
        if (executor_ != nullptr) executor_->start_work();
    }
    HandlerWork(HandlerWork&& other) noexcept
        : kept_(std::move(other.kept_)), executor_(std::exchange(other.executor_, nullptr)) {}
    HandlerWork& operator=(HandlerWork&&) = delete;
    ~HandlerWork() {
        if (executor_ != nullptr) executor_->finish_work();
    }

private:
    std::shared_ptr<CompletionExecutor> kept_;
    CompletionExecutor* executor_;
};

template <class Request, class Handler>
class HandlerWaiter final : public Request {
    using Value = typename Request::value_type;
    using Executor = asio::associated_executor_t<Handler, asio::any_io_executor>;
    using Allocator = typename std::allocator_traits<
        asio::associated_allocator_t<Handler>>::template rebind_alloc<HandlerWaiter>;
    using AllocatorTraits = std::allocator_traits<Allocator>;

public:
    // Moves the handler and the payload into a waiter, and starts it.
    static void start(Handler&& handler, Engine& engine, typename Request::payload_type&& payload) {
        Allocator allocator(asio::get_associated_allocator(handler));
        HandlerWaiter* self = AllocatorTraits::allocate(allocator, 1);
        try {
            std::construct_at(self, std::move(handler), engine, std::move(payload));
        } catch (...) {
            AllocatorTraits::deallocate(allocator, self, 1);
            throw;
        }
        static_cast<Request*>(self)->start();
    }

    HandlerWaiter(Handler&& handler, Engine& engine, typename Request::payload_type&& payload)
        : Request(engine, std::move(payload)),
          handler_(std::move(handler)),
          work_(asio::get_associated_executor(handler_, engine.executor()), engine, *this) {
        this->ops = &call_ops<HandlerWaiter, false>;
        this->prepare();
        cancellation_.connect(asio::get_associated_cancellation_slot(handler_), *this);
    }

    ~HandlerWaiter() = default;

    void resume() {
        cancellation_.forget(this->engine());
        Handler handler(std::move(handler_));
        auto work = std::move(work_);
        std::exception_ptr error;
        Held held{};
        try {
            take_into(held);
        } catch (...) {
            error = std::current_exception();
        }
        free(handler);
        if constexpr (Groupable<Executor>) {
            call(handler, std::move(error), held);
        } else {
            asio::dispatch(work.executor(), [handler = std::move(handler), error = std::move(error),
                                             held = std::move(held)]() mutable {
                call(handler, std::move(error), held);
            });
        }
    }

    void abandon() noexcept {
        cancellation_.forget(this->engine());
        Handler handler(std::move(handler_));
        free(handler);
    }

private:
    using Work = HandlerWork<Executor>;
    using Argument = typename Completion<Value>::argument;
    // The value on its way to the handler. What is dispatched must not throw when it is moved.
    using Held = std::conditional_t<std::is_void_v<Value>, std::monostate,
                                    std::conditional_t<Groupable<Executor>, std::optional<Argument>,
                                                       std::unique_ptr<Argument>>>;

    void take_into([[maybe_unused]] Held& held) {
        if constexpr (std::is_void_v<Value>) {
            this->take();
        } else if constexpr (Groupable<Executor>) {
            held.emplace(this->take());
        } else {
            held = std::make_unique<Argument>(this->take());
        }
    }

    static void call(Handler& handler, std::exception_ptr error, [[maybe_unused]] Held& held) {
        if constexpr (std::is_void_v<Value>) {
            std::move(handler)(std::move(error));
        } else if (error) {
            std::move(handler)(std::move(error), Argument());
        } else if constexpr (std::is_nothrow_move_constructible_v<Argument>) {
            std::move(handler)(std::exception_ptr(), std::move(*held));
        } else {
            try {
                return std::move(handler)(std::exception_ptr(), pass(*held, error));
            } catch (...) {
                if (!error) throw;  // the handler's own
            }
            std::move(handler)(std::move(error), Argument());
        }
    }
    // Straight into the handler's parameter; if that throws, the handler has not begun.
    template <class T>
    static T pass(T& argument, std::exception_ptr& error) {
        try {
            return std::move(argument);
        } catch (...) {
            error = std::current_exception();
            throw;
        }
    }

    void free(const Handler& handler) noexcept {
        Allocator allocator(asio::get_associated_allocator(handler));
        std::destroy_at(this);
        AllocatorTraits::deallocate(allocator, this, 1);
    }

    Handler handler_;
    Work work_;
    Cancellation cancellation_;
};

}  // namespace batching::detail
