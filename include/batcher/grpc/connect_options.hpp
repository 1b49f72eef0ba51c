// ConnectOptions: how a handle calls its deployment.
//
//     auto scorer = batching::grpc::connect<Params, double>(
//         "dns:///scorer:9000", "scorer", {.timeout = 2s, .idempotent = true});
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
#include <utility>
#include <vector>

namespace batching::grpc {

struct ConnectOptions {
    // Longest that one remote call takes, waiting for a connection included; more than 0. Then its items
    // fail with errc::deadline_exceeded, and the deployment drops those that wait there.
    std::chrono::milliseconds timeout = std::chrono::seconds(30);

    // True: an item may be processed twice without harm, so that a call whose connection broke is sent
    // again, at most `max_attempts` times in all. (A call that a deployment refused because it is stopping,
    // or that never left, is sent again in any case: none of its items was accepted.)
    bool idempotent = false;
    std::size_t max_attempts = 5;

    // Remote calls at the same time; 1 or more. While all are under way, items gather for the next. With 2
    // the deployment has the next items while it works; more only makes calls smaller.
    std::size_t calls_in_flight = 2;

    // Most items in one remote call; 1 or more.
    std::size_t max_items_per_call = 4096;

    // Most bytes in one message; what does not fit into one call is sent in several. At most what the
    // deployment accepts.
    std::size_t max_message_size = std::size_t{64} << 20U;

    // Most items that wait for a call, as Options::max_queue_size.
    std::size_t max_queue_size = no_limit;

    // Sent with every call.
    std::vector<std::pair<std::string, std::string>> metadata = {};
    std::string token = {};  // as `authorization: Bearer <token>`

    std::optional<Tls> tls = {};  // none: no encryption
    Keepalive keepalive = {};
};

namespace detail {

inline void check(const ConnectOptions& options) {
    using batching::detail::require_at_least_one;
    require_at_least_one("max_attempts", options.max_attempts);
    require_at_least_one("calls_in_flight", options.calls_in_flight);
    require_at_least_one("max_items_per_call", options.max_items_per_call);
    require_at_least_one("max_message_size", options.max_message_size);
    require_at_least_one("max_queue_size", options.max_queue_size);
    if (options.timeout <= std::chrono::milliseconds::zero()) {
        throw std::invalid_argument(
            fmt::format("timeout must be more than 0, not {} ms", options.timeout.count()));
    }
}

}  // namespace detail
}  // namespace batching::grpc
