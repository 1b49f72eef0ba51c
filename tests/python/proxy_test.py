"""proxy_test.py SERVER: what a handle in Python makes of a server between it and its deployment, as a cluster's
proxy is, and of answers that no deployment gives."""

import asyncio

import batcher_handle
import support
from batcher_handle import Handle, Options, messages
from fake import Fake, failure, results
from grpc import StatusCode

DIED = (StatusCode.INTERNAL, "The actor died unexpectedly.")
UNSEEN = (StatusCode.CANCELLED, "CANCELLED")  # what gRPC says of a call that its server never saw


class Proxies(support.Case):
    async def start(self, *failures, **options):
        proxy = Fake(*failures, **options)
        await proxy.start()
        self.addAsyncCleanup(proxy.stop)
        return proxy

    async def call_through(self, proxy, **options):
        """The result, or what the call fails with."""
        async with Handle(proxy.address, "doubling", Options(**options)) as handle:
            call = handle.process(21)
            (outcome,) = await asyncio.gather(
                asyncio.wait_for(call, support.LONGEST), return_exceptions=True
            )
        return outcome

    async def test_what_a_proxy_says_arrives_as_the_fitting_error_in_its_own_words(self):
        bh = batcher_handle
        unknown = "and whether it has run the item is not known"
        table = [
            (
                StatusCode.NOT_FOUND,
                "Application 'x' not found.",
                bh.UnknownDeployment,
                "does not exist",
            ),
            (StatusCode.RESOURCE_EXHAUSTED, "Dropped.", bh.Overloaded, "refused the call"),
            (
                StatusCode.RESOURCE_EXHAUSTED,
                "SERVER: Received message larger than max (9 vs. 5)",
                bh.MessageTooLarge,
                "cannot take or give a message",
            ),
            (StatusCode.UNAVAILABLE, "Away.", bh.Unavailable, f"is not available, {unknown}"),
            (StatusCode.CANCELLED, "Gone.", bh.Unavailable, f"cancelled the call, {unknown}"),
            (StatusCode.DEADLINE_EXCEEDED, "Late.", bh.DeadlineExceeded, "did not answer in time"),
            (*DIED, bh.RemoteFailure, "failed with status 13"),
            (StatusCode.UNKNOWN, "ValueError", bh.RemoteFailure, "failed with status 2"),
            (StatusCode.PERMISSION_DENIED, "Denied.", bh.Unauthenticated, "refused the call"),
            (
                StatusCode.UNIMPLEMENTED,
                "Method not found!",
                bh.UnknownDeployment,
                "does not exist, a server that is no deployment answers",
            ),
            (StatusCode.INVALID_ARGUMENT, "What?", bh.Malformed, "could not read the call"),
            (StatusCode.DATA_LOSS, "", bh.RemoteFailure, "failed with status 15"),
        ]
        for code, detail, error, sentence in table:
            proxy = await self.start((code, detail))
            outcome = await self.call_through(proxy)
            self.assertIs(type(outcome), error)
            where = f'the deployment "doubling" at {proxy.address}'
            self.assertEqual(
                str(outcome), f"{where} {sentence}: {detail or 'nothing more was said'}"
            )
            self.assertEqual(proxy.calls, 1)

    async def test_what_a_deployment_says_of_an_item_arrives_as_the_fitting_error(self):
        bh = batcher_handle
        table = [
            (StatusCode.RESOURCE_EXHAUSTED, bh.Overloaded, "refused the item"),
            (StatusCode.FAILED_PRECONDITION, bh.TooHeavy, "refused the item"),
            (StatusCode.UNAVAILABLE, bh.Unavailable, "did not run the item"),
            (StatusCode.CANCELLED, bh.Unavailable, "cancelled the item"),
            (StatusCode.DEADLINE_EXCEEDED, bh.DeadlineExceeded, "did not run the item in time"),
            (StatusCode.INVALID_ARGUMENT, bh.Malformed, "could not read the item"),
            (StatusCode.OUT_OF_RANGE, bh.MessageTooLarge, "could not answer"),
            (StatusCode.UNKNOWN, bh.RemoteFailure, "failed on the item"),
        ]
        for code, error, sentence in table:
            reply = messages.ProcessResponse(results=[failure(code, "So it is.")])
            proxy = await self.start(reply=reply.SerializeToString())
            outcome = await self.call_through(proxy)
            self.assertIs(type(outcome), error)
            where = f'the deployment "doubling" at {proxy.address}'
            self.assertEqual(str(outcome), f"{where} {sentence}: So it is.")
            self.assertEqual(outcome.detail, "So it is.")

    async def test_when_to_try_again_is_told_in_seconds_or_not_at_all_as_by_older_deployments(self):
        for of_the_deployment, seconds in (({"retry_after_ns": 35_000_000}, 0.035), ({}, None)):
            refusal = failure(StatusCode.RESOURCE_EXHAUSTED, "Full.", **of_the_deployment)
            reply = messages.ProcessResponse(results=[refusal]).SerializeToString()
            outcome = await self.call_through(await self.start(reply=reply))
            self.assertIs(type(outcome), batcher_handle.Overloaded)
            self.assertEqual(outcome.retry_after, seconds)

    async def test_an_idempotent_call_that_a_proxy_fails_is_sent_again_at_most_max_attempts_times(
        self,
    ):
        idempotent = {"idempotent": True, "max_attempts": 3}
        for code in ("INTERNAL", "UNKNOWN", "UNAVAILABLE", "CANCELLED"):
            failure = (StatusCode[code], "The actor died unexpectedly.")
            recovers = await self.start(failure, failure)
            self.assertEqual(await self.call_through(recovers, **idempotent), 42)
            self.assertEqual(recovers.calls, 3)

            stays_broken = await self.start(*[failure] * 9)
            self.assertIn("actor", str(await self.call_through(stays_broken, **idempotent)))
            self.assertEqual(stays_broken.calls, 3)

            once = await self.start(failure)
            self.assertIn("actor", str(await self.call_through(once)))
            self.assertEqual(once.calls, 1)

    async def test_a_call_that_grpc_cancels_unseen_is_sent_again_only_if_a_deployment_answers_there(
        self,
    ):
        deployment = await self.start(*[UNSEEN] * 7, marked=True)
        self.assertEqual(await self.call_through(deployment), 42)
        self.assertEqual(deployment.calls, 8)

        proxy = await self.start(UNSEEN)
        self.assertIsInstance(await self.call_through(proxy), batcher_handle.Unavailable)
        self.assertEqual(proxy.calls, 1)

    async def test_a_call_that_somebody_cancels_in_words_of_his_own_is_not_sent_again(self):
        proxy = await self.start((StatusCode.CANCELLED, "Client disconnected."), marked=True)
        self.assertIsInstance(await self.call_through(proxy), batcher_handle.Unavailable)
        self.assertEqual(proxy.calls, 1)

    async def test_only_what_says_that_it_is_a_deployment_is_pinged(self):
        for marked in (False, True):
            proxy = await self.start(marked=marked)
            async with Handle(proxy.address, "doubling") as handle:
                await handle.process(21)
                options = dict(handle._remote._channel_options())
            self.assertEqual("grpc.keepalive_time_ms" in options, marked)

    async def test_answers_that_cannot_be_are_errors(self):
        bh = batcher_handle
        neither = messages.ProcessResponse(results=[messages.Result()]).SerializeToString()
        broken = messages.Result(value=b"\xc1")
        unreadable = messages.ProcessResponse(results=[broken]).SerializeToString()
        table = [
            (results(), bh.ResultCountMismatch, "answered 0 results for 1 items"),
            (results(1, 2), bh.ResultCountMismatch, "answered 2 results for 1 items"),
            (b"\xff\xff", bh.Malformed, "gave an answer that cannot be read"),
            (neither, bh.Malformed, "neither a value nor a failure"),
            (unreadable, bh.Malformed, "gave an answer that cannot be read"),
        ]
        for reply, error, sentence in table:
            outcome = await self.call_through(await self.start(reply=reply))
            self.assertIs(type(outcome), error)
            self.assertIn(sentence, str(outcome))


if __name__ == "__main__":
    support.main()
