// The Scheduler against a model of it that is made of the contract's rules alone ("When a batch leaves"),
// of a deque and of linear searches, over thousands of random schedules.
//
// The driver treats the Scheduler as the Engine does: it asks decide() only after the events for which
// the Scheduler wants to be asked. Arrivals are heard of by the countdown `wanted`, time by `wake_at`. So
// a wake-up that the Scheduler forgets to ask for shows as a batch that the model sends and it does not.

#include <algorithm>
#include <batcher/detail/scheduler.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "catch.hpp"
#include "random_schedules.hpp"

namespace {

using batching::detail::Left;
using namespace std::chrono_literals;

struct FakeClock {  // its types only: the Scheduler reads no clock
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<FakeClock, duration>;
};
using Time = FakeClock::time_point;
using Duration = FakeClock::duration;

struct Call : batching::detail::Link {
    int id = 0;
    Time queued_at{};
};
using Scheduler = batching::detail::Scheduler<Call, FakeClock>;

// ---- the contract ------------------------------------------------------------------------------------

struct Formed {
    Left why = Left::none;
    std::vector<int> ids;
    bool operator==(const Formed&) const = default;
};

struct Model {
    struct Entry {
        int id;
        Time queued_at;
        bool flushed;
    };

    explicit Model(const Scheduler::Rules& r) : rules(r) {}

    bool timed_out(Time now) const {
        return rules.batch_timeout && now - queue.front().queued_at >= *rules.batch_timeout;
    }
    bool may_leave(Time now) const {
        if (queue.empty()) return false;
        return queue.size() >= rules.max_batch_size || queue.front().flushed || closed ||
               timed_out(now);
    }
    Formed form(Time now) {
        Formed formed;
        if (!may_leave(now)) return formed;
        formed.why = queue.size() >= rules.max_batch_size ? Left::full
                     : (queue.front().flushed || closed)  ? Left::flushed
                                                          : Left::timeout;
        while (!queue.empty() && formed.ids.size() < rules.max_batch_size) {
            formed.ids.push_back(queue.front().id);
            queue.pop_front();
        }
        ++running;
        return formed;
    }
    void flush() { flush(queue.size()); }
    void flush(std::size_t oldest) {
        for (std::size_t i = 0; i < oldest; ++i) queue[i].flushed = true;
    }
    bool last_flushed_is_among(std::size_t oldest) const {
        return queue.front().flushed && (queue.size() == oldest || !queue[oldest].flushed);
    }
    void remove(int id) {
        queue.erase(std::find_if(queue.begin(), queue.end(), [&](auto& e) { return e.id == id; }));
    }

    Scheduler::Rules rules;
    std::deque<Entry> queue;
    std::size_t running = 0;
    bool closed = false;
};

// ---- the Scheduler, asked as the Engine asks it ------------------------------------------------------

class Driver {
public:
    Driver(const Scheduler::Rules& rules, Random& random, bool take_at_once)
        : random_(random),
          take_at_once_(take_at_once),
          rules_(rules),
          scheduler_(rules),
          model_(rules) {
        look();
    }

    void step() {
        switch (random_.below(16)) {
            case 0:
                return flush();
            case 1:
                return remove();
            case 2:
                return random_.one_in(30) ? close() : remove();
            case 3:
                return random_.one_in(8) ? remove_all() : finished();
            case 4:
            case 5:
                return finished();
            case 6:
            case 7:
            case 8:
                return take();
            case 9:
            case 10:
                return advance(random_.between(0, 3) * 1ns);
            case 11:
                return advance(random_.between(0, 20) * 1ns);
            default:
                return submit();
        }
    }

    void check() {
        if (intake_.empty()) MUST(scheduler_.waiting() == model_.queue.size());
        if (intake_.empty()) {
            MUST(scheduler_.idle() == (model_.queue.empty() && model_.running == 0));
        }
        MUST(starting_ + model_.running <= rules_.slots);
        if (starting_ + model_.running == rules_.slots) return;
        // With a slot free, nothing that may leave waits without a batch that is about to be formed; and
        // full batches do not wait for one another.
        if (starting_ == 0) MUST(!model_.may_leave(now_));
        if (starting_ > 0) MUST(model_.queue.size() / rules_.max_batch_size <= starting_);
    }

    // Everything that was submitted leaves at last.
    void finish() {
        close();
        check();
        while (starting_ > 0 || model_.running > 0) {
            if (starting_ > 0) take();
            check();
            if (model_.running > 0) finished();
            check();
        }
        MUST(model_.queue.empty());
        MUST(scheduler_.idle());
    }

private:
    void submit() {
        if (model_.closed) return;
        auto call = std::make_unique<Call>();
        call->id = ++last_id_;
        call->queued_at = now_;
        trace("{} ns: submit {}", now_.time_since_epoch().count(), call->id);
        model_.queue.push_back({call->id, now_, false});
        intake_.push_back(call.get());
        calls_.emplace(call->id, std::move(call));
        if (wanted_ > 0 && --wanted_ == 0) look();
    }

    void remove() {
        if (model_.queue.empty()) return;
        const int id = random_.pick(model_.queue).id;
        trace("remove {}", id);
        collect();
        scheduler_.remove(*calls_.at(id));
        model_.remove(id);
        calls_.erase(id);
        look();
    }

