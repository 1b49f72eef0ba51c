// Intake: where callers hand items in. Cheap under contention; knows nothing of the order of service.
//
// Arrivals are a linked stack whose head also counts down to the next arrival somebody wants to hear of:
//
//     watch(3)   push -> quiet   push -> quiet   push -> signal   push -> quiet ...   collect()
//
// So an arrival costs one compare-and-swap and wakes nobody, except the one that arms the timer and the
// one that fills a batch. As everything is collected at once, there is no ABA problem.
#pragma once

#include <algorithm>
#include <atomic>
#include <batcher/detail/waiter.hpp>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace batching::detail {

enum class Pushed : std::uint8_t { quiet, signal, closed };

// The head packed into one word: a 48-bit pointer and a 16-bit countdown.
class PackedIntake {
public:
    // Hands in a chain: `newest` leads by `next` to `oldest`, `count` in all. All or nothing. With
    // `signal`, the caller is to look; `before_signal` was then called before the chain was published,
    // that is, before any other thread could complete it.
    template <class BeforeSignal>
    Pushed push(Link& newest, Link& oldest, std::size_t count, BeforeSignal before_signal) {
        std::uint64_t head = head_.load(std::memory_order_relaxed);
        for (;;) {
            if (head == closed_mark) return Pushed::closed;
            const std::uint64_t wanted = head >> pointer_bits;
            const bool signal = wanted != 0 && wanted <= count;
            if (signal) before_signal();
            oldest.next = to_link(head);
            const std::uint64_t next = pack(&newest, signal || wanted == 0 ? 0 : wanted - count);
            if (head_.compare_exchange_weak(head, next, std::memory_order_release,
                                            std::memory_order_relaxed)) {
                return signal ? Pushed::signal : Pushed::quiet;
            }
        }
    }

    // The usual case of push(), for speed: false, and nothing done, if it would signal or be refused.
    bool push_quietly(Link& newest, Link& oldest, std::size_t count) noexcept {
        std::uint64_t head = head_.load(std::memory_order_relaxed);
        for (;;) {
            const std::uint64_t wanted = head >> pointer_bits;
            if (head == closed_mark || (wanted != 0 && wanted <= count)) return false;
            oldest.next = to_link(head);
            const std::uint64_t next = pack(&newest, wanted == 0 ? 0 : wanted - count);
            if (head_.compare_exchange_weak(head, next, std::memory_order_release,
                                            std::memory_order_relaxed)) {
                return true;
            }
        }
    }

    // All arrivals, newest first, or null. If there are any, the countdown is off.
    Link* collect() noexcept {
        if (empty()) return nullptr;
        return to_link(head_.exchange(0, std::memory_order_acquire));
    }

    // Asks for a signal at the `wanted`-th arrival from now (0: none); a large number may be rounded
    // down. False, and nothing changed, if something has arrived since the last collect().
    bool watch(std::size_t wanted) noexcept {
        const std::uint64_t next = pack(nullptr, std::min<std::uint64_t>(wanted, max_countdown));
        std::uint64_t head = head_.load(std::memory_order_relaxed);
        while (to_link(head) == nullptr) {
            if (head == next) return true;
            if (head_.compare_exchange_weak(head, next, std::memory_order_relaxed)) return true;
        }
        return head == closed_mark;
    }

    // Refuses all later arrivals; returns what has arrived as collect() does. Call it once.
    Link* close() noexcept {
        return to_link(head_.exchange(closed_mark, std::memory_order_acquire));
    }

    bool closed() const noexcept { return head_.load(std::memory_order_relaxed) == closed_mark; }

    bool empty() const noexcept {
        const std::uint64_t head = head_.load(std::memory_order_relaxed);
        return to_link(head) == nullptr || head == closed_mark;
    }

private:
    static constexpr unsigned pointer_bits = 48;
    static constexpr std::uint64_t pointer_mask = (std::uint64_t{1} << pointer_bits) - 1;
    static constexpr std::uint64_t max_countdown = 0xffff;
    static constexpr std::uint64_t closed_mark = 1;  // no Link stands at address 1

    static std::uint64_t pack(Link* link, std::uint64_t countdown) noexcept {
        return reinterpret_cast<std::uintptr_t>(link) | (countdown << pointer_bits);
    }
    static Link* to_link(std::uint64_t head) noexcept {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the pointer that pack() was given
        return reinterpret_cast<Link*>(static_cast<std::uintptr_t>(head & pointer_mask));
    }

    std::atomic<std::uint64_t> head_{0};
};

// The same with a lock, where a pointer cannot be packed.
class LockedIntake {
public:
    template <class BeforeSignal>
    Pushed push(Link& newest, Link& oldest, std::size_t count, BeforeSignal before_signal) {
        const std::lock_guard lock(mutex_);
        if (closed_) return Pushed::closed;
        const bool signal = countdown_ != 0 && countdown_ <= count;
        if (signal) before_signal();
        oldest.next = newest_;
        newest_ = &newest;
        countdown_ = signal || countdown_ == 0 ? 0 : countdown_ - count;
        return signal ? Pushed::signal : Pushed::quiet;
    }

    static bool push_quietly(Link&, Link&, std::size_t) noexcept { return false; }

    Link* collect() noexcept {
        const std::lock_guard lock(mutex_);
        if (newest_ != nullptr) countdown_ = 0;
        return std::exchange(newest_, nullptr);
    }

    bool watch(std::size_t wanted) noexcept {
        const std::lock_guard lock(mutex_);
        if (newest_ != nullptr) return false;
        countdown_ = wanted;
        return true;
    }

    Link* close() noexcept {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        return std::exchange(newest_, nullptr);
    }

    bool closed() const noexcept {
        const std::lock_guard lock(mutex_);
        return closed_;
    }

    bool empty() const noexcept {
        const std::lock_guard lock(mutex_);
        return newest_ == nullptr;
    }

private:
    mutable std::mutex mutex_;
    Link* newest_ = nullptr;
    std::size_t countdown_ = 0;
    bool closed_ = false;
};

#if defined(__SANITIZE_HWADDRESS__)
#define BATCHER_TAGGED_POINTERS
#elif defined(__has_feature)
#if __has_feature(hwaddress_sanitizer)
#define BATCHER_TAGGED_POINTERS
#endif
#endif

// User-space addresses have 47 bits on x86-64 and at most 48 on AArch64 (more is only given to who asks
// for it), unless the top byte carries a tag.
#if (defined(__x86_64__) || defined(_M_X64) || defined(__aarch64__) || defined(_M_ARM64)) && \
    !defined(__ILP32__) && !defined(__ANDROID__) && !defined(BATCHER_TAGGED_POINTERS)
using Intake = PackedIntake;
#else
using Intake = LockedIntake;
#endif

}  // namespace batching::detail
