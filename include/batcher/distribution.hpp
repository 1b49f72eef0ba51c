// Distribution<T>: a histogram of fixed size, 10 KB on the heap: what is passed around is small.
//
// T is std::size_t (batch sizes) or a std::chrono duration (times). Values up to 64 (items or
// nanoseconds) are exact; above, a quantile is up to 1/32 too high, never below the smallest nor above
// the largest value seen. The mean is exact, and so is how many values are at most a power of two.
// Method: log-linear buckets, as in HdrHistogram (Gil Tene, hdrhistogram.org). record() is O(1).
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace batching {

namespace detail {

template <class T>
struct SumOf {
    using type = double;
};
template <class Rep, class Period>
struct SumOf<std::chrono::duration<Rep, Period>> {
    using type = std::chrono::duration<double, Period>;
};

struct DistributionAccess;  // for what sends them to other processes

}  // namespace detail

// How often which values were seen, batch sizes or times.
//
//     fmt::print("p99 of the wait: {}\n", batcher.stats().wait_time.quantile(0.99));
template <class T>
class Distribution {
    static constexpr bool is_time = !std::is_arithmetic_v<T>;

public:
    // Of a time a time, else double.
    using mean_type = std::conditional_t<is_time, T, double>;
    // Of a time one in double, else double.
    using sum_type = typename detail::SumOf<T>::type;

    // Throws std::bad_alloc, and so does a copy. One that was moved from may only be destroyed or assigned to.
    Distribution() = default;

    // Records `value` as seen `times` times. Negative durations count as zero.
    void record(T value, std::uint64_t times = 1) noexcept {
        const std::uint64_t v = to_integer(value);
        buckets_[bucket_of(v)] += times;
        count_ += times;
        sum_ += static_cast<double>(v) * static_cast<double>(times);
        smallest_ = (std::min)(smallest_, v);
        largest_ = (std::max)(largest_, v);
    }

    // How many values were seen.
    std::uint64_t count() const noexcept { return count_; }

    // The sum of all values, 0 when nothing was recorded: what a monitoring system takes rates of. A double, since the waits
    // of all items add up to centuries.
    sum_type sum() const noexcept { return sum_type(sum_); }

    // The mean of all values, 0 when nothing was recorded.
    mean_type mean() const noexcept {
        const double mean = count_ == 0 ? 0.0 : sum_ / static_cast<double>(count_);
        if constexpr (is_time) {
            constexpr double longest = 9.2e18;  // that a T can be; figures may come from elsewhere
            return T(static_cast<typename T::rep>((std::min)(mean, longest)));
        } else {
            return mean;
        }
    }

    // The smallest value that at least the fraction `q` (0 to 1) of all values do not exceed; 0 when
    // nothing was recorded. Complexity: the number of buckets, about 1,000.
    T quantile(double q) const noexcept {
        if (count_ == 0) return from_integer(0);
        const double rank = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
        std::uint64_t left = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rank));
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            if (buckets_[i] >= left) {
                return from_integer(std::clamp(largest_in(i), smallest_, largest_));
            }
            left -= buckets_[i];
        }
        return from_integer(largest_);
    }

    // Calls `visit(largest, count)` for each bucket that values were recorded in, in ascending order: so many were at
    // most `largest`, and more than that of the bucket before. (The last bucket has no end: its `largest` is the
    // largest T.) Complexity: as quantile().
    template <class Visit>
    void for_each_bucket(Visit visit) const {
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            if (buckets_[i] != 0) visit(from_integer((std::min)(largest_in(i), most)), buckets_[i]);
        }
    }

    // What was recorded since an earlier copy of this one: counts are exact, and so is the mean but for rounding; the
    // smallest and the largest value are known as exactly as others, and not at all from what came before. Complexity: as
    // quantile(). Throws std::bad_alloc.
    Distribution since(const Distribution& earlier) const {
        Distribution difference;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            const std::uint64_t before = (std::min)(earlier.buckets_[i], buckets_[i]);
            const std::uint64_t times = buckets_[i] - before;
            if (times == 0) continue;
            difference.buckets_[i] = times;
            difference.count_ += times;
            difference.smallest_ = (std::min)(difference.smallest_, smallest_in(i));
            difference.largest_ = largest_in(i);
        }
        if (difference.count_ == 0) return difference;
        difference.smallest_ = (std::max)(difference.smallest_, smallest_);
        difference.largest_ = (std::min)(difference.largest_, largest_);
        difference.sum_ = (std::max)(0.0, sum_ - earlier.sum_);
        return difference;
    }

    // How many of the values are at most `value`. Exact for every n * 2^k with n <= 64, so up to 64 and for powers of
    // two; otherwise those of the last 1/32 below `value` may be missing. Beyond 71 minutes, or 4.3e12 items, a value
    // counts as larger than any. What it returns for one `value` never falls: a Prometheus histogram can be made of it.
    // Complexity: the number of buckets, about 1,000.
    std::uint64_t count_up_to(T value) const noexcept {
        const std::uint64_t v = to_integer(value);
        const std::size_t own = bucket_of(v);
        const std::size_t end = largest_in(own) == v ? own + 1 : own;
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < end; ++i) count += buckets_[i];
        return count;
    }

