// Traces: which callers a batch has served, in the tracer that you have.
//
//     batching::Batcher batcher{embed, {}, batching::trace(std::make_shared<MyTracer>())};
//
// trace() is a rule (rules.hpp). Tracer is what it needs: two functions, of yours; for OpenTelemetry they are there
// (opentelemetry.hpp). A call takes along the context of the thread that submits it: the span that is current there when
// its operation is awaited, started or got. A batch has a span of its own, from when its function is called until it has
// its results, before any caller has its own.
//
//   - All calls of a batch have the same context: its span is a child of that. So it is for a batch of one, and for
//     process_many() alone.
//   - Else it is the root of a trace of its own, with links to the callers: at most 128, those that are sampled; equal
//     ones one after another count once. If none is sampled, it is a child of the first that has a context, so that who
//     samples by the parent leaves it out, too.
//   - deduplicate(): who shares a place is a caller like any other, but for those that join a batch that runs already.
//   - Who has gone before its batch is formed (cancelled, out of time) is none of its callers.
//
// A remote handle and a deployment have such spans, each in its process: grpc/connect.hpp says what goes between them.
//
// The span is current on the thread that calls the function, until that returns. An asynchronous function finds it in
// BatchInfo::trace_context(), as a thread has no part in where its coroutine goes on.
//
// Errors. A trace fails no call: what a tracer throws goes nowhere, and the call has no context then, or the batch no span.
//
// Threads: current() is called by all that submit, the others by those that run batches, several at a time; never under a
// lock of the library. Costs: without the rule nothing, but for a pointer in each batch. With it a call of current() for
// each operation, and for each call with a valid context an allocation of 80 bytes; for each batch in use 6.3 KB, and
// what the tracer needs.
#pragma once

#include <batcher/batch_report.hpp>
#include <batcher/dispatch_reason.hpp>
#include <batcher/trace_context.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace batching {

// A batch whose function is about to be called. Valid during the call that it is given to.
struct TracedBatch {
    TraceContext parent;                  // of its span; not valid: none
    std::span<const TraceContext> links;  // to its callers, at most 128; empty if there is a parent
    std::uint64_t number = 0;             // as in BatchInfo
    DispatchReason reason = DispatchReason::full;  // why it has left
    std::size_t items = 0;                         // that the function is given
    std::size_t callers = 0;                       // as many, or more if some share a place
    std::size_t weight = 0;                        // the sum of those of its calls
    bool remote = false;  // a handle's: what it calls is in another process
};

// The span of a batch, as the tracer has it. Destroyed after end(). Its functions are not called at the same time.
class BatchSpan {
public:
    BatchSpan() = default;
    BatchSpan(const BatchSpan&) = delete;
    BatchSpan& operator=(const BatchSpan&) = delete;
    virtual ~BatchSpan() = default;

    // What stands for it elsewhere: it goes to a deployment, and into BatchInfo.
    virtual TraceContext context() const = 0;

    // Makes it current on this thread, for as long as what is returned lives: until the batch function returns. It may
    // outlive this object.
    virtual std::shared_ptr<void> make_current() { return nullptr; }

    // Once, on the thread that finishes the batch.
    virtual void end(const BatchReport& report) = 0;
};

// What makes spans.
class Tracer {
public:
    Tracer() = default;
    Tracer(const Tracer&) = default;
    Tracer& operator=(const Tracer&) = default;
    virtual ~Tracer() = default;

    // The span that is current on this thread. Not valid: there is none.
    virtual TraceContext current() = 0;

    // Begins the span of a batch. Null: it is to have none; its one caller, if it has only one, then stands for it elsewhere.
    virtual std::unique_ptr<BatchSpan> start(const TracedBatch& batch) = 0;
};

namespace detail {

struct Trace {
    std::shared_ptr<Tracer> tracer;
};

}  // namespace detail

// A rule: every batch has a span. What it says of callers stands at the beginning of trace.hpp. Null: the same as no rule.
inline auto trace(std::shared_ptr<Tracer> tracer) { return detail::Trace{std::move(tracer)}; }

// The same with a tracer of its own: batching::trace(batching::OpenTelemetryTracer("embed")).
template <std::derived_from<Tracer> T>
auto trace(T tracer) {
    return detail::Trace{std::make_shared<T>(std::move(tracer))};
}

}  // namespace batching
