// The Machine, driven by events: when a batch leaves, where each call is, and what is to be done next.
#include <batcher/detail/core/machine.hpp>
#include <cstddef>
#include <exception>
#include <limits>
#include <vector>

#include "../catch.hpp"
#include "driven_machine.hpp"

namespace machine_test {

using namespace core_test;

using Fixture = DrivenMachine;
using Pool = std::vector<Batch*>;

// Whatever happened: each call that was accepted is counted in one place.
bool adds_up(const batching::Stats& s) {
    return s.submitted == s.completed + s.failed + s.cancelled + s.expired + s.waiting + s.running;
}

// The calls of a completed batch, which must all be on their way.
Ids on_their_way(Batch& batch) {
    CallList& calls = Fixture::on_their_way(batch);
    calls.for_each([&](Call& call) {
        CHECK(call.state() == CallState::completed);
        CHECK(call.batch == &batch);
        CHECK(call.index == 0);
    });
    return ids_of(calls);
}

// ---- when a batch leaves -----------------------------------------------------------------------------

TEST_CASE("a batch leaves as soon as max_batch_size calls wait", "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(2);
    CHECK_FALSE(f.starts());
    f.submit();
    CHECK(f.batch() == Ids{0, 1, 2});
    CHECK(f.last->reason == DispatchReason::full);
}

TEST_CASE("a batch leaves when the oldest call has waited batch_timeout, not a tick earlier",
          "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.now += 6ms;
    f.submit();
    f.now += 4ms - 1ns;
    CHECK_FALSE(f.starts());
    f.now += 1ns;
    CHECK(f.batch() == Ids{0, 1});
    CHECK(f.last->reason == DispatchReason::timeout);
}

TEST_CASE("the alarm is for the moment the oldest call was queued plus batch_timeout",
          "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    CHECK_FALSE(f.decide().wake_at);
    const Time queued = f.now;
    f.submit();
    f.now += 7ms;
    CHECK(f.decide().wake_at == queued + 10ms);
}

TEST_CASE("the clock starts when the oldest waiting call was queued, not at the batch before it",
          "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(2);
    REQUIRE(f.batch() == Ids{0, 1});
    f.now += 3ms;
    const Time queued = f.now;
    f.submit();
    f.now += 5ms;
    f.finish();
    CHECK(f.decide().wake_at == queued + 10ms);
}

TEST_CASE("a call that has waited batch_timeout while all slots were busy leaves when one is free",
          "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(2);
    REQUIRE(f.batch() == Ids{0, 1});
    f.submit();
    f.now += 20ms;
    CHECK_FALSE(f.starts());
    CHECK_FALSE(f.decide().wake_at);  // nothing to wake up for: the slot will ask
    f.finish();
    CHECK(f.batch() == Ids{2});
}

TEST_CASE("while all slots are busy the queue grows, and the next batch is as large as it can be",
          "[machine]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 0ms, .max_concurrent_batches = 1});
    f.submit();
    REQUIRE(f.batch() == Ids{0});
    f.submit(6);
    CHECK_FALSE(f.starts());
    CHECK(f.decide().notify_after == 0);
    f.finish();
    CHECK(f.batch() == Ids{1, 2, 3, 4});
    f.finish();
    CHECK(f.batch() == Ids{5, 6});
}

TEST_CASE("a batch is formed at the last moment: calls that arrive before that still join",
          "[machine]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 0ms, .max_concurrent_batches = 1});
    f.submit();
    REQUIRE(f.starts());
    f.submit(2);
    CHECK(f.take() == Ids{0, 1, 2});
}

TEST_CASE("the reason of a batch is that of the moment it is formed", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 0ms, .max_concurrent_batches = 1});
    f.submit();
    REQUIRE(f.starts());  // for the timeout
    SECTION("full") {
        f.submit();
        CHECK(f.take() == Ids{0, 1});
        CHECK(f.last->reason == DispatchReason::full);
    }
    SECTION("flushed") {
        f.machine.flush();
        CHECK(f.take() == Ids{0});
        CHECK(f.last->reason == DispatchReason::flushed);
    }
    SECTION("timeout") {
        CHECK(f.take() == Ids{0});
        CHECK(f.last->reason == DispatchReason::timeout);
    }
}

TEST_CASE("batch_timeout 0: a batch leaves as soon as a slot is free", "[machine]") {
    Fixture f({.max_batch_size = 100, .batch_timeout = 0ms, .max_concurrent_batches = 1});
    f.submit();
    CHECK(f.batch() == Ids{0});
    CHECK(f.last->reason == DispatchReason::timeout);
}

TEST_CASE("no timeout: a call waits until its batch is full or flushed", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = Rules::never, .max_concurrent_batches = 1});
    f.submit();
    f.now += 10000h;
    CHECK_FALSE(f.starts());
    CHECK(f.decide().wake_at == Rules::never);
    SECTION("full") {
        f.submit();
        CHECK(f.batch() == Ids{0, 1});
        CHECK(f.last->reason == DispatchReason::full);
    }
    SECTION("flushed") {
        f.machine.flush();
        CHECK(f.batch() == Ids{0});
        CHECK(f.last->reason == DispatchReason::flushed);
    }
}

TEST_CASE("flush is for what waits now, not for what comes later", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(3);
    f.machine.flush();
    CHECK(f.batch() == Ids{0, 1});
    f.finish();
    CHECK(f.batch() == Ids{2});
    f.finish();
    f.submit();
    CHECK_FALSE(f.starts());
}

TEST_CASE("a flushed batch takes later calls along while it has room", "[machine]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.machine.flush();
    f.submit();
    CHECK(f.batch() == Ids{0, 1});
}

