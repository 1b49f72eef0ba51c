// OpenTelemetryTracer: what is exported for batches.
#include "telemetry.hpp"

#include <asio.hpp>
#include <batcher.hpp>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include "../unit/catch.hpp"

using namespace test;

namespace {

std::vector<int> doubling(std::vector<int> items) {
    for (int& item : items) {
        if (item == 13) throw std::runtime_error("13 is unlucky");
        item *= 2;
    }
    return items;
}

constexpr batching::Options until_flushed{.batch_timeout = batching::no_timeout};

std::uint64_t number(const sdk::SpanData& span, const std::string& attribute) {
    return opentelemetry::nostd::get<std::uint64_t>(span.GetAttributes().at(attribute));
}

}  // namespace

TEST_CASE("a batch of one is a span under that of its caller") {
    Telemetry telemetry;
    {
        batching::Batcher batcher{doubling, {}, trace(telemetry.for_batches())};
        auto span = telemetry.tracer->StartSpan("caller");
        {
            const api::Scope scope(span);
            CHECK(batcher.process(21).get() == 42);
        }
        span->End();
    }
    const Spans spans = telemetry.data->GetSpans();
    REQUIRE(spans.size() == 2);
    const auto& batch = *spans[0];  // it ends before its callers have their results
    const auto& caller = *spans[1];
    CHECK(batch.GetName() == "doubling");
    CHECK(batch.GetSpanKind() == api::SpanKind::kInternal);
    CHECK(batch.GetTraceId() == caller.GetTraceId());
    CHECK(batch.GetParentSpanId() == caller.GetSpanId());
    CHECK(batch.GetSpanContext().IsSampled());
    CHECK(batch.GetLinks().empty());
    CHECK(number(batch, "batcher.items") == 1);
    CHECK(number(batch, "batcher.callers") == 1);
    CHECK(number(batch, "batcher.number") == 1);
    CHECK(number(batch, "batcher.weight") == 1);
    CHECK(number(batch, "batcher.failed") == 0);
    CHECK(opentelemetry::nostd::get<std::string>(batch.GetAttributes().at("batcher.reason")) ==
          "timeout");
    CHECK(batch.GetStatus() == api::StatusCode::kUnset);
}

TEST_CASE("a batch of several callers is the root of a trace, with links to them") {
    Telemetry telemetry;
    std::vector<api::SpanContext> callers;
    asio::io_context context;
    batching::Batcher batcher{context, doubling, until_flushed, trace(telemetry.for_batches())};
    std::vector<std::future<int>> results;
    for (int i = 0; i < 200; ++i) {
        auto span = telemetry.tracer->StartSpan("caller");
        const api::Scope scope(span);
        callers.push_back(span->GetContext());
        results.push_back(batcher.async_process(i + 100, asio::use_future));
    }
    auto other = telemetry.tracer->StartSpan("that runs the batch");
    telemetry.data->GetSpans();  // those of the callers
    const api::Scope scope(other);
    batcher.flush();
    context.run();
    const Spans spans = telemetry.data->GetSpans();
    REQUIRE(spans.size() == 7);  // of at most 32 items
    const auto& batch = *spans[0];
    CHECK_FALSE(batch.GetParentSpanId().IsValid());
    CHECK(batch.GetTraceId() != other->GetContext().trace_id());
    REQUIRE(batch.GetLinks().size() == 32);
    for (std::size_t i = 0; i < 32; ++i) {
        CHECK(batch.GetLinks()[i].GetSpanContext() == callers[i]);
    }
    CHECK(number(batch, "batcher.callers") == 32);
}

TEST_CASE("a batch that fails is a span with its error") {
    Telemetry telemetry;
    {
        batching::Batcher batcher{doubling, {}, trace(telemetry.for_batches())};
        CHECK_THROWS_WITH(batcher.process(13).get(), "13 is unlucky");
    }
    const Spans spans = telemetry.data->GetSpans();
    REQUIRE(spans.size() == 1);
    CHECK(spans[0]->GetStatus() == api::StatusCode::kError);
    CHECK(spans[0]->GetDescription() == "13 is unlucky");
    CHECK(number(*spans[0], "batcher.failed") == 1);
    REQUIRE(spans[0]->GetEvents().size() == 1);
    CHECK(spans[0]->GetEvents()[0].GetName() == "exception");
}

TEST_CASE("what a batch function begins is a child of its batch") {
    Telemetry telemetry;
    {
        batching::Batcher batcher{[&](std::vector<int> items) {
                                      telemetry.tracer->StartSpan("the model")->End();
                                      return items;
                                  },
                                  {},
                                  trace(telemetry.for_batches())};
        batcher.process(1).get();
    }
    const Spans spans = telemetry.data->GetSpans();
    REQUIRE(spans.size() == 2);
    CHECK(spans[0]->GetName() == "the model");
    CHECK(spans[0]->GetParentSpanId() == spans[1]->GetSpanId());
}

TEST_CASE("without an SDK nothing is recorded, and calls are as ever") {
    batching::Batcher batcher{doubling, {}, trace(OpenTelemetryTracer("doubling"))};
    CHECK(batcher.process(21).get() == 42);
}
