// Simulation: calls come, batches run for as long as the scenario says, and time passes from one event to the next. What
// becomes of the calls a Server decides: the state machine of the library, or a policy that it is compared with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <goodput/callers.hpp>
#include <goodput/lateness.hpp>
#include <goodput/scenario.hpp>
#include <limits>
#include <random>
#include <utility>
#include <vector>

namespace goodput {

// Is told what happens, one event at a time, and tells the Simulation what it does.
class Server {
public:
    virtual ~Server() = default;
    virtual void arrived() = 0;
    virtual void completed(std::size_t slot) = 0;
    virtual void wake() = 0;  // the time has come that it asked for
};

// Which calls count: those that come within a time. The first are not among them, while a policy still learns.
struct Span {
    Time from{};
    Time until = never;  // no more calls come
    Time end = never;    // nothing happens any more; never: when all calls have ended
};

struct Outcome {
    std::size_t offered = 0;
    std::size_t in_time = 0;
    std::size_t missed = 0;        // late, expired, let go or refused
    std::size_t completed = 0;     // in time or not, whenever they came, from Span::from on
    std::vector<float> latencies;  // ms, if asked for

    double share_in_time() const {
        return offered == 0 ? 1 : static_cast<double>(in_time) / static_cast<double>(offered);
    }
};

class Simulation {
public:
    Simulation(const Scenario& scenario, double rate, std::uint64_t seed, const Span& span)
        : scenario_(scenario),
          span_(span),
          callers_(scenario, rate, 2 * seed),
          random_(2 * seed + 1),
          ends_(scenario.slots, never) {}

    void be_late(Lateness lateness) { lateness_ = std::move(lateness); }
    void keep_latencies() { keeps_latencies_ = true; }
    // It is enough to know that there are more than so many.
    void stop_after(std::size_t missed) { most_missed_ = missed; }

    Outcome run(Server& server) {
        while (outcome_.missed <= most_missed_ && step(server)) {
        }
        return outcome_;
    }

    // ---- what a Server tells ----------------------------------------------------------------------------

    Time now() const { return now_; }
    const Scenario& scenario() const { return scenario_; }
    // Of the item of the call that has come. To be asked once.
    std::size_t weigh() { return callers_.weigh(); }

    void start(std::size_t slot, std::size_t size) {
        ends_[slot] = now_ + run_time(size) + Lateness::of(lateness_.batches, started_++);
    }
    void wake_at(Time time) { wake_at_ = time; }

    void served(Time arrived) {
        const Time latency = now_ - due(arrived);
        if (now_ >= span_.from) ++outcome_.completed;
        if (counts(arrived)) {
            ++(latency <= scenario_.profile.objective ? outcome_.in_time : outcome_.missed);
            if (keeps_latencies_) {
                outcome_.latencies.push_back(static_cast<float>(nanoseconds(latency) / 1e6));
            }
        }
        callers_.ended(now_);
    }
    void lost(Time arrived) {
        miss(arrived);
        callers_.ended(now_);
    }
    void refused(Time retry_after) {
        miss(now_);
        callers_.refused(now_, retry_after);
    }

private:
    // What comes first: a batch has run, a call comes, the server wants to be woken up. False: nothing does.
    bool step(Server& server) {
        const auto batch = std::min_element(ends_.begin(), ends_.end());
        const Time due = callers_.next();
        const Time late = Lateness::of(lateness_.calls, came_.size());
        const Time call = due < span_.until ? due + late : never;
        const Time next = std::min({*batch, call, wake_at_});
        if (next == never || next > span_.end) return false;
        now_ = std::max(now_, next);
        if (*batch == next) {
            *batch = never;
            server.completed(static_cast<std::size_t>(batch - ends_.begin()));
        } else if (call == next) {
            callers_.take();
            if (!lateness_.calls.empty()) came_.push_back(now_);
            if (counts(now_)) ++outcome_.offered;
            server.arrived();
        } else {
            wake_at_ = never;
            server.wake();
        }
        return true;
    }

    Time run_time(std::size_t size) {
        Time mean = scenario_.profile.run_time(size);
        if (now_ >= scenario_.slower_from) mean += scenario_.profile.fixed;
        double factor = 1;
        if (const double noise = scenario_.noise; noise > 0) {
            factor = std::exp(noise * normal_(random_) - noise * noise / 2);  // 1 on the average
        }
        if (scenario_.stalls && stall_(random_)) factor *= 3;
        return of_nanoseconds(nanoseconds(mean) * factor);
    }

    Time due(Time arrived) const {
        if (came_.empty()) return arrived;
        const auto call = std::lower_bound(came_.begin(), came_.end(), arrived);
        const auto i = static_cast<std::size_t>(call - came_.begin());
        return arrived - Lateness::of(lateness_.calls, i);
    }
    bool counts(Time arrived) const { return arrived >= span_.from; }
    void miss(Time arrived) {
        if (counts(arrived)) ++outcome_.missed;
    }

    const Scenario scenario_;
    const Span span_;
    Callers callers_;
    std::mt19937_64 random_;
    std::normal_distribution<double> normal_;
    std::bernoulli_distribution stall_{0.01};
    Lateness lateness_;
    std::vector<Time> came_;   // all calls, if they are late
    std::size_t started_ = 0;  // batches so far
    bool keeps_latencies_ = false;
    std::size_t most_missed_ = std::numeric_limits<std::size_t>::max();

    Time now_{};
    std::vector<Time> ends_;  // of the batch in each slot; never: none runs
    Time wake_at_ = never;
    Outcome outcome_;
};

}  // namespace goodput
