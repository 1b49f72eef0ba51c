// Requests: what can be asked of an Engine, each with the same interface to those who wait for it
// (frame_waiter.hpp, handler_waiter.hpp, blocking_waiter.hpp derive from a request):
//
//     Request(engine, payload)   nothing is queued yet
//     payload()                  what it was made with, until it is prepared
//     prepare()                  what of starting it may fail
//     start()                    queues it; as its last act, since from then on it may be resumed and gone
//     take()                     in resume(), or after it if the waiter still lives: the value, or throws
//     withdraw()                 its owner destroys it, whatever its state
//     cancel(type)               under the engine's lock: what is to be sent after it, if it was released
#pragma once

#include <atomic>
#include <batcher/detail/engine.hpp>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

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

// process(item): one item.
template <class In, class Out, class Clock>
class ProcessRequest : public Item<In, Out, Clock> {
public:
    using engine_type = Engine<In, Out, Clock>;
    using payload_type = In;
    using value_type = Out;

    ProcessRequest(engine_type& engine, In&& item)
        : Item<In, Out, Clock>(std::move(item)), engine_(&engine) {}

    payload_type&& payload() noexcept { return std::move(this->input); }

    void prepare() noexcept {}

    BATCHER_NOINLINE void start() {
        engine_type& engine = *engine_;
        this->queued_at = engine_type::now();
        this->life(Life::waiting);
        const Admission admission = engine.submit(*this, *this, 1);
        if (admission != Admission::accepted) [[unlikely]]
            reject(engine, admission);
    }

    void withdraw() noexcept {
        if (this->pending()) [[unlikely]]
            engine_->withdraw(*this);
    }

    std::shared_ptr<Delivery> cancel(asio::cancellation_type type) {
        const bool runs = engine_->runs(*this);
        if (!(runs || engine_->waits(*this)) || !releases(type, runs)) return nullptr;
        auto delivery = engine_->failing(operation_aborted());
        engine_->release(*this, *delivery);
        delivery->settle(*engine_);
        return delivery;
    }
    bool loading() const noexcept { return engine_->loading(*this); }

    engine_type& engine() const noexcept { return *engine_; }

protected:
    ~ProcessRequest() = default;

private:
    BATCHER_NOINLINE void reject(engine_type& engine, Admission admission) {
        auto delivery = engine.failing(engine.rejection(admission, 1));
        this->index = 0;
        delivery->add(*this);
        delivery->settle(engine);
        send(engine.shared_from_this(), delivery);
    }

    engine_type* engine_;
};

// process_many(items): many items, one completion when all are done. If some fail, the error is that of
// the first of them in the order of the items.
template <class In, class Out, class Clock>
class ProcessManyRequest : public Waiter {
    using Values = std::conditional_t<std::is_void_v<Out>, void, std::vector<Out>>;
    using Value = std::conditional_t<std::is_void_v<Out>, std::monostate, Out>;

public:
    using engine_type = Engine<In, Out, Clock>;
    using payload_type = std::vector<In>;
    using value_type = Values;

    ProcessManyRequest(engine_type& engine, std::vector<In>&& items)
        : engine_(&engine), items_(std::move(items)) {}

    payload_type&& payload() noexcept { return std::move(items_); }

    void prepare() {
        for (std::size_t i = 0; i < items_.size(); ++i) {
            parts_.emplace_back(*this, In(std::move(items_[i])));  // no In&: of bools there is none
        }
        items_.clear();
        parts_left_ = parts_.size();
    }

    BATCHER_NOINLINE void start() {
        engine_type& engine = *engine_;
        if (parts_.empty()) return settle(engine, nullptr);
        const auto now = engine_type::now();
        Part* newest = nullptr;
        for (Part& part : parts_) {
            part.kind = kind->in_frame ? &kind_of<Part, true> : &kind_of<Part, false>;
            part.home = home;
            part.queued_at = now;
            part.life(Life::waiting);
            part.next = std::exchange(newest, &part);
        }
        const std::size_t count = parts_.size();
        const Admission admission = engine.submit(*newest, parts_.front(), count);
        if (admission != Admission::accepted) {
            for (Part& part : parts_) part.life(Life::done);
            settle(engine, engine.rejection(admission, count));
        }
    }

