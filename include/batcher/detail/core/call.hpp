// Call: one call of a Batcher, as the library knows it; and CallList, the lists that calls stand in.
//
// A call is part of what its caller waits with: a coroutine frame, the memory of an Asio handler, the
// stack of a blocked thread. So waiting allocates nothing here. It stands in at most one list at any time, and its
// state says in which:
//
//     created --------> queued ---------> running ------------------------------> done
//      made by its        handed in: in the   in a batch, from when that is        handed back, or
//      owner, unknown     intake or in the    formed; whether it has run is        left by its owner:
//      to the library     queue |             said by the batch: undecided()       unknown again
//                               |                                                    ^
//                               +-------> completed ---------------------------------+
//                                          out of either, alone, with an error that is on its way; one without an
//                                          item, of drain(), is so from its start
#pragma once

#include <atomic>
#include <batcher/detail/compiler.hpp>
#include <batcher/priority.hpp>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace batching::detail {

struct Batch;
class Call;
class CompletionExecutor;

// An instant of the Batcher's clock, since that clock's epoch.
using Time = std::chrono::nanoseconds;

enum class CallState : std::uint8_t { created, queued, running, completed, done };

// What a kind of caller does with its calls: one static object for each kind.
struct CallOps {
    // Hands the result over. Called once, on the completion executor; the call may be gone when it returns.
    void (*resume)(Call&);
    // Instead of resume(), when the completion executor is gone: frees what the library owns.
    void (*abandon)(Call&) noexcept;
    // True: the call belongs to a frame that others may destroy; abandon() is called under the lock.
    bool in_frame;
};

struct Link {
    Link* prev;
    Link* next;
};

class Call : public Link {
public:
    Call() = default;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    // What is not needed before it is set is not set before: most calls are made, queued and run at once.
    const CallOps* ops;
    CompletionExecutor* resumes_on = nullptr;  // its caller; null: the Batcher's own
    Time queued_at;

    // From running on its batch, and its place in what the batch function is given (index). Before that the weight of its
    // item: 0 where items have none, but a plain call has not set it then.
    union {
        Batch* batch;
        std::size_t weight;
    };

    // Its owner may look without the lock, and is free to destroy it once it is done.
    CallState state() const noexcept { return state_.load(std::memory_order_acquire); }
    void state(CallState to) noexcept {
        assert(to >= state() || to == CallState::created);
        state_.store(to, std::memory_order_release);
    }
    bool pending() const noexcept {
        const CallState now = state_.load(std::memory_order_acquire);
        return now != CallState::created && now != CallState::done;
    }

    // As its last act: what it resumes may destroy it.
    void hand_back() {
        state(CallState::done);
        ops->resume(*this);
    }

protected:
    ~Call() = default;

private:
    std::atomic<CallState> state_{CallState::created};

protected:
    bool executor_chosen_ = false;  // of a caller in a frame: its coroutine is not asked for one

public:
    bool plain = true;  // it has no terms (terms.hpp), and what follows is not set:
    Priority priority : 2;
    Priority lane : 2;  // in which it waits: its own, or the highest of those who share its place
    bool in_place : 1;  // it has a place that equal items share
    bool traced : 1;    // it has a context (traced.hpp)
    bool
        shares : 1;  // on its way back from a batch that is shared: others get a copy of its result
    std::uint32_t index;

    // Of one that has terms: it is looked at by itself when a batch is formed.
    bool is_apart() const noexcept { return (in_place | traced) != 0; }
};

// With an item of up to 8 bytes, all that is touched to queue a call and to take it lies in 64 bytes.
static_assert(sizeof(void*) != 8 || sizeof(Call) <= 56);

// The ops of a class with resume() and abandon() of its own.
template <class T, bool in_frame>
inline constexpr CallOps call_ops{[](Call& call) { static_cast<T&>(call).resume(); },
                                  [](Call& call) noexcept { static_cast<T&>(call).abandon(); },
                                  in_frame};

// A circular list with a sentinel, so that a call can leave without knowing which list it is in.
class CallList {
public:
    CallList() noexcept { reset(); }
    CallList(const CallList&) = delete;
    CallList& operator=(const CallList&) = delete;

