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
#include <batcher/detail/core/deadlines.hpp>
#include <batcher/detail/core/echo.hpp>
#include <batcher/detail/core/estimate.hpp>
#include <batcher/detail/core/lateness.hpp>
#include <batcher/detail/core/outbox.hpp>
#include <batcher/detail/core/pool.hpp>
#include <batcher/detail/core/queue.hpp>
#include <batcher/detail/core/recorder.hpp>
#include <batcher/detail/core/rules.hpp>
#include <batcher/detail/core/sizes.hpp>
#include <batcher/detail/core/slots.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>

namespace batching::detail {

class Machine {
public:
    Machine(const Rules& rules, BatchFactory& factory)
        : rules_(rules),
          queue_(rules_),
          slots_(rules.max_concurrent_batches),
          estimate_(rules.max_concurrent_batches),
          pool_(factory),
          outbox_(pool_),
          recorder_(rules.weighs) {}

    // ---- callers ----------------------------------------------------------------------------------------

    // Asks for room for plain calls that are about to arrive. Those that are not accepted count as rejected.
    Admission admit(std::size_t count, Accept accept) noexcept;
    // Asks for room for calls with terms, those of the first of them and the weight of all. Null: they may arrive, and
    // have displaced others if need be. Otherwise they count as rejected.
    std::exception_ptr admit(const ItemCall& first, std::size_t count, std::size_t weight,
                             Time now) noexcept;

    // Plain calls wait: a chain that leads by `next` from the newest to the oldest, or null.
    void arrived(Link* newest) noexcept {
        if (has_target()) note_arrivals(newest);
        recorder_.accepted(wait(newest));
    }
    // The same for calls of which some have terms.
    void arrived_with_terms(Link* newest) noexcept;
    void arrived_with_terms(ItemCall& call) noexcept;

    // The owner of a call destroys it: nothing here refers to it afterwards. Precondition: its batch, if it
    // has one, is not loading.
    void left(Call& call) noexcept {
        if (!let_go(call)) CallList::unlink(call);  // it was on its way back
        call.state(CallState::done);
    }

    // A call fails alone, if it waits or runs. False if its end is decided already.
    bool cancelled(Call& call, const std::exception_ptr& error) noexcept {
        if (!let_go(call)) return false;
        outbox_.complete(call, error);
        return true;
    }

    // Whether the deadline of a call has passed. (Of those that the timeout of a handle gives to all calls: of one that
    // waits, or whose batch has younger ones. A batch that has none is for who runs it to end.)
    bool any_late(Time now) const noexcept;
    bool has_deadlines() const noexcept { return !deadlines_.empty(); }
    // The time of an Outlook has been noticed so late.
    void woken(Time late) noexcept { timers_.saw(late); }
    // Those calls fail; with `error`, if the timeout is the handle's.
    void expire(Time now, const std::exception_ptr& error) noexcept;

    // A batch that has terms has its items: deadlines that have passed meanwhile are late now.
    void loaded(Batch& batch) noexcept;
    // Calls whose items could not be moved into it fail with the errors beside them.
    template <class Failures>
    void not_loaded(Batch& batch, const Failures& failures) noexcept;

    // A call that was not accepted.
    void refused(Call& call, const std::exception_ptr& error) noexcept {
        if (!call.plain) release_shared(terms_of(call));
        outbox_.complete(call, error);
    }
    // The same, of one for which no room was asked.
    void rejected(Call& call, const std::exception_ptr& error) noexcept {
        recorder_.rejected(1);
        refused(call, error);
    }
    std::exception_ptr refusal(const Admission& admission, std::size_t count) const noexcept;

    void flush() noexcept;
    void close() noexcept;
    bool closed() const noexcept { return closed_; }

    // All that wait fail.
    void cancel(const std::exception_ptr& error) noexcept {
        queue_.for_each([&](Call& call) { cancelled(call, error); });
    }

    // `call`, which has no item, is handed back when nothing waits or runs.
    void drain(Call& call) noexcept;
    bool drain_cancelled(Call& call, const std::exception_ptr& error) noexcept;

