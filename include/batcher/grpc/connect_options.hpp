// ConnectOptions: what a handle is told when it is made.
//
// Every field has a default. connect() checks them: a value outside its range throws
// std::invalid_argument naming the field and the value.
#pragma once

#include <batcher/grpc/tls.hpp>
#include <batcher/options.hpp>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc {

// How a handle calls its deployment. Every field has a default.
//
//     auto scorer = batching::grpc::connect<Params, double>(
//         "dns:///scorer:9000", "scorer", {.timeout = 2s, .idempotent = true});
struct ConnectOptions {
    // Longest that a caller waits, from its call on: in the handle's own queue, for a connection, and for the
    // result; more than 0. Then it fails with errc::deadline_exceeded, and its item leaves the deployment's
    // queue, if it waits there, as soon as all callers of that remote call have gone. CallOptions::timeout is
    // for one call, and only that is told to the deployment, where the item leaves the queue by itself.
    std::chrono::milliseconds timeout = std::chrono::seconds(30);

    // True: an item may be processed twice without harm. Then a call is sent again, at most `max_attempts`
    // times in all, when its connection broke, and when something between the handle and the deployment
    // failed it: with UNAVAILABLE, CANCELLED, INTERNAL or UNKNOWN, as a cluster's proxy does when a replica
    // dies.
    //
    // False: a call is sent again, until its deadline, only if none of its items was accepted: it never left,
    // a deployment that is stopping refused it, or gRPC cancelled it there before the deployment saw it. The
    // last is believed only where a deployment of this library answers to Describe, itself or by a proxy that
    // passes trailing metadata through; such a proxy must not cancel without a message what it has passed on.
    bool idempotent = false;
    std::size_t max_attempts = 5;  // of an idempotent call; 1 or more

    // Remote calls at the same time to each replica that the handle knows of; 1 to 65,536. While all are under
    // way, items gather for the next. With 2 a replica has the next items while it works; more only makes
    // calls smaller. Where the address does not tell the replicas (that of a proxy, say), to all of them.
    //
    // With several replicas, one that has no call gets what waits at once; one that works gets another only
    // when max_batch_size of the deployment's Batcher wait; and no call takes more than its share of all items,
    // unless that is less than such a batch. So batches stay large, and a replica that stands still holds up
    // the calls that it has, and no others.
    std::size_t calls_in_flight = 2;

    // Most items in one remote call; 1 or more.
    std::size_t max_items_per_call = 4096;

    // Most bytes in one message; what does not fit into one call is sent in several. At most what the
    // deployment accepts.
    std::size_t max_message_size = std::size_t{64} << 20U;

    // Most items that wait for a call, as Options::max_queue_size.
    std::size_t max_queue_size = no_limit;

    // Sent with every call: keys of a-z, 0-9, '-', '_' and '.', values of printable ASCII (any bytes, if
    // the key ends in -bin).
    std::vector<std::pair<std::string, std::string>> metadata = {};
    std::string token = {};  // as `authorization: Bearer <token>`

    std::optional<Tls> tls = {};  // none: no encryption
    Keepalive keepalive = {};     // how soon a silent deployment is found out
};

namespace detail {

// gRPC ends the process if it is given others.
inline void check_metadata_value(const std::string& name, std::string_view value) {
    for (std::size_t i = 0; i < value.size(); ++i) {
        const auto byte = static_cast<unsigned char>(value[i]);
        if (byte >= 0x20 && byte <= 0x7e) continue;
        throw std::invalid_argument(fmt::format(
            "{} must be printable ASCII, as metadata is, and has a byte of value {} at {}", name,
            byte, i));
    }
}
inline void check_metadata(const std::string& key, std::string_view value) {
    if (key.empty() ||
        key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") != std::string::npos) {
        throw std::invalid_argument(
            fmt::format("the key \"{}\" in metadata must be of a-z, 0-9, '-', '_' and '.'", key));
    }
    if (key.starts_with("grpc-")) {
        throw std::invalid_argument(
            fmt::format("the key \"{}\" in metadata is one of gRPC's own", key));
    }
    if (!key.ends_with("-bin")) {
        check_metadata_value(fmt::format("the value of \"{}\" in metadata", key), value);
    }
}

inline void check(const ConnectOptions& options) {
    using batching::detail::require_at_least_one;
    using batching::detail::require_between;
    require_at_least_one("max_attempts", options.max_attempts);
    require_between("calls_in_flight", options.calls_in_flight, batching::detail::max_slots);
    require_at_least_one("max_items_per_call", options.max_items_per_call);
    require_at_least_one("max_message_size", options.max_message_size);
    require_at_least_one("max_queue_size", options.max_queue_size);
    if (options.tls && options.tls->certificate.empty() != options.tls->private_key.empty()) {
        throw std::invalid_argument(
            "tls of a handle needs both a certificate and its private_key, or neither");
    }
    check(options.keepalive);
    check_metadata_value("token", options.token);
    for (const auto& [key, value] : options.metadata) check_metadata(key, value);
    if (options.timeout <= std::chrono::milliseconds::zero()) {
        throw std::invalid_argument(
            fmt::format("timeout must be more than 0, not {} ms", options.timeout.count()));
    }
}

}  // namespace detail
}  // namespace batching::grpc
