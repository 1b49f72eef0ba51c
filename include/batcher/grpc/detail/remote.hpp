// Remote: the deployment that a handle calls, as all of its calls share it.
#pragma once

#include <fmt/core.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <atomic>
#include <batcher/grpc/connect_options.hpp>
#include <batcher/grpc/detail/addresses.hpp>
#include <batcher/grpc/detail/aside.hpp>
#include <batcher/grpc/detail/connection.hpp>
#include <batcher/grpc/detail/connection_counts.hpp>
#include <batcher/grpc/detail/tls_probe.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

// A server of gRPC's hangs up on a client that pings it more often than it likes, by default once in five
// minutes, and the calls under way fail. So none is pinged that has not said that it may be: a deployment
// says so with each reply, and a handle that reads it goes on with other channels: those are pinged, and
// there is one for each replica, which it learns then, so that none is sent more than it can use.
//
// The channel of a replica knows the others, too, and uses the next that can be reached: so calls that no
// server has seen move on by themselves when theirs goes.
class Remote : public std::enable_shared_from_this<Remote> {
public:
    Remote(std::string where, std::string name, std::string types, ConnectOptions how)
        : address(std::move(where)),
          deployment(std::move(name)),
          schema(std::move(types)),
          options(std::move(how)),
          tls_probes(tls_probe(address, options)),
          credentials_(channel_credentials(options.tls)),
          to_look_up_(name_in(address)),
          connections_{connect(false)} {}
    Remote(const Remote&) = delete;
    Remote& operator=(const Remote&) = delete;
    ~Remote() = default;

    // To be called when `replicas` or `worth` may have changed. Before the first call.
    void on_replicas(std::function<void()> then) { on_replicas_ = std::move(then); }
    // How many there are, as far as they are known; and how many items are worth a call to one.
    std::size_t replicas() const {
        const std::lock_guard lock(mutex_);
        return connections_.size();
    }
    std::size_t worth() const noexcept { return worth_.load(std::memory_order_relaxed); }

    // What a call to replica `number` goes through, and keeps until it has ended.
    std::shared_ptr<const Connection> connection(std::size_t number) {
        std::unique_lock lock(mutex_);
        const auto connection = connections_[number % connections_.size()];
        lock.unlock();
        if (recognised() && to_look_up_) look_up_again(*connection);
        return connection;
    }
    bool uses(const Connection& connection) const {
        const std::lock_guard lock(mutex_);
        return std::any_of(connections_.begin(), connections_.end(),
                           [&](const auto& one) { return one.get() == &connection; });
    }

    // Whether it has been recognised as a deployment of this library.
    bool recognised() const noexcept { return recognised_.load(std::memory_order_relaxed); }

    // It has said what it is, and how many items are worth a call. Calls wait while the channels are made: one
    // more that goes through the other might be with a server that freezes.
    void recognise(std::size_t worth) {
        if (worth_.exchange(worth) == worth && recognised()) return;
        if (!recognised_.exchange(true)) {
            set_addresses(listed_in(address));
            if (to_look_up_) look_up_soon();
        }
        on_replicas_();
    }

    std::shared_ptr<::grpc::ClientContext> new_context(
        std::chrono::system_clock::time_point deadline, bool wait_for_ready) const {
        return call_context(options, deadline, wait_for_ready);
    }

    // A connection that there cannot be. Who asks through it is told at once if the key is unusable.
    std::shared_ptr<const Connection> to_nowhere() const {
        return std::make_shared<const Connection>("unix:/dev/null/nowhere", credentials_,
                                                  channel_arguments(options, false, true),
                                                  options.tls.has_value());
    }

    // Why the last attempt to connect failed; "" if there has been an answer since.
    std::string reason() const {
        const std::lock_guard lock(mutex_);
        return reason_;
    }
    void not_reached(const std::string& reason) {
        const std::lock_guard lock(mutex_);
        reason_ = reason;
        reached_.store(false, std::memory_order_relaxed);
    }
    void reached() {
        if (reached_.load(std::memory_order_relaxed)) return;
        const std::lock_guard lock(mutex_);
        reason_.clear();
        reached_.store(true, std::memory_order_relaxed);
    }

    // The beginning of every sentence about it.
    std::string name() const {
        return fmt::format("the deployment \"{}\" at {}", deployment, address);
    }

    const std::string address;
    const std::string deployment;
    const std::string schema;
    const ConnectOptions options;
    ConnectionCounts counts;
    TlsProbes tls_probes;  // while there is no connection

private:
    using Steady = std::chrono::steady_clock;

    // To all that the address stands for; or to replica `number`.
    std::shared_ptr<const Connection> connect(bool pings,
                                              std::optional<std::size_t> number = {}) const {
        auto arguments = channel_arguments(options, pings, number.has_value());
        if (number && to_look_up_) {
            const auto& [host, port] = *to_look_up_;
            arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, fmt::format("{}:{}", host, port));
            if (options.tls && options.tls->server_name.empty()) {
                arguments.SetSslTargetNameOverride(host);
            }
        }
        return std::make_shared<const Connection>(number ? addresses_.from(*number) : address,
                                                  credentials_, arguments, options.tls.has_value());
    }

    void set_addresses(const Addresses& addresses) {
        const std::lock_guard lock(mutex_);
        const bool pings = options.keepalive.interval.count() > 0;
        const bool several = addresses.all.size() > 1;
        if (!several && connections_.size() == 1 && (!pings || pings_)) return;
        addresses_ = several ? addresses : Addresses();
        pings_ = pings;
        std::vector<std::shared_ptr<const Connection>> made;
        if (!several) made.push_back(connect(pings));
        for (std::size_t i = 0; i < addresses_.all.size(); ++i) made.push_back(connect(pings, i));
        connections_ = std::move(made);
    }

    // While calls are made, every 5 s; and every second while there is no connection.
    void look_up_again(const Connection& connection) {
        const auto since = Steady::now().time_since_epoch() - looked_up_.load();
        if (since < std::chrono::seconds(1)) return;
        if (since < std::chrono::seconds(5) && connection.ready()) return;
        look_up_soon();
    }
    void look_up_soon() {
        if (looking_up_.exchange(true)) return;
        const bool started = Aside::start([name = *to_look_up_] { return look_up(name); },
                                          [weak = weak_from_this()](const Addresses& found) {
                                              if (const auto self = weak.lock())
                                                  self->looked_up(found);
                                          });
        if (!started) looking_up_ = false;
    }
    void looked_up(const Addresses& found) {
        looked_up_ = Steady::now().time_since_epoch();
        looking_up_ = false;
        if (found.all.empty() || !are_new(found)) return;
        set_addresses(found);
        on_replicas_();
    }
    bool are_new(const Addresses& found) const {
        const std::lock_guard lock(mutex_);
        return found != addresses_;
    }

    const std::shared_ptr<::grpc::ChannelCredentials> credentials_;
    const std::optional<HostAndPort> to_look_up_;
    std::function<void()> on_replicas_ = [] {};

    std::atomic<bool> recognised_{false};
    std::atomic<std::size_t> worth_{1};
    std::atomic<bool> looking_up_{false};
    std::atomic<Steady::duration> looked_up_{};

    mutable std::mutex mutex_;
    Addresses
        addresses_;  // of the replicas; none if there is one channel for all that the address stands for
    bool pings_ = false;
    std::vector<std::shared_ptr<const Connection>> connections_;
    std::atomic<bool> reached_{false};
    std::string reason_ = "there was no answer to an attempt to connect";
};

}  // namespace batching::grpc::detail
