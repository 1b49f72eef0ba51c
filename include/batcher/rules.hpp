// Rules: what a Batcher is told of its items, and who is told of its batches. They come after the options, in any order.
//
//     batching::Batcher batcher{embed, {.max_batch_size = 256, .max_batch_weight = 16'384},
//                               batching::weigh([](const Text& t) { return t.tokens.size(); }),
//                               batching::key_by([](const Text& t) { return t.model; }),
//                               batching::deduplicate()};
//
// A rule for items is called with a const In& by the thread that submits, several at the same time if several submit, and
// before the item waits. If it throws, that caller alone gets the exception. Keys are compared with == and hashed with
// std::hash, neither of which may call the Batcher. Without rules nothing is paid. In a deployment the rules of its
// Batcher hold for the items of all clients. One more rule has a header of its own: trace() (trace.hpp).
#pragma once

#include <batcher/batch_report.hpp>
#include <batcher/detail/runtime/rule_set.hpp>
#include <type_traits>
#include <utility>

namespace batching {

// The weight of an item is what `f` returns for it: tokens, bytes, rows. The weights of a batch add up to at most
// Options::max_batch_weight, and of what waits to at most max_queue_weight. Items keep their order: nobody is skipped
// to fill a gap. One that alone is heavier is refused at once with errc::too_heavy. See Stats::batch_weight. What batches
// take is then learnt over their weight, and latency_target and timeouts limit that: choose a weight that a run time is
// about linear in.
template <class F>
auto weigh(F f) {
    return detail::Weigh<F>{std::move(f)};
}

// Only items for which `f` returns equal keys share a batch. Each key fills and times out on its own; free slots go
// round the keys that are ready, so that a busy one cannot starve another. See Options::max_concurrent_batches_per_key.
// A key with nothing waiting costs nothing. Priorities count within a key.
template <class F>
auto key_by(F f) {
    return detail::KeyBy<F>{std::move(f)};
}

// How items are deduplicated.
struct DeduplicateOptions {
    // Items join one that waits; if this is true, also one that runs already.
    bool join_running = false;
};

// Items that are equal share one place in the batch, and each caller gets a copy of the result, or the error. One
// caller's cancellation or timeout touches nobody else; the place has the highest priority of those who share it. Items
// of different keys (key_by) are never equal. The first of them is copied, once. This is no cache: a result is shared by
// those who wait for it, and then forgotten. See Stats::deduplicated.
inline auto deduplicate(DeduplicateOptions options = {}) {
    return detail::DeduplicateBy<detail::Itself>{{}, options.join_running};
}

// The same for items for which `f` returns equal values: an id, say, which is cheaper to keep than the item.
template <class F>
auto deduplicate_by(F f, DeduplicateOptions options = {}) {
    return detail::DeduplicateBy<F>{std::move(f), options.join_running};
}

// Calls `f` with a const BatchReport& after every batch: on the thread that finished it, without a lock, when its slot is
// free again, and before its callers resume: who has a result can rely on the report. So what `f` takes, they wait; several
// batches may end at the same time, and then it is called by several threads. An exception out of it goes nowhere. It may
// call the Batcher, but not wait for it. There may be several: they are called in their order. It lives as long as a batch
// runs, which may be longer than the Batcher does on an executor.
template <class F>
auto observe(F f) {
    return detail::Observe<F>{std::move(f)};
}

}  // namespace batching