private:
    friend struct detail::DistributionAccess;

    // The values up to 64 have a bucket of their own; above, what lies between two powers of two, the larger included, is
    // cut into 32 buckets. So a batch of 256 is in the bucket that ends with 256, not in one that begins with it.
    static constexpr unsigned sub_bits = 5;
    static constexpr std::uint64_t sub_buckets = std::uint64_t{1} << sub_bits;
    static constexpr std::uint64_t limit = std::uint64_t{1} << 42;  // 73 minutes, in nanoseconds

    static constexpr std::uint64_t most =  // that a T can be
        is_time ? static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)())
                : (std::numeric_limits<std::uint64_t>::max)();

    static std::size_t bucket_of(std::uint64_t value) noexcept {
        if (value == 0) return 0;
        const std::uint64_t before = (std::min)(value, limit) - 1;
        const auto width = static_cast<unsigned>(std::bit_width(before));
        if (width <= sub_bits + 1) return static_cast<std::size_t>(before + 1);
        const unsigned shift = width - sub_bits - 1;
        return static_cast<std::size_t>(shift * sub_buckets + (before >> shift) + 1);
    }

    static std::uint64_t largest_in(std::size_t bucket) noexcept {
        if (bucket <= 2 * sub_buckets) return bucket;
        if (bucket == bucket_count - 1) return (std::numeric_limits<std::uint64_t>::max)();
        const auto shift = static_cast<unsigned>((bucket - 1) / sub_buckets - 1);
        return (bucket - shift * sub_buckets) << shift;
    }

    static std::uint64_t smallest_in(std::size_t bucket) noexcept {
        return bucket == 0 ? 0 : largest_in(bucket - 1) + 1;
    }

    static std::uint64_t to_integer(T value) noexcept {
        if constexpr (is_time) {
            return value.count() < 0 ? 0 : static_cast<std::uint64_t>(value.count());
        } else {
            return static_cast<std::uint64_t>(value);
        }
    }
    static T from_integer(std::uint64_t value) noexcept {
        if constexpr (is_time) {
            return T(static_cast<typename T::rep>(value));
        } else {
            return static_cast<T>(value);
        }
    }

    static constexpr std::size_t bucket_count =
        (42 - sub_bits - 1) * sub_buckets + 2 * sub_buckets + 1;

    std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(bucket_count);
    std::uint64_t count_ = 0;
    std::uint64_t smallest_ = (std::numeric_limits<std::uint64_t>::max)();
    std::uint64_t largest_ = 0;
    double sum_ = 0;
};

}  // namespace batching
