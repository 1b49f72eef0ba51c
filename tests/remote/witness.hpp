// A server that keeps what it is sent: what a handle's messages are, bit by bit.
#pragma once

#include "raw_client.hpp"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

namespace test {

// It answers Process with 42 for each item, or with the bytes that it is given, and looks at nothing but the items: as
// a deployment of an older version.
class Witness {
public:
    explicit Witness(std::string reply = "") : service_(std::move(reply)) {
        ::grpc::ServerBuilder builder;
        builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port_);
        builder.RegisterCallbackGenericService(&service_);
        server_ = builder.BuildAndStart();
    }
    Witness(const Witness&) = delete;
    Witness& operator=(const Witness&) = delete;
    ~Witness() {
        release();
        server_->Shutdown();
    }

    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    std::vector<std::string> requests() { return service_.seen(); }

    // From now on it does not answer, until it is released.
    void hold() { service_.hold(true); }
    void release() { service_.hold(false); }
    // True as soon as so many calls have come.
    bool asked(std::size_t times) {
        return eventually([&] { return requests().size() >= times; });
    }

private:
    class Service;

    class Reactor final : public ::grpc::ServerGenericBidiReactor {
    public:
        Reactor(Service& service, bool processes) : service_(service), processes_(processes) {
            StartRead(&request_);
        }
        void OnReadDone(bool) override {
            if (!processes_) return Finish(::grpc::Status::OK);
            service_.arrived(*this, std::string(remote::Contiguous(request_).view()));
        }
        void OnDone() override { delete this; }
        void answer(const std::string& reply) {
            reply_ = remote::to_buffer(reply);
            StartWriteAndFinish(&reply_, {}, ::grpc::Status::OK);
        }

    private:
        Service& service_;
        const bool processes_;
        ::grpc::ByteBuffer request_;
        ::grpc::ByteBuffer reply_;
    };

    class Service final : public ::grpc::CallbackGenericService {
    public:
        explicit Service(std::string reply) : reply_(std::move(reply)) {}

        ::grpc::ServerGenericBidiReactor* CreateReactor(
            ::grpc::GenericCallbackServerContext* context) override {
            return new Reactor(*this, context->method() == remote::process_method);
        }
        void arrived(Reactor& call, const std::string& request) {
            const std::lock_guard lock(mutex_);
            seen_.push_back(request);
            waiting_.emplace_back(&call, reply_.empty() ? reply_to(request) : reply_);
            if (!held_) answer_all();
        }
        void hold(bool held) {
            const std::lock_guard lock(mutex_);
            held_ = held;
            if (!held_) answer_all();
        }
        std::vector<std::string> seen() {
            const std::lock_guard lock(mutex_);
            return seen_;
        }

    private:
        static std::string reply_to(const std::string& request) {
            std::string reply;
            wire::Reader reader("a request", request);
            for (wire::Field field; reader.next(field);) {
                if (field.number != 3) continue;
                wire::write_value(reply, [](std::string& out) { out += '\x2a'; });
            }
            return reply;
        }
        void answer_all() {
            for (auto& [call, reply] : waiting_) call->answer(reply);
            waiting_.clear();
        }

        std::mutex mutex_;
        const std::string reply_;
        bool held_ = false;
        std::vector<std::string> seen_;
        std::list<std::pair<Reactor*, std::string>> waiting_;
    };

    Service service_;
    int port_ = 0;
    std::unique_ptr<::grpc::Server> server_;
};

}  // namespace test
