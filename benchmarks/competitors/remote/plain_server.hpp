// A gRPC server without this library's remote part: unary methods with the callback API, registered as
// generated code does it. Values are sent as they lie in memory, the least that a codec can cost.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include <batcher.hpp>
#include <competitors/remote/questions.hpp>
#include <cstddef>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// One value, or several one after the other.
template <class T>
grpc::ByteBuffer to_bytes(const T* values, std::size_t count) {
    const grpc::Slice slice(values, count * sizeof(T));
    return {&slice, 1};
}

template <class T>
std::vector<T> from_bytes(const grpc::ByteBuffer& bytes) {
    grpc::Slice slice;
    if (!bytes.TrySingleSlice(&slice).ok()) bytes.DumpToSingleSlice(&slice);
    std::vector<T> values(slice.size() / sizeof(T));
    if (!values.empty()) {
        std::memcpy(static_cast<void*>(values.data()), slice.begin(), values.size() * sizeof(T));
    }
    return values;
}

class PlainServer {
public:
    using Reactor = grpc::ServerUnaryReactor;
    using Method = std::function<Reactor*(grpc::CallbackServerContext&, const grpc::ByteBuffer&,
                                          grpc::ByteBuffer&)>;

    // Calls the function for the questions of each call, be it one or many.
    static constexpr const char* answer_method = "/plain/Answer";
    // Takes one question a call, and batches those of all calls.
    static constexpr const char* batched_method = "/plain/AnswerBatched";

    PlainServer(const std::vector<std::string>& addresses, const AnswerAll& function,
                const batching::Options& options)
        : function_(function), batcher_(Function{function}, options) {
        service_.add(answer_method, [this](auto& context, auto& request, auto& reply) {
            const auto answers = function_(from_bytes<Question>(request));
            reply = to_bytes(answers.data(), answers.size());
            Reactor* const reactor = context.DefaultReactor();
            reactor->Finish(grpc::Status::OK);
            return reactor;
        });
        service_.add(batched_method, [this](auto& context, auto& request, auto& reply) {
            Reactor* const reactor = context.DefaultReactor();
            batcher_.async_process(from_bytes<Question>(request).at(0),
                                   [reactor, &reply](std::exception_ptr, const Answer& answer) {
                                       reply = to_bytes(&answer, 1);
                                       reactor->Finish(grpc::Status::OK);
                                   });
            return reactor;
        });
        grpc::ServerBuilder builder;
        std::vector<int> ports(addresses.size());
        for (std::size_t i = 0; i < addresses.size(); ++i) {
            builder.AddListeningPort(addresses[i], grpc::InsecureServerCredentials(), &ports[i]);
        }
        builder.RegisterService(&service_);
        server_ = builder.BuildAndStart();
        if (!server_) throw std::runtime_error("the plain server cannot listen");
        for (std::size_t i = 0; i < addresses.size(); ++i) {
            const bool tcp = addresses[i].ends_with(":0");
            addresses_.push_back(tcp ? "127.0.0.1:" + std::to_string(ports[i]) : addresses[i]);
        }
    }

    const std::vector<std::string>& addresses() const noexcept { return addresses_; }

private:
    class Service : public grpc::Service {
    public:
        void add(const char* name, Method method) {
            using Buffer = grpc::ByteBuffer;
            using grpc::internal::RpcMethod;
            AddMethod(new grpc::internal::RpcServiceMethod(name, RpcMethod::NORMAL_RPC, nullptr));
            MarkMethodRawCallback(
                methods_++, new grpc::internal::CallbackUnaryHandler<Buffer, Buffer>(
                                [method = std::move(method)](grpc::CallbackServerContext* context,
                                                             const Buffer* request, Buffer* reply) {
                                    return method(*context, *request, *reply);
                                }));
        }

    private:
        int methods_ = 0;
    };

    struct Function {
        AnswerAll all;
        std::vector<Answer> operator()(const std::vector<Question>& questions) const {
            return all(questions);
        }
    };

    AnswerAll function_;
    batching::Batcher<Question, Answer> batcher_;
    Service service_;
    std::vector<std::string> addresses_;
    std::unique_ptr<grpc::Server> server_;
};

}  // namespace bench
