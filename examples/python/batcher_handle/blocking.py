"""BlockingHandle: the same for programs without asyncio. Their threads share one event loop of the handle's own."""

import asyncio
import threading
import weakref
from typing import Any, Callable, Coroutine, Generic, Iterable, List, Optional, TypeVar

from .codec import pack, unpack
from .handle import Handle
from .item import Priority
from .options import Options

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")


class BlockingHandle(Generic[In, Out]):
    """Calls a deployment from any number of threads. What they ask at the same time goes together.

    Its own thread starts with the first call, and so may a program fork before that.
    """

    def __init__(
        self,
        address: str,
        name: str,
        options: Options = Options(),
        *,
        encode: Callable[[In], bytes] = pack,
        decode: Callable[[bytes], Out] = unpack,
    ) -> None:
        self._handle: Handle[In, Out] = Handle(address, name, options, encode=encode, decode=decode)
        self._lock = threading.Lock()
        self._thread: Optional[_LoopThread] = None

    def process(
        self, item: In, *, timeout: Optional[float] = None, priority: Priority = "normal"
    ) -> Out:
        """One item in, its result out; or an Error. What may be asked for says Handle.process()."""
        return self._run(self._handle.process(item, timeout=timeout, priority=priority))

    def process_many(
        self,
        items: Iterable[In],
        *,
        timeout: Optional[float] = None,
        priority: Priority = "normal",
    ) -> List[Out]:
        """The results in the order of the items, once all have ended; or the first Error among them. `timeout` and
        `priority` are those of each item."""
        return self._run(self._handle.process_many(items, timeout=timeout, priority=priority))

    def close(self) -> None:
        """No more is accepted. Waits for what was: at most Options.timeout."""
        self._run(self._handle.close())

    def __enter__(self) -> "BlockingHandle[In, Out]":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._thread is None:
                self._thread = _LoopThread()
                # Before the interpreter ends, at the latest.
                weakref.finalize(self, self._thread.stop)
        future = asyncio.run_coroutine_threadsafe(work, self._thread.loop)
        try:
            return future.result()
        except BaseException:  # such as KeyboardInterrupt: nobody waits any more
            future.cancel()
            raise


class _LoopThread:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="batcher_handle", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            self.loop.close()
