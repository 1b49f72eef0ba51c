// What clients that mean no good cost a deployment, and those beside them: bounded in count, memory and time.
#include "../unit/sanitized.hpp"
#include "raw_client.hpp"

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>

#include <fstream>
#include <sstream>

#if !defined(BATCHER_TEST_SANITIZED)
#include <dlfcn.h>

// Counts what is thrown.
static std::atomic<std::size_t> thrown{0};
extern "C" [[noreturn]] void count_and_throw(void*, void*, void (*)(void*)) __asm__("__cxa_throw");
void count_and_throw(void* object, void* type, void (*end)(void*)) {
    using Throw = void (*)(void*, void*, void (*)(void*));
    static const auto next = reinterpret_cast<Throw>(dlsym(RTLD_NEXT, "__cxa_throw"));
    thrown.fetch_add(1);
    next(object, type, end);
    std::abort();
}
static std::size_t throws_so_far() { return thrown.load(); }
#else
static std::size_t throws_so_far() { return 0; }  // sanitizers have a __cxa_throw of their own
#endif

using namespace test;
using batching::errc;

namespace {

const std::string twenty_one = "\x15";  // as MessagePack

// The most memory that a process has had, in MiB.
std::size_t peak_memory_of(const Process& process) {
    std::ifstream status("/proc/" + std::to_string(process.id()) + "/status");
    for (std::string line; std::getline(status, line);) {
        std::size_t kilobytes = 0;
        if (line.starts_with("VmHWM:")) std::istringstream(line.substr(6)) >> kilobytes;
        if (kilobytes != 0) return kilobytes / 1024;
    }
    return 0;
}

// It has had no more than so many MiB. Under a sanitizer nobody can tell.
void check_peak_memory_of([[maybe_unused]] const Process& process,
                          [[maybe_unused]] std::size_t most) {
#if !defined(BATCHER_TEST_SANITIZED)
    CHECK(peak_memory_of(process) < most);
#endif
}

Process small_server() {
    return Process({"listen=127.0.0.1:0", "max_message=8388608", "max_memory=67108864"});
}

std::string packed(const Job& job) {
    std::string bytes;
    batching::Codec<Job>::encode(job, bytes);
    return bytes;
}

// What a client does that keeps a call waiting.
using Attack = void (*)(Http2Client&, const std::string& request);
void send_nothing(Http2Client& client, const std::string&) { client.begin_call(); }
void take_no_reply(Http2Client& client, const std::string& request) {
    client.send_message(client.begin_call(), request.size(), request);
}
void watch(Http2Client& client, const std::string&) {
    client.send_message(client.begin_call(remote::health_watch_method), 0, "");
}

// An item that is not read before `readable` is set.
struct Slow {
    int value = 0;
};
std::atomic<bool> readable{true};
std::atomic<int> being_read{0};

}  // namespace

template <>
struct batching::Codec<Slow> {
    static std::string schema() { return "slow"; }
    static void encode(const Slow&, std::string& out) { out += '1'; }
    static Slow decode(std::string_view) {
        ++being_read;
        readable.wait(false);
        return {1};
    }
};

struct Nested {
    std::vector<float> numbers;
    std::optional<std::string> name;
    std::map<std::string, int> counts;
    MSGPACK_DEFINE(numbers, name, counts)
};

// Too long for a header, and different from another one in one letter.
template <char letter>
struct Wide {};
template <char letter>
struct batching::Codec<Wide<letter>> {
    static std::string schema() {
        return std::string(9000, 'a') + "<here:" + letter + '>' + std::string(9000, 'z');
    }
    static void encode(const Wide<letter>&, std::string& out) { out += '1'; }
    static Wide<letter> decode(std::string_view) { return {}; }
};

TEST_CASE("a compressed request is refused as it is, however large it would become") {
    const Deployed deployed(at_once, {.max_message_size = 1 << 20});
    for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
        ::grpc::ChannelArguments arguments;
        arguments.SetCompressionAlgorithm(algorithm);
        RawClient client(deployed.deployment.address(), arguments);
        const auto refused = client.process(std::string(32 << 20, '\x1a'));
        CHECK(refused.status.error_code() == ::grpc::StatusCode::UNIMPLEMENTED);
        CHECK(contains(refused.status.error_message(), "is disabled"));
    }
    CHECK(deployed.connect().process(21).get() == 42);
}