    void remove_all() {
        trace("remove all");
        collect();
        batching::detail::WaiterList<Call> removed;
        scheduler_.remove_all(removed);
        for (const Model::Entry& entry : model_.queue) {
            Call* call = removed.pop_front();
            MUST(call != nullptr);
            MUST(call->id == entry.id);
            calls_.erase(entry.id);
        }
        MUST(removed.empty());
        model_.queue.clear();
        look();
    }

    void flush() {
        trace("flush");
        collect();
        scheduler_.flush();
        model_.flush();
        look();
    }

    void close() {
        trace("close");
        collect();
        scheduler_.close();
        model_.closed = true;
        look();
    }

    void finished() {
        if (model_.running == 0) return;
        trace("a batch has run");
        --model_.running;
        scheduler_.finished();
        look();
    }

    // Time passes, with a stop wherever the Scheduler asked for one or the model has something to do.
    void advance(Duration by) {
        const Time target = now_ + by;
        while (now_ < target) {
            Time next = target;
            if (wake_at_) next = std::min(next, *wake_at_);
            if (!model_.queue.empty() && rules_.batch_timeout) {
                const Time due = model_.queue.front().queued_at + *rules_.batch_timeout;
                if (due > now_) next = std::min(next, due);
            }
            now_ = std::max(now_, next);
            if (wake_at_ && *wake_at_ <= now_) {
                trace("{} ns: woken", now_.time_since_epoch().count());
                wake_at_.reset();
                look();
            }
            check();
        }
    }

    void take() {
        if (starting_ == 0) return;
        --starting_;
        collect();
        Formed formed;
        batching::detail::WaiterList<Call> taken;
        const auto [why, flushed] =
            scheduler_.take(now_, taken, [&](Call& call) { formed.ids.push_back(call.id); });
        formed.why = why;
        if (why == Left::full && random_.one_in(4)) return put_back(taken, formed, flushed);
        for (const auto id : formed.ids) calls_.erase(id);
        trace("{} ns: a batch of {}", now_.time_since_epoch().count(), formed.ids.size());
        MUST(formed.ids.size() <= rules_.max_batch_size);
        MUST(formed.ids.empty() == (formed.why == Left::none));
        MUST(formed == model_.form(now_));
        look();
    }

    void put_back(batching::detail::WaiterList<Call>& taken, const Formed& formed, bool flushed) {
        trace("{} ns: put back", now_.time_since_epoch().count());
        MUST(formed == Model(model_).form(now_));
        MUST(flushed == model_.last_flushed_is_among(formed.ids.size()));
        if (flushed) model_.flush(formed.ids.size());
        scheduler_.put_back(taken, formed.ids.size(), flushed);
        ++starting_;
        look();
    }

    void collect() {
        for (Call* call : intake_) scheduler_.submit(call);
        intake_.clear();
    }

    void look() {
        collect();
        for (;;) {
            const auto decision = scheduler_.decide(now_);
            if (!decision.start) {
                wanted_ = decision.wanted;
                // As the Engine's timer: left alone if it goes off early enough.
                if (decision.wake_at && (!wake_at_ || *wake_at_ > *decision.wake_at)) {
                    MUST(*decision.wake_at > now_);
                    if (rules_.batch_timeout) wake_at_ = decision.wake_at;
                }
                return;
            }
            // Only what may leave is started: once, and once more for every full batch.
            MUST(model_.may_leave(now_));
            MUST(starting_ == 0 || model_.queue.size() / rules_.max_batch_size > starting_);
            ++starting_;
            if (take_at_once_) return take();
        }
    }

    Random& random_;
    const bool take_at_once_;
    const Scheduler::Rules rules_;
    Scheduler scheduler_;
    Model model_;
    Time now_{1000ns};
    std::size_t starting_ = 0;
    std::size_t wanted_ = 0;
    std::optional<Time> wake_at_;
    std::vector<Call*> intake_;
    std::map<int, std::unique_ptr<Call>> calls_;
    int last_id_ = 0;
};

void run(std::uint64_t seed, bool take_at_once) {
    Random random(seed);
    Scheduler::Rules rules{random.between(1, 5), std::nullopt, random.between(1, 3)};
    if (!random.one_in(4)) rules.batch_timeout = random.between(0, 10) * 1ns;
    trace("max_batch_size {}, batch_timeout {}, slots {}", rules.max_batch_size,
          rules.batch_timeout ? rules.batch_timeout->count() : -1, rules.slots);
    Driver driver(rules, random, take_at_once);
    for (std::size_t steps = random.between(1, 150); steps > 0; --steps) {
        driver.step();
        driver.check();
    }
    driver.finish();
}

}  // namespace

TEST_CASE("the scheduler follows the contract when batches are formed as soon as they are started",
          "[scheduler][model]") {
    for_random_schedules(3000, [](std::uint64_t seed) { run(seed, true); });
}

TEST_CASE("the scheduler follows the contract when batches are formed long after they were started",
          "[scheduler][model]") {
    for_random_schedules(3000, [](std::uint64_t seed) { run(seed, false); });
}

TEST_CASE("a scheduler that was closed stays closed when it is flushed", "[scheduler]") {
    Scheduler scheduler({2, std::nullopt, 1});
    scheduler.close();
    scheduler.flush();
    Call call;
    scheduler.submit(&call);
    CHECK(scheduler.decide(Time(0ns)).start);
    scheduler.remove(call);
}
