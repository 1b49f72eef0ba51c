// Server: a gRPC server with one Service on it, from the first address to the end of the last call.
#pragma once

#include <fmt/core.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <batcher/grpc/deploy_options.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/reflection.hpp>
#include <batcher/grpc/detail/remote.hpp>
#include <batcher/grpc/detail/service.hpp>
#include <batcher/grpc/detail/stop_signal.hpp>
#include <batcher/grpc/detail/unix_socket.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

inline std::shared_ptr<::grpc::ServerCredentials> server_credentials(
    const std::optional<Tls>& tls) {
    if (!tls) return ::grpc::InsecureServerCredentials();
    ::grpc::SslServerCredentialsOptions pem(
        tls->root_certificates.empty()
            ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
            : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    pem.pem_root_certs = read_pem(tls->root_certificates, "CERTIFICATE");
    pem.pem_key_cert_pairs.push_back(
        {read_pem(tls->private_key, "PRIVATE KEY"), read_pem(tls->certificate, "CERTIFICATE")});
    return ::grpc::SslServerCredentials(pem);
}

// Whether a server can be made with them: gRPC does not say why it makes none.
inline bool can_serve(const std::shared_ptr<::grpc::ServerCredentials>& credentials) {
    ::grpc::CallbackGenericService nothing;
    ::grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials);
    builder.RegisterCallbackGenericService(&nothing);
    return builder.BuildAndStart() != nullptr;
}

class Server {
public:
    Server(DeployOptions options, std::vector<std::unique_ptr<Served>> served)
        : options_(std::move(options)), service_(options_, std::move(served)) {
        listen();
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() { stop(); }

    void wait() {
        signal_.wait([this] { stop(); });
    }

    void stop() {
        signal_.stop();
        const std::lock_guard lock(stopping_);  // whoever comes second waits for the first
        if (std::exchange(stopped_, true)) return;
        service_.stop();
        drain();
    }

    const std::vector<std::string>& addresses() const noexcept { return addresses_; }

private:
    // Calls that arrive while gRPC shuts down it cancels itself, unseen, and handles send them again. So what
    // was accepted must never be cancelled, only given up here, item by item.
    void drain() {
        const auto end = from_now(options_.drain_timeout);
        std::thread shutdown([this, end] { server_->Shutdown(end + std::chrono::seconds(5)); });
        if (!service_.active().wait_until_none(end)) {
            service_.active().give_up_all();
        }
        shutdown.join();
        server_->Wait();
        service_.end();
    }

    void listen() {
        ::grpc::EnableDefaultHealthCheckService(false);  // ours is served instead
        ::grpc::ServerBuilder builder;
        configure(builder);
        addresses_ = options_.listen.all();
        for (const auto& address : addresses_) check_address(address);
        std::vector<int> ports(addresses_.size());
        const auto credentials = server_credentials(options_.tls);
        for (std::size_t i = 0; i < addresses_.size(); ++i) {
            builder.AddListeningPort(to_bind(addresses_[i]), credentials, &ports[i]);
        }
        service_.add_to(builder);
        listed_.add_to(builder);
        server_ = builder.BuildAndStart();
        Undertaker::join_at_exit(options_.tls.has_value());
        for (std::size_t i = 0; i < addresses_.size(); ++i) {
            if (!server_ || ports[i] == 0) {
                if (options_.tls && !can_serve(credentials)) fail_by_tls();
                fail(i, ports);
            }
            name_port(addresses_[i], ports[i]);
        }
        for (auto& socket : sockets_) socket.publish();
        service_.start();
    }

    std::string to_bind(const std::string& address) {
        std::string path = UnixSocket::path_of(address);
        return path.empty() ? address : sockets_.emplace_back(std::move(path)).address();
    }

    // The first address that has no port is the one that could not be bound.
    [[noreturn]] void fail(std::size_t index, const std::vector<int>& ports) const {
        while (index + 1 < ports.size() && ports[index] != 0) ++index;
        throw std::system_error(
            std::make_error_code(std::errc::address_not_available),
            fmt::format(
                "the deployment cannot listen on {}: the address is in use or wrong, or this "
                "process may not bind it",
                addresses_[index]));
    }

    [[noreturn]] void fail_by_tls() const {
        throw std::invalid_argument(
            fmt::format("the private key {} does not fit the certificate {}, or one of the PEM "
                        "files of tls is damaged",
                        options_.tls->private_key, options_.tls->certificate));
    }

    void configure(::grpc::ServerBuilder& builder) const {
        ::grpc::ResourceQuota quota;
        quota.Resize(max_memory_of(options_));
        builder.SetResourceQuota(quota);
        // A few bytes that are compressed may be any number, and are counted before they are that.
        for (const auto algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP}) {
            builder.SetCompressionAlgorithmSupportStatus(algorithm, false);
        }
        builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
        builder.SetMaxReceiveMessageSize(limit_of(options_.max_message_size));
        builder.SetMaxSendMessageSize(-1);  // replies are cut to size item by item
        builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, options_.share_port ? 1 : 0);
        builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                                   limit_of(options_.max_calls_per_connection));
        // Handles ask for a sign of life as often as they like.
        builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
        builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10);
        builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
        if (options_.max_connection_age.count() > 0) {
            builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                                       milliseconds_of(options_.max_connection_age));
        }
        if (options_.keepalive.interval.count() > 0) {
            builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                                       milliseconds_of(options_.keepalive.interval));
            builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                                       milliseconds_of(options_.keepalive.timeout));
            builder.AddChannelArgument(ping_timeout_argument,
                                       milliseconds_of(options_.keepalive.timeout));
            builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
        }
    }

    static void name_port(std::string& address, int port) {
        if (address.ends_with(":0") && !address.starts_with("unix:")) {
            address.replace(address.size() - 1, 1, std::to_string(port));
        }
    }

    const DeployOptions options_;
    Service service_;
    Listed listed_;
    std::vector<std::string> addresses_;
    std::deque<UnixSocket> sockets_;
    StopSignal signal_;
    std::mutex stopping_;
    bool stopped_ = false;
    std::unique_ptr<::grpc::Server> server_;
};

}  // namespace batching::grpc::detail
