// Batches traced with OpenTelemetry's own SDK, which exports into memory.
#pragma once

#include <batcher/opentelemetry.hpp>

#include <opentelemetry/exporters/memory/in_memory_span_exporter.h>
#include <opentelemetry/sdk/trace/simple_processor.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>

#include <memory>
#include <utility>
#include <vector>

namespace test {

namespace api = opentelemetry::trace;
namespace memory = opentelemetry::exporter::memory;
namespace sdk = opentelemetry::sdk::trace;
using batching::OpenTelemetryTracer;
using batching::trace;
using Spans = std::vector<std::unique_ptr<sdk::SpanData>>;

struct Telemetry {
    Telemetry() {
        auto exporter = std::make_unique<memory::InMemorySpanExporter>();
        data = exporter->GetData();
        provider = std::make_shared<sdk::TracerProvider>(
            std::make_unique<sdk::SimpleSpanProcessor>(std::move(exporter)));
        tracer = provider->GetTracer("test");
    }
    OpenTelemetryTracer for_batches() const { return OpenTelemetryTracer("doubling", tracer); }

    std::shared_ptr<memory::InMemorySpanData> data;
    std::shared_ptr<sdk::TracerProvider> provider;
    opentelemetry::nostd::shared_ptr<api::Tracer> tracer;
};

}  // namespace test