TEST_CASE("flush with nothing waiting does nothing", "[machine]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.machine.flush();
    f.submit();
    CHECK_FALSE(f.starts());
}

TEST_CASE("after close every waiting call leaves without waiting", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = Rules::never, .max_concurrent_batches = 1});
    f.submit(3);
    CHECK_FALSE(f.machine.closed());
    f.machine.close();
    CHECK(f.machine.closed());
    CHECK(f.batch() == Ids{0, 1});
    CHECK(f.last->reason == DispatchReason::full);
    f.finish();
    CHECK(f.batch() == Ids{2});
    CHECK(f.last->reason == DispatchReason::flushed);
}

TEST_CASE("what is closed stays closed when it is flushed", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = Rules::never, .max_concurrent_batches = 1});
    f.machine.close();
    f.machine.flush();
    f.submit();
    CHECK(f.batch() == Ids{0});
}

TEST_CASE("a call that leaves gives its place to the next, with the next one's own clock",
          "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    TestCall& first = f.submit();
    f.now += 4ms;
    const Time queued = f.now;
    f.submit();
    f.machine.left(first);
    CHECK(f.decide().wake_at == queued + 10ms);
    f.submit();
    CHECK(f.batch() == Ids{1, 2});
}

TEST_CASE("as many batches run at once as there are slots", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 2});
    f.submit(3);
    f.decide();
    CHECK(f.started.size() == 2);
    CHECK(f.take() == Ids{0});
    CHECK(f.take() == Ids{1});
    CHECK_FALSE(f.starts());
    f.finish();
    CHECK(f.batch() == Ids{2});
}

TEST_CASE("while a batch is about to be formed, another is started only for a full batch more",
          "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 0ms, .max_concurrent_batches = 3});
    f.submit(3);
    CHECK(f.starts());
    CHECK_FALSE(f.starts());
    const Outlook outlook = f.decide();
    CHECK(outlook.notify_after == 1);
    CHECK_FALSE(outlook.wake_at);  // the batch that is formed asks again
    f.submit();
    CHECK(f.starts());
    CHECK_FALSE(f.starts());
    CHECK(f.take() == Ids{0, 1});
    CHECK(f.take() == Ids{2, 3});
}

TEST_CASE("one decision starts all batches that may leave", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 4});
    f.submit(7);
    f.decide();
    CHECK(f.started.size() == 3);
    CHECK(f.take() == Ids{0, 1});
    CHECK(f.take() == Ids{2, 3});
    CHECK(f.take() == Ids{4, 5});
    CHECK_FALSE(f.starts());
}

TEST_CASE("times at the end of the clock's range do not overflow", "[machine]") {
    Fixture f(
        {.max_batch_size = 2, .batch_timeout = Rules::never - 1ns, .max_concurrent_batches = 1});
    f.submit();
    const Outlook outlook = f.decide();
    CHECK(f.started.empty());
    CHECK(outlook.wake_at == Rules::never);
}

// ---- which arrivals it wants to hear of --------------------------------------------------------------

TEST_CASE("the machine asks to hear of the first arrival, and of that which fills a batch",
          "[machine]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    CHECK(f.decide().notify_after == 1);
    f.submit(2);
    CHECK(f.decide().notify_after == 3);
    f.submit(2);
    CHECK(f.decide().notify_after == 1);
}

TEST_CASE("it asks to hear of the first arrival also while a batch runs and a slot is free",
          "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 2});
    f.submit(3);
    f.run();
    CHECK(f.decide().notify_after == 1);
    f.submit();
    const Outlook outlook = f.decide();
    CHECK(outlook.notify_after == 2);
    CHECK(outlook.wake_at == f.now + 10ms);
}

TEST_CASE("once closed it wants to hear of each arrival", "[machine]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.machine.close();
    CHECK(f.decide().notify_after == 1);
    f.submit();
    f.run();
    CHECK(f.decide().notify_after == 1);  // though no slot is free
}

TEST_CASE("with a bounded queue it wants to hear of the first call that does not fit",
          "[machine]") {
    Fixture f({.max_batch_size = 8,
               .batch_timeout = 10ms,
               .max_concurrent_batches = 1,
               .max_queue_size = 3});
    CHECK(f.decide().notify_after == 1);  // the first of all comes before that
    f.submit();
    CHECK(f.decide().notify_after == 3);  // two fit, the third does not; eight would fill a batch
    f.submit(2);
    CHECK(f.decide().notify_after == 1);
    f.now += 10ms;
    REQUIRE(f.batch() == Ids{0, 1, 2});
    CHECK(f.decide().notify_after == 4);  // while no slot is free, that alone
    f.submit(3);
    CHECK(f.decide().notify_after == 1);
}

TEST_CASE("with a bounded queue it still wants to hear of the arrival that fills a batch",
          "[machine]") {
    Fixture f({.max_batch_size = 3,
               .batch_timeout = 10ms,
               .max_concurrent_batches = 1,
               .max_queue_size = 8});
    f.submit();
    CHECK(f.decide().notify_after == 2);
}

TEST_CASE("arrivals may come unseen before it has decided, unless some may have to be refused",
          "[machine]") {
    const Rules unlimited{.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1};
    Rules limited = unlimited;
    limited.max_queue_size = 100;
    CHECK(Fixture(limited).machine.notify_after_meanwhile() == 1);  // none: the first is seen
    Fixture f(unlimited);
    CHECK(f.machine.notify_after_meanwhile() == 0);  // however many there are
    f.machine.close();
    CHECK(f.machine.notify_after_meanwhile() == 1);
}

// ---- admission ---------------------------------------------------------------------------------------

