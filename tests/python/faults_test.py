"""faults_test.py SERVER: replicas that are killed, frozen, replaced and overloaded under a handle in Python."""

import asyncio
import signal

import batcher_handle
import support
from support import Load, job, work


def both(*servers):
    return "ipv4:" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


class Faults(support.Case):
    def assert_nothing_ran_twice(self):
        self.assertEqual([number for number, times in self.ran().items() if times > 1], [])

    async def test_a_deployment_may_be_started_after_its_client_has_called(self):
        address = f"unix:{self.file('socket')}"
        async with work(address) as handle:
            early = asyncio.ensure_future(handle.process(job(1)))
            await asyncio.sleep(0)
            self.serve(listen=address)
            self.assertEqual((await early).id, 1)

    async def test_four_replicas_give_more_than_one(self):
        one, *four = (self.serve(label=label, max_batch=32) for label in "1abcd")
        async with work(one.address) as single, work(both(*four)) as handle:
            alone = Load(single, callers=512, sleep_ms=50)
            load = Load(handle, callers=512, sleep_ms=50)
            await load.answered_by(*"abcd")
            load.answered.clear()
            alone.answered.clear()
            await alone.goes_on(2000)
            ratio = sum(load.answered.values()) / sum(alone.answered.values())
            await asyncio.gather(alone.stop(), load.stop())
        self.assertEqual(load.errors, [])
        self.assertGreater(ratio, 2)  # about 4, of two processors that have nothing else to do
        least = 0.1 * sum(load.answered.values())
        self.assertTrue(all(load.answered[label] > least for label in "abcd"), load.answered)

    async def under_kills(self, **options):
        """Calls while their deployment is killed three times: its address, and what became of them."""
        address = f"unix:{self.file('socket')}"
        server = self.serve(listen=address)
        async with work(address, **options) as handle:
            load = Load(handle)
            for _ in range(3):
                await load.goes_on()
                server.kill()
                server = self.serve(listen=address)
            await load.goes_on()
            await load.stop()
        return address, load

    async def test_a_killed_deployment_costs_calls_one_clear_error_and_runs_nothing_twice(self):
        address, load = await self.under_kills()
        for error in load.errors:
            self.assertIsInstance(error, batcher_handle.Unavailable)
            self.assertIn(f'the deployment "work" at {address}', str(error))
        self.assert_nothing_ran_twice()

    async def test_a_killed_deployment_costs_no_idempotent_call(self):
        _, load = await self.under_kills(idempotent=True)
        self.assertEqual(load.errors, [])

    async def test_when_one_of_two_replicas_is_killed_the_other_goes_on(self):
        lost, kept = self.serve(label="lost"), self.serve(label="kept")
        async with work(both(lost, kept), idempotent=True) as handle:
            load = Load(handle)
            await load.answered_by("lost", "kept")
            lost.kill()
            await load.goes_on()
            load.answered.clear()
            await load.goes_on()
            await load.stop()
        self.assertEqual(load.errors, [])
        self.assertEqual(set(load.answered), {"kept"})

    async def test_a_frozen_replica_is_found_out_and_costs_no_idempotent_call(self):
        frozen, kept = self.serve(label="frozen"), self.serve(label="kept")
        # By default a server may stand still for 12 s, and for half of such a timeout.
        async with work(both(frozen, kept), idempotent=True, timeout=6) as handle:
            load = Load(handle)
            await load.answered_by("frozen", "kept")
            frozen.signal(signal.SIGSTOP)
            await load.goes_on(3000)
            await load.stop()  # with those that the frozen one had
        self.assertEqual(load.errors, [])

    async def test_a_busy_replica_is_not_taken_for_a_frozen_one(self):
        server = self.serve()
        async with work(server.address, keepalive=batcher_handle.Keepalive(1, 1)) as handle:
            self.assertEqual((await handle.process(job(1, sleep_ms=4000))).id, 1)

    async def test_no_call_fails_when_a_new_deployment_takes_over_a_socket_and_the_old_one_drains(
        self,
    ):
        address = f"unix:{self.file('socket')}"
        server = self.serve(listen=address, label="0")
        async with work(address) as handle:
            load = Load(handle)
            for label in "123":
                await load.goes_on()
                new = self.serve(listen=address, label=label)
                await asyncio.to_thread(server.terminate)
                server = new
                await load.answered_by(label)
            await load.stop()
        self.assertEqual(load.errors, [])
        self.assert_nothing_ran_twice()

    async def test_no_call_fails_when_connections_end_by_age(self):
        server = self.serve(age_ms=100)
        async with work(server.address) as handle:
            load = Load(handle, sleep_ms=1)
            await asyncio.sleep(2)  # about twenty connections
            await load.goes_on()
            await load.stop()
        self.assertEqual(load.errors, [])
        self.assert_nothing_ran_twice()

    async def test_a_deployment_that_gets_sigterm_finishes_what_it_has_accepted(self):
        server = self.serve()
        async with work(server.address) as handle:
            running = asyncio.ensure_future(handle.process(job(1, sleep_ms=300)))
            await self.until_it_runs(1)
            await asyncio.to_thread(server.terminate)
            self.assertEqual((await running).id, 1)

    async def test_overload_is_refused_at_once_and_the_rest_is_answered(self):
        server = self.serve(max_batch=8, max_queue=16)
        async with work(server.address) as handle:
            load = Load(handle, callers=512, sleep_ms=2)
            await load.goes_on(3000)
            await load.stop()
        self.assertGreater(sum(load.answered.values()), 0)
        self.assertGreater(len(load.errors), 0)
        for error in load.errors:
            self.assertIsInstance(error, batcher_handle.Overloaded)
            self.assertIn("the queue is full", error.detail)
        self.assert_nothing_ran_twice()


if __name__ == "__main__":
    support.main()
