// Addresses: of the replicas behind an address of gRPC's, where that can be known.
#pragma once

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

// Of one family, as the scheme "ipv4" or "ipv6" names them.
struct Addresses {
    std::string scheme;
    std::vector<std::string> all;

    // All of them, `first` first.
    std::string from(std::size_t first) const {
        std::string list;
        for (std::size_t i = 0; i < all.size(); ++i) {
            list += i == 0 ? "" : ",";
            list += all[(first + i) % all.size()];
        }
        return scheme + ':' + list;
    }
    friend bool operator==(const Addresses&, const Addresses&) = default;
};

// Those that an address lists itself, "ipv4:10.0.0.1:9000,10.0.0.2:9000"; none of any other.
inline Addresses listed_in(const std::string& address) {
    Addresses listed{address.substr(0, 4), {}};
    if (listed.scheme != "ipv4" && listed.scheme != "ipv6") return {};
    if (address.size() < 5 || address[4] != ':') return {};
    for (std::size_t from = 5; from <= address.size();) {
        const std::size_t to = std::min(address.find(',', from), address.size());
        listed.all.push_back(address.substr(from, to - from));
        from = to + 1;
    }
    return listed;
}

// A name to look up.
struct HostAndPort {
    std::string host;
    std::string port;
};

// Those in "scorer:9000", "[::1]:9000" and "dns:///scorer:9000"; none if gRPC has to find the replicas itself, as in
// "dns://server/scorer:9000" and with other schemes.
inline std::optional<HostAndPort> host_and_port_in(std::string_view address) {
    if (address.starts_with("dns:")) {
        address.remove_prefix(4);
        if (address.starts_with("///")) address.remove_prefix(3);
    }
    if (address.find('/') != std::string_view::npos) return std::nullopt;
    for (const std::string_view scheme :
         {"unix:", "unix-abstract:", "vsock:", "ipv4:", "ipv6:", "xds:", "google-c2p:"}) {
        if (address.starts_with(scheme)) return std::nullopt;
    }
    const std::size_t colon = address.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    return HostAndPort{std::string(host), std::string(address.substr(colon + 1))};
}

inline bool is_number(const std::string& host) {
    in6_addr number{};  // with room for either
    return inet_pton(AF_INET, host.c_str(), &number) == 1 ||
           inet_pton(AF_INET6, host.c_str(), &number) == 1;
}

// The same of a name only, which may come to stand for others.
inline std::optional<HostAndPort> name_in(std::string_view address) {
    auto name = host_and_port_in(address);
    return name && is_number(name->host) ? std::nullopt : name;
}

// Blocks. None if the name stands for nobody; of the family that has more of them, if it has both.
inline Addresses look_up(const HostAndPort& name) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(name.host.c_str(), name.port.c_str(), &hints, &found) != 0) return {};
    Addresses v4{"ipv4", {}};
    Addresses v6{"ipv6", {}};
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        char text[INET6_ADDRSTRLEN] = {};
        if (one->ai_family == AF_INET) {
            const auto& socket = reinterpret_cast<const sockaddr_in&>(*one->ai_addr);
            inet_ntop(AF_INET, &socket.sin_addr, text, sizeof text);
            v4.all.push_back(fmt::format("{}:{}", text, ntohs(socket.sin_port)));
        } else if (one->ai_family == AF_INET6) {
            const auto& socket = reinterpret_cast<const sockaddr_in6&>(*one->ai_addr);
            inet_ntop(AF_INET6, &socket.sin6_addr, text, sizeof text);
            v6.all.push_back(fmt::format("[{}]:{}", text, ntohs(socket.sin6_port)));
        }
    }
    freeaddrinfo(found);
    Addresses& most = v6.all.size() > v4.all.size() ? v6 : v4;
    std::sort(most.all.begin(), most.all.end());
    most.all.erase(std::unique(most.all.begin(), most.all.end()), most.all.end());
    return most;
}

}  // namespace batching::grpc::detail
