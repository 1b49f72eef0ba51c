// Requests: what can be asked of a Batcher, each with the same interface to those who wait for it
// (coroutine.hpp, awaitable.hpp, handler.hpp, blocking.hpp):
//
//     Request(engine, payload)   nothing is queued yet
//     payload()                  what it was made with, until it is prepared
//     prepare()                  what of starting it may fail
//     start()                    queues it; as its last act, since from then on it may be resumed and gone
//     take()                     in resume(), or after it if the request still lives: the value, or throws
//     take_back()                what it was made with, if it was not accepted
//     withdraw()                 its owner destroys it, whatever its state
//     loading(), cancel(type)    cancellation.hpp
#pragma once

#include <batcher/detail/runtime/burst_clock.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/runtime/submission.hpp>
#include <batcher/detail/waiters/cancellation.hpp>
#include <cstddef>
#include <exception>
#include <utility>

namespace batching::detail {

// process(item): one item.
template <class In, class Out, class Clock>
class ProcessRequest : public Item<In> {
public:
    static constexpr bool one_item = true;
    static constexpr bool many_items = false;
    using payload_type = In;
    using value_type = Out;

    ProcessRequest(Engine& engine, In&& item) : Item<In>(std::move(item)), engine_(&engine) {}

    payload_type&& payload() noexcept { return std::move(this->input); }
    payload_type take_back() { return std::move(this->input); }

    void prepare() noexcept {}

    BATCHER_NOINLINE void start() {
        if (!Burst::known_time<Clock>(this->queued_at)) [[unlikely]]
            return read_clock_and_start();
        push();
    }

    Out take() { return take_result<In, Out>(*this); }

    void withdraw() noexcept {
        if (this->pending()) engine_->withdraw(*this);
    }

    Batch* loading() const noexcept { return detail::loading(*this); }
    void cancel(asio::cancellation_type type, const std::exception_ptr& error) {
        if (!releases(type, this->state() == CallState::running)) return;
        engine_->machine().cancelled(*this, error);
    }

    Engine& engine() const noexcept { return *engine_; }

protected:
    ~ProcessRequest() = default;

private:
    // These call one another as their last acts: so the usual way needs no stack.
    BATCHER_NOINLINE void read_clock_and_start() {
        this->queued_at = Burst::read_clock<Clock>(engine_->time_tolerance());
        push();
    }
    void push() {
        this->state(CallState::queued);
        if (!engine_->push(*this)) [[unlikely]]
            submit(*engine_, *this);
    }

    Engine* engine_;
};

// drain(): close, and wait until nothing waits or runs.
class DrainRequest : public Call {
public:
    static constexpr bool one_item = false;
    static constexpr bool many_items = false;
    struct payload_type {};
    using value_type = void;

    DrainRequest(Engine& engine, payload_type&&) : engine_(&engine) {}

    payload_type&& payload() noexcept { return std::move(nothing_); }

    void prepare() noexcept {}

    BATCHER_NOINLINE void start() { engine_->drain(*this); }

    void take() {
        if (batch->error) std::rethrow_exception(batch->error);
    }

    void withdraw() noexcept {
        if (pending()) engine_->withdraw_drain(*this);
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
    [[no_unique_address]] payload_type nothing_;
};

}  // namespace batching::detail
