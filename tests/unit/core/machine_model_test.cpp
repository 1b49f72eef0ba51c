// The Machine against a model of it that is made of the contract's rules alone, of a deque and of linear
// searches, over thousands of random schedules.
//
// The driver treats the Machine as the Engine does: it has it decide only after the events for which the
// Machine wants that. Arrivals are heard of by the countdown `notify_after`, time by `wake_at`. So a
// wake-up that the Machine forgets to ask for shows as a batch that the model sends and it does not; and
// an arrival that it does not want to hear of, as a call too many in its queue.
#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "../catch.hpp"
#include "../random_schedules.hpp"
#include "driven_machine.hpp"

namespace machine_model_test {

using namespace core_test;

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

// ---- the contract ------------------------------------------------------------------------------------

struct Formed {
    DispatchReason reason = DispatchReason::full;
    Ids ids;
    bool operator==(const Formed&) const = default;
};

struct Counts {
    std::uint64_t submitted = 0, rejected = 0, completed = 0, failed = 0, cancelled = 0;
    std::uint64_t full = 0, timeout = 0, flushed = 0, run = 0;
    bool operator==(const Counts&) const = default;
};

struct Model {
    struct Entry {
        int id;
        Time queued_at;
        bool flushed;
    };

    explicit Model(const Rules& r) : rules(r) {
        for (std::size_t i = r.max_concurrent_batches; i > 0; --i) free_slots.push_back(i - 1);
    }

    bool timed_out(Time now) const {
        return rules.batch_timeout != Rules::never &&
               now - queue.front().queued_at >= rules.batch_timeout;
    }
    bool may_leave(Time now) const {
        if (queue.empty()) return false;
        return queue.size() >= rules.max_batch_size || queue.front().flushed || closed ||
               timed_out(now);
    }
    std::optional<Formed> form(Time now) {
        if (!may_leave(now)) return std::nullopt;
        Formed formed;
        if (queue.size() >= rules.max_batch_size) {
            formed.reason = DispatchReason::full;
            ++counts.full;
        } else if (queue.front().flushed || closed) {
            formed.reason = DispatchReason::flushed;
            ++counts.flushed;
        } else {
            formed.reason = DispatchReason::timeout;
            ++counts.timeout;
        }
        while (!queue.empty() && formed.ids.size() < rules.max_batch_size) {
            formed.ids.push_back(queue.front().id);
            queue.pop_front();
        }
        return formed;
    }
    void flush() {
        for (Entry& entry : queue) entry.flushed = true;
    }
    std::size_t admits(std::size_t count, Accept accept) const {
        if (closed) return 0;
        const std::size_t room = rules.max_queue_size - queue.size();
        if (count <= room) return count;
        return accept == Accept::all_or_none ? 0 : room;
    }

    const Rules rules;
    std::deque<Entry> queue;
    std::map<Batch*, Ids> running;  // whose results are still wanted
    Ids drains;
    bool closed = false;
    std::vector<std::size_t> free_slots;
    std::uint64_t last_number = 0;
    Counts counts;
};

bool remove(Ids& ids, int id) {
    const auto found = std::find(ids.begin(), ids.end(), id);
    if (found == ids.end()) return false;
    ids.erase(found);
    return true;
}
bool remove(std::deque<Model::Entry>& queue, int id) {
    const auto found =
        std::find_if(queue.begin(), queue.end(), [&](const auto& e) { return e.id == id; });
    if (found == queue.end()) return false;
    queue.erase(found);
    return true;
}

// ---- the Machine, driven as the Engine drives it -----------------------------------------------------

// That its batch has run is said by the batch.
CallState state_of(const Call& call) {
    const CallState own = call.state();
    return own == CallState::running && !batching::detail::undecided(call) ? CallState::completed
                                                                           : own;
}

class Driver {
public:
    Driver(const Rules& rules, Random& random, bool form_at_once)
        : random_(random),
          form_at_once_(form_at_once),
          rules_(rules),
          machine_(rules, batches_),
          model_(rules) {
        pump();  // before anyone can call
    }