TEST_CASE("without a limit all calls are admitted", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    for (const Accept accept : {Accept::all_or_none, Accept::as_many_as_fit}) {
        const Admission admission = f.machine.admit(1'000'000, accept);
        CHECK(admission.accepted == 1'000'000);
        CHECK_FALSE(admission.closed);
        CHECK(admission.waiting == 1'000'001);
        CHECK(admission.max_queue_size == std::numeric_limits<std::size_t>::max());
    }
    CHECK(f.stats().rejected == 0);
    CHECK(f.stats().submitted == 1);  // the others are about to arrive
    CHECK(f.stats().waiting == 1);
}

TEST_CASE("calls that do not all fit are refused together, or the first of them are admitted",
          "[machine]") {
    Fixture f({.max_batch_size = 2,
               .batch_timeout = Rules::never,
               .max_concurrent_batches = 1,
               .max_queue_size = 5});
    f.submit(2);
    SECTION("all that fit") {
        for (const Accept accept : {Accept::all_or_none, Accept::as_many_as_fit}) {
            const Admission admission = f.machine.admit(3, accept);
            CHECK(admission.accepted == 3);
            CHECK_FALSE(admission.closed);
            CHECK(admission.waiting == 5);
            CHECK(admission.max_queue_size == 5);
        }
        CHECK(f.stats().rejected == 0);
    }
    SECTION("all or none") {
        const Admission admission = f.machine.admit(4, Accept::all_or_none);
        CHECK(admission.accepted == 0);
        CHECK_FALSE(admission.closed);
        CHECK(admission.waiting == 2);
        CHECK(admission.max_queue_size == 5);
        CHECK(f.stats().rejected == 4);
    }
    SECTION("as many as fit") {
        const Admission admission = f.machine.admit(4, Accept::as_many_as_fit);
        CHECK(admission.accepted == 3);
        CHECK_FALSE(admission.closed);
        CHECK(admission.waiting == 5);
        CHECK(admission.max_queue_size == 5);
        CHECK(f.stats().rejected == 1);
    }
    CHECK(f.stats().submitted == 2);
}

TEST_CASE("a full queue admits none, and a call that leaves makes room for one", "[machine]") {
    Fixture f({.max_batch_size = 5,
               .batch_timeout = 10ms,
               .max_concurrent_batches = 1,
               .max_queue_size = 2});
    TestCall& first = f.submit();
    f.submit();
    CHECK(f.machine.admit(1, Accept::all_or_none).accepted == 0);
    CHECK(f.machine.admit(1, Accept::as_many_as_fit).accepted == 0);
    f.machine.left(first);
    CHECK(f.machine.admit(1, Accept::all_or_none).accepted == 1);
    CHECK(f.stats().rejected == 2);
}

TEST_CASE("calls that run take no room in the queue", "[machine]") {
    Fixture f({.max_batch_size = 2,
               .batch_timeout = 10ms,
               .max_concurrent_batches = 1,
               .max_queue_size = 2});
    f.submit(2);
    f.run();
    const Admission admission = f.machine.admit(2, Accept::all_or_none);
    CHECK(admission.accepted == 2);
    CHECK(admission.waiting == 2);
}

TEST_CASE("a closed machine admits none", "[machine]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.machine.close();
    for (const Accept accept : {Accept::all_or_none, Accept::as_many_as_fit}) {
        const Admission admission = f.machine.admit(2, accept);
        CHECK(admission.accepted == 0);
        CHECK(admission.closed);
        CHECK(admission.waiting == 1);
    }
    CHECK(f.stats().rejected == 4);
}

TEST_CASE("a chain of calls arrives in the order in which it was made", "[machine]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    Link* newest = nullptr;
    for (int i = 0; i < 3; ++i) {
        TestCall& call = f.make();
        call.next = newest;
        newest = &call;
    }
    f.machine.arrived(newest);
    CHECK(f.stats().submitted == 4);
    CHECK(f.stats().waiting == 4);
    f.machine.arrived(nullptr);
    CHECK(f.stats().submitted == 4);
    CHECK(f.batch() == Ids{0, 1, 2, 3});
}

TEST_CASE("a call that is refused completes with its error, and counts only as rejected",
          "[machine]") {
    Fixture f({.max_batch_size = 5,
               .batch_timeout = 10ms,
               .max_concurrent_batches = 1,
               .max_queue_size = 1});
    f.submit();
    TestCall& call = f.make();
    REQUIRE(f.machine.admit(1, Accept::all_or_none).accepted == 0);
    const std::exception_ptr error = an_error();
    f.machine.refused(call, error);
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(on_their_way(*f.completed[0]) == Ids{1});
    CHECK(f.completed[0]->error == error);
    const batching::Stats stats = f.stats();
    CHECK(stats.rejected == 1);
    CHECK(stats.failed == 0);
    CHECK(stats.cancelled == 0);
    CHECK(adds_up(stats));
}

// ---- what a batch is made of -------------------------------------------------------------------------

TEST_CASE("a call knows its batch, and its place in it, as soon as that is formed", "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(4);
    f.decide();
    for (const TestCall& call : f.calls) CHECK(call.state() == CallState::queued);
    Batch& batch = *f.form();
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(f.calls[i].state() == CallState::running);
        CHECK(f.calls[i].batch == &batch);
        CHECK(f.calls[i].index == i);
    }
    CHECK(batch.size == 3);
    CHECK(f.calls[3].state() == CallState::queued);
    f.machine.completed(batch, 0, f.now);
    for (std::size_t i = 0; i < 3; ++i) CHECK_FALSE(undecided(f.calls[i]));
    CHECK(ids_of(batch.calls) == Ids{0, 1, 2});
    CHECK_FALSE(batch.error);
    CHECK(f.calls[3].state() == CallState::queued);
    f.hand_back(batch);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(f.calls[i].state() == CallState::done);
        CHECK(f.calls[i].resumed == 1);
    }
}

