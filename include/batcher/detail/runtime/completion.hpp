// Completion: how the calls of a batch get back to where their callers resume: grouped by executor, one
// post for each group.
#pragma once

#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/runtime/completion_executor.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <cstddef>

namespace batching::detail {

// What is posted for a batch: to hand a group of it back, or to run it. Destroyed uncalled, it does
// nothing: the engine is told when an execution context goes.
struct Task {
    Batch* batch;
    Group* group;  // null: run the batch
    void operator()() const;
};

// Moves calls of a batch, whose end is decided, into groups. Under the lock.
class Grouping {
public:
    static void group(Batch& batch) noexcept {
        if (batch.calls.empty()) return;
        if (!batch.mixed) {
            return new_group(batch, batch.calls.front().resumes_on).calls.splice(batch.calls);
        }
        while (!batch.calls.empty()) {  // neighbours that go to the same executor move together
            Call& first = batch.calls.front();
            Call* last = &first;
            for (Call* next = last; next != nullptr && next->resumes_on == first.resumes_on;) {
                last = next;
                next = batch.calls.after(*next);
            }
            group_of(batch, first.resumes_on).calls.splice(first, *last);
        }
    }

    // Of those whose callers resume on the Batcher's own executor; null: there are none.
    static Group* of_own_executor(Batch& batch) noexcept {
        auto group = batch.groups.begin();
        for (std::size_t i = 0; i < batch.group_count; ++i, ++group) {
            if (group->executor == nullptr) return &*group;
        }
        return nullptr;
    }

private:
    // After 16 comparisons it is cheaper to post once more.
    static Group& group_of(Batch& batch, CompletionExecutor* executor) noexcept {
        auto group = batch.groups.begin();
        for (std::size_t i = 0; i < batch.group_count && i < 16; ++i, ++group) {
            if (same_executor(group->executor, executor)) return *group;
        }
        return new_group(batch, executor);
    }

    static Group& new_group(Batch& batch, CompletionExecutor* executor) noexcept {
        auto group = batch.group_count == 0 ? batch.groups.begin() : std::next(batch.last_group);
        if (group == batch.groups.end()) {
            group = with_patience([&] { return batch.groups.emplace(group); });
        }
        batch.last_group = group;
        ++batch.group_count;
        group->pending = true;
        if (group->executor == executor) return *group;  // as in its last use
        group->executor = executor;
        const bool is_own = executor == nullptr || executor == &CompletionExecutor::anywhere();
        group->kept = is_own ? nullptr : executor->shared_from_this();
        return *group;
    }
};

}  // namespace batching::detail