    void step() {
        switch (random_.below(24)) {
            case 0:
                return flush();
            case 1:
                return random_.one_in(30) ? close() : leave();
            case 2:
                return random_.one_in(8) ? cancel_all() : leave();
            case 3:
                return random_.one_in(8) ? cancel_all() : cancel_some();
            case 4:
                return random_.one_in(30) ? drain() : leave();
            case 5:
                return leave_drain();
            case 6:
                return random_.one_in(4) ? abandon() : cancel_some();
            case 7:
            case 8:
            case 9:
                return finish_batch();
            case 10:
            case 11:
                return hand_back();
            case 12:
            case 13:
            case 14:
                return form();
            case 15:
                return advance(random_.between(0, 20) * 1ns);
            case 16:
            case 17:
                return advance(random_.between(0, 3) * 1ns);
            case 18:
                return submit(random_.between(1, 7));
            default:
                return submit(1);
        }
    }

    void check() {
        MUST(model_.queue.size() <= rules_.max_queue_size);
        const std::size_t slots = starting_.size() + model_.running.size();
        MUST(slots + model_.free_slots.size() == rules_.max_concurrent_batches);
        if (intake_.empty()) MUST(machine_.idle() == (model_.queue.empty() && slots == 0));
        for (const auto& [id, caller] : callers_) MUST(state_of(*caller.call) == caller.state);
        MUST(batches_.made.size() == most_batches_);
        if (intake_.empty() && random_.one_in(16)) check_stats();
        if (model_.free_slots.empty()) return;
        // With a slot free, nothing that may leave waits without a batch that is about to be formed; and
        // full batches do not wait for one another.
        if (starting_.empty()) MUST(!model_.may_leave(now_));
        MUST(starting_.empty() || model_.queue.size() / rules_.max_batch_size <= starting_.size());
    }

    // Everything that was submitted ends at last.
    void finish() {
        results_are_late_ = false;
        drain();
        check();
        while (!starting_.empty() || !model_.running.empty() || !on_their_way_.empty()) {
            if (!starting_.empty()) form();
            check();
            if (!model_.running.empty()) finish_batch();
            check();
            if (!on_their_way_.empty()) hand_back();
            check();
        }
        MUST(model_.queue.empty());
        MUST(machine_.idle());
        MUST(callers_.empty());
        check_stats();
    }

private:
    // A call, and what the model says of it. A drain is one, too.
    struct Caller {
        std::unique_ptr<TestCall> call;
        CallState state = CallState::queued;
    };

    // ---- as the Engine -------------------------------------------------------------------------------

    void collect() {
        Link* newest = nullptr;
        for (TestCall* const call : intake_) {
            call->next = newest;
            newest = call;
        }
        intake_.clear();
        machine_.arrived(newest);
        countdown_ = machine_.notify_after_meanwhile();
    }

    // An arrival of which the machine does not hear at once. False: it has to.
    bool push(const std::vector<TestCall*>& calls) {
        if (countdown_ != 0 && countdown_ <= calls.size()) return false;
        if (countdown_ != 0) countdown_ -= calls.size();
        intake_.insert(intake_.end(), calls.begin(), calls.end());
        queued(calls, calls.size());
        return true;
    }

    void settle() {
        if (random_.one_in(4)) arrive_meanwhile();
        pump();
        rest();
        if (form_at_once_ && !starting_.empty()) form();
    }

    void pump() {
        for (;;) {
            const bool results_sent = !results_are_late_ || !random_.one_in(8);
            if (results_sent && model_.queue.size() == intake_.size() && starting_.empty() &&
                model_.running.empty()) {
                for (const int id : std::exchange(model_.drains, {})) expect(id, nullptr);
            }
            const Outlook outlook = machine_.decide(now_, results_sent);
            if (outlook.wake_at) arm(*outlook.wake_at);
            if (outlook.notify_after == 0) {
                MUST(!model_.closed);
                MUST(rules_.max_queue_size == no_limit);
                break;
            }
            if (intake_.empty()) {
                countdown_ = outlook.notify_after;
                break;
            }
            collect();
        }
        carry_out(machine_.take_actions());
    }

    // As the timer, which is left alone if it goes off early enough.
    void arm(Time at) {
        MUST(at > now_);
        if (!alarm_ || *alarm_ > at) alarm_ = at;
    }
    void rest() {
        if (machine_.idle() && intake_.empty()) alarm_.reset();
    }

