// FanIn: many items handed in as one chain, and one end when the last of them has its result.
//
// process_many() is one that is accepted as a whole or not at all, and resumes its caller at the end.
// process_each() is one that is accepted as far as it fits, and so is a deployment's call, which answers its client.
#pragma once

#include <atomic>
#include <batcher/call_options.hpp>
#include <batcher/detail/runtime/burst_clock.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <batcher/detail/waiters/cancellation.hpp>
#include <cstddef>
#include <exception>
#include <limits>
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
    struct Part final : Item<In> {
        Part(FanIn& w, In&& item) : Item<In>(std::move(item)), whole(w) {}

        void resume() {
            error = this->batch->error;
            if (!error) take();
            whole.ended(1);
        }
        void abandon() noexcept {
            error = operation_aborted();
            whole.abandoned_.store(true, std::memory_order_relaxed);
            whole.ended(1);
        }

        FanIn& whole;
        std::optional<Value> value;
        std::exception_ptr error;

    private:
        void take() noexcept {
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
        }
    };

    FanIn() = default;
    FanIn(const FanIn&) = delete;
    FanIn& operator=(const FanIn&) = delete;

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

    // Hands the parts in. Those that are not accepted end with that error. If there are some, this may be gone when it
    // returns. To be called once.
    void submit(Engine& engine, CompletionExecutor* executor, Accept accept,
                const CallOptions& options = {}) {
        if (engine.has_rules() || options.timeout != no_timeout ||
            options.priority != Priority::normal) {
            return submit_with_terms(
                engine, executor, accept, [&](std::size_t) { return options; },
                [context = engine.tracing().current()](std::size_t) { return context; });
        }
        if (size_ == 0) return;
        left_.fetch_add(size_, std::memory_order_relaxed);
        link(executor, Burst::now<Clock>(engine.time_tolerance()));
        engine.submit((*this)[size_ - 1], (*this)[0], size_, accept);
    }
    // The same; of part i options_of(i), and context_of(i) for traces.
    template <class OptionsOf, class ContextOf>
    void submit_with_terms(Engine& engine, CompletionExecutor* executor, Accept accept,
                           OptionsOf options_of, ContextOf context_of) {
        if (size_ == 0) return;
        left_.fetch_add(size_, std::memory_order_relaxed);
        const Time now = Burst::now<Clock>(engine.time_tolerance());
        Part* newest = nullptr;
        std::size_t count = 0;
        std::vector<std::pair<Part*, std::exception_ptr>> refused;
        with_patience([&] { deadlines_ = std::make_unique_for_overwrite<Deadline[]>(size_); });
        for (std::size_t i = 0; i < size_; ++i) {
            Part& part = prepare((*this)[i], executor, now);
            engine.give_terms(part, options_of(i), &deadlines_[i]);
            std::exception_ptr error;
            try {
                if (engine.has_rules()) engine.appraise(part);
            } catch (...) {
                error = std::current_exception();
            }
            if (error) {
                with_patience([&] { refused.emplace_back(&part, error); });
            } else {
                if (engine.tracing()) engine.tracing().attach(part, context_of(i));
                part.state(CallState::queued);
                part.Link::next = std::exchange(newest, &part);
                ++count;
            }
        }
        if (accept == Accept::all_or_none && !refused.empty()) {
            const std::exception_ptr error = refused.front().second;
            return reject_all(engine, error);
        }
        // As long as a part has not ended, this is there.
        if (newest != nullptr) engine.submit_with_terms(*newest, count, accept);
        for (auto& [part, error] : refused) engine.reject(*part, error);
    }

    // Its owner needs it no more: it ends by itself. As the last act.
    void detach() { ended(owner); }

    // The same, and parts that wait or run are taken out at once; those on their way back end by themselves.
    void leave(Engine& engine) noexcept {
        std::size_t left = owner;
        if (left_.load(std::memory_order_acquire) != owner) {
            Engine::Lock lock = engine.lock_loaded([&] { return loading(); });
            for (std::size_t i = 0; i < size_; ++i) {
                Call& part = (*this)[i];
                if (!undecided(part)) continue;
                engine.machine().left(part);
                ++left;
            }
            engine.settle(std::move(lock));
        }
        ended(left);
    }

    // Nobody wants the results: parts leave the queue, those that run are let go, and all end.
    void cancel(Engine& engine) {
        const std::exception_ptr error = operation_aborted();
        Engine::Lock lock = engine.lock_loaded([&] { return loading(); });
        cancel(engine, asio::cancellation_type::terminal, error);
        engine.settle(std::move(lock));
    }

    // ---- for cancellation.hpp, under the engine's lock ----

    Batch* loading() const noexcept {
        for (std::size_t i = 0; i < size_; ++i) {
            if (Batch* const batch = detail::loading((*this)[i])) return batch;
        }
        return nullptr;
    }
    void cancel(Engine& engine, asio::cancellation_type type, const std::exception_ptr& error) {
        bool runs = false;
        for (std::size_t i = 0; i < size_; ++i) runs |= (*this)[i].state() != CallState::queued;
        if (!releases(type, runs)) return;
        for (std::size_t i = 0; i < size_; ++i) engine.machine().cancelled((*this)[i], error);
    }

protected:
    ~FanIn() { std::destroy_n(parts_.get(), size_); }

    // Called when the last part has ended, on the completion executor of the parts, and when the owner detaches
    // after that; what comes last says `detached`. As the last act.
    virtual void all_ended(bool detached) = 0;

    // Some parts have an end because their execution context has gone.
    bool abandoned() const noexcept { return abandoned_.load(std::memory_order_relaxed); }

private:
    static constexpr std::size_t owner = ~((std::numeric_limits<std::size_t>::max)() >> 1U);

    void ended(std::size_t count) {
        const std::size_t left = left_.fetch_sub(count, std::memory_order_acq_rel) - count;
        if (left == 0 || left == owner) all_ended(left == 0);
    }

    void reject_all(Engine& engine, const std::exception_ptr& error) {
        const std::size_t size = size_;
        for (std::size_t i = 0; i < size; ++i) engine.reject((*this)[i], error);
    }

    static Part& prepare(Part& part, CompletionExecutor* executor, Time now) noexcept {
        part.ops = &call_ops<Part, false>;
        part.resumes_on = executor;
        part.queued_at = now;
        return part;
    }

    // Makes a chain of all parts, from the newest to the oldest.
    void link(CompletionExecutor* executor, Time now) noexcept {
        Part* newest = nullptr;
        for (std::size_t i = 0; i < size_; ++i) {
            Part& part = prepare((*this)[i], executor, now);
            part.state(CallState::queued);
            part.Link::next = std::exchange(newest, &part);
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
    std::unique_ptr<Deadline[]> deadlines_;  // of the parts, if they may have some
    std::size_t size_ = 0;
    std::atomic<std::size_t> left_{owner};  // parts that have not ended, and the owner
    std::atomic<bool> abandoned_{false};
};

}  // namespace batching::detail
