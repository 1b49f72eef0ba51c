"""handle_test.py SERVER: what a handle in Python promises, against real deployments."""

import ast
import asyncio
import concurrent.futures
import dataclasses
import pathlib
import pickle
import re
import subprocess
import unittest

import batcher_handle
import support
from batcher_handle import BlockingHandle, Handle, Options, Tls
from support import job, work


@dataclasses.dataclass
class Question:
    number: float


@dataclasses.dataclass
class Root:
    root: float


class Array:
    """As NumPy's."""

    def __init__(self, *numbers):
        self._numbers = numbers

    def tolist(self):
        return list(self._numbers)


class Calling(support.Case):
    async def test_a_handle_gives_what_the_deployments_function_gives(self):
        async with Handle(self.serve().address, "square_root") as handle:
            self.assertEqual(await handle.process({"number": 9.0}), {"root": 3})
            many = await handle.process_many({"number": number**2} for number in range(5))
            self.assertEqual(many, [{"root": number} for number in range(5)])
            self.assertEqual(await handle.process_many([]), [])

    async def test_a_deployment_listens_on_a_unix_socket(self):
        address = f"unix:{self.file('socket')}"
        self.serve(listen=address)
        async with work(address) as handle:
            self.assertEqual((await handle.process(job(1, "text"))).text, "text")

    async def test_structs_with_names_are_dataclasses_and_structs_without_are_tuples(self):
        address = self.serve().address
        typed: Handle[Question, Root] = Handle(
            address, "square_root", decode=batcher_handle.struct(Root)
        )
        self.assertEqual(await typed.process(Question(16)), Root(4))
        await typed.close()
        async with work(address) as handle:
            self.assertEqual(await handle.process(Array(7, "text", 0)), (7, "text", "", 1, 1))

    async def test_a_map_may_have_numbers_as_keys(self):
        async with Handle(self.serve().address, "lengths") as handle:
            self.assertEqual(await handle.process("word"), {4: "word"})

    async def test_a_function_without_results_gives_none(self):
        async with Handle(self.serve().address, "nothing") as handle:
            self.assertIsNone(await handle.process(1))

    async def test_items_that_come_together_go_together(self):
        async with work(self.serve().address) as handle:
            answers = await asyncio.gather(*(handle.process(job(i)) for i in range(60)))
        self.assertEqual([answer.id for answer in answers], list(range(60)))
        self.assertEqual({answer.batch_size for answer in answers}, {60})

    async def test_no_call_takes_more_than_its_share_if_that_is_worth_a_call(self):
        async with work(self.serve().address, calls_in_flight=3) as handle:
            jobs = [job(i, sleep_ms=300) for i in range(300)]
            many = asyncio.ensure_future(handle.process_many(jobs))
            await support.eventually(lambda: len(handle._calls) == 3)
            self.assertEqual({call.size for call in handle._calls}, {100})
            await many
            few = [job(i, sleep_ms=300) for i in range(100)]
            many = asyncio.ensure_future(handle.process_many(few))
            await support.eventually(lambda: len(handle._calls) == 2)
            self.assertEqual({call.size for call in handle._calls}, {64, 36})
            await many

    async def test_items_that_come_while_all_calls_are_in_flight_go_together_in_the_next(self):
        async with work(self.serve().address, calls_in_flight=1) as handle:
            first = asyncio.ensure_future(handle.process(job(0, sleep_ms=300)))
            await self.until_it_runs(0)
            others = [asyncio.ensure_future(handle.process(job(i))) for i in range(1, 6)]
            await asyncio.sleep(0)
            others += [asyncio.ensure_future(handle.process(job(i))) for i in range(6, 11)]
            sizes = {answer.batch_size for answer in await asyncio.gather(*others)}
            self.assertEqual((await first).batch_size, 1)
        self.assertEqual(sizes, {10})

    async def test_items_do_not_wait_for_calls_that_take_long(self):
        async with work(self.serve(max_batch=1).address) as handle:
            slow = [asyncio.ensure_future(handle.process(job(i, sleep_ms=300))) for i in (1, 2)]
            await self.until_it_runs(1)
            slow.append(asyncio.ensure_future(handle.process(job(3))))
            await support.eventually(lambda: len(handle._calls) == 2)
            slow.append(asyncio.ensure_future(handle.process(job(4))))
            await support.eventually(lambda: len(handle._calls) == 3)
            self.assertFalse(slow[1].done())
            await asyncio.gather(*slow)

    async def test_what_does_not_fit_into_one_message_is_sent_in_several_and_results_keep_their_places(
        self,
    ):
        options = {"max_message_size": 5000, "calls_in_flight": 1}
        async with work(self.serve().address, **options) as handle:
            answers = await handle.process_many(job(i, "x" * 1000) for i in range(20))
        self.assertEqual([answer.id for answer in answers], list(range(20)))
        self.assertEqual({answer.batch_size for answer in answers}, {4})

    async def test_a_call_has_at_most_max_items_per_call(self):
        async with work(self.serve().address, max_items_per_call=3, calls_in_flight=1) as handle:
            answers = await handle.process_many(job(i) for i in range(9))
        self.assertEqual([answer.batch_size for answer in answers], [3] * 9)

    async def test_an_item_that_is_too_large_is_refused_alone(self):
        async with work(self.serve().address, max_message_size=5000) as handle:
            error = await self.error_of(handle.process(job(1, "x" * 5000)))
            self.assertIsInstance(error, batcher_handle.MessageTooLarge)
            self.assertRegex(str(error), "an item of 5006 bytes .* at most 5000 bytes")
            self.assertEqual((await handle.process(job(2))).id, 2)

    async def test_an_item_that_fails_fails_alone(self):
        address = self.serve().address
        async with Handle(address, "square_root") as handle:
            items = [{"number": 4.0}, {"number": -4.0}, {"number": "four"}]
            good, failed, malformed = await asyncio.gather(
                *map(handle.process, items), return_exceptions=True
            )
            with self.assertRaises(batcher_handle.RemoteFailure):
                await handle.process_many(items)
        self.assertEqual(good, {"root": 2})
        self.assertIsInstance(failed, batcher_handle.RemoteFailure)
        self.assertEqual(failed.detail, "-4 has no square root")
        self.assertEqual(
            str(failed),
            f'the deployment "square_root" at {address} failed on the item: -4 has no square root',
        )
        self.assertIsInstance(malformed, batcher_handle.Malformed)

    async def test_an_item_that_cannot_be_written_and_a_result_that_cannot_be_read_say_so(self):
        address = self.serve().address
        async with Handle(address, "square_root") as handle:
            error = await self.error_of(handle.process(object()))
            self.assertIsInstance(error, batcher_handle.Malformed)
            self.assertIn("cannot be written: MessagePack has nothing for a object", str(error))
        async with Handle(address, "square_root", decode=lambda _: 1 // 0) as handle:
            error = await self.error_of(handle.process({"number": 4.0}))
            self.assertIsInstance(error, batcher_handle.Malformed)
            self.assertRegex(str(error), "gave an answer that cannot be read: .*division")

    async def test_errors_go_from_process_to_process(self):
        error = pickle.loads(pickle.dumps(batcher_handle.Overloaded("It is full: x", "x", 1.5)))
        self.assertIsInstance(error, batcher_handle.Overloaded)
        self.assertEqual((str(error), error.detail, error.retry_after), ("It is full: x", "x", 1.5))

    async def test_no_such_deployment(self):
        async with Handle(self.serve().address, "nobody") as handle:
            error = await self.error_of(handle.process(1))
        self.assertIsInstance(error, batcher_handle.UnknownDeployment)
        self.assertIn('no deployment "nobody" is served here', str(error))

    async def test_a_schema_that_is_not_the_deployments_is_refused_and_its_own_is_not(self):
        address = self.serve().address
        right = '{"number":float} -> {"root":float}'
        async with Handle(address, "square_root", Options(schema=right)) as handle:
            self.assertEqual(await handle.process({"number": 4.0}), {"root": 2})
        async with Handle(address, "square_root", Options(schema="int -> int")) as handle:
            error = await self.error_of(handle.process(4))
        self.assertIsInstance(error, batcher_handle.SchemaMismatch)
        self.assertIn("int -> int", str(error))
        self.assertIn(right, str(error))


class Waiting(support.Case):
    async def test_the_timeout_bounds_a_caller_in_the_handles_own_queue(self):
        server = self.serve()
        async with work(server.address, timeout=1.0, calls_in_flight=1) as handle:
            slow = asyncio.ensure_future(handle.process(job(1, sleep_ms=500)))
            await self.until_it_runs(1)
            late = asyncio.ensure_future(handle.process(job(2)))
            await slow
            after = asyncio.ensure_future(handle.process(job(3, sleep_ms=5000)))
            self.assertEqual((await late).id, 2)
            await self.until_it_runs(3)
            queued = await self.error_of(handle.process(job(4)))
            self.assertIsInstance(await self.error_of(after), batcher_handle.DeadlineExceeded)
        self.assertIsInstance(queued, batcher_handle.DeadlineExceeded)
        self.assertIsInstance(queued, TimeoutError)
        self.assertRegex(str(queued), 'the deployment "work" at .* did not answer within 1000 ms')
        self.assertNotIn(4, self.ran())

    async def test_the_timeout_bounds_a_caller_when_nobody_is_there_and_says_why(self):
        async with work(f"unix:{self.file('nobody')}", timeout=0.5) as handle:
            calls = [self.error_of(handle.process(job(i))) for i in range(300)]
            for error in await asyncio.gather(*calls):
                self.assertIsInstance(error, batcher_handle.DeadlineExceeded)
                self.assertRegex(str(error), "could not be reached within 500 ms: .*No such file")

    async def test_a_cancelled_caller_takes_its_waiting_item_along(self):
        async with work(self.serve().address, calls_in_flight=1) as handle:
            slow = asyncio.ensure_future(handle.process(job(1, sleep_ms=100)))
            await self.until_it_runs(1)
            gone = asyncio.ensure_future(handle.process(job(2)))
            stays = asyncio.ensure_future(handle.process(job(3)))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.gather(slow, stays)
        self.assertEqual(set(self.ran()), {1, 3})

    async def test_when_all_callers_of_a_call_are_gone_their_items_leave_the_deployments_queue(
        self,
    ):
        async with work(self.serve(max_batch=1).address) as handle:
            slow = asyncio.ensure_future(handle.process(job(1, sleep_ms=300)))
            await self.until_it_runs(1)
            gone = [asyncio.ensure_future(handle.process(job(i))) for i in (2, 3)]
            await support.eventually(lambda: len(handle._calls) == 2)
            (call,) = (call for call in handle._calls if len(call._items) == 2)
            gone[0].cancel()
            await asyncio.sleep(0)
            self.assertFalse(call.task.cancelled())
            gone[1].cancel()
            await support.eventually(call.task.cancelled)
            await slow
            await handle.process(job(4))
        self.assertEqual(set(self.ran()), {1, 4})

    async def test_a_full_queue_of_the_handle_refuses_at_once(self):
        options = {"calls_in_flight": 1, "max_queue_size": 2}
        async with work(self.serve().address, **options) as handle:
            slow = asyncio.ensure_future(handle.process(job(1, sleep_ms=100)))
            await self.until_it_runs(1)
            waiting = asyncio.ensure_future(handle.process_many([job(2), job(3)]))
            await asyncio.sleep(0)
            error = await self.error_of(handle.process(job(4)))
            self.assertFalse(slow.done())
            await asyncio.gather(slow, waiting)
        self.assertIsInstance(error, batcher_handle.Overloaded)
        self.assertIn("the queue is full: 2 of at most 2 items are waiting", str(error))

    async def test_close_waits_for_what_was_accepted_and_refuses_the_rest(self):
        handle = work(self.serve().address, calls_in_flight=1)
        accepted = [asyncio.ensure_future(handle.process(job(i, sleep_ms=30))) for i in range(9)]
        await asyncio.sleep(0)
        await handle.close()
        self.assertTrue(all(call.done() for call in accepted))
        self.assertEqual([(await call).id for call in accepted], list(range(9)))
        self.assertIsInstance(await self.error_of(handle.process(job(9))), batcher_handle.Closed)


class EventLoops(support.Case):
    async def test_a_handle_belongs_to_one_event_loop_until_that_is_closed(self):
        handle = work(self.serve().address)

        def call(number):
            return asyncio.run(handle.process(job(number))).id

        self.assertEqual(await asyncio.to_thread(call, 1), 1)
        self.assertEqual((await handle.process(job(2))).id, 2)
        with self.assertRaisesRegex(RuntimeError, "belongs to another event loop"):
            await asyncio.to_thread(call, 3)
        await handle.close()


class Blocking(support.Case):
    def test_threads_call_and_what_they_ask_goes_together(self):
        address = self.serve().address
        decode = batcher_handle.struct(support.Answer)
        with BlockingHandle(address, "work", Options(calls_in_flight=1), decode=decode) as handle:
            with concurrent.futures.ThreadPoolExecutor(16) as threads:
                items = [job(i, sleep_ms=2) for i in range(400)]
                answers = list(threads.map(handle.process, items))
            self.assertEqual([answer.id for answer in answers], list(range(400)))
            self.assertGreater(max(answer.batch_size for answer in answers), 4)
            self.assertEqual(handle.process_many([job(1), job(2)])[1].id, 2)
        with self.assertRaises(batcher_handle.Closed):
            handle.process(job(1))

    def test_errors_are_those_of_asyncio(self):
        with BlockingHandle(self.serve().address, "square_root") as handle:
            with self.assertRaisesRegex(batcher_handle.RemoteFailure, "-4 has no square root"):
                handle.process({"number": -4.0})
        handle = BlockingHandle(f"unix:{self.file('nobody')}", "x", Options(timeout=0.2))
        with self.assertRaises(batcher_handle.DeadlineExceeded):
            handle.process(1)


class Security(support.Case):
    def authority(self, name):
        self.openssl(
            f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name}"
            f" -keyout {self.file(name + '.key')} -out {self.file(name + '.pem')}"
        )
        return self.file(name + ".pem")

    def issue(self, authority, whom):
        """A certificate for localhost and 127.0.0.1, and its key."""
        base, ca = self.file(f"{authority}-{whom}"), self.file(authority)
        with open(f"{base}.ext", "w") as extension:
            extension.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        subject = f"req -newkey rsa:2048 -nodes -subj /CN={whom} -keyout {base}.key -out {base}.csr"
        self.openssl(subject)
        self.openssl(
            f"x509 -req -days 2 -in {base}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial"
            f" -extfile {base}.ext -out {base}.pem"
        )
        return {"certificate": f"{base}.pem", "private_key": f"{base}.key"}

    def openssl(self, words):
        subprocess.run(["openssl", *words.split()], check=True, capture_output=True, timeout=60)

    async def test_a_deployment_answers_only_those_whose_token_it_accepts(self):
        address = self.serve(token="open sesame").address
        async with work(address, token="open sesame") as handle:
            self.assertEqual((await handle.process(job(1))).id, 1)
        async with work(address, metadata=[("authorization", "Bearer open sesame")]) as handle:
            self.assertEqual((await handle.process(job(2))).id, 2)
        for options in ({"token": "open barley"}, {}):
            async with work(address, **options) as handle:
                error = await self.error_of(handle.process(job(3)))
            self.assertIsInstance(error, batcher_handle.Unauthenticated)
            self.assertIn("token", error.detail)
        self.assertNotIn(3, self.ran())
        self.assertNotIn("sesame", repr(Options(token="open sesame")))

    async def test_with_tls_a_handle_trusts_its_own_authorities_only_and_says_so_at_once(self):
        ours, theirs = self.authority("ours"), self.authority("theirs")
        address = self.serve(**self.issue("ours", "server")).address
        async with work(address, tls=Tls(root_certificates=ours)) as handle:
            self.assertEqual((await handle.process(job(1))).id, 1)
        named = Tls(root_certificates=ours, server_name="localhost")
        async with work(address, tls=named) as handle:
            self.assertEqual((await handle.process(job(2))).id, 2)
        mistakes = [
            Tls(root_certificates=theirs),
            Tls(),
            Tls(root_certificates=ours, server_name="elsewhere"),
        ]
        for tls in mistakes:
            async with work(address, tls=tls, timeout=3600) as handle:
                error = await self.error_of(handle.process(job(3)))
            self.assertIsInstance(error, batcher_handle.Unavailable)
            self.assertRegex(str(error), "cannot be reached: .*(failed|not in peer certificate)")
        async with work(address, timeout=0.5) as handle:  # without TLS
            self.assertIsInstance(
                await self.error_of(handle.process(job(4))), batcher_handle.DeadlineExceeded
            )
        self.assertEqual(set(self.ran()), {1, 2})

    async def test_a_handle_with_tls_at_a_port_without_is_told_at_once(self):
        address = self.serve().address
        async with work(address, tls=Tls(), timeout=3600) as handle:
            error = await self.error_of(handle.process(job(1)))
        self.assertIsInstance(error, batcher_handle.Unavailable)

    async def test_with_mutual_tls_a_deployment_answers_the_clients_of_its_authorities_only(self):
        ours, _ = self.authority("ours"), self.authority("theirs")
        address = self.serve(roots=ours, **self.issue("ours", "server")).address
        known = Tls(root_certificates=ours, **self.issue("ours", "client"))
        async with work(address, tls=known) as handle:
            self.assertEqual((await handle.process(job(1))).id, 1)
        stranger = Tls(root_certificates=ours, **self.issue("theirs", "client"))
        for tls in (stranger, Tls(root_certificates=ours)):
            async with work(address, tls=tls, timeout=1) as handle:
                await self.error_of(handle.process(job(2)))
        self.assertEqual(set(self.ran()), {1})

    async def test_pem_files_that_are_none_or_do_not_fit_are_said_when_the_handle_is_made(self):
        self.authority("ours")
        client, other = self.issue("ours", "client"), self.issue("ours", "other")
        with open(self.file("text"), "w") as text:
            text.write("no certificate")
        mixed = {**client, "private_key": other["private_key"]}
        wrong = [
            (Tls(root_certificates=self.file("none")), "root_certificates .* No such file"),
            (Tls(root_certificates=self.file("text")), "text holds no certificate in PEM"),
            (Tls(certificate=client["certificate"]), "both of certificate and private_key"),
            (Tls(**mixed), "are no certificate and its key"),
        ]
        for tls, sentence in wrong:
            with self.assertRaisesRegex(ValueError, sentence):
                work("localhost:1", tls=tls)


