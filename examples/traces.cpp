// Traces: a batch has a span, which knows its callers. Here with a tracer that prints; with OpenTelemetry it is
// batching::OpenTelemetryTracer("squares"), of <batcher/opentelemetry.hpp>.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using batching::TraceContext;

struct Span {
    std::string name;
    TraceContext context, parent;
    std::vector<TraceContext> links;
};

class PrintingTracer : public batching::Tracer {
public:
    Span& begin(std::string name, const TraceContext& parent, std::vector<TraceContext> links) {
        TraceContext context = parent;
        if (!parent.valid()) context.trace_id[15] = static_cast<std::uint8_t>(spans_.size() + 1);
        context.span_id[7] = static_cast<std::uint8_t>(spans_.size() + 1);
        context.flags = 1;
        spans_.push_back({std::move(name), context, parent, std::move(links)});
        return spans_.back();
    }

    // The two functions that a Batcher needs: whose code it is that calls, and the span of a batch.
    TraceContext current() override { return now; }
    std::unique_ptr<batching::BatchSpan> start(const batching::TracedBatch& batch) override {
        struct OfBatch : batching::BatchSpan {
            explicit OfBatch(const Span& s) : span(s) {}
            TraceContext context() const override { return span.context; }
            void end(const batching::BatchReport&) override {}
            const Span& span;
        };
        return std::make_unique<OfBatch>(
            begin(fmt::format("squares, batch {}, items: {}", batch.number, batch.items),
                  batch.parent, {batch.links.begin(), batch.links.end()}));
    }

    void print(const TraceContext& below = {}, int depth = 0) const {
        for (const Span& span : spans_) {
            if (span.parent != below) continue;
            fmt::print("{:{}}{}", "", 4 * depth, span.name);
            for (const TraceContext& link : span.links)
                fmt::print(" <- {}", spans_[link.span_id[7] - 1U].name);
            fmt::print("\n");
            print(span.context, depth + 1);
        }
    }

    TraceContext now;  // current; a program of many threads has one for each

private:
    std::deque<Span> spans_;  // they do not move
};

std::vector<int> squares(std::vector<int> batch) {
    for (int& x : batch) x *= x;
    return batch;
}

int main() {
    const auto tracer = std::make_shared<PrintingTracer>();
    asio::io_context context;
    batching::Batcher batcher{context, squares, {.max_batch_size = 3}, batching::trace(tracer)};
    for (int i = 1; i <= 4; ++i) {  // the first three fill a batch, and the fourth is one alone
        tracer->now = tracer->begin(fmt::format("request {}", i), {}, {}).context;
        batcher.async_process(i, asio::detached);
    }
    tracer->now = {};
    context.run();
    tracer->print();
}
