// OpenTelemetryTracer: traces (trace.hpp) in OpenTelemetry's C++ API, version 1.
//
//     #include <batcher.hpp>
//     #include <batcher/opentelemetry.hpp>
//
//     batching::Batcher batcher{embed, {}, batching::trace(batching::OpenTelemetryTracer("embed"))};
//
// Not part of batcher.hpp: it needs that API's headers, and no library of it. (What is recorded, and where it goes, is for
// your program to set up with its SDK, as always.) On Debian 13, and on 12 with backports: apt-get install
// opentelemetry-cpp-dev; with CMake: find_package(opentelemetry-cpp), and its target api.
//
// The current span is the one of opentelemetry::context::RuntimeContext, so a coroutine of yours has to see to it that its
// own is current when it awaits a call. A span of a batch has the attributes batcher.number, batcher.reason ("full",
// "timeout" or "flushed"), batcher.items, batcher.callers, batcher.weight, and when it has ended batcher.oldest_wait_seconds
// and batcher.failed; if the batch has failed, the status Error, with the error's sentence, and an event "exception". It is
// of the kind CLIENT if it is a handle's, else INTERNAL. Its tracestate is that of its parent.
#pragma once

#if !__has_include(<opentelemetry/trace/provider.h>)
#error \
    "batcher/opentelemetry.hpp needs the headers of OpenTelemetry's C++ API: on Debian 13, and on 12 with backports, apt-get install opentelemetry-cpp-dev"
#else

#include <opentelemetry/common/key_value_iterable_view.h>
#include <opentelemetry/context/runtime_context.h>
#include <opentelemetry/trace/provider.h>
#include <opentelemetry/trace/scope.h>
#include <opentelemetry/trace/span_context_kv_iterable.h>
#include <opentelemetry/trace/trace_state.h>
#include <opentelemetry/trace/tracer.h>

#include <algorithm>
#include <array>
#include <batcher/batch_report.hpp>
#include <batcher/dispatch_reason.hpp>
#include <batcher/trace.hpp>
#include <batcher/trace_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace batching {

namespace detail::otel {

namespace api = ::opentelemetry;

inline TraceContext of(const api::trace::SpanContext& span) {
    TraceContext context;
    const auto trace_id = span.trace_id().Id();
    const auto span_id = span.span_id().Id();
    std::copy(trace_id.begin(), trace_id.end(), context.trace_id.begin());
    std::copy(span_id.begin(), span_id.end(), context.span_id.begin());
    context.flags = span.trace_flags().flags();
    const auto state = span.trace_state();
    if (state != nullptr && !state->Empty()) {
        context.state = std::make_shared<const std::string>(state->ToHeader());
    }
    return context;
}
inline api::trace::SpanContext to_span_context(const TraceContext& context) noexcept {
    const std::string_view said = context.tracestate();
    const auto state = said.empty()
                           ? api::trace::TraceState::GetDefault()
                           : api::trace::TraceState::FromHeader({said.data(), said.size()});
    using api::trace::SpanId;
    using api::trace::TraceId;
    return {TraceId(api::nostd::span<const std::uint8_t, 16>(context.trace_id.data(), 16)),
            SpanId(api::nostd::span<const std::uint8_t, 8>(context.span_id.data(), 8)),
            api::trace::TraceFlags(context.flags), false, state};
}

// Links without attributes.
class Links final : public api::trace::SpanContextKeyValueIterable {
public:
    explicit Links(std::span<const TraceContext> links) noexcept : links_(links) {}

