// MachineServer: the state machine of the library, driven as the Engine drives it, without threads and without a clock.
#pragma once

#include <algorithm>
#include <batcher/detail/core/machine.hpp>
#include <batcher/error.hpp>
#include <cstddef>
#include <deque>
#include <exception>
#include <goodput/simulation.hpp>
#include <memory>
#include <vector>

namespace goodput {

using batching::detail::Batch;
using batching::detail::Call;
using batching::detail::Machine;
using batching::detail::Rules;

// How calls get a timeout.
enum class Timeouts {
    none,
    of_handle,    // one for all: what has expired fails, and nothing else follows from it
    of_each_call  // as with {.timeout = ...}: the machine plans for them
};

struct SimulatedCall final : batching::detail::ItemCall {
    void resume() {}
    void abandon() noexcept {}

    std::size_t weight_of_item = 1;  // whether or not the machine is told
    batching::detail::Deadline until;
};
inline constexpr auto& simulated_ops = batching::detail::call_ops<SimulatedCall, false>;

struct Batches final : batching::detail::BatchFactory {
    std::unique_ptr<Batch> make_batch() noexcept override { return std::make_unique<Batch>(); }
};

class MachineServer final : public Server {
public:
    MachineServer(const Rules& rules, Timeouts timeouts, Simulation& simulation)
        : simulation_(simulation),
          timeouts_(timeouts),
          objective_(simulation.scenario().profile.objective),
          machine_(rules, batches_),
          running_(rules.max_concurrent_batches) {}

    void arrived() override {
        SimulatedCall& call = take_call();
        call.weight = rules().weighs ? call.weight_of_item : 0;
        call.plain = timeouts_ != Timeouts::of_each_call;
        if (!call.plain) return arrived_with_deadline(call);
        machine_.arrived(&call);
        seen_or_not(rules().units.of(call.weight));
    }

    void completed(std::size_t slot) override {
        Batch& batch = *running_[slot];
        machine_.returned(batch);
        machine_.completed(batch, 0, simulation_.now());
        pump();
        while (Call* const call = batch.calls.pop_front()) {
            simulation_.served(call->queued_at);
            give_back(*call);
        }
        machine_.recycled(batch);
    }

    void wake() override { pump(); }

    batching::Stats stats() const {
        batching::Stats stats;
        machine_.stats(stats);
        return stats;
    }

private:
    const Rules& rules() const { return machine_.rules(); }

    // As Engine::push_with_deadline() and submit_with_terms(): one that is in no hurry is not looked at when it comes.
    void arrived_with_deadline(SimulatedCall& call) {
        call.priority = call.lane = batching::Priority::normal;
        call.in_place = false;
        call.group = nullptr;
        call.until.at = Rules::after(call.queued_at, objective_);
        call.until.call = &call;
        call.deadline = &call.until;
        if (call.until.at >= unhurried_) {
            machine_.arrived_with_terms(call);
            return seen_or_not(rules().units.of(call.weight));
        }
        if (const auto error = machine_.admit(call, 1, call.weight, simulation_.now())) {
            simulation_.refused(retry_after(error));
            give_back(call);
        } else {
            machine_.arrived_with_terms(call);
        }
        pump();
    }

    // Arrivals stay unseen until there are as many as the machine has asked for.
    void seen_or_not(std::size_t units) {
        unseen_ += units;
        if (unseen_ >= notify_after_) pump();
    }

    void pump() {
        const Time now = simulation_.now();
        unseen_ = 0;
        for (bool more = true; more;) {
            if (machine_.any_late(now)) machine_.expire(now, nullptr);
            const batching::detail::Outlook outlook = machine_.decide(now, true);
            simulation_.wake_at(outlook.wake_at.value_or(never));
            notify_after_ = outlook.notify_after == 0 ? Rules::no_limit : outlook.notify_after;
            unhurried_ = outlook.unhurried;
            more = carry_out(machine_.take_actions());
        }
    }

    // True: batches have been formed, or had no calls left, so the machine has to decide again.
    bool carry_out(batching::detail::Actions actions) {
        const bool more = !actions.start.empty();
        while (Batch* const batch = actions.start.pop()) form(*batch);
        while (Batch* const batch = actions.completed.pop()) {
            while (Call* const call = batch->calls.pop_front()) {
                simulation_.lost(call->queued_at);
                give_back(*call);
            }
            batch->error = nullptr;
            machine_.recycled(*batch);
        }
        return more;
    }

    void form(Batch& batch) {
        if (!machine_.ready(batch, simulation_.now())) {
            machine_.recycled(batch);
            return;
        }
        machine_.loaded(batch);
        batch.phase = batching::detail::BatchPhase::running;
        running_[batch.slot] = &batch;
        simulation_.start(batch.slot, size_of(batch));
    }
    // What it takes time for.
    std::size_t size_of(Batch& batch) const {
        if (!simulation_.scenario().weighed()) return batch.items;
        std::size_t weight = 0;
        batch.calls.for_each(
            [&](Call& call) { weight += static_cast<SimulatedCall&>(call).weight_of_item; });
        return weight;
    }

    static Time retry_after(const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const batching::Error& refused) {
            return refused.retry_after().value_or(Time(0));
        }
    }

    SimulatedCall& take_call() {
        if (free_.empty()) {
            calls_.emplace_back().ops = &simulated_ops;
            free_.push_back(&calls_.back());
        }
        SimulatedCall& call = *free_.back();
        free_.pop_back();
        call.state(batching::detail::CallState::created);
        call.queued_at = simulation_.now();
        call.weight_of_item = simulation_.weigh();
        call.next = nullptr;
        call.state(batching::detail::CallState::queued);
        return call;
    }
    void give_back(Call& call) { free_.push_back(static_cast<SimulatedCall*>(&call)); }

    Simulation& simulation_;
    const Timeouts timeouts_;
    const Time objective_;
    Batches batches_;
    std::deque<SimulatedCall> calls_;
    std::vector<SimulatedCall*> free_;
    Machine machine_;
    std::vector<Batch*> running_;  // in each slot
    std::size_t unseen_ = 0;
    std::size_t notify_after_ = 1;
    Time unhurried_ = never;
};

}  // namespace goodput
