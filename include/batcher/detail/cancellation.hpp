// Cancellation of a request through an Asio cancellation slot.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/delivery.hpp>
#include <batcher/detail/engine_base.hpp>
#include <memory>
#include <mutex>
#include <utility>

namespace batching::detail {

// What is put into a cancellation slot. The slot may outlive the waiter and the other way round, and
// signals may come from any thread: each side forgets the other under the engine's lock.
template <class Request>
class Canceller {
public:
    Canceller(Request& request, Canceller*& back) noexcept
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

// The waiter's side of it.
template <class Request>
class Cancellation {
public:
    Cancellation() = default;
    Cancellation(const Cancellation&) = delete;
    Cancellation& operator=(const Cancellation&) = delete;

    template <class Slot>
    void connect(Slot slot, Request& request) {
        connected_ = slot.is_connected();
        if (connected_) slot.template emplace<Canceller<Request>>(request, canceller_);
    }

    bool connected() const noexcept { return connected_; }

    // The request is done: signals no longer reach it.
    void forget(EngineBase& engine) noexcept {
        if (!connected_) return;
        const std::lock_guard lock(engine.mutex());
        if (canceller_ != nullptr) canceller_->forget();
    }

private:
    bool connected_ = false;
    Canceller<Request>* canceller_ = nullptr;  // null once the slot has dropped it; under the lock
};

}  // namespace batching::detail
