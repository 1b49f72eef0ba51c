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

#include <algorithm>
#include <atomic>
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

    // Told once how a batch ended. If it never is, the function was destroyed before its end.
    class Done {
    public:
        Done(std::shared_ptr<Engine> engine, slot_type& slot) noexcept
            : engine_(std::move(engine)), slot_(&slot) {}
        Done(Done&&) noexcept = default;
        Done& operator=(Done&&) = delete;
        ~Done() {
            if (engine_) engine_->finish_uncalled(*slot_);
        }
        void operator()(Outcome<Out> outcome) {
            const auto engine = std::move(engine_);
            engine->finish(*slot_, std::move(outcome), Where::on_executor);
        }
        // The same from a thread that is none of the executor's.
        void from_any_thread(Outcome<Out> outcome) {
            const auto engine = std::move(engine_);
            engine->finish_elsewhere(*slot_, std::move(outcome));
        }
        BatchId batch() const noexcept { return {slot_->index, slot_->batch}; }

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
          runs_elsewhere_(invoker_->runs_elsewhere()),
          max_queue_size_(options.max_queue_size),
          scheduler_(rules(options)) {
        timer_.emplace(executor_);
    }

    // To be called once, before anything else; apart from the constructor, as it shares the engine.
    void open() {
        watch(executor_);
        look(Clock::now());
    }

    // ---- calls: any thread, at the same time ---------------------------------------------------------

    static time_point now() { return BurstClock<Clock>::now(); }

    // Hands in `count` items, linked by `next` from the newest to the oldest, all queued at one time. If
    // accepted, the items and this engine may be gone when it returns.
    Admission submit(item_type& newest, item_type& oldest, std::size_t count) {
        if (max_queue_size_ == no_limit && intake_.push_quietly(newest, oldest, count)) [[likely]] {
            return Admission::accepted;
        }
        return submit_and_look(newest, oldest, count);
    }

    // How many more items may wait at this moment.
    std::size_t room() const noexcept {
        if (max_queue_size_ == no_limit) return no_limit;
        const std::size_t waiting = admitted_.load(std::memory_order_relaxed);
        return max_queue_size_ - std::min(waiting, max_queue_size_);
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
    BATCHER_NOINLINE void withdraw(item_type& item) noexcept {
        std::unique_lock lock(mutex_);
        loaded_.wait(lock, [&] { return !loading(item); });
        wait_until_sent(item, lock);
        if (take_out(item)) ++stats_.cancelled;
        item.life(Life::done);
        settle(std::move(lock));
    }

    // The same for a waiter that is not an item.
    void withdraw_waiter(Waiter& waiter) noexcept {
        std::unique_lock lock(mutex_);
        wait_until_sent(waiter, lock);
        WaiterList<Waiter>::unlink(waiter);
        waiter.life(Life::done);
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
        auto delivery = failing(operation_aborted());
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
        stats.submitted = scheduler_.submitted();
        stats.waiting = scheduler_.waiting();
        stats.rejected = rejected_.load(std::memory_order_relaxed);
        settle(std::move(lock));
        return stats;
    }

    void rest() noexcept override {
        if (!may_rest_.load(std::memory_order_relaxed) || !intake_.empty()) return;
        const std::lock_guard lock(mutex_);
        rest_locked();
    }

    // This thread is about to block: what waits for it to resume more callers starts now.
    void run_deferred() {
        std::vector<slot_type*> slots;
        {
            const std::lock_guard lock(mutex_);
            slots.swap(deferred_);
        }
        Burst::more_to_come(false);
        for (slot_type* slot : slots) run(*slot);
    }

    // A delivery in which everybody gets this error.
    std::shared_ptr<BatchDelivery<Out>> failing(std::exception_ptr error) {
        return std::make_shared<BatchDelivery<Out>>(*this, Outcome<Out>(std::move(error)));
    }

    void abandon(asio::execution_context& context) noexcept override {
        WaiterList<Waiter> orphans;
        std::vector<BatchId> unwanted;
        {
            std::unique_lock lock(mutex_);
            if (!executor_) return;
            if (&context == &context_of(executor_)) {
                wait_until_sent(lock);
                abandon_locked(lock, orphans);
            } else {
                abandon_guests_locked(context, lock, orphans);
            }
            forget(context);
            unwanted.swap(unwanted_);
        }
        abandon_all(*this, orphans);
        wait_until_sent();
        for (const BatchId& batch : unwanted) invoker_->unwanted(batch);
    }

private:
    // What advance() decided, to be done without the lock.
    struct Actions {
        slot_type* start = nullptr;  // a list
        std::shared_ptr<Delivery> drained;
        std::vector<BatchId> unwanted;
    };
    enum class Where : std::uint8_t { on_executor, anywhere };

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

    BATCHER_NOINLINE Admission submit_and_look(item_type& newest, item_type& oldest,
                                               std::size_t count) {
        if (!admit(count)) {
            return intake_.closed() ? Admission::closed : Admission::overloaded;
        }
        std::shared_ptr<Engine> self;  // if a look is due, as this engine may be gone before it
        time_point now;
        const Pushed pushed = intake_.push(newest, oldest, count, [&] {
            self = shared();
            now = Clock::now();
            if (count == 1) newest.queued_at = now;  // the one that the timer is armed for
        });
        if (pushed == Pushed::signal) self->look(now);
        if (pushed != Pushed::closed) return Admission::accepted;
        dismiss(count);
        return Admission::closed;
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
        if (scheduler_.idle() && !drains_.empty()) {
            todo.drained = std::make_shared<PlainDelivery>(*this);
            while (Waiter* waiter = drains_.pop_front()) todo.drained->add(*waiter);
        }
        may_rest_.store(scheduler_.idle() && (armed_for_ || closed_), std::memory_order_relaxed);
        if (!unwanted_.empty()) [[unlikely]]
            todo.unwanted.swap(unwanted_);
        return todo;
    }

    void perform(Actions& todo) {
        start(todo);
        if (todo.drained) send(shared_from_this(), todo.drained);
        for (const BatchId& batch : todo.unwanted) invoker_->unwanted(batch);
    }

    void start(Actions& todo) {
        while (slot_type* slot = todo.start) {
            todo.start = slot->next;
            if (runs_elsewhere_) {
                start_elsewhere(*slot);
                continue;
            }
            asio::post(executor_, [self = shared(), slot] { self->run(*slot); });
        }
    }

    // Here and now, as it only starts the batch; but after the other callers that this thread is resuming,
    // as they may be about to call as well: else the first of them would leave alone.
    void start_elsewhere(slot_type& slot) {
        if (!Burst::more_to_come()) return run(slot);
        {
            const std::lock_guard lock(mutex_);
            deferred_.push_back(&slot);
        }
        asio::post(executor_, [self = shared()] { self->run_deferred(); });
    }

    // The arrivals, in their order, from the intake to the scheduler.
    void collect() noexcept { scheduler_.submit(intake_.collect()); }

    void close_locked() noexcept {
        collect();
        if (!std::exchange(closed_, true)) scheduler_.submit(intake_.close());
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
        if (!scheduler_.idle() || !intake_.empty()) return;
        if (armed_for_ && timer_) timer_->cancel();
        armed_for_.reset();
        if (closed_)
            timer_.reset();  // not needed any more: so that the context may go before the engine
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
            runs_elsewhere_ ? finish_elsewhere(slot, Outcome<Out>(error))
                            : finish(slot, Outcome<Out>(error), Where::on_executor);
        } else {
            invoker_->invoke(executor_, slot.index, slot.inputs, Done(shared(), slot));
        }
    }

    bool form(slot_type& slot) {
        WaitTimes waits(stats_.wait_time, slot.started);
        slot.size = 0;
        ++slot.batch;
        const Left left = scheduler_.take(slot.started, slot.items, [&](item_type& item) {
            waits.record(item.queued_at);
            item.life(Life::running);
            item.slot = &slot;
            ++slot.size;
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
        dismiss(slot.size);
        stats_.running += slot.size;
        stats_.batch_size.record(slot.size);
        slot.loading = true;
        if (runs_elsewhere_ && elsewhere_++ == 0) {
            work_ = asio::prefer(executor_, asio::execution::outstanding_work_t::tracked);
        }
        return true;
    }

    // Records the waits of a batch's items; those queued at the same time as one.
    class WaitTimes {
    public:
        WaitTimes(Distribution<std::chrono::nanoseconds>& distribution, time_point now) noexcept
            : distribution_(distribution), now_(now) {}
        ~WaitTimes() { flush(); }
        WaitTimes(const WaitTimes&) = delete;
        WaitTimes& operator=(const WaitTimes&) = delete;

        void record(time_point queued_at) noexcept {
            if (queued_at != queued_at_) {
                flush();
                queued_at_ = queued_at;
            }
            ++items_;
        }

    private:
        void flush() noexcept {
            if (items_ != 0) distribution_.record(nanoseconds(now_ - queued_at_), items_);
            items_ = 0;
        }

        Distribution<std::chrono::nanoseconds>& distribution_;
        time_point now_;
        time_point queued_at_{};
        std::uint64_t items_ = 0;
    };

    // Moves the items' values out of their callers' frames. The callers cannot leave meanwhile. An item
    // whose move throws fails alone; what is returned fails the batch.
    std::exception_ptr load(slot_type& slot) {
        std::exception_ptr error;
        std::vector<std::pair<item_type*, std::exception_ptr>> failed;
        try {
            slot.inputs.reserve(slot.size);
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
        auto delivery = failing(why);
        take_out(item);
        ++stats_.failed;
        deliver(item, 0, *delivery);
        return delivery;
    }

    // The batch function is done.
    void finish(slot_type& slot, Outcome<Out> outcome, Where where) {
        slot.inputs.clear();
        const auto delivery = std::make_shared<BatchDelivery<Out>>(*this, std::move(outcome));
        std::unique_lock lock(mutex_);
        const time_point now = Clock::now();
        settle_all(slot, *delivery);
        stats_.run_time.record(nanoseconds(now - slot.started));
        scheduler_.finished();
        idle_.push_back(&slot);
        Actions todo = advance(now);
        lock.unlock();
        const auto self = shared_from_this();
        const bool resumed_later = !delivery->elsewhere.empty();
        start(todo);
        send_elsewhere(self, delivery);
        perform(todo);  // who waits for the drain comes after the last results
        if (delivery->here.waiters.empty()) {
            if (!resumed_later) rest();
        } else if (where == Where::on_executor) {
            HandBack(self, delivery, delivery->here)();
        } else {
            send(self, delivery);
        }
    }

    // A batch that ran on no thread of the executor is done, on any thread. The context cannot go before
    // the callers are posted; if it has gone, so have they.
    void finish_elsewhere(slot_type& slot, Outcome<Out> outcome) {
        {
            const std::lock_guard lock(mutex_);
            if (!executor_) return;
            sending();
        }
        finish(slot, std::move(outcome), Where::anywhere);
        asio::any_io_executor work;
        {
            const std::lock_guard lock(mutex_);
            if (--elsewhere_ == 0) work = std::exchange(work_, asio::any_io_executor());
        }
        work = asio::any_io_executor();
        sent();
    }

    // An asynchronous function was destroyed before its end: with its context, or on its own.
    void finish_uncalled(slot_type& slot) noexcept {
        if (runs_elsewhere_) return finish_elsewhere(slot, Outcome<Out>(operation_aborted()));
        WaiterList<Waiter> orphans;
        {
            const std::lock_guard lock(mutex_);
            if (!executor_) {
                while (item_type* item = slot.items.pop_front()) {
                    --stats_.running;
                    ++stats_.cancelled;
                    orphan(*item, orphans);
                }
            }
        }
        if (executor()) return finish(slot, Outcome<Out>(operation_aborted()), Where::anywhere);
        abandon_all(*this, orphans);
    }

    // The callers of a batch that still wait get their places in its delivery.
    void settle_all(slot_type& slot, BatchDelivery<Out>& delivery) {
        std::size_t items = 0;
        std::size_t values = 0;
        slot.items.for_each([&](item_type& item) {
            ++items;
            values += delivery.outcome.has_value(item.index) ? 1 : 0;
            if (item.home == nullptr && !item.direct) [[likely]] {
                item.carrier = &delivery;
                item.life(Life::settled);  // and stays in this list, which is spliced below
            } else {
                WaiterList<item_type>::unlink(item);
                delivery.add(item);
            }
        });
        delivery.here.waiters.splice(slot.items);
        stats_.running -= items;
        stats_.completed += values;
        stats_.failed += items - values;
    }

    void abandon_locked(std::unique_lock<std::mutex>& lock, WaiterList<Waiter>& orphans) noexcept {
        close_locked();
        if (elsewhere_ != 0) abandon_elsewhere(lock, orphans);
        WaiterList<item_type> items;
        scheduler_.remove_all(items);
        while (item_type* item = items.pop_front()) {
            ++stats_.cancelled;
            orphan(*item, orphans);
        }
        while (Waiter* drain = drains_.pop_front()) orphan(*drain, orphans);
        timer_.reset();
        work_ = asio::any_io_executor();
        executor_ = asio::any_io_executor();
    }

    // Batches that run on no thread of this context go on without it, and nobody waits for them.
    void abandon_elsewhere(std::unique_lock<std::mutex>& lock,
                           WaiterList<Waiter>& orphans) noexcept {
        wait_until_loaded(lock);
        for (auto& slot : slots_) {
            while (item_type* item = slot.items.pop_front()) {
                --stats_.running;
                ++stats_.cancelled;
                orphan(*item, orphans);
            }
            unwanted_.push_back({slot.index, slot.batch});
        }
    }

    void wait_until_loaded(std::unique_lock<std::mutex>& lock) {
        loaded_.wait(lock, [&] {
            return std::none_of(slots_.begin(), slots_.end(),
                                [](const auto& s) { return s.loading; });
        });
    }

    void abandon_guests_locked(const asio::execution_context& context,
                               std::unique_lock<std::mutex>& lock, WaiterList<Waiter>& orphans) {
        wait_until_loaded(lock);
        const auto is_guest = [&](Waiter& waiter) {
            return waiter.home != nullptr && &context_of(*waiter.home) == &context;
        };
        const auto take_items = [&](item_type& item) {
            if (!is_guest(item)) return;
            take_out(item);
            ++stats_.cancelled;
            orphan(item, orphans);
        };
        collect();
        scheduler_.for_each(take_items);
        for (auto& slot : slots_) slot.items.for_each(take_items);
        drains_.for_each([&](Waiter& drain) {
            if (!is_guest(drain)) return;
            WaiterList<Waiter>::unlink(drain);
            orphan(drain, orphans);
        });
    }

    // A settled waiter of another executor is about to be posted there: that must come first, since its
    // owner may go on to destroy the executor's context.
    void wait_until_sent(const Waiter& waiter, std::unique_lock<std::mutex>& lock) const noexcept {
        if (waiter.life() != Life::settled || waiter.home == nullptr) return;
        wait_until_sent(lock);
    }
    void wait_until_sent(std::unique_lock<std::mutex>& lock) const noexcept {
        do {
            lock.unlock();
            EngineBase::wait_until_sent();
            lock.lock();
        } while (!all_sent());
    }
    using EngineBase::wait_until_sent;

    static void orphan(Waiter& waiter, WaiterList<Waiter>& orphans) noexcept {
        waiter.life(Life::settled);
        orphans.push_back(waiter);
    }

    static void deliver(item_type& item, std::size_t index, BatchDelivery<Out>& delivery) {
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
                if (runs_elsewhere_ && item.slot->items.empty()) {
                    unwanted_.push_back({item.slot->index, item.slot->batch});
                }
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
    const bool runs_elsewhere_;
    const std::size_t max_queue_size_;

    Intake intake_;
    std::atomic<std::size_t> admitted_{0};
    std::atomic<std::uint64_t> rejected_{0};
    std::atomic<bool> may_rest_{false};  // whether rest() has to look closer

    // Under the lock:
    scheduler_type scheduler_;
    std::deque<slot_type> slots_;
    std::vector<slot_type*> idle_;
    WaiterList<Waiter> drains_;
    std::optional<timer_type> timer_;
    std::optional<time_point> armed_for_;
    std::vector<slot_type*> deferred_;  // batches that run elsewhere, to be started soon
    std::size_t elsewhere_ = 0;         // batches that run on no thread of the executor ...
    asio::any_io_executor work_;        // ... but count as work there
    std::vector<BatchId> unwanted_;     // running batches for which nobody waits any more
    bool closed_ = false;
    Stats stats_;
    std::condition_variable loaded_;
};

}  // namespace batching::detail
