// connect: handles, and how they call.
//
// A handle IS a batching::Batcher, whose batch function is one remote call that carries a whole batch. So
// everything that batcher.hpp says holds for it: who may call, where callers resume, cancellation,
// destruction. It never waits for a batch to fill: what is there goes as soon as one of its
// `calls_in_flight` is free, and what comes meanwhile goes with the next. It is the deployment that waits,
// for the items of all of its clients.
//
// connect() returns at once, also while the deployment is down: the first call connects, and the handle
// reconnects by itself, after 0.1 to 1 s. Calls wait for the connection until their deadline; but they fail
// at once, with errc::unavailable and what to do, if the TLS of one of both ends is why there is none. Addresses are
// gRPC's: "unix:/run/scorer.sock", "scorer:9000", "dns:///scorer:9000" (all replicas behind the name),
// "ipv4:10.0.0.1:9000,10.0.0.2:9000".
//
// Replicas: one handle uses all of them, each by a connection of its own, from its first answer on
// (ConnectOptions::calls_in_flight says how calls are spread). A name is looked up again every 5 s while calls
// are made, and every second while one waits for a connection: so replicas that are added are found within
// seconds, and one that replaces another at once. A name that stands for nobody, and names that gRPC finds by
// itself ("dns://server/scorer:9000", "xds:"), are looked up by gRPC, whose connections then take turns.
//
// What a call asks for, process(item, {.timeout = 50ms, .priority = Priority::high}), holds in the handle's own
// queue and in the deployment's. Each item of a remote call takes along what is left of its timeout when the
// message is written (if the call is sent again, a little less is left than that says), and its priority. Over
// there it meets the items of all clients: higher ones overtake, an item whose time is over does not run, batches
// are made so that they meet the deadlines in them. Its caller fails at its deadline here, whatever is heard from
// there. Weights, keys and what is equal are the deployment's rules, and a deployment of an older version looks
// at no timeouts and priorities.
//
// Rules for a handle's batches, its remote calls, come after its options: batching::observe(f) is told of each (rules.hpp).
// With batching::trace(tracer) they have spans (trace.hpp), and each remote call has the metadata `traceparent`, the span of
// its batch, and `tracestate`, if that has one. If the callers of a batch are not all the same, each item takes along the
// context of its own; so the spans over there know the callers, of all clients. Without that rule nothing is sent.
//
// Errors of a call, each naming address and deployment: errc::deadline_exceeded, unavailable,
// schema_mismatch, unknown_deployment, unauthenticated, message_too_large, malformed, too_heavy, overloaded (the
// deployment's queue is full, or makes it hopeless to be in time, and Error::retry_after() is what it says of that;
// or that of a proxy before it is) and remote_failure, with what() of the exception
// over there. A call that fails as a whole fails all of its items. What a proxy between says, as a cluster's
// does, arrives as one of these, in its own words.
//
// Cancellation: when all callers of a remote call have gone, it is cancelled, and what still waits over
// there leaves the queue. Destroying a handle lets the calls under way end, at the latest after `timeout`.
//
// Threads: items are encoded by the thread that sends the call, which is a caller's or gRPC's, and results
// are decoded on gRPC's. Without an executor the handle owns one thread, for callers that have none.
#pragma once

#include <batcher/batcher.hpp>
#include <batcher/codec.hpp>
#include <batcher/detail/access.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <batcher/detail/runtime/rule_set.hpp>
#include <batcher/grpc/connect_options.hpp>
#include <batcher/grpc/detail/remote.hpp>
#include <batcher/grpc/detail/remote_runner.hpp>
#include <batcher/grpc/detail/unix_socket.hpp>
#include <batcher/rules.hpp>
#include <batcher/trace.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace batching::grpc {

namespace detail {

template <class In, class Out, class... Rules>
Batcher<In, Out> connect(asio::any_io_executor executor, std::string address, std::string name,
                         ConnectOptions options, Rules... rules) {
    static_assert((batching::detail::watches<Rules> && ...),
                  "the rules of a handle are batching::observe(f) and batching::trace(tracer): "
                  "weights, keys and what is equal are said where the model is deployed");
    batching::detail::check_codec<In>();
    batching::detail::check_codec<Out>();
    check(options);
    check_address(address);
    const Options batches{.max_batch_size = options.max_items_per_call,
                          .batch_timeout = std::chrono::nanoseconds::zero(),
                          .max_concurrent_batches = options.calls_in_flight,
                          .max_queue_size = options.max_queue_size};
    auto remote =
        std::make_shared<Remote>(std::move(address), std::move(name),
                                 batching::detail::call_schema<In, Out>(), std::move(options));
    auto handle = batching::detail::Access::make<In, Out>(
        std::move(executor), std::make_unique<RemoteRunner<In, Out>>(remote), batches,
        batching::detail::make_rules<In>(std::move(rules)...));
    remote->on_replicas([engine = std::weak_ptr(batching::detail::Access::engine(handle)),
                         remote = std::weak_ptr(remote), at_each = batches.max_concurrent_batches] {
        const auto to = engine.lock();
        const auto from = remote.lock();
        if (!to || !from) return;
        to->change([&] {
            batching::detail::with_patience([&] {
                to->machine().spread(from->replicas(), at_each, from->worth());
                return 0;
            });
        });
    });
    return handle;
}

}  // namespace detail

// A handle to a deployment that runs somewhere else, with one thread of its own; nothing is deployed.
//
//     auto scorer = batching::grpc::connect<Params, double>("dns:///scorer:9000", "scorer");
//     double y = co_await scorer.process(item);       // the same as with a Batcher in this process
//
// `rules` are batching::observe(f) and batching::trace(tracer), or nothing.
// Throws std::invalid_argument for an option out of range, an address that is empty or too long, or a PEM file that
// cannot be read; never because a deployment is down.
template <class In, class Out, class... Rules>
Batcher<In, Out> connect(std::string address, std::string name, ConnectOptions options = {},
                         Rules... rules) {
    return detail::connect<In, Out>({}, std::move(address), std::move(name), std::move(options),
                                    std::move(rules)...);
}

// A handle to a deployment that runs somewhere else. Callers without an executor of their own resume on `executor`. A
// call under way counts as work there.
template <class In, class Out, batching::detail::Executor Executor, class... Rules>
Batcher<In, Out> connect(Executor executor, std::string address, std::string name,
                         ConnectOptions options = {}, Rules... rules) {
    return detail::connect<In, Out>(asio::any_io_executor(std::move(executor)), std::move(address),
                                    std::move(name), std::move(options), std::move(rules)...);
}

// A handle to a deployment that runs somewhere else, on the executor of an io_context, a thread_pool or the like.
template <class In, class Out, batching::detail::ExecutionContext Context, class... Rules>
Batcher<In, Out> connect(Context& context, std::string address, std::string name,
                         ConnectOptions options = {}, Rules... rules) {
    // In full: else Asio's own connect<Protocol, Executor>() is considered too, which does not compile for these types.
    return grpc::connect<In, Out>(context.get_executor(), std::move(address), std::move(name),
                                  std::move(options), std::move(rules)...);
}

}  // namespace batching::grpc
