// Engine: the thin layer around the Scheduler. It owns the intake, the timer, the slots and the hand-back,
// and carries out what the Scheduler decides.
//
//     caller            submit() -> intake                     one compare-and-swap; a few of them look()
//     look, timer, ...  advance(): intake -> scheduler -> decide -> post run(), arm the timer
//     executor          run(): take the batch, move its values out, call the batch function
//                       finish(): free the slot, advance(), resume the callers
//
// Every change of the scheduler, the slots and an item's place happens under one lock, which is held for
// bookkeeping only: the batch function, the items' constructors and the callers run without it.
#pragma once

#include <fmt/format.h>

#include <batcher/detail/asio.hpp>
#include <batcher/detail/burst_clock.hpp>
#include <batcher/detail/delivery.hpp>
#include <batcher/detail/engine_base.hpp>
#include <batcher/detail/intake.hpp>
#include <batcher/detail/invoker.hpp>
#include <batcher/detail/item.hpp>
#include <batcher/detail/scheduler.hpp>
#include <batcher/error.hpp>
#include <batcher/options.hpp>
#include <batcher/stats.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace batching::detail {

enum class Admission : std::uint8_t { accepted, overloaded, closed };

inline std::exception_ptr operation_aborted() {
    return std::make_exception_ptr(system_error(asio::error::operation_aborted));
}

template <class In, class Out, class Clock>
class Engine final : public EngineBase {
public:
    using item_type = Item<In, Out, Clock>;
    using slot_type = Slot<In, Out, Clock>;
    using time_point = typename Clock::time_point;

    // Told once how a batch ended; if it is never told, the batch's callers are abandoned.
    class Done {
    public:
        Done(std::shared_ptr<Engine> engine, slot_type& slot) noexcept
            : engine_(std::move(engine)), slot_(&slot) {}
        Done(Done&&) noexcept = default;
        Done& operator=(Done&&) = delete;
        ~Done() {
            if (engine_) engine_->abandon_slot(*slot_);
        }
        void operator()(Outcome<Out> outcome) {
            const auto engine = std::move(engine_);
            engine->finish(*slot_, std::move(outcome));
        }

    private:
        std::shared_ptr<Engine> engine_;
        slot_type* slot_;
    };

    // `context_owner` keeps the context of an owned worker alive; else it is null.
    Engine(asio::any_io_executor executor, const Options& options,
           std::unique_ptr<Invoker<In, Done>> invoker, std::shared_ptr<void> context_owner)
        : EngineBase(std::move(executor)),
          context_owner_(std::move(context_owner)),
          invoker_(std::move(invoker)),
          max_queue_size_(options.max_queue_size),
          scheduler_(rules(options)) {
        timer_.emplace(executor_);
    }

    // To be called once, before anything else; apart from the constructor, as it shares the engine.
    void open() {
        using Context = asio::execution::context_as_t<asio::execution_context&>;
        asio::use_service<ContextService>(asio::query(executor_, Context()))
            .add(shared_from_this());
        look(Clock::now());
    }

    // ---- calls: any thread, at the same time ---------------------------------------------------------

    static time_point now() { return BurstClock<Clock>::now(); }

    // Hands in `count` items, linked by `next` from the newest to the oldest, all queued at one time. If
    // accepted, the items and this engine may be gone when it returns.
    Admission submit(item_type& newest, item_type& oldest, std::size_t count) {
        if (!admit(count)) return Admission::overloaded;
        const time_point now = newest.queued_at;
        std::shared_ptr<Engine> self;
        const Pushed pushed = intake_.push(newest, oldest, count, [&] { self = this->shared(); });
        if (pushed == Pushed::signal) self->look(now);
        if (pushed != Pushed::closed) return Admission::accepted;
        dismiss(count);
        return Admission::closed;
    }

    // The error of a call that was not accepted. Counts it.
    std::exception_ptr rejection(Admission admission, std::size_t count) {
        rejected_.fetch_add(count, std::memory_order_relaxed);
        if (admission == Admission::closed) {
            return std::make_exception_ptr(
                Error(errc::closed, "the batcher is closed: it accepts no more items"));
        }
        return std::make_exception_ptr(Error(
            errc::overloaded,
            count == 1 ? fmt::format("the queue is full: {} of at most {} items are waiting",
                                     admitted_.load(std::memory_order_relaxed), max_queue_size_)
                       : fmt::format(
                             "the queue is full: {} items do not fit, {} of at most {} are waiting",
                             count, admitted_.load(std::memory_order_relaxed), max_queue_size_)));
    }

