// DeployOptions: what a deployment is told when it is made.
//
// Every field but `listen` has a default. deploy() checks them: a value outside its range throws
// std::invalid_argument naming the field and the value.
#pragma once

#include <algorithm>
#include <batcher/grpc/tls.hpp>
#include <batcher/options.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc {

// One address or several.
class Addresses {
public:
    // None.
    Addresses() = default;
    // One.
    Addresses(const char* address) : all_{address} {}
    // One.
    Addresses(std::string address) : all_{std::move(address)} {}
    // Several, in braces.
    Addresses(std::initializer_list<std::string> addresses) : all_(addresses) {}
    // Several.
    Addresses(std::vector<std::string> addresses) : all_(std::move(addresses)) {}

    // All of them, in their order.
    const std::vector<std::string>& all() const noexcept { return all_; }

private:
    std::vector<std::string> all_;
};

// Where a deployment listens, whom it answers, how much it takes. Every field but `listen` has a default.
//
//     auto deployment = batching::grpc::deploy(
//         {.listen = {"unix:/run/scorer.sock", "0.0.0.0:9000"}}, "scorer", model);
struct DeployOptions {
    // As gRPC writes them: "unix:/run/scorer.sock", "0.0.0.0:9000", "[::]:9000"; port 0: any free one. The
    // path of a unix socket, 98 bytes at most, is taken over from a deployment that listens there already.
    Addresses listen = {};

    std::optional<Tls> tls = {};  // none: no encryption

    // Called with the bearer token of each call ("" if there is none), on any thread; false: the call is
    // refused with UNAUTHENTICATED. Empty: everybody may call.
    std::function<bool(std::string_view token)> accepts_token = {};

    // Most bytes in one message, a request or a reply.
    std::size_t max_message_size = std::size_t{64} << 20U;

    // Most items in one call; 1 or more.
    std::size_t max_items_per_call = 65536;

    // Most calls at the same time on one connection; 1 or more. The others wait on the client's side.
    std::size_t max_calls_per_connection = 4096;

    // Most bytes that calls take. Twice that bounds the deployment's memory, besides that of its Batchers'
    // functions, and of what a client that holds a connection is owed (about 100 KiB each):
    //
    //     max_memory      for what is on its way in: gRPC's ResourceQuota over all connections
    //   + max_memory      for calls that are there: 24 KiB each, and twice the bytes of the request and about
    //                     200 bytes and sizeof(In) + sizeof(Out) for an item, then the bytes of the reply
    //   + 24 * max_message_size, if items are MessagePack, for each thread that decodes large requests (one
    //                     for four processors): what msgpack-cxx makes of the values of one item
    //
    // Values that take more memory than their bytes did, as a vector of empty vectors, do so on top. A call
    // that does not fit fails at once with RESOURCE_EXHAUSTED, errc::overloaded at a handle; one whose reply
    // does not, with INTERNAL, errc::remote_failure, as it has run. To make room, calls that have waited for
    // their client for longer than keepalive.timeout (for its message, for it to take the reply, or as watches
    // of the health) are cancelled first, the longest first: such clients cannot keep others out.
    //
    // What gRPC has no room for, it resets, also with RESOURCE_EXHAUSTED. Meanwhile it takes no new
    // connections, and may close those on which nothing is under way, also those of clients that did no harm:
    // a handle's calls wait for a connection until it takes some again, at most for their timeout
    // (errc::deadline_exceeded); those of other clients fail with UNAVAILABLE, unless they have
    // wait_for_ready. 0: 16 times max_message_size, and at least 256 MiB.
    std::size_t max_memory = 0;

    // How long stop() waits for what was accepted; then it is cancelled.
    std::chrono::milliseconds drain_timeout = std::chrono::seconds(30);

    // True: several processes may listen on one port, and the kernel deals out connections.
    bool share_port = false;

    // About how long a client keeps one connection; 0: for ever. Then it connects again, and looks the name
    // up again: that is how handles find replicas that were added. What is under way on the old one ends
    // there, and no call fails by it.
    std::chrono::milliseconds max_connection_age = std::chrono::seconds(30);

    Keepalive keepalive = {};  // how soon a silent client is found out
};

namespace detail {

inline std::size_t max_memory_of(const DeployOptions& options) noexcept {
    if (options.max_memory != 0) return options.max_memory;
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 32;
    return std::max(std::size_t{256} << 20U, 16 * std::min(options.max_message_size, most));
}

inline void check(const DeployOptions& options) {
    using batching::detail::require_at_least_one;
    require_at_least_one("the number of addresses in listen", options.listen.all().size());
    require_at_least_one("max_message_size", options.max_message_size);
    require_at_least_one("max_items_per_call", options.max_items_per_call);
    require_at_least_one("max_calls_per_connection", options.max_calls_per_connection);
    if (options.drain_timeout < std::chrono::milliseconds::zero()) {
        throw std::invalid_argument(fmt::format("drain_timeout must be 0 or more, not {} ms",
                                                options.drain_timeout.count()));
    }
    if (options.max_connection_age < std::chrono::milliseconds::zero()) {
        throw std::invalid_argument(fmt::format("max_connection_age must be 0 or more, not {} ms",
                                                options.max_connection_age.count()));
    }
    check(options.keepalive);
    if (max_memory_of(options) < options.max_message_size) {
        throw std::invalid_argument(
            fmt::format("max_memory must be at least max_message_size, {} bytes, not {}",
                        options.max_message_size, options.max_memory));
    }
    if (options.tls && (options.tls->certificate.empty() || options.tls->private_key.empty())) {
        throw std::invalid_argument("tls of a deployment needs a certificate and a private_key");
    }
}

}  // namespace detail
}  // namespace batching::grpc
