// Item: one waiting or running call, embedded in whatever the caller waits with.
#pragma once

#include <batcher/detail/delivery.hpp>
#include <batcher/detail/outcome.hpp>
#include <batcher/detail/scheduler.hpp>
#include <batcher/detail/waiter.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace batching::detail {

template <class In, class Out, class Clock>
struct Item;

// One of the batches that may run at the same time.
template <class In, class Out, class Clock>
struct Slot {
    explicit Slot(std::size_t i) : index(i) {}

    std::size_t index;                          // also of the replica that runs it
    std::vector<In> inputs;                     // what the batch function is called with
    std::shared_ptr<BatchDelivery<Out>> batch;  // from when it is formed until it is settled
    WaiterList<Item<In, Out, Clock>> items;     // in their order, until their values are loaded
    std::size_t size = 0;                       // when it was formed
    Left why = Left::none;                      // it left
    bool mixed = false;                         // its callers resume in different places
    bool flushed = false;                       // it includes the last item that was flushed
    // When its items were queued, and how many at each time.
    std::vector<std::pair<typename Clock::time_point, std::size_t>> queued_at;
    typename Clock::time_point started{};
    Slot* next = nullptr;  // of those about to start
};

template <class In, class Out, class Clock>
struct Item : Waiter {
    explicit Item(In in) : input(std::move(in)) {}

    In input;
    std::uint32_t index = 0;  // in the outcome of its batch
    typename Clock::time_point queued_at{};

    // While it is carried.
    BatchDelivery<Out>& batch() const noexcept {
        return *static_cast<BatchDelivery<Out>*>(this->carrier);
    }
    // Its result, once.
    Out take() { return batch().outcome.take(index); }

protected:
    ~Item() = default;
};

}  // namespace batching::detail
