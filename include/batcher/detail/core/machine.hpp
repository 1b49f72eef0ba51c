// Machine: the core of a Batcher. Where each call is, when a batch leaves, and what is to be done next.
//
// It does no I/O, knows no thread and reads no clock: events go in, with the time they happened at, and
// actions come out. Whoever drives it holds a lock, and carries the actions out when he has let go of it.
//
//     events     arrived, left, failed, flush, close, cancel, drain      by callers
//                ready, completed, recycled                              by batches that run
//                abandon                                                 by executors that go
//     decide(now), take_actions()                                        after each of them
//
// No event fails, and none but cancel() and abandon() takes longer for many calls that wait.
#pragma once

#include <algorithm>
#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/core/pool.hpp>
#include <batcher/detail/core/queue.hpp>
#include <batcher/detail/core/recorder.hpp>
#include <batcher/detail/core/rules.hpp>
#include <batcher/detail/core/slots.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

namespace batching::detail {

struct Actions {
    BatchQueue start;       // to be formed on the executor, in this order
    BatchQueue completed;   // their calls are to be handed back
    Batch* stop = nullptr;  // nobody waits for them any more; linked by next_to_stop
};

class Machine {
public:
    Machine(const Rules& rules, BatchFactory& factory)
        : rules_(rules), slots_(rules.max_concurrent_batches), pool_(factory) {}

    // ---- callers ----------------------------------------------------------------------------------------

    // Asks for room for calls that are about to arrive. Those that are not accepted count as rejected.
    Admission admit(std::size_t count, Accept accept) noexcept {
        const Admission admission = rules_.admit(queue_, closed_, count, accept);
        recorder_.rejected(count - admission.accepted);
        return admission;
    }

    // Calls wait: a chain that leads by `next` from the newest to the oldest, or null.
    void arrived(Link* newest) noexcept { recorder_.accepted(queue_.push(newest)); }

    // The owner of a call destroys it: nothing here refers to it afterwards. Precondition: its batch, if it
    // has one, is not loading.
    void left(Call& call) noexcept {
        if (!let_go(call)) CallList::unlink(call);  // it was on its way back
        call.state(CallState::done);
    }

    // A call fails alone, if it waits or runs. False if its end is decided already.
    bool cancelled(Call& call, const std::exception_ptr& error) noexcept {
        if (!let_go(call)) return false;
        complete(call, error);
        return true;
    }

    // Whether the deadline of a call has passed that waits, or that runs and whose batch has younger ones: a
    // batch that has none is for who runs it to end.
    bool any_late(Time now) const noexcept {
        return late_at_ <= now || (!queue_.empty() && rules_.deadline(queue_.front()) <= now);
    }
    // Those calls fail.
    void expire(Time now, const std::exception_ptr& error) noexcept;

    // The same for one whose item could not be moved into its batch.
    void not_loaded(Call& call, const std::exception_ptr& error) noexcept {
        CallList::unlink(call);
        --call.batch->size;
        recorder_.left_running();
        recorder_.failed();
        complete(call, error);
    }

    // A call that was not accepted.
    void refused(Call& call, const std::exception_ptr& error) noexcept { complete(call, error); }

    void flush() noexcept { queue_.flush(); }
    void close() noexcept { closed_ = true; }
    bool closed() const noexcept { return closed_; }

    // All that wait fail.
    void cancel(const std::exception_ptr& error) noexcept {
        if (queue_.empty()) return;
        Batch& batch = completed_batch(error);
        recorder_.cancelled(queue_.size());
        queue_.for_each([&](Call& call) { join(call, batch); });
        queue_.take_all(batch.calls);
    }

    // `call`, which has no item, is handed back when nothing waits or runs.
    void drain(Call& call) noexcept {
        closed_ = true;
        call.state(CallState::completed);
        call.batch = nullptr;
        drains_.push_back(call);
    }
    bool drain_cancelled(Call& call, const std::exception_ptr& error) noexcept {
        if (call.state() != CallState::completed || call.batch != nullptr) return false;
        CallList::unlink(call);
        complete(call, error);
        return true;
    }

    // ---- batches ----------------------------------------------------------------------------------------

    // The executor got to a batch that was to start: forms it, from the oldest calls. False if there are
    // none that may leave any more; its slot is free again then.
    bool ready(Batch& batch, Time now) noexcept;

    // The batch function has returned, for `failed` of the calls in the batch with an error.
    void completed(Batch& batch, std::size_t failed, Time now) noexcept {
        slots_.give_back(batch.slot);
        recorder_.completed(batch, failed, now);
        batch.phase.store(BatchPhase::completed, std::memory_order_relaxed);
        batch.calls.for_each([](Call& call) { call.state(CallState::completed); });
    }

    // Nobody needs the batch any more. Its error is null again.
    void recycled(Batch& batch) noexcept { pool_.give_back(batch); }

