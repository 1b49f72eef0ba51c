#include "simulation.hpp"

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <cmath>
#include <deque>
#include <memory>
#include <random>

namespace tune {
namespace {

using batching::detail::Batch;
using batching::detail::Machine;
using batching::detail::Rules;

constexpr Time never = Time::max();

struct Call final : batching::detail::ItemCall {
    void resume() {}
    void abandon() noexcept {}

    const Arrival* arrival = nullptr;
    batching::detail::Deadline until;
};
constexpr auto& call_ops = batching::detail::call_ops<Call, false>;

struct Batches final : batching::detail::BatchFactory {
    std::unique_ptr<Batch> make_batch() noexcept override { return std::make_unique<Batch>(); }
};

Rules rules_of(const batching::Options& options) {
    const bool aims = options.latency_target != batching::no_timeout;
    Rules rules{.max_batch_size = options.max_batch_size,
                .batch_timeout = aims ? Time(0) : Time(options.batch_timeout),
                .max_concurrent_batches = options.max_concurrent_batches};
    rules.latency_target = options.latency_target;
    return rules;
}

class Simulation {
public:
    Simulation(const std::vector<Arrival>& trace, const Cost& cost,
               const batching::Options& options, Time target)
        : trace_(trace),
          cost_(cost),
          target_(target),
          machine_(rules_of(options), batches_),
          running_(options.max_concurrent_batches) {
        latencies_.reserve(trace.size());
    }

    Outcome run() {
        while (step()) {
        }
        return outcome();
    }

private:
    struct Running {
        Batch* batch = nullptr;
        Time until = never;
    };

    // What comes first: a batch has run, a call comes, or the machine wants to be asked. False: nothing does.
    bool step() {
        const auto first =
            std::min_element(running_.begin(), running_.end(),
                             [](const Running& a, const Running& b) { return a.until < b.until; });
        const Time arrival = next_ == trace_.size() ? never : trace_[next_].at;
        const Time next = std::min({first->until, arrival, wake_at_});
        if (next == never) return false;
        now_ = std::max(now_, next);
        if (first->until == next) {
            complete(*first);
        } else if (arrival == next) {
            arrive(trace_[next_++]);
        } else {
            decide();
        }
        return true;
    }

    // As the engine of a Batcher hands it in.
    void arrive(const Arrival& arrival) {
        Call& call = take_call();
        call.arrival = &arrival;
        call.queued_at = now_;
        call.plain = arrival.timeout == never;
        call.state(batching::detail::CallState::queued);
        if (call.plain) {
            machine_.arrived(&call);
            if (++unseen_ >= notify_after_) decide();
            return;
        }
        call.priority = batching::Priority::normal;
        call.weight = 0;
        call.in_place = false;
        call.group = nullptr;
        call.until.at = Rules::after(now_, arrival.timeout);
        call.until.call = &call;
        call.deadline = &call.until;
        if (call.until.at < unhurried_ && machine_.admit(call, 1, 0, now_)) {
            give_back(call);
        } else {
            machine_.arrived_with_terms(call);
        }
        decide();
    }

    void decide() {
        unseen_ = 0;
        for (bool more = true; more;) {
            if (machine_.any_late(now_)) machine_.expire(now_, nullptr);
            const batching::detail::Outlook outlook = machine_.decide(now_, true);
            wake_at_ = outlook.wake_at.value_or(never);
            notify_after_ = outlook.notify_after == 0 ? Rules::no_limit : outlook.notify_after;
            unhurried_ = outlook.unhurried;
            batching::detail::Actions actions = machine_.take_actions();
            more = !actions.start.empty();
            while (Batch* const batch = actions.start.pop()) form(*batch);
            while (Batch* const batch = actions.completed.pop()) end(*batch);
        }
    }

    void form(Batch& batch) {
        if (!machine_.ready(batch, now_)) return machine_.recycled(batch);
        machine_.loaded(batch);
        batch.phase = batching::detail::BatchPhase::running;
        double weight = 0;
        batch.calls.for_each([&](batching::detail::Call& call) {
            weight += static_cast<double>(static_cast<Call&>(call).arrival->weight);
        });
        const Time time = run_time(weight);
        busy_ += time;
        items_ += batch.items;
        ++formed_;
        running_[batch.slot] = {&batch, now_ + time};
    }

    void complete(Running& running) {
        Batch& batch = *running.batch;
        running = {};
        machine_.returned(batch);
        machine_.completed(batch, 0, now_);
        batch.calls.for_each([&](batching::detail::Call& call) {
            const Arrival& arrival = *static_cast<Call&>(call).arrival;
            const Time latency = now_ - arrival.at;
            latencies_.push_back(latency);
            if (latency <= std::min(arrival.timeout, target_)) ++in_time_;
        });
        decide();
        end(batch);
    }

    // Its calls have their results, or have expired.
    void end(Batch& batch) {
        while (auto* const call = batch.calls.pop_front()) give_back(static_cast<Call&>(*call));
        batch.error = nullptr;
        machine_.recycled(batch);
    }

    Time run_time(double weight) {
        const double mean = static_cast<double>(cost_.fixed.count()) +
                            static_cast<double>(cost_.per_item.count()) * weight;
        const double d = cost_.deviation;
        const double factor = d > 0 ? std::exp(d * normal_(random_) - d * d / 2) : 1;
        return Time(static_cast<Time::rep>(mean * factor));
    }

    Call& take_call() {
        if (free_.empty()) {
            calls_.emplace_back().ops = &call_ops;
            return calls_.back();
        }
        Call& call = *free_.back();
        free_.pop_back();
        call.state(batching::detail::CallState::created);
        call.next = nullptr;
        return call;
    }
    void give_back(Call& call) {
        call.next = nullptr;
        free_.push_back(&call);
    }

    Time percentile(double part) {
        if (latencies_.empty()) return {};
        const auto place =
            latencies_.begin() +
            static_cast<std::ptrdiff_t>(part * static_cast<double>(latencies_.size() - 1));
        std::nth_element(latencies_.begin(), place, latencies_.end());
        return *place;
    }
    Outcome outcome() {
        const auto all = static_cast<double>(trace_.size());
        const double passed =
            std::max(static_cast<double>(now_.count()), 1.0) * static_cast<double>(running_.size());
        return {.in_time = static_cast<double>(in_time_) / all,
                .p50 = percentile(0.5),
                .p99 = percentile(0.99),
                .busy = static_cast<double>(busy_.count()) / passed,
                .mean_batch = static_cast<double>(items_) /
                              static_cast<double>(std::max<std::size_t>(formed_, 1))};
    }

    const std::vector<Arrival>& trace_;
    const Cost cost_;
    const Time target_;
    Batches batches_;
    std::deque<Call> calls_;
    std::vector<Call*> free_;
    Machine machine_;
    std::vector<Running> running_;  // in each slot
    std::mt19937_64 random_{1};     // the same for all settings
    std::normal_distribution<double> normal_;

    Time now_{};
    std::size_t next_ = 0;  // in the trace
    Time wake_at_ = never;
    std::size_t notify_after_ = 1;
    Time unhurried_ = never;
    std::size_t unseen_ = 0;

    std::vector<Time> latencies_;
    std::size_t in_time_ = 0;
    Time busy_{};
    std::size_t items_ = 0;
    std::size_t formed_ = 0;
};

}  // namespace

Outcome simulate(const std::vector<Arrival>& trace, const Cost& cost,
                 const batching::Options& options, Time target) {
    return Simulation(trace, cost, options, target).run();
}

}  // namespace tune
