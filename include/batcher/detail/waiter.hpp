// Waiter: somebody who waits for a completion, and WaiterList: the lists that waiters stand in.
//
// A waiter is embedded in a caller's coroutine frame, in an Asio handler's allocation or in the stack of
// a blocked thread, so waiting allocates nothing here. It stands in at most one list at any time.
#pragma once

#include <atomic>
#include <batcher/detail/asio.hpp>
#include <cstdint>
#include <new>

namespace batching::detail {

// The life of a waiter, in this order. Written under the Engine's lock once the waiter is handed in.
enum class Life : std::uint8_t {
    made,     // not handed in yet: only its owner knows it
    waiting,  // in the intake or in the scheduler's queue (a drain: until nothing waits or runs)
    running,  // in a slot: the batch function is called with its item
    settled,  // its result or error is decided and on its way to its executor
    done      // handed back, or withdrawn by its owner
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

    // Hands the result over. Called once, on `home`; the waiter may be gone when it returns.
    virtual void resume() = 0;

    // Instead of resume(), when the executor to resume on is gone: frees what the library owns.
    virtual void abandon() noexcept = 0;

    // The executor to resume on; null: the Batcher's own. Points into the waiter.
    const asio::any_io_executor* home = nullptr;
    // True: resume() may be called on any thread (it only wakes a blocked one).
    bool direct = false;

    // Relaxed: what orders the accesses is the Engine's lock, or the post that hands back.
    Life life() const noexcept { return life_.load(std::memory_order_relaxed); }
    void life(Life to) noexcept { life_.store(to, std::memory_order_relaxed); }
    bool pending() const noexcept { return life() != Life::made && life() != Life::done; }

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

    // Appends all of `other` to this list: O(1).
    void splice(WaiterList& other) noexcept {
        if (other.empty()) return;
        other.end_.next->prev = end_.prev;
        end_.prev->next = other.end_.next;
        other.end_.prev->next = &end_;
        end_.prev = other.end_.prev;
        other.reset();
    }

private:
    void reset() noexcept { end_.prev = end_.next = &end_; }

    Link end_;
};

}  // namespace batching::detail
