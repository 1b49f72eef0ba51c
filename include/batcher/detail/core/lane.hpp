// Lane: calls that wait and are served in the order of their arrival.
#pragma once

#include <batcher/detail/core/call.hpp>
#include <cstddef>

namespace batching::detail {

class Lane {
public:
    bool empty() const noexcept { return calls_.empty(); }

    // Behind those that came before: a chain that leads by `next` from the newest to the oldest. Returns
    // how many those were. O(n).
    std::size_t push(Link* newest) noexcept {
        return newest == nullptr ? 0 : calls_.append_reversed(newest);
    }

    // Behind those that were queued before it: at the end, as a rule. O(1 + those queued after it).
    void insert(Call& call) noexcept {
        Call* behind = empty() ? nullptr : &calls_.back();
        while (behind != nullptr && behind->queued_at > call.queued_at)
            behind = calls_.before(*behind);
        calls_.insert_after(behind, call);
    }

    // `call` waits in the place of another, which leaves. O(1).
    void replace(Call& old, Call& call) noexcept {
        calls_.insert_after(&old, call);
        if (&old == last_flushed_) last_flushed_ = &call;
        CallList::unlink(old);
    }

    // It leaves; those behind it move up. O(1).
    void erase(Call& call) noexcept {
        if (&call == last_flushed_) last_flushed_ = calls_.before(call);
        CallList::unlink(call);
    }

    // Moves the next `count` calls to the end of `to`, and calls `visit` with each. Precondition: there are so
    // many, and `count` is not 0. O(n).
    template <class Visit>
    void take(std::size_t count, CallList& to, Visit visit) {
        Call* const last_flushed = last_flushed_;
        Call& first = calls_.front();
        Call* call = &first;
        for (;;) {
            visit(*call);
            if (call == last_flushed) last_flushed_ = nullptr;
            if (--count == 0) break;
            call = &CallList::next(*call);
        }
        to.splice(first, *call);
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

    // The one that is served next, which has waited longest, and the one that came last. Precondition: there is one.
    Call& front() const noexcept { return calls_.front(); }
    Call& back() const noexcept { return calls_.back(); }

private:
    CallList calls_;
    Call* last_flushed_ = nullptr;  // it and those before it may leave in a batch that is not full
};

}  // namespace batching::detail
