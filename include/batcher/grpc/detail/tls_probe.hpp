// TlsProbe: whether the TLS of one of both ends is why there is no connection, where gRPC does not tell.
//
// gRPC says of a server that speaks TLS to a client without, and of one that refuses a client's certificate, what
// it says of any that hangs up: the socket was closed. So somebody else knocks, and looks at the server's
// first bytes: those of TLS 1.2 are not encrypted. (A client of gRPC's with TLS would not do: it sets up OpenSSL,
// and a program that ends just then ends with a crash.)
#pragma once

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <batcher/grpc/connect_options.hpp>
#include <batcher/grpc/detail/addresses.hpp>
#include <batcher/grpc/detail/aside.hpp>
#include <batcher/grpc/detail/tls_hello.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace batching::grpc::detail {

enum class TlsFound {
    nothing,              // that would be a mistake, or not known
    speaks_tls,           // and the client does not
    wants_certificate,    // and the client has none
    refuses_certificate,  // that of the client
};

#if defined(MSG_NOSIGNAL)
inline constexpr int no_signal = MSG_NOSIGNAL;
#else
inline constexpr int no_signal = 0;  // but an option of the socket
#endif

// A connection whose every step takes 2 s at most.
class Knock {
public:
    explicit Knock(const HostAndPort& at) {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        if (getaddrinfo(at.host.c_str(), at.port.c_str(), &hints, &found) != 0) return;
        for (const addrinfo* one = found; one != nullptr && socket_ < 0; one = one->ai_next) {
            open(*one);
        }
        freeaddrinfo(found);
    }
    Knock(const Knock&) = delete;
    Knock& operator=(const Knock&) = delete;
    ~Knock() { close(); }

    bool send(std::string_view bytes) const {
        return socket_ >= 0 && ::send(socket_, bytes.data(), bytes.size(), no_signal) ==
                                   static_cast<ssize_t>(bytes.size());
    }

    enum class Heard { something, nothing, end };
    Heard hear(tls::Answer& answer) const {
        std::array<char, 4096> bytes{};
        const ssize_t size = ::recv(socket_, bytes.data(), bytes.size(), 0);
        if (size > 0) answer.add({bytes.data(), static_cast<std::size_t>(size)});
        if (size > 0) return Heard::something;
        const bool in_vain =
            size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
        return in_vain ? Heard::nothing : Heard::end;
    }

private:
    void open(const addrinfo& to) {
        socket_ = ::socket(to.ai_family, to.ai_socktype, to.ai_protocol);
        if (socket_ < 0) return;
        fcntl(socket_, F_SETFD, FD_CLOEXEC);
        const timeval patience{2, 0};
        setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
#if defined(SO_NOSIGPIPE)
        const int yes = 1;
        setsockopt(socket_, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
        if (::connect(socket_, to.ai_addr, to.ai_addrlen) != 0) close();
    }
    void close() {
        if (socket_ >= 0) ::close(socket_);
        socket_ = -1;
    }

    int socket_ = -1;
};

struct TlsProbe {
    HostAndPort at;
    std::string server_name;        // in the server's certificate
    bool has_tls = false;           // the client that is not connected
    std::string certificates = {};  // its own, as in a PEM file

    // Blocks, for some seconds at most.
    TlsFound operator()() const {
        if (!has_tls) {
            tls::Answer answer;
            const Knock knock(at);
            greet(knock, answer);
            return answer.speaks() ? TlsFound::speaks_tls : TlsFound::nothing;
        }
        // Twice, as a server that stops just then hangs up, too.
        if (!refuses() || !refuses()) return TlsFound::nothing;
        return certificates.empty() ? TlsFound::wants_certificate : TlsFound::refuses_certificate;
    }

private:
    static constexpr int most_reads = 64;

    // Until it has said all that it says to a greeting.
    void greet(const Knock& knock, tls::Answer& answer) const {
        if (!knock.send(tls::hello(server_name))) return;
        for (int i = 0; i < most_reads && !answer.waits() && !answer.ends(); ++i) {
            if (knock.hear(answer) != Knock::Heard::something) return;
        }
    }

    // Whether it asks for a certificate and hangs up when it sees this one: else it waits for what comes next.
    bool refuses() const {
        tls::Answer answer;
        const Knock knock(at);
        greet(knock, answer);
        if (!answer.waits() || !answer.asks()) return false;
        if (!knock.send(tls::own_certificates(certificates))) return false;
        const auto heard = knock.hear(answer);
        return heard == Knock::Heard::end || answer.ends();
    }
};

// What is asked for a handle; nothing if its address does not say where: the first of a list, or a name, will do.
inline std::optional<TlsProbe> tls_probe(const std::string& address,
                                         const ConnectOptions& options) {
    const Addresses listed = listed_in(address);
    const auto at = host_and_port_in(listed.all.empty() ? address : listed.all.front());
    if (!at) return std::nullopt;
    const Tls tls = options.tls.value_or(Tls());
    std::string server_name = tls.server_name;
    if (server_name.empty() && !is_number(at->host)) server_name = at->host;
    return TlsProbe{*at, server_name, options.tls.has_value(),
                    read_pem(tls.certificate, "CERTIFICATE")};
}

// The probes of a handle: one a second at most, and only when somebody wants to know.
class TlsProbes {
public:
    explicit TlsProbes(std::optional<TlsProbe> probe) : probe_(std::move(probe)) {}

    // What was found within the last second. Does not block: who hears of nothing asks again.
    TlsFound found() {
        if (!probe_) return TlsFound::nothing;
        const std::lock_guard lock(last_->mutex);
        const bool is_recent =
            last_->at && std::chrono::steady_clock::now() - *last_->at < std::chrono::seconds(1);
        if (is_recent) return last_->found;
        if (!last_->under_way) last_->under_way = start();
        return TlsFound::nothing;
    }

private:
    struct Last {
        std::mutex mutex;
        bool under_way = false;
        std::optional<std::chrono::steady_clock::time_point> at;
        TlsFound found = TlsFound::nothing;
    };

    bool start() const {
        return Aside::start(*probe_, [last = last_](TlsFound found) {
            const std::lock_guard lock(last->mutex);
            last->under_way = false;
            last->at = std::chrono::steady_clock::now();
            last->found = found;
        });
    }

    const std::optional<TlsProbe> probe_;
    const std::shared_ptr<Last> last_ = std::make_shared<Last>();
};

}  // namespace batching::grpc::detail
