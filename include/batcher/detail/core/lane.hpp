// Lane: calls that wait and are served in the order of their arrival.
#pragma once

#include <algorithm>
#include <batcher/detail/core/terms.hpp>
#include <cstddef>

namespace batching::detail {

// So many calls, and what they weigh together.
struct Amount {
    std::size_t calls = 0;
    std::size_t weight = 0;

    Amount& operator+=(const Amount& other) noexcept {
        calls += other.calls;
        weight += other.weight;
        return *this;
    }
    Amount& operator-=(const Amount& other) noexcept {
        calls -= other.calls;
        weight -= other.weight;
        return *this;
    }
};

class Lane {
public:
    bool empty() const noexcept { return calls_.empty(); }
    // All calls, and those that have terms: only they have a weight.
    std::size_t size() const noexcept { return size_; }
    const Amount& with_terms() const noexcept { return with_terms_; }

    // Behind those that came before: a chain of plain calls that leads by `next` from the newest to the oldest. Returns
    // how many those were. O(n).
    std::size_t push(Link* newest) noexcept {
        if (newest == nullptr) return 0;
        const std::size_t count = calls_.append_reversed(newest);
        size_ += count;
        return count;
    }

    // One that has terms. Behind those that were queued before it: at the end, as a rule. O(1 + those queued after it).
    void insert(Call& call) noexcept {
        Call* behind = empty() ? nullptr : &calls_.back();
        while (behind != nullptr && behind->queued_at > call.queued_at)
            behind = calls_.before(*behind);
        calls_.insert_after(behind, call);
        ++size_;
        with_terms_ += {1, call.weight};
    }

    // `call` waits in the place of another, which leaves; both have terms. O(1).
    void replace(Call& old, Call& call) noexcept {
        calls_.insert_after(&old, call);
        if (&old == last_flushed_) last_flushed_ = &call;
        CallList::unlink(old);
        with_terms_.weight += call.weight - old.weight;
    }

    // It leaves; those behind it move up. O(1).
    void erase(Call& call) noexcept {
        if (&call == last_flushed_) last_flushed_ = calls_.before(call);
        CallList::unlink(call);
        --size_;
        if (!call.plain) with_terms_ -= {1, call.weight};
    }

    // Moves the next `count` calls to the end of `to`, and calls `visit` with each. Preconditions: there are so
    // many, all are plain, and `count` is not 0. O(n).
    template <class Visit>
    void take(std::size_t count, CallList& to, Visit visit) {
        Call* const last_flushed = last_flushed_;
        Call& first = calls_.front();
        Call* call = &first;
        size_ -= count;
        for (;;) {
            visit(*call);
            if (call == last_flushed) last_flushed_ = nullptr;
            if (--count == 0) break;
            call = &CallList::next(*call);
        }
        to.splice(first, *call);
    }

    // Moves the next calls to the end of `to`, for as long as `takes` returns true for the next one. Returns the earliest
    // of their deadlines. O(n).
    template <class Takes>
    Time take_while(CallList& to, Takes takes) {
        Call* const last_flushed = last_flushed_;
        Call* const first = calls_.first();
        Call* last = nullptr;
        std::size_t taken = 0;
        Amount with_terms;
        Time earliest = (Time::max)();
        for (Call* call = first; call != nullptr; call = calls_.after(*call)) {
            const bool is_plain = call->plain;
            const std::size_t weight = is_plain ? 0 : call->weight;  // until it is taken
            if (!takes(*call)) break;
            if (call == last_flushed) last_flushed_ = nullptr;
            last = call;
            ++taken;
            if (is_plain) continue;
            with_terms += {1, weight};
            earliest = (std::min)(earliest, deadline_of(terms_of(*call)));
        }
        size_ -= taken;
        with_terms_ -= with_terms;
        if (last != nullptr) to.splice(*first, *last);
        return earliest;
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
    std::size_t size_ = 0;
    Amount with_terms_;
    Call* last_flushed_ = nullptr;  // it and those before it may leave in a batch that is not full
};

}  // namespace batching::detail
