// DeployOptions: what a deployment is told when it is made.
//
// Every field but `listen` has a default. deploy() checks them: a value outside its range throws
// std::invalid_argument naming the field and the value.
#pragma once

#include <batcher/grpc/tls.hpp>
#include <batcher/options.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <initializer_list>
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
    Addresses() = default;
    Addresses(const char* address) : all_{address} {}
    Addresses(std::string address) : all_{std::move(address)} {}
    Addresses(std::initializer_list<std::string> addresses) : all_(addresses) {}
    Addresses(std::vector<std::string> addresses) : all_(std::move(addresses)) {}

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
    // path of a unix socket is taken over from a deployment that listens there already.
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
    if (options.tls && (options.tls->certificate.empty() || options.tls->private_key.empty())) {
        throw std::invalid_argument("tls of a deployment needs a certificate and a private_key");
    }
}

}  // namespace detail
}  // namespace batching::grpc
