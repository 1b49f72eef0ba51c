// Pool: the batches of a Machine.
#pragma once

#include <batcher/detail/core/batch.hpp>
#include <memory>
#include <utility>

namespace batching::detail {

// Makes batches; waits for memory if there is none.
class BatchFactory {
public:
    virtual std::unique_ptr<Batch> make_batch() noexcept = 0;

protected:
    ~BatchFactory() = default;
};

class Pool {
public:
    explicit Pool(BatchFactory& factory) noexcept : factory_(factory) {}
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    ~Pool() {
        while (all_ != nullptr) all_ = std::move(all_->older);
    }

    // An idle batch.
    Batch& take() noexcept {
        if (idle_ != nullptr) return *std::exchange(idle_, idle_->next);
        std::unique_ptr<Batch> batch = factory_.make_batch();
        batch->older = std::move(all_);
        all_ = std::move(batch);
        return *all_;
    }

    // Nobody needs the batch any more. Its error is null again.
    void give_back(Batch& batch) noexcept {
        batch.phase.store(BatchPhase::idle, std::memory_order_relaxed);
        batch.stop_requested.store(false, std::memory_order_relaxed);
        batch.size = batch.items = batch.weight = 0;
        batch.deadline = (Time::max)();
        batch.line = nullptr;
        batch.has_terms = batch.ends_terms = batch.late = batch.shared = false;
        batch.mixed = false;
        batch.group_count = 0;
        batch.next = std::exchange(idle_, &batch);
    }

    // Calls `visit` with each batch, idle ones included.
    template <class Visit>
    void for_each(Visit visit) {
        for (Batch* batch = all_.get(); batch != nullptr; batch = batch->older.get()) visit(*batch);
    }

private:
    BatchFactory& factory_;
    std::unique_ptr<Batch> all_;  // linked by `older`
    Batch* idle_ = nullptr;       // linked by `next`
};

}  // namespace batching::detail
