"""asked_test.py SERVER: what a caller may ask for, its timeout and its priority, in the handle and in its deployment."""

import asyncio
import contextlib

import batcher_handle
import support
from batcher_handle import BlockingHandle, Handle, Options, messages, pack
from batcher_handle.item import Asked, Item
from batcher_handle.waiting import Waiting
from fake import Fake
from grpc import StatusCode
from support import job, work

HOUR = 3600.0
NANOSECONDS = 1_000_000_000


def calling(coroutine):
    """Its item waits before the next line runs that awaits something."""
    return asyncio.ensure_future(coroutine)


class Case(support.Case):
    async def fake(self, *failures, address="127.0.0.1:0", **options):
        fake = Fake(*failures, **options)
        await fake.start(address)
        self.addAsyncCleanup(fake.stop)
        return fake

    async def until_called(self, fake, times):
        await support.eventually(lambda: fake.calls == times)

    async def assert_late(self, call, sentence):
        error = await self.error_of(call)
        self.assertIs(type(error), batcher_handle.DeadlineExceeded)
        self.assertRegex(str(error), sentence)

    @contextlib.asynccontextmanager
    async def connected(self, fake):
        """A handle with a connection, so that no time is lost for that."""
        async with Handle(fake.address, "doubling", Options(timeout=HOUR)) as handle:
            await handle.process("first")
            try:
                yield handle
            finally:
                fake.release()  # or a test that fails would wait for its calls

    @contextlib.asynccontextmanager
    async def busy(self, fake, **options):
        """A handle whose only call is with the fake, which answers it and all others in the end."""
        fake.hold()
        options = Options(calls_in_flight=1, **options)
        async with Handle(fake.address, "doubling", options) as handle:
            first = calling(handle.process("first"))
            await self.until_called(fake, 1)
            try:
                yield handle
            finally:
                fake.release()
            await first


class Sent(Case):
    async def test_if_nobody_asks_for_anything_a_handle_sends_what_it_always_has(self):
        fake = await self.fake()
        async with Handle(fake.address, "doubling") as handle:
            await handle.process(21)
            await handle.process(21, timeout=None, priority="normal")
            await handle.process_many([21])
        always = b"\x0a\x08doubling\x1a\x01" + pack(21)
        self.assertEqual(fake.requests, [always] * 3)

    async def test_each_item_of_a_message_takes_along_what_is_left_of_its_timeout_and_its_priority(
        self,
    ):
        fake = await self.fake()
        async with self.busy(fake, timeout=3 * HOUR) as handle:
            calls = [
                calling(handle.process("hours", timeout=2 * HOUR)),
                calling(handle.process("low", priority="low")),
                calling(handle.process("plain")),
                calling(handle.process("high", timeout=HOUR, priority="high")),
            ]
            await asyncio.sleep(0)
        self.assertEqual(await asyncio.gather(*calls), [42] * 4)
        self.assertEqual(list(fake.last.items), list(map(pack, ["high", "hours", "plain", "low"])))
        self.assertEqual(list(fake.last.priorities), [2, 0, 0, 1])
        high, hours, plain, low = fake.last.timeouts_ns
        self.assertEqual((plain, low), (0, 0))
        self.assertTrue(3500 * NANOSECONDS < high < 3600 * NANOSECONDS, high)
        self.assertTrue(7100 * NANOSECONDS < hours < 7200 * NANOSECONDS, hours)

    async def test_what_is_asked_for_many_items_is_asked_for_each(self):
        fake = await self.fake()
        async with Handle(fake.address, "doubling", Options(timeout=3 * HOUR)) as handle:
            await handle.process_many([1, 2, 3], timeout=HOUR, priority="high")
        self.assertEqual(list(fake.last.priorities), [2, 2, 2])
        self.assertEqual(len(fake.last.timeouts_ns), 3)

    async def test_no_message_is_too_large_for_what_is_asked(self):
        fake = await self.fake()
        options = Options(timeout=2 * HOUR, calls_in_flight=1, max_message_size=400)
        async with Handle(fake.address, "doubling", options) as handle:
            await handle.process_many(range(100), timeout=HOUR, priority="low")
        self.assertGreater(fake.calls, 5)
        self.assertLessEqual(max(map(len, fake.requests)), 400)
        found = [messages.ProcessRequest.FromString(request) for request in fake.requests]
        self.assertEqual(sum(len(request.timeouts_ns) for request in found), 100)

    async def test_a_timeout_is_at_most_that_of_the_handle(self):
        fake = await self.fake()
        async with self.busy(fake, timeout=HOUR) as handle:
            call = calling(handle.process(1, timeout=float("inf")))
            await asyncio.sleep(0)
        self.assertEqual(await call, 42)
        self.assertLess(fake.last.timeouts_ns[0], 3600 * NANOSECONDS)


