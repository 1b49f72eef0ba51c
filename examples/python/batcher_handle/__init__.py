"""Handles to deployments of batcher: one item in, its result out; many callers share few remote calls.

    square_root = batcher_handle.Handle("unix:/run/models.sock", "square_root")
    answer = await square_root.process({"number": 9.0, "worker": 1})

    square_root = batcher_handle.BlockingHandle("dns:///models:9000", "square_root")
    answer = square_root.process({"number": 9.0, "worker": 1})    # from any thread

A handle deploys nothing, and connects when it is first used: it may be made before its deployment runs.
What it promises is what a handle in C++ does; options.py and errors.py say it.
"""

from .blocking import BlockingHandle
from .codec import pack, struct, unpack
from .errors import (
    Closed,
    DeadlineExceeded,
    Error,
    Malformed,
    MessageTooLarge,
    Overloaded,
    RemoteFailure,
    ResultCountMismatch,
    SchemaMismatch,
    TooHeavy,
    Unauthenticated,
    Unavailable,
    UnknownDeployment,
)
from .handle import Handle
from .item import Priority
from .options import Keepalive, Options, Tls

__all__ = [
    "BlockingHandle",
    "Closed",
    "DeadlineExceeded",
    "Error",
    "Handle",
    "Keepalive",
    "Malformed",
    "MessageTooLarge",
    "Options",
    "Overloaded",
    "Priority",
    "RemoteFailure",
    "ResultCountMismatch",
    "SchemaMismatch",
    "Tls",
    "TooHeavy",
    "Unauthenticated",
    "Unavailable",
    "UnknownDeployment",
    "pack",
    "struct",
    "unpack",
]
