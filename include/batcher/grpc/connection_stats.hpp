// connection_stats: how a handle fares with its deployment, besides the stats() that it has as every Batcher.
//
// stats() of a handle: its calls, what became of them and how long they waited for a remote call; batch_size is how many
// items a remote call took along, run_time how long it took. Here is what went wrong on the way, and by what kind.
//
//     const batching::grpc::ConnectionStats stats = batching::grpc::connection_stats(handle);
//     page += batching::to_prometheus(handle.stats(), "web to digits");
//     page += batching::grpc::to_prometheus(stats, "web to digits");
//
// The name is not that of the deployment: what has one name is added up. The samples of the latter have the label
// batcher="<name>", too:
//
//   batcher_remote_calls_total       counter  remote calls that have ended, each with many items
//   batcher_remote_repeats_total     counter  times that one was sent again
//   batcher_remote_reconnects_total  counter  connections that were lost, and made again
//   batcher_remote_errors_total      counter  items that came back with an error, by its kind (`error`): the names of errc,
//                                             and other
//   batcher_remote_replicas          gauge    replicas that are known; 1 where they cannot be told apart
//
// How exact: counts never fall while the handle lives, but are not of one instant. A connection counts as lost when it has
// answered a call, and another finds it gone: one that goes and comes back between two calls is not seen, and neither is a
// replica that takes another's place at an address of its own.
#pragma once

#include <fmt/core.h>

#include <array>
#include <batcher/batcher.hpp>
#include <batcher/detail/access.hpp>
#include <batcher/detail/prometheus_page.hpp>
#include <batcher/error.hpp>
#include <batcher/grpc/detail/connection_counts.hpp>
#include <batcher/grpc/detail/remote.hpp>
#include <batcher/grpc/detail/remote_runner.hpp>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace batching::grpc {

// What has happened between a handle and its deployment, since the handle was made.
//
//     if (stats.errors(batching::errc::unavailable) != 0) ...
class ConnectionStats {
public:
    std::uint64_t calls = 0;       // remote calls that have ended, well or not
    std::uint64_t repeats = 0;     // times that one was sent again: idempotent, or not accepted
    std::uint64_t reconnects = 0;  // connections that a call found lost, and were made again
    std::size_t replicas = 0;      // now; 1 where they cannot be told apart

    // Items that came back with an error of this kind, or could not be sent. Those that nobody waited for are left out;
    // but not those whose callers have just given up: errc::deadline_exceeded is also expired in stats(). What the handle
    // refuses itself, as its queue is full, is rejected in stats() and not here.
    std::uint64_t errors(errc kind) const noexcept {
        const auto place = static_cast<std::size_t>(kind);
        return place < errors_.size() ? errors_[place] : 0;
    }
    // The same, of what is no batching::Error, such as std::bad_alloc.
    std::uint64_t other_errors() const noexcept { return errors_[0]; }

private:
    explicit ConnectionStats(const detail::ConnectionCounts& counts, std::size_t known)
        : calls(counts.calls),
          repeats(counts.repeats),
          reconnects(counts.reconnects),
          replicas(known) {
        for (std::size_t i = 0; i < errors_.size(); ++i) errors_[i] = counts.errors[i];
    }

    template <class In, class Out>
    friend ConnectionStats connection_stats(const Batcher<In, Out>& handle);

    std::array<std::uint64_t, detail::error_kinds> errors_{};
};

// The figures of a handle that connect() has made. Any thread. Throws std::invalid_argument if it is no handle, but a Batcher
// with a function of its own. Complexity: a few loads, and a mutex for the number of replicas.
template <class In, class Out>
ConnectionStats connection_stats(const Batcher<In, Out>& handle) {
    const auto* runner = dynamic_cast<const detail::RemoteRunner<In, Out>*>(
        &batching::detail::Access::engine(handle)->runner());
    if (runner == nullptr) {
        throw std::invalid_argument(
            "connection_stats() is of a handle that connect() has made; this Batcher has a "
            "function "
            "of its own");
    }
    return ConnectionStats(runner->remote().counts, runner->remote().replicas());
}

// A page for Prometheus, as the beginning of this file lists it: to be put behind that of the handle's stats(). Any thread.
// Throws std::bad_alloc.
inline std::string to_prometheus(const ConnectionStats& stats, std::string_view name) {
    const std::string label = fmt::format("batcher=\"{}\"", batching::detail::escaped_label(name));
    batching::detail::PrometheusPage page;
    const auto one = [&](std::string family, std::string_view type, std::string_view help,
                         std::uint64_t value) {
        page.family("batcher_remote_" + std::move(family), type, help);
        page.sample(label, value);
    };
    one("calls_total", "counter", "Remote calls that have ended.", stats.calls);
    one("repeats_total", "counter", "Times that a remote call was sent again.", stats.repeats);
    one("reconnects_total", "counter", "Connections lost and made again.", stats.reconnects);
    one("replicas", "gauge", "Replicas that are known.", stats.replicas);

    page.family("batcher_remote_errors_total", "counter", "Items that failed, by their error.");
    const auto failed = [&](std::string_view error, std::uint64_t items) {
        page.sample(fmt::format("{},error=\"{}\"", label, error), items);
    };
    failed("overloaded", stats.errors(errc::overloaded));
    failed("result_count_mismatch", stats.errors(errc::result_count_mismatch));
    failed("deadline_exceeded", stats.errors(errc::deadline_exceeded));
    failed("schema_mismatch", stats.errors(errc::schema_mismatch));
    failed("unavailable", stats.errors(errc::unavailable));
    failed("unknown_deployment", stats.errors(errc::unknown_deployment));
    failed("unauthenticated", stats.errors(errc::unauthenticated));
    failed("message_too_large", stats.errors(errc::message_too_large));
    failed("malformed", stats.errors(errc::malformed));
    failed("remote_failure", stats.errors(errc::remote_failure));
    failed("too_heavy", stats.errors(errc::too_heavy));
    failed("other", stats.other_errors());
    return std::move(page).text();
}

}  // namespace batching::grpc