TEST_CASE("a handle refuses a compressed reply") {
    class Reactor final : public ::grpc::ServerGenericBidiReactor {
    public:
        explicit Reactor(::grpc::GenericCallbackServerContext* context) {
            context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
            StartRead(&request_);
        }
        void OnReadDone(bool) override {
            reply_ = remote::to_buffer(std::string(32 << 20, '\0'));
            StartWriteAndFinish(&reply_, {}, ::grpc::Status::OK);
        }
        void OnDone() override { delete this; }

    private:
        ::grpc::ByteBuffer request_;
        ::grpc::ByteBuffer reply_;
    };
    struct Service final : ::grpc::CallbackGenericService {
        ::grpc::ServerGenericBidiReactor* CreateReactor(
            ::grpc::GenericCallbackServerContext* context) override {
            return new Reactor(context);
        }
    } service;
    ::grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&service);
    const auto server = builder.BuildAndStart();
    auto handle = rpc::connect<int, int>("127.0.0.1:" + std::to_string(port), "doubling",
                                         {.max_message_size = 1 << 20});
    const auto ended = call(handle, 21);
    CHECK(ended.error.has_value());
    // gRPC says so, or hands the bytes over as they came: as gzip, they begin with a field of kind 7.
    CHECK((contains(ended.sentence, "is disabled") ||
           contains(ended.sentence, "a field is of kind 7")));
    server->Shutdown();
}

TEST_CASE("items that cannot be read cost no exception each, and fail alone with one sentence") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    std::vector<std::string> items(30'000, twenty_one);
    for (std::size_t i = 0; i < items.size(); i += 4) items[i] = i % 8 == 0 ? "" : "\xa1x";
    const std::size_t before = throws_so_far();
    const auto reply = client.process(request_of("doubling", items));
    REQUIRE(reply.status.ok());
    CHECK(throws_so_far() - before < 20);
    const auto results = results_in(reply, items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i % 4 != 0) {
            REQUIRE(results[i].has_value);
            continue;
        }
        REQUIRE(results[i].code == ::grpc::StatusCode::INVALID_ARGUMENT);
        REQUIRE(results[i].message == "the item is no int");
    }
}

TEST_CASE("what has the wrong parts is found out without an exception") {
    using batching::Codec;
    using batching::detail::Doubt;
    std::string whole;
    Codec<Nested>::encode({{1, 2}, "x", {{"a", 1}}}, whole);
    const std::size_t before = throws_so_far();
    CHECK(Codec<Nested>::try_decode(whole, Doubt::some)->counts.at("a") == 1);
    for (const std::string bad :
         {"", "\xc1", "\x01", "\x93\x91\xa1x\xc0\x80", "\x93\x90\x01\x80", "\x93\x90\xc0\x90",
          "\x93\x90\xc0\x81\x01\x01", "\x93\x90\xc0\x81\xa1x\xa1x"}) {
        CHECK_FALSE(Codec<Nested>::try_decode(bad, Doubt::some).has_value());
    }
    CHECK(Codec<Nested>::try_decode("\x90", Doubt::some).has_value());  // fields may be missing
    CHECK_FALSE(Codec<std::int8_t>::try_decode("\xcc\xff", Doubt::some).has_value());
    CHECK_FALSE(Codec<unsigned>::try_decode("\xff", Doubt::some).has_value());
    CHECK_FALSE(Codec<bool>::try_decode("\x01", Doubt::some).has_value());
    CHECK(Codec<double>::try_decode("\x01", Doubt::some) == 1.0);
    CHECK(throws_so_far() == before);
}

