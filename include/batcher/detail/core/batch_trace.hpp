// BatchTrace: what a batch that is traced knows of its callers, and its span.
#pragma once

#include <array>
#include <batcher/trace.hpp>
#include <cstddef>
#include <memory>
#include <span>

namespace batching::detail {

class BatchTrace {
public:
    // For another batch.
    void clear() noexcept {
        callers_ = links_ = 0;
        alike_ = true;
        first_ = TraceContext();
        span.reset();
        context = TraceContext();
    }

    void add(const TraceContext& caller) noexcept {
        alike_ = alike_ && (callers_ == 0 || caller == first_);
        if (!first_.valid()) first_ = caller;
        ++callers_;
        if (!caller.sampled() || links_ == most) return;
        if (links_ != 0 && all_[links_ - 1] == caller) return;
        TraceContext& link = all_[links_++];
        link.trace_id = caller.trace_id;
        link.span_id = caller.span_id;
        link.flags = caller.flags;
    }

    std::size_t callers() const noexcept { return callers_; }
    bool has_parent() const noexcept { return alike_ || links_ == 0; }
    TraceContext parent() const noexcept { return has_parent() ? first_ : TraceContext(); }
    std::span<const TraceContext> links() const noexcept {
        return {all_.data(), has_parent() ? 0 : links_};
    }

    std::unique_ptr<BatchSpan> span;  // null: none has begun
    TraceContext context;             // what stands for the batch elsewhere

private:
    static constexpr std::size_t most = 128;

    std::size_t callers_ = 0;
    std::size_t links_ = 0;
    bool alike_ = true;   // all of them have the same context
    TraceContext first_;  // that is valid
    std::array<TraceContext, most> all_;
};

}  // namespace batching::detail
