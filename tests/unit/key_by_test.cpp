// What users rely on: with batching::key_by() only items of equal keys share a batch.
#include "catch.hpp"
#include "support.hpp"

#include <deque>

using namespace test;
using batching::errc;

namespace {

using Batch = std::vector<int>;
using Seen = std::vector<Batch>;
using ManualBatcher = batching::Batcher<int, int, ManualClock>;

int tens(int item) { return item / 10; }

struct Fixture {
    aio::io_context context;
    Batches batches;
    std::deque<Reply<int>> replies;

    Reply<int>& ask(ManualBatcher& batcher, int item, const batching::CallOptions& options = {}) {
        Reply<int>& reply = replies.emplace_back();
        batcher.async_process(item, options, into(reply));
        return reply;
    }
    void advance(ManualClock::duration d) {
        ManualClock::advance(d);
        settle(context);
    }
};

}  // namespace

TEST_CASE("a key whose last items are let go, as they cannot be in time, is forgotten") {
    Fixture f;
    ManualBatcher batcher{f.context,
                          [](Batch items) {
                              ManualClock::advance(10ms);
                              return items;
                          },
                          {.batch_timeout = 0, .max_concurrent_batches = 2},
                          batching::key_by([](int item) { return item; })};
    for (int i = 0; i < 8; ++i) {  // so that it is known what a batch takes
        f.ask(batcher, i, {.timeout = 1h});
        settle(f.context);
    }
    f.ask(batcher, 10);
    auto& late = f.ask(batcher, 11, {.timeout = 15ms});  // 5 ms are left when its turn comes
    f.ask(batcher, 12);
    settle(f.context);
    CHECK(late.failed_with(errc::deadline_exceeded));
    CHECK(batcher.stats().expired == 1);
    for (const auto& reply : f.replies) CHECK(reply.times == 1);
}