TEST_CASE("a request of which most items cannot be read is given up") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    for (const std::string item : {"", "\xc1", "\xa1x"}) {
        const std::size_t before = throws_so_far();
        const auto refused =
            client.process(request_of("doubling", std::vector<std::string>(60'000, item)));
        CHECK(refused.status.error_code() == ::grpc::StatusCode::INVALID_ARGUMENT);
        CHECK(refused.status.error_message() ==
              "101 of the first 101 of 60000 items cannot be read");
        CHECK(throws_so_far() - before < 20);
    }
    CHECK(deployed.model.stats().submitted == 0);
    CHECK(deployed.connect().process(21).get() == 42);
}

TEST_CASE("items that find the queue full cost no exception each") {
    const Deployed deployed({.batch_timeout = 0ns, .max_queue_size = 10});
    RawClient client(deployed.deployment.address());
    const std::size_t before = throws_so_far();
    const auto reply =
        client.process(request_of("doubling", std::vector<std::string>(30'000, twenty_one)));
    REQUIRE(reply.status.ok());
    CHECK(throws_so_far() - before < 20);
    CHECK(results_in(reply, 30'000).back().code == ::grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_CASE("a message of many fields that are no items is given up") {
    const Deployed deployed(at_once, {.max_items_per_call = 10});
    RawClient client(deployed.deployment.address());
    std::string bytes = request_of("doubling", {twenty_one});
    for (int i = 0; i < 5'000; ++i) wire::write_number(bytes, 9, 1);
    const auto refused = client.process(bytes);
    CHECK(refused.status.error_code() == ::grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(contains(refused.status.error_message(), "too many fields"));
}

TEST_CASE("while large requests are read, others are answered") {
    batching::Batcher<Slow, int> slow(
        [](const std::vector<Slow>& items) { return std::vector<int>(items.size(), 7); }, at_once);
    batching::Batcher<int, int> quick([](std::vector<int> items) { return items; }, at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "slow", slow, "quick", quick);
    RawClient large(deployment.address());
    RawClient small(deployment.address());
    readable = false;
    std::vector<std::future<::grpc::Status>> under_way;
    for (int i = 0; i < 8; ++i) {
        under_way.push_back(large.start(request_of("slow", {std::string(100'000, 'x')})));
    }
    CHECK(eventually([] { return being_read > 0; }));
    for (int i = 0; i < 20; ++i) {
        CHECK(small.process(request_of("quick", {twenty_one})).status.ok());
    }
    readable = true;
    readable.notify_all();
    for (auto& status : under_way) CHECK(status.get().ok());
}

TEST_CASE(
    "requests that wait take no more memory than they may, and what is too much is told at once") {
    const Process server = small_server();
    const std::size_t at_first = peak_memory_of(server);
    RawClient client(server.address());
    // The first keeps the others waiting, for far longer than they take to come; 60 of 4 MiB are far more than 64.
    std::vector<std::future<::grpc::Status>> calls;
    calls.push_back(client.start(request_of("work", {packed({1, "", 10'000})})));
    const Job large{2, std::string(4 << 20, 'x')};
    for (int i = 0; i < 60; ++i) calls.push_back(client.start(request_of("work", {packed(large)})));
    std::size_t refused = 0;
    for (auto& call : calls) {
        const auto status = call.get();
        if (status.ok()) continue;
        CHECK(status.error_code() == ::grpc::StatusCode::RESOURCE_EXHAUSTED);
        ++refused;
    }
    CHECK(refused > 30);
    CHECK(refused < 60);
    check_peak_memory_of(server, at_first + 2 * 64 + 24);
    CHECK(client.process(request_of("work", {packed({3})})).status.ok());
}

TEST_CASE("messages that never end take no more memory than they may") {
    const Process server = small_server();
    const std::size_t at_first = peak_memory_of(server);
    std::vector<std::unique_ptr<Http2Client>> clients;
    const std::string part(4 << 20, '\x7f');
    for (int i = 0; i < 10; ++i) {
        auto& client = *clients.emplace_back(std::make_unique<Http2Client>(server.address()));
        for (int call = 0; call < 6 && client.open(); ++call) {
            if (!client.send_message(client.begin_call(), 8 << 20, part)) break;
        }
    }
    check_peak_memory_of(server, at_first + 2 * 64 + 24);
    clients.clear();
    RawClient client(server.address());
    CHECK(
        eventually([&] { return client.process(request_of("work", {packed({3})})).status.ok(); }));
}

TEST_CASE("streams that are opened and reset leave nothing behind") {
    const Process server = small_server();
    const std::size_t at_first = peak_memory_of(server);
    for (int i = 0; i < 4; ++i) {
        Http2Client client(server.address());
        for (int stream = 0; stream < 5'000 && client.open(); ++stream) {
            client.reset(client.begin_call());
            if (stream % 100 == 0) client.take_frames(0ms);
        }
    }
    RawClient client(server.address());
    const auto status = [&] { return client.process(request_of("work", {packed({3})})).status; };
    // gRPC 1.83 may cancel, unseen, a call that comes while a thousand others wait to be taken. (Handles send it again.)
    const ::grpc::Status first = status();
    INFO(first.error_code() << ": " << first.error_message());
    CHECK((first.ok() || remote::is_wordless_cancellation(first)));
    CHECK(eventually([&] { return status().ok(); }));
    check_peak_memory_of(server, at_first + 64 + 24);
}

TEST_CASE("streams that are opened and left take no more memory than they may") {
    const Process server = small_server();
    const std::size_t at_first = peak_memory_of(server);
    RawClient early(server.address());
    CHECK(early.process(request_of("work", {packed({3})})).status.ok());
    std::vector<std::unique_ptr<Http2Client>> clients;
    for (int i = 0; i < 5; ++i) {
        auto& client = *clients.emplace_back(std::make_unique<Http2Client>(server.address()));
        for (int stream = 0; stream < 4'000 && client.open(); ++stream) {
            client.begin_call();
            if (stream % 100 == 0) client.take_frames(0ms);
        }
    }
    // At 24 KiB each, 2,700 hold all of the 64 MiB: everybody is answered, or refused, and does not wait for his deadline.
    // (Then gRPC may close a connection on which nothing is under way, and take no new one.)
    RawClient client(server.address());
    for (RawClient* one : {&early, &client}) {
        const ::grpc::Status status = one->process(request_of("work", {packed({3})})).status;
        INFO(status.error_code() << ": " << status.error_message());
        CHECK((status.ok() || status.error_code() == ::grpc::StatusCode::RESOURCE_EXHAUSTED ||
               status.error_code() == ::grpc::StatusCode::UNAVAILABLE));
    }
    check_peak_memory_of(server, at_first + 2 * 64 + 24);
    clients.clear();
    for (RawClient* one : {&early, &client}) {
        CHECK(eventually(
            [&] { return one->process(request_of("work", {packed({3})})).status.ok(); }));
    }
}

TEST_CASE("clients who neither send nor take cannot keep others out") {
    const Deployed deployed(at_once, {.max_message_size = 1 << 20,
                                      .max_memory = 16 << 20,
                                      .keepalive = {.interval = 0ms, .timeout = 100ms}});
    const std::string address = deployed.deployment.address();
    RawClient early(address);
    const std::string request = request_of("doubling", {twenty_one});
    CHECK(early.process(request).status.ok());

    const auto attack = GENERATE(values<Attack>({send_nothing, take_no_reply, watch}));
    std::list<Http2Client> clients;
    for (int i = 0; i < 4; ++i) {
        Http2Client& client = clients.emplace_back(address, 0);
        for (int stream = 0; stream < 1'000 && client.open(); ++stream) {
            attack(client, request);
            if (stream % 100 == 0) client.take_frames(0ms);
        }
    }
    // What comes next comes after all that, and finds no memory.
    for (auto& client : clients) client.wait_until_read();
    RawClient late(address);
    for (RawClient* client : {&early, &late}) {
        CHECK(eventually([&] { return client->process(request).status.ok(); }));
    }
}

TEST_CASE("a client whose call is given up is told so in words, so that no handle sends it again") {
    batching::Batcher<int, std::string> model(
        [](const std::vector<int>& items) {
            return std::vector<std::string>(items.size(), std::string(1'000'000, 'x'));
        },
        at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0",
                                         .max_message_size = 1 << 20,
                                         .max_memory = 16 << 20,
                                         .keepalive = {.interval = 0ms, .timeout = 100ms}},
                                        "long", model);
    const std::string request = request_of("long", {twenty_one});
    const bool sends = GENERATE(true, false);

    ::grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    const auto channel = ::grpc::CreateCustomChannel(
        deployment.address(), ::grpc::InsecureChannelCredentials(), arguments);
    ::grpc::GenericStub stub(channel);
    ::grpc::CompletionQueue queue;
    const auto next = [&] {
        void* tag = nullptr;
        bool ok = false;
        REQUIRE(queue.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + 30s) ==
                ::grpc::CompletionQueue::GOT_EVENT);
        return ok;
    };
    ::grpc::ClientContext context;
    const auto call = stub.PrepareCall(&context, remote::process_method, &queue);
    call->StartCall(nullptr);
    CHECK(next());
    if (sends) {
        call->Write(remote::to_buffer(request), nullptr);
        CHECK(next());
        CHECK(eventually([&] { return model.stats().completed == 1; }));
    }
    Http2Client client(deployment.address());
    for (int stream = 0; stream < 1'100; ++stream) {
        client.begin_call();
        if (stream % 100 == 0) client.take_frames(0ms);
    }
    client.wait_until_read();
    // That its call finds memory is at the expense of the first one.
    RawClient other(deployment.address());
    CHECK(eventually([&] { return other.process(request).status.ok(); }));
    ::grpc::ByteBuffer reply;
    call->Read(&reply, nullptr);
    CHECK_FALSE(next());
    ::grpc::Status status;
    call->Finish(&status, nullptr);
    CHECK(next());
    INFO(status.error_code() << ": " << status.error_message());
    CHECK_FALSE(status.ok());
    CHECK_FALSE(remote::is_wordless_cancellation(status));
}

TEST_CASE("long types that differ are told apart by where they do") {
    batching::Batcher<Wide<'a'>, int> model(
        [](const std::vector<Wide<'a'>>& items) { return std::vector<int>(items.size()); },
        at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "wide", model);
    auto handle = rpc::connect<Wide<'b'>, int>(deployment.address(), "wide");
    const auto ended = call(handle, Wide<'b'>());
    CHECK(ended.error == errc::schema_mismatch);
    CHECK(contains(ended.sentence, "the handle's types are ...aaa"));
    CHECK(contains(ended.sentence, "<here:b>zzz"));
    CHECK(contains(ended.sentence, "zzz..., and the deployment's are ...aaa"));
    CHECK(contains(ended.sentence, "<here:a>zzz"));
    CHECK(ended.sentence.size() < 1'000);
}

TEST_CASE("a long name of a deployment that is not there does not hide that") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    const auto refused = client.process(request_of(std::string(100'000, 'n'), {}));
    CHECK(refused.status.error_code() == ::grpc::StatusCode::NOT_FOUND);
    CHECK(refused.status.error_message().size() < 2'000);
}