class Late(Case):
    async def test_a_caller_whose_item_waits_here_has_its_error_and_its_item_is_not_sent(self):
        fake = await self.fake()
        async with self.busy(fake) as handle:
            late, stays = calling(handle.process(1, timeout=0.05)), calling(handle.process(2))
            await self.assert_late(late, '"doubling" at .* did not answer within 50 ms')
        self.assertEqual(await stays, 42)
        self.assertEqual(list(fake.last.items), [pack(2)])
        self.assertFalse(fake.last.timeouts_ns)

    async def test_a_caller_whose_item_runs_has_its_error_and_the_others_have_their_results(self):
        fake = await self.fake()
        async with self.connected(fake) as handle:
            fake.hold()
            late, stays = calling(handle.process(1, timeout=0.5)), calling(handle.process(2))
            await self.until_called(fake, 2)
            await self.assert_late(late, "did not answer within 500 ms")
            self.assertFalse(stays.done())
            fake.release()
            self.assertEqual(await stays, 42)
        self.assertEqual(len(fake.last.items), 2)

    async def test_when_the_time_of_all_items_of_a_message_is_over_it_is_cancelled(self):
        fake = await self.fake()
        async with self.connected(fake) as handle:
            fake.hold()
            many = calling(handle.process_many([1, 2], timeout=0.5))
            await self.until_called(fake, 2)
            await self.assert_late(many, "did not answer within 500 ms")
            await support.eventually(lambda: not handle._calls)

    async def test_an_item_whose_time_is_over_before_there_is_a_connection_is_not_sent(self):
        address = f"unix:{self.file('socket')}"
        async with Handle(address, "doubling", Options(timeout=HOUR)) as handle:
            late, stays = calling(handle.process(1, timeout=0.1)), calling(handle.process(2))
            await self.assert_late(late, "could not be reached within 100 ms: .*No such file")
            fake = await self.fake(address=address)
            self.assertEqual(await stays, 42)
        self.assertEqual(fake.calls, 1)
        self.assertEqual(list(fake.last.items), [pack(2)])

    async def test_an_item_whose_time_is_over_is_not_sent_again_and_what_is_left_is_told_anew(self):
        fake = await self.fake(not_accepted=True)
        async with self.connected(fake) as handle:
            fake.hold()
            fake.fail_next(StatusCode.UNAVAILABLE, "It stops.")
            late = calling(handle.process(1, timeout=0.5))
            stays = calling(handle.process(2, timeout=HOUR))
            await self.until_called(fake, 2)
            _, first = fake.last.timeouts_ns
            await self.assert_late(late, "did not answer within 500 ms")
            fake.release()
            self.assertEqual(await stays, 42)
        self.assertEqual(fake.calls, 3)
        self.assertEqual(list(fake.last.items), [pack(2)])
        self.assertLess(fake.last.timeouts_ns[0], first)

    async def test_a_call_whose_time_is_over_from_the_start_fails_at_once_and_sends_nothing(self):
        fake = await self.fake()
        async with Handle(fake.address, "doubling") as handle:
            for timeout in (0, -1.5):
                await self.assert_late(handle.process(1, timeout=timeout), "within 0.000 ms")
                await self.assert_late(handle.process_many([1, 2], timeout=timeout), "within")
            self.assertEqual(await handle.process_many([], timeout=0), [])
            await self.assert_late(handle.process(1, timeout=1e-9), "within 0.000 ms")
            self.assertEqual(await handle.process(2), 42)
        self.assertEqual(fake.calls, 1)

    async def test_a_call_whose_time_is_over_from_the_start_takes_nobodys_place(self):
        fake = await self.fake()
        async with self.busy(fake, max_queue_size=1) as handle:
            waiting = calling(handle.process(1))
            await asyncio.sleep(0)
            await self.assert_late(handle.process(2, timeout=0, priority="high"), "within 0.000 ms")
        self.assertEqual(await waiting, 42)

    async def test_what_can_not_be_asked_for_is_a_value_error_that_says_so(self):
        async with Handle("unix:/nobody", "doubling") as handle:
            with self.assertRaisesRegex(ValueError, "timeout must be a number of seconds, not nan"):
                await handle.process(1, timeout=float("nan"))
            sentence = 'priority must be "low", "normal" or "high", not \'urgent\''
            with self.assertRaisesRegex(ValueError, sentence):
                await handle.process_many([1], priority="urgent")

    def test_programs_without_asyncio_ask_for_the_same(self):
        handle = BlockingHandle(f"unix:{self.file('nobody')}", "doubling", Options(timeout=HOUR))
        for call in (handle.process, lambda item, **asked: handle.process_many([item], **asked)):
            with self.assertRaisesRegex(batcher_handle.DeadlineExceeded, "reached within 50 ms"):
                call(1, timeout=0.05)
            with self.assertRaisesRegex(ValueError, "not 'urgent'"):
                call(1, priority="urgent")


