// Intake: where callers hand calls in, without a lock. It knows nothing of the order of service.
//
// Arrivals are a linked stack whose head also counts down to the next arrival that has to be seen at once:
//
//     watch(3)   push -> true   push -> true   push -> false: to be handed in under the lock
//
// So an arrival costs one compare-and-swap, except the one that arms the timer, the one that fills a batch,
// and those that may not be accepted. As everything is collected at once, there is no ABA problem.
#pragma once

#include <algorithm>
#include <atomic>
#include <batcher/detail/core/call.hpp>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

namespace batching::detail {

// The head packed into one word: a 48-bit pointer and a 16-bit countdown.
class PackedIntake {
public:
    // Hands in a chain: `newest` leads by `next` to `oldest`, `count` in all. False, and nothing done, if
    // the countdown would end. The calls may be gone when it returns true. Sequentially consistent, as watch() is:
    // of a push and what the machine has said before it watches, one sees the other (Engine::push_with_deadline()).
    bool push(Link& newest, Link& oldest, std::size_t count) noexcept {
        std::uint64_t head = head_.load(std::memory_order_relaxed);
        for (;;) {
            const std::uint64_t countdown = head >> pointer_bits;
            if (countdown != 0 && countdown <= count) return false;
            oldest.next = to_link(head);
            const std::uint64_t next = pack(&newest, countdown == 0 ? 0 : countdown - count);
            if (head_.compare_exchange_weak(head, next, std::memory_order_seq_cst,
                                            std::memory_order_relaxed)) {
                return true;
            }
        }
    }

    // All arrivals, newest first, or null. The countdown starts again at `countdown` (0: none).
    Link* collect(std::size_t countdown) noexcept {
        return to_link(head_.exchange(pack(nullptr, countdown), std::memory_order_acquire));
    }

    // The countdown starts again at `countdown`; a large number may be rounded down. False, and nothing
    // changed, if something has arrived since the last collect().
    bool watch(std::size_t countdown) noexcept {
        std::uint64_t head = head_.load();
        const std::uint64_t next = pack(nullptr, countdown);
        while (to_link(head) == nullptr) {
            if (head == next || head_.compare_exchange_weak(head, next)) return true;
        }
        return false;
    }

    bool empty() const noexcept {
        return to_link(head_.load(std::memory_order_relaxed)) == nullptr;
    }

private:
    static constexpr unsigned pointer_bits = 48;
    static constexpr std::uint64_t pointer_mask = (std::uint64_t{1} << pointer_bits) - 1;
    static constexpr std::size_t max_countdown = 0xffff;

    static std::uint64_t pack(Link* link, std::uint64_t countdown) noexcept {
        return reinterpret_cast<std::uintptr_t>(link) |
               (std::min<std::uint64_t>(countdown, max_countdown) << pointer_bits);
    }
    static Link* to_link(std::uint64_t head) noexcept {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the pointer that pack() was given
        return reinterpret_cast<Link*>(static_cast<std::uintptr_t>(head & pointer_mask));
    }

    // Alone in its cache line: producers write it all the time.
    alignas(64) std::atomic<std::uint64_t> head_{0};
};

// The same with a lock, where a pointer cannot be packed.
class LockedIntake {
public:
    bool push(Link& newest, Link& oldest, std::size_t count) noexcept {
        const std::lock_guard lock(mutex_);
        if (countdown_ != 0 && countdown_ <= count) return false;
        oldest.next = newest_;
        newest_ = &newest;
        if (countdown_ != 0) countdown_ -= count;
        return true;
    }

    Link* collect(std::size_t countdown) noexcept {
        const std::lock_guard lock(mutex_);
        countdown_ = countdown;
        return std::exchange(newest_, nullptr);
    }

    bool watch(std::size_t countdown) noexcept {
        const std::lock_guard lock(mutex_);
        if (newest_ != nullptr) return false;
        countdown_ = countdown;
        return true;
    }

    bool empty() const noexcept {
        const std::lock_guard lock(mutex_);
        return newest_ == nullptr;
    }

private:
    mutable std::mutex mutex_;
    Link* newest_ = nullptr;
    std::size_t countdown_ = 0;
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
