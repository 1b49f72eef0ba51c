// Service: batcher.v1.Deployment on a gRPC server, as generated code would register it, for byte buffers.
#pragma once

#include <fmt/format.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <atomic>
#include <batcher/grpc/deploy_options.hpp>
#include <batcher/grpc/detail/active_calls.hpp>
#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/served.hpp>
#include <batcher/grpc/detail/status.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::grpc::detail {

class Service final : public ::grpc::Service {
public:
    Service(const DeployOptions& options, std::vector<std::unique_ptr<Served>> served)
        : options_(options), served_(std::move(served)) {
        add(process_method, &Service::process);
        add(describe_method, &Service::describe);
    }

    // No new calls from now on; what waits leaves without waiting for more.
    void stop() {
        stopping_.store(true);
        for (const auto& served : served_) served->flush();
    }

    ActiveCalls& active() noexcept { return active_; }
    const std::vector<std::unique_ptr<Served>>& served() const noexcept { return served_; }

private:
    using Context = ::grpc::CallbackServerContext;
    using Buffer = ::grpc::ByteBuffer;
    using Reactor = ::grpc::ServerUnaryReactor;
    using Method = Reactor* (Service::*)(Context&, const Buffer&, Buffer&);

    void add(const char* name, Method method) {
        using ::grpc::internal::RpcMethod;
        const int index = methods_++;
        // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): gRPC owns both
        AddMethod(new ::grpc::internal::RpcServiceMethod(name, RpcMethod::NORMAL_RPC, nullptr));
        MarkMethodRawCallback(
            index, new ::grpc::internal::CallbackUnaryHandler<Buffer, Buffer>(
                       [this, method](Context* context, const Buffer* request, Buffer* reply) {
                           return (this->*method)(*context, *request, *reply);
                       }));
    }

    Reactor* process(Context& context, const Buffer& bytes, Buffer& reply) {
        try {
            admit(context);
            const Contiguous request(bytes);
            return process(context, wire::read_request(request.view(), options_.max_items_per_call),
                           reply);
        } catch (...) {
            return refuse(context, status_of(std::current_exception()));
        }
    }

    Reactor* process(Context& context, const wire::ProcessRequest& request, Buffer& reply) {
        Served& served = find(request.deployment);
        context.AddTrailingMetadata(batch_size_mark, served.batch_size());
        if (!request.schema.empty() && request.schema != served.schema()) {
            throw Error(errc::schema_mismatch,
                        fmt::format("the handle's types are {}, and the deployment's are {}",
                                    request.schema, served.schema()));
        }
        Reactor* const call = served.process(request, reply, active_, options_);
        if (stopping_.load()) served.flush();
        return call;
    }

    Reactor* describe(Context& context, const Buffer&, Buffer& reply) {
        try {
            admit(context);
        } catch (...) {
            return refuse(context, status_of(std::current_exception()));
        }
        std::string bytes;
        for (const auto& served : served_) {
            wire::write_description(
                bytes, {served->name(), served->schema(), options_.max_items_per_call});
        }
        reply = to_buffer(std::move(bytes));
        return refuse(context, ::grpc::Status::OK);
    }

    // Throws if the call is not to be answered.
    void admit(Context& context) {
        context.AddTrailingMetadata(deployment_mark, "1");
        if (stopping_.load()) {
            context.AddTrailingMetadata(not_accepted_mark, "1");
            throw Error(errc::unavailable, "the deployment is stopping");
        }
        if (options_.accepts_token && !options_.accepts_token(token_of(context))) {
            throw Error(errc::unauthenticated, "the token is missing or not accepted");
        }
    }

    static std::string_view token_of(const Context& context) {
        constexpr std::string_view scheme = "Bearer ";
        const auto& metadata = context.client_metadata();
        const auto found = metadata.find("authorization");
        if (found == metadata.end()) return {};
        const std::string_view value(found->second.data(), found->second.size());
        return value.starts_with(scheme) ? value.substr(scheme.size()) : std::string_view();
    }

    Served& find(std::string_view name) const {
        std::string names;
        for (const auto& served : served_) {
            if (served->name() == name) return *served;
            names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", served->name());
        }
        throw Error(errc::unknown_deployment,
                    fmt::format("no deployment \"{}\" is served here, but {}", name, names));
    }

    static Reactor* refuse(Context& context, const ::grpc::Status& status) {
        Reactor* const reactor = context.DefaultReactor();
        reactor->Finish(status);
        return reactor;
    }

    const DeployOptions& options_;
    const std::vector<std::unique_ptr<Served>> served_;
    std::atomic<bool> stopping_{false};
    ActiveCalls active_;
    int methods_ = 0;
};

}  // namespace batching::grpc::detail
