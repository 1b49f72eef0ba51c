// HandlerWaiter: an Asio completion handler that waits for a request.
//
// It allocates itself with the handler's associated allocator and frees itself before it calls the
// handler; it keeps outstanding work on the handler's executor, and takes part in cancellation by slot.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/delivery.hpp>
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

// What is put into a cancellation slot. The slot may outlive the waiter and the other way round, and
// signals may come from any thread: each side forgets the other under the engine's lock.
template <class Request>
class Canceller {
public:
    explicit Canceller(Request& request, Canceller*& back) noexcept
        : engine_(request.engine().weak_from_this()), request_(&request), back_(&back) {
        back = this;
    }
    Canceller(const Canceller&) = delete;
    Canceller& operator=(const Canceller&) = delete;
    ~Canceller() {
        if (const auto engine = engine_.lock()) {
            const std::lock_guard lock(engine->mutex());
            if (request_ != nullptr) *back_ = nullptr;
        }
    }

    // The request is done. Under the lock.
    void forget() noexcept { request_ = nullptr; }

    void operator()(asio::cancellation_type type) {
        const auto base = engine_.lock();
        if (!base) return;
        auto& engine = static_cast<typename Request::engine_type&>(*base);
        std::unique_lock lock(engine.mutex());
        engine.loaded().wait(lock, [this] { return request_ == nullptr || !request_->loading(); });
        if (request_ == nullptr) return;
        if (const auto delivery = request_->cancel(type)) {
            engine.settle(std::move(lock));
            send(base, delivery);
        }
    }

private:
    std::weak_ptr<EngineBase> engine_;
    Request* request_;
    Canceller** back_;
};

template <class Executor>
concept Groupable = std::convertible_to<Executor, asio::any_io_executor> &&
                    asio::can_require_v<Executor, asio::execution::blocking_t::never_t>;

// The handler's executor, with outstanding work; empty if it is the Batcher's own, whose work the engine
// accounts for.
template <Groupable Executor>
std::optional<asio::any_io_executor> home_of(const Executor& executor,
                                             const asio::any_io_executor& batchers) {
    const asio::any_io_executor& any = executor;  // a copy only if it is of another type
    if (any == batchers) return std::nullopt;
    return asio::prefer(any, asio::execution::outstanding_work_t::tracked);
}
template <class Executor>
auto home_of(const Executor& executor, const asio::any_io_executor&) {
    return asio::prefer(executor, asio::execution::outstanding_work_t::tracked);
}

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
          home_(home_of(asio::get_associated_executor(handler_, engine.executor()),
                        engine.executor())) {
        if constexpr (Groupable<Executor>) {
            if (home_) {
                this->home = &*home_;
                engine.watch(*home_);
            }
        }
        auto cancellation = asio::get_associated_cancellation_slot(handler_);
        cancellable_ = cancellation.is_connected();
        if (cancellable_) cancellation.template emplace<Canceller<Request>>(*this, canceller_);
    }

    ~HandlerWaiter() = default;

private:
    void resume() override {
        forget_canceller();
        Handler handler(std::move(handler_));
        auto executor = std::move(home_);
        if constexpr (std::is_void_v<Value>) {
            std::exception_ptr error;
            try {
                this->take();
            } catch (...) {
                error = std::current_exception();
            }
            free(handler);
            call(executor, std::move(handler), std::move(error));
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
                call(executor, std::move(handler), std::move(error),
                     value ? std::move(*value) : Value());
            } else {
                call(executor, std::move(handler), std::move(error), std::move(value));
            }
        }
    }

    void abandon() noexcept override {
        forget_canceller();
        Handler handler(std::move(handler_));
        free(handler);
    }

    template <class Home, class... Args>
    static void call([[maybe_unused]] const Home& executor, Handler&& handler, Args... args) {
        if constexpr (Groupable<Executor>) {
            std::move(handler)(std::move(args)...);
        } else {
            // An executor that cannot be asked never to block, as any_completion_executor.
            asio::dispatch(executor, [handler = std::move(handler),
                                      args = std::tuple(std::move(args)...)]() mutable {
                std::apply(std::move(handler), std::move(args));
            });
        }
    }

    void forget_canceller() noexcept {
        if (!cancellable_) return;
        const std::lock_guard lock(this->engine().mutex());
        if (canceller_ != nullptr) canceller_->forget();
    }

    void free(const Handler& handler) noexcept {
        Allocator allocator(asio::get_associated_allocator(handler));
        std::destroy_at(this);
        AllocatorTraits::deallocate(allocator, this, 1);
    }

    Handler handler_;
    decltype(home_of(std::declval<const Executor&>(),
                     std::declval<const asio::any_io_executor&>())) home_;
    bool cancellable_ = false;
    Canceller<Request>* canceller_ = nullptr;  // null once the slot has dropped it; under the lock
};

}  // namespace batching::detail
