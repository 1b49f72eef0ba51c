"""Waiting: the items that wait for a call, as the queue of a handle in C++ orders them.

Higher priorities are served first, each in the order of arrival. What has waited for a second counts as high, so that
nobody starves.
"""

import collections
from typing import Dict, Generic, Iterable, List, TypeVar

from .item import PRIORITIES, Item, Priority

Out = TypeVar("Out")

_AGING = 1.0  # seconds


class Waiting(Generic[Out]):
    def __init__(self) -> None:
        self._queues: Dict[Priority, collections.OrderedDict[Item[Out], None]] = {
            priority: collections.OrderedDict() for priority in reversed(PRIORITIES)
        }

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, items: Iterable[Item[Out]]) -> None:
        for item in items:
            self._queues[item.asked.priority][item] = None

    def discard(self, item: Item[Out]) -> None:
        self._queues[item.asked.priority].pop(item, None)

    def next(self, now: float) -> Item[Out]:
        """The one that is served next. There has to be one."""
        first, *others = self._heads()
        for item in others:
            is_high = now - item.asked.since >= _AGING
            if is_high and item.asked.since < first.asked.since:
                first = item
        return first

    def oldest(self) -> Item[Out]:
        """There has to be one."""
        return min(self._heads(), key=lambda item: item.asked.since)

    def below(self, priority: Priority) -> int:
        """How many have a lower one."""
        lower = PRIORITIES[: PRIORITIES.index(priority)]
        return sum(len(self._queues[priority]) for priority in lower)

    def take_newest_of_lowest(self) -> Item[Out]:
        """There has to be one."""
        lowest = next(priority for priority in PRIORITIES if self._queues[priority])
        item, _ = self._queues[lowest].popitem()
        return item

    def _heads(self) -> List[Item[Out]]:
        """The oldest of each priority, that of the highest first."""
        return [next(iter(queue)) for queue in self._queues.values() if queue]
