// diagnosis: what limits the batches of a Batcher, and what to try, in one sentence.
//
//     fmt::print("{}\n", batching::diagnosis(batcher.stats()));
//
//     The arrivals limit the batches: 93 % left after batch_timeout (1000 us) with 4.2 of at most 32 items, as many as
//     came in that time; a longer batch_timeout makes them larger, at the price of as much latency.
//
// It goes by the figures alone, and says so if nothing stands out in them. What it looks at first is what callers
// suffer from: refused calls, missed deadlines; then what keeps batches small. Of the last minute: of
// stats.since(a_minute_ago). Of a remote handle it names the options that connect() takes:
// max_items_per_call and calls_in_flight.
#pragma once

#include <batcher/detail/diagnosis.hpp>
#include <concepts>
#include <string>

namespace batching {

struct Stats;

// What limits the batches of a Batcher, and what to try. Throws std::bad_alloc. Complexity: as Distribution::quantile(),
// some times.
template <std::same_as<Stats> S>
std::string diagnosis(const S& stats) {
    return detail::Diagnosis<S>(stats).sentence();
}

}  // namespace batching
