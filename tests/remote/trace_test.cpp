// Traces across processes: what a handle sends of its callers, and what a deployment makes of it.
#include "recording_tracer.hpp"
#include "witness.hpp"

#include <grpcpp/version_info.h>

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace trace_test {

using namespace test;
using batching::CallOptions;
using batching::Priority;
using batching::trace;

constexpr batching::Options until_flushed{.batch_timeout = batching::no_timeout};

// A deployment whose batches are traced.
struct Traced {
    Doubling doubling;
    std::shared_ptr<RecordingTracer> tracer = std::make_shared<RecordingTracer>(2'000);
    batching::Batcher<int, int> model;
    rpc::Deployment deployment;

    explicit Traced(batching::Options options = at_once)
        : model(doubling.function(), options, trace(tracer)),
          deployment(rpc::deploy({.listen = "127.0.0.1:0"}, "doubling", model)) {}
    Traced(const Traced&) = delete;
    Traced& operator=(const Traced&) = delete;
    ~Traced() { doubling.release(); }

    std::string address() const { return deployment.address(); }
    bool waits(std::size_t items) {
        return eventually([&] { return model.stats().waiting == items; });
    }
    RecordedSpan only_span() const {
        const auto spans = tracer->copy();
        REQUIRE(spans.size() == 1);
        return spans.front();
    }
};

// A handle whose batches are.
struct Handle {
    std::shared_ptr<RecordingTracer> tracer;
    batching::Batcher<int, int> handle;

    explicit Handle(const std::string& address, rpc::ConnectOptions options = {}, int first = 1'000)
        : tracer(std::make_shared<RecordingTracer>(first)),
          handle(rpc::connect<int, int>(address, "doubling", std::move(options), trace(tracer))) {}

    std::future<int> ask_in(const TraceContext& span, int item, const CallOptions& options = {}) {
        const Current current(span);
        return handle.async_process(item, options, aio::use_future);
    }
};

std::string packed(int item) {
    std::string bytes;
    batching::Codec<int>::encode(item, bytes);
    return bytes;
}
std::string request_for(const std::vector<int>& items) {
    std::vector<std::string> encoded;
    for (const int item : items) encoded.push_back(packed(item));
    return request_of("doubling", encoded, "int -> int");
}

// ---- from a handle to a deployment -----------------------------------------------------------------------

TEST_CASE("a call alone is one trace: the caller, the handle's batch, the deployment's batch") {
    const Traced deployed;
    Handle client(deployed.address());
    CHECK(client.ask_in(span_of(1), 21).get() == 42);
    const auto sent = client.tracer->copy();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].parent == span_of(1));
    CHECK(sent[0].remote);
    CHECK(sent[0].ended == 1);
    const RecordedSpan ran = deployed.only_span();
    CHECK(ran.parent == sent[0].context);
    CHECK(ran.links.empty());
    CHECK_FALSE(ran.remote);
    CHECK(deployed.tracer->asked == 0);  // whatever is current on gRPC's threads is no caller
}

TEST_CASE("the deployment's batch is linked to all callers of a remote call, as the handle's is") {
    Traced deployed;
    Handle client(deployed.address(), {.calls_in_flight = 1});
    deployed.doubling.hold();
    auto first = client.ask_in(span_of(1), 1);
    REQUIRE(deployed.doubling.called(1));
    auto second = client.ask_in(span_of(2), 2);
    auto none = client.ask_in(TraceContext(), 3);
    auto third = client.ask_in(span_of(4), 4, {.timeout = 1h, .priority = Priority::high});
    deployed.doubling.release();
    for (auto* call : {&first, &second, &none, &third}) call->get();
    const std::vector links{span_of(4), span_of(2)};
    CHECK(client.tracer->copy().at(1).links == links);
    // What has no context of its own has that of its remote call.
    const RecordedSpan ran = deployed.tracer->copy().at(1);
    CHECK(ran.links == std::vector{span_of(4), span_of(2), client.tracer->copy().at(1).context});
    CHECK_FALSE(ran.parent.valid());
    CHECK(deployed.doubling.batches().back() == std::vector{4, 2, 3});
}

TEST_CASE("the deployment's batch is linked to the callers of all clients") {
    Traced deployed(until_flushed);
    Handle one(deployed.address(), {}, 1'000);
    Handle other(deployed.address(), {}, 1'100);
    auto a = one.ask_in(span_of(1), 1);
    REQUIRE(deployed.waits(1));
    auto b = other.ask_in(span_of(2), 2);
    REQUIRE(deployed.waits(2));
    deployed.model.flush();
    CHECK(a.get() == 2);
    CHECK(b.get() == 4);
    CHECK(deployed.only_span().links ==
          std::vector{one.tracer->copy().at(0).context, other.tracer->copy().at(0).context});
}

TEST_CASE("with one caller, or without the rule, a message is what it always was") {
    Witness witness;
    const auto always = request_for({21});
    Handle client(witness.address());
    CHECK(client.ask_in(span_of(1), 21).get() == 42);
    CHECK(client.ask_in(TraceContext(), 21).get() == 42);
    auto plain = rpc::connect<int, int>(witness.address(), "doubling");
    CHECK(plain.process(21).get() == 42);
    CHECK(witness.requests() == std::vector(3, always));
}

TEST_CASE("the contexts of callers go with their items into several messages, none too large") {
    Witness witness;
    Handle client(witness.address(), {.calls_in_flight = 1, .max_message_size = 200});
    witness.hold();
    auto first = client.ask_in(span_of(999), 21);
    REQUIRE(witness.asked(1));
    std::vector<std::future<int>> calls;
    for (int i = 1; i <= 100; ++i) calls.push_back(client.ask_in(span_of(i), i));
    witness.release();
    first.get();
    for (auto& call : calls) CHECK(call.get() == 42);
    std::size_t sent = 0;
    for (const auto& bytes : witness.requests()) {
        CHECK(bytes.size() <= 200);
        const auto request = wire::read_request(bytes, 100);
        if (request.contexts.empty()) continue;
        REQUIRE(request.contexts.size() == request.items.size());
        for (std::size_t i = 0; i < request.items.size(); ++i) {
            const int item = batching::Codec<int>::decode(request.items[i]);
            CHECK(request.contexts[i] == span_of(item));
            ++sent;
        }
    }
    CHECK(sent == 100);
}

// A deployment that calls another.
struct Forwarding {
    Traced behind;
    std::shared_ptr<RecordingTracer> between = std::make_shared<RecordingTracer>(3'000);
    batching::Batcher<int, int> forward =
        rpc::connect<int, int>(behind.address(), "doubling", {}, trace(between));
    rpc::Deployment proxy = rpc::deploy({.listen = "127.0.0.1:0"}, "doubling", forward);
    Handle client{proxy.address()};
};

TEST_CASE("what vendors say of a caller goes to the deployment, and on to the next") {
    Forwarding f;
    CHECK(f.client.ask_in(span_with(1, "vendor=a b,other=1"), 21).get() == 42);
    CHECK(f.behind.only_span().parent.tracestate() == "vendor=a b,other=1");
    // What no header may have is not sent, and fails no call.
    for (const std::string& odd : {std::string("a=\n"), std::string(513, 'a'), std::string()}) {
        CHECK(f.client.ask_in(span_with(1, odd), 21).get() == 42);
        const RecordedSpan last = f.behind.tracer->copy().back();
        CHECK(last.parent.valid());
        CHECK(last.parent.tracestate().empty());
    }
}

TEST_CASE("a deployment that calls another passes on who calls") {
    Forwarding f;
    CHECK(f.client.ask_in(span_of(1), 21).get() == 42);
    CHECK(f.between->copy().at(0).parent == f.client.tracer->copy().at(0).context);
    CHECK(f.behind.only_span().parent == f.between->copy().at(0).context);
}

TEST_CASE("a handle that starts no spans passes on its one caller") {
    const Traced deployed;
    Handle client(deployed.address());
    client.tracer->starts = false;
    CHECK(client.ask_in(span_of(1), 21).get() == 42);
    CHECK(deployed.only_span().parent == span_of(1));
}

TEST_CASE("an error of the deployment is that of both spans") {
    const auto over_there = std::make_shared<RecordingTracer>(2'000);
    batching::Batcher<int, int> model{
        [](std::vector<int>) -> std::vector<int> { throw std::runtime_error("no model"); },
        {},
        trace(over_there)};
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "doubling", model);
    Handle client(deployment.address());
    CHECK_THROWS(client.ask_in(span_of(1), 21).get());
    CHECK(over_there->copy().at(0).error);
    CHECK(client.tracer->copy().at(0).failed == 1);
}

TEST_CASE("a deployment that is not traced takes what a traced handle sends") {
    Deployed deployed;
    Handle client(deployed.deployment.address(), {.calls_in_flight = 1});
    deployed.doubling.hold();
    auto first = client.ask_in(span_of(1), 1);
    REQUIRE(deployed.doubling.called(1));
    auto second = client.ask_in(span_of(2), 2);
    auto third = client.ask_in(span_of(3), 3);
    deployed.doubling.release();
    CHECK(first.get() == 2);
    CHECK(second.get() == 4);
    CHECK(third.get() == 6);
}

// ---- from any client -------------------------------------------------------------------------------------

TEST_CASE("the traceparent of any client's call is the caller of its items") {
    const Traced deployed;
    RawClient client(deployed.address());
    const auto process = [&](const RawClient::Metadata& metadata) {
        CHECK(client.call_with(metadata, remote::process_method, request_for({1, 2})).status.ok());
        return deployed.tracer->copy().back();
    };
    const std::string good = span_of(1).to_traceparent();
    CHECK(process({{"traceparent", good}}).parent == span_of(1));
    CHECK(process({{"traceparent", not_sampled(1).to_traceparent()}}).parent == not_sampled(1));
    CHECK_FALSE(process({}).parent.valid());
    CHECK_FALSE(process({{"traceparent", "who knows"}}).parent.valid());
    CHECK_FALSE(process({{"traceparent", ""}}).parent.valid());
    const auto of_two =
        process({{"traceparent", good}, {"traceparent", span_of(2).to_traceparent()}});
    if (of_two.parent.valid()) {  // gRPC shows only the last; 1.51 shows both
        CHECK(of_two.parent == span_of(2));
        CHECK(std::string(GRPC_CPP_VERSION_STRING) != "1.51.1");
    }
    CHECK_FALSE(process({{"traceparent", std::string(4'000, '0')}}).parent.valid());
}

TEST_CASE("the tracestate of any client's call goes with its traceparent, or is ignored") {
    const Traced deployed;
    RawClient client(deployed.address());
    const auto state = [&](const RawClient::Metadata& metadata) {
        CHECK(client.call_with(metadata, remote::process_method, request_for({1, 2})).status.ok());
        return std::string(deployed.tracer->copy().back().parent.tracestate());
    };
    const std::string good = span_of(1).to_traceparent();
    CHECK(state({{"traceparent", good}, {"tracestate", "a=1"}}) == "a=1");
    CHECK(state({{"traceparent", good}, {"tracestate", "a=1"}, {"tracestate", "b=2"}}) ==
          "a=1,b=2");
    CHECK(state({{"traceparent", good}, {"tracestate", std::string(513, 'a')}}) == "");
    CHECK(state({{"traceparent", good}, {"tracestate", ""}}) == "");
    CHECK(state({{"traceparent", "who knows"}, {"tracestate", "a=1"}}) == "");
    CHECK(state({{"tracestate", "a=1"}}) == "");
}

TEST_CASE("each readable item of a message has its own context, or that of the call") {
    const Traced deployed;
    RawClient client(deployed.address());
    std::string bytes = request_of("doubling", {packed(1), "\xc1", packed(2), packed(3)});
    wire::write_contexts(bytes, std::vector{span_of(1), span_of(9), TraceContext(), span_of(3)});
    const auto reply = client.call_with({{"traceparent", span_of(2).to_traceparent()}},
                                        remote::process_method, bytes);
    REQUIRE(reply.status.ok());
    CHECK(deployed.only_span().links == std::vector{span_of(1), span_of(2), span_of(3)});
}

TEST_CASE(
    "contexts that are none are ignored, and another number of them than of items is refused") {
    const Traced deployed;
    RawClient client(deployed.address());
    const auto process = [&](const std::vector<std::string>& contexts) {
        std::string bytes = request_for({1, 2});
        for (const auto& context : contexts) wire::write_bytes(bytes, 6, context);
        return client.process(bytes).status;
    };
    const std::string zeros(25, '\0');
    for (const auto& odd : {zeros, std::string(24, 'x'), std::string(26, 'x'), std::string()}) {
        CHECK(process({odd, odd}).ok());
        const auto spans = deployed.tracer->copy();
        CHECK_FALSE(spans.back().parent.valid());
        CHECK(spans.back().links.empty());
    }
    const std::string some(25, '\1');
    CHECK(process({some, some}).ok());
    CHECK(deployed.tracer->copy().back().parent.valid());
    for (const std::size_t count : {1U, 3U}) {
        const auto status = process(std::vector(count, some));
        CHECK(status.error_code() == ::grpc::StatusCode::INVALID_ARGUMENT);
        CHECK(contains(status.error_message(),
                       "it has " + std::to_string(count) + " trace_contexts for 2 items"));
    }
}

}  // namespace trace_test
