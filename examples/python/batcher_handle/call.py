"""Call: one remote call that carries many items, with its deadline and the times that it is sent again.

It is sent again only if that cannot run an item twice, or if the user says that this does no harm:

    never on the wire, or not seen by the server    gRPC itself sends it again
    not accepted by a deployment that stops         sent again, until the deadline
    cancelled by its gRPC, before it saw it         the same, if it is a deployment of batcher that answers there
    the connection broke, or a proxy failed it      if idempotent, max_attempts times in all
"""

import asyncio
import copy
from typing import Any, Callable, Generic, List, Tuple, TypeVar

import grpc
import grpc.aio

from . import errors, messages, tracing
from .item import Item
from .remote import Remote, has_mark

Out = TypeVar("Out")

Code = grpc.StatusCode
_MAY_BE_REPEATED = (Code.UNAVAILABLE, Code.CANCELLED, Code.INTERNAL, Code.UNKNOWN)


class Call(Generic[Out]):
    def __init__(
        self, remote: Remote, items: List[Item[Out]], decode: Callable[[bytes], Out]
    ) -> None:
        self._remote = remote
        self._items = items
        self._decode = decode
        self._wanted = len(items)
        self._deadline = max(item.asked.deadline for item in items)
        for item in items:
            item.call = self
        self.task = asyncio.get_running_loop().create_task(self._run())

    @property
    def size(self) -> int:
        return len(self._items)

    def left(self) -> None:
        """One of its callers has gone. When all have, it is cancelled, and with it what waits over there."""
        self._wanted -= 1
        if self._wanted == 0:
            self.task.cancel()

    async def _run(self) -> None:
        try:
            await self._send_until_answered()
        except errors.Error as error:
            self._fail(error)
        except Exception as error:  # whatever it is: no caller waits for ever
            self._fail(errors.RemoteFailure(f"{self._remote.name} could not be called: {error!r}"))

    async def _send_until_answered(self) -> None:
        remote = self._remote
        attempts = 0
        while True:
            connection = await remote.reach(self._deadline)
            sent = self._in_time()
            if not sent:
                return self._expire()
            caller = tracing.shared([item.asked.context for item in sent])
            call = self._send(
                connection.process, self._request(sent), caller.metadata if caller else ()
            )
            try:
                reply: bytes = await call
            except grpc.aio.AioRpcError as error:
                attempts += 1
                pause = min(0.16, 0.005 * 2 ** (attempts - 1))
                if not await self._may_go_again(error, attempts, pause):
                    return self._failed(error)
                await asyncio.sleep(pause)
            else:
                if not remote.pings:
                    remote.seen(await call.trailing_metadata())
                return self._read(reply, sent)

    def _in_time(self) -> List[Item[Out]]:
        """Those that somebody still waits for."""
        now = self._now()
        return [
            item for item in self._items if not item.future.done() and item.asked.deadline > now
        ]

    def _request(self, items: List[Item[Out]]) -> bytes:
        remote = self._remote
        request = messages.ProcessRequest(
            deployment=remote.deployment,
            schema=remote.options.schema,
            items=[item.data for item in items],
        )
        if any(item.asked.is_told for item in items):
            now = self._now()
            request.timeouts_ns.extend(_nanoseconds_left(item, now) for item in items)
        if any(item.asked.priority != "normal" for item in items):
            request.priorities.extend(messages.PRIORITIES[item.asked.priority] for item in items)
        contexts = [item.asked.context for item in items]
        if any(context != contexts[0] for context in contexts):
            request.trace_contexts.extend(context.sent if context else b"" for context in contexts)
        return bytes(request.SerializeToString())

    def _send(self, method: Any, request: bytes, caller: Tuple[Tuple[str, str], ...] = ()) -> Any:
        left = max(0.0, self._deadline - self._now())
        metadata = self._remote.metadata + caller
        return method(request, timeout=left, metadata=metadata, wait_for_ready=True)

    def _has_time(self, pause: float) -> bool:
        return self._now() + pause < self._deadline

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _may_go_again(self, error: Any, attempts: int, pause: float) -> bool:
        options = self._remote.options
        if not self._has_time(pause):
            return False
        if has_mark(error.trailing_metadata(), messages.NOT_ACCEPTED_MARK):
            return True
        # INTERNAL and UNKNOWN are a proxy's: a deployment fails items with them, and no calls.
        if options.idempotent and error.code() in _MAY_BE_REPEATED:
            return attempts < options.max_attempts
        return _is_wordless_cancellation(error) and await self._is_deployment(pause)

    async def _is_deployment(self, pause: float) -> bool:
        """Who has cancelled the call: a deployment of batcher, which then has not seen it, or a proxy, which may
        have? Describe is answered with a mark by the one, and by proxies without."""
        while self._has_time(pause):
            connection = self._remote.connection()
            call = self._send(connection.describe, b"")
            try:
                await call
            except grpc.aio.AioRpcError as error:
                if has_mark(error.trailing_metadata(), messages.DEPLOYMENT_MARK):
                    return True
                # Asked on the same connection, or on one that broke.
                if error.code() is not Code.UNAVAILABLE and not _is_wordless_cancellation(error):
                    return False
                await asyncio.sleep(pause)
            else:
                return has_mark(await call.trailing_metadata(), messages.DEPLOYMENT_MARK)
        return False

    def _failed(self, error: Any) -> None:
        if error.code() is Code.DEADLINE_EXCEEDED and not self._has_time(0.01):
            return self._expire()
        self._fail(errors.of_call(self._remote.name, error.code(), error.details() or ""))

    def _fail(self, error: errors.Error) -> None:
        for item in self._items:
            item.fail(copy.copy(error))  # each gets its own traceback

    def _expire(self) -> None:
        reason = self._remote.why_not()
        for item in self._items:
            item.expire(self._remote.name, reason)

    def _read(self, reply: bytes, sent: List[Item[Out]]) -> None:
        name = self._remote.name
        try:
            results = messages.ProcessResponse.FromString(reply).results
        except Exception as error:
            raise errors.Malformed(f"{name} gave an answer that cannot be read: {error}") from None
        if len(results) != len(sent):
            counts = f"{len(results)} results for {len(sent)} items"
            raise errors.ResultCountMismatch(f"{name} answered {counts}")
        for item, result in zip(sent, results):
            if not item.future.done():  # its caller may have gone
                self._settle(item, result)

    def _settle(self, item: Item[Out], result: Any) -> None:
        name = self._remote.name
        if result.WhichOneof("outcome") == "failure":
            item.future.set_exception(errors.of_item(name, result.failure))
            return
        try:
            if not result.HasField("value"):
                raise ValueError("a result has neither a value nor a failure")
            item.future.set_result(self._decode(result.value))
        except Exception as error:  # of whatever decode() it is; the other results may be good
            sentence = f"{name} gave an answer that cannot be read: {error}"
            item.future.set_exception(errors.Malformed(sentence))


def _nanoseconds_left(item: Item[Any], now: float) -> int:
    """0: the item has no timeout that is told."""
    return max(1, int(1e9 * (item.asked.deadline - now))) if item.asked.is_told else 0


def _is_wordless_cancellation(error: Any) -> bool:
    """What gRPC says where nobody else does: the name of the status, or of the frame that ended the stream."""
    details = error.details() or ""
    return error.code() is Code.CANCELLED and (
        details in ("", "CANCELLED") or details.startswith("Received RST_STREAM")
    )