    // The owner of an item that was accepted destroys it: afterwards nobody refers to it.
    void withdraw(item_type& item) noexcept {
        std::unique_lock lock(mutex_);
        loaded_.wait(lock, [&] { return !loading(item); });
        if (take_out(item)) ++stats_.cancelled;
        item.life(Life::done);
        settle(std::move(lock));
    }

    // ---- cancellation, under the lock that is passed -------------------------------------------------

    // An item's value is being moved; wait for `loaded()` before touching the item.
    bool loading(const item_type& item) const noexcept {
        return item.life() == Life::running && item.slot->loading;
    }
    std::condition_variable& loaded() noexcept { return loaded_; }

    // The item stops waiting or running and fails with operation_aborted in `delivery`.
    void release(item_type& item, BatchDelivery<Out>& delivery) {
        take_out(item);
        ++stats_.cancelled;
        deliver(item, 0, delivery);
    }

    // Unlocks, and does what follows from the changes made.
    void settle(std::unique_lock<std::mutex> lock) {
        const auto self = shared();
        Actions todo = advance(Clock::now());
        rest_locked();
        lock.unlock();
        perform(todo);
    }

    // ---- life ------------------------------------------------------------------------------------------

    void flush() {
        std::unique_lock lock(mutex_);
        collect();
        scheduler_.flush();
        settle(std::move(lock));
    }

    void close() {
        std::unique_lock lock(mutex_);
        close_locked();
        settle(std::move(lock));
    }

    // Closes; `waiter` is settled when nothing waits or runs.
    void drain(Waiter& waiter) {
        std::unique_lock lock(mutex_);
        close_locked();
        waiter.life(Life::waiting);
        drains_.push_back(waiter);
        settle(std::move(lock));
    }

    // Every waiting item fails with operation_aborted.
    void cancel() {
        auto delivery = std::make_shared<BatchDelivery<Out>>(Outcome<Out>(operation_aborted()));
        std::unique_lock lock(mutex_);
        collect();
        WaiterList<item_type> items;
        scheduler_.remove_all(items);
        while (item_type* item = items.pop_front()) {
            dismiss(1);
            ++stats_.cancelled;
            deliver(*item, 0, *delivery);
        }
        settle(std::move(lock));
        send(shared_from_this(), delivery);
    }

    Stats stats() {
        std::unique_lock lock(mutex_);
        collect();
        Stats stats = stats_;
        stats.waiting = scheduler_.waiting();
        stats.rejected = rejected_.load(std::memory_order_relaxed);
        settle(std::move(lock));
        return stats;
    }

    void rest() override {
        const std::lock_guard lock(mutex_);
        rest_locked();
    }

    void abandon() noexcept override {
        WaiterList<Waiter> orphans;
        {
            const std::lock_guard lock(mutex_);
            close_locked();
            WaiterList<item_type> items;
            scheduler_.remove_all(items);
            while (item_type* item = items.pop_front()) orphan(*item, orphans);
            while (Waiter* drain = drains_.pop_front()) orphan(*drain, orphans);
            timer_.reset();
            executor_ = asio::any_io_executor();
        }
        abandon_all(orphans);
    }

private:
    // What advance() decided, to be done without the lock.
    struct Actions {
        slot_type* start = nullptr;  // a list
        WaiterList<Waiter> drained;
    };

    using scheduler_type = Scheduler<item_type, Clock>;
    using timer_type =
        asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, asio::any_io_executor>;

    static typename scheduler_type::Rules rules(const Options& options) {
        std::optional<typename Clock::duration> timeout;
        if (options.batch_timeout != no_timeout) {
            timeout = std::chrono::ceil<typename Clock::duration>(options.batch_timeout);
        }
        return {options.max_batch_size, timeout, options.max_concurrent_batches};
    }

    std::shared_ptr<Engine> shared() {
        return std::static_pointer_cast<Engine>(shared_from_this());
    }

    // ---- admission: how many items wait, exactly, if there is a limit ---------------------------------

    bool admit(std::size_t count) noexcept {
        if (max_queue_size_ == no_limit) return true;
        std::size_t waiting = admitted_.load(std::memory_order_relaxed);
        do {
            if (count > max_queue_size_ || waiting > max_queue_size_ - count) return false;
        } while (
            !admitted_.compare_exchange_weak(waiting, waiting + count, std::memory_order_relaxed));
        return true;
    }

