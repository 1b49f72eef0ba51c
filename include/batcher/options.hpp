// Options: what a Batcher is told when it is made.
//
// Every field has a default that batches. The Batcher's constructor checks them: a value outside its
// range throws std::invalid_argument naming the field and the value.
//
// How exact the clock is. An item's wait starts when it is queued, and the clock is read at that moment. Only calls
// that are made by callers which one batch has just resumed, one after the other, share a reading: at most 32 of them,
// of a twentieth of the batch_timeout, or latency_target, that the Batcher was made with (at least 5 us, at most 50). Should
// they suddenly be slow, a batch may leave early by that time, once; none leaves late for it. Timers are the executor's, with
// their usual lateness (50 us or so).
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

// clang 14 does not evaluate a consteval constructor inside braces: there it throws when it runs, if nothing else refuses it.
#if defined(__clang_major__) && __clang_major__ < 15
#define BATCHER_CONSTEVAL constexpr
#else
#define BATCHER_CONSTEVAL consteval
#endif
// Of a constant. For a consteval function clang's first line would not say what is wrong with its argument.
#if defined(__clang__)
#define BATCHER_REFUSE_IF(condition, sentence)                                            \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wgcc-compat\"") \
        __attribute__((diagnose_if(condition, sentence, "error"))) _Pragma("clang diagnostic pop")
#else
#define BATCHER_REFUSE_IF(condition, sentence)
#endif

namespace batching {

// For batch_timeout: a batch leaves only when it is full, or at flush(), close() or drain().
inline constexpr std::chrono::nanoseconds no_timeout = (std::chrono::nanoseconds::max)();

// For max_queue_size: memory is the only limit.
inline constexpr std::size_t no_limit = (std::numeric_limits<std::size_t>::max)();

namespace detail {
// Compilers name what stops them from evaluating a constant.
[[noreturn]] inline void a_duration_needs_a_unit_write_5ms_not_5() {
    throw std::invalid_argument("a duration needs a unit: write 5ms, not 5");
}
}  // namespace detail

// A duration, given in any unit, or 0. One that is too long for nanoseconds, such as std::chrono::hours::max(), is
// the longest there is: no_timeout.
class Timeout {
public:
    constexpr Timeout() noexcept = default;  // zero
    // The literal 0. If you see an error here, it means that another number was given without a unit.
    BATCHER_CONSTEVAL Timeout(int zero)
        BATCHER_REFUSE_IF(zero != 0, "a duration needs a unit: write 5ms, not 5") {
        if (zero != 0) detail::a_duration_needs_a_unit_write_5ms_not_5();
    }
    // If you see an error here, it means that a number was given without a unit.
    template <class Number>
        requires(std::is_arithmetic_v<Number> && !std::is_same_v<Number, int>)
    constexpr Timeout(Number) noexcept {
        static_assert(sizeof(Number) == 0, "a duration needs a unit: write 5ms, not 5");
    }
    // A duration in any unit.
    template <class Rep, class Period>
    constexpr Timeout(const std::chrono::duration<Rep, Period>& duration) noexcept
        : nanoseconds_(saturated(duration)) {}

    // The same as a duration of the standard's.
    constexpr operator std::chrono::nanoseconds() const noexcept { return nanoseconds_; }
    // How many nanoseconds.
    constexpr std::chrono::nanoseconds::rep count() const noexcept { return nanoseconds_.count(); }

    friend constexpr bool operator==(const Timeout&, const Timeout&) noexcept = default;
    friend constexpr auto operator<=>(const Timeout&, const Timeout&) noexcept = default;

private:
    template <class Duration>
    static constexpr std::chrono::nanoseconds saturated(const Duration& duration) noexcept {
        using std::chrono::nanoseconds;
        using Long = std::chrono::duration<long double, std::nano>;
        if (Long(duration) >= Long((nanoseconds::max)())) return (nanoseconds::max)();
        if (Long(duration) <= Long((nanoseconds::min)())) return (nanoseconds::min)();
        return std::chrono::duration_cast<nanoseconds>(duration);
    }

    std::chrono::nanoseconds nanoseconds_{};
};

// When a batch leaves, how many run at once, how many items may wait. Every field has a default.
//
//     batching::Batcher batcher{add, {.max_batch_size = 64, .batch_timeout = 2ms}};
struct Options {
    // Most items in one call of the batch function; 1 or more. 1: no batching.
    std::size_t max_batch_size = 32;

    // Longest the oldest waiting item waits for its batch to fill; 0 or more. 0: a batch leaves as soon
    // as a slot is free, with whatever waits then.
    Timeout batch_timeout = std::chrono::milliseconds(1);

    // Slots: batches that may run at the same time; 1 to 65,536. Without an executor, also the number of
    // worker threads. batching::replicas(n, ...) sets it to n.
    std::size_t max_concurrent_batches = 1;

    // Most items waiting, those in running batches not counted; 1 or more. Beyond it a call fails at
    // once with errc::overloaded. With no_timeout at least max_batch_size, as no batch could fill otherwise.
    std::size_t max_queue_size = no_limit;

    // With batching::weigh(): the weights of a batch add up to at most this; 1 or more. An item that alone is heavier
    // fails at once with errc::too_heavy.
    std::size_t max_batch_weight = no_limit;

    // With batching::weigh(): the weights of what waits add up to at most this, as max_queue_size; 1 or more.
    std::size_t max_queue_weight = no_limit;

    // With batching::key_by(): batches of one key that may run at the same time; 1 or more.
    std::size_t max_concurrent_batches_per_key = no_limit;

    // An item that has waited for this long counts as of high priority, so that no class starves; 0 or more.
    // no_timeout: never.
    Timeout priority_aging = std::chrono::seconds(1);

    // The latency that is good enough, from a call to its result; more than 0. With it the Batcher chooses how large
    // batches are and when they leave, from what batches have lately taken and how fast items arrive, so that as many
    // calls as possible are done within it: batch_timeout is not used, and max_batch_size is the most it may choose. With one
    // or two slots a batch waits, for 3 % of a run time at most, for callers who come straight back. An objective: late
    // calls still get their results. no_timeout: off.
    Timeout latency_target = no_timeout;
};

namespace detail {

inline constexpr std::size_t max_slots = 65'536;

// Throw std::invalid_argument with the field and its value.
void check(const Options& options);
void require_at_least_one(const char* field, std::size_t value);
void require_between(const char* field, std::size_t value, std::size_t most);
// An option that counts only with a rule that is not there is a mistake.
void check_limits(const Options& options, bool weighs, bool keyed);

}  // namespace detail
}  // namespace batching

#ifndef BATCHER_SEPARATE_COMPILATION
#include <batcher/detail/options_impl.hpp>
#endif
