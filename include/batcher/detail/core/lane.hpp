// Lane: calls that wait and are served in the order of their arrival.
#pragma once

#include <batcher/detail/compiler.hpp>
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

// Calls that have been taken out of a lane together.
struct Taken {
    std::size_t calls = 0;
    std::size_t plain = 0;  // of those
    std::size_t weight = 0;
    Time deadline = (Time::max)();  // the earliest
};

class Lane {
public:
    bool empty() const noexcept { return calls_.empty(); }
    std::size_t size() const noexcept { return size_; }
    // Whether none of the calls has terms.
    bool only_plain_calls() const noexcept { return plain_ == size_; }
    std::size_t weight() const noexcept { return weight_; }

    // Behind those that came before: a chain of plain calls that leads by `next` from the newest to the oldest, or null.
    // Returns what came. O(n).
    Amount push(Link* newest, bool weighs) noexcept {
        if (newest == nullptr) return {};
        Amount came;
        for (const Link* link = weighs ? newest : nullptr; link != nullptr; link = link->next)
            came.weight += static_cast<const Call*>(link)->weight;
        came.calls = calls_.append_reversed(newest);
        size_ += came.calls;
        plain_ += came.calls;
        weight_ += came.weight;
        return came;
    }

    // One that has terms. Behind those that were queued before it: at the end, as a rule. O(1 + those queued after it).
    void insert(Call& call) noexcept {
        calls_.insert_sorted(call, [&](Call& other) { return other.queued_at <= call.queued_at; });
        ++size_;
        weight_ += call.weight;
    }

    // `call` waits in the place of another, which leaves; both have terms. O(1).
    void replace(Call& old, Call& call) noexcept {
        CallList::insert_after(old, call);
        if (&old == last_flushed_) last_flushed_ = &call;
        CallList::unlink(old);
        weight_ += call.weight - old.weight;
    }

    // It leaves; those behind it move up. Precondition: its weight is set. O(1).
    void erase(Call& call) noexcept {
        if (&call == last_flushed_) last_flushed_ = calls_.before(call);
        CallList::unlink(call);
        --size_;
        plain_ -= call.plain ? 1 : 0;
        weight_ -= call.weight;
    }

    // Moves the next `count` calls to the end of `to`, and calls `visit` with each, which has it leave its state. O(n).
    // Preconditions: there are so many, all are plain, and `count` is not 0.
    template <class Visit>
    void take(std::size_t count, CallList& to, Visit visit) {
        Call& first = calls_.front();
        Call* call = &first;
        size_ -= count;
        plain_ -= count;
        for (;;) {
            visit(*call);
            if (--count == 0) break;
            call = &CallList::next(*call);
        }
        to.splice(first, *call);
        note_flushed_left();
    }

    // Moves the next calls, of those that were queued at `until` or before, to the end of `to`, for as long as `takes`
    // returns true for the next one. That is given what has been taken so far, adds to it what it says of this one, and has
    // the call leave its state. O(n).
    template <class Takes>
    BATCHER_INLINE Taken take_while(Time until, CallList& to, Takes takes) {
        Taken taken;
        Call* call = calls_.first();
        for (; call != nullptr; call = calls_.after(*call)) {
            if (call->queued_at > until || !takes(*call, taken)) break;
            ++taken.calls;
        }
        calls_.move_until(call, to);
        size_ -= taken.calls;
        plain_ -= taken.plain;
        weight_ -= taken.weight;
        note_flushed_left();
        return taken;
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
    void note_flushed_left() noexcept {
        if (last_flushed_ != nullptr && last_flushed_->state() != CallState::queued)
            last_flushed_ = nullptr;
    }

    CallList calls_;
    std::size_t size_ = 0;
    std::size_t plain_ = 0;  // of those
    std::size_t weight_ = 0;
    Call* last_flushed_ = nullptr;  // it and those before it may leave in a batch that is not full
};

}  // namespace batching::detail
