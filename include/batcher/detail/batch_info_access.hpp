// BatchInfoAccess: how a BatchInfo is made, of a batch and of a part of one.
#pragma once

#include <algorithm>
#include <batcher/batch_function.hpp>
#include <batcher/batch_info.hpp>
#include <batcher/detail/core/batch.hpp>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>

namespace batching::detail {

struct BatchInfoAccess {
    // Of a batch whose times are those of `Clock`.
    template <class Clock>
    static BatchInfo of(const Batch& batch, std::span<const CallInfo> calls) noexcept {
        BatchInfo info;
        info.number_ = batch.number;
        info.reason_ = batch.reason;
        info.slot_ = batch.slot;
        info.weight_ = batch.weight;
        info.deadline_ = steady<Clock>(batch.deadline);
        info.calls_ = calls;
        info.stop_requested_ = &batch.stop_requested;
        if (batch.trace != nullptr) info.trace_context_ = &batch.trace->context;
        return info;
    }

    // The same with the calls from `begin` to before `end` only, as far as there are so many.
    static BatchInfo part(BatchInfo info, std::size_t begin, std::size_t end) noexcept {
        const std::size_t size = info.calls_.size();
        begin = (std::min)(begin, size);
        info.calls_ = info.calls_.subspan(begin, (std::min)(end, size) - begin);
        return info;
    }
    static NoInfo part(NoInfo none, std::size_t, std::size_t) noexcept { return none; }

private:
    template <class Clock>
    static std::optional<std::chrono::steady_clock::time_point> steady(Time deadline) noexcept {
        using Steady = std::chrono::steady_clock;
        if (deadline == Rules::never) return std::nullopt;
        if constexpr (std::same_as<Clock, Steady>) {
            return Steady::time_point(deadline);
        } else {
            const Time now = Clock::now().time_since_epoch();
            return Steady::now() + (deadline - now);
        }
    }
};

}  // namespace batching::detail
