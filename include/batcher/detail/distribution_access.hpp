// DistributionAccess: the parts of a Distribution, for what sends it to another process.
#pragma once

#include <algorithm>
#include <batcher/distribution.hpp>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

struct DistributionAccess {
    // All values as whole numbers, of items or nanoseconds. The smallest and largest mean something where there are any.
    template <class T>
    static std::uint64_t integer(const Distribution<T>&, T value) noexcept {
        return Distribution<T>::to_integer(value);
    }
    template <class T>
    static std::uint64_t smallest(const Distribution<T>& d) noexcept {
        return d.smallest_;
    }
    template <class T>
    static std::uint64_t largest(const Distribution<T>& d) noexcept {
        return d.largest_;
    }
    template <class T>
    static double sum(const Distribution<T>& d) noexcept {
        return d.sum_;
    }
    template <class T>
    static constexpr std::uint64_t most(const Distribution<T>&) noexcept {
        return Distribution<T>::most;
    }

    // `times` values more in the bucket of `value`.
    template <class T>
    static void add(Distribution<T>& d, std::uint64_t value, std::uint64_t times) noexcept {
        d.buckets_[Distribution<T>::bucket_of(value)] += times;
        d.count_ += times;
    }
    // What buckets do not tell of the values that have been added. False, and nothing is set, if these do not lie in the
    // first and the last of the buckets. Complexity: the number of buckets.
    template <class T>
    static bool set(Distribution<T>& d, std::uint64_t smallest, std::uint64_t largest,
                    double sum) noexcept {
        const auto holds = [](std::uint64_t count) { return count != 0; };
        const auto first = std::ranges::find_if(d.buckets_, holds);
        const auto last = std::find_if(d.buckets_.rbegin(), d.buckets_.rend(), holds);
        if (first == d.buckets_.end() || smallest > largest) return false;
        const auto bucket_of = [&](std::uint64_t value) {
            return d.buckets_.begin() + static_cast<std::ptrdiff_t>(d.bucket_of(value));
        };
        if (bucket_of(smallest) != first || bucket_of(largest) + 1 != last.base()) return false;
        d.smallest_ = smallest;
        d.largest_ = largest;
        d.sum_ = sum;
        return true;
    }
};

}  // namespace batching::detail
