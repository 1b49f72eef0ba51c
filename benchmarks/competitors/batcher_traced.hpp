// What is the least that a tracer may do, for batches with trace().
#pragma once

#include <batcher.hpp>
#include <competitors/batcher.hpp>
#include <competitors/rules.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace bench {

// Callers have spans, each another, or none; those of batches are not kept.
template <bool callers_have_spans>
class LeastTracer final : public batching::Tracer {
public:
    batching::TraceContext current() override {
        batching::TraceContext context;
        if (!callers_have_spans) return context;
        ++number_;
        context.trace_id[0] = 1;
        context.flags = 1;
        for (std::size_t i = 0; i < context.span_id.size(); ++i) {
            context.span_id[i] = static_cast<std::uint8_t>(number_ >> (8 * i));
        }
        return context;
    }
    std::unique_ptr<batching::BatchSpan> start(const batching::TracedBatch&) override {
        return std::make_unique<Span>();
    }

private:
    struct Span final : batching::BatchSpan {
        batching::TraceContext context() const override { return {}; }
        void end(const batching::BatchReport&) override {}
    };
    std::uint64_t number_ = 0;  // all submit on one thread
};

template <bool callers_have_spans>
struct Traced {
    static batching::Options options(const Rules& rules) { return options_of(rules); }
    static auto rule() { return batching::trace(LeastTracer<callers_have_spans>()); }
};

}  // namespace bench
