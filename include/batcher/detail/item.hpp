// Item: one waiting or running call, embedded in whatever the caller waits with.
#pragma once

#include <batcher/detail/delivery.hpp>
#include <batcher/detail/outcome.hpp>
#include <batcher/detail/waiter.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace batching::detail {

template <class In, class Out, class Clock>
struct Item;

// One of the batches that may run at the same time.
template <class In, class Out, class Clock>
struct Slot {
    explicit Slot(std::size_t i) : index(i) {}

    std::size_t index;                       // also of the replica that runs it
    WaiterList<Item<In, Out, Clock>> items;  // whose callers still wait
    std::vector<In> inputs;                  // what the batch function is called with
    std::size_t size = 0;                    // when it was formed
    std::uint64_t batch = 0;                 // its number among the batches of this slot
    bool loading = false;  // their values are being moved into `inputs`, without a lock
    typename Clock::time_point started{};
    Slot* next = nullptr;  // of those about to start
};

template <class In, class Out, class Clock>
struct Item : Waiter {
    explicit Item(In in) : input(std::move(in)) {}

    In input;
    union {
        std::uint64_t ticket = 0;  // while waiting: its place in arrival order
        std::size_t index;         // then: its place in its batch
    };
    union {
        typename Clock::time_point queued_at{};  // while waiting
        Slot<In, Out, Clock>* slot;              // while running
    };

    // Once settled.
    Outcome<Out>& outcome() const noexcept {
        return static_cast<BatchDelivery<Out>*>(this->carrier)->outcome;
    }

protected:
    ~Item() = default;
};

}  // namespace batching::detail
