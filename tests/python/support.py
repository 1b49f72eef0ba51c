"""What the tests of the handle in Python share: deployments as processes, and callers that call without end."""

import asyncio
import collections
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from typing import NamedTuple

import batcher_handle

PROGRAM = sys.argv[1]
LONGEST = 30  # seconds, of whatever is awaited


class Answer(NamedTuple):
    id: int
    text: str
    server: str
    batch: int
    batch_size: int


def job(number, text="", sleep_ms=0):
    """An item of "work": an array, as its fields are in C++."""
    return (number, text, sleep_ms)


def work(address, **options):
    return batcher_handle.Handle(
        address, "work", batcher_handle.Options(**options), decode=batcher_handle.struct(Answer)
    )


class Server:
    """A deployment as a process, that listens."""

    def __init__(self, **options):
        words = [f"{name}={value}" for name, value in {"listen": "127.0.0.1:0", **options}.items()]
        self._process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        assert line.startswith("listening "), line
        self.address = line.split()[1]

    @property
    def port(self):
        return self.address.rsplit(":", 1)[1]

    def signal(self, number):
        self._process.send_signal(number)

    def wait(self):
        try:
            return self._process.wait(timeout=LONGEST)
        finally:
            self._process.stdout.close()

    def terminate(self):
        """SIGTERM; it has to end by itself, well."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, code

    def kill(self):
        if self._process.returncode is None:
            self._process.kill()
            self.wait()


class Case(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def file(self, name):
        return os.path.join(self.directory, name)

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # as it would be too slow for the loads

    def serve(self, **options):
        server = Server(log=self.file("log"), **options)
        self.addCleanup(server.kill)
        return server

    def ran(self):
        """How often each item of "work" was run, by all servers of this test."""
        return collections.Counter(self.in_order())

    def in_order(self):
        """The items of "work" as they were run."""
        with open(self.file("log")) as log:
            return list(map(int, log.read().split()))

    async def until_it_runs(self, number):
        await eventually(lambda: self.ran()[number])

    async def error_of(self, call):
        """What it fails with."""
        with self.assertRaises(batcher_handle.Error) as caught:
            await asyncio.wait_for(call, LONGEST)
        return caught.exception


async def eventually(condition):
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, f"not within {LONGEST} s"
        await asyncio.sleep(0.005)


class Load:
    """Callers that call one after the other, until stop()."""

    def __init__(self, handle, callers=32, **of_job):
        self.answered = collections.Counter()  # by each server
        self.errors = []
        self._ended = 0
        self._next = 0
        self._stopping = False
        self._handle = handle
        self._of_job = of_job
        self._callers = [asyncio.ensure_future(self._keep_calling()) for _ in range(callers)]

    async def goes_on(self, more=200):
        target = self._ended + more
        await eventually(lambda: self._ended >= target)

    async def answered_by(self, *labels):
        await eventually(lambda: all(self.answered[label] for label in labels))

    async def stop(self):
        """Every call that was begun has ended when it returns."""
        self._stopping = True
        await asyncio.wait_for(asyncio.gather(*self._callers), LONGEST)

    async def _keep_calling(self):
        while not self._stopping:
            number, self._next = self._next, self._next + 1
            try:
                answer = await self._handle.process(job(number, "item", **self._of_job))
                assert answer.id == number, "the answer of another"
                self.answered[answer.server] += 1
            except batcher_handle.Error as error:
                self.errors.append(error)
                await asyncio.sleep(0.001)
            self._ended += 1


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
