// ProcessEach: many items handed in as one chain, and an outcome for each of them.
//
// Unlike process_many it is accepted in part: what does not fit a full queue is refused item by item, the
// others run. Nobody is posted to: done() is called by the thread that settles the last item, which is the
// one that finishes its batch.
#pragma once

#include <algorithm>
#include <atomic>
#include <batcher/detail/engine.hpp>
#include <batcher/detail/requests.hpp>
#include <batcher/result.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace batching::detail {

template <class In, class Out, class Clock>
class ProcessEach {
public:
    using engine_type = Engine<In, Out, Clock>;

    ProcessEach(const ProcessEach&) = delete;
    ProcessEach& operator=(const ProcessEach&) = delete;

protected:
    explicit ProcessEach(std::shared_ptr<engine_type> engine) noexcept
        : engine_(std::move(engine)) {}
    ~ProcessEach() { std::destroy_n(parts_.get(), made_); }

    // Every item has its result. Called once, as the last thing that touches this object from here.
    virtual void done() = 0;

    // To be called once, before add(): the parts do not move.
    void reserve(std::size_t items) {
        parts_ = Parts(std::allocator<Part>().allocate(items), {items});
    }
    void add(In item) {
        std::construct_at(&parts_.get()[made_], *this, std::move(item));
        ++made_;
    }
    // An item that will not run.
    void add_failed(std::exception_ptr error) { failed_.emplace_back(size(), std::move(error)); }

    std::size_t size() const noexcept { return made_ + failed_.size(); }

    // Hands all items in. May call done() before it returns; this object must still live then.
    void submit(Thread thread = Thread::kept) {
        left_.store(made_ + 1, std::memory_order_relaxed);  // one for this function
        const std::size_t accepted = submit_some(thread);
        for (std::size_t i = accepted; i < made_; ++i) parts_.get()[i].error = refused_;
        settle(made_ - accepted + 1);
    }

    // Nobody waits any more: items leave the queue, and what runs is dropped. After submit().
    void cancel() {
        std::shared_ptr<BatchDelivery<Out>> delivery;
        {
            std::unique_lock lock(engine_->mutex());
            engine_->loaded().wait(lock, [this] { return !any_loading(); });
            for (std::size_t i = 0; i < made_; ++i) {
                Part& part = parts_.get()[i];
                if (!engine_->waits(part) && !engine_->runs(part)) continue;
                if (!delivery) delivery = engine_->failing(operation_aborted());
                engine_->release(part, *delivery);
            }
            if (!delivery) return;
            delivery->settle(*engine_);
            engine_->settle(std::move(lock));
        }
        send(engine_, delivery);
    }

    // Calls `visit(value)` or `visit(exception_ptr)` for each item in order. In done() or later.
    // Of a void function: `visit()`.
    template <class Visit>
    void for_each_result(Visit visit) {
        auto failed = failed_.begin();
        std::size_t part = 0;
        for (std::size_t i = 0; i < size(); ++i) {
            if (failed != failed_.end() && failed->first == i) {
                visit(std::exchange(failed->second, nullptr));
                ++failed;
            } else {
                parts_.get()[part++].tell(visit);
            }
        }
    }

    engine_type& engine() const noexcept { return *engine_; }

private:
    using Value = std::conditional_t<std::is_void_v<Out>, std::monostate, Out>;

    struct Part final : Item<In, Out, Clock> {
        Part(ProcessEach& w, In&& item) : Item<In, Out, Clock>(std::move(item)), whole(w) {
            this->kind = &kind_of<Part, false>;
            this->home = &anywhere;
        }

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
            whole.settle(1);
        }
        void abandon() noexcept {
            error = operation_aborted();
            whole.settle(1);
        }

        template <class Visit>
        void tell(Visit& visit) {
            if (error) {
                visit(std::move(error));
            } else if constexpr (std::is_void_v<Out>) {
                visit();
            } else {
                visit(*std::move(result));
            }
        }

        ProcessEach& whole;
        std::optional<Value> result;
        std::exception_ptr error;
    };

    // The first ones, as many as fit: how many were accepted.
    std::size_t submit_some(Thread thread) {
        Part* const parts = parts_.get();
        const auto now = engine_type::now();
        std::size_t count = made_;
        while (count != 0) {
            link(count, now);
            // A batch that runs in here empties the queue: not before it is said why others were refused.
            const Admission admission = engine_->submit(parts[count - 1], parts[0], count,
                                                        count == made_ ? thread : Thread::kept);
            if (admission == Admission::accepted) break;
            for (std::size_t i = 0; i < count; ++i) parts[i].life(Life::done);
            // Another call may have taken the room; then there is less of it each time.
            count = admission == Admission::closed ? 0 : std::min(count - 1, engine_->room());
            if (count == 0) refused_ = engine_->rejection(admission, made_);
        }
        if (count != made_ && !refused_) {
            refused_ = engine_->rejection(Admission::overloaded, made_ - count);
        }
        return count;
    }

    void link(std::size_t count, typename Clock::time_point now) noexcept {
        Part* newest = nullptr;
        for (std::size_t i = 0; i < count; ++i) {
            Part& part = parts_.get()[i];
            part.queued_at = now;
            part.life(Life::waiting);
            part.next = std::exchange(newest, &part);
        }
    }

    bool any_loading() const noexcept {
        for (std::size_t i = 0; i < made_; ++i) {
            if (engine_->loading(parts_.get()[i])) return true;
        }
        return false;
    }

    void settle(std::size_t count) {
        if (left_.fetch_sub(count, std::memory_order_acq_rel) == count) done();
    }

    struct Deallocate {
        std::size_t size = 0;
        void operator()(Part* parts) const noexcept {
            std::allocator<Part>().deallocate(parts, size);
        }
    };
    using Parts = std::unique_ptr<Part, Deallocate>;

    const std::shared_ptr<engine_type> engine_;
    Parts parts_;
    std::size_t made_ = 0;
    std::vector<std::pair<std::size_t, std::exception_ptr>> failed_;  // by their place among all
    std::exception_ptr refused_;
    std::atomic<std::size_t> left_{0};
};

}  // namespace batching::detail
