"""Handle: a deployment, called from asyncio, one item at a time.

Items that come together go together, in one remote call, and so do those that come while the calls under way keep
the handle from sending another. It is the deployment that makes batches, of the items of all of its clients.
"""

import asyncio
import contextlib
from typing import (
    Any,
    Callable,
    Generic,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Set,
    TypeVar,
)

from . import errors
from .call import Call
from .codec import pack, unpack
from .item import Asked, Item, Priority
from .options import Options
from .remote import Remote
from .tracing import BYTES_OF_A_CONTEXT
from .waiting import Waiting

In = TypeVar("In")
Out = TypeVar("Out")

# When another call goes: while there are fewer than so many, at once; else when so many items wait that it is worth
# its cost; and nobody waits longer than so many seconds for the calls of others, which may be with one that hangs.
_CALLS_AT_ONCE = 2
_WORTH_A_CALL = 64
_PATIENCE = 0.01

_BYTES_OF_A_LENGTH = 11  # at most, with the number of its field
# An item's length, its timeout and its priority; its data comes on top.
_BYTES_OF_AN_ITEM = 2 * _BYTES_OF_A_LENGTH


class Handle(Generic[In, Out]):
    """Calls a deployment from asyncio. It connects with its first call, and belongs to the event loop of that."""

    def __init__(
        self,
        address: str,
        name: str,
        options: Options = Options(),
        *,
        encode: Callable[[In], bytes] = pack,
        decode: Callable[[bytes], Out] = unpack,
    ) -> None:
        self._remote = Remote(address, name, options)
        self._options = options
        self._encode = encode
        self._decode = decode
        header = len(name.encode()) + len(options.schema.encode()) + 4 * _BYTES_OF_A_LENGTH
        self._room = options.max_message_size - header  # for the items of a call
        self._closed = False
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._reset()

    async def process(
        self, item: In, *, timeout: Optional[float] = None, priority: Priority = "normal"
    ) -> Out:
        """One item in, its result out; or an Error. A caller that is cancelled takes its item along.

        `timeout`: in seconds, from now to the result, and at most Options.timeout. When it has passed, the caller gets
        DeadlineExceeded, at once: an item that waits, here or in the deployment, never runs, and the result of one
        that runs is dropped. The deployment is told what is left of it when the item is sent, makes its batches so
        that they meet it, and refuses at once, with Overloaded, what its queue makes hopeless. None: Options.timeout
        it is, of which the deployment is not told.

        `priority`: here and in the deployment higher ones are served first, in the order of arrival among equals, and
        what has waited for long (a second, unless the deployment says otherwise) counts as "high". When a queue is
        full, an item of a higher priority takes the place of the newest one of the lowest, which gets Overloaded.

        A deployment of a version that knows neither looks at neither; then they hold here alone.
        """
        accepted = self._accept([item], timeout, priority)
        with self._present(accepted):
            return await accepted[0].future

    async def process_many(
        self,
        items: Iterable[In],
        *,
        timeout: Optional[float] = None,
        priority: Priority = "normal",
    ) -> List[Out]:
        """The results in the order of the items, once all have ended; or the first Error among them. `timeout` and
        `priority` are those of each item."""
        accepted = self._accept(list(items), timeout, priority)
        futures = [item.future for item in accepted]
        with self._present(accepted):
            await asyncio.gather(*futures, return_exceptions=True)
        return [future.result() for future in futures]

    async def close(self) -> None:
        """No more is accepted. Waits for what was: at most Options.timeout."""
        self._closed = True
        while self._waiting or self._calls:
            self._send()
            await asyncio.wait([call.task for call in self._calls])
        connection = self._remote.forget()
        if connection:
            await connection.channel.close()

    async def __aenter__(self) -> "Handle[In, Out]":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    def _reset(self) -> None:
        self._waiting: Waiting[Out] = Waiting()
        self._calls: Set[Call[Out]] = set()
        self._alarm: Optional[asyncio.Handle] = None  # calls _send()

    def _accept(
        self, items: Sequence[In], timeout: Optional[float], priority: Priority
    ) -> List[Item[Out]]:
        """All of them wait then, or none."""
        loop = self._on_its_loop()
        if self._closed:
            raise errors.Closed("the handle is closed: it accepts no more items")
        asked = Asked.by(loop.time(), timeout, priority, self._options.timeout)
        encoded = [self._encoded(item) for item in items]
        if asked.timeout <= 0 and encoded:
            raise errors.too_late(self._remote.name, asked.timeout, "")
        self._make_room(len(items), priority)
        accepted: List[Item[Out]] = [Item(data, asked, loop.create_future()) for data in encoded]
        self._waiting.add(accepted)
        if self._may_send():
            self._wake(0)  # with what else comes until then
        elif self._alarm is None:
            self._wake(_PATIENCE)
        return accepted

    def _on_its_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError(
                    f"the handle for {self._remote.name} belongs to another event loop; make one for each"
                )
            self._loop = loop
            self._reset()
            self._remote.begin()
        return loop

    def _encoded(self, item: In) -> bytes:
        name = self._remote.name
        try:
            data = self._encode(item)
        except Exception as error:
            raise errors.Malformed(f"an item for {name} cannot be written: {error}") from error
        if len(data) + _BYTES_OF_AN_ITEM > self._room:
            raise errors.MessageTooLarge(
                f"an item of {len(data)} bytes for {name} does not fit into a message of at most "
                f"{self._options.max_message_size} bytes"
            )
        return data

    def _make_room(self, count: int, priority: Priority) -> None:
        """At the cost of lower priorities, if need be."""
        limit = self._options.max_queue_size
        if limit is None:
            return
        waiting = len(self._waiting)
        if count > limit or waiting - self._waiting.below(priority) + count > limit:
            raise errors.Overloaded(
                f"the queue is full: {waiting} of at most {limit} items are waiting for "
                f"{self._remote.name}, and {count} more were to"
            )
        for _ in range(waiting + count - limit):
            self._waiting.take_newest_of_lowest().fail(
                errors.Overloaded(
                    f"the queue is full: at most {limit} items may wait for {self._remote.name}, and "
                    "one of a higher priority took the place of this one"
                )
            )

    @contextlib.contextmanager
    def _present(self, items: List[Item[Out]]) -> Iterator[None]:
        """While the caller of these waits, until their deadline."""
        loop = asyncio.get_running_loop()
        if not items:
            yield
            return
        timer = loop.call_at(items[0].asked.deadline, self._expire, items)
        try:
            yield
        except asyncio.CancelledError:
            self._leave(items)
            raise
        finally:
            timer.cancel()

    def _expire(self, items: List[Item[Out]]) -> None:
        late = [item for item in items if not item.future.done()]
        reason = self._remote.why_not()
        for item in late:
            item.expire(self._remote.name, reason)
        self._leave(late)

    def _leave(self, items: List[Item[Out]]) -> None:
        for item in items:
            item.future.cancel()
            call, item.call = item.call, None
            if call:
                call.left()
            else:
                self._waiting.discard(item)

    def _may_send(self) -> bool:
        calls = len(self._calls)
        if calls >= self._options.calls_in_flight or not self._waiting:
            return False
        if calls < _CALLS_AT_ONCE or len(self._waiting) >= _WORTH_A_CALL:
            return True
        since = self._waiting.oldest().asked.since
        return asyncio.get_running_loop().time() >= since + _PATIENCE

    def _wake(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._send)

    def _send(self) -> None:
        self._alarm = None
        while self._may_send():
            call = Call(self._remote, self._take(), self._decode)
            self._calls.add(call)
            call.task.add_done_callback(lambda _, call=call: self._ended(call))  # type: ignore[misc]
        if self._waiting and len(self._calls) < self._options.calls_in_flight:
            self._wake(_PATIENCE)

    def _take(self) -> List[Item[Out]]:
        """The next, as many as fit into one call. And not more than its share of all, if that is worth a call: for it
        is with several that all replicas have work."""
        options = self._options
        now = asyncio.get_running_loop().time()
        everything = len(self._waiting) + sum(call.size for call in self._calls)
        share = max(_WORTH_A_CALL, -(-everything // options.calls_in_flight))
        taken: List[Item[Out]] = []
        room = self._room
        while self._waiting and len(taken) < min(share, options.max_items_per_call):
            item = self._waiting.next(now)
            room -= len(item.data) + _BYTES_OF_AN_ITEM
            room -= BYTES_OF_A_CONTEXT if item.asked.context else 0
            if room < 0 and taken:  # one alone fits: its context goes with the call
                break
            self._waiting.discard(item)
            taken.append(item)
        return taken

    def _ended(self, call: Call[Out]) -> None:
        self._calls.discard(call)
        self._send()
