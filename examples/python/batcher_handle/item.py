"""Item: what a caller waits for; and Asked: what the caller asks for, beside its items."""

import asyncio
import math
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, Optional, Tuple, TypeVar, get_args

from . import errors, tracing

if TYPE_CHECKING:
    from .call import Call

Out = TypeVar("Out")

Priority = Literal["low", "normal", "high"]
PRIORITIES: Tuple[Priority, ...] = get_args(Priority)  # served last comes first


class Asked(NamedTuple):
    since: float  # when, by the event loop's clock
    timeout: float  # how long the caller waits
    is_told: bool  # to the deployment: it is a timeout of the caller's own
    priority: Priority
    context: Optional[tracing.Context] = None  # the caller's, in traces

    @classmethod
    def by(
        cls, since: float, timeout: Optional[float], priority: Priority, longest: float
    ) -> "Asked":
        """`longest`: that any caller waits."""
        if priority not in PRIORITIES:
            raise ValueError(f'priority must be "low", "normal" or "high", not {priority!r}')
        if timeout is None:
            return cls(since, longest, False, priority, tracing.current())
        if math.isnan(timeout):
            raise ValueError(f"timeout must be a number of seconds, not {timeout}")
        return cls(since, min(timeout, longest), True, priority, tracing.current())

    @property
    def deadline(self) -> float:
        return self.since + self.timeout


class Item(Generic[Out]):
    __slots__ = ("asked", "call", "data", "future")

    def __init__(self, data: bytes, asked: Asked, future: "asyncio.Future[Out]") -> None:
        self.data = data
        self.asked = asked
        self.future = future
        self.call: Optional[Call[Out]] = None  # while it is under way

    def fail(self, error: errors.Error) -> None:
        if not self.future.done():  # its caller may have gone
            self.future.set_exception(error)

    def expire(self, name: str, reason: str) -> None:
        """`reason`: why there is no connection to the deployment of that name; "" if there is one."""
        self.fail(errors.too_late(name, self.asked.timeout, reason))
