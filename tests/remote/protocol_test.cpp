// What other languages' gRPC, and those who mean no good, get to see: raw calls.
#include "raw_client.hpp"

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>

#include <random>

namespace protocol_test {

using namespace test;
using batching::errc;

const std::string twenty_one = "\x15";  // as MessagePack
const std::string forty_two = "\x2a";

// grpc.health.v1: HealthCheckRequest{service} -> HealthCheckResponse{status}.
const std::string serving = "\x08\x01";
const std::string not_serving = "\x08\x02";

std::string health_of(const std::string& service) {
    std::string bytes;
    wire::write_bytes(bytes, 1, service);
    return bytes;
}

// A stream of the health of a service, as it changes.
class HealthWatch {
public:
    HealthWatch(const std::string& address, const std::string& service)
        : stub_(::grpc::CreateChannel(address, ::grpc::InsecureChannelCredentials())) {
        context_.set_deadline(std::chrono::system_clock::now() + 30s);
        stream_ = stub_.PrepareCall(&context_, "/grpc.health.v1.Health/Watch", &queue_);
        stream_->StartCall(nullptr);
        done();
        stream_->WriteLast(remote::to_buffer(health_of(service)), {}, nullptr);
        done();
    }
    HealthWatch(const HealthWatch&) = delete;
    HealthWatch& operator=(const HealthWatch&) = delete;
    ~HealthWatch() {
        cancel();
        ::grpc::Status status;
        stream_->Finish(&status, nullptr);
        done();
    }

    // Its next state; "" if the stream ends.
    std::string next() {
        ::grpc::ByteBuffer state;
        stream_->Read(&state, nullptr);
        return done() ? std::string(remote::Contiguous(state).view()) : std::string();
    }
    void cancel() { context_.TryCancel(); }

private:
    bool done() {
        void* tag = nullptr;
        bool ok = false;
        return queue_.Next(&tag, &ok) && ok;
    }

    ::grpc::GenericStub stub_;
    ::grpc::ClientContext context_;
    ::grpc::CompletionQueue queue_;
    std::unique_ptr<::grpc::GenericClientAsyncReaderWriter> stream_;
};

// A server of gRPC's as it comes, whose Process answers with the same bytes whatever it is asked.
class Liar {
public:
    explicit Liar(std::string reply, std::chrono::milliseconds after = 0ms)
        : service_(std::move(reply), after) {
        ::grpc::ServerBuilder builder;
        builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port_);
        builder.RegisterCallbackGenericService(&service_);
        server_ = builder.BuildAndStart();
    }
    ~Liar() { server_->Shutdown(); }
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

private:
    class Reactor final : public ::grpc::ServerGenericBidiReactor {
    public:
        Reactor(const std::string& reply, std::chrono::milliseconds after)
            : reply_(remote::to_buffer(reply)), after_(after) {
            StartRead(&request_);
        }
        void OnReadDone(bool) override {
            alarm_.Set(std::chrono::system_clock::now() + after_,
                       [this](bool) { StartWriteAndFinish(&reply_, {}, ::grpc::Status::OK); });
        }
        void OnDone() override { delete this; }

    private:
        ::grpc::ByteBuffer request_;
        ::grpc::ByteBuffer reply_;
        std::chrono::milliseconds after_;
        ::grpc::Alarm alarm_;
    };
    struct Service final : ::grpc::CallbackGenericService {
        Service(std::string r, std::chrono::milliseconds a) : reply(std::move(r)), after(a) {}
        ::grpc::ServerGenericBidiReactor* CreateReactor(
            ::grpc::GenericCallbackServerContext*) override {
            return new Reactor(reply, after);
        }
        std::string reply;
        std::chrono::milliseconds after;
    };

    Service service_;
    int port_ = 0;
    std::unique_ptr<::grpc::Server> server_;
};

TEST_CASE("a client of another language needs no schema") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    const auto reply = client.process(request_of("doubling", {twenty_one, twenty_one}));
    REQUIRE(reply.status.ok());
    for (const auto& result : results_in(reply, 2)) {
        CHECK(result.has_value);
        CHECK(result.value == forty_two);
    }
}

