// Plain gRPC on the client's side: a unary call for each item, with the callback API or the synchronous one.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/client_unary_call.h>

#include <asio.hpp>
#include <competitors/remote/plain_server.hpp>
#include <coroutine>
#include <cstdlib>
#include <memory>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline std::shared_ptr<grpc::Channel> plain_channel(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

inline void check_status(const grpc::Status& status) {
    if (status.ok()) return;
    fmt::print(stderr, "a plain call failed: {}\n", status.error_message());
    std::abort();
}

enum class Resume { posted, on_grpc_thread };

// In coroutines, which go on where they came from, or, which is cheaper, where gRPC calls back.
template <Resume where>
class PlainClient {
public:
    PlainClient(asio::io_context& context, const std::string& address, const char* method)
        : context_(context), method_(method), stub_(plain_channel(address)) {}

    class Call {
    public:
        Call(PlainClient& client, const Question& question)
            : client_(client), request_(to_bytes(&question, 1)) {}

        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> caller) {
            client_.stub_.UnaryCall(&context_, client_.method_, {}, &request_, &reply_,
                                    [this, caller](const grpc::Status& status) {
                                        check_status(status);
                                        resume(caller);
                                    });
        }
        Answer await_resume() const { return from_bytes<Answer>(reply_).at(0); }

    private:
        void resume(std::coroutine_handle<> caller) {
            if constexpr (where == Resume::posted) {
                asio::post(client_.context_, caller);
            } else {
                caller.resume();
            }
        }

        PlainClient& client_;
        grpc::ClientContext context_;
        grpc::ByteBuffer request_;
        grpc::ByteBuffer reply_;
    };

    Call process(const Question& question) { return {*this, question}; }

private:
    asio::io_context& context_;
    const char* method_;
    grpc::GenericStub stub_;
};

// In a thread that waits for the callback.
class WaitingPlainClient {
public:
    explicit WaitingPlainClient(const std::string& address) : stub_(plain_channel(address)) {}

    Answer process(const Question& question) {
        grpc::ClientContext context;
        const grpc::ByteBuffer request = to_bytes(&question, 1);
        grpc::ByteBuffer reply;
        std::binary_semaphore done(0);
        stub_.UnaryCall(&context, PlainServer::answer_method, {}, &request, &reply,
                        [&](const grpc::Status& status) {
                            check_status(status);
                            done.release();
                        });
        done.acquire();
        return from_bytes<Answer>(reply).at(0);
    }

private:
    grpc::GenericStub stub_;
};

// In a thread that reads the connection itself, as in `stub->Answer(&context, request, &reply)`.
class SynchronousPlainClient {
public:
    explicit SynchronousPlainClient(const std::string& address)
        : channel_(plain_channel(address)),
          method_(PlainServer::answer_method, grpc::internal::RpcMethod::NORMAL_RPC, channel_) {}

    Answer process(const Question& question) {
        grpc::ClientContext context;
        const grpc::ByteBuffer request = to_bytes(&question, 1);
        grpc::ByteBuffer reply;
        check_status(
            grpc::internal::BlockingUnaryCall(channel_.get(), method_, &context, request, &reply));
        return from_bytes<Answer>(reply).at(0);
    }

private:
    std::shared_ptr<grpc::Channel> channel_;
    grpc::internal::RpcMethod method_;
};

// Batching by hand: what callers on one thread ask goes in one call as soon as one of two is free. It knows
// no errors, no cancellation, no deadlines, no other threads and no other types.
class PackingClient {
public:
    PackingClient(asio::io_context& context, const std::string& address)
        : context_(context), stub_(plain_channel(address)) {}

    class Call {
    public:
        Call(PackingClient& client, const Question& question)
            : client_(client), question_(question) {}

        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> caller) {
            caller_ = caller;
            client_.waiting_.push_back(this);
            client_.send_soon();
        }
        Answer await_resume() const noexcept { return answer_; }

    private:
        friend class PackingClient;
        PackingClient& client_;
        Question question_;
        Answer answer_;
        std::coroutine_handle<> caller_;
    };

    Call process(const Question& question) { return {*this, question}; }

private:
    struct Batch {
        std::vector<Call*> calls;
        grpc::ClientContext context;
        grpc::ByteBuffer request;
        grpc::ByteBuffer reply;
    };

    void send_soon() {
        if (std::exchange(sending_soon_, true)) return;
        asio::post(context_, [this] {
            sending_soon_ = false;
            send();
        });
    }

    void send() {
        if (free_ == 0 || waiting_.empty()) return;
        --free_;
        const auto batch = std::make_shared<Batch>();
        batch->calls.swap(waiting_);
        std::vector<Question> questions;
        questions.reserve(batch->calls.size());
        for (const Call* call : batch->calls) questions.push_back(call->question_);
        batch->request = to_bytes(questions.data(), questions.size());
        stub_.UnaryCall(&batch->context, PlainServer::answer_method, {}, &batch->request,
                        &batch->reply, [this, batch](const grpc::Status& status) {
                            check_status(status);
                            asio::post(context_, [this, batch] { done(*batch); });
                        });
    }

    void done(Batch& batch) {
        ++free_;
        send();
        const auto answers = from_bytes<Answer>(batch.reply);
        for (std::size_t i = 0; i < batch.calls.size(); ++i) {
            batch.calls[i]->answer_ = answers.at(i);
            batch.calls[i]->caller_.resume();
        }
    }

    asio::io_context& context_;
    grpc::GenericStub stub_;
    std::vector<Call*> waiting_;
    int free_ = 2;
    bool sending_soon_ = false;
};

}  // namespace bench
