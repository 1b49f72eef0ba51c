// Engine: the thin layer around the Scheduler. It owns the intake, the timer, the slots and the hand-back,
// and carries out what the Scheduler decides.
//
//     caller            submit() -> intake                     one compare-and-swap; a few of them look()
//     look, timer, ...  advance(): intake -> scheduler -> decide -> post run(), arm the timer;
//                       form() a full batch at once
//     executor          run(): form() any other, load() its values, call the batch function
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
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace batching::detail {

enum class Admission : std::uint8_t { accepted, overloaded, closed };

// Whether a thread that hands items in may be used to run the batch that is ready with them.
enum class Thread : std::uint8_t { kept, lent };

inline std::exception_ptr operation_aborted() {
    return std::make_exception_ptr(system_error(asio::error::operation_aborted));
}

template <class In, class Out, class Clock>
class Engine final : public EngineBase {
public:
    using item_type = Item<In, Out, Clock>;
    using slot_type = Slot<In, Out, Clock>;
    using time_point = typename Clock::time_point;

    enum class Where : std::uint8_t { on_executor, elsewhere };

    // Told once how a batch ended. If it never is, the function was destroyed before its end.
    class Done {
    public:
        Done(std::shared_ptr<Engine> engine, slot_type& slot, Where where) noexcept
            : engine_(std::move(engine)), slot_(&slot), where_(where) {}
        Done(Done&&) noexcept = default;
        Done& operator=(Done&&) = delete;
        ~Done() {
            if (engine_) engine_->finish_uncalled(*slot_);
        }
        void operator()(Outcome<Out> outcome) {
            const auto engine = std::move(engine_);
            engine->finish(*slot_, std::move(outcome), where_);
        }
        // The same from a thread that is none of the executor's.
        void from_any_thread(Outcome<Out> outcome) {
            const auto engine = std::move(engine_);
            engine->finish_elsewhere(*slot_, std::move(outcome));
        }
        BatchId batch() const noexcept { return {slot_->index, slot_->batch->number}; }

    private:
        std::shared_ptr<Engine> engine_;
        slot_type* slot_;
        Where where_;
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
        move_in();
        look(Clock::now());
    }

    // ---- calls: any thread, at the same time ---------------------------------------------------------

    static time_point now() { return BurstClock<Clock>::now(); }

    // Hands in `count` items, linked by `next` from the newest to the oldest, all queued at one time. If
    // accepted, the items and this engine may be gone when it returns. A thread that is lent runs a batch that
    // can start at once, if the executor is a worker of the Batcher's own: that spares waking it.
    Admission submit(item_type& newest, item_type& oldest, std::size_t count,
                     Thread thread = Thread::kept) {
        if (max_queue_size_ == no_limit && intake_.push_quietly(newest, oldest, count)) [[likely]] {
            return Admission::accepted;
        }
        return submit_and_look(newest, oldest, count, thread);
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

    // How far an item is. Also for one that is being handed back at this moment, without the lock, when
    // what carried it may be gone: so its carrier is only compared with what the slots hold.
    bool waits(const item_type& item) const noexcept {
        return item.life() == Life::waiting || is_in(item, Phase::formed, Phase::formed);
    }
    bool runs(const item_type& item) const noexcept {
        return is_in(item, Phase::loading, Phase::running);
    }
    // An item's value is being moved; wait for `loaded()` before touching the item.
    bool loading(const item_type& item) const noexcept {
        return is_in(item, Phase::loading, Phase::loading);
    }
    std::condition_variable& loaded() noexcept { return loaded_; }

    // The item stops waiting or running and fails with operation_aborted in `delivery`.
    void release(item_type& item, BatchDelivery<Out>& delivery) {
        take_out(item);
        ++stats_.cancelled;
        deliver(item, delivery);
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
        WaiterList<item_type> items;
        remove_waiting(items);
        while (item_type* item = items.pop_front()) {
            dismiss(1);
            ++stats_.cancelled;
            deliver(*item, *delivery);
        }
        delivery->settle(*this);
        settle(std::move(lock));
        send(shared_from_this(), delivery);
    }

    Stats stats() {
        std::unique_lock lock(mutex_);
        collect();
        Stats stats = stats_;
        stats.submitted = scheduler_.submitted();
        stats.waiting = scheduler_.waiting();
        for (const auto& slot : slots_) stats.waiting += is_formed(slot) ? slot.size : 0;
        stats.rejected = rejected_.load(std::memory_order_relaxed);
        settle(std::move(lock));
        return stats;
    }

    void rest() noexcept override {
        if (!may_rest_.load(std::memory_order_relaxed) || !intake_.empty()) return;
        const std::lock_guard lock(mutex_);
        rest_locked();
    }

    // A delivery in which everybody gets this error.
    std::shared_ptr<BatchDelivery<Out>> failing(std::exception_ptr error) {
        return std::make_shared<BatchDelivery<Out>>(Outcome<Out>(std::move(error)));
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
        slot_type* start = nullptr;  // a list, in the order of formation
        std::shared_ptr<Delivery> drained;
        std::vector<BatchId> unwanted;
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

    BATCHER_NOINLINE Admission submit_and_look(item_type& newest, item_type& oldest,
                                               std::size_t count, Thread thread) {
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
        if (pushed == Pushed::signal) self->look(now, thread);
        if (pushed != Pushed::closed) return Admission::accepted;
        dismiss(count);
        return Admission::closed;
    }

    // ---- the pass that follows every event ------------------------------------------------------------

    void look(time_point now, Thread thread = Thread::kept) {
        std::unique_lock lock(mutex_);
        Actions todo = advance(now);
        lock.unlock();
        if (thread == Thread::lent && context_owner_ != nullptr && !runs_elsewhere_) {
            perform_and_run(todo, Where::elsewhere);
        } else {
            perform(todo);
        }
    }

    Actions advance(time_point now) {
        Actions todo;
        slot_type** last = &todo.start;
        for (;;) {
            collect();
            const auto decision = scheduler_.decide(now);
            if (decision.start) {
                slot_type* slot = idle_slot();
                if (forms_early && scheduler_.ripe()) form(*slot, now);
                slot->next = nullptr;
                *last = slot;
                last = &slot->next;
                continue;
            }
            if (decision.wake_at) arm(*decision.wake_at);
            if (intake_.watch(decision.wanted) || decision.wanted == 0) break;
        }
        if (scheduler_.idle() && !drains_.empty()) {
            todo.drained = std::make_shared<PlainDelivery>();
            while (Waiter* waiter = drains_.pop_front()) todo.drained->add(*waiter);
            todo.drained->settle(*this);
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

    // On a thread where a batch can start right here.
    void perform_and_run(Actions& todo, Where where) {
        slot_type* const first = todo.start;
        if (first != nullptr) todo.start = first->next;
        perform(todo);
        if (first != nullptr) run(*first, where);
    }

    void start(Actions& todo) {
        while (slot_type* slot = todo.start) {
            todo.start = slot->next;
            // What runs elsewhere is started here and now, as that does not block; but not before the other
            // callers that this thread is resuming have called again: else the first would leave alone.
            if (runs_elsewhere_ && !Burst::more_to_come()) {
                run(*slot);
            } else {
                asio::post(executor_, [self = shared(), slot] { self->run(*slot); });
            }
        }
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

    // Runs on the executor.
    void on_timer() {
        std::unique_lock lock(mutex_);
        armed_for_.reset();
        Actions todo = advance(Clock::now());
        lock.unlock();
        perform_and_run(todo, Where::on_executor);
    }

    void rest_locked() {
        if (!scheduler_.idle() || !intake_.empty()) return;
        if (armed_for_ && timer_) timer_->cancel();
        armed_for_.reset();
        if (closed_)
            timer_.reset();  // not needed any more: so that the context may go before the engine
    }

    // ---- a batch --------------------------------------------------------------------------------------

    // A full batch is formed as soon as it may start, by the thread that saw it full and has its items at
    // hand: it cannot become larger. (If one of them leaves before it runs, it is put back.) That needs
    // values that can be moved with the lock held, that is, without running user code.
    static constexpr bool forms_early = std::is_trivially_copyable_v<In>;

    void run(slot_type& slot, Where where = Where::on_executor) {
        std::unique_lock lock(mutex_);
        const time_point now = Clock::now();
        Actions todo;
        bool formed = is_formed(slot);
        if (formed) {
            begin(slot, now);
        } else {
            collect();
            formed = form(slot, now);
            if (formed) begin(slot, now);
            todo = advance(now);
        }
        lock.unlock();
        perform(todo);
        if (!formed) return;  // and the slot may be in use for another batch
        const std::exception_ptr error = load(slot);
        if (error || slot.inputs.empty()) {
            runs_elsewhere_ ? finish_elsewhere(slot, Outcome<Out>(error))
                            : finish(slot, Outcome<Out>(error), where);
        } else {
            invoker_->invoke(executor_, slot.index, slot.inputs, Done(shared(), slot, where));
        }
    }

    static bool is_formed(const slot_type& slot) noexcept {
        return slot.batch && slot.batch->phase == Phase::formed;
    }

    // Chooses the items of a batch. False, and the slot is idle again, if there are none.
    bool form(slot_type& slot, time_point now) {
        auto batch = std::make_shared<BatchDelivery<Out>>(Phase::formed);
        if constexpr (forms_early) slot.inputs.reserve(scheduler_.next_size());
        QueueTimes times(slot.queued_at);
        const Home* const home = scheduler_.waiting() == 0 ? nullptr : scheduler_.oldest().home;
        std::uint32_t size = 0;
        bool mixed = false;
        const auto taken = scheduler_.take(now, slot.items, [&](item_type& item) {
            mixed |= item.home != home;
            batch->carry(item);
            item.index = size++;
            times.note(item.queued_at);
            if constexpr (forms_early) slot.inputs.push_back(item.input);
        });
        if (taken.why == Left::none) {
            idle_.push_back(&slot);
            return false;
        }
        batch->size = size;
        batch->number = ++formed_;
        slot.size = size;
        slot.mixed = mixed;
        slot.why = taken.why;
        slot.flushed = taken.flushed;
        if constexpr (forms_early) batch->add_carried(slot.items, mixed);
        slot.batch = std::move(batch);
        return true;
    }

    // Its items no longer wait.
    void begin(slot_type& slot, time_point now) {
        slot.batch->phase = forms_early ? Phase::running : Phase::loading;
        slot.started = now;
        dismiss(slot.size);
        stats_.running += slot.size;
        stats_.batch_size.record(slot.size);
        for (const auto& [queued_at, items] : slot.queued_at) {
            stats_.wait_time.record(nanoseconds(now - queued_at), items);
        }
        switch (slot.why) {
            case Left::none:
                break;
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
        if (runs_elsewhere_ && elsewhere_++ == 0) {
            work_ = asio::prefer(executor_, asio::execution::outstanding_work_t::tracked);
        }
    }

    // When the items of a batch were queued; those of the same time are counted.
    class QueueTimes {
    public:
        using List = std::vector<std::pair<time_point, std::size_t>>;
        explicit QueueTimes(List& list) noexcept : list_(list) { list_.clear(); }
        ~QueueTimes() {
            if (items_ != 0) list_.emplace_back(time_, items_);
        }
        QueueTimes(const QueueTimes&) = delete;
        QueueTimes& operator=(const QueueTimes&) = delete;
        void note(time_point time) {
            if (time != time_) {
                if (items_ != 0) list_.emplace_back(time_, items_);
                time_ = time;
                items_ = 0;
            }
            ++items_;
        }

    private:
        List& list_;
        time_point time_{};
        std::size_t items_ = 0;
    };

    // The items of a batch that was formed early wait again, each in its place.
    void put_back(slot_type& slot) noexcept {
        slot.batch->for_each_list([&](WaiterList<Waiter>& waiters) {
            item_type* next = slot.items.empty() ? nullptr : &slot.items.front();
            while (auto* item = static_cast<item_type*>(waiters.pop_front())) {
                while (next != nullptr && next->index < item->index) next = slot.items.after(*next);
                slot.items.insert_before(next, *item);
            }
        });
        slot.items.for_each([](item_type& item) { item.life(Life::waiting); });
        scheduler_.put_back(slot.items, slot.size, slot.flushed);
        slot.inputs.clear();
        slot.batch.reset();
    }
    // It and all that were formed after it, the latest first, so that the oldest items end up in front.
    void put_back_from(std::uint64_t number) noexcept {
        for (;;) {
            slot_type* latest = nullptr;
            for (auto& slot : slots_) {
                if (!is_formed(slot) || slot.batch->number < number) continue;
                if (latest == nullptr || slot.batch->number > latest->batch->number) latest = &slot;
            }
            if (latest == nullptr) return;
            put_back(*latest);
        }
    }

    // Everything that waits leaves the queue.
    void remove_waiting(WaiterList<item_type>& items) noexcept {
        collect();
        put_back_from(0);
        scheduler_.remove_all(items);
    }

    // Moves the items' values out of their callers' frames. The callers cannot leave meanwhile. An item
    // whose move throws fails alone; what is returned fails the batch.
    std::exception_ptr load(slot_type& slot) {
        if constexpr (forms_early) return nullptr;  // done by form()
        std::exception_ptr error;
        std::vector<std::pair<item_type*, std::exception_ptr>> failed;
        try {
            slot.inputs.reserve(slot.size);
            slot.items.for_each([&](item_type& item) {
                try {
                    slot.inputs.push_back(std::move(item.input));
                    item.index = static_cast<std::uint32_t>(slot.inputs.size() - 1);
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
            slot.batch->add_carried(slot.items, slot.mixed);
            slot.batch->phase = Phase::running;
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
        deliver(item, *delivery);
        delivery->settle(*this);
        return delivery;
    }

    // The batch function is done.
    void finish(slot_type& slot, Outcome<Out> outcome, Where where) {
        slot.inputs.clear();
        std::unique_lock lock(mutex_);
        const time_point now = Clock::now();
        auto batch = std::move(slot.batch);
        batch->outcome = std::move(outcome);
        batch->settle(*this);
        count(*batch);
        stats_.run_time.record(nanoseconds(now - slot.started));
        scheduler_.finished();
        idle_.push_back(&slot);
        Actions todo = advance(now);
        lock.unlock();
        const std::shared_ptr<Delivery> delivery = std::move(batch);
        const auto self = shared_from_this();
        const bool resumed_later = !delivery->elsewhere.empty();
        const bool resumed_here = !delivery->here.waiters.empty();
        // Before the next batch, and before who waits for the drain, as it is on the executor.
        if (resumed_here && where == Where::elsewhere) send_here(self, delivery);
        start(todo);
        send_elsewhere(self, delivery);
        perform(todo);  // who waits for the drain comes after the last results
        if (resumed_here && where == Where::on_executor) {
            HandBack(self, delivery, delivery->here)();
        } else if (!resumed_here && !resumed_later) {
            rest();
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
        finish(slot, std::move(outcome), Where::elsewhere);
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
                orphan_all(slot, orphans);
                slot.batch.reset();
            }
        }
        if (executor()) return finish(slot, Outcome<Out>(operation_aborted()), Where::elsewhere);
        abandon_all(*this, orphans);
    }

    // How those of its callers that still wait have fared.
    void count(BatchDelivery<Out>& batch) noexcept {
        std::size_t values = 0;
        if (batch.outcome.has_values()) {
            values = batch.size;
        } else if (!batch.outcome.has_error()) {
            batch.for_each_list([&](WaiterList<Waiter>& waiters) {
                waiters.for_each([&](Waiter& waiter) {
                    const auto& item = static_cast<const item_type&>(waiter);
                    values += batch.outcome.has_value(item.index) ? 1 : 0;
                });
            });
        }
        stats_.running -= batch.size;
        stats_.completed += values;
        stats_.failed += batch.size - values;
    }

    void abandon_locked(std::unique_lock<std::mutex>& lock, WaiterList<Waiter>& orphans) noexcept {
        close_locked();
        if (elsewhere_ != 0) abandon_elsewhere(lock, orphans);
        WaiterList<item_type> items;
        remove_waiting(items);
        while (item_type* item = items.pop_front()) {
            ++stats_.cancelled;
            orphan(*item, orphans);
        }
        while (Waiter* drain = drains_.pop_front()) orphan(*drain, orphans);
        timer_.reset();
        work_ = asio::any_io_executor();
        executor_ = asio::any_io_executor();
    }

    // Those whose batch runs have lost their executor.
    void orphan_all(slot_type& slot, WaiterList<Waiter>& orphans) noexcept {
        BatchDelivery<Out>& batch = *slot.batch;
        stats_.running -= batch.size;
        stats_.cancelled += std::exchange(batch.size, 0);
        batch.for_each_list([&](WaiterList<Waiter>& waiters) {
            while (Waiter* waiter = waiters.pop_front()) orphan(*waiter, orphans);
        });
        batch.elsewhere.clear();
    }

    // Batches that run on no thread of this context go on without it, and nobody waits for them.
    void abandon_elsewhere(std::unique_lock<std::mutex>& lock,
                           WaiterList<Waiter>& orphans) noexcept {
        wait_until_loaded(lock);
        for (auto& slot : slots_) {
            if (!slot.batch || is_formed(slot)) continue;
            orphan_all(slot, orphans);
            unwanted_.push_back({slot.index, slot.batch->number});
        }
    }

    void wait_until_loaded(std::unique_lock<std::mutex>& lock) {
        loaded_.wait(lock, [&] {
            return std::none_of(slots_.begin(), slots_.end(), [](const auto& slot) {
                return slot.batch && slot.batch->phase == Phase::loading;
            });
        });
    }

    void abandon_guests_locked(const asio::execution_context& context,
                               std::unique_lock<std::mutex>& lock, WaiterList<Waiter>& orphans) {
        wait_until_loaded(lock);
        const auto is_guest = [&](const Home* home) {
            return home != nullptr && home->context == &context;
        };
        collect();
        put_back_from(0);
        scheduler_.for_each([&](item_type& item) {
            if (!is_guest(item.home)) return;
            take_out(item);
            ++stats_.cancelled;
            orphan(item, orphans);
        });
        for (auto& slot : slots_) {
            if (!slot.batch) continue;
            slot.batch->elsewhere.remove_if([&](Delivery::Group& group) {
                if (!is_guest(&group.home)) return false;
                group.waiters.for_each([&](Waiter& waiter) {
                    take_out(static_cast<item_type&>(waiter));
                    ++stats_.cancelled;
                    orphan(waiter, orphans);
                });
                return true;
            });
        }
        drains_.for_each([&](Waiter& drain) {
            if (!is_guest(drain.home)) return;
            WaiterList<Waiter>::unlink(drain);
            orphan(drain, orphans);
        });
    }

    // A settled waiter of another executor is about to be posted there: that must come first, since its
    // owner may go on to destroy the executor's context.
    void wait_until_sent(const Waiter& waiter, std::unique_lock<std::mutex>& lock) const noexcept {
        if (waiter.life() != Life::carried || waiter.carrier->phase != Phase::settled) return;
        if (waiter.home == nullptr) return;
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

    void orphan(Waiter& waiter, WaiterList<Waiter>& orphans) noexcept {
        waiter.carrier = &nowhere_;
        waiter.life(Life::carried);
        orphans.push_back(waiter);
    }

    static void deliver(item_type& item, BatchDelivery<Out>& delivery) {
        item.index = 0;
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
            case Life::carried:
                return take_out_carried(item);
            case Life::made:
            case Life::done:
                break;
        }
        return false;
    }

    bool take_out_carried(item_type& item) noexcept {
        const slot_type* const slot = slot_of(item);
        if (slot != nullptr && is_formed(*slot)) {
            put_back_from(slot->batch->number);
            return take_out(item);
        }
        WaiterList<Waiter>::unlink(item);
        if (slot == nullptr) return false;  // settled
        --stats_.running;
        if (--slot->batch->size == 0 && runs_elsewhere_) {
            unwanted_.push_back({slot->index, slot->batch->number});
        }
        return true;
    }

    // Where a carried item's batch is formed or runs; null if it is settled.
    const slot_type* slot_of(const item_type& item) const noexcept {
        const auto slot = std::find_if(slots_.begin(), slots_.end(), [&](const slot_type& s) {
            return s.batch && s.batch.get() == item.carrier;
        });
        return slot == slots_.end() ? nullptr : &*slot;
    }
    bool is_in(const item_type& item, Phase first, Phase last) const noexcept {
        const slot_type* const slot = item.life() == Life::carried ? slot_of(item) : nullptr;
        return slot != nullptr && slot->batch->phase >= first && slot->batch->phase <= last;
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
    std::uint64_t formed_ = 0;  // batches so far
    PlainDelivery nowhere_;     // of those who are being abandoned
    std::vector<slot_type*> idle_;
    WaiterList<Waiter> drains_;
    std::optional<timer_type> timer_;
    std::optional<time_point> armed_for_;
    std::size_t elsewhere_ = 0;      // batches that run on no thread of the executor ...
    asio::any_io_executor work_;     // ... but count as work there
    std::vector<BatchId> unwanted_;  // running batches for which nobody waits any more
    bool closed_ = false;
    Stats stats_;
    std::condition_variable loaded_;
};

}  // namespace batching::detail
