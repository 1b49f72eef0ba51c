// What the tests of timeouts, weights, keys and equal items share: callers who ask a Batcher of a clock that stands still,
// and items of which it is counted how many live.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

namespace test {

using Batch = std::vector<int>;
using Seen = std::vector<Batch>;
using ManualBatcher = batching::Batcher<int, int, ManualClock>;

// Callers, and what became of their calls.
struct Asking {
    aio::io_context context;
    Batches batches;
    std::deque<Reply<int>> replies;

    Reply<int>& ask(ManualBatcher& batcher, int item) {
        Reply<int>& reply = replies.emplace_back();
        batcher.async_process(item, into(reply));
        return reply;
    }
    Reply<int>& ask(ManualBatcher& batcher, int item, const batching::CallOptions& options) {
        Reply<int>& reply = replies.emplace_back();
        batcher.async_process(item, options, into(reply));
        return reply;
    }
    void ask_all(ManualBatcher& batcher, const std::vector<int>& items) {
        for (const int item : items) ask(batcher, item);
    }
    void advance(ManualClock::duration d) {
        ManualClock::advance(d);
        settle(context);
    }
    void check_once() {
        for (const auto& reply : replies) CHECK(reply.times == 1);
    }
};

// Counts those that live.
struct Counted {
    explicit Counted(int v) : value(v) { ++alive; }
    Counted(const Counted& other) : value(other.value) { ++alive; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --alive; }
    bool operator==(const Counted&) const = default;

    int value;
    inline static int alive = 0;
};

}  // namespace test

template <>
struct std::hash<test::Counted> {
    std::size_t operator()(const test::Counted& counted) const noexcept {
        return std::hash<int>{}(counted.value);
    }
};