    // ---- batches ----------------------------------------------------------------------------------------

    // The executor got to a batch that was to start: forms it. False if no calls may leave any more; its slot is free
    // again then.
    bool ready(Batch& batch, Time now) noexcept;

    // The batch function has returned: whoever shares a place gets what its leader gets.
    void returned(Batch& batch) noexcept {
        if (batch.shared) gather(batch);
    }
    // The same, for `failed` of the calls in the batch with an error.
    void completed(Batch& batch, std::size_t failed, Time now) noexcept {
        slots_.give_back(batch.slot);
        recorder_.completed(batch, failed, now);
        if (has_target()) echo_.completed(batch.size, now, now - batch.started);
        if (learns_from(batch)) estimate_.completed(batch.weight, now - batch.started);
        batch.phase.store(BatchPhase::completed, std::memory_order_relaxed);
        if (batch.ends_terms) [[unlikely]]
            end_terms(batch);
    }

    // Nobody needs the batch any more. Its error is null again.
    void recycled(Batch& batch) noexcept { pool_.give_back(batch); }

    // ---- executors that go ------------------------------------------------------------------------------

    // The calls of whose completion executor `gone` is true leave for `orphans`, whether they wait or run.
    // Precondition: no batch is loading.
    template <class Gone>
    void abandon(Gone gone, CallList& orphans) noexcept;

    // ---- replicas ---------------------------------------------------------------------------------------

    // Where the batches of a handle run: slots.hpp.
    void spread(std::size_t replicas, std::size_t at_each, std::size_t worth) {
        slots_.spread(replicas, at_each, worth);
    }

    // Other rules, for what comes next: what waits stays, batches that run do too. Throws std::bad_alloc, then nothing has
    // changed. Preconditions: they are of the same kinds (weighs, keyed, shared), and the slots are not spread.
    void reconfigure(const Rules& rules);
    const Rules& rules() const noexcept { return rules_; }
    template <class Visit>
    void for_each_batch(Visit visit) {
        pool_.for_each(visit);
    }

    // ---- what follows -----------------------------------------------------------------------------------

    // What to do now goes to the actions. Drains do not end unless `results_sent`: the calls of all batches that
    // were taken as completed are on their way.
    Outlook decide(Time now, bool results_sent) noexcept;

    Actions take_actions() noexcept { return outbox_.take(); }

    // The same until decide() has been called again: as Outlook::notify_after.
    std::size_t notify_after_meanwhile() const noexcept { return closed_ || rules_.limited(); }

    // Nothing waits or runs.
    bool idle() const noexcept { return slots_.all_free() && queue_.empty(); }

    // All but the options. (Copied into what there is, so that nothing is allocated.)
    void stats(Stats& to) const noexcept;

private:
    // A batch that is about to be formed takes what there is; another is worth its slot if it is full, too.
    bool may_start(Time now) noexcept;
    std::size_t most_in_batch() const noexcept;

    void start(Time now) noexcept;
    // The line whose turn it is, or null.
    Line* next_line(Time now) noexcept;
    std::optional<DispatchReason> reason(Line& line, Time now) const noexcept;
    // When a batch of a line leaves at the latest, given a slot. Precondition: it is not empty.
    Time due(Line& line, Time now) const noexcept;
    Time leave_by(Line& line, std::size_t size) const noexcept;
    // With a target: until when it waits for callers who come straight back. In the past: it does not.
    Time held_until(const Line& line, Time now) const noexcept {
        return has_target() && echo_.until() > now ? held_by_echo(line, now) : (Time::min)();
    }
    Time held_by_echo(const Line& line, Time now) const noexcept;
    void note_arrivals(const Link* newest) noexcept;
    bool has_target() const noexcept { return rules_.latency_target != Rules::never; }
    Time run_time_to_meet(std::size_t size) const noexcept;

