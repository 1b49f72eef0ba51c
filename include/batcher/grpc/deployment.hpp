// deploy and Deployment: how Batchers are served.
//
// Every item that any client sends goes into the one queue of its Batcher, so that a batch mixes the items
// of all of them. Items that do not fit a full queue are refused one by one, at once; the others of the
// same call run. When a client goes away, or its deadline passes, its waiting items leave the queue.
//
// An item comes with what is left of its caller's timeout, and with its priority: it is served as if it had been
// called for here with these CallOptions, from when the message is there. So are the Batcher's rules: weights add up,
// keys take turns and equal items share a place, whoever sends them. Any client may ask for a high priority:
// accepts_token says who may call at all.
//
// With batching::trace() (trace.hpp) the callers of a batch are those of its items: each item's own context, if the client
// has sent that, else the metadata `traceparent` and `tracestate` of its call, which any client may send.
//
// Clients are handles (connect.hpp) and any language's gRPC: the service is batcher.v1.Deployment, its
// .proto is installed with the headers. gRPC's health service answers for the name "", for the service's
// and for each deployment's. Where gRPC's reflection is installed, the server can be asked for its service.
//
// Stopping, at a signal or by stop(): health turns NOT_SERVING; new calls are refused with UNAVAILABLE and
// a mark by which handles know that they can send them elsewhere; what was accepted leaves without waiting
// for more and finishes, and is cancelled only after `drain_timeout`.
//
// Threads: all members may be called from any thread. Items are decoded, and results encoded, on gRPC's
// threads and on the one that finishes a batch; batches run where their Batchers run them. The deployment
// keeps no Batcher alive: those it serves outlive it.
#pragma once

#include <batcher/batcher.hpp>
#include <batcher/codec.hpp>
#include <batcher/grpc/deploy_options.hpp>
#include <batcher/grpc/detail/served.hpp>
#include <batcher/grpc/detail/server.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace batching::grpc {

// Batchers of this process, called from any other, until this is stopped or destroyed. deploy() makes it.
class [[nodiscard]] Deployment {
public:
    Deployment(Deployment&&) noexcept = default;
    Deployment& operator=(Deployment&&) noexcept = default;
    // stop().
    ~Deployment() = default;

    // Blocks until SIGINT, SIGTERM or stop(), then stops. While it stops, SIGINT does what it always did, and
    // SIGTERM nothing. Signals that come before this do what they always did; a program that blocks them
    // before it starts any thread loses none, as they are unblocked here.
    void wait() { server_->wait(); }

    // Returns when nothing runs any more. May be called often; not by a batch function of its own.
    void stop() { server_->stop(); }

    // Where it listens, with the port if 0 was asked for: what connect() takes.
    const std::string& address() const noexcept { return server_->addresses().front(); }
    // All of them, if it listens on several.
    const std::vector<std::string>& addresses() const noexcept { return server_->addresses(); }

private:
    template <class... Served>
    friend Deployment deploy(DeployOptions options, Served&&... served);

    explicit Deployment(std::unique_ptr<detail::Server> server) noexcept
        : server_(std::move(server)) {}

    std::unique_ptr<detail::Server> server_;
};

namespace detail {

using AllServed = std::vector<std::unique_ptr<Served>>;

inline void add_served(AllServed&) {}

template <class In, class Out, class Clock, class... Rest>
void add_served(AllServed& all, std::string name, Batcher<In, Out, Clock>& batcher,
                Rest&&... rest) {
    batching::detail::check_codec<In>();
    batching::detail::check_codec<Out>();
    for (const auto& other : all) {
        if (other->name() == name) {
            throw std::invalid_argument(fmt::format("two deployments have the name \"{}\"", name));
        }
    }
    all.push_back(std::make_unique<ServedBatcher<In, Out, Clock>>(std::move(name), batcher));
    add_served(all, std::forward<Rest>(rest)...);
}

}  // namespace detail

// Serves Batchers by name, on all addresses of `options`: deploy(options, "scorer", scorer, "ranker",
// ranker).
//
//     batching::Batcher model{score, {.max_batch_size = 256}};
//     auto deployment = batching::grpc::deploy({.listen = "unix:/run/scorer.sock"}, "scorer", model);
//     deployment.wait();                            // until SIGINT or SIGTERM; then it drains, and returns
//
// Throws std::invalid_argument for an option out of range or a PEM file that cannot be read, and
// std::system_error if it cannot listen on an address.
template <class... Served>
Deployment deploy(DeployOptions options, Served&&... served) {
    static_assert(
        sizeof...(Served) != 0 && sizeof...(Served) % 2 == 0,
        "deploy() takes its options, and then a name and a Batcher, once or several times");
    detail::check(options);
    detail::AllServed all;
    detail::add_served(all, std::forward<Served>(served)...);
    return Deployment(std::make_unique<detail::Server>(std::move(options), std::move(all)));
}

}  // namespace batching::grpc
