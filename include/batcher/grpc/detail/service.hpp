// Service: batcher.v1.Deployment: whom it lets in, and what answers them.
#pragma once

#include <fmt/core.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <atomic>
#include <batcher/grpc/deploy_options.hpp>
#include <batcher/grpc/detail/active_calls.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/call_queue.hpp>
#include <batcher/grpc/detail/decoders.hpp>
#include <batcher/grpc/detail/health.hpp>
#include <batcher/grpc/detail/incoming_call.hpp>
#include <batcher/grpc/detail/served.hpp>
#include <batcher/grpc/detail/shortened.hpp>
#include <batcher/grpc/detail/stats_report.hpp>
#include <batcher/grpc/detail/status.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

class Service final : private CallReceiver {
public:
    Service(const DeployOptions& options, std::vector<std::unique_ptr<Served>> served)
        : CallReceiver(max_memory_of(options), options.keepalive.timeout),
          options_(options),
          served_(std::move(served)),
          health_(names_for_health()) {}
    ~Service() = default;

    void add_to(::grpc::ServerBuilder& builder) { calls_.add_to(builder); }
    // Once the server listens.
    void start() {
        decoders_.start();
        calls_.start(*this);
    }

    // No new calls from now on; what waits leaves without waiting for more.
    void stop() {
        health_.stop();
        stopping_.store(true);
        for (const auto& served : served_) served->flush();
    }

    // Once the server has been shut down.
    void end() { calls_.end(); }

    ActiveCalls& active() noexcept { return active_; }
    const std::vector<std::unique_ptr<Served>>& served() const noexcept { return served_; }

private:
    enum class Method : unsigned char { unknown, process, describe, stats, check, watch };

    static Method method_of(IncomingCall& call) {
        const std::string& name = call.context().method();
        if (name == process_method) return Method::process;
        if (name == describe_method) return Method::describe;
        if (name == stats_method) return Method::stats;
        if (name == health_check_method) return Method::check;
        if (name == health_watch_method) return Method::watch;
        return Method::unknown;
    }

    void arrived(IncomingCall& call) override {
        calls_.await_another(*this);
        const Method method = method_of(call);
        if (method == Method::unknown) {
            return call.refuse(::grpc::Status(::grpc::StatusCode::UNIMPLEMENTED, ""));
        }
        try {
            take_memory(call, IncomingCall::size_of_call);
            if (method != Method::check && method != Method::watch) admit(call);
        } catch (...) {
            return call.refuse(status_of(std::current_exception()));
        }
        call.read();
    }

    void has_read(IncomingCall& call) override {
        try {
            const std::size_t size = call.request().Length();
            take_memory(call, 2 * size);  // the bytes, and what becomes of them
            switch (method_of(call)) {
                case Method::check:
                    return health_.check(call);
                case Method::watch:
                    return health_.watch(call);
                case Method::describe:
                    return call.reply(description());
                case Method::stats:
                    return call.reply(stats_.bytes());
                default:
                    break;
            }
            refuse_if_stopping(call);
            if (size > read_at_once) return decoders_.add(call);
        } catch (...) {
            return call.refuse(status_of(std::current_exception()));
        }
        while (!step(call)) {
        }
    }

    void call_gone() noexcept override { calls_.call_gone(); }

    // Throws if the call is not to be read.
    void admit(IncomingCall& call) {
        auto& context = call.context();
        context.AddTrailingMetadata(deployment_mark, "1");
        refuse_if_stopping(call);
        if (!accepts(context)) {
            throw Error(errc::unauthenticated, "the token is missing or not accepted");
        }
    }

    void refuse_if_stopping(IncomingCall& call) const {
        if (!stopping_.load()) return;
        call.context().AddTrailingMetadata(not_accepted_mark, "1");
        throw Error(errc::unavailable, "the deployment is stopping");
    }

    void take_memory(IncomingCall& call, std::size_t bytes) const {
        if (call.take_memory(bytes)) return;
        throw Error(errc::overloaded,
                    fmt::format("the calls under way take all of the {} bytes of max_memory",
                                budget.limit()));
    }

    bool step(IncomingCall& call) {
        try {
            Answer* const answer = call.answer();
            return (answer != nullptr ? *answer : begin(call)).step();
        } catch (...) {
            call.refuse(status_of(std::current_exception()));
            return true;
        }
    }

    Answer& begin(IncomingCall& call) {
        Request request{Contiguous(call.request()), {}};
        request.fields = wire::read_request(request.bytes.view(), options_.max_items_per_call);
        Served& served = find(request.fields.deployment);
        call.context().AddTrailingMetadata(batch_size_mark, std::to_string(served.batch_size()));
        check_schema(request.fields.schema, served.schema());
        take_memory(call, request.fields.items.size() * served.item_size());
        return call.answer_by(served.answer(call, std::move(request), active_, options_));
    }

    static void check_schema(std::string_view theirs, const std::string& ours) {
        if (theirs.empty() || theirs == ours) return;
        const auto [handles, deployments] = shortened(theirs, ours);
        throw Error(errc::schema_mismatch,
                    fmt::format("the handle's types are {}, and the deployment's are {}", handles,
                                deployments));
    }

    std::vector<std::string> names_for_health() const {
        std::vector<std::string> names{"", service_name};  // "": of the server
        for (const auto& served : served_) names.push_back(served->name());
        return names;
    }

    std::string description() const {
        std::string bytes;
        for (const auto& served : served_) {
            wire::write_description(
                bytes, {served->name(), served->schema(), options_.max_items_per_call});
        }
        return bytes;
    }

    bool accepts(const ::grpc::ServerContext& context) const {
        if (!options_.accepts_token) return true;
        try {
            return options_.accepts_token(token_of(context));
        } catch (...) {
            return false;  // what it threw is no business of a stranger's
        }
    }

    // The scheme is the same in any case.
    static std::string_view token_of(const ::grpc::ServerContext& context) {
        constexpr std::string_view scheme = "bearer ";
        const auto& metadata = context.client_metadata();
        const auto found = metadata.find("authorization");
        if (found == metadata.end()) return {};
        const std::string_view value(found->second.data(), found->second.size());
        const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; };
        const bool bearer = std::ranges::equal(value.substr(0, scheme.size()), scheme, {}, lower);
        return bearer ? value.substr(scheme.size()) : std::string_view();
    }

    Served& find(std::string_view name) const {
        std::string names;
        for (const auto& served : served_) {
            if (served->name() == name) return *served;
            names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", served->name());
        }
        throw Error(errc::unknown_deployment,
                    fmt::format("no deployment \"{}\" is served here, but {}", shortened(name),
                                shortened(names)));
    }

    // Larger requests are read by threads that do nothing else.
    static constexpr std::size_t read_at_once = 64 * 1024;

    const DeployOptions& options_;
    const std::vector<std::unique_ptr<Served>> served_;
    std::atomic<bool> stopping_{false};
    StatsReport stats_{served_};
    Health health_;
    ActiveCalls active_;
    Decoders decoders_{[this](IncomingCall& call) { return step(call); }};
    CallQueue calls_;
};

}  // namespace batching::grpc::detail