    // Takes those that go together; none if none of them can be in time.
    void form(Batch& batch, Line& line, DispatchReason why, Time now) noexcept;
    // The largest size of a batch that begins with this call, of those that are no larger than `most`.
    std::size_t limit(std::size_t most, const Call& first, Time now) noexcept {
        return has_target() ? limit_by_target(most, first, now) : most;
    }
    std::size_t limit_by_target(std::size_t most, const Call& first, Time now) noexcept;
    std::size_t target_size(Time left, std::size_t first, std::size_t most) const noexcept;
    std::size_t least_size() const noexcept;
    void fill(Batch& batch, Line& line, Time now) noexcept;
    void fill_by_terms(Batch& batch, Line& line, Time now) noexcept;
    struct Filling;
    Filling begin_filling(const Line& line, Call& first, Time now) noexcept;
    void plan(Filling& filling, Time timeout) noexcept;
    void shrink(Filling& filling, Time left) const noexcept;
    void note_cut(const Batch& batch, const Line& line, bool by_deadline) noexcept;
    template <bool weighs>
    void take_simple(Batch& batch, Line& line, const Line::Row& row,
                     const Filling& filling) noexcept;
    bool take_careful(Batch& batch, Line& line, const Line::Row& row, Filling& filling) noexcept;
    void take_place(Batch& batch, Call& call, Place* place) noexcept;

    // ---- calls with terms -------------------------------------------------------------------------------

    std::size_t wait(Link* newest) noexcept;
    void wait(ItemCall& call) noexcept;
    void wait_with_others(ItemCall& call) noexcept;
    static bool may_be_joined(const Place& place) noexcept;
    static bool joins(const ItemCall& call) noexcept;
    // True: it shares the place of another. Otherwise it leads now.
    bool share(ItemCall& call, Place& place) noexcept;
    // The leader waits in the class of its place.
    void put_in_class(Place& place) noexcept;
    void leave_queue(ItemCall& call) noexcept;
    void end_terms(ItemCall& call) noexcept;
    void end_deadline(ItemCall& call) noexcept;
    void put_off(ItemCall& call) noexcept;
    static void release_shared(ItemCall& call) noexcept;
    void end_terms(Batch& batch) noexcept;
    void gather(Batch& batch) noexcept;
    void make_room(std::size_t count, std::size_t weight) noexcept;
    // All that wait for the place of a call, and it itself, fail.
    template <class Record>
    void fail_place(Call& call, const std::exception_ptr& error, Record record) noexcept;

    // Whether its run time says something of others.
    bool learns_from(const Batch& batch) const noexcept;
    // When there may be room in a queue that is full, if that is known.
    std::optional<Time> room_in() const noexcept;

    void plan_for_deadlines(Outlook& outlook, Time now) noexcept;
    void changed(Line* line) noexcept;
    void pass_time(Time now) noexcept;
    template <class Change>
    void each_line(Change change) noexcept;

    void note_deadlines(Batch& batch) noexcept;
    // A call leaves the queue or its batch, uncounted in the results. False if its end is decided already.
    bool take_out(Call& call) noexcept;

    // The same, of its own accord.
    bool let_go(Call& call) noexcept {
        if (!take_out(call)) return false;
        recorder_.cancelled();
        return true;
    }

    Rules rules_;
    Queue queue_;
    Sizes sizes_{rules_, queue_};
    CallList drains_;
    bool closed_ = false;

    Slots slots_;
    Estimate estimate_;
    Lateness timers_;
    Lateness starts_;  // of batches, after they were told to
    Echo echo_;
    bool had_deadlines_ = false;   // so run times are learnt
    Deadlines deadlines_;          // of calls that wait or run
    std::size_t sharing_ = 0;      // calls that wait for the place of another
    Time late_at_ = Rules::never;  // when to look for calls in batches whose deadlines have passed
    std::size_t starting_ = 0;     // batches that have a slot, and are not formed yet
    std::uint64_t formed_ = 0;     // batches so far
    Pool pool_;
    Outbox outbox_;
    Recorder recorder_;
};

}  // namespace batching::detail

#ifndef BATCHER_SEPARATE_COMPILATION
#include <batcher/detail/core/machine_impl.hpp>
#endif