    bool ForEachKeyValue(api::nostd::function_ref<bool(api::trace::SpanContext,
                                                       const api::common::KeyValueIterable&)>
                             callback) const noexcept override {
        const std::array<Attribute, 0> none{};
        const api::common::KeyValueIterableView<std::array<Attribute, 0> > attributes(none);
        return std::ranges::all_of(links_, [&](const TraceContext& link) {
            return callback(to_span_context(link), attributes);
        });
    }
    std::size_t size() const noexcept override { return links_.size(); }

private:
    using Attribute = std::pair<api::nostd::string_view, api::common::AttributeValue>;
    std::span<const TraceContext> links_;
};

inline std::string sentence_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

class Span final : public BatchSpan {
public:
    // What OpenTelemetry has tracers in.
    using Pointer = api::nostd::shared_ptr<api::trace::Span>;
    explicit Span(Pointer span) noexcept : span_(std::move(span)) {}

    TraceContext context() const override { return of(span_->GetContext()); }
    std::shared_ptr<void> make_current() override {
        return std::make_shared<api::trace::Scope>(span_);
    }
    void end(const BatchReport& report) override {
        const std::chrono::duration<double> waited = report.oldest_wait;
        span_->SetAttribute("batcher.oldest_wait_seconds", waited.count());
        span_->SetAttribute("batcher.failed", static_cast<std::uint64_t>(report.failed));
        if (report.error) {
            const std::string sentence = sentence_of(report.error);
            span_->AddEvent("exception", {{"exception.message", sentence.c_str()}});
            span_->SetStatus(api::trace::StatusCode::kError, sentence);
        }
        span_->End();
    }

private:
    Pointer span_;
};

}  // namespace detail::otel

// Makes a span of OpenTelemetry for each batch: batching::trace(batching::OpenTelemetryTracer("embed")).
class OpenTelemetryTracer final : public Tracer {
public:
    // What OpenTelemetry has tracers in.
    using Pointer = ::opentelemetry::nostd::shared_ptr< ::opentelemetry::trace::Tracer>;

    // `name` is that of the spans. The tracer is the global provider's for "batcher", at this moment.
    explicit OpenTelemetryTracer(std::string name)
        : OpenTelemetryTracer(
              std::move(name),
              ::opentelemetry::trace::Provider::GetTracerProvider()->GetTracer("batcher")) {}
    // The same with a tracer of yours; not null.
    OpenTelemetryTracer(std::string name, Pointer tracer) noexcept
        : name_(std::move(name)), tracer_(std::move(tracer)) {}

    // Of OpenTelemetry's current span.
    TraceContext current() override {
        return detail::otel::of(::opentelemetry::trace::Tracer::GetCurrentSpan()->GetContext());
    }

    // Begins a span by the name that it was given.
    std::unique_ptr<BatchSpan> start(const TracedBatch& batch) override {
        namespace api = ::opentelemetry;
        const auto number = [](std::size_t value) { return static_cast<std::uint64_t>(value); };
        using Attribute = std::pair<api::nostd::string_view, api::common::AttributeValue>;
        const std::array<Attribute, 5> attributes{{{"batcher.number", batch.number},
                                                   {"batcher.reason", reason(batch.reason)},
                                                   {"batcher.items", number(batch.items)},
                                                   {"batcher.callers", number(batch.callers)},
                                                   {"batcher.weight", number(batch.weight)}}};
        api::trace::StartSpanOptions options;
        options.kind =
            batch.remote ? api::trace::SpanKind::kClient : api::trace::SpanKind::kInternal;
        if (batch.parent.valid()) {
            options.parent = detail::otel::to_span_context(batch.parent);
        } else {  // also where a span is current: a handle's batch may run on a caller's thread
            options.parent = api::context::Context(api::trace::kIsRootSpanKey, true);
        }
        return std::make_unique<detail::otel::Span>(tracer_->StartSpan(
            name_, api::common::KeyValueIterableView<std::array<Attribute, 5> >(attributes),
            detail::otel::Links(batch.links), options));
    }

private:
    static const char* reason(DispatchReason reason) noexcept {
        switch (reason) {
            case DispatchReason::full:
                return "full";
            case DispatchReason::timeout:
                return "timeout";
            default:
                return "flushed";
        }
    }

    std::string name_;
    Pointer tracer_;
};

}  // namespace batching

#endif