TEST_CASE("a batch goes from phase to phase", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.decide();
    Batch& batch = *f.started.at(0);
    CHECK(batch.phase == BatchPhase::starting);
    REQUIRE(f.machine.ready(batch, f.now));
    CHECK(batch.phase == BatchPhase::loading);
    batch.phase = BatchPhase::running;  // whoever has loaded it says so
    f.machine.completed(batch, 0, f.now);
    CHECK(batch.phase == BatchPhase::completed);
    f.hand_back(batch);
    CHECK(batch.phase == BatchPhase::idle);
    CHECK(batch.size == 0);
}

TEST_CASE("a batch whose callers resume in different places is mixed", "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    const auto batch_of = [&](std::vector<CompletionExecutor*> executors) -> Batch& {
        for (CompletionExecutor* const e : executors) f.submit(e);
        return f.run();
    };
    SECTION("all on the Batcher's own executor") {
        CHECK_FALSE(batch_of({nullptr, nullptr, nullptr}).mixed);
    }
    SECTION("all on one other") {
        CHECK_FALSE(batch_of({executor(0), executor(0), executor(0)}).mixed);
    }
    SECTION("the first elsewhere") { CHECK(batch_of({nullptr, executor(0), executor(0)}).mixed); }
    SECTION("the last elsewhere") {
        CHECK(batch_of({executor(0), executor(0), executor(1)}).mixed);
    }
    SECTION("one in the middle elsewhere") {
        CHECK(batch_of({executor(0), nullptr, executor(0)}).mixed);
    }
    SECTION("the next batch starts again") {
        Batch& first = batch_of({executor(0), nullptr, executor(0)});
        f.finish(first);
        Batch& second = batch_of({executor(0), executor(0), executor(0)});
        REQUIRE(&second == &first);
        CHECK_FALSE(second.mixed);
    }
}

TEST_CASE("batches are numbered from 1 in the order in which they are formed", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 3});
    TestCall& first = f.submit();
    f.submit(2);
    f.decide();
    REQUIRE(f.started.size() == 3);
    CHECK(f.form()->number == 1);
    f.machine.left(f.calls[1]);
    f.machine.left(f.calls[2]);
    CHECK(f.form() == nullptr);  // that which is not formed has none
    CHECK(f.form() == nullptr);
    f.finish(*first.batch);
    f.submit();
    CHECK(f.run().number == 2);
}

TEST_CASE("a batch knows when it was formed", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.decide();
    f.now += 5ms;
    CHECK(f.form()->started == f.now);
}

TEST_CASE("slots are numbered from 0, and that which was freed last is used first", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 3});
    const auto run = [&]() -> Batch& {
        f.submit();
        return f.run();
    };
    Batch& a = run();
    Batch& b = run();
    Batch& c = run();
    CHECK(a.slot == 0);
    CHECK(b.slot == 1);
    CHECK(c.slot == 2);
    f.finish(c);
    f.finish(a);
    CHECK(run().slot == 0);
    CHECK(run().slot == 2);
    f.finish(b);
    CHECK(run().slot == 1);
}

TEST_CASE("a slot that was freed by a batch that did not leave is used again", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 2});
    TestCall& gone = f.submit();
    f.decide();
    f.machine.left(gone);
    REQUIRE(f.form() == nullptr);
    f.submit();
    CHECK(f.run().slot == 0);
    f.submit();
    CHECK(f.run().slot == 1);
}

TEST_CASE("a batch is used again, the last one that was given back first", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 3});
    const auto run = [&]() -> Batch& {
        f.submit();
        return f.run();
    };
    Batch& a = run();
    Batch& b = run();
    CHECK(f.batches.made == Pool{&a, &b});
    f.finish(a);
    f.finish(b);
    CHECK(&run() == &b);
    CHECK(&run() == &a);
    Batch& c = run();
    CHECK(f.batches.made == Pool{&a, &b, &c});
    Pool all;
    f.machine.for_each_batch([&](Batch& batch) { all.push_back(&batch); });
    CHECK(all == Pool{&c, &b, &a});
}

TEST_CASE("a batch is not used again before it is given back", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(2);
    Batch& first = f.run();
    f.machine.completed(first, 0, f.now);
    Batch& second = f.run();
    CHECK(&second != &first);
    CHECK(ids_of(first.calls) == Ids{0});
    CHECK(ids_of(second.calls) == Ids{1});
}

TEST_CASE("a batch that is used again remembers nothing of its last use", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    TestCall& a = f.submit(executor(0));
    TestCall& b = f.submit(executor(1));
    Batch& batch = f.run();
    f.machine.left(a);
    f.machine.left(b);
    f.decide();
    REQUIRE(f.stopped == Pool{&batch});
    REQUIRE(batch.stop_requested);
    f.finish(batch);
    CHECK_FALSE(batch.stop_requested);
    CHECK_FALSE(batch.mixed);
    CHECK(batch.size == 0);

    f.submit(2);
    REQUIRE(&f.run() == &batch);
    CHECK(batch.size == 2);
    CHECK_FALSE(batch.mixed);
    f.machine.left(f.calls[2]);
    f.machine.left(f.calls[3]);
    f.decide();
    CHECK(f.stopped == Pool{&batch, &batch});
}

TEST_CASE("a batch for failed calls has the phase and the size of none that runs", "[machine]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.machine.cancelled(f.submit(), an_error());
    f.decide();
    REQUIRE(f.completed.size() == 1);
    Batch& batch = *f.completed[0];
    CHECK(batch.phase == BatchPhase::completed);
    CHECK(batch.mixed);  // its calls come from anywhere
    CHECK(batch.size == 0);
    f.hand_back(batch);
    CHECK(batch.phase == BatchPhase::idle);
    f.submit(5);
    CHECK(&f.run() == &batch);
    CHECK_FALSE(batch.mixed);
}

