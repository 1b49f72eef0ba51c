"""What a type checker makes of programs that use the handle: this one is right, and what is marked as wrong is."""

from typing import NamedTuple

from batcher_handle import BlockingHandle, Handle, Options, Priority, struct


class Answer(NamedTuple):
    id: int
    text: str


async def call(address: str) -> str:
    handle: Handle[int, Answer] = Handle(
        address, "work", Options(timeout=2.0), decode=struct(Answer)
    )
    answers = await handle.process_many([1, 2])
    await handle.process("three")  # type: ignore[arg-type]
    await handle.process(1, timeout=0.05, priority="high")
    await handle.process_many([1, 2], timeout=1, priority="low")
    await handle.process(1, priority="urgent")  # type: ignore[arg-type]
    await handle.process_many([1], timeout="1 s")  # type: ignore[arg-type]
    answers[0].number  # type: ignore[attr-defined]
    return answers[0].text


def call_from_a_thread(address: str) -> float:
    square_root: BlockingHandle[float, float] = BlockingHandle(address, "square_root")
    Options(timout=2.0)  # type: ignore[call-arg]
    urgent: Priority = "high"
    return square_root.process(4.0, timeout=0.05, priority=urgent)
