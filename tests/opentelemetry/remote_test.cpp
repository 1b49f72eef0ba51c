// OpenTelemetryTracer: what is exported for a call of a handle, by the client and by the deployment.
#include "telemetry.hpp"

#include <array>
#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <cstdint>
#include <vector>

#include "../unit/catch.hpp"

using namespace test;

TEST_CASE("a call of a handle is one trace: caller, handle, deployment, and what runs there") {
    Telemetry client;
    Telemetry server;
    batching::Batcher<int, int> model{[&](std::vector<int> items) {
                                          server.tracer->StartSpan("the model")->End();
                                          return items;
                                      },
                                      {},
                                      trace(server.for_batches())};
    const auto deployment = batching::grpc::deploy({.listen = "127.0.0.1:0"}, "model", model);
    auto handle = batching::grpc::connect<int, int>(deployment.address(), "model", {},
                                                    trace(client.for_batches()));
    api::StartSpanOptions beginning;
    const std::array<std::uint8_t, 16> trace_id{1};
    const std::array<std::uint8_t, 8> span_id{1};
    beginning.parent = api::SpanContext(api::TraceId(trace_id), api::SpanId(span_id),
                                        api::TraceFlags(api::TraceFlags::kIsSampled), true,
                                        api::TraceState::FromHeader("vendor=a,other=1"));
    auto caller = client.tracer->StartSpan("caller", beginning);
    {
        const api::Scope scope(caller);
        CHECK(handle.process(21).get() == 21);
    }
    const Spans sent = client.data->GetSpans();
    const Spans ran = server.data->GetSpans();
    REQUIRE(sent.size() == 1);
    REQUIRE(ran.size() == 2);
    CHECK(sent[0]->GetSpanKind() == api::SpanKind::kClient);
    CHECK(sent[0]->GetParentSpanId() == caller->GetContext().span_id());
    CHECK(ran[1]->GetSpanKind() == api::SpanKind::kInternal);
    CHECK(ran[1]->GetParentSpanId() == sent[0]->GetSpanId());
    CHECK(ran[0]->GetParentSpanId() == ran[1]->GetSpanId());
    for (const auto* spans : {&sent, &ran}) {
        for (const auto& span : *spans) {
            CHECK(span->GetTraceId() == caller->GetContext().trace_id());
            CHECK(span->GetSpanContext().trace_state()->ToHeader() == "vendor=a,other=1");
        }
    }
}
