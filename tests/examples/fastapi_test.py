"""fastapi_test.py: what the web application of examples/fastapi makes of deadlines and of a model that is too busy. Its
model here is one that answers what the test wants it to."""

import asyncio
import contextlib
import os
import pathlib
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = TESTS.parent / "examples"
sys.path[:0] = map(str, [TESTS / "python", EXAMPLES / "python", EXAMPLES / "fastapi"])

from batcher_handle import messages  # noqa: E402
from fake import Fake, failure  # noqa: E402
from grpc import StatusCode  # noqa: E402
from processes import ask_for_all, free_port, running, wait_for  # noqa: E402

SECOND = 1_000_000_000  # in nanoseconds


def reply_of(code, sentence, **more):
    """Of a model that fails the item."""
    results = [failure(code, sentence, **more)]
    return messages.ProcessResponse(results=results).SerializeToString()


class Application(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.model = Fake()
        await self.model.start()
        self.addAsyncCleanup(self.model.stop)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = dict(
            os.environ,
            MODELS=self.model.address,
            PYTHONPATH=str(EXAMPLES / "python"),
            PYTHONDONTWRITEBYTECODE="1",
        )
        web = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)]
        web += ["--log-level", "warning"]
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        application = running(web, cwd=EXAMPLES / "fastapi", env=environment)
        process = stack.enter_context(application)
        await asyncio.to_thread(wait_for, "The web application", self.answers, process)

    def answers(self):
        try:
            return ask_for_all(f"{self.url}/num/9")[:2] == (200, 42)
        except OSError:
            return False

    async def ask(self, **headers):
        """The status, what was said, and when to try again."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.url}/num/9"
        status, answer, headers = await asyncio.to_thread(ask_for_all, url, headers=headers)
        return status, answer, headers["Retry-After"]

    def told(self):
        """The timeout that the model was told."""
        (nanoseconds,) = self.model.last.timeouts_ns
        return nanoseconds

    async def test_the_model_is_told_what_is_left_of_the_requests_time(self):
        self.assertEqual(await self.ask(), (200, 42, None))
        self.assertTrue(SECOND < self.told() < 5 * SECOND, self.told())
        self.assertEqual(await self.ask(X_Request_Timeout="3"), (200, 42, None))
        self.assertTrue(SECOND < self.told() < 3 * SECOND, self.told())
        self.assertEqual(await self.ask(X_Request_Timeout="3600"), (200, 42, None))
        self.assertLess(self.told(), 5 * SECOND)
        pixels = {"pixels": [0] * 64}
        digit = await asyncio.to_thread(ask_for_all, f"{self.url}/digit", pixels)
        self.assertEqual(digit[:2], (200, {"digit": 42}))
        self.assertLess(self.told(), 5 * SECOND)

    async def test_a_request_whose_time_is_over_gets_504(self):
        self.model.hold()
        status, answer, _ = await self.ask(X_Request_Timeout="0.25")
        self.assertEqual(status, 504)
        self.assertRegex(answer["detail"], r"did not answer within \d+ ms")
        self.model.release()

    async def test_a_time_that_is_none_gets_422_and_asks_nothing(self):
        calls = self.model.calls
        for timeout in ("0", "-1", "nan", "soon"):
            status, _, _ = await self.ask(X_Request_Timeout=timeout)
            self.assertEqual(status, 422)
        self.assertEqual(self.model.calls, calls)

    async def test_while_the_model_is_too_busy_a_request_gets_503_and_when_to_ask_again(self):
        full = "the queue is full: 9 of at most 9 items wait"
        for more, retry_after in (
            ({"retry_after_ns": 1_200_000_000}, "2"),
            ({"retry_after_ns": 3}, "1"),
            ({}, None),
        ):
            self.model.reply = reply_of(StatusCode.RESOURCE_EXHAUSTED, full, **more)
            self.assertEqual(await self.ask(), (503, {"detail": full}, retry_after))

    async def test_an_item_that_the_model_cannot_use_gets_422(self):
        self.model.reply = reply_of(StatusCode.UNKNOWN, "9 is no number.")
        self.assertEqual(await self.ask(), (422, {"detail": "9 is no number."}, None))


if __name__ == "__main__":
    unittest.main(verbosity=2)
