// Stats as bytes, as batcher/v1/deployment.proto has them, without generated code.
#pragma once

#include <algorithm>
#include <batcher/distribution.hpp>
#include <batcher/grpc/detail/distribution_wire.hpp>
#include <batcher/grpc/detail/protobuf.hpp>
#include <batcher/options.hpp>
#include <batcher/stats.hpp>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batching::grpc::detail::wire {

// Calls `visit(number, name, member)` for each field of batcher.v1.Stats: it is written, read and described to
// reflection by this list. What is added to Stats is added here and in the .proto, with the next number.
template <class S, class Visit>
    requires std::same_as<std::remove_const_t<S>, Stats>
void each_field(S& stats, Visit visit) {
    visit(1, "submitted", stats.submitted);
    visit(2, "completed", stats.completed);
    visit(3, "failed", stats.failed);
    visit(4, "rejected", stats.rejected);
    visit(5, "overloaded", stats.overloaded);
    visit(6, "cancelled", stats.cancelled);
    visit(7, "expired", stats.expired);
    visit(8, "deduplicated", stats.deduplicated);
    visit(9, "batches_full", stats.batches_full);
    visit(10, "batches_timeout", stats.batches_timeout);
    visit(11, "batches_flushed", stats.batches_flushed);
    visit(12, "batches_cut_by_weight", stats.batches_cut_by_weight);
    visit(13, "batches_cut_by_key", stats.batches_cut_by_key);
    visit(14, "batches_cut_by_deadline", stats.batches_cut_by_deadline);
    visit(15, "waiting", stats.waiting);
    visit(16, "running", stats.running);
    visit(17, "batch_size", stats.batch_size);
    visit(18, "batch_weight", stats.batch_weight);
    visit(19, "wait_time_ns", stats.wait_time);
    visit(20, "wait_time_high_ns", stats.wait_time_high);
    visit(21, "wait_time_low_ns", stats.wait_time_low);
    visit(22, "run_time_ns", stats.run_time);
    visit(23, "fixed_run_time_ns", stats.fixed_run_time);
    visit(24, "run_time_per_item_ns", stats.run_time_per_item);
    visit(25, "run_time_deviation", stats.run_time_deviation);
    visit(26, "options", stats.options);
    visit(27, "target_batch_size", stats.target_batch_size);
    visit(28, "least_batch_size", stats.least_batch_size);
    visit(29, "remote", stats.remote);
}

// The same of batcher.v1.Options.
template <class O, class Visit>
    requires std::same_as<std::remove_const_t<O>, Options>
void each_field(O& options, Visit visit) {
    visit(1, "max_batch_size", options.max_batch_size);
    visit(2, "batch_timeout_ns", options.batch_timeout);
    visit(3, "max_concurrent_batches", options.max_concurrent_batches);
    visit(4, "max_queue_size", options.max_queue_size);
    visit(5, "max_batch_weight", options.max_batch_weight);
    visit(6, "max_queue_weight", options.max_queue_weight);
    visit(7, "max_concurrent_batches_per_key", options.max_concurrent_batches_per_key);
    visit(8, "priority_aging_ns", options.priority_aging);
    visit(9, "latency_target_ns", options.latency_target);
}

// A member by its type: a count, a double, a time with a fraction of nanoseconds or without, a distribution, or the options.
using ExactTime = std::chrono::duration<double, std::nano>;

// ---- writing: what is as it is by default is left out, as protobuf's third version does --------------------

inline void write_member(std::string& out, unsigned number, std::integral auto value) {
    if (value != 0) write_number(out, number, static_cast<std::uint64_t>(value));
}
inline void write_member(std::string& out, unsigned number, double value) {
    if (value != 0) write_double(out, number, value);
}
inline void write_member(std::string& out, unsigned number, ExactTime value) {
    write_member(out, number, value.count());
}
inline void write_member(std::string& out, unsigned number, Timeout value) {
    write_member(out, number, std::chrono::nanoseconds(value).count());
}
template <class T>
void write_member(std::string& out, unsigned number, const Distribution<T>& value) {
    write_field(out, number, [&](std::string& message) { write_distribution(message, value); });
}
inline void write_member(std::string& out, unsigned number, const Options& value);

template <class Message>
void write_members(std::string& out, const Message& message) {
    each_field(message, [&](unsigned number, const char*, const auto& member) {
        write_member(out, number, member);
    });
}
inline void write_member(std::string& out, unsigned number, const Options& value) {
    write_field(out, number, [&](std::string& message) { write_members(message, value); });
}

// One of the deployments of a StatsResponse.
inline void write_deployment_stats(std::string& out, std::string_view deployment,
                                   std::string_view diagnosis, const Stats& stats) {
    write_field(out, 1, [&](std::string& entry) {
        write_bytes(entry, 1, deployment);
        write_bytes(entry, 2, diagnosis);
        write_field(entry, 3, [&](std::string& message) { write_members(message, stats); });
    });
}

// ---- reading: a field that is not there leaves what is by default ------------------------------------------

inline void read_member(const Field& field, std::integral auto& value) {
    value = static_cast<std::remove_reference_t<decltype(value)>>(field.value);
}
inline void read_member(const Field& field, double& value) {
    value = std::bit_cast<double>(field.bits);
}
inline void read_member(const Field& field, ExactTime& value) {
    value = ExactTime(std::bit_cast<double>(field.bits));
}
inline void read_member(const Field& field, Timeout& value) {
    constexpr auto longest = static_cast<std::uint64_t>(no_timeout.count());
    value = std::chrono::nanoseconds(std::min(field.value, longest));
}
template <class T>
void read_member(const Field& field, Distribution<T>& value) {
    if (field.delimited) read_distribution(field.bytes, value);
}
inline void read_member(const Field& field, Options& value);

template <class Message>
void read_members(std::string_view name, std::string_view bytes, Message& message) {
    Reader reader(name, bytes);
    for (Field field; reader.next(field);) {
        each_field(message, [&](unsigned number, const char*, auto& member) {
            if (number == field.number) read_member(field, member);
        });
    }
}
// Where there are options, those that are not there are 0, and not what they are by default.
inline void read_member(const Field& field, Options& value) {
    if (!field.delimited) return;
    each_field(value, [](unsigned, const char*, auto& member) { member = {}; });
    read_members("batcher.v1.Options", field.bytes, value);
}

// Calls `take(deployment, diagnosis, stats)` for each of the deployments of a StatsResponse.
template <class Take>
void read_stats_response(std::string_view bytes, Take take) {
    constexpr std::string_view message = "batcher.v1.StatsResponse";
    std::size_t left = 1000;  // Stats are large: a few bytes are not to become that many of them
    Reader reader(message, bytes);
    for (Field field; reader.next(field);) {
        if (field.number != 1 || !field.delimited) continue;
        if (left-- == 0) fail(message, "it has more than 1000 deployments");
        std::string_view deployment;
        std::string_view diagnosis;
        Stats stats;
        Reader entry("batcher.v1.DeploymentStats", field.bytes);
        for (Field part; entry.next(part);) {
            if (!part.delimited) continue;
            if (part.number == 1) deployment = part.bytes;
            if (part.number == 2) diagnosis = part.bytes;
            if (part.number == 3) read_members("batcher.v1.Stats", part.bytes, stats);
        }
        take(deployment, diagnosis, std::move(stats));
    }
}

}  // namespace batching::grpc::detail::wire
