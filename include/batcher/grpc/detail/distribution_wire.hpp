// batcher.v1.Distribution as bytes: the buckets of a batching::Distribution that hold something, so that nothing is
// lost and the receiver can subtract one from another.
#pragma once

#include <fmt/core.h>

#include <batcher/detail/distribution_access.hpp>
#include <batcher/distribution.hpp>
#include <batcher/grpc/detail/protobuf.hpp>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace batching::grpc::detail::wire {

using DistributionAccess = batching::detail::DistributionAccess;

inline constexpr std::string_view distribution_message = "batcher.v1.Distribution";

template <class T>
void write_distribution(std::string& out, const Distribution<T>& distribution) {
    if (distribution.count() == 0) return;
    distribution.for_each_bucket([&](T at_most, std::uint64_t count) {
        write_field(out, 1, [&](std::string& bucket) {
            write_number(bucket, 1, DistributionAccess::integer(distribution, at_most));
            write_number(bucket, 2, count);
        });
    });
    write_double(out, 2, DistributionAccess::sum(distribution));
    write_number(out, 3, DistributionAccess::smallest(distribution));
    write_number(out, 4, DistributionAccess::largest(distribution));
}

template <class T>
void read_bucket(std::string_view bytes, Distribution<T>& to) {
    constexpr std::uint64_t most_values = std::uint64_t{1} << 62U;
    std::uint64_t at_most = 0;
    std::uint64_t count = 0;
    Reader reader("batcher.v1.Bucket", bytes);
    for (Field field; reader.next(field);) {
        if (field.delimited) continue;
        if (field.number == 1) at_most = field.value;
        if (field.number == 2) count = field.value;
    }
    if (count > most_values - to.count()) fail(distribution_message, "it has too many values");
    DistributionAccess::add(to, at_most, count);
}

// What the wire may say and no Distribution can hold is refused: its figures are computed with.
template <class T>
void read_distribution(std::string_view bytes, Distribution<T>& to) {
    if (to.count() != 0) fail(distribution_message, "it is there twice");
    double sum = 0;
    std::uint64_t smallest = 0;
    std::uint64_t largest = 0;
    Reader reader(distribution_message, bytes);
    for (Field field; reader.next(field);) {
        if (field.number == 1 && field.delimited) read_bucket(field.bytes, to);
        if (field.number == 2) sum = std::bit_cast<double>(field.bits);
        if (field.number == 3) smallest = field.value;
        if (field.number == 4) largest = field.value;
    }
    if (to.count() == 0) return;
    if (!std::isfinite(sum) || sum < 0) {
        fail(distribution_message, fmt::format("its sum is {}", sum));
    }
    if (largest > DistributionAccess::most(to) ||
        !DistributionAccess::set(to, smallest, largest, sum)) {
        fail(distribution_message,
             fmt::format("its values are from {} to {}, and its buckets are not", smallest,
                         largest));
    }
}

}  // namespace batching::grpc::detail::wire
