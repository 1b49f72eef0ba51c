// Requests: what can be asked of a Batcher, each with the same interface to those who wait for it
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

#include <batcher/detail/runtime/burst_clock.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/waiters/cancellation.hpp>
#include <batcher/detail/waiters/fan_in.hpp>
#include <batcher/outlives.hpp>
#include <batcher/result.hpp>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

// process(item): one item.
template <class In, class Out, class Clock>
class ProcessRequest : public Item<In> {
public:
    static constexpr bool one_item = true;
    static constexpr bool many_items = false;
    static constexpr bool refers = refers_elsewhere<In>;
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
        this->state(CallState::queued);
        if (!engine_->push(*this)) [[unlikely]]
            engine_->submit(*this, *this, 1, Accept::all_or_none);
    }

    Engine* engine_;
};

// Many items, and one completion when all are done.
template <class In, class Out, class Clock, Accept accept>
class ManyRequest : public Call {
    // Not in the caller's frame: parts may be on their way back when that is destroyed.
    struct Parts final : FanIn<In, Out, Clock> {
        explicit Parts(Call& c) noexcept : caller(c), in_frame(c.ops->in_frame) {}

        void all_ended(bool detached) override {
            if (detached) {
                delete this;
            } else if (!this->abandoned()) {
                caller.ops->resume(caller);
            } else if (!in_frame) {
                caller.ops->abandon(caller);
            }
        }

        Call& caller;
        const bool in_frame;  // its owner may destroy it at any time: nothing to abandon
    };

public:
    static constexpr bool one_item = false;
    static constexpr bool many_items = true;
    static constexpr bool refers = refers_elsewhere<In>;
    using payload_type = std::vector<In>;

    ManyRequest(Engine& engine, std::vector<In>&& items)
        : engine_(&engine), items_(std::move(items)) {}

    payload_type&& payload() noexcept { return std::move(items_); }
    payload_type take_back() {
        for (std::size_t i = 0; parts_ != nullptr && i < parts_->size(); ++i) {
            items_.push_back(std::move((*parts_)[i].input));
        }
        return std::move(items_);
    }

    void prepare() {
        parts_ = new Parts(*this);
        parts_->reserve(items_.size());
        for (auto&& item : items_) parts_->add(In(std::move(item)));  // vector<bool> has proxies
        items_.clear();
    }

    BATCHER_NOINLINE void start() {
        if (parts_->size() != 0) return parts_->submit(*engine_, this->resumes_on, accept);
        state(CallState::queued);
        engine_->refuse(*this, nullptr);  // no part resumes it
    }

    bool has_to_wait() const noexcept { return !items_.empty(); }

    void withdraw() noexcept {
        if (parts_ != nullptr) std::exchange(parts_, nullptr)->leave(*engine_);
        if (pending()) engine_->withdraw(*this);
    }

    Batch* loading() const noexcept { return parts_->loading(); }
    void cancel(asio::cancellation_type type, const std::exception_ptr& error) {
        parts_->cancel(*engine_, type, error);
    }

    Engine& engine() const noexcept { return *engine_; }

protected:
    ~ManyRequest() {
        if (parts_ != nullptr) parts_->leave(*engine_);
    }
    FanIn<In, Out, Clock>& parts() noexcept { return *parts_; }

private:
    Engine* engine_;
    std::vector<In> items_;   // until it is started
    Parts* parts_ = nullptr;  // afterwards
};

// process_many(items): accepted or refused as a whole. If some fail, the error is that of the first of them in the order
// of the items.
template <class In, class Out, class Clock>
class ProcessManyRequest : public ManyRequest<In, Out, Clock, Accept::all_or_none> {
public:
    using ProcessManyRequest::ManyRequest::ManyRequest;
    using value_type = std::conditional_t<std::is_void_v<Out>, void, std::vector<Out>>;

    value_type take() {
        auto& parts = this->parts();
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (parts[i].error) std::rethrow_exception(parts[i].error);
        }
        if constexpr (!std::is_void_v<Out>) {
            std::vector<Out> values;
            values.reserve(parts.size());
            for (std::size_t i = 0; i < parts.size(); ++i) {
                values.push_back(std::move(*parts[i].value));
            }
            return values;
        }
    }

protected:
    ~ProcessManyRequest() = default;
};

// process_each(items): each item has its own fate.
template <class In, class Out, class Clock>
class ProcessEachRequest : public ManyRequest<In, Out, Clock, Accept::as_many_as_fit> {
public:
    using ProcessEachRequest::ManyRequest::ManyRequest;
    using value_type = std::vector<Result<Out>>;

    value_type take() {
        auto& parts = this->parts();
        value_type results;
        results.reserve(parts.size());
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (parts[i].error) {
                results.emplace_back(parts[i].error);
            } else if constexpr (std::is_void_v<Out>) {
                results.emplace_back();
            } else {
                results.emplace_back(std::move(*parts[i].value));
            }
        }
        return results;
    }

protected:
    ~ProcessEachRequest() = default;
};

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
    [[no_unique_address]] payload_type nothing_;
};

}  // namespace batching::detail