    void carry_out(batching::detail::Actions actions) {
        while (Batch* const batch = actions.start.pop()) {
            // Only what may leave is started: once, and once more for every full batch.
            MUST(model_.may_leave(now_));
            MUST(starting_.empty() ||
                 model_.queue.size() / rules_.max_batch_size > starting_.size());
            MUST(!model_.free_slots.empty());
            MUST(batch->slot == model_.free_slots.back());
            MUST(batch->phase == BatchPhase::starting);
            MUST(!batch->stop_requested);
            model_.free_slots.pop_back();
            batch->users = 1;
            starting_.push_back(batch);
            ++batches_in_use_;
        }
        std::vector<Batch*> stopped;
        for (Batch* batch = actions.stop; batch != nullptr; batch = batch->next_to_stop) {
            MUST(batch->stop_requested);
            MUST(--batch->users == 1);
            stopped.push_back(batch);
        }
        std::reverse(stopped.begin(), stopped.end());
        MUST(stopped == std::exchange(to_stop_, {}));
        const std::exception_ptr* before = nullptr;
        while (Batch* const batch = actions.completed.pop()) {
            MUST(batch->phase == BatchPhase::completed);
            MUST(before == nullptr || *before != batch->error);  // or they would be one
            before = &batch->error;
            MUST(!batch->calls.empty());
            batch->calls.for_each([&](Call& call) {
                MUST(!expected_.empty());
                MUST(expected_.front().first == id_of(call));
                MUST(expected_.front().second == batch->error);
                MUST(call.batch == batch);
                expected_.pop_front();
            });
            send(*batch);
            ++batches_in_use_;
        }
        MUST(expected_.empty());
        most_batches_ = std::max(most_batches_, batches_in_use_);
    }

    void send(Batch& batch) {
        DrivenMachine::group(batch);
        on_their_way_.push_back(&batch);
    }

    // ---- calls come in -------------------------------------------------------------------------------

    TestCall& make() {
        Caller caller{std::make_unique<TestCall>(++last_id_), CallState::queued};
        TestCall& call = *caller.call;
        call.ops = &test_ops;
        call.queued_at = now_;
        const std::size_t where = random_.below(4);
        call.resumes_on = where == 0 ? nullptr : executor(where);
        if (random_.one_in(2)) call.resumes_on = nullptr;
        call.state(CallState::queued);
        callers_.emplace(call.id, std::move(caller));
        return call;
    }

    void queued(const std::vector<TestCall*>& calls, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            model_.queue.push_back({calls[i]->id, now_, false});
        }
        model_.counts.submitted += count;
        MUST(model_.queue.size() <= rules_.max_queue_size);
    }

    void submit(std::size_t count) {
        std::vector<TestCall*> calls;
        for (std::size_t i = 0; i < count; ++i) calls.push_back(&make());
        trace("{} ns: submit {} to {}", now_.count(), last_id_ + 1 - static_cast<int>(count),
              last_id_);
        if (push(calls)) {
            MUST(!model_.closed);
            return;
        }
        trace("heard of");
        const Accept accept = random_.one_in(2) ? Accept::all_or_none : Accept::as_many_as_fit;
        collect();
        const std::size_t admitted = model_.admits(count, accept);
        const Admission admission = machine_.admit(count, accept);
        MUST(admission.accepted == admitted);
        MUST(admission.closed == model_.closed);
        MUST(admission.waiting == model_.queue.size() + admitted);
        MUST(admission.max_queue_size == rules_.max_queue_size);
        model_.counts.rejected += count - admitted;
        Link* newest = nullptr;
        for (std::size_t i = 0; i < admitted; ++i) {
            calls[i]->next = newest;
            newest = calls[i];
        }
        machine_.arrived(newest);
        queued(calls, admitted);
        settle();
        if (admitted == count) return;
        // Without a look at what has arrived since, as the Engine does.
        const std::exception_ptr error = an_error();
        for (std::size_t i = admitted; i < count; ++i) {
            expect(calls[i]->id, error);
            machine_.refused(*calls[i], error);
        }
        settle();
    }