// ---- calls that leave --------------------------------------------------------------------------------

TEST_CASE("a waiting call that leaves is done, and is not served", "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 0ms, .max_concurrent_batches = 1});
    f.submit(3);
    f.machine.left(f.calls[1]);
    CHECK(f.calls[1].state() == CallState::done);
    CHECK(f.stats().waiting == 2);
    CHECK(f.stats().cancelled == 1);
    CHECK(f.batch() == Ids{0, 2});
    CHECK(f.completed.empty());
    CHECK(f.stopped.empty());
}

TEST_CASE("a batch whose calls left before it was formed does not leave, and frees its slot",
          "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    TestCall& a = f.submit();
    f.submit();
    REQUIRE(f.starts());
    f.machine.left(a);
    CHECK(f.take().empty());
    CHECK_FALSE(f.machine.idle());  // one still waits
    CHECK(f.decide().wake_at == f.now + 10ms);
    f.submit();
    CHECK(f.batch() == Ids{1, 2});
    CHECK(f.stats().batch_size.count() == 1);
}

TEST_CASE("a running call that leaves is done, and the others keep their places", "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(3);
    Batch& batch = f.run();
    f.machine.left(f.calls[1]);
    CHECK(f.calls[1].state() == CallState::done);
    CHECK(ids_of(batch.calls) == Ids{0, 2});
    CHECK(batch.size == 2);
    CHECK(f.calls[0].index == 0);
    CHECK(f.calls[2].index == 2);
    CHECK(f.stats().running == 2);
    CHECK(f.stats().cancelled == 1);
    f.finish(batch);
    CHECK(f.calls[1].resumed == 0);
    CHECK(f.stats().completed == 2);
    CHECK(f.stats().running == 0);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a call that leaves on its way back is not handed back, and its end is not counted twice",
          "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(2);
    Batch& batch = f.run();
    f.machine.completed(batch, 0, f.now);
    f.machine.left(f.calls[0]);
    CHECK(f.calls[0].state() == CallState::done);
    CHECK(ids_of(batch.calls) == Ids{1});
    f.hand_back(batch);
    CHECK(f.calls[0].resumed == 0);
    CHECK(f.calls[1].resumed == 1);
    CHECK(f.stats().completed == 2);
    CHECK(f.stats().cancelled == 0);
    CHECK(f.stats().running == 0);
    f.decide();
    CHECK(f.stopped.empty());
}

TEST_CASE("a stop is requested once, when the last caller of a running batch leaves", "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(3);
    Batch& batch = f.run();
    batch.users = 1;
    f.machine.left(f.calls[2]);
    f.machine.cancelled(f.calls[0], an_error());
    f.decide();
    CHECK(f.stopped.empty());
    CHECK_FALSE(batch.stop_requested);
    CHECK(batch.users == 1);
    SECTION("by destroying its call") { f.machine.left(f.calls[1]); }
    SECTION("by cancelling it") { f.machine.cancelled(f.calls[1], an_error()); }
    SECTION("by the end of its executor") {
        CallList orphans;
        f.machine.abandon([](const CompletionExecutor*) { return true; }, orphans);
    }
    CHECK(batch.stop_requested);
    CHECK(batch.users == 2);  // whoever is to stop it needs it
    f.decide();
    CHECK(f.stopped == Pool{&batch});
    f.machine.left(f.calls[0]);  // of its error's batch
    f.machine.completed(batch, 0, f.now);
    f.decide();
    CHECK(f.stopped == Pool{&batch});
    CHECK(batch.users == 2);
}

TEST_CASE("several batches may be stopped at once, and each slot is busy until its batch has run",
          "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 2});
    f.submit(3);
    f.decide();
    Batch& a = *f.form();
    Batch& b = *f.form();
    f.machine.left(f.calls[0]);
    f.machine.left(f.calls[1]);
    f.decide();
    CHECK(f.stopped == Pool{&b, &a});
    CHECK(f.started.empty());
    f.machine.completed(b, 0, f.now);
    CHECK(f.batch() == Ids{2});
}

TEST_CASE("calls that leave before they run request no stop", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.machine.left(f.submit());
    f.machine.cancelled(f.submit(), an_error());
    f.decide();
    CHECK(f.stopped.empty());
}

// ---- calls that fail alone ---------------------------------------------------------------------------

TEST_CASE("a waiting call that is cancelled completes with its error", "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 0ms, .max_concurrent_batches = 1});
    f.submit(3);
    const std::exception_ptr error = an_error();
    CHECK(f.machine.cancelled(f.calls[1], error));
    CHECK(f.stats().waiting == 2);
    CHECK(f.stats().cancelled == 1);
    CHECK(f.batch() == Ids{0, 2});
    REQUIRE(f.completed.size() == 1);
    CHECK(f.completed[0]->error == error);
    CHECK(on_their_way(*f.completed[0]) == Ids{1});
    f.hand_back(*f.completed[0]);
    CHECK(f.calls[1].resumed == 1);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a running call that is cancelled completes at once, and the others run on",
          "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(3);
    Batch& batch = f.run();
    const std::exception_ptr error = an_error();
    CHECK(f.machine.cancelled(f.calls[2], error));
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(f.completed[0] != &batch);
    CHECK(f.completed[0]->error == error);
    CHECK(on_their_way(*f.completed[0]) == Ids{2});
    CHECK(batch.size == 2);
    CHECK(batch.phase == BatchPhase::running);
    CHECK(ids_of(batch.calls) == Ids{0, 1});
    f.finish(batch);
    CHECK(f.stats().completed == 2);
    CHECK(f.stats().cancelled == 1);
    CHECK(f.stats().failed == 0);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a call whose end is decided cannot be cancelled", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    SECTION("it has its result") {
        f.submit();
        Batch& batch = f.run();
        f.machine.completed(batch, 0, f.now);
        CHECK_FALSE(f.machine.cancelled(f.calls[0], an_error()));
        CHECK(ids_of(batch.calls) == Ids{0});
        CHECK_FALSE(undecided(f.calls[0]));
        f.hand_back(batch);
        CHECK_FALSE(f.machine.cancelled(f.calls[0], an_error()));
        CHECK(f.stats().cancelled == 0);
    }
    SECTION("it is cancelled already") {
        f.submit();
        CHECK(f.machine.cancelled(f.calls[0], an_error()));
        CHECK_FALSE(f.machine.cancelled(f.calls[0], an_error()));
        CHECK(f.stats().cancelled == 1);
        f.decide();
        CHECK(f.completed.size() == 1);
    }
    SECTION("it was not handed in yet") {
        TestCall call;
        CHECK_FALSE(f.machine.cancelled(call, an_error()));
        CHECK(call.state() == CallState::created);
    }
}

