// The Recorder: the figures of stats(); and WaitTimes.
#include <batcher/detail/core/recorder.hpp>
#include <cstddef>
#include <vector>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace recorder_test {

using namespace core_test;
using batching::Priority;
using batching::detail::Recorder;
using batching::detail::WaitTimes;

void form(Recorder& recorder, Batch& batch, DispatchReason reason, std::size_t size) {
    batch.reason = reason;
    batch.size = batch.items = size;
    recorder.formed(batch);
}

TEST_CASE("nothing has happened at first", "[recorder]") {
    const Recorder recorder;
    const batching::Stats& s = recorder.stats();
    CHECK(s.submitted + s.completed + s.failed + s.rejected + s.cancelled + s.expired == 0);
    CHECK(s.batches_full + s.batches_timeout + s.batches_flushed == 0);
    CHECK(s.waiting + s.running == 0);
    CHECK(s.batch_size.count() == 0);
    CHECK(s.wait_time.count() == 0);
    CHECK(s.run_time.count() == 0);
}

TEST_CASE("calls are counted by what becomes of them", "[recorder]") {
    Recorder recorder;
    recorder.accepted(20);
    recorder.accepted(3);
    recorder.rejected(2);
    recorder.rejected(3);
    recorder.rejected(0);
    recorder.cancelled();
    recorder.cancelled(6);
    recorder.failed();
    recorder.failed(10);
    const batching::Stats& s = recorder.stats();
    CHECK(s.submitted == 23);
    CHECK(s.rejected == 5);
    CHECK(s.cancelled == 7);
    CHECK(s.failed == 11);
    CHECK(s.completed == 0);
    CHECK(s.running == 0);
}

TEST_CASE("batches are counted by why they left, and their calls run", "[recorder]") {
    Recorder recorder;
    Batch batch;
    form(recorder, batch, DispatchReason::full, 4);
    const batching::Stats& s = recorder.stats();
    CHECK(s.batches_full == 1);
    CHECK(s.running == 4);
    form(recorder, batch, DispatchReason::timeout, 2);
    form(recorder, batch, DispatchReason::timeout, 2);
    CHECK(s.batches_timeout == 2);
    for (int i = 0; i < 3; ++i) form(recorder, batch, DispatchReason::flushed, 1);
    CHECK(s.batches_flushed == 3);
    CHECK(s.batches_full == 1);
    CHECK(s.batches_timeout == 2);
    CHECK(s.running == 11);
    CHECK(s.batch_size.count() == 6);
    CHECK(s.batch_size.sum() == 11);
    CHECK(s.batch_size.quantile(1) == 4);
}

TEST_CASE("the calls that are still in a batch when it has run have completed or failed",
          "[recorder]") {
    Recorder recorder;
    Batch batch;
    form(recorder, batch, DispatchReason::full, 9);
    batch.started = 1h;
    recorder.left_running();
    recorder.left_running(2);
    batch.size = batch.items = 6;
    const batching::Stats& s = recorder.stats();
    CHECK(s.running == 6);
    recorder.completed(batch, 2, 1h + 5us);
    CHECK(s.running == 0);
    CHECK(s.completed == 4);
    CHECK(s.failed == 2);
    CHECK(s.run_time.count() == 1);
    CHECK(s.run_time.sum() == 5us);
    CHECK(s.batch_size.sum() == 9);  // as it was formed
}

TEST_CASE("a wait is recorded for as many calls as had it", "[recorder]") {
    Recorder recorder;
    recorder.waited(3us, 2, Priority::normal);
    recorder.waited(1us, 1, Priority::normal);
    CHECK(recorder.stats().wait_time.count() == 3);
    CHECK(recorder.stats().wait_time.sum() == 7us);
    CHECK(recorder.stats().wait_time.quantile(1) == 3us);
}

// At 60 ns, of calls that were queued then.
void record_waits(Recorder& recorder, Priority priority, const std::vector<Time>& queued_at) {
    WaitTimes waits(recorder, 60ns, priority);
    for (std::size_t i = 0; i < queued_at.size(); ++i) waits.next(queued_at[i], i);
    waits.end(queued_at.size());
}

TEST_CASE("the waits of high and of low calls are recorded by themselves, too", "[recorder]") {
    Recorder recorder;
    record_waits(recorder, Priority::high, {10ns, 10ns, 20ns});
    recorder.waited(5ns, 2, Priority::low);
    recorder.waited(7ns, 1, Priority::normal);
    const auto& stats = recorder.stats();
    CHECK(stats.wait_time.sum() == 50ns + 50ns + 40ns + 5ns + 5ns + 7ns);
    CHECK(stats.wait_time_high.count() == 3);
    CHECK(stats.wait_time_high.sum() == 50ns + 50ns + 40ns);
    CHECK(stats.wait_time_low.count() == 2);
    CHECK(stats.wait_time_low.sum() == 10ns);
}

TEST_CASE("each call of a batch has waited since it was queued", "[recorder]") {
    Recorder recorder;
    const auto& waits = recorder.stats().wait_time;
    SECTION("neighbours at the same time, and others") {
        record_waits(recorder, Priority::normal, {10ns, 10ns, 20ns, 50ns, 50ns, 10ns});
        CHECK(waits.count() == 6);
        CHECK(waits.sum() == 50ns + 50ns + 40ns + 10ns + 10ns + 50ns);
        CHECK(waits.quantile(1.0 / 6) == 10ns);
        CHECK(waits.quantile(2.0 / 6) == 10ns);
        CHECK(waits.quantile(3.0 / 6) == 40ns);
        CHECK(waits.quantile(4.0 / 6) == 50ns);
    }
    SECTION("a single one") {
        record_waits(recorder, Priority::normal, {40ns});
        CHECK(waits.count() == 1);
        CHECK(waits.sum() == 20ns);
    }
    SECTION("one that was queued at the epoch of its clock") {
        record_waits(recorder, Priority::normal, {0ns, 20ns});
        CHECK(waits.count() == 2);
        CHECK(waits.sum() == 60ns + 40ns);
    }
    SECTION("none") {
        record_waits(recorder, Priority::normal, {});
        CHECK(waits.count() == 0);
    }
}

}  // namespace recorder_test