    // While another thread holds the lock.
    void arrive_meanwhile() {
        for (std::size_t left = random_.between(1, 3); left > 0; --left) {
            if (countdown_ == 1) return;
            TestCall& call = make();
            if (push({&call})) {
                trace("{} ns: meanwhile {}", now_.count(), call.id);
            } else {
                callers_.erase(call.id);
            }
        }
    }

    // ---- calls leave ---------------------------------------------------------------------------------

    void expect(int id, const std::exception_ptr& error) {
        callers_.at(id).state = CallState::completed;
        expected_.emplace_back(id, error);
    }

    // Where the contract says that it waits or runs. False: its end is decided.
    bool let_go(int id) {
        if (remove(model_.queue, id)) {
            ++model_.counts.cancelled;
            return true;
        }
        for (auto& [batch, ids] : model_.running) {
            if (!remove(ids, id)) continue;
            ++model_.counts.cancelled;
            if (ids.empty()) to_stop_.push_back(batch);
            return true;
        }
        return false;
    }

    bool is_drain(int id) const {
        return std::find(drains_.begin(), drains_.end(), id) != drains_.end();
    }

    std::optional<int> any_call() {
        Ids ids;
        for (const auto& [id, caller] : callers_) {
            if (!is_drain(id)) ids.push_back(id);
        }
        if (ids.empty()) return std::nullopt;
        return random_.pick(ids);
    }

    void leave() {
        const std::optional<int> id = any_call();
        if (!id) return;
        trace("{} leaves", *id);
        collect();
        TestCall& call = *callers_.at(*id).call;
        let_go(*id);
        machine_.left(call);
        MUST(call.state() == CallState::done);
        callers_.erase(*id);
        settle();
    }

    // Several calls are cancelled with the same error.
    void cancel_some() {
        const std::exception_ptr error = an_error();
        collect();
        for (std::size_t left = random_.between(1, 3); left > 0; --left) {
            const std::optional<int> id = any_call();
            if (!id) break;
            trace("{} is cancelled", *id);
            const bool cancelled = let_go(*id);
            MUST(machine_.cancelled(*callers_.at(*id).call, error) == cancelled);
            if (cancelled) expect(*id, error);
        }
        settle();
    }

    void cancel_all() {
        trace("cancel");
        const std::exception_ptr error = an_error();
        collect();
        for (const Model::Entry& entry : model_.queue) expect(entry.id, error);
        model_.counts.cancelled += model_.queue.size();
        model_.queue.clear();
        machine_.cancel(error);
        settle();
    }

    void abandon() {
        CompletionExecutor* const gone =
            random_.one_in(4) ? nullptr : executor(random_.between(1, 3));
        trace("an executor goes");
        collect();
        Ids expected;
        const auto goes = [&](int id) { return callers_.at(id).call->resumes_on == gone; };
        for (const auto& [id, caller] : callers_) {
            const bool drain_waits =
                std::count(model_.drains.begin(), model_.drains.end(), id) != 0;
            if (goes(id) && (caller.state == CallState::queued ||
                             caller.state == CallState::running || drain_waits)) {
                expected.push_back(id);
            }
        }
        machine_.for_each_batch([&](Batch& batch) {
            const auto running = model_.running.find(&batch);
            if (running == model_.running.end()) return;
            for (const int id : Ids(running->second)) {
                if (goes(id)) let_go(id);
            }
        });
        for (const int id : expected) {
            if (!remove(model_.drains, id)) let_go(id);
        }
        CallList orphans;
        machine_.abandon([&](const CompletionExecutor* e) { return e == gone; }, orphans);
        Ids ids;
        while (Call* const call = orphans.pop_front()) {
            MUST(call->state() == CallState::completed);
            ids.push_back(id_of(*call));
        }
        std::sort(ids.begin(), ids.end());
        MUST(ids == expected);
        for (const int id : ids) {
            callers_.erase(id);
            remove(drains_, id);
        }
        settle();
    }

    // ---- life ----------------------------------------------------------------------------------------

    void flush() {
        trace("flush");
        collect();
        machine_.flush();
        model_.flush();
        settle();
    }

    void close() {
        trace("close");
        collect();
        machine_.close();
        model_.closed = true;
        settle();
    }

