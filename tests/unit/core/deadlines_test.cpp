// The Machine and the one deadline that a handle gives all of its calls.
#include <batcher/detail/core/machine.hpp>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace deadlines_test {

using namespace core_test;

// Expires what is late, and says which calls that were.
struct Fixture : DrivenMachine {
    Fixture()
        : DrivenMachine({.max_batch_size = 3,
                         .batch_timeout = 0ns,
                         .max_concurrent_batches = 1,
                         .timeout = 10ms}) {}

    Ids expire() {
        if (!machine.any_late(now)) return {};
        machine.expire(now, an_error());
        decide();
        Ids ids;
        while (!completed.empty()) {
            for (const int id : ids_of(on_their_way(*completed.back()))) ids.push_back(id);
            completed.pop_back();
        }
        return ids;
    }
};

TEST_CASE("a call that waits expires at its own deadline, not a tick earlier", "[machine]") {
    Fixture f;
    f.submit();
    f.run();
    f.submit();
    f.now += 4ms;
    f.submit();
    f.now += 6ms - 1ns;
    CHECK(f.expire().empty());
    f.now += 1ns;
    CHECK(f.expire() == Ids{1, 0});  // and the one that runs since then
    CHECK(stats_of(f.machine).waiting == 1);
    CHECK(stats_of(f.machine).expired == 2);
    CHECK(stats_of(f.machine).cancelled == 0);
}

TEST_CASE(
    "the older calls of a batch that runs expire before the youngest, at an alarm of their own",
    "[machine]") {
    Fixture f;
    f.submit();
    Batch& first = f.run();
    const Time early = f.now;
    f.submit();
    f.now += 4ms;
    f.submit();
    f.finish(first);
    Batch& both = f.run();
    CHECK(f.decide().wake_at == early + 10ms);
    f.now = early + 10ms;
    CHECK(f.expire() == Ids{1});
    CHECK(ids_of(both.calls) == Ids{2});
    CHECK_FALSE(f.decide().wake_at);  // it has the batch's own deadline
    f.finish(both);
    CHECK(stats_of(f.machine).completed == 2);
}

TEST_CASE("a batch that nobody waits for any more, as its calls have expired, is stopped",
          "[machine]") {
    Fixture f;
    f.submit();
    Batch& first = f.run();
    f.submit();
    f.now += 4ms;
    f.submit();
    f.finish(first);
    Batch& both = f.run();
    f.now += 10ms;
    CHECK(f.expire() == Ids{1, 2});
    CHECK(f.stopped == std::vector<Batch*>{&both});
}

TEST_CASE("a call cannot expire while its item is being moved into its batch, but right after that",
          "[machine]") {
    Fixture f;
    f.submit();
    f.now += 1ms;
    f.submit();
    f.decide();
    Batch& batch = *f.started.front();
    REQUIRE(f.machine.ready(batch, f.now));
    f.now += 9ms;
    CHECK(f.expire().empty());
    CHECK(f.decide().wake_at <= f.now);
    batch.phase = BatchPhase::running;
    CHECK(f.expire() == Ids{0});
}

TEST_CASE("without a timeout nothing is ever late, and batches set no alarm", "[machine]") {
    DrivenMachine f({.max_batch_size = 2, .batch_timeout = 0ns, .max_concurrent_batches = 1});
    f.submit();
    f.now += 1h;
    f.submit();
    f.run();
    CHECK_FALSE(f.decide().wake_at);
    CHECK_FALSE(f.machine.any_late(Rules::never - 1ns));
}

}  // namespace deadlines_test
