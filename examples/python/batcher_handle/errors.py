"""What a call fails with: one class for each reason, all of them an Error, each text a whole sentence."""

from typing import Any, Optional

import grpc

Code = grpc.StatusCode


class Error(Exception):
    """Of a call. str(): a sentence with address and deployment; `detail`: the words of whoever failed it;
    `retry_after`: in about so many seconds it may be worth trying again, or None, if that is not known."""

    def __init__(
        self, sentence: str, detail: str = "", retry_after: Optional[float] = None
    ) -> None:
        super().__init__(sentence)
        self.detail = detail or sentence
        self.retry_after = retry_after


class Closed(Error):
    """Called after close()."""


class DeadlineExceeded(Error, TimeoutError):
    """The call's timeout has passed, or would have before the item's result; whether it has run is not known."""


class Malformed(Error):
    """An item or a result that is not of the deployment's type, or cannot be written or read."""


class MessageTooLarge(Error):
    """An item, or an answer, does not fit into one message."""


class Overloaded(Error):
    """As many items wait as may, here or in the deployment, or so many that the item would be late. It has not run.
    The deployment says `retry_after`, once it knows how long its batches take."""


class RemoteFailure(Error):
    """The function over there failed on the item, with what `detail` says."""


class ResultCountMismatch(Error):
    """More or fewer results than items."""


class SchemaMismatch(Error):
    """Options.schema is not the deployment's."""


class TooHeavy(Error):
    """The item alone is heavier than a batch of the deployment may be. It has not run."""


class Unauthenticated(Error):
    """The deployment does not accept the token."""


class Unavailable(Error, ConnectionError):
    """The connection broke or was refused; if it broke, whether the item has run is not known."""


class UnknownDeployment(Error):
    """Nothing of that name is served there."""


_OF_ITEMS = {
    Code.RESOURCE_EXHAUSTED: (Overloaded, "refused the item"),
    Code.FAILED_PRECONDITION: (TooHeavy, "refused the item"),
    Code.UNAVAILABLE: (Unavailable, "did not run the item"),
    Code.CANCELLED: (Unavailable, "cancelled the item"),
    Code.DEADLINE_EXCEEDED: (DeadlineExceeded, "did not run the item in time"),
    Code.INVALID_ARGUMENT: (Malformed, "could not read the item"),
    Code.OUT_OF_RANGE: (MessageTooLarge, "could not answer"),
}
_OF_ITEMS_BY_NUMBER = {code.value[0]: outcome for code, outcome in _OF_ITEMS.items()}

_UNKNOWN_OUTCOME = "and whether it has run the item is not known"

_OF_CALLS = {
    Code.DEADLINE_EXCEEDED: (DeadlineExceeded, "did not answer in time"),
    Code.UNAVAILABLE: (Unavailable, f"is not available, {_UNKNOWN_OUTCOME}"),
    Code.CANCELLED: (Unavailable, f"cancelled the call, {_UNKNOWN_OUTCOME}"),
    Code.NOT_FOUND: (UnknownDeployment, "does not exist"),
    Code.UNIMPLEMENTED: (
        UnknownDeployment,
        "does not exist, a server that is no deployment answers",
    ),
    Code.FAILED_PRECONDITION: (SchemaMismatch, "has other types"),
    Code.UNAUTHENTICATED: (Unauthenticated, "refused the call"),
    Code.PERMISSION_DENIED: (Unauthenticated, "refused the call"),
    Code.RESOURCE_EXHAUSTED: (Overloaded, "refused the call"),
    Code.INVALID_ARGUMENT: (Malformed, "could not read the call"),
}


def of_item(name: str, failure: Any) -> Error:
    """Of one item of a call; the others have their own outcome."""
    error, how = _OF_ITEMS_BY_NUMBER.get(failure.code, (RemoteFailure, "failed on the item"))
    retry_after = failure.retry_after_ns / 1e9 or None
    return error(f"{name} {how}: {failure.message}", failure.message, retry_after)


def of_call(name: str, code: Any, detail: str) -> Error:
    """Of a call as a whole, and so of all its items; in the words of the deployment, gRPC or a proxy."""
    error, how = _OF_CALLS.get(code, (RemoteFailure, f"failed with status {code.value[0]}"))
    if code is Code.RESOURCE_EXHAUSTED and _is_too_large(detail):
        error, how = MessageTooLarge, "cannot take or give a message"
    return error(f"{name} {how}: {detail or 'nothing more was said'}", detail)


def too_late(name: str, seconds: float, reason: str) -> DeadlineExceeded:
    """`reason`: why there is no connection; "" if there is one."""
    milliseconds = f"{1000 * max(0.0, seconds):.{0 if seconds >= 0.01 else 3}f} ms"
    if reason:
        return DeadlineExceeded(f"{name} could not be reached within {milliseconds}: {reason}")
    return DeadlineExceeded(f"{name} did not answer within {milliseconds}")


def _is_too_large(detail: str) -> bool:
    """By what gRPC says, in C++ and Go, and in Java."""
    return "message larger than max" in detail or "message exceeds maximum size" in detail
