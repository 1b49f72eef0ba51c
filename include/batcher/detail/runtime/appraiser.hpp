// Appraiser: what the rules of a Batcher say of its items, and whom they tell of its batches (rules.hpp), without their
// types.
#pragma once

#include <atomic>
#include <batcher/batch_report.hpp>
#include <batcher/detail/core/rules.hpp>
#include <batcher/detail/core/terms.hpp>
#include <batcher/options.hpp>
#include <batcher/trace.hpp>
#include <cstddef>
#include <memory>

namespace batching::detail {

// The heaviest item that a batch and the queue take. They may change while callers read them.
struct WeightLimits {
    std::atomic<std::size_t> of_batch;
    std::atomic<std::size_t> of_queue;
};

class Appraiser {
public:
    virtual ~Appraiser() = default;

    // Whether there is a rule for items, and one that is told of batches.
    virtual bool appraises() const noexcept = 0;
    virtual bool observes() const noexcept = 0;

    // Which rules there are.
    virtual void add_to(Rules& rules, const Options& options) const noexcept = 0;

    // Sets the weight and the group of a call. By the thread that submits it, without the engine's lock.
    // Throws what a rule throws, and errc::too_heavy; the call then refers to nothing.
    virtual void appraise(ItemCall& call, const WeightLimits& limits) = 0;

    // Tells who observes batches. Without the engine's lock.
    virtual void observe(const BatchReport& report) noexcept = 0;
    // That of trace(); null: there is none.
    virtual std::shared_ptr<Tracer> tracer() const noexcept = 0;
};

}  // namespace batching::detail