    void dismiss(std::size_t count) noexcept {
        if (max_queue_size_ != no_limit) admitted_.fetch_sub(count, std::memory_order_relaxed);
    }

    // ---- the pass that follows every event ------------------------------------------------------------

    void look(time_point now) {
        std::unique_lock lock(mutex_);
        Actions todo = advance(now);
        lock.unlock();
        perform(todo);
    }

    Actions advance(time_point now) {
        Actions todo;
        for (;;) {
            collect();
            const auto decision = scheduler_.decide(now);
            if (decision.start) {
                slot_type* slot = idle_slot();
                slot->next = std::exchange(todo.start, slot);
                continue;
            }
            if (decision.wake_at) arm(*decision.wake_at);
            if (intake_.watch(decision.wanted) || decision.wanted == 0) break;
        }
        if (scheduler_.idle()) todo.drained.splice(drains_);
        return todo;
    }

    void perform(Actions& todo) {
        while (slot_type* slot = todo.start) {
            todo.start = slot->next;
            asio::post(executor_, [self = shared(), slot] { self->run(*slot); });
        }
        if (todo.drained.empty()) return;
        const auto delivery = std::make_shared<PlainDelivery>();
        while (Waiter* waiter = todo.drained.pop_front()) delivery->add(*waiter);
        send(shared_from_this(), delivery);
    }

    // The arrivals, in their order, from the intake to the scheduler.
    void collect() noexcept { enqueue(intake_.collect()); }

    void enqueue(Link* newest) noexcept {
        Link* oldest = nullptr;
        while (newest != nullptr) {
            Link* next = newest->next;
            newest->next = std::exchange(oldest, newest);
            newest = next;
        }
        while (oldest != nullptr) {
            Link* next = oldest->next;
            scheduler_.submit(static_cast<item_type&>(*oldest));
            ++stats_.submitted;
            oldest = next;
        }
    }

    void close_locked() noexcept {
        collect();
        if (!std::exchange(closed_, true)) enqueue(intake_.close());
        scheduler_.close();
    }

    slot_type* idle_slot() {
        if (idle_.empty()) return &slots_.emplace_back(slots_.size());
        slot_type* slot = idle_.back();
        idle_.pop_back();
        return slot;
    }

    // ---- the timer: lazy, it is left alone as long as it goes off early enough ------------------------

    void arm(time_point wake_at) {
        if (!timer_ || (armed_for_ && *armed_for_ <= wake_at)) return;
        armed_for_ = wake_at;
        timer_->expires_at(wake_at);
        timer_->async_wait([self = shared()](const error_code& error) {
            if (!error) self->on_timer();
        });
    }

    // Runs on the executor, so that a batch can start right here.
    void on_timer() {
        std::unique_lock lock(mutex_);
        armed_for_.reset();
        Actions todo = advance(Clock::now());
        lock.unlock();
        slot_type* first = todo.start;
        if (first != nullptr) todo.start = first->next;
        perform(todo);
        if (first != nullptr) run(*first);
    }

    void rest_locked() {
        if (!armed_for_ || !scheduler_.idle() || !intake_.empty()) return;
        armed_for_.reset();
        if (timer_) timer_->cancel();
    }

    // ---- a batch --------------------------------------------------------------------------------------

    void run(slot_type& slot) {
        std::unique_lock lock(mutex_);
        collect();
        slot.started = Clock::now();
        const bool formed = form(slot);
        Actions todo = advance(slot.started);
        lock.unlock();
        perform(todo);
        if (!formed) return;
        std::exception_ptr error = load(slot);
        if (error || slot.inputs.empty()) {
            finish(slot, Outcome<Out>(error));
        } else {
            invoker_->invoke(executor_, slot.index, slot.inputs, Done(shared(), slot));
        }
    }

    bool form(slot_type& slot) {
        std::size_t size = 0;
        const Left left = scheduler_.take(slot.started, [&](item_type& item) {
            stats_.wait_time.record(nanoseconds(slot.started - item.queued_at));
            item.life(Life::running);
            item.slot = &slot;
            slot.items.push_back(item);
            ++size;
        });
        switch (left) {
            case Left::none:
                idle_.push_back(&slot);
                return false;
            case Left::full:
                ++stats_.batches_full;
                break;
            case Left::timeout:
                ++stats_.batches_timeout;
                break;
            case Left::flushed:
                ++stats_.batches_flushed;
                break;
        }
        dismiss(size);
        stats_.running += size;
        stats_.batch_size.record(size);
        slot.loading = true;
        return true;
    }

