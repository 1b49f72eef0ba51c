// Outbox: what a Machine has decided and whoever drives it has not carried out yet.
#pragma once

#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/core/pool.hpp>
#include <exception>
#include <utility>

namespace batching::detail {

struct Actions {
    BatchQueue start;       // to be formed on the executor, in this order
    BatchQueue completed;   // their calls are to be handed back
    Batch* stop = nullptr;  // nobody waits for them any more; linked by next_to_stop
};

class Outbox {
public:
    explicit Outbox(Pool& pool) noexcept : pool_(pool) {}

    Actions take() noexcept { return std::exchange(actions_, Actions()); }

    // The batch has a slot.
    void start(Batch& batch) noexcept { actions_.start.push(batch); }

    void request_stop(Batch& batch) noexcept {
        if (batch.stop_requested.exchange(true, std::memory_order_relaxed)) return;
        batch.users.fetch_add(1, std::memory_order_relaxed);
        batch.next_to_stop = std::exchange(actions_.stop, &batch);
    }

    // A batch without a run, for calls that fail with `error`, or end without.
    Batch& completed_batch(const std::exception_ptr& error) noexcept {
        Batch* const last = actions_.completed.last();
        if (last != nullptr && last->error == error) return *last;
        Batch& batch = pool_.take();
        batch.error = error;
        batch.mixed = true;
        batch.phase.store(BatchPhase::completed, std::memory_order_relaxed);
        actions_.completed.push(batch);
        return batch;
    }

    void complete(Call& call, const std::exception_ptr& error) noexcept {
        Batch& batch = completed_batch(error);
        join(call, batch);
        batch.calls.push_back(call);
    }

    static void join(Call& call, Batch& batch) noexcept {
        call.state(CallState::completed);
        call.batch = &batch;
        call.index = 0;
    }

private:
    Pool& pool_;
    Actions actions_;
};

}  // namespace batching::detail
