// Batch: calls that share one call of the batch function, or one error, on their way back to their callers.
//
// Batches are pooled: the Machine makes them, uses them again, and frees none before it goes. So a call's
// batch never dangles.
#pragma once

#include <atomic>
#include <batcher/detail/core/batch_trace.hpp>
#include <batcher/detail/core/call.hpp>
#include <batcher/detail/core/rules.hpp>
#include <batcher/dispatch_reason.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>

namespace batching::detail {

class Engine;

// NOLINTNEXTLINE(performance-enum-size): as large as what threads can wait for
enum class BatchPhase : std::uint32_t {
    idle,      // in the pool
    starting,  // it has a slot, and will be formed when the executor gets to it
    loading,  // it is formed, and its items are being moved out of its calls: none of them may leave
    running,   // the batch function is called
    completed  // its calls are on their way to their executors
};

// Calls of one batch whose callers resume on the same executor. They are posted there together.
struct Group {
    CompletionExecutor* executor = nullptr;    // null: the Batcher's own
    std::shared_ptr<CompletionExecutor> kept;  // the same, until the group is used for another
    CallList calls;
    bool pending = false;  // not all of them have been handed back
};

struct Batch {
    Batch() = default;
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    virtual ~Batch() = default;

    std::atomic<BatchPhase> phase{BatchPhase::idle};
    CallList calls;            // in the order of service, until they are grouped
    CallList sharers;          // until it has run: calls that share the place of one of those
    std::size_t size = 0;      // calls still in it, in both lists
    std::exception_ptr error;  // what they all fail with, if they do

    std::size_t slot = 0;
    std::uint64_t number = 0;
    DispatchReason reason = DispatchReason::full;
    bool mixed = false;  // not all of its calls have the same completion executor
    std::atomic<bool> stop_requested{false};  // nobody waits for it any more
    Time started{};
    Time oldest{};          // when the one of its calls that waited longest was queued
    std::size_t items = 0;  // when it was formed
    std::size_t weight = 0;
    Time deadline = (Time::max)();      // the earliest of its calls
    Line* line = nullptr;               // of the key that its calls have
    bool has_terms = false;             // some of its calls have
    bool ends_terms = false;            // some have a deadline, or refer to what others share
    bool late = false;                  // deadlines of its calls have passed while it was loading
    bool shared = false;                // some of its items may be more than one caller's
    std::unique_ptr<BatchTrace> trace;  // if it is traced

    // Of the engine:
    std::list<Group> groups;                // used again
    std::list<Group>::iterator last_group;  // of those
    std::size_t group_count = 0;            // the first so many are of its completed calls
    std::atomic<std::size_t> users{0};      // tasks and groups that still need it
    std::shared_ptr<Engine> engine;         // kept alive for them
    bool awaits_executor = false;           // starting: its run is posted

    std::unique_ptr<Batch> older;   // of the same Machine
    Batch* next = nullptr;          // in a BatchQueue, or in the pool
    Batch* next_to_stop = nullptr;  // the same in a list of those whose stop is requested
};

// The call runs in this batch, and has this place in what the batch function is given.
inline void run_in(Batch& batch, Call& call, std::size_t index) noexcept {
    call.state(CallState::running);
    call.batch = &batch;
    call.index = static_cast<std::uint32_t>(index);
}

// The batch that is moving the item of a call at this moment, or null.
inline Batch* loading(const Call& call) noexcept {
    if (call.state() != CallState::running) return nullptr;
    const BatchPhase phase = call.batch->phase.load(std::memory_order_acquire);
    return phase == BatchPhase::loading ? call.batch : nullptr;
}

// Whether it waits or runs: neither its result nor an error is decided.
inline bool undecided(const Call& call) noexcept {
    const CallState now = call.state();
    if (now != CallState::running) return now == CallState::queued;
    return call.batch->phase.load(std::memory_order_relaxed) != BatchPhase::completed;
}

// Batches in a row, first in, first out.
class BatchQueue {
public:
    void push(Batch& batch) noexcept {
        batch.next = nullptr;
        (last_ == nullptr ? first_ : last_->next) = &batch;
        last_ = &batch;
    }
    Batch* pop() noexcept {
        Batch* const batch = first_;
        if (batch == nullptr) return nullptr;
        first_ = batch->next;
        if (first_ == nullptr) last_ = nullptr;
        return batch;
    }
    bool empty() const noexcept { return first_ == nullptr; }
    Batch* first() const noexcept { return first_; }
    Batch* last() const noexcept { return last_; }
    template <class Visit>
    void for_each(Visit visit) const {
        for (Batch* batch = first_; batch != nullptr; batch = batch->next) visit(*batch);
    }

private:
    Batch* first_ = nullptr;
    Batch* last_ = nullptr;
};

}  // namespace batching::detail