    void drain() {
        TestCall& call = make();
        call.state(CallState::created);
        trace("drain {}", call.id);
        collect();
        machine_.drain(call);
        model_.closed = true;
        callers_.at(call.id).state = CallState::completed;
        model_.drains.push_back(call.id);
        drains_.push_back(call.id);
        settle();
    }

    void leave_drain() {
        if (drains_.empty()) return;
        const int id = random_.pick(drains_);
        TestCall& call = *callers_.at(id).call;
        const bool waits = remove(model_.drains, id);
        if (random_.one_in(2)) {
            trace("drain {} leaves", id);
            machine_.left(call);
            MUST(call.state() == CallState::done);
            callers_.erase(id);
            remove(drains_, id);
        } else {
            trace("drain {} is cancelled", id);
            const std::exception_ptr error = an_error();
            collect();
            MUST(machine_.drain_cancelled(call, error) == waits);
            if (waits) expect(id, error);
            settle();
        }
    }

    // Time passes, with a stop wherever the Machine asked for one or the model has something to do.
    void advance(Time by) {
        const Time target = now_ + by;
        while (now_ < target) {
            Time next = target;
            if (alarm_) next = std::min(next, *alarm_);
            if (!model_.queue.empty() && rules_.batch_timeout != Rules::never) {
                const Time due = model_.queue.front().queued_at + rules_.batch_timeout;
                if (due > now_) next = std::min(next, due);
            }
            now_ = std::max(now_, next);
            if (alarm_ && *alarm_ <= now_) {
                trace("{} ns: woken", now_.count());
                alarm_.reset();
                collect();
                settle();
            }
            check();
        }
    }

    // ---- batches -------------------------------------------------------------------------------------

    // The executor gets to one of those that were started, not always to the first.
    void form() {
        if (starting_.empty()) return;
        const std::size_t i = random_.below(starting_.size());
        Batch& batch = *starting_[i];
        starting_.erase(starting_.begin() + static_cast<std::ptrdiff_t>(i));
        collect();
        const bool formed = machine_.ready(batch, now_);
        const std::optional<Formed> expected = model_.form(now_);
        MUST(formed == expected.has_value());
        if (!formed) {
            trace("{} ns: no batch", now_.count());
            model_.free_slots.push_back(batch.slot);
            settle();
            recycle(batch);
            return;
        }
        trace("{} ns: a batch of {}", now_.count(), batch.size);
        MUST(batch.reason == expected->reason);
        MUST(ids_of(batch.calls) == expected->ids);
        MUST(batch.size == expected->ids.size());
        MUST(batch.number == ++model_.last_number);
        MUST(batch.started == now_);
        MUST(batch.phase == BatchPhase::loading);
        bool mixed = false;
        std::uint32_t index = 0;
        batch.calls.for_each([&](Call& call) {
            mixed |= call.resumes_on != batch.calls.front().resumes_on;
            MUST(call.index == index++);
            MUST(call.batch == &batch);
            callers_.at(id_of(call)).state = CallState::running;
        });
        MUST(batch.mixed == mixed);
        model_.running.emplace(&batch, expected->ids);
        settle_loading();
        load(batch);
        batch.phase = BatchPhase::running;
        if (form_at_once_ && !starting_.empty()) form();
    }

    void settle_loading() {
        if (random_.one_in(4)) arrive_meanwhile();
        pump();
    }

    void load(Batch& batch) {
        for (const int id : Ids(model_.running.at(&batch))) {
            if (!random_.one_in(20)) continue;
            trace("{} cannot be moved", id);
            const std::exception_ptr error = an_error();
            remove(model_.running.at(&batch), id);
            ++model_.counts.failed;
            expect(id, error);
            machine_.not_loaded(batch, std::vector{std::pair<Call*, std::exception_ptr>(
                                           callers_.at(id).call.get(), error)});
            settle_loading();
        }
    }

