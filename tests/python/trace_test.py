"""trace_test.py SERVER: which callers a call names, by what OpenTelemetry's Python API says of each.

The API is installed here, or it is what stands in this file for it: the few names of it that the handle uses.
"""

import asyncio
import contextlib
import contextvars
import sys
import types
from typing import NamedTuple

try:
    from opentelemetry import trace
except ImportError:
    trace = types.ModuleType("opentelemetry.trace")
    opentelemetry = types.ModuleType("opentelemetry")
    opentelemetry.trace = trace
    sys.modules.update({"opentelemetry": opentelemetry, "opentelemetry.trace": trace})

    class TraceState(dict):
        def __init__(self, entries=()):
            super().__init__(entries)

        def to_header(self):
            return ",".join(f"{key}={value}" for key, value in self.items())

    class SpanContext(NamedTuple):
        trace_id: int
        span_id: int
        is_remote: bool = False
        trace_flags: int = 0
        trace_state: TraceState = TraceState()

        @property
        def is_valid(self):
            return self.trace_id != 0 and self.span_id != 0

    class NonRecordingSpan(NamedTuple):
        context: SpanContext

        def get_span_context(self):
            return self.context

    NOBODY = NonRecordingSpan(SpanContext(0, 0))
    CURRENT = contextvars.ContextVar("span", default=NOBODY)

    @contextlib.contextmanager
    def use_span(span):
        token = CURRENT.set(span)
        try:
            yield
        finally:
            CURRENT.reset(token)

    trace.get_current_span = CURRENT.get
    for name in (TraceState, SpanContext, NonRecordingSpan, use_span):
        setattr(trace, name.__name__, name)

import support  # noqa: E402: what it imports is to find the API
from batcher_handle import BlockingHandle, Handle, Options  # noqa: E402
from fake import Fake  # noqa: E402

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
PARENT = f"00-{TRACE:032x}-00000000000000{{:02x}}-01"


def span(number, state=()):
    """One that is sampled, and current within it."""
    return trace.use_span(
        trace.NonRecordingSpan(
            trace.SpanContext(
                TRACE,
                number,
                is_remote=False,
                trace_flags=trace.TraceFlags(1) if hasattr(trace, "TraceFlags") else 1,
                trace_state=trace.TraceState(state),
            )
        )
    )


class Traced(support.Case):
    async def asyncSetUp(self):
        self.fake = Fake()
        await self.fake.start()
        self.addAsyncCleanup(self.fake.stop)

    def handle(self, **options):
        return Handle(self.fake.address, "doubling", Options(**options))

    async def test_a_call_has_the_caller_of_all_its_items_in_its_metadata(self):
        async with self.handle() as handle:
            with span(7, [("vendor", "a")]):
                await handle.process_many([1, 2])
        self.assertEqual(self.fake.metadata["traceparent"], PARENT.format(7))
        self.assertEqual(self.fake.metadata["tracestate"], "vendor=a")
        self.assertFalse(self.fake.last.trace_contexts)

    async def test_of_several_callers_each_item_has_its_own(self):
        self.fake.hold()
        async with self.handle(calls_in_flight=1) as handle:
            calls = [asyncio.ensure_future(handle.process(0))]
            await support.eventually(lambda: self.fake.calls == 1)
            for number in (1, 0, 2):
                with span(number) if number else contextlib.nullcontext():
                    calls.append(asyncio.ensure_future(handle.process(number)))
            await asyncio.sleep(0)
            self.fake.release()
            await asyncio.gather(*calls)
        contexts = [TRACE.to_bytes(16, "big") + bytes([0] * 7 + [n, 1]) for n in (1, 2)]
        self.assertEqual(list(self.fake.last.trace_contexts), [contexts[0], b"", contexts[1]])
        self.assertNotIn("traceparent", self.fake.metadata)

    async def test_no_message_is_too_large_for_its_contexts(self):
        async with self.handle(calls_in_flight=1, max_message_size=400) as handle:
            calls = []
            for number in range(1, 100):
                with span(number):
                    calls.append(asyncio.ensure_future(handle.process(number)))
            await asyncio.gather(*calls)
        self.assertLessEqual(max(map(len, self.fake.requests)), 400)

    async def test_without_a_span_nothing_is_said(self):
        async with self.handle() as handle:
            await handle.process(1)
        self.assertNotIn("traceparent", self.fake.metadata)
        self.assertFalse(self.fake.last.trace_contexts)

    async def test_a_caller_that_blocks_is_known_too(self):
        def call():
            with BlockingHandle(self.fake.address, "doubling") as handle, span(9):
                handle.process(1)

        await asyncio.get_running_loop().run_in_executor(None, call)
        self.assertEqual(self.fake.metadata["traceparent"], PARENT.format(9))


if __name__ == "__main__":
    support.main()
