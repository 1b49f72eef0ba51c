// Tls and Keepalive: what both ends of a connection are told, in DeployOptions and ConnectOptions.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>

namespace batching::grpc {

// For an encrypted connection: the names of PEM files, read once, by deploy() or connect(); std::invalid_argument
// names the one that cannot be read.
struct Tls {
    // Whom to trust. Of a handle: "" for the system's authorities. Of a deployment: "" for no matter who
    // calls; else every client needs a certificate that these have signed (mutual TLS).
    std::string root_certificates = {};

    // Who one is: required of a deployment; of a handle if the deployment asks for it.
    std::string certificate = {};
    std::string private_key = {};  // that of the certificate

    // Of a handle: the name in the deployment's certificate, if it is not that of the address.
    std::string server_name = {};
};

// How soon a silent peer is found out: after `interval` without a sign of life it is asked, and given up
// if it has not answered within `timeout`. An interval of 0: never. gRPC asks once a second at most, and a
// handle only what has once answered as a deployment of this library: other servers hang up when asked. So
// calls that a handle sent before its first answer are not watched; their timeout ends them.
//
// A server that is busy with all of its processors answers late, one that is frozen never, and only time
// tells one from the other: so by default a server may stand still for 10 s. A handle with `idempotent` waits
// at most a sixth and a third of its own `timeout`, so that a call to a frozen replica ends in time elsewhere.
struct Keepalive {
    std::chrono::milliseconds interval = std::chrono::seconds(2);  // without a sign of life
    std::chrono::milliseconds timeout = std::chrono::seconds(10);  // for the answer
};

namespace detail {

inline void check(const Keepalive& keepalive) {
    const auto require = [](const char* field, std::chrono::milliseconds value) {
        if (value >= std::chrono::milliseconds::zero()) return;
        throw std::invalid_argument(
            fmt::format("keepalive.{} must be 0 or more, not {} ms", field, value.count()));
    };
    require("interval", keepalive.interval);
    require("timeout", keepalive.timeout);
}

// As gRPC takes times: an int, of milliseconds.
inline int milliseconds_of(std::chrono::milliseconds time) noexcept {
    return static_cast<int>(
        std::min<std::chrono::milliseconds::rep>(time.count(), std::numeric_limits<int>::max()));
}

// An argument of gRPC's channels that its headers have no name for: how long the answer to any ping may take, a minute by
// default. With gRPC 1.83 nothing else ends a connection with a silent peer, as the timer of its keepalive timeout is never
// started; 1.51 does not know it, and ignores it.
inline constexpr const char* ping_timeout_argument = "grpc.http2.ping_timeout_ms";

// `time` from now; a year at most, as the longest times cannot be added to now.
inline std::chrono::system_clock::time_point from_now(std::chrono::milliseconds time) noexcept {
    return std::chrono::system_clock::now() +
           std::min<std::chrono::milliseconds>(time, std::chrono::hours(24 * 365));
}

// Of a kind: "CERTIFICATE" or "PRIVATE KEY".
inline std::string read_pem(const std::string& file, const char* kind) {
    if (file.empty()) return {};
    std::ifstream in(file, std::ios::binary);
    std::string pem{std::istreambuf_iterator<char>(in), {}};
    if (!in || pem.empty()) {
        throw std::invalid_argument(fmt::format("the PEM file {} cannot be read", file));
    }
    if (pem.find("-----BEGIN ") == std::string::npos ||
        pem.find(fmt::format("{}-----", kind)) == std::string::npos) {
        throw std::invalid_argument(fmt::format(
            "the PEM file {} has no line \"-----BEGIN {}-----\": it is another file, or damaged",
            file, kind));
    }
    return pem;
}

}  // namespace detail
}  // namespace batching::grpc
