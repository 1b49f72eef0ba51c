// Access: how the remote part reaches into a Batcher: a deployment hands items to its engine, and a handle
// is a Batcher with a runner of its own.
#pragma once

#include <batcher/batcher.hpp>
#include <batcher/detail/runtime/engine.hpp>
#include <memory>
#include <utility>

namespace batching::detail {

struct Access {
    template <class In, class Out, class Clock>
    static const std::shared_ptr<Engine>& engine(const Batcher<In, Out, Clock>& batcher) {
        return batcher.engine_;
    }

    // On `executor`, or on one worker thread of its own if that is empty.
    template <class In, class Out>
    static Batcher<In, Out> make(asio::any_io_executor executor, std::unique_ptr<Runner> runner,
                                 const Options& options,
                                 std::unique_ptr<Appraiser> appraiser = nullptr) {
        return {std::move(executor), std::move(runner), options, std::move(appraiser)};
    }
};

}  // namespace batching::detail
