// FanIn: many items handed in as one chain, and one end when the last of them has its result.
//
// process_many() is one that is accepted as a whole or not at all, and resumes its caller at the end. A
// deployment's call is one that is accepted as far as it fits, and answers its client.
#pragma once

#include <atomic>
#include <batcher/detail/runtime/burst_clock.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/runtime/submission.hpp>
#include <batcher/detail/waiters/cancellation.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace batching::detail {

template <class In, class Out, class Clock>
class FanIn {
    using Value = std::conditional_t<std::is_void_v<Out>, std::monostate, Out>;

public:
    FanIn(const FanIn&) = delete;
    FanIn& operator=(const FanIn&) = delete;

protected:
    struct Part final : Item<In> {
        Part(FanIn& w, In&& item) : Item<In>(std::move(item)), whole(w) {}

        void resume() {
            try {
                if constexpr (std::is_void_v<Out>) {
                    take_result<In, Out>(*this);
                    value.emplace();
                } else {
                    value.emplace(take_result<In, Out>(*this));
                }
            } catch (...) {
                error = std::current_exception();
            }
            whole.part_ended(1);
        }
        void abandon() noexcept {
            error = operation_aborted();
            whole.abandoned_.store(true, std::memory_order_relaxed);
            if (!this->ops->in_frame) return whole.part_ended(1);
            std::atomic<std::size_t>* const left = &whole.left_;
            left->fetch_sub(1, std::memory_order_acq_rel);
            left->notify_all();
        }

        FanIn& whole;
        std::optional<Value> value;
        std::exception_ptr error;
    };

    // Each part has ended, some by their executor's going if `abandoned`. Called once, on the completion
    // executor of the parts; as its last act, since nothing here is needed any more.
    virtual void ended(bool abandoned) = 0;

    FanIn() = default;
    ~FanIn() { std::destroy_n(parts_.get(), size_); }

    // To be called once, before add(): the parts do not move.
    void reserve(std::size_t items) {
        parts_ = Parts(std::allocator<Part>().allocate(items), {items});
    }
    void add(In item) {
        std::construct_at(&parts_.get()[size_], *this, std::move(item));
        ++size_;
    }
    std::size_t size() const noexcept { return size_; }
    Part& operator[](std::size_t i) noexcept { return parts_.get()[i]; }
    const Part& operator[](std::size_t i) const noexcept { return parts_.get()[i]; }

    // Hands all parts in, or none. If they are accepted, all of this may be gone when it returns.
    // Precondition: there are some.
    Admission submit_all(Engine& engine, const CallOps& ops, CompletionExecutor* executor) {
        left_.store(size_, std::memory_order_relaxed);
        link(ops, executor, engine.time_tolerance());
        const Admission admission =
            engine.submit((*this)[size_ - 1], (*this)[0], size_, Accept::all_or_none);
        if (admission.accepted == 0) {
            refuse_from(0, nullptr);
            left_.store(0, std::memory_order_relaxed);
        }
        return admission;
    }

    // Hands the first parts in, as many as fit. ended() may be called before it returns.
    void submit_some(Engine& engine, const CallOps& ops, CompletionExecutor* executor) {
        left_.store(size_ + 1, std::memory_order_relaxed);  // one for this function
        std::size_t accepted = 0;
        if (size_ != 0) {
            link(ops, executor, engine.time_tolerance());
            const Admission admission =
                engine.submit((*this)[size_ - 1], (*this)[0], size_, Accept::as_many_as_fit);
            accepted = admission.accepted;
            if (accepted != size_) refuse_from(accepted, refusal(admission, size_ - accepted));
        }
        part_ended(size_ - accepted + 1);
    }

    // Nobody waits any more: parts leave the queue, and the results of those that run are dropped. After
    // submit_some(). As its last act, since ended() may be called.
    void cancel_all(Engine& engine) {
        const std::exception_ptr error = operation_aborted();
        Engine::Lock lock = engine.lock();
        while (Batch* const batch = loading_part()) engine.wait_until_loaded(*batch, lock);
        cancel_parts(engine, asio::cancellation_type::terminal, error);
        engine.settle(std::move(lock));
    }

    // ---- for cancellation.hpp, under the engine's lock ----

    Batch* loading_part() const noexcept {
        for (std::size_t i = 0; i < size_; ++i) {
            if (Batch* const batch = loading((*this)[i])) return batch;
        }
        return nullptr;
    }
    void cancel_parts(Engine& engine, asio::cancellation_type type,
                      const std::exception_ptr& error) {
        bool runs = false;
        for (std::size_t i = 0; i < size_; ++i) runs |= (*this)[i].state() != CallState::queued;
        if (!releases(type, runs)) return;
        for (std::size_t i = 0; i < size_; ++i) engine.machine().cancelled((*this)[i], error);
    }