TEST_CASE("calls that fail with the same error share one batch, those with others do not",
          "[machine]") {
    Fixture f({.max_batch_size = 9, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(6);
    const std::exception_ptr one = an_error();
    const std::exception_ptr other = an_error();
    f.machine.cancelled(f.calls[3], one);
    f.machine.cancelled(f.calls[1], one);
    f.machine.refused(f.make(), one);
    f.machine.cancelled(f.calls[4], other);
    f.machine.cancelled(f.calls[0], other);
    f.decide();
    REQUIRE(f.completed.size() == 2);
    CHECK(f.completed[0]->error == one);
    CHECK(on_their_way(*f.completed[0]) == Ids{3, 1, 6});
    CHECK(f.completed[1]->error == other);
    CHECK(on_their_way(*f.completed[1]) == Ids{4, 0});

    f.machine.cancelled(f.calls[2], other);  // that batch is on its way: this takes another
    f.decide();
    REQUIRE(f.completed.size() == 3);
    CHECK(on_their_way(*f.completed[2]) == Ids{2});
    CHECK(f.batches.made.size() == 3);
}

TEST_CASE("a call whose item could not be moved fails alone, and its batch runs without it",
          "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(3);
    f.decide();
    Batch& batch = *f.started.at(0);
    REQUIRE(f.machine.ready(batch, f.now));
    const std::exception_ptr error = an_error();
    f.not_loaded(f.calls[0], error);
    CHECK(batch.size == 2);
    CHECK(ids_of(batch.calls) == Ids{1, 2});
    CHECK(batch.phase == BatchPhase::loading);
    CHECK(f.stats().running == 2);
    CHECK(f.stats().failed == 1);
    CHECK(f.stats().cancelled == 0);
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(f.completed[0]->error == error);
    CHECK(on_their_way(*f.completed[0]) == Ids{0});
    f.finish(batch);
    CHECK(f.stats().completed == 2);
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a batch none of whose items could be moved is not to be stopped", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.decide();
    Batch& batch = *f.started.at(0);
    REQUIRE(f.machine.ready(batch, f.now));
    f.not_loaded(f.calls[0], an_error());
    f.decide();
    CHECK(f.stopped.empty());
    CHECK_FALSE(f.machine.idle());
    f.finish(batch);
    CHECK(f.machine.idle());
    CHECK(f.stats().completed == 0);
    CHECK(adds_up(f.stats()));
}

// ---- all that wait fail ------------------------------------------------------------------------------

TEST_CASE("cancel: all that wait fail, in their order, and what runs runs on", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(2);
    Batch& batch = f.run();
    f.submit(3);
    const std::exception_ptr error = an_error();
    f.machine.cancel(error);
    CHECK(f.stats().waiting == 0);
    CHECK(f.stats().cancelled == 3);
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(f.completed[0]->error == error);
    CHECK(on_their_way(*f.completed[0]) == Ids{2, 3, 4});
    CHECK(f.calls[0].state() == CallState::running);
    CHECK(f.stopped.empty());
    f.finish(batch);
    CHECK(f.stats().completed == 2);
    CHECK(adds_up(f.stats()));
    CHECK_FALSE(f.machine.closed());
    f.submit();
    CHECK_FALSE(f.starts());  // the next one waits as ever
    f.submit();
    CHECK(f.batch() == Ids{5, 6});
}

TEST_CASE("cancel with nothing waiting does nothing", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.run();
    f.machine.cancel(an_error());
    f.decide();
    CHECK(f.completed.empty());
    CHECK(f.stats().cancelled == 0);
    CHECK(f.batches.made.size() == 1);
}

TEST_CASE("cancel forgets what was flushed", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.machine.flush();
    f.machine.cancel(an_error());
    f.submit();
    CHECK_FALSE(f.starts());
}

TEST_CASE("a batch that was about to be formed finds nothing after a cancel", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    REQUIRE(f.starts());
    f.machine.cancel(an_error());
    CHECK_FALSE(f.machine.idle());
    CHECK(f.take().empty());
    CHECK(f.machine.idle());
}

// ---- drains ------------------------------------------------------------------------------------------

TEST_CASE("a drain closes, and completes at once if nothing waits or runs", "[machine]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    TestCall drain(100);
    f.machine.drain(drain);
    CHECK(drain.state() == CallState::completed);
    CHECK(f.machine.closed());
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK_FALSE(f.completed[0]->error);
    CHECK(on_their_way(*f.completed[0]) == Ids{100});
    f.decide();
    CHECK(f.completed.size() == 1);
    const batching::Stats stats = f.stats();
    CHECK(stats.submitted == 0);
    CHECK(stats.completed == 0);
    CHECK(stats.waiting == 0);
}

TEST_CASE("drains complete together, in their order, when the last batch has run", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = Rules::never, .max_concurrent_batches = 2});
    f.submit(3);
    Batch& full = f.run();
    TestCall a(100);
    TestCall b(101);
    a.resumes_on = executor(0);
    f.machine.drain(a);
    Batch& rest = f.run();  // what waits leaves without waiting
    CHECK(rest.reason == DispatchReason::flushed);
    CHECK(ids_of(rest.calls) == Ids{2});
    f.machine.drain(b);
    f.decide();
    f.finish(full);
    f.decide();
    CHECK(f.completed.empty());
    CHECK(a.state() == CallState::completed);
    f.machine.completed(rest, 0, f.now);
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK_FALSE(f.completed[0]->error);
    CHECK(f.completed[0]->mixed);
    CHECK(on_their_way(*f.completed[0]) == Ids{100, 101});
    CHECK(adds_up(f.stats()));
}

