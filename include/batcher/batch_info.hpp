// BatchInfo: what a batch function may know of its batch besides the items.
//
//     std::vector<Vector> embed(std::vector<Text> texts, const batching::BatchInfo& batch) {
//         for (const Text& text : texts) {
//             if (batch.stop_requested()) break;   // nobody waits for any of them any more
//             ...
//
// It is an optional second parameter of every form of batch function (batch_function.hpp), also of one that stands in
// replicas(), isolate_failures() or pad_to(). A Batcher whose function has none does not collect any of this.
//
// It is a view, valid until the function returns, an asynchronous one until its coroutine does. Until then all members
// may be called on any thread, and none of them throws, blocks or takes longer than O(1).
#pragma once

#include <atomic>
#include <batcher/dispatch_reason.hpp>
#include <batcher/priority.hpp>
#include <batcher/trace_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace batching {

namespace detail {
struct BatchInfoAccess;
}

// What is known of one call of a batch.
struct CallInfo {
    std::chrono::nanoseconds waited{};     // from the call until its batch was formed
    Priority priority = Priority::normal;  // what the caller asked for
};

// What a batch function may know of its batch besides the items, if it has a second parameter `const BatchInfo&`.
class BatchInfo {
public:
    // Of no batch: everything is 0 or empty. For who calls a batch function himself, such as a test of it.
    BatchInfo() = default;

    // Which batch of its Batcher it is: they are counted from 1, as they are formed.
    std::uint64_t number() const noexcept { return number_; }

    // Why it has left.
    DispatchReason reason() const noexcept { return reason_; }

    // Where it runs: less than max_concurrent_batches, and no two batches have the same at the same time. The number of
    // the replica, with replicas().
    std::size_t slot() const noexcept { return slot_; }

    // The sum of the weights of its calls when it was formed.
    std::size_t weight() const noexcept { return weight_; }

    // When the first of its callers stops waiting; none: all of them have time. What is done later is in vain for that
    // caller only.
    std::optional<std::chrono::steady_clock::time_point> deadline() const noexcept {
        return deadline_;
    }

    // What is known of each call, in the order of the items. (With pad_to() outside of the function the last items are
    // copies, which nobody has called for: they have no entry here.)
    std::span<const CallInfo> calls() const noexcept { return calls_; }

    // The span of this batch, with trace() (trace.hpp): what asynchronous work is to have as its parent. Not valid: it has
    // none.
    TraceContext trace_context() const noexcept {
        return trace_context_ == nullptr ? TraceContext() : *trace_context_;
    }

    // True as soon as nobody waits for this batch any more: all its callers were cancelled or destroyed, or have run
    // out of time. What the function returns or throws then reaches nobody, so it may stop early, in any way.
    bool stop_requested() const noexcept {
        return stop_requested_ != nullptr && stop_requested_->load(std::memory_order_relaxed);
    }

private:
    friend struct detail::BatchInfoAccess;

    std::uint64_t number_ = 0;
    DispatchReason reason_ = DispatchReason::full;
    std::size_t slot_ = 0;
    std::size_t weight_ = 0;
    std::optional<std::chrono::steady_clock::time_point> deadline_;
    std::span<const CallInfo> calls_;
    const std::atomic<bool>* stop_requested_ = nullptr;
    const TraceContext* trace_context_ = nullptr;
};

}  // namespace batching
