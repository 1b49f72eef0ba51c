// Queue: the calls that wait, and the order in which they are served. In order of arrival.
//
// Other orders (priorities, weights, keys) are other queues with these operations.
#pragma once

#include <algorithm>
#include <batcher/detail/core/call.hpp>
#include <cstddef>

namespace batching::detail {

class Queue {
public:
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    // Behind those that came before: a chain that leads by `next` from the newest to the oldest. Returns
    // how many those were. O(n).
    std::size_t push(Link* newest) noexcept {
        if (newest == nullptr) return 0;
        const std::size_t count = calls_.append_reversed(newest);
        size_ += count;
        return count;
    }

    // It leaves; those behind it move up. O(1).
    void erase(Call& call) noexcept {
        if (&call == last_flushed_) last_flushed_ = calls_.before(call);
        CallList::unlink(call);
        --size_;
    }

    // Moves the next calls, at most `limit`, to the end of `to`, and calls `visit` with each. Precondition:
    // there are some, and `limit` is not 0. O(n).
    template <class Visit>
    void take(std::size_t limit, CallList& to, Visit visit) {
        std::size_t left = std::min(limit, size_);
        size_ -= left;
        Call* const last_flushed = last_flushed_;
        Call& first = calls_.front();
        Call* call = &first;
        for (;;) {
            visit(*call);
            if (call == last_flushed) last_flushed_ = nullptr;
            if (--left == 0) break;
            call = &CallList::next(*call);
        }
        to.splice(first, *call);
    }

    // All of them leave. O(1).
    void take_all(CallList& to) noexcept {
        to.splice(calls_);
        size_ = 0;
        last_flushed_ = nullptr;
    }

    // Calls `visit` with each call; it may erase that call.
    template <class Visit>
    void for_each(Visit visit) {
        calls_.for_each(visit);
    }

    // Those that wait now may leave in a batch that is not full.
    void flush() noexcept {
        if (!empty()) last_flushed_ = &calls_.back();
    }
    // Whether the next call may.
    bool flushed() const noexcept { return last_flushed_ != nullptr; }

    // The one that is served next, which has waited longest. Precondition: there is one.
    Call& front() const noexcept { return calls_.front(); }

private:
    CallList calls_;
    std::size_t size_ = 0;
    Call* last_flushed_ = nullptr;  // it and those before it may leave in a batch that is not full
};

}  // namespace batching::detail