TEST_CASE("a drain does not complete while a batch is about to be formed", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    TestCall& gone = f.submit();
    f.decide();
    f.machine.left(gone);
    TestCall drain(100);
    f.machine.drain(drain);
    f.decide();
    CHECK(f.completed.empty());
    REQUIRE(f.form() == nullptr);
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(on_their_way(*f.completed[0]) == Ids{100});
}

TEST_CASE("a drain completes after the calls that ended with it", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    TestCall& call = f.submit();
    TestCall drain(100);
    f.machine.drain(drain);
    f.machine.cancelled(call, an_error());
    f.decide();
    REQUIRE(f.completed.size() == 2);
    CHECK(on_their_way(*f.completed[0]) == Ids{0});
    CHECK(on_their_way(*f.completed[1]) == Ids{100});
}

TEST_CASE("a drain does not complete before the results of other batches are sent", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    Batch& batch = f.run();
    TestCall drain(100);
    f.machine.drain(drain);
    f.results_sent = false;
    f.finish(batch);
    f.decide();
    CHECK(f.completed.empty());
    f.results_sent = true;
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(on_their_way(*f.completed[0]) == Ids{100});
}

TEST_CASE("a drain that is destroyed leaves, and the others wait on", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    Batch& batch = f.run();
    TestCall a(100);
    TestCall b(101);
    f.machine.drain(a);
    f.machine.drain(b);
    f.machine.left(a);
    CHECK(a.state() == CallState::done);
    f.finish(batch);
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(on_their_way(*f.completed[0]) == Ids{101});
    f.machine.left(b);  // on its way
    CHECK(b.state() == CallState::done);
    CHECK(on_their_way(*f.completed[0]).empty());
    CHECK(f.stats().cancelled == 0);
}

TEST_CASE("a drain that is cancelled completes with its error, once, and all stays closed",
          "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    Batch& batch = f.run();
    TestCall a(100);
    TestCall b(101);
    f.machine.drain(a);
    f.machine.drain(b);
    const std::exception_ptr error = an_error();
    CHECK(f.machine.drain_cancelled(a, error));
    CHECK_FALSE(f.machine.drain_cancelled(a, error));
    CHECK(f.machine.closed());
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(f.completed[0]->error == error);
    CHECK(on_their_way(*f.completed[0]) == Ids{100});
    f.finish(batch);
    f.decide();
    REQUIRE(f.completed.size() == 2);
    CHECK(on_their_way(*f.completed[1]) == Ids{101});
    CHECK_FALSE(f.machine.drain_cancelled(b, error));
    CHECK(f.stats().cancelled == 0);
}

TEST_CASE("cancel ends what waits, and so the drain, with no error of its own", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    TestCall drain(100);
    f.machine.drain(drain);
    const std::exception_ptr error = an_error();
    f.machine.cancel(error);
    f.decide();
    REQUIRE(f.completed.size() == 2);
    CHECK(f.completed[0]->error == error);
    CHECK(on_their_way(*f.completed[0]) == Ids{0});
    CHECK_FALSE(f.completed[1]->error);
    CHECK(on_their_way(*f.completed[1]) == Ids{100});
}

// ---- executors that go -------------------------------------------------------------------------------

TEST_CASE("abandon takes the queued, running and draining calls of what is gone, and no others",
          "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 2});
    CompletionExecutor* const going = executor(0);
    f.submit(going);
    f.submit(executor(1));
    Batch& a = f.run();
    f.submit(going);
    f.submit(going);
    Batch& b = f.run();
    f.submit();
    f.submit(going);
    f.submit(executor(1));
    TestCall kept_drain(100);
    TestCall drain(101);
    drain.resumes_on = going;
    f.machine.drain(kept_drain);
    f.machine.drain(drain);

    CallList orphans;
    f.machine.abandon([&](const CompletionExecutor* e) { return e == going; }, orphans);
    Ids ids;
    orphans.for_each([&](Call& call) {
        CHECK(call.state() == CallState::completed);
        ids.push_back(id_of(call));
    });
    CHECK(ids == Ids{5, 101, 2, 3, 0});
    CHECK(ids_of(a.calls) == Ids{1});
    CHECK(b.calls.empty());
    CHECK(f.calls[1].state() == CallState::running);
    CHECK(f.calls[4].state() == CallState::queued);
    CHECK(f.calls[6].state() == CallState::queued);
    CHECK(kept_drain.state() == CallState::completed);
    f.decide();
    CHECK(f.stopped == Pool{&b});
    const batching::Stats stats = f.stats();
    CHECK(stats.cancelled == 4);  // a drain is no call
    CHECK(stats.waiting == 2);
    CHECK(stats.running == 1);
    CHECK(adds_up(stats));

    f.finish(a);
    f.finish(b);
    f.finish(f.run());
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(on_their_way(*f.completed[0]) == Ids{100});
    CHECK(f.stats().completed == 3);
    for (const int id : {0, 2, 3, 5}) CHECK(f.calls[static_cast<std::size_t>(id)].resumed == 0);
}

