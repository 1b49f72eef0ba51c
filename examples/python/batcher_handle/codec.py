"""How items become bytes, and bytes results: MessagePack, as batcher's own types are sent.

A C++ struct with MSGPACK_DEFINE_MAP is a dict or a dataclass here; one with MSGPACK_DEFINE is an array of its
fields in their order: a list, a tuple or a NamedTuple.

    class Answer(NamedTuple): ...
    handle = Handle("dns:///scorer:9000", "scorer", decode=struct(Answer))

Protobuf messages are `encode=Item.SerializeToString, decode=Answer.FromString`.
"""

import dataclasses
from typing import Any, Callable, TypeVar

import msgpack

T = TypeVar("T")


def pack(item: Any) -> bytes:
    """Numbers, strings, bytes, lists, tuples and dicts; dataclasses; what has tolist(), as NumPy's arrays."""
    return bytes(msgpack.packb(item, default=_plain))


def unpack(value: bytes) -> Any:
    """None, if the deployment's function returns nothing."""
    return msgpack.unpackb(value, strict_map_key=False) if value else None


def struct(make: Callable[..., T]) -> Callable[[bytes], T]:
    """Decodes with a dataclass or a NamedTuple, by the names or by the order of its fields."""

    def decode(value: bytes) -> T:
        fields = unpack(value)
        return make(**fields) if isinstance(fields, dict) else make(*fields)

    return decode


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"MessagePack has nothing for a {type(value).__name__}")
