// Waiter: somebody who waits for a completion, and WaiterList: the lists that waiters stand in.
//
// A waiter is embedded in a caller's coroutine frame, in an Asio handler's allocation or in the stack of
// a blocked thread, so waiting allocates nothing here. It stands in at most one list at any time.
#pragma once

#include <atomic>
#include <batcher/detail/asio.hpp>
#include <cstdint>
#include <new>

// A coroutine may be resumed and destroyed by another thread before the function that published it
// returns; inlined into the coroutine, clang 14 would keep that function's locals in the frame.
#if defined(_MSC_VER)
#define BATCHER_NOINLINE __declspec(noinline)
#else
#define BATCHER_NOINLINE __attribute__((noinline))
#endif

namespace batching::detail {

// The life of a waiter, in this order. Written under the Engine's lock once the waiter is handed in.
enum class Life : std::uint8_t {
    made,     // not handed in yet: only its owner knows it
    waiting,  // in the intake or in the scheduler's queue (a drain: until nothing waits or runs)
    running,  // in a slot: the batch function is called with its item
    settled,  // its result or error is decided and on its way to its executor
    done      // handed back, or withdrawn by its owner
};

class Delivery;

struct Link {
    Link* prev = nullptr;
    Link* next = nullptr;
};

class Waiter : public Link {
public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    // Hands the result over. Called once, on `home`; the waiter may be gone when it returns.
    virtual void resume() = 0;

    // Instead of resume(), when the executor to resume on is gone: frees what the library owns.
    virtual void abandon() noexcept = 0;

    // The executor to resume on; null: the Batcher's own. Lives as long as the waiter waits.
    asio::any_io_executor* home = nullptr;
    // Once settled: what brings the result; lives until resume() returns.
    Delivery* carrier = nullptr;
    // True: resume() may be called on any thread (it only wakes a blocked one).
    bool direct = false;
    // True: it belongs to a frame that may be destroyed; abandon() is called under the Engine's lock.
    bool in_frame = false;

    // Relaxed: what orders the accesses is the Engine's lock, or the post that hands back.
    Life life() const noexcept { return life_.load(std::memory_order_relaxed); }
    void life(Life to) noexcept { life_.store(to, std::memory_order_relaxed); }
    bool pending() const noexcept {
        const Life now = life();
        return now != Life::made && now != Life::done;
    }

protected:
    ~Waiter() = default;

private:
    std::atomic<Life> life_{Life::made};
};

// A circular list with a sentinel, so that a waiter can leave without knowing which list it is in.
template <class T>
class WaiterList {
public:
    WaiterList() noexcept { reset(); }
    WaiterList(WaiterList&& other) noexcept : WaiterList() { splice(other); }
    WaiterList& operator=(WaiterList&&) = delete;

    bool empty() const noexcept { return end_.next == &end_; }
    // Laundered, or g++ 12 at -O2 sees the sentinel in every waiter and warns of writes beyond it.
    T& front() const noexcept { return *std::launder(static_cast<T*>(end_.next)); }

    static T& next(T& waiter) noexcept {
        return *std::launder(static_cast<T*>(static_cast<Link&>(waiter).next));
    }

    void push_back(T& waiter) noexcept {
        Link& link = waiter;
        link.prev = end_.prev;
        link.next = &end_;
        end_.prev->next = &link;
        end_.prev = &link;
    }

    T* pop_front() noexcept {
        if (empty()) return nullptr;
        T& waiter = front();
        unlink(waiter);
        return &waiter;
    }

    static void unlink(T& waiter) noexcept {
        Link& link = waiter;
        link.prev->next = link.next;
        link.next->prev = link.prev;
    }

    // Calls `visit` with each waiter; it may unlink the one it is called with.
    template <class Visit>
    void for_each(Visit visit) {
        for (Link* link = end_.next; link != &end_;) {
            Link* next = link->next;
            visit(static_cast<T&>(*link));
            link = next;
        }
    }

    // Moves the front of `other`, up to and with `last`, to the end of this list: O(1).
    void splice_front(WaiterList& other, T& last) noexcept {
        Link* const first = other.end_.next;
        Link* const rest = static_cast<Link&>(last).next;
        other.end_.next = rest;
        rest->prev = &other.end_;
        append(first, &last);
    }

    // Appends a chain that leads by `next` from the newest to the oldest, oldest first: O(n).
    // `visit` is called with each, newest first.
    template <class Visit>
    void append_reversed(Link* newest, Visit visit) noexcept {
        Link* newer = &end_;
        Link* const last = end_.prev;
        for (Link* link = newest; link != nullptr;) {
            Link* const older = link->next;
            link->next = newer;
            newer->prev = link;
            visit(static_cast<T&>(*link));
            newer = link;
            link = older;
        }
        newer->prev = last;
        last->next = newer;
    }

    // Appends all of `other`, a list of T or of a class derived from it, to this list: O(1).
    template <class Derived>
    void splice(WaiterList<Derived>& other) noexcept {
        if (other.empty()) return;
        append(other.end_.next, other.end_.prev);
        other.reset();
    }

private:
    template <class>
    friend class WaiterList;

    void reset() noexcept { end_.prev = end_.next = &end_; }

    void append(Link* first, Link* last) noexcept {
        first->prev = end_.prev;
        end_.prev->next = first;
        last->next = &end_;
        end_.prev = last;
    }

    Link end_;
};

}  // namespace batching::detail
