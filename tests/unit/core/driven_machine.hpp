// A Machine that a test drives by hand: events go in, and what it answers is kept until the test asks. No
// thread, no timer, no Asio; what the time is, the test says.
#pragma once

#include <batcher/detail/core/machine.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "../catch.hpp"

#if defined(BATCHER_WITHOUT_ASIO) && (defined(ASIO_VERSION) || defined(BOOST_ASIO_VERSION))
#error "the core has included Asio"
#endif

namespace core_test {

using namespace std::chrono_literals;
using batching::DispatchReason;
using batching::detail::Accept;
using batching::detail::Admission;
using batching::detail::Batch;
using batching::detail::BatchPhase;
using batching::detail::Call;
using batching::detail::CallList;
using batching::detail::CallState;
using batching::detail::CompletionExecutor;
using batching::detail::Link;
using batching::detail::Machine;
using batching::detail::Outlook;
using batching::detail::Rules;
using batching::detail::Time;

struct TestCall final : Call {
    TestCall() = default;
    explicit TestCall(int i) : id(i) {}

    void resume() { ++resumed; }
    void abandon() noexcept { ++abandoned; }

    int id = 0;
    int resumed = 0;
    int abandoned = 0;
};
inline constexpr auto& test_ops = batching::detail::call_ops<TestCall, false>;

inline batching::Stats stats_of(const Machine& machine) {
    batching::Stats stats;
    machine.stats(stats);
    return stats;
}

inline int id_of(const Call& call) { return static_cast<const TestCall&>(call).id; }

using Ids = std::vector<int>;
inline Ids ids_of(CallList& calls) {
    Ids ids;
    calls.for_each([&](Call& call) { ids.push_back(id_of(call)); });
    return ids;
}

// The core knows completion executors by their addresses only.
inline CompletionExecutor* executor(std::size_t i) {
    static char objects[4];
    return reinterpret_cast<CompletionExecutor*>(&objects[i]);
}

inline std::exception_ptr an_error() {
    return std::make_exception_ptr(std::runtime_error("an error"));
}

// Makes batches, and remembers them all.
struct PlainBatches final : batching::detail::BatchFactory {
    std::unique_ptr<Batch> make_batch() noexcept override {
        auto batch = std::make_unique<Batch>();
        batch->groups.emplace_back();
        made.push_back(batch.get());
        return batch;
    }
    std::vector<Batch*> made;
};

// A machine, the calls handed to it (numbered from 0), what it said last, and what the time is.
struct DrivenMachine {
    explicit DrivenMachine(const Rules& rules) : machine(rules, batches) {}

    // A call whose owner has handed it in, but of which the machine has not heard.
    TestCall& make(CompletionExecutor* resumes_on = nullptr) {
        TestCall& call = calls.emplace_back(static_cast<int>(calls.size()));
        call.ops = &test_ops;
        call.resumes_on = resumes_on;
        call.queued_at = now;
        call.state(CallState::queued);
        return call;
    }
    TestCall& submit(CompletionExecutor* resumes_on = nullptr) {
        TestCall& call = make(resumes_on);
        call.next = nullptr;
        machine.arrived(&call);
        return call;
    }
    void submit(int n) {
        while (n-- > 0) submit();
    }

    bool results_sent = true;

    // Lets it decide, and takes its actions.
    Outlook decide() {
        const Outlook outlook = machine.decide(now, results_sent);
        take_actions();
        return outlook;
    }
    void take_actions() {
        batching::detail::Actions actions = machine.take_actions();
        while (Batch* batch = actions.start.pop()) started.push_back(batch);
        while (Batch* batch = actions.completed.pop()) {
            group(*batch);
            completed.push_back(batch);
        }
        for (Batch* batch = actions.stop; batch != nullptr; batch = batch->next_to_stop) {
            stopped.push_back(batch);
        }
    }
    bool starts() {
        const std::size_t before = started.size();
        decide();
        return started.size() != before;
    }

    // The batch that was started first, formed now; null if none leaves.
    Batch* form() {
        Batch* const batch = started.front();
        started.pop_front();
        if (!machine.ready(*batch, now)) {
            machine.recycled(*batch);
            return nullptr;
        }
        batch->phase = BatchPhase::running;
        return batch;
    }
    // A batch that leaves now, and is running when this returns.
    Batch& run() {
        decide();
        REQUIRE_FALSE(started.empty());
        Batch* const batch = form();
        REQUIRE(batch != nullptr);
        return *batch;
    }
    // The ids of the batch that leaves now; none if none does.
    Ids batch() {
        decide();
        if (started.empty()) return {};
        return take();
    }
    Ids take() {
        last = form();
        return last == nullptr ? Ids{} : ids_of(last->calls);
    }

    // As the engine, which sends calls back by their executors: here, all in one group.
    static void group(Batch& batch) { on_their_way(batch).splice(batch.calls); }
    static CallList& on_their_way(Batch& batch) { return batch.groups.front().calls; }

    // The batch has run, and its calls are handed back.
    void finish(Batch& batch, std::size_t failed = 0) {
        machine.returned(batch);
        machine.completed(batch, failed, now);
        hand_back(batch);
    }
    void finish() { finish(*last); }
    void hand_back(Batch& batch) {
        group(batch);
        while (Call* const call = on_their_way(batch).pop_front()) call->hand_back();
        batch.error = nullptr;  // as the engine does, without its lock
        machine.recycled(batch);
    }

    void not_loaded(Call& call, const std::exception_ptr& error) {
        machine.not_loaded(*call.batch,
                           std::vector{std::pair<Call*, std::exception_ptr>(&call, error)});
    }

    batching::Stats stats() const { return stats_of(machine); }

    PlainBatches batches;
    std::deque<TestCall> calls;
    Machine machine;
    std::deque<Batch*> started;
    std::vector<Batch*> completed;
    std::vector<Batch*> stopped;
    Batch* last = nullptr;
    Time now{1h};
};

}  // namespace core_test
