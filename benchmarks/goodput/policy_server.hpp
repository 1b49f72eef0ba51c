// PolicyServer: one queue in front of the slots, and a Policy that says what leaves it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <goodput/simulation.hpp>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

namespace goodput {

// What a policy may look at. Calls stand in the order of their arrival.
struct View {
    Time now;
    const std::deque<Time>& waiting;  // when each came; not empty
    Time objective;

    std::size_t size() const { return waiting.size(); }
    Time due(std::size_t i) const { return waiting[i] + objective; }
};

struct Plan {
    std::size_t drop = 0;       // so many of the oldest, and then
    std::size_t start = 0;      // a batch of so many, of the oldest
    bool newest_first = false;  // or of the newest; or
    Time look_again = never;    // nothing until then, or until something happens
};

class Policy {
public:
    virtual ~Policy() = default;
    // A slot is free, and calls wait. `may_drop`: they have timeouts.
    virtual Plan plan(const View& view, bool may_drop) = 0;
    virtual void completed(Time /*now*/, std::size_t /*size*/, Time /*run_time*/) {}
};

class PolicyServer final : public Server {
public:
    PolicyServer(std::unique_ptr<Policy> policy, Simulation& simulation)
        : simulation_(simulation),
          policy_(std::move(policy)),
          timeouts_(simulation.scenario().timeouts),
          objective_(simulation.scenario().profile.objective),
          running_(simulation.scenario().slots),
          free_(simulation.scenario().slots) {
        std::iota(free_.begin(), free_.end(), 0);
    }

    void arrived() override {
        waiting_.push_back(simulation_.now());
        start_batches();
    }

    void completed(std::size_t slot) override {
        Running& batch = running_[slot];
        free_.push_back(slot);
        for (const Time arrived : batch.calls) simulation_.served(arrived);
        policy_->completed(simulation_.now(), batch.calls.size(),
                           simulation_.now() - batch.started);
        start_batches();
    }

    void wake() override { start_batches(); }

private:
    struct Running {
        Time started{};
        std::vector<Time> calls;
    };

    void start_batches() {
        simulation_.wake_at(never);
        while (!free_.empty()) {
            expire();
            if (waiting_.empty()) return;
            const Plan plan = policy_->plan({simulation_.now(), waiting_, objective_}, timeouts_);
            drop(plan.drop);
            if (plan.start != 0 && !waiting_.empty()) {
                start(plan);
            } else if (plan.drop == 0) {
                simulation_.wake_at(plan.look_again);
                return;
            }
        }
    }

    // A timeout ends a call whatever the policy.
    void expire() {
        if (!timeouts_) return;
        while (!waiting_.empty() && waiting_.front() + objective_ <= simulation_.now()) drop(1);
    }
    void drop(std::size_t calls) {
        for (; calls != 0; --calls) {
            simulation_.lost(waiting_.front());
            waiting_.pop_front();
        }
    }

    void start(const Plan& plan) {
        const std::size_t slot = free_.back();
        free_.pop_back();
        const std::size_t size = std::min({plan.start, max_batch_size, waiting_.size()});
        const auto first =
            plan.newest_first ? waiting_.end() - static_cast<long>(size) : waiting_.begin();
        const auto last = first + static_cast<long>(size);
        running_[slot].calls.assign(first, last);
        running_[slot].started = simulation_.now();
        waiting_.erase(first, last);
        simulation_.start(slot, size);
    }

    Simulation& simulation_;
    const std::unique_ptr<Policy> policy_;
    const bool timeouts_;
    const Time objective_;
    std::deque<Time> waiting_;
    std::vector<Running> running_;  // in each slot
    std::vector<std::size_t> free_;
};

}  // namespace goodput
