// HandlerWaiter: an Asio completion handler that waits for a request.
//
// It allocates itself with the handler's associated allocator and frees itself before it calls the
// handler; it keeps outstanding work on the handler's executor, and takes part in cancellation by slot.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/cancellation.hpp>
#include <batcher/detail/home.hpp>
#include <batcher/detail/waiter.hpp>
#include <concepts>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

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
    using signature = void(std::exception_ptr);
};

template <class Executor>
concept Groupable = std::convertible_to<Executor, asio::any_io_executor> &&
                    asio::can_require_v<Executor, asio::execution::blocking_t::never_t>;

// Outstanding work on the executor of a handler, for as long as it waits; and its home.
template <class Executor>
class HandlerWork {
public:
    // An executor that cannot be asked never to block, as any_completion_executor: the handler is
    // dispatched to it, one by one.
    HandlerWork(const Executor& executor, EngineBase&, Waiter&)
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
    HandlerWork(const Executor& executor, EngineBase& engine, Waiter& waiter) {
        if (!engine.find_home(executor, waiter.home)) {
            home_ = std::make_unique<Home>(executor);
            waiter.home = home_.get();
            engine.watch(*home_->context);
        }
        if (waiter.home != nullptr) {
            work_ = asio::prefer(executor, asio::execution::outstanding_work_t::tracked);
        }
    }

private:
    asio::any_io_executor work_;
    std::unique_ptr<Home> home_;
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
    static void start(Handler&& handler, typename Request::engine_type& engine,
                      typename Request::payload_type&& payload) {
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

    HandlerWaiter(Handler&& handler, typename Request::engine_type& engine,
                  typename Request::payload_type&& payload)
        : Request(engine, std::move(payload)),
          handler_(std::move(handler)),
          work_(asio::get_associated_executor(handler_, engine.executor()), engine, *this) {
        this->kind = &kind_of<HandlerWaiter, false>;
        this->prepare();
        cancellation_.connect(asio::get_associated_cancellation_slot(handler_), *this);
    }

    ~HandlerWaiter() = default;

    void resume() {
        cancellation_.forget(this->engine());
        Handler handler(std::move(handler_));
        auto work = std::move(work_);
        if constexpr (std::is_void_v<Value>) {
            std::exception_ptr error;
            try {
                this->take();
            } catch (...) {
                error = std::current_exception();
            }
            free(handler);
            call(work, std::move(handler), std::move(error));
        } else {
            std::exception_ptr error;
            std::optional<Value> value;
            try {
                value.emplace(this->take());
            } catch (...) {
                error = std::current_exception();
            }
            free(handler);
            if constexpr (std::default_initializable<Value>) {
                call(work, std::move(handler), std::move(error),
                     value ? std::move(*value) : Value());
            } else {
                call(work, std::move(handler), std::move(error), std::move(value));
            }
        }
    }

    void abandon() noexcept {
        cancellation_.forget(this->engine());
        Handler handler(std::move(handler_));
        free(handler);
    }

private:
    using Work = HandlerWork<Executor>;

    template <class... Args>
    static void call([[maybe_unused]] const Work& work, Handler&& handler, Args... args) {
        if constexpr (Groupable<Executor>) {
            std::move(handler)(std::move(args)...);
        } else {
            asio::dispatch(work.executor(), [handler = std::move(handler),
                                             args = std::tuple(std::move(args)...)]() mutable {
                std::apply(std::move(handler), std::move(args));
            });
        }
    }

    void free(const Handler& handler) noexcept {
        Allocator allocator(asio::get_associated_allocator(handler));
        std::destroy_at(this);
        AllocatorTraits::deallocate(allocator, this, 1);
    }

    Handler handler_;
    Work work_;
    Cancellation<Request> cancellation_;
};

}  // namespace batching::detail