TEST_CASE("abandon asks for each call's executor, the Batcher's own as null", "[machine]") {
    Fixture f({.max_batch_size = 2, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.submit(executor(1));
    f.run();
    f.submit(executor(2));
    TestCall drain(100);
    f.machine.drain(drain);
    std::vector<const CompletionExecutor*> asked;
    CallList orphans;
    f.machine.abandon(
        [&](const CompletionExecutor* e) {
            asked.push_back(e);
            return false;
        },
        orphans);
    CHECK(orphans.empty());
    CHECK(asked ==
          std::vector<const CompletionExecutor*>{executor(2), nullptr, nullptr, executor(1)});
}

TEST_CASE("a flushed call that is abandoned leaves the flush to those before it", "[machine]") {
    Fixture f({.max_batch_size = 4, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(executor(0));
    f.machine.flush();
    CallList orphans;
    f.machine.abandon([](const CompletionExecutor*) { return true; }, orphans);
    CHECK(ids_of(orphans) == Ids{0});
    f.submit();
    CHECK_FALSE(f.starts());
}

// ---- idle, actions, figures --------------------------------------------------------------------------

TEST_CASE("it is idle when nothing waits, is about to be formed or runs", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 2});
    CHECK(f.machine.idle());
    f.submit();
    CHECK_FALSE(f.machine.idle());
    f.decide();
    CHECK_FALSE(f.machine.idle());
    Batch& batch = *f.form();
    CHECK_FALSE(f.machine.idle());
    f.machine.completed(batch, 0, f.now);
    CHECK(f.machine.idle());  // though its calls are still on their way
}

TEST_CASE("actions are taken once", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(2);
    f.run();
    f.machine.left(f.calls[0]);
    f.machine.cancelled(f.calls[1], an_error());
    f.decide();
    CHECK(f.completed.size() == 1);
    CHECK(f.stopped.size() == 1);
    batching::detail::Actions none = f.machine.take_actions();
    CHECK(none.start.pop() == nullptr);
    CHECK(none.completed.pop() == nullptr);
    CHECK(none.stop == nullptr);
}

TEST_CASE("actions that were not taken are kept, in their order", "[machine]") {
    Fixture f({.max_batch_size = 1, .batch_timeout = 10ms, .max_concurrent_batches = 2});
    f.submit();
    f.machine.decide(f.now, true);
    f.submit();
    f.machine.decide(f.now, true);
    f.take_actions();
    REQUIRE(f.started.size() == 2);
    CHECK(f.started[0]->slot == 0);
    CHECK(f.started[1]->slot == 1);
}

TEST_CASE("the figures follow each call and each batch", "[machine]") {
    Fixture f({.max_batch_size = 3, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.now += 4ms;
    f.submit(2);
    CHECK(f.stats().submitted == 3);
    CHECK(f.stats().waiting == 3);
    CHECK(f.stats().running == 0);
    f.now += 1ms;
    Batch& full = f.run();
    CHECK(f.stats().waiting == 0);
    CHECK(f.stats().running == 3);
    CHECK(f.stats().batches_full == 1);
    CHECK(f.stats().wait_time.count() == 3);
    CHECK(f.stats().wait_time.sum() == 5ms + 1ms + 1ms);
    f.now += 7ms;
    f.finish(full, 2);
    CHECK(f.stats().running == 0);
    CHECK(f.stats().completed == 1);
    CHECK(f.stats().failed == 2);
    CHECK(f.stats().run_time.count() == 1);
    CHECK(f.stats().run_time.sum() == 7ms);

    f.submit();
    f.now += 10ms;
    f.finish(f.run());
    f.submit(2);
    f.machine.flush();
    f.finish(f.run());
    const batching::Stats stats = f.stats();
    CHECK(stats.batches_timeout == 1);
    CHECK(stats.batches_flushed == 1);
    CHECK(stats.batch_size.count() == 3);
    CHECK(stats.batch_size.sum() == 6);
    CHECK(stats.wait_time.sum() == 17ms);
    CHECK(stats.completed == 4);
    CHECK(adds_up(stats));
}

TEST_CASE("cancel joins calls that have failed with the same error before", "[machine]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit(2);
    const std::exception_ptr error = an_error();
    f.machine.cancelled(f.calls[0], error);
    f.machine.cancel(error);
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(ids_of(Fixture::on_their_way(*f.completed[0])) == Ids{0, 1});
}

TEST_CASE("drains join a call that is refused without an error", "[machine]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.machine.refused(f.make(), nullptr);  // as process_many({}) is
    TestCall drain(100);
    f.machine.drain(drain);
    f.decide();
    REQUIRE(f.completed.size() == 1);
    CHECK(ids_of(Fixture::on_their_way(*f.completed[0])) == Ids{0, 100});
}

TEST_CASE("abandon leaves calls alone that have failed and are about to be grouped", "[machine]") {
    Fixture f({.max_batch_size = 5, .batch_timeout = 10ms, .max_concurrent_batches = 1});
    f.submit();
    f.machine.cancelled(f.calls[0], an_error());
    CallList orphans;
    f.machine.abandon([](const CompletionExecutor*) { return true; }, orphans);
    f.decide();
    CHECK(orphans.empty());
    REQUIRE(f.completed.size() == 1);
    CHECK(ids_of(Fixture::on_their_way(*f.completed[0])) == Ids{0});
}

}  // namespace machine_test
