// Reflection: a server that can be asked for its services, as grpcurl and others do.
//
// gRPC's reflection looks services up among the generated ones of the process. Ours is not generated, so
// its description is added to them here: batcher/v1/deployment.proto once more, as an object.
#pragma once

#if defined(BATCHER_GRPC_REFLECTION)

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/server_builder.h>

#include <batcher/grpc/detail/byte_buffer.hpp>
#include <batcher/grpc/detail/stats_wire.hpp>
#include <batcher/options.hpp>
#include <batcher/stats.hpp>
#include <concepts>
#include <string>

#if __has_include(<grpcpp/version_info.h>)
#include <grpcpp/version_info.h>
// Only those that it was tried with.
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR == 51
#define BATCHER_GRPC_LISTS
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/method_handler.h>
#endif
#endif

namespace batching::grpc::detail {

class DeploymentProto {
public:
    // Adds it to the process's descriptors, unless the program has generated code of it.
    static void add() {
        static const bool once = [] {
            const auto* pool = google::protobuf::DescriptorPool::generated_pool();
            if (pool->FindFileByName(name) != nullptr) return true;
            static const std::string bytes = DeploymentProto().file_.SerializeAsString();
            google::protobuf::DescriptorPool::InternalAddGeneratedFile(
                bytes.data(), static_cast<int>(bytes.size()));
            return true;
        }();
        static_cast<void>(once);
    }

private:
    using Field = google::protobuf::FieldDescriptorProto;
    using Message = google::protobuf::DescriptorProto;
    static constexpr const char* name = "batcher/v1/deployment.proto";

    DeploymentProto() {
        file_.set_name(name);
        file_.set_package("batcher.v1");
        file_.set_syntax("proto3");

        Message& process = message("ProcessRequest");
        field(process, 1, "deployment", Field::TYPE_STRING);
        field(process, 2, "schema", Field::TYPE_STRING);
        repeated(field(process, 3, "items", Field::TYPE_BYTES));
        repeated(field(process, 4, "timeouts_ns", Field::TYPE_UINT64));
        of_type(repeated(field(process, 5, "priorities", Field::TYPE_ENUM)), "Priority");
        repeated(field(process, 6, "trace_contexts", Field::TYPE_BYTES));
        of_type(repeated(field(message("ProcessResponse"), 1, "results")), "Result");

        Message& result = message("Result");
        result.add_oneof_decl()->set_name("outcome");
        field(result, 1, "value", Field::TYPE_BYTES).set_oneof_index(0);
        of_type(field(result, 2, "failure"), "Failure").set_oneof_index(0);

        Message& failure = message("Failure");
        field(failure, 1, "code", Field::TYPE_INT32);
        field(failure, 2, "message", Field::TYPE_STRING);

        field(failure, 3, "retry_after_ns", Field::TYPE_UINT64);

        auto& priority = *file_.add_enum_type();
        priority.set_name("Priority");
        for (const char* const level : {"PRIORITY_NORMAL", "PRIORITY_LOW", "PRIORITY_HIGH"}) {
            const int number = priority.value_size();
            auto& added = *priority.add_value();
            added.set_name(level);
            added.set_number(number);
        }

        message("DescribeRequest");
        of_type(repeated(field(message("DescribeResponse"), 1, "deployments")), "Description");
        Message& description = message("Description");
        field(description, 1, "deployment", Field::TYPE_STRING);
        field(description, 2, "schema", Field::TYPE_STRING);
        field(description, 3, "max_items", Field::TYPE_UINT64);

        add_stats();

        auto& service = *file_.add_service();
        service.set_name("Deployment");
        for (const std::string method : {"Process", "Describe", "Stats"}) {
            auto& added = *service.add_method();
            added.set_name(method);
            added.set_input_type(".batcher.v1." + method + "Request");
            added.set_output_type(".batcher.v1." + method + "Response");
        }
    }

