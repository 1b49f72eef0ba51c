// The request of drain(). Its interface: request.hpp.
#pragma once

#include <batcher/detail/compiler.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waiters/cancellation.hpp>
#include <exception>
#include <utility>

namespace batching::detail {

// drain(): close, and wait until nothing waits or runs.
class DrainRequest : public Call {
public:
    static constexpr bool one_item = false;
    static constexpr bool many_items = false;
    static constexpr bool refers = false;
    struct payload_type {};
    using value_type = void;

    DrainRequest(Engine& engine, payload_type&&) : engine_(&engine) {}

    payload_type&& payload() noexcept { return std::move(nothing_); }

    void prepare() noexcept {}

    BATCHER_NOINLINE void start() { engine_->drain(*this); }

    bool has_to_wait() const noexcept { return !engine_->idle(); }

    void take() {
        if (batch->error) std::rethrow_exception(batch->error);
    }

    void withdraw() noexcept {
        if (pending()) engine_->withdraw(*this);
    }

    Batch* loading() const noexcept { return nullptr; }
    void cancel(asio::cancellation_type type, const std::exception_ptr& error) {
        if (releases(type, false)) engine_->machine().drain_cancelled(*this, error);
    }

    Engine& engine() const noexcept { return *engine_; }

protected:
    ~DrainRequest() = default;

private:
    Engine* engine_;
    BATCHER_NO_UNIQUE_ADDRESS payload_type nothing_;
};

}  // namespace batching::detail
