// Cancellation of a request through an Asio cancellation slot.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <exception>
#include <memory>

namespace batching::detail {

inline bool has(asio::cancellation_type type, asio::cancellation_type flag) noexcept {
    return (type & flag) != asio::cancellation_type::none;
}

// While it waits, a request can be cancelled by each type; once it runs, its effects can no longer be
// prevented, so `total` no longer applies.
inline bool releases(asio::cancellation_type type, bool runs) noexcept {
    return has(type, asio::cancellation_type::terminal) ||
           has(type, asio::cancellation_type::partial) ||
           (!runs && has(type, asio::cancellation_type::total));
}

// What cancellation has to know of a kind of request. Under the engine's lock.
struct CancelOps {
    // The batch that is moving an item of the request at this moment, or null.
    Batch* (*loading)(void* request) noexcept;
    // Precondition: no batch is.
    void (*cancel)(void* request, asio::cancellation_type type, const std::exception_ptr& error);
};
template <class Request>
inline constexpr CancelOps cancel_ops{
    [](void* request) noexcept { return static_cast<Request*>(request)->loading(); },
    [](void* request, asio::cancellation_type type, const std::exception_ptr& error) {
        static_cast<Request*>(request)->cancel(type, error);
    }};

// What is put into a cancellation slot. The slot may outlive the request and the other way round, and
// signals may come from any thread: each side forgets the other under the engine's lock.
class Canceller {
public:
    Canceller(Engine& engine, void* request, const CancelOps& ops, Canceller*& back) noexcept
        : engine_(engine.weak_from_this()), request_(request), ops_(&ops), back_(&back) {
        back = this;
    }
    Canceller(const Canceller&) = delete;
    Canceller& operator=(const Canceller&) = delete;
    ~Canceller() {
        if (const auto engine = engine_.lock()) {
            const Engine::Lock lock(engine->mutex());
            if (request_ != nullptr) *back_ = nullptr;
        }
    }

    // The request is done. Under the lock.
    void forget() noexcept { request_ = nullptr; }

    void operator()(asio::cancellation_type type) {
        const auto engine = engine_.lock();
        if (!engine) return;
        const std::exception_ptr error = operation_aborted();
        Engine::Lock lock = engine->lock_loaded(
            [this] { return request_ != nullptr ? ops_->loading(request_) : nullptr; });
        if (request_ != nullptr) ops_->cancel(request_, type, error);
        engine->settle(std::move(lock));
    }

private:
    std::weak_ptr<Engine> engine_;
    void* request_;
    const CancelOps* ops_;
    Canceller** back_;
};

// The request's side of it.
class Cancellation {
public:
    Cancellation() = default;
    Cancellation(const Cancellation&) = delete;
    Cancellation& operator=(const Cancellation&) = delete;

    template <class Slot, class Request>
    void connect(Slot slot, Request& request) {
        connected_ = slot.is_connected();
        if (!connected_) return;
        slot.template emplace<Canceller>(request.engine(), static_cast<void*>(&request),
                                         cancel_ops<Request>, canceller_);
    }

    bool connected() const noexcept { return connected_; }

    // The request is done: signals no longer reach it.
    void forget(Engine& engine) noexcept {
        if (!connected_) return;
        const Engine::Lock lock(engine.mutex());
        if (canceller_ != nullptr) canceller_->forget();
    }

private:
    bool connected_ = false;
    Canceller* canceller_ = nullptr;  // null once the slot has dropped it; under the lock
};

}  // namespace batching::detail
