// Waiter: somebody who waits for a completion, and WaiterList: the lists that waiters stand in.
//
// A waiter is embedded in a caller's coroutine frame, in an Asio handler's allocation or in the stack of
// a blocked thread, so waiting allocates nothing here. It stands in at most one list at any time.
#pragma once

#include <atomic>
#include <batcher/detail/asio.hpp>
#include <cstdint>
#include <new>
#include <utility>

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
    carried,  // in a Delivery, whose Phase says how far it is
    done      // handed back, or withdrawn by its owner
};

class Delivery;
class Waiter;
struct Home;

// What a waiter is: how it is resumed. One static object for each kind, as a table of virtual functions.
struct Kind {
    // Hands the result over. Called once, on `home`; the waiter may be gone when it returns.
    void (*resume)(Waiter&);
    // Instead of resume(), when the executor to resume on is gone: frees what the library owns.
    void (*abandon)(Waiter&) noexcept;
    // True: it belongs to a frame that may be destroyed; abandon() is called under the Engine's lock.
    bool in_frame;
};

struct Link {
    Link* prev = nullptr;
    Link* next = nullptr;
};

class Waiter : public Link {
public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    // Set before it is handed in.
    const Kind* kind = nullptr;
    // Where to resume; null: on the Batcher's own executor. Lives as long as the waiter waits.
    const Home* home = nullptr;
    // Once carried: what brings the result; lives until resume() returns.
    Delivery* carrier = nullptr;

    // Relaxed: what orders the accesses is the Engine's lock, or the post that hands back.
    Life life() const noexcept { return life_.load(std::memory_order_relaxed); }
    void life(Life to) noexcept { life_.store(to, std::memory_order_relaxed); }
    bool pending() const noexcept {
        const Life now = life();
        return now != Life::made && now != Life::done;
    }

    // With its last breath, as what it resumes may destroy it.
    void hand_back() {
        life(Life::done);
        kind->resume(*this);
    }

protected:
    ~Waiter() = default;

private:
    std::atomic<Life> life_{Life::made};

protected:
    // A waiter in a frame: `home` is where its caller wants to go, so that the coroutine is not asked.
    bool home_chosen_ = false;
    bool working_ = false;  // it holds outstanding work at home
};

// The Kind of a class with resume() and abandon() of its own.
template <class T, bool in_frame>
inline constexpr Kind kind_of{[](Waiter& waiter) { static_cast<T&>(waiter).resume(); },
                              [](Waiter& waiter) noexcept { static_cast<T&>(waiter).abandon(); },
                              in_frame};

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
    T& back() const noexcept { return *std::launder(static_cast<T*>(end_.prev)); }

    // The one after it, or null if it is the last.
    T* after(T& waiter) const noexcept { return get(static_cast<Link&>(waiter).next); }
    // The one before it, or null if it is the first.
    T* before(T& waiter) const noexcept { return get(static_cast<Link&>(waiter).prev); }

    void push_back(T& waiter) noexcept { insert_before(nullptr, waiter); }

    // Before `position`, or at the end if that is null.
    void insert_before(T* position, T& waiter) noexcept {
        Link& after = position == nullptr ? end_ : static_cast<Link&>(*position);
        Link& link = waiter;
        link.prev = after.prev;
        link.next = &after;
        after.prev->next = &link;
        after.prev = &link;
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

    // Moves `first` to `last`, a part of another list, to the end of this one: O(1).
    template <class Derived>
    void splice(Derived& first, Derived& last) noexcept {
        Link& from = first;
        Link& to = last;
        from.prev->next = to.next;
        to.next->prev = from.prev;
        append(&from, &to);
    }

    // Moves all of `other` to the front of this list: O(1).
    void prepend(WaiterList& other) noexcept {
        if (other.empty()) return;
        WaiterList rest(std::move(*this));
        splice(other);
        splice(rest);
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

    T* get(Link* link) const noexcept {
        return link == &end_ ? nullptr : std::launder(static_cast<T*>(link));
    }

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
