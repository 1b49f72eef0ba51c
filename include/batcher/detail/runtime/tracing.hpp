// Tracing: what an engine does for traces, if it has a tracer. What that throws goes nowhere.
#pragma once

#include <batcher/batch_report.hpp>
#include <batcher/detail/core/batch.hpp>
#include <batcher/detail/core/traced.hpp>
#include <batcher/trace.hpp>
#include <memory>
#include <utility>

namespace batching::detail {

class Tracing {
public:
    explicit Tracing(std::shared_ptr<Tracer> tracer) noexcept : tracer_(std::move(tracer)) {}

    explicit operator bool() const noexcept { return tracer_ != nullptr; }

    // That of this thread; not valid if there is none.
    TraceContext current() const noexcept {
        if (tracer_ == nullptr) return {};
        try {
            return tracer_->current();
        } catch (...) {
            return {};
        }
    }

    // Gives a call a context, if there is a tracer and it is valid.
    void attach(ItemCall& call, const TraceContext& context) const noexcept {
        if (tracer_ == nullptr || !context.valid()) return;
        try {
            Traced::attach(call, context);
        } catch (...) {  // no memory: it goes without
            static_cast<void>(call);
        }
    }

    // A batch is formed: looks who its callers are. Under the engine's lock.
    void formed(Batch& batch) const noexcept {
        if (tracer_ == nullptr) return;
        try {
            if (batch.trace == nullptr) batch.trace = std::make_unique<BatchTrace>();
        } catch (...) {
            return;
        }
        BatchTrace& trace = *batch.trace;
        trace.clear();
        const auto add = [&](const Call& call) { trace.add(trace_context_of(call)); };
        batch.calls.for_each(add);
        batch.sharers.for_each(add);
    }

    // Its function is about to be called, on this thread: begins its span, which is current for as long as what is
    // returned lives.
    std::shared_ptr<void> begin(Batch& batch, bool remote) const noexcept {
        if (tracer_ == nullptr || batch.trace == nullptr) return nullptr;
        BatchTrace& trace = *batch.trace;
        trace.context = trace.parent();
        try {
            trace.span = tracer_->start({trace.parent(), trace.links(), batch.number, batch.reason,
                                         batch.items, trace.callers(), batch.weight, remote});
            if (trace.span == nullptr) return nullptr;
            if (const TraceContext own = trace.span->context(); own.valid()) trace.context = own;
            return trace.span->make_current();
        } catch (...) {
            return nullptr;
        }
    }

    // It has its results.
    void end(const Batch& batch, const BatchReport& report) const noexcept {
        if (tracer_ == nullptr || batch.trace == nullptr || batch.trace->span == nullptr) return;
        const auto span = std::move(batch.trace->span);
        try {
            span->end(report);
        } catch (...) {  // the batch has ended all the same
            return;
        }
    }

private:
    const std::shared_ptr<Tracer> tracer_;
};

}  // namespace batching::detail
