// What a handle makes of a server between it and its deployment, as a cluster's proxy is.
#include "deployed.hpp"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <string>

namespace proxy_test {

using namespace test;
using batching::errc;
using ::grpc::StatusCode;
namespace remote = batching::grpc::detail;

// Fails the first Process calls, each with the next of its statuses, and answers each of the others with 42. It
// answers Describe like a deployment, with its mark or without.
class Proxy {
public:
    explicit Proxy(std::deque<::grpc::Status> failures, bool marked = false)
        : service_(std::move(failures), marked) {
        ::grpc::ServerBuilder builder;
        builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port_);
        builder.RegisterCallbackGenericService(&service_);
        server_ = builder.BuildAndStart();
    }
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;
    ~Proxy() { server_->Shutdown(); }

    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    int calls() const { return service_.calls; }  // of Process
    Ended<int> call_through(rpc::ConnectOptions options = {}) const {
        auto handle = rpc::connect<int, int>(address(), "doubling", std::move(options));
        return call(handle, 21);
    }

private:
    class Reactor final : public ::grpc::ServerGenericBidiReactor {
    public:
        Reactor(::grpc::Status status, const std::string& reply)
            : status_(std::move(status)), reply_(remote::to_buffer(reply)) {
            StartRead(&request_);
        }
        void OnReadDone(bool) override {
            if (status_.ok()) return StartWriteAndFinish(&reply_, {}, status_);
            Finish(status_);
        }
        void OnDone() override { delete this; }

    private:
        ::grpc::Status status_;
        ::grpc::ByteBuffer request_;
        ::grpc::ByteBuffer reply_;
    };

    struct Service final : ::grpc::CallbackGenericService {
        Service(std::deque<::grpc::Status> f, bool m) : failures(std::move(f)), marked(m) {}

        ::grpc::ServerGenericBidiReactor* CreateReactor(
            ::grpc::GenericCallbackServerContext* context) override {
            if (context->method() == remote::describe_method) {
                if (marked) context->AddTrailingMetadata(remote::deployment_mark, "1");
                return new Reactor(::grpc::Status::OK, "");
            }
            ++calls;
            return new Reactor(next(), std::string("\x0a\x03\x0a\x01\x2a", 5));
        }
        ::grpc::Status next() {
            const std::lock_guard lock(mutex);
            if (failures.empty()) return ::grpc::Status::OK;
            auto status = failures.front();
            failures.pop_front();
            return status;
        }

        std::mutex mutex;
        std::deque<::grpc::Status> failures;
        const bool marked;
        std::atomic<int> calls{0};
    };

    Service service_;
    int port_ = 0;
    std::unique_ptr<::grpc::Server> server_;
};

std::deque<::grpc::Status> times(std::size_t count, const ::grpc::Status& status) {
    return std::deque<::grpc::Status>(count, status);
}

const ::grpc::Status died(StatusCode::INTERNAL, "The actor died unexpectedly.");
// What gRPC says when it cancels a call that its server never saw.
const ::grpc::Status unseen(StatusCode::CANCELLED, "CANCELLED");