    void add_stats() {
        message("StatsRequest");
        of_type(repeated(field(message("StatsResponse"), 1, "deployments")), "DeploymentStats");

        Message& deployment = message("DeploymentStats");
        field(deployment, 1, "deployment", Field::TYPE_STRING);
        field(deployment, 2, "diagnosis", Field::TYPE_STRING);
        of_type(field(deployment, 3, "stats"), "Stats");

        describe(Stats(), message("Stats"));
        describe(Options(), message("Options"));

        Message& distribution = message("Distribution");
        of_type(repeated(field(distribution, 1, "buckets")), "Bucket");
        field(distribution, 2, "sum", Field::TYPE_DOUBLE);
        field(distribution, 3, "smallest", Field::TYPE_UINT64);
        field(distribution, 4, "largest", Field::TYPE_UINT64);
        Message& bucket = message("Bucket");
        field(bucket, 1, "at_most", Field::TYPE_UINT64);
        field(bucket, 2, "count", Field::TYPE_UINT64);
    }

    template <class Described>
    static void describe(const Described& none, Message& message) {
        wire::each_field(none, [&](int number, const char* field_name, const auto& member) {
            describe(member, field(message, number, field_name));
        });
    }

    // By the type that a member of Stats has.
    static void describe(std::integral auto, Field& field) { field.set_type(Field::TYPE_UINT64); }
    static void describe(bool, Field& field) { field.set_type(Field::TYPE_BOOL); }
    static void describe(double, Field& field) { field.set_type(Field::TYPE_DOUBLE); }
    static void describe(wire::ExactTime, Field& field) { field.set_type(Field::TYPE_DOUBLE); }
    static void describe(Timeout, Field& field) { field.set_type(Field::TYPE_UINT64); }
    static void describe(const Options&, Field& field) { of_type(field, "Options"); }
    template <class T>
    static void describe(const Distribution<T>&, Field& field) {
        of_type(field, "Distribution");
    }

    Message& message(const char* message_name) {
        Message& added = *file_.add_message_type();
        added.set_name(message_name);
        return added;
    }
    static Field& field(Message& of, int number, const char* field_name,
                        Field::Type type = Field::TYPE_MESSAGE) {
        Field& added = *of.add_field();
        added.set_number(number);
        added.set_name(field_name);
        added.set_type(type);
        added.set_label(Field::LABEL_OPTIONAL);
        return added;
    }
    static Field& repeated(Field& field) {
        field.set_label(Field::LABEL_REPEATED);
        return field;
    }
    static Field& of_type(Field& field, const std::string& type) {
        field.set_type_name(".batcher.v1." + type);
        return field;
    }

    google::protobuf::FileDescriptorProto file_;
};

// A server that answers whoever asks for "batcher.v1.Deployment" by its name, by gRPC's public interface.
struct Described {
    // Before the server is built.
    static void add_to(::grpc::ServerBuilder&) {
        DeploymentProto::add();
        ::grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    }
};

#if defined(BATCHER_GRPC_LISTS)
// And that names it in its list of services. Those are the registered ones, and ours is served by a generic one. So one of
// its name is registered, for a host that nobody calls; that takes what gRPC keeps for generated code.
class Listed {
public:
    // Before the server is built, which must go first.
    void add_to(::grpc::ServerBuilder& builder) {
        Described::add_to(builder);
        builder.RegisterService("listed.invalid", &service_);
    }

private:
    struct Service final : ::grpc::Service {
        Service() {
            using namespace ::grpc::internal;
            // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): gRPC owns both
            AddMethod(new RpcServiceMethod(process_method, RpcMethod::NORMAL_RPC,
                                           new UnknownMethodHandler("")));
        }
    };
    Service service_;
};
#else
using Listed = Described;
#endif

}  // namespace batching::grpc::detail

#else

namespace grpc {
class ServerBuilder;
}
namespace batching::grpc::detail {
struct Listed {
    void add_to(::grpc::ServerBuilder&) {}
};
}  // namespace batching::grpc::detail

#endif
