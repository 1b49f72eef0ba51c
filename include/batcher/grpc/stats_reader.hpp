// StatsReader: what the Batchers of a deployment do, seen from any other process.
//
// It asks batcher.v1.Deployment/Stats. Who may call a deployment may ask it; figures are of one instant for each Batcher,
// and at most 10 ms old, so that asking costs a Batcher next to nothing, however often it is done. They are of all time
// since the Batcher was made: what came between two looks is the difference of counts, and Distribution::since.
//
// Of an address with several replicas it is one of them that answers, the same as long as it can be reached. Figures
// that start anew, at 0, are those of a deployment that was started anew, or of another one.
//
// Threads: any thread may read at any time, but not a callback of gRPC's, which would wait for itself.
#pragma once

#include <fmt/core.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <batcher/error.hpp>
#include <batcher/grpc/connect_options.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/connection.hpp>
#include <batcher/grpc/detail/stats_wire.hpp>
#include <batcher/grpc/detail/status.hpp>
#include <batcher/grpc/detail/tls_mistake.hpp>
#include <batcher/grpc/detail/tls_probe.hpp>
#include <batcher/grpc/detail/unix_socket.hpp>
#include <batcher/stats.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc {

// The figures of one of the Batchers that a deployment serves.
struct DeploymentStats {
    std::string deployment;  // the name that it is served by
    std::string diagnosis;   // a sentence: what limits its batches, and what to try; or ""
    Stats stats;             // what a deployment of an older version does not tell is 0
};

// Asks a deployment for the figures of its Batchers, as often as one likes.
//
//     batching::grpc::StatsReader reader{"unix:/run/scorer.sock"};
//     for (const auto& [name, diagnosis, stats] : reader.read()) fmt::print("{}\n{}\n", name, stats);
class StatsReader {
public:
    // Returns at once; the first read() connects. The address is one that connect() takes, and of the options it uses
    // timeout, max_message_size, metadata, token and tls. Throws std::invalid_argument as connect() does.
    explicit StatsReader(std::string address, ConnectOptions options = {})
        : address_(std::move(address)), options_(std::move(options)) {
        detail::check(options_);
        detail::check_address(address_);
        probe_ = detail::tls_probe(address_, options_);
        connection_ = std::make_unique<const detail::Connection>(
            address_, detail::channel_credentials(options_.tls),
            detail::channel_arguments(options_, false, true), options_.tls.has_value());
    }

    // An entry for each Batcher, in the order of deploy(). Blocks until they are there, for as long as the timeout at
    // most. Throws Error with address and reason: errc::unavailable, at once, if nobody answers; unknown_deployment if
    // it is no deployment or one of an older version; unauthenticated, overloaded, message_too_large,
    // deadline_exceeded, malformed, or remote_failure for what only a proxy says. After that it may be tried again.
    std::vector<DeploymentStats> read() const {
        ::grpc::ByteBuffer reply;
        const ::grpc::Status status = call(reply);
        if (!status.ok()) throw error(status);
        try {
            std::vector<DeploymentStats> all;
            detail::wire::read_stats_response(
                detail::Contiguous(reply).view(),
                [&](std::string_view deployment, std::string_view diagnosis, Stats stats) {
                    all.push_back(
                        {std::string(deployment), std::string(diagnosis), std::move(stats)});
                });
            return all;
        } catch (const Error& unreadable) {
            throw Error(errc::malformed, sentence(unreadable.what()));
        }
    }

private:
    ::grpc::Status call(::grpc::ByteBuffer& reply) const {
        const auto context =
            detail::call_context(options_, detail::from_now(options_.timeout), false);
        const ::grpc::ByteBuffer nothing = detail::to_buffer({});
        const auto ended = std::make_shared<std::promise<::grpc::Status>>();
        connection_->stub->UnaryCall(
            context.get(), detail::stats_method, {}, &nothing, &reply,
            [ended](::grpc::Status status) { ended->set_value(std::move(status)); });
        return ended->get_future().get();
    }

    Error error(const ::grpc::Status& status) const {
        using Code = ::grpc::StatusCode;
        const std::string& said = status.error_message();
        switch (status.error_code()) {
            case Code::UNIMPLEMENTED:
                return {errc::unknown_deployment,
                        sentence("what answers is no deployment, or one of an older version")};
            case Code::UNAUTHENTICATED:
            case Code::PERMISSION_DENIED:
                return {errc::unauthenticated, sentence(said)};
            case Code::RESOURCE_EXHAUSTED:
                return {detail::is_too_large(status) ? errc::message_too_large : errc::overloaded,
                        sentence(said)};
            case Code::DEADLINE_EXCEEDED:
                return {errc::deadline_exceeded,
                        sentence(fmt::format("there was no answer within {} ms",
                                             options_.timeout.count()))};
            case Code::UNAVAILABLE:
            case Code::CANCELLED:
                return {errc::unavailable, sentence(unavailable(said))};
            default:
                return {errc::remote_failure,
                        sentence(fmt::format("it failed with status {}: {}",
                                             static_cast<int>(status.error_code()), said))};
        }
    }
    std::string unavailable(const std::string& said) const {
        std::string mistake = detail::tls_mistake(said, options_);
        if (mistake.empty() && probe_) mistake = detail::tls_mistake((*probe_)(), options_);
        return mistake.empty() ? said : mistake;
    }
    std::string sentence(std::string_view why) const {
        return fmt::format("the figures of {} cannot be read: {}", address_, why);
    }

    std::string address_;
    ConnectOptions options_;
    std::optional<detail::TlsProbe> probe_;
    std::unique_ptr<const detail::Connection> connection_;
};

}  // namespace batching::grpc