TEST_CASE("what a cluster's proxy says arrives as the fitting error, in its own words") {
    struct Row {
        ::grpc::Status status;
        errc code;
        std::string sentence;
    };
    const std::vector<Row> table{
        {{StatusCode::NOT_FOUND, "Application 'x' not found."},
         errc::unknown_deployment,
         "does not exist: Application 'x' not found."},
        {{StatusCode::RESOURCE_EXHAUSTED, "Request dropped due to backpressure (queued=2)."},
         errc::overloaded,
         "refused the call: Request dropped due to backpressure (queued=2)."},
        {{StatusCode::RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 5)"},
         errc::message_too_large,
         "cannot take or give a message: Received message larger than max (9 vs. 5)"},
        {{StatusCode::RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (9 vs. 5)"},
         errc::message_too_large,
         "cannot take or give a message: SERVER: Received message larger than max (9 vs. 5)"},
        {{StatusCode::RESOURCE_EXHAUSTED, "CLIENT: Sent message larger than max (9 vs. 5)"},
         errc::message_too_large,
         "cannot take or give a message: CLIENT: Sent message larger than max (9 vs. 5)"},
        {{StatusCode::UNAVAILABLE, "Deployment 'x' is unavailable."},
         errc::unavailable,
         "is not available, and whether it has run the item is not known: Deployment 'x' is "
         "unavailable."},
        {{StatusCode::DEADLINE_EXCEEDED, "Request timed out after 1.0s."},
         errc::deadline_exceeded,
         "did not answer in time: Request timed out after 1.0s."},
        {died, errc::remote_failure, "failed with status 13: The actor died unexpectedly."},
        {{StatusCode::UNKNOWN, "Unexpected <class 'ValueError'>"},
         errc::remote_failure,
         "failed with status 2: Unexpected <class 'ValueError'>"},
        {{StatusCode::PERMISSION_DENIED, "RBAC: access denied"},
         errc::unauthenticated,
         "refused the call: RBAC: access denied"},
        {{StatusCode::UNIMPLEMENTED, "Method not found!"},
         errc::unknown_deployment,
         "does not exist, a server that is no deployment answers: Method not found!"},
        {{StatusCode::UNIMPLEMENTED, ""},
         errc::unknown_deployment,
         "does not exist, a server that is no deployment answers: nothing more was said"},
        {{StatusCode::ABORTED, "try again"},
         errc::remote_failure,
         "failed with status 10: try again"},
        {{StatusCode::DATA_LOSS, "lost"}, errc::remote_failure, "failed with status 15: lost"},
        {{StatusCode::ALREADY_EXISTS, ""},
         errc::remote_failure,
         "failed with status 6: nothing more was said"},
    };
    for (const auto& [status, code, sentence] : table) {
        const Proxy proxy({status});
        const auto ended = proxy.call_through();
        CHECK(ended.error == code);
        CHECK(ended.sentence ==
              "the deployment \"doubling\" at " + proxy.address() + ' ' + sentence);
        CHECK(proxy.calls() == 1);
    }
}

TEST_CASE("an idempotent call that a proxy fails is sent again, at most max_attempts times") {
    for (const auto code : {StatusCode::INTERNAL, StatusCode::UNKNOWN, StatusCode::UNAVAILABLE,
                            StatusCode::CANCELLED}) {
        const Proxy recovers(times(2, {code, "The actor died unexpectedly."}));
        CHECK(recovers.call_through({.idempotent = true, .max_attempts = 3}).value == 42);
        CHECK(recovers.calls() == 3);

        const Proxy stays_broken(times(9, {code, "The actor died unexpectedly."}));
        const auto failed = stays_broken.call_through({.idempotent = true, .max_attempts = 3});
        CHECK(contains(failed.sentence, "The actor died unexpectedly."));
        CHECK(stays_broken.calls() == 3);

        const Proxy once(times(1, {code, "The actor died unexpectedly."}));
        CHECK(contains(once.call_through().sentence, "The actor died unexpectedly."));
        CHECK(once.calls() == 1);
    }
}

TEST_CASE("a call that gRPC cancels unseen is sent again only if a deployment answers there") {
    const Proxy deployment(times(7, unseen), true);
    CHECK(deployment.call_through().value == 42);
    CHECK(deployment.calls() == 8);

    const Proxy proxy(times(1, unseen));
    const auto ended = proxy.call_through();
    CHECK(ended.error == errc::unavailable);
    CHECK(ended.sentence ==
          "the deployment \"doubling\" at " + proxy.address() +
              " cancelled the call, and whether it has run the item is not known: CANCELLED");
    CHECK(proxy.calls() == 1);
}

TEST_CASE("a call that somebody cancels in words of his own is not sent again") {
    const Proxy proxy({{StatusCode::CANCELLED, "Client for request 7 disconnected."}}, true);
    const auto ended = proxy.call_through();
    CHECK(ended.error == errc::unavailable);
    CHECK(contains(ended.sentence, "is not known: Client for request 7 disconnected."));
    CHECK(proxy.calls() == 1);
}

}  // namespace proxy_test
