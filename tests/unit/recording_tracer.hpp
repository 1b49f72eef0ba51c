// A tracer that remembers its spans: the smallest implementation of batching::Tracer, with faults to order.
#pragma once

#include <batcher/trace.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

using batching::TraceContext;

// The span of a caller, by a number of the test's own.
inline TraceContext span_of(int number) {
    TraceContext context;
    context.trace_id[0] = 0xca;
    context.span_id[5] = 0xfe;
    context.span_id[6] = static_cast<std::uint8_t>(number / 256);
    context.span_id[7] = static_cast<std::uint8_t>(number % 256);
    context.flags = 1;
    return context;
}
inline TraceContext span_with(int number, std::string state) {
    TraceContext context = span_of(number);
    context.state = std::make_shared<const std::string>(std::move(state));
    return context;
}
inline TraceContext not_sampled(int number) {
    TraceContext context = span_of(number);
    context.flags = 0;
    return context;
}

// What is current on this thread, for as long as this lives.
class Current {
public:
    explicit Current(const TraceContext& context) : before_(std::exchange(now(), context)) {}
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
    ~Current() { now() = before_; }
    static TraceContext get() { return now(); }

private:
    static TraceContext& now() {
        static thread_local TraceContext current;
        return current;
    }
    TraceContext before_;
};

struct RecordedSpan {
    TraceContext context;
    TraceContext parent;
    std::vector<TraceContext> links;
    std::uint64_t number = 0;
    batching::DispatchReason reason{};
    std::size_t items = 0;
    std::size_t callers = 0;
    std::size_t weight = 0;
    bool remote = false;
    int ended = 0;
    std::size_t failed = 0;
    std::exception_ptr error;
};

enum class Throws : std::uint8_t { nothing, current, start, context, make_current, end };

class RecordingTracer final : public batching::Tracer {
public:
    // Its spans are numbered from `first`.
    explicit RecordingTracer(int first = 1'000) noexcept : first_(first) {}

    TraceContext current() override {
        const std::lock_guard lock(mutex);
        ++asked;
        throw_if(Throws::current);
        return Current::get();
    }

    std::unique_ptr<batching::BatchSpan> start(const batching::TracedBatch& batch) override {
        throw_if(Throws::start);
        if (!starts) return nullptr;
        const std::lock_guard lock(mutex);
        RecordedSpan& span = spans.emplace_back();
        span.context = span_of(first_ + static_cast<int>(spans.size()) - 1);
        span.parent = batch.parent;
        span.context.state = batch.parent.state;  // as tracers do
        span.links.assign(batch.links.begin(), batch.links.end());
        span.number = batch.number;
        span.reason = batch.reason;
        span.items = batch.items;
        span.callers = batch.callers;
        span.weight = batch.weight;
        span.remote = batch.remote;
        return std::make_unique<Span>(*this, span);
    }

    void throw_if(Throws where) const {
        if (throws == where) throw std::runtime_error("the tracer is gone");
    }
    std::vector<RecordedSpan> copy() {
        const std::lock_guard lock(mutex);
        return {spans.begin(), spans.end()};
    }

    std::mutex mutex;
    std::deque<RecordedSpan> spans;  // they do not move
    int asked = 0;                   // for what is current
    bool starts = true;
    Throws throws = Throws::nothing;

private:
    const int first_;

    class Span final : public batching::BatchSpan {
    public:
        Span(RecordingTracer& tracer, RecordedSpan& span) : tracer_(tracer), span_(span) {}
        TraceContext context() const override {
            tracer_.throw_if(Throws::context);
            return span_.context;
        }
        std::shared_ptr<void> make_current() override {
            tracer_.throw_if(Throws::make_current);
            return std::make_shared<Current>(span_.context);
        }
        void end(const batching::BatchReport& report) override {
            const std::lock_guard lock(tracer_.mutex);
            ++span_.ended;
            span_.failed = report.failed;
            span_.error = report.error;
            tracer_.throw_if(Throws::end);
        }

    private:
        RecordingTracer& tracer_;
        RecordedSpan& span_;
    };
};

}  // namespace test
