// Access: how the remote part reaches into a Batcher: a deployment hands items to its engine, and a handle
// is a Batcher with an invoker of its own.
#pragma once

#include <batcher/batcher.hpp>
#include <memory>
#include <utility>

namespace batching::detail {

struct Access {
    template <class In, class Out, class Clock>
    static const std::shared_ptr<Engine<In, Out, Clock>>& engine(Batcher<In, Out, Clock>& batcher) {
        return batcher.engine_;
    }

    // On `executor`, or on one worker thread of its own if that is empty.
    template <class In, class Out>
    static Batcher<In, Out> make(
        asio::any_io_executor executor,
        std::unique_ptr<Invoker<In, typename Batcher<In, Out>::Engine::Done>> invoker,
        const Options& options) {
        return {std::move(executor), std::move(invoker), options};
    }
};

}  // namespace batching::detail