class Order(Case):
    def waiting(self, *of_items):
        """The queue, with an item for each name, its priority and the time since when it waits."""
        waiting = Waiting()
        for name, priority, since in of_items:
            asked = Asked.by(since, None, priority, HOUR)
            waiting.add([Item(name, asked, None)])
        return waiting

    def served(self, waiting, now):
        names = []
        while waiting:
            item = waiting.next(now)
            waiting.discard(item)
            names.append(item.data)
        return names

    async def test_higher_priorities_are_served_first_in_the_order_of_arrival(self):
        queue = [("a", "low", 1), ("b", "normal", 2), ("c", "high", 3)]
        queue += [("d", "normal", 4), ("e", "high", 5), ("f", "low", 6)]
        self.assertEqual(self.served(self.waiting(*queue), 1.5), list("cebdaf"))

    async def test_what_has_waited_for_a_second_counts_as_high(self):
        queue = [("low", "low", 5.0), ("normal", "normal", 5.5), ("high", "high", 6.0)]
        self.assertEqual(self.served(self.waiting(*queue), 5.9), ["high", "normal", "low"])
        self.assertEqual(self.served(self.waiting(*queue), 6.0), ["low", "high", "normal"])
        self.assertEqual(self.served(self.waiting(*queue), 6.5), ["low", "normal", "high"])

    async def test_a_full_queue_gives_the_place_of_the_newest_of_the_lowest_to_a_higher_priority(
        self,
    ):
        fake = await self.fake()
        async with self.busy(fake, max_queue_size=3) as handle:
            oldest = calling(handle.process("oldest", priority="low"))
            newest = calling(handle.process("newest", priority="low"))
            normal = calling(handle.process("normal"))
            await asyncio.sleep(0)
            with self.assertRaisesRegex(batcher_handle.Overloaded, "3 of at most 3 items"):
                await handle.process("late", priority="low")
            with self.assertRaisesRegex(batcher_handle.Overloaded, "3 of at most 3 items"):
                await handle.process_many([1, 2, 3])
            high = calling(handle.process("high", priority="high"))
            error = await self.error_of(newest)
            self.assertIs(type(error), batcher_handle.Overloaded)
            self.assertIn("one of a higher priority took the place of this one", str(error))
            self.assertIsNone(error.retry_after)
        self.assertEqual(await asyncio.gather(oldest, normal, high), [42] * 3)
        self.assertEqual(list(fake.last.items), list(map(pack, ["high", "normal", "oldest"])))


class Deployed(Case):
    """With a deployment that runs one item at a time."""

    @contextlib.asynccontextmanager
    async def busy_deployment(self, sleep_ms, **options):
        address = self.serve(max_batch=1, **options).address
        async with work(address) as handle:
            first = calling(handle.process(job(1, sleep_ms=sleep_ms)))
            await self.until_it_runs(1)
            yield handle
            self.assertEqual((await first).id, 1)

    async def test_an_item_whose_time_is_over_in_the_deployments_queue_never_runs(self):
        async with self.busy_deployment(sleep_ms=1000) as handle:
            late = calling(handle.process(job(2), timeout=0.2))
            stays = calling(handle.process(job(3)))
            await self.assert_late(late, "did not (answer within 200 ms|run the item in time)")
            self.assertEqual((await stays).id, 3)
        self.assertEqual(self.in_order(), [1, 3])

    async def test_an_item_of_a_high_priority_overtakes_those_of_other_clients(self):
        async with self.busy_deployment(sleep_ms=1500) as handle:
            many = calling(handle.process_many([job(2), job(3)]))
            async with work(handle._remote._address) as other:
                low = calling(other.process(job(4), priority="low"))
                high = calling(other.process(job(5), priority="high"))
                await asyncio.gather(many, low, high)
        self.assertEqual(self.in_order(), [1, 5, 2, 3, 4])

    async def test_a_deployment_whose_queue_is_full_says_when_to_try_again(self):
        address = self.serve(max_batch=1, max_queue=1).address
        async with work(address) as handle:
            for number in range(40):  # so that it knows how long that takes
                await handle.process(job(number))
            calls = [handle.process(job(number, sleep_ms=100)) for number in range(40, 50)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        self.assertTrue(refused)
        for error in refused:
            self.assertIs(type(error), batcher_handle.Overloaded)
            self.assertGreater(error.retry_after, 0)
            self.assertRegex(error.detail, "the queue is full: .*; retry in about ")


if __name__ == "__main__":
    support.main()