    Values take() {
        if (error_) std::rethrow_exception(error_);
        for (Part& part : parts_) {
            if (part.error) std::rethrow_exception(part.error);
        }
        if constexpr (!std::is_void_v<Out>) {
            std::vector<Out> values;
            values.reserve(parts_.size());
            for (Part& part : parts_) values.push_back(std::move(*part.result));
            return values;
        }
    }

    void withdraw() noexcept {
        for (Part& part : parts_) {
            if (part.pending()) engine_->withdraw(part);
        }
        if (pending())
            engine_->withdraw_waiter(*this);  // settled by itself: empty, or not accepted
    }

    std::shared_ptr<Delivery> cancel(asio::cancellation_type type) {
        bool runs = false;
        bool open = false;
        for (const Part& part : parts_) {
            const bool waits = engine_->waits(part);
            runs |= !waits;  // or has run
            open |= waits || engine_->runs(part);
        }
        if (!open || !releases(type, runs)) return nullptr;
        auto delivery = engine_->failing(operation_aborted());
        for (Part& part : parts_) {
            if (engine_->waits(part) || engine_->runs(part)) engine_->release(part, *delivery);
        }
        delivery->settle(*engine_);
        return delivery;
    }
    bool loading() const noexcept {
        for (const Part& part : parts_) {
            if (engine_->loading(part)) return true;
        }
        return false;
    }

    engine_type& engine() const noexcept { return *engine_; }

protected:
    ~ProcessManyRequest() = default;

private:
    struct Part final : Item<In, Out, Clock> {
        Part(ProcessManyRequest& w, In&& item) : Item<In, Out, Clock>(std::move(item)), whole(w) {}

        void resume() {
            try {
                if constexpr (std::is_void_v<Out>) {
                    this->take();
                } else {
                    result.emplace(this->take());
                }
            } catch (...) {
                error = std::current_exception();
            }
            if (whole.parts_left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
            if (whole.orphaned_.load(std::memory_order_relaxed)) return whole.kind->abandon(whole);
            whole.kind->resume(whole);
        }
        void abandon() noexcept {
            whole.orphaned_.store(true, std::memory_order_relaxed);
            if (whole.parts_left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
                whole.kind->abandon(whole);
            }
        }

        ProcessManyRequest& whole;
        std::optional<Value> result;
        std::exception_ptr error;
    };

    // Without any part in the queue.
    void settle(engine_type& engine, std::exception_ptr error) {
        error_ = std::move(error);
        auto delivery = std::make_shared<PlainDelivery>();
        delivery->add(*this);
        delivery->settle(engine);
        send(engine.shared_from_this(), delivery);
    }

    engine_type* engine_;
    std::vector<In> items_;  // until it is started
    std::atomic<std::size_t> parts_left_{0};
    std::atomic<bool> orphaned_{false};
    std::deque<Part> parts_;  // they do not move
    std::exception_ptr error_;
};

// drain(): close, and wait until nothing waits or runs.
template <class In, class Out, class Clock>
class DrainRequest : public Waiter {
public:
    using engine_type = Engine<In, Out, Clock>;
    struct payload_type {};
    using value_type = void;

    DrainRequest(engine_type& engine, payload_type&&) : engine_(&engine) {}

    payload_type&& payload() noexcept { return std::move(nothing_); }

    void prepare() noexcept {}

    BATCHER_NOINLINE void start() {
        engine_type& engine = *engine_;
        engine.drain(*this);
    }

    void take() {
        if (error_) std::rethrow_exception(error_);
    }

    void withdraw() noexcept {
        if (pending()) engine_->withdraw_waiter(*this);
    }

    std::shared_ptr<Delivery> cancel(asio::cancellation_type type) {
        if (life() != Life::waiting || !releases(type, false)) return nullptr;
        WaiterList<Waiter>::unlink(*this);
        error_ = operation_aborted();
        auto delivery = std::make_shared<PlainDelivery>();
        delivery->add(*this);
        delivery->settle(*engine_);
        return delivery;
    }
    bool loading() const noexcept { return false; }

    engine_type& engine() const noexcept { return *engine_; }

protected:
    ~DrainRequest() = default;

private:
    engine_type* engine_;
    std::exception_ptr error_;
    [[no_unique_address]] payload_type nothing_;
};

}  // namespace batching::detail