    void finish_batch() {
        if (model_.running.empty()) return;
        auto running = model_.running.begin();
        std::advance(running, random_.below(model_.running.size()));
        const auto [batch, ids] = *running;
        trace("{} ns: a batch has run", now_.count());
        MUST(batch->size == ids.size());
        MUST(ids_of(batch->calls) == ids);
        model_.running.erase(running);
        model_.free_slots.push_back(batch->slot);
        for (const int id : ids) callers_.at(id).state = CallState::completed;
        const std::size_t failed = random_.between(0, ids.size());
        model_.counts.failed += failed;
        model_.counts.completed += ids.size() - failed;
        ++model_.counts.run;
        collect();
        machine_.completed(*batch, failed, now_);
        MUST(batch->phase == BatchPhase::completed);
        send(*batch);
        settle();
    }

    void hand_back() {
        if (on_their_way_.empty()) return;
        const std::size_t i = random_.below(on_their_way_.size());
        Batch& batch = *on_their_way_[i];
        on_their_way_.erase(on_their_way_.begin() + static_cast<std::ptrdiff_t>(i));
        trace("a batch is handed back");
        while (Call* const call = DrivenMachine::on_their_way(batch).pop_front()) {
            const int id = id_of(*call);
            MUST(callers_.at(id).state == CallState::completed);
            call->hand_back();
            MUST(static_cast<TestCall*>(call)->resumed == 1);
            callers_.erase(id);
            remove(drains_, id);
        }
        recycle(batch);
    }

    void recycle(Batch& batch) {
        batch.error = nullptr;
        machine_.recycled(batch);
        --batches_in_use_;
        rest();
    }

    void check_stats() {
        const batching::Stats stats = stats_of(machine_);
        const Counts counts{stats.submitted,       stats.rejected,        stats.completed,
                            stats.failed,          stats.cancelled,       stats.batches_full,
                            stats.batches_timeout, stats.batches_flushed, stats.run_time.count()};
        MUST(counts == model_.counts);
        MUST(stats.waiting == model_.queue.size());
        std::size_t running = 0;
        for (const auto& [batch, ids] : model_.running) running += ids.size();
        MUST(stats.running == running);
        MUST(stats.submitted ==
             stats.completed + stats.failed + stats.cancelled + stats.waiting + stats.running);
        MUST(stats.batch_size.count() == model_.last_number);
        MUST(stats.batch_size.sum() == static_cast<double>(stats.wait_time.count()));
    }

    Random& random_;
    const bool form_at_once_;
    const Rules rules_;
    PlainBatches batches_;
    Machine machine_;
    Model model_;
    Time now_{1000ns};

    std::vector<TestCall*> intake_;
    std::size_t countdown_ = 0;
    std::optional<Time> alarm_;
    std::vector<Batch*> starting_;
    std::vector<Batch*> on_their_way_;
    std::size_t batches_in_use_ = 0;
    std::size_t most_batches_ = 0;

    std::deque<std::pair<int, std::exception_ptr>> expected_;  // to complete without a run
    std::vector<Batch*> to_stop_;
    std::map<int, Caller> callers_;
    bool results_are_late_ = true;  // now and then
    Ids drains_;
    int last_id_ = 0;
};

void run(std::uint64_t seed, bool form_at_once) {
    Random random(seed);
    Rules rules{.max_batch_size = random.between(1, 5),
                .batch_timeout = Rules::never,
                .max_concurrent_batches = random.between(1, 3)};
    if (!random.one_in(4)) rules.batch_timeout = random.between(0, 10) * 1ns;
    if (random.one_in(2)) rules.max_queue_size = random.between(1, 8);
    trace("max_batch_size {}, batch_timeout {}, slots {}, max_queue_size {}", rules.max_batch_size,
          rules.batch_timeout == Rules::never ? -1 : rules.batch_timeout.count(),
          rules.max_concurrent_batches, rules.max_queue_size);
    Driver driver(rules, random, form_at_once);
    for (std::size_t steps = random.between(1, 150); steps > 0; --steps) {
        driver.step();
        driver.check();
    }
    driver.finish();
}

TEST_CASE("the machine follows the contract when batches are formed as soon as they are started",
          "[machine][model]") {
    for_random_schedules(3000, [](std::uint64_t seed) { run(seed, true); });
}

TEST_CASE("the machine follows the contract when batches are formed long after they were started",
          "[machine][model]") {
    for_random_schedules(3000, [](std::uint64_t seed) { run(seed, false); });
}

}  // namespace machine_model_test