    // Moves the items' values out of their callers' frames. The callers cannot leave meanwhile. An item
    // whose move throws fails alone; what is returned fails the batch.
    std::exception_ptr load(slot_type& slot) {
        std::exception_ptr error;
        std::vector<std::pair<item_type*, std::exception_ptr>> failed;
        try {
            std::size_t size = 0;
            slot.items.for_each([&](item_type&) { ++size; });
            slot.inputs.reserve(size);
            slot.items.for_each([&](item_type& item) {
                try {
                    slot.inputs.push_back(std::move(item.input));
                    item.index = slot.inputs.size() - 1;
                } catch (...) {
                    failed.emplace_back(&item, std::current_exception());
                }
            });
        } catch (...) {
            error = std::current_exception();
        }
        std::vector<std::shared_ptr<Delivery>> deliveries;
        {
            const std::lock_guard lock(mutex_);
            slot.loading = false;
            for (auto& [item, why] : failed) deliveries.push_back(fail_alone(*item, why));
        }
        loaded_.notify_all();
        for (const auto& delivery : deliveries) send(shared_from_this(), delivery);
        return error;
    }

    std::shared_ptr<Delivery> fail_alone(item_type& item, const std::exception_ptr& why) {
        auto delivery = std::make_shared<BatchDelivery<Out>>(Outcome<Out>(why));
        take_out(item);
        ++stats_.failed;
        deliver(item, 0, *delivery);
        return delivery;
    }

    // The batch function is done; on the executor.
    void finish(slot_type& slot, Outcome<Out> outcome) {
        slot.inputs.clear();
        const auto delivery = std::make_shared<BatchDelivery<Out>>(std::move(outcome));
        std::unique_lock lock(mutex_);
        const time_point now = Clock::now();
        while (item_type* item = slot.items.pop_front()) {
            ++(delivery->outcome.has_value(item->index) ? stats_.completed : stats_.failed);
            --stats_.running;
            deliver(*item, item->index, *delivery);
        }
        stats_.run_time.record(nanoseconds(now - slot.started));
        scheduler_.finished();
        idle_.push_back(&slot);
        Actions todo = advance(now);
        lock.unlock();
        const bool resumed_later = !delivery->elsewhere.empty();
        send_elsewhere(shared_from_this(), delivery);
        perform(todo);
        if (!delivery->here.waiters.empty()) {
            HandBack(shared_from_this(), delivery, delivery->here)();
        } else if (!resumed_later) {
            rest();
        }
    }

    void abandon_slot(slot_type& slot) noexcept {
        WaiterList<Waiter> orphans;
        {
            const std::lock_guard lock(mutex_);
            while (item_type* item = slot.items.pop_front()) {
                --stats_.running;
                orphan(*item, orphans);
            }
        }
        abandon_all(orphans);
    }

    static void orphan(Waiter& waiter, WaiterList<Waiter>& orphans) noexcept {
        waiter.life(Life::settled);
        orphans.push_back(waiter);
    }

    static void deliver(item_type& item, std::size_t index, BatchDelivery<Out>& delivery) {
        item.outcome = &delivery.outcome;
        item.index = index;
        delivery.add(item);
    }

    // An accepted item leaves the list it is in, wherever that is. True if its result was still open.
    bool take_out(item_type& item) noexcept {
        switch (item.life()) {
            case Life::waiting:
                collect();
                scheduler_.remove(item);
                dismiss(1);
                return true;
            case Life::running:
                WaiterList<item_type>::unlink(item);
                --stats_.running;
                return true;
            case Life::settled:
                WaiterList<Waiter>::unlink(item);
                return false;
            case Life::made:
            case Life::done:
                break;
        }
        return false;
    }

    static std::chrono::nanoseconds nanoseconds(typename Clock::duration d) {
        return std::chrono::duration_cast<std::chrono::nanoseconds>(d);
    }

    const std::shared_ptr<void> context_owner_;
    const std::unique_ptr<Invoker<In, Done>> invoker_;
    const std::size_t max_queue_size_;

    Intake intake_;
    std::atomic<std::size_t> admitted_{0};
    std::atomic<std::uint64_t> rejected_{0};

    // Under the lock:
    scheduler_type scheduler_;
    std::deque<slot_type> slots_;
    std::vector<slot_type*> idle_;
    WaiterList<Waiter> drains_;
    std::optional<timer_type> timer_;
    std::optional<time_point> armed_for_;
    bool closed_ = false;
    Stats stats_;
    std::condition_variable loaded_;
};

}  // namespace batching::detail