TEST_CASE("the bytes of a message stay where they are when whoever holds them is moved") {
    for (const std::size_t size : {std::size_t{1}, std::size_t{16}, std::size_t{1'000}}) {
        const ::grpc::Slice slice(std::string(size, 'x'));
        remote::Contiguous bytes(::grpc::ByteBuffer(&slice, 1));
        const std::string_view view = bytes.view();
        const remote::Contiguous moved = std::move(bytes);
        CHECK(moved.view().data() == view.data());
        CHECK(moved.view() == std::string(size, 'x'));
    }
}

TEST_CASE("a call without items is answered without results") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    const auto reply = client.process(request_of("doubling", {}));
    CHECK(reply.status.ok());
    CHECK(reply.bytes.empty());
}

TEST_CASE("a server that does not want to be pinged may take its time") {
    // gRPC pings once a second at most, and its servers hang up at the fourth that comes too soon.
    const Liar slow(std::string("\x0a\x03\x0a\x01\x2a", 5), 6500ms);
    auto doubling = rpc::connect<int, int>(slow.address(), "doubling");
    CHECK(doubling.process(21).get() == 42);
}

TEST_CASE("an item that cannot be read fails alone") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    const auto reply = client.process(request_of(
        "doubling", {"\xc1", twenty_one, std::string("\xdd\xff\xff\xff\xff", 5), "\xa1x"}));
    REQUIRE(reply.status.ok());
    const auto results = results_in(reply, 4);
    CHECK(results[0].code == ::grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(results[0].message == "the item is no int");
    CHECK(results[1].value == forty_two);
    CHECK(results[2].code == ::grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(results[3].code == ::grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("bytes that are no request are refused, and the deployment goes on") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    const std::string declares_a_lot("\x1a\xff\xff\xff\xff\x0f", 6);
    const auto refused = client.process(declares_a_lot);
    CHECK(refused.status.error_code() == ::grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(refused.status.error_message() ==
          "the bytes are not a batcher.v1.ProcessRequest: a field of 4294967295 bytes is declared "
          "and 0 bytes are left");
    std::minstd_rand random;  // NOLINT(cert-msc51-cpp): the same bytes each time
    for (int i = 0; i < 300; ++i) {
        std::string garbage(random() % 40, '\0');
        for (char& c : garbage) c = static_cast<char>(random());
        CHECK_FALSE(client.process(garbage).status.ok());
    }
    CHECK(deployed.connect().process(21).get() == 42);
}

TEST_CASE("more items than a call may have are refused") {
    const Deployed deployed(at_once, {.max_items_per_call = 2});
    RawClient client(deployed.deployment.address());
    CHECK(client.process(request_of("doubling", {twenty_one, twenty_one})).status.ok());
    const auto refused =
        client.process(request_of("doubling", {twenty_one, twenty_one, twenty_one}));
    CHECK(refused.status.error_code() == ::grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(contains(refused.status.error_message(), "more than 2 items"));
}

TEST_CASE("a message over the cap is refused before it is read") {
    const Deployed deployed(at_once, {.max_message_size = 1000});
    RawClient client(deployed.deployment.address());
    const auto refused = client.process(request_of("doubling", {std::string(2000, '\0')}));
    CHECK(refused.status.error_code() == ::grpc::StatusCode::RESOURCE_EXHAUSTED);
    CHECK(deployed.connect().process(21).get() == 42);
}

TEST_CASE("a handle that sends more than the deployment takes is told so") {
    batching::Batcher<std::string, int> model(
        [](const std::vector<std::string>& items) { return std::vector<int>(items.size()); },
        at_once);
    const auto deployment =
        rpc::deploy({.listen = "127.0.0.1:0", .max_message_size = 1000}, "length", model);
    auto handle = rpc::connect<std::string, int>(deployment.address(), "length");
    const auto ended = call(handle, std::string(2000, 'x'));
    CHECK(ended.error == errc::message_too_large);
    CHECK(contains(ended.sentence, deployment.address()));
}

TEST_CASE("Describe names the deployments, their types and limits") {
    const Deployed deployed(at_once, {.max_items_per_call = 7});
    RawClient client(deployed.deployment.address());
    const auto reply = client.call(remote::describe_method, "");
    REQUIRE(reply.status.ok());
    std::string expected;
    wire::write_description(expected, {"doubling", "int -> int", 7});
    CHECK(reply.bytes == expected);
}

TEST_CASE("a method that does not exist is unimplemented") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    const auto reply = client.call("/batcher.v1.Deployment/Nothing", "");
    CHECK(reply.status.error_code() == ::grpc::StatusCode::UNIMPLEMENTED);
}

TEST_CASE("health is served for the server and each deployment") {
    Deployed deployed;
    RawClient client(deployed.deployment.address());
    for (const std::string service : {"", "doubling", "batcher.v1.Deployment"}) {
        const auto reply = client.call("/grpc.health.v1.Health/Check", health_of(service));
        REQUIRE(reply.status.ok());
        CHECK(reply.bytes == serving);
    }
}

TEST_CASE("health turns NOT_SERVING at stop(), while what was accepted still runs") {
    Deployed deployed;
    HealthWatch all(deployed.deployment.address(), "");
    HealthWatch one(deployed.deployment.address(), "doubling");
    CHECK(all.next() == serving);
    CHECK(one.next() == serving);
    deployed.doubling.hold();
    auto handle = deployed.connect();
    auto running = handle.async_process(21, aio::use_future);
    REQUIRE(deployed.doubling.called(1));
    std::thread stopping([&] { deployed.deployment.stop(); });
    CHECK(all.next() == not_serving);
    CHECK(one.next() == not_serving);
    all.cancel();
    one.cancel();
    CHECK(running.wait_for(0s) == std::future_status::timeout);
    deployed.doubling.release();
    CHECK(running.get() == 42);
    stopping.join();
}

TEST_CASE("a reply is cut to size item by item, with room for the failures") {
    batching::Batcher<int, std::string> model(
        [](const std::vector<int>& items) {
            std::vector<batching::Result<std::string>> results;
            for (const int item : items) {
                if (item == 1) {
                    results.emplace_back(
                        std::make_exception_ptr(std::runtime_error(std::string(6000, 'f'))));
                } else {
                    results.emplace_back(std::string(3000, 'x'));
                }
            }
            return results;
        },
        {.max_batch_size = 1000, .batch_timeout = 0ns});
    const auto deployment =
        rpc::deploy({.listen = "127.0.0.1:0", .max_message_size = 5000}, "large", model);
    RawClient client(deployment.address());
    std::vector<std::string> items(200, "\x02");
    items[199] = "\x01";
    const auto reply = client.process(request_of("large", items));
    REQUIRE(reply.status.ok());
    CHECK(reply.bytes.size() <= 5000);
    const auto results = results_in(reply, 200);
    CHECK(results[0].has_value);
    for (std::size_t i = 1; i < 199; ++i) {
        CHECK(results[i].code == ::grpc::StatusCode::OUT_OF_RANGE);
    }
    CHECK(results[199].code == ::grpc::StatusCode::UNKNOWN);
}

TEST_CASE("what an item failed with can be read by any protobuf, whatever its bytes") {
    batching::Batcher<int, int> model(
        [](const std::vector<int>&) -> std::vector<int> {
            throw std::runtime_error(
                "caf\xe9 \xc3\xa9 \xf0\x9f\x98\x80 \xed\xa0\x80 \xc0\xaf \xe2\x82");
        },
        at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "latin", model);
    RawClient client(deployment.address());
    const auto reply = client.process(request_of("latin", {twenty_one}));
    REQUIRE(reply.status.ok());
    CHECK(results_in(reply, 1)[0].message == "caf? \xc3\xa9 \xf0\x9f\x98\x80 ??? ?? ??");
}

#if defined(BATCHER_GRPC_REFLECTION)
// The fields of grpc.reflection.v1alpha.ServerReflectionRequest.
constexpr unsigned file_containing_symbol = 4;
constexpr unsigned list_services = 7;

// The answer to one question on a stream, in its bytes.
std::string reflected(const std::string& address, unsigned field, const std::string& value) {
    const auto channel = ::grpc::CreateChannel(address, ::grpc::InsecureChannelCredentials());
    ::grpc::GenericStub stub(channel);
    ::grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 30s);
    ::grpc::CompletionQueue queue;
    const auto stream = stub.PrepareCall(
        &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
    void* tag = nullptr;
    bool ok = false;
    const auto next = [&] { return queue.Next(&tag, &ok) && ok; };
    std::string question;
    wire::write_bytes(question, field, value);
    stream->StartCall(nullptr);
    REQUIRE(next());
    stream->WriteLast(remote::to_buffer(question), {}, nullptr);
    REQUIRE(next());
    ::grpc::ByteBuffer answer;
    stream->Read(&answer, nullptr);
    REQUIRE(next());
    ::grpc::Status status;
    stream->Finish(&status, nullptr);
    REQUIRE(next());
    CHECK(status.ok());
    return std::string(remote::Contiguous(answer).view());
}

TEST_CASE("reflection tells of the service and its messages") {
    const Deployed deployed;
    const auto* pool = google::protobuf::DescriptorPool::generated_pool();
    const auto* service = pool->FindServiceByName("batcher.v1.Deployment");
    REQUIRE(service != nullptr);
    CHECK(service->method_count() == 3);
    const auto* request = pool->FindMessageTypeByName("batcher.v1.ProcessRequest");
    REQUIRE(request != nullptr);
    CHECK(request->FindFieldByNumber(3)->is_repeated());

#if defined(BATCHER_GRPC_LISTS)
    CHECK(contains(reflected(deployed.deployment.address(), list_services, "*"),
                   "batcher.v1.Deployment"));
#endif
}

TEST_CASE("of any version of gRPC's, reflection tells of the service who knows its name") {
    ::grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port);
    remote::Described::add_to(builder);
    const auto server = builder.BuildAndStart();
    const std::string answer = reflected("127.0.0.1:" + std::to_string(port),
                                         file_containing_symbol, "batcher.v1.Deployment");
    CHECK(contains(answer, "ProcessRequest"));
    server->Shutdown();
}
#endif

TEST_CASE("a server that is no deployment is an unknown deployment") {
    ::grpc::ServerBuilder builder;
    int port = 0;
    ::grpc::CallbackGenericService nothing;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&nothing);
    const auto server = builder.BuildAndStart();
    auto handle = rpc::connect<int, int>("127.0.0.1:" + std::to_string(port), "doubling");
    CHECK(call(handle, 1).error == errc::unknown_deployment);
    server->Shutdown();
}

TEST_CASE("a reply with a wrong count fails its items, each once, with the figures") {
    const Liar liar(std::string("\x0a\x03\x0a\x01\x2a", 5));  // one result
    auto handle = rpc::connect<int, int>(liar.address(), "doubling");
    CHECK(handle.process(21).get() == 42);
    const auto sentence = sentence_of([&] { handle.process_many({1, 2, 3}).get(); });
    CHECK(sentence ==
          "the deployment \"doubling\" at " + liar.address() + " answered 1 result for 3 items");
}

TEST_CASE("a reply that is no reply fails its items, and the handle goes on") {
    for (const std::string lie :
         {"\xff\xff\xff", "\x0a\x7f", "\x0a\x00", "\x0a\x02\x0a\x00", "\x0a\x03\x0a\x01\xc1"}) {
        const Liar liar(lie);
        auto handle = rpc::connect<int, int>(liar.address(), "doubling");
        for (int i = 0; i < 3; ++i) {
            const auto ended = call(handle, 1);
            CHECK((ended.error == errc::malformed || ended.error == errc::result_count_mismatch));
            CHECK(contains(ended.sentence, "the deployment \"doubling\" at " + liar.address()));
        }
    }
}

}  // namespace protocol_test
