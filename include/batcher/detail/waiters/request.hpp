// Requests: what can be asked of a Batcher, one item (here), many (many_request.hpp), or to drain
// (drain_request.hpp), each with the same interface to those who wait for it
// (coroutine.hpp, awaitable.hpp, handler.hpp, blocking.hpp):
//
//     Request(engine, payload)   nothing is queued yet
//     payload()                  what it was made with, until it is prepared
//     prepare()                  what of starting it may fail
//     start()                    queues it; as its last act, since from then on it may be resumed and gone
//     take()                     in resume(), or after it if the request still lives: the value, or throws
//     take_back()                what it was made with, if it was not accepted
//     has_to_wait()              false if it is done as soon as it is started
//     withdraw()                 its owner destroys it, whatever its state
//     loading(), cancel(type)    cancellation.hpp
#pragma once

#include <batcher/call_options.hpp>
#include <batcher/detail/compiler.hpp>
#include <batcher/detail/core/terms.hpp>
#include <batcher/detail/runtime/burst_clock.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/runtime/runner.hpp>
#include <batcher/detail/waiters/asks.hpp>
#include <batcher/detail/waiters/cancellation.hpp>
#include <batcher/outlives.hpp>
#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

namespace batching::detail {

// process(item): one item.
template <class In, class Out, class Clock, class Asks = AsksNothing>
class ProcessRequest : public Item<In> {
    static constexpr bool asks = std::same_as<Asks, AsksFor>;

public:
    static constexpr bool one_item = true;
    static constexpr bool many_items = false;
    static constexpr bool refers = refers_elsewhere<In>;
    using payload_type = typename Asks::template payload<In>;
    using value_type = Out;

    ProcessRequest(Engine& engine, In&& item)
        requires(!asks)
        : Item<In>(std::move(item)), engine_(&engine) {}
    ProcessRequest(Engine& engine, payload_type&& payload)
        requires asks
        : Item<In>(std::move(payload.items)), engine_(&engine) {
        asks_.options = payload.options;
    }

    payload_type payload() noexcept(std::is_nothrow_move_constructible_v<In>)
        requires asks
    {
        return {std::move(this->input), asks_.options};
    }
    payload_type&& payload() noexcept
        requires(!asks)
    {
        return std::move(this->input);
    }
    In take_back() { return std::move(this->input); }

    void prepare() noexcept {}

    BATCHER_NOINLINE void start() {
        if (!Burst::known_time<Clock>(this->queued_at)) [[unlikely]]
            return read_clock_and_start();
        push();
    }

    BATCHER_INLINE Out take() { return take_result<In, Out>(*this); }

    static bool has_to_wait() noexcept { return true; }

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
        if constexpr (asks) return push_with_terms();
        this->state(CallState::queued);
        if (!engine_->push(*this)) [[unlikely]]
            refused_push();
    }
    // Where there are rules, every plain call.
    BATCHER_NOINLINE void refused_push() {
        if (engine_->has_rules()) return appraise_and_push();
        engine_->submit(*this, *this, 1, Accept::all_or_none);
    }
    BATCHER_NOINLINE void push_with_terms()
        requires asks
    {
        engine_->give_terms(*this, asks_.options, &asks_.deadline);
        engine_->has_rules() ? appraise_and_push() : hand_in();
    }
    BATCHER_NOINLINE void appraise_and_push() {
        if constexpr (!asks) {
            if (engine_->rules_give_terms()) engine_->give_terms(*this, {}, nullptr);
        }
        try {
            engine_->appraise(*this);
        } catch (...) {
            return engine_->reject(*this, std::current_exception());
        }
        if (engine_->tracing()) [[unlikely]]
            attach_trace();
        hand_in();
    }
    BATCHER_NOINLINE void attach_trace() noexcept {
        engine_->tracing().attach(*this, engine_->tracing().current());
    }
    void hand_in() {
        this->state(CallState::queued);
        if (!handed_in()) [[unlikely]]
            submit_with_terms();
    }
    bool handed_in() noexcept {
        if constexpr (asks) {
            if (this->deadline != nullptr) return engine_->push_with_deadline(*this);
        }
        return engine_->push_with_terms(*this);
    }
    BATCHER_NOINLINE void submit_with_terms() {
        this->Link::next = nullptr;
        engine_->submit_with_terms(*this, 1, Accept::all_or_none);
    }

    Engine* engine_;
    BATCHER_NO_UNIQUE_ADDRESS Asks asks_;
};

}  // namespace batching::detail