    // Its owner destroys it: those that wait, run or are on their way leave; those that are being handed back
    // at this moment are waited for.
    void leave_all(Engine& engine) noexcept {
        if (left_.load(std::memory_order_acquire) == 0) return;
        Engine::Lock lock = engine.lock();
        while (Batch* const batch = loading_part()) engine.wait_until_loaded(*batch, lock);
        std::size_t gone = 0;
        for (std::size_t i = 0; i < size_; ++i) {
            if (!(*this)[i].pending()) continue;
            engine.machine().left((*this)[i]);
            ++gone;
        }
        engine.settle(std::move(lock));
        for (std::size_t left; (left = left_.load(std::memory_order_acquire)) != gone;)
            left_.wait(left, std::memory_order_acquire);
    }

private:
    void part_ended(std::size_t count) {
        std::atomic<std::size_t>* const left = &left_;
        if (left->fetch_sub(count, std::memory_order_acq_rel) != count) return left->notify_all();
        ended(abandoned_.load(std::memory_order_relaxed));
    }

    // Makes a chain of all parts, from the newest to the oldest.
    void link(const CallOps& ops, CompletionExecutor* executor, Time tolerance) noexcept {
        const Time now = Burst::now<Clock>(tolerance);
        Part* newest = nullptr;
        for (std::size_t i = 0; i < size_; ++i) {
            Part& part = (*this)[i];
            part.ops = &ops;
            part.resumes_on = executor;
            part.queued_at = now;
            part.state(CallState::queued);
            part.next = std::exchange(newest, &part);
        }
    }

    void refuse_from(std::size_t first, const std::exception_ptr& error) noexcept {
        for (std::size_t i = first; i < size_; ++i) {
            (*this)[i].state(CallState::done);
            (*this)[i].error = error;
        }
    }

    struct Deallocate {
        std::size_t size = 0;
        void operator()(Part* parts) const noexcept {
            std::allocator<Part>().deallocate(parts, size);
        }
    };
    using Parts = std::unique_ptr<Part, Deallocate>;

    Parts parts_;
    std::size_t size_ = 0;
    std::atomic<std::size_t> left_{0};
    std::atomic<bool> abandoned_{false};
};

// process_many(items): many items, one completion when all are done. If some fail, the error is that of
// the first of them in the order of the items.
template <class In, class Out, class Clock>
class ProcessManyRequest : public Call, FanIn<In, Out, Clock> {
    using Base = FanIn<In, Out, Clock>;

public:
    static constexpr bool one_item = false;
    static constexpr bool many_items = true;
    using payload_type = std::vector<In>;
    using value_type = std::conditional_t<std::is_void_v<Out>, void, std::vector<Out>>;

    ProcessManyRequest(Engine& engine, std::vector<In>&& items)
        : engine_(&engine), items_(std::move(items)) {}

    payload_type&& payload() noexcept { return std::move(items_); }
    payload_type take_back() {
        for (std::size_t i = 0; i < this->size(); ++i)
            items_.push_back(std::move((*this)[i].input));
        return std::move(items_);
    }

    void prepare() {
        this->reserve(items_.size());
        for (std::size_t i = 0; i < items_.size(); ++i) this->add(In(std::move(items_[i])));
        items_.clear();
    }

    BATCHER_NOINLINE void start() {
        Engine& engine = *engine_;
        if (this->size() == 0) return end(engine, nullptr);
        const CallOps& part_ops = ops->in_frame ? call_ops<typename Base::Part, true, true>
                                                : call_ops<typename Base::Part, false>;
        const std::size_t size = this->size();
        const Admission admission = this->submit_all(engine, part_ops, this->resumes_on);
        if (admission.accepted == 0) end(engine, refusal(admission, size));
    }

    value_type take() {
        if (state() == CallState::done && batch->error) std::rethrow_exception(batch->error);
        for (std::size_t i = 0; i < this->size(); ++i) {
            if ((*this)[i].error) std::rethrow_exception((*this)[i].error);
        }
        if constexpr (!std::is_void_v<Out>) {
            std::vector<Out> values;
            values.reserve(this->size());
            for (std::size_t i = 0; i < this->size(); ++i)
                values.push_back(std::move(*(*this)[i].value));
            return values;
        }
    }

    void withdraw() noexcept {
        this->leave_all(*engine_);
        if (pending()) engine_->withdraw(*this);  // it ended without any part in the queue
    }

    Batch* loading() const noexcept { return this->loading_part(); }
    void cancel(asio::cancellation_type type, const std::exception_ptr& error) {
        this->cancel_parts(*engine_, type, error);
    }

    Engine& engine() const noexcept { return *engine_; }

protected:
    ~ProcessManyRequest() = default;

private:
    void ended(bool abandoned) override { abandoned ? ops->abandon(*this) : ops->resume(*this); }

    // Without any part in the queue.
    void end(Engine& engine, const std::exception_ptr& error) {
        state(CallState::queued);
        engine.refuse(*this, error);
    }

    Engine* engine_;
    std::vector<In> items_;  // until it is started
};

}  // namespace batching::detail
