// Waking: threads that wait until an atomic has another value.
//
// With std::atomic's own wait() where that can be relied upon. In libstdc++ without futexes, on Windows for
// one, it looks at the value before it takes the lock that it waits with, and so sleeps through changes. There
// the threads wait at one of a few places that outlive them all.
#pragma once

#include <atomic>

#if defined(__GLIBCXX__) && !defined(__linux__)
#define BATCHER_WAITING_PLACES
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#endif

namespace batching::detail {

#if defined(BATCHER_WAITING_PLACES)

struct WaitingPlace {
    std::mutex mutex;
    std::condition_variable changed;

    static WaitingPlace& of(const void* address) noexcept {
        static std::array<WaitingPlace, 64> places;
        // Multiplied, as atomics on the stacks of different threads often differ in few bits.
        const auto mixed = reinterpret_cast<std::uintptr_t>(address) * 0x9E3779B97F4A7C15U;
        return places[static_cast<std::size_t>(mixed >> 58U)];
    }
};

template <class T>
void wait_while(const std::atomic<T>& atomic, T value) noexcept {
    WaitingPlace& place = WaitingPlace::of(&atomic);
    std::unique_lock lock(place.mutex);
    place.changed.wait(lock, [&] { return atomic.load(std::memory_order_acquire) != value; });
}

template <class T>
void store_and_wake(std::atomic<T>& atomic, T value) noexcept {
    WaitingPlace& place = WaitingPlace::of(&atomic);
    const std::lock_guard lock(place.mutex);
    atomic.store(value, std::memory_order_release);
    place.changed.notify_all();
}

#else

template <class T>
void wait_while(const std::atomic<T>& atomic, T value) noexcept {
    atomic.wait(value, std::memory_order_acquire);
}

// Once the value is stored a waiter may be gone, and the atomic with it: all that wakes is its address. The store is
// sequentially consistent because libstdc++ then reads whether anybody waits, which must not come first.
template <class T>
void store_and_wake(std::atomic<T>& atomic, T value) noexcept {
    std::atomic<T>* const address = &atomic;
    address->store(value, std::memory_order_seq_cst);
    address->notify_all();
}

#endif

}  // namespace batching::detail