    // ---- executors that go ------------------------------------------------------------------------------

    // The calls of whose completion executor `gone` is true leave for `orphans`, whether they wait or run.
    // Precondition: no batch is loading.
    template <class Gone>
    void abandon(Gone gone, CallList& orphans) noexcept {
        const auto leave = [&](Call& call) {
            if (!gone(call.resumes_on) || !let_go(call)) return;
            call.state(CallState::completed);
            orphans.push_back(call);
        };
        queue_.for_each(leave);
        drains_.for_each([&](Call& call) {
            if (!gone(call.resumes_on)) return;
            CallList::unlink(call);
            orphans.push_back(call);
        });
        for_each_batch([&](Batch& batch) { batch.calls.for_each(leave); });
    }

    // ---- replicas ---------------------------------------------------------------------------------------

    // Where the batches of a handle run: slots.hpp.
    void spread(std::size_t replicas, std::size_t at_each, std::size_t worth) {
        slots_.spread(replicas, at_each, worth);
    }

    const Rules& rules() const noexcept { return rules_; }

    template <class Visit>
    void for_each_batch(Visit visit) {
        pool_.for_each(visit);
    }

    // ---- what follows -----------------------------------------------------------------------------------

    // What to do now goes to the actions. Drains do not end unless `results_sent`: the calls of all batches that
    // were taken as completed are on their way.
    Outlook decide(Time now, bool results_sent) noexcept;

    Actions take_actions() noexcept { return std::exchange(actions_, Actions()); }

    // The same until decide() has been called again: as Outlook::notify_after.
    std::size_t notify_after_meanwhile() const noexcept {
        return closed_ || rules_.limited() ? 1 : 0;
    }

    // Nothing waits or runs.
    bool idle() const noexcept { return queue_.empty() && slots_.all_free(); }

    Stats stats() const noexcept {
        Stats stats = recorder_.stats();
        stats.waiting = queue_.size();
        return stats;
    }

private:
    // A batch that is about to be formed takes what there is; another is worth its slot if it is full, too.
    bool may_start(Time now) const noexcept {
        const std::size_t needed = slots_.needed();
        if (needed == 0 || queue_.size() < needed) return false;
        if (starting_ > 0) return queue_.size() / most_in_batch() > starting_;
        return rules_.reason(queue_, closed_, now).has_value();
    }

    std::size_t most_in_batch() const noexcept {
        return std::min(rules_.max_batch_size,
                        slots_.share_of(queue_.size() + recorder_.stats().running));
    }

    void start() noexcept {
        Batch& batch = pool_.take();
        batch.slot = slots_.take();
        batch.phase.store(BatchPhase::starting, std::memory_order_relaxed);
        ++starting_;
        actions_.start.push(batch);
    }

    void fill(Batch& batch, Time now) noexcept;

    // The oldest call of a batch may have to be looked for before its batch ends.
    void note_deadlines(const Batch& batch) noexcept;

    // A call leaves the queue or the batch that runs with it, uncounted in the results. False if its end is
    // decided already.
    bool take_out(Call& call) noexcept;

    // The same, of its own accord.
    bool let_go(Call& call) noexcept {
        if (!take_out(call)) return false;
        recorder_.cancelled();
        return true;
    }

    void request_stop(Batch& batch) noexcept {
        if (batch.stop_requested.exchange(true, std::memory_order_relaxed)) return;
        batch.users.fetch_add(1, std::memory_order_relaxed);
        batch.next_to_stop = std::exchange(actions_.stop, &batch);
    }

    // A batch without a run, for calls that fail with `error`, or end without.
    Batch& completed_batch(const std::exception_ptr& error) noexcept {
        Batch* const last = actions_.completed.last();
        if (last != nullptr && last->error == error) return *last;
        Batch& batch = pool_.take();
        batch.error = error;
        batch.mixed = true;
        batch.phase.store(BatchPhase::completed, std::memory_order_relaxed);
        actions_.completed.push(batch);
        return batch;
    }

    void complete(Call& call, const std::exception_ptr& error) noexcept {
        Batch& batch = completed_batch(error);
        join(call, batch);
        batch.calls.push_back(call);
    }

    static void join(Call& call, Batch& batch) noexcept {
        call.state(CallState::completed);
        call.batch = &batch;
        call.index = 0;
    }

    const Rules rules_;

    Queue queue_;
    CallList drains_;
    bool closed_ = false;

    Slots slots_;
    Time late_at_ = Rules::never;  // when to look for calls in batches whose deadlines have passed
    std::size_t starting_ = 0;     // batches that have a slot, and are not formed yet
    std::uint64_t formed_ = 0;     // batches so far
    Pool pool_;

    Actions actions_;
    Recorder recorder_;
};

}  // namespace batching::detail

#include <batcher/detail/core/machine_impl.hpp>
