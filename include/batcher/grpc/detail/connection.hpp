// Connection: a gRPC channel, how it is made, and how it goes.
#pragma once

#include <grpc/grpc.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <atomic>
#include <batcher/grpc/connect_options.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

// Where channels are destroyed. gRPC joins the threads that call back when its last channel goes: on such
// a thread it would wait for itself. And a handle's last reference is dropped by whoever comes last, which
// may be a callback, ours or one of the program's own. So a thread does nothing else.
//
// It is never destroyed, as a handle of static storage duration may come after everything else. At the end
// of the program its thread is joined; channels that come later are kept, and go with the process.
class Undertaker {
public:
    static void take(std::shared_ptr<::grpc::Channel> channel) {
        instance().bury(std::move(channel));
    }

    // Once a channel is made, or a server with TLS: then its thread ends before gRPC and OpenSSL clean up at
    // exit. OpenSSL, which comes with the first that has TLS, frees what belongs to gRPC's threads: those
    // must not end after that, as they do when their last channel goes.
    static void join_at_exit(bool tls) {
        const auto close = [] { instance().close(); };
        [[maybe_unused]] static const int with_first = std::atexit(close);
        if (!tls) return;
        [[maybe_unused]] static const int with_first_tls = std::atexit(close);
    }

private:
    Undertaker() = default;

    static Undertaker& instance() {
        static Undertaker& undertaker = *new Undertaker;
        return undertaker;
    }

    // One thread for the channels that go at about the same time.
    void bury(std::shared_ptr<::grpc::Channel> channel) {
        const std::lock_guard lock(mutex_);
        channels_.push_back(std::move(channel));
        if (busy_ || closed_) return;
        if (thread_.joinable()) thread_.join();  // it has nothing more to do
        busy_ = true;
        thread_ = std::thread([this] { run(); });
    }

    void run() {
        std::unique_lock lock(mutex_);
        while (!channels_.empty()) {
            auto gone = std::move(channels_);
            channels_.clear();
            lock.unlock();
            gone.clear();
            lock.lock();
        }
        busy_ = false;
    }

    void close() {
        std::unique_lock lock(mutex_);
        closed_ = true;
        std::thread last = std::move(thread_);
        lock.unlock();
        if (last.joinable()) last.join();
    }

    std::mutex mutex_;
    std::vector<std::shared_ptr<::grpc::Channel>> channels_;
    std::thread thread_;
    bool busy_ = false;
    bool closed_ = false;
};

inline std::shared_ptr<::grpc::ChannelCredentials> channel_credentials(
    const std::optional<Tls>& tls) {
    if (!tls) return ::grpc::InsecureChannelCredentials();
    ::grpc::SslCredentialsOptions pem;
    pem.pem_root_certs = read_pem(tls->root_certificates, "CERTIFICATE");
    pem.pem_cert_chain = read_pem(tls->certificate, "CERTIFICATE");
    pem.pem_private_key = read_pem(tls->private_key, "PRIVATE KEY");
    return ::grpc::SslCredentials(pem);
}

// Of a handle. A call that may be sent again needs time for that.
inline Keepalive keepalive_of(const ConnectOptions& options) {
    Keepalive keepalive = options.keepalive;
    if (options.idempotent) {
        keepalive.interval = std::min(keepalive.interval, options.timeout / 6);
        keepalive.timeout = std::min(keepalive.timeout, options.timeout / 3);
    }
    return keepalive;
}

// `pings`: it is asked whether it is still there. `one`: it uses the first of its addresses that can be
// reached; else all of them, in turn.
inline ::grpc::ChannelArguments channel_arguments(const ConnectOptions& options, bool pings,
                                                  bool one) {
    ::grpc::ChannelArguments arguments;
    if (!one) arguments.SetServiceConfigJSON(R"({"loadBalancingConfig": [{"round_robin": {}}]})");
    arguments.SetMaxReceiveMessageSize(limit_of(options.max_message_size));
    arguments.SetMaxSendMessageSize(limit_of(options.max_message_size));
    // What is compressed may become any number of bytes, and is counted before.
    arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
    arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    // How long an attempt may take at least, where nobody refuses it: a busy server needs its time.
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    // So that new replicas are found within seconds of a connection's end.
    arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
    // Handles to one address have connections of their own, with their own settings.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // gRPC itself sends a call again that never reached the deployment; for that it keeps its bytes.
    arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, limit_of(options.max_message_size));
    if (pings) {
        const Keepalive keepalive = keepalive_of(options);
        arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds_of(keepalive.interval));
        arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds_of(keepalive.timeout));
        arguments.SetInt(ping_timeout_argument, milliseconds_of(keepalive.timeout));
        arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
        arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    }
    if (options.tls && !options.tls->server_name.empty()) {
        arguments.SetSslTargetNameOverride(options.tls->server_name);
    }
    return arguments;
}

// For one call, with what the options say that goes with each.
inline std::shared_ptr<::grpc::ClientContext> call_context(
    const ConnectOptions& options, std::chrono::system_clock::time_point deadline,
    bool wait_for_ready) {
    auto context = std::make_shared<::grpc::ClientContext>();
    context->set_deadline(deadline);
    context->set_wait_for_ready(wait_for_ready);
    for (const auto& [key, value] : options.metadata) context->AddMetadata(key, value);
    if (!options.token.empty()) context->AddMetadata("authorization", "Bearer " + options.token);
    return context;
}

// A channel, and what calls go through.
struct Connection {
    Connection(const std::string& address,
               const std::shared_ptr<::grpc::ChannelCredentials>& credentials,
               const ::grpc::ChannelArguments& arguments, bool tls)
        : channel(::grpc::CreateCustomChannel(address, credentials, arguments)),
          stub(std::make_unique<::grpc::GenericStub>(channel)) {
        Undertaker::join_at_exit(tls);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
        stub.reset();
        Undertaker::take(std::move(channel));
    }

    bool ready() const { return channel->GetState(false) == GRPC_CHANNEL_READY; }

    // As its calls meet it: one has been answered, which says whether it had been lost before.
    bool is_back() const noexcept { return met_.exchange(Met::answered) == Met::lost; }
    void not_ready() const noexcept {
        Met answered = Met::answered;
        met_.compare_exchange_strong(answered, Met::lost);
    }

    std::shared_ptr<::grpc::Channel> channel;
    std::unique_ptr<::grpc::GenericStub> stub;

private:
    enum class Met : std::uint8_t { nothing, answered, lost };
    mutable std::atomic<Met> met_{Met::nothing};
};

}  // namespace batching::grpc::detail