class TheOptions(support.Case):
    def test_values_out_of_range_are_refused_by_name(self):
        wrong = [
            ({"timeout": 0}, "timeout must be more than 0 and at most a year, not 0 s"),
            ({"timeout": float("nan")}, "timeout must be more than 0"),
            ({"max_attempts": 0}, "max_attempts must be 1 or more, not 0"),
            ({"calls_in_flight": 0}, "calls_in_flight must be 1 or more, not 0"),
            ({"max_items_per_call": -1}, "max_items_per_call must be 1 or more, not -1"),
            ({"max_message_size": 0}, "max_message_size must be 1 or more, not 0"),
            ({"max_queue_size": 0}, "max_queue_size must be 1 or more, not 0"),
            ({"token": "secret\n"}, r"token must be printable ASCII, .* has '\\n' at 6"),
            ({"metadata": [("X-Request", "1")]}, 'the key "X-Request" in metadata must be of'),
            ({"metadata": [("grpc-timeout", "1")]}, "is one of gRPC's own"),
            ({"metadata": [("key-bin", "1")]}, "must be bytes if the key ends in -bin"),
            ({"keepalive": batcher_handle.Keepalive(interval=-1)}, "keepalive must be"),
        ]
        for options, sentence in wrong:
            with self.assertRaisesRegex(ValueError, sentence):
                Options(**options)

    def test_addresses_that_cannot_be_are_refused(self):
        with self.assertRaisesRegex(ValueError, "the address is empty"):
            work("")
        with self.assertRaisesRegex(ValueError, "at most 10[37] bytes"):
            work("unix:/" + "x" * 107)


class Readme(unittest.TestCase):
    def test_the_code_of_the_readme_is_python_and_what_it_imports_is_there(self):
        readme = pathlib.Path(__file__).resolve().parents[2] / "examples" / "python" / "README.md"
        blocks = re.findall("```python\n(.*?)```", readme.read_text(), re.DOTALL)
        self.assertTrue(blocks)
        for block in blocks:
            compile(block, str(readme), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            exec("\n".join(line for line in block.split("\n") if "import " in line))


if __name__ == "__main__":
    support.main()