    bool empty() const noexcept { return end_.next == &end_; }
    Call& front() const noexcept { return *to_call(end_.next); }
    Call& back() const noexcept { return *to_call(end_.prev); }

    // The first, or null.
    Call* first() const noexcept { return get(end_.next); }
    // The one after it. Precondition: there is one.
    static Call& next(Call& call) noexcept { return *to_call(static_cast<Link&>(call).next); }
    // The one after it, or null if it is the last; and the one before it.
    Call* after(Call& call) const noexcept { return get(static_cast<Link&>(call).next); }
    Call* before(Call& call) const noexcept { return get(static_cast<Link&>(call).prev); }

    void push_back(Call& call) noexcept {
        Link& link = call;
        append(&link, &link);
    }

    Call* pop_front() noexcept {
        if (empty()) return nullptr;
        Call& call = front();
        unlink(call);
        return &call;
    }

    static void unlink(Call& call) noexcept {
        Link& link = call;
        link.prev->next = link.next;
        link.next->prev = link.prev;
    }

    // Calls `visit` with each call; it may unlink the one it is called with.
    template <class Visit>
    void for_each(Visit visit) {
        for (Link* link = end_.next; link != &end_;) {
            Link* const next = link->next;
            visit(*to_call(link));
            link = next;
        }
    }

    // Moves `first` to `last`, a part of another list, to the end of this one: O(1).
    void splice(Call& first, Call& last) noexcept {
        Link& from = first;
        Link& to = last;
        from.prev->next = to.next;
        to.next->prev = from.prev;
        append(&from, &to);
    }

    // Moves those before `end`, or all if that is null, to the end of another list: O(1).
    void move_until(Call* end, CallList& to) noexcept {
        Link* const last = (end == nullptr ? &end_ : static_cast<Link*>(end))->prev;
        if (last != &end_) to.splice(front(), *to_call(last));
    }

    // Moves all of `other` to the end of this one: O(1).
    void splice(CallList& other) noexcept {
        if (other.empty()) return;
        append(other.end_.next, other.end_.prev);
        other.reset();
    }

    // Behind `place`, a call of this list.
    static void insert_after(Call& place, Call& call) noexcept {
        insert_behind(static_cast<Link&>(place), call);
    }
    // Behind the last one that `stays_before`, looked for from the end: O(1 + those behind it).
    template <class StaysBefore>
    void insert_sorted(Call& call, StaysBefore stays_before) noexcept {
        Link* behind = end_.prev;
        while (behind != &end_ && !stays_before(*to_call(behind))) behind = behind->prev;
        insert_behind(*behind, call);
    }

    // A chain that leads by `next` from the newest to the oldest, the other way round: O(n).
    static Link* reversed(Link* newest) noexcept {
        Link* newer = nullptr;
        while (newest != nullptr) newer = std::exchange(newest, std::exchange(newest->next, newer));
        return newer;
    }

    // Appends a chain that leads by `next` from the newest to the oldest, oldest first, and returns how
    // many those were: O(n).
    std::size_t append_reversed(Link* newest) noexcept {
        std::size_t count = 0;
        Link* newer = &end_;
        Link* const last = end_.prev;
        for (Link* link = newest; link != nullptr; ++count) {
            Link* const older = link->next;
            link->next = newer;
            newer->prev = link;
            newer = link;
            link = older;
        }
        newer->prev = last;
        last->next = newer;
        return count;
    }

private:
    // Laundered, or g++ 12 at -O2 sees the sentinel in every call and warns of writes beyond it.
    static Call* to_call(Link* link) noexcept { return std::launder(static_cast<Call*>(link)); }
    Call* get(Link* link) const noexcept { return link == &end_ ? nullptr : to_call(link); }

    void reset() noexcept { end_.prev = end_.next = &end_; }

    static void insert_behind(Link& before, Link& link) noexcept {
        Link& after = *before.next;
        link.prev = &before;
        before.next = &link;
        link.next = &after;
        after.prev = &link;
    }

    void append(Link* first, Link* last) noexcept {
        first->prev = end_.prev;
        end_.prev->next = first;
        last->next = &end_;
        end_.prev = last;
    }

    Link end_;
};

}  // namespace batching::detail
