"""Tracing: who calls, as traces know it, if OpenTelemetry's API is installed: W3C Trace Context. Else nobody is known."""

from typing import Any, NamedTuple, Optional, Sequence, Tuple

try:
    from opentelemetry import trace
except ImportError:
    trace = None

BYTES_OF_A_CONTEXT = 27  # of an item, in a message


class Context(NamedTuple):
    trace_id: int
    span_id: int
    flags: int
    state: str = ""

    @property
    def sent(self) -> bytes:
        """As an item takes it along."""
        ids = self.trace_id.to_bytes(16, "big") + self.span_id.to_bytes(8, "big")
        return ids + self.flags.to_bytes(1, "big")

    @property
    def metadata(self) -> Tuple[Tuple[str, str], ...]:
        """As a call takes it along."""
        parent = f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"
        state = (("tracestate", self.state),) if self.state else ()
        return (("traceparent", parent), *state)


def current() -> Optional[Context]:
    """That of the span which is current where a caller calls."""
    if trace is None:
        return None
    span: Any = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return Context(span.trace_id, span.span_id, int(span.trace_flags), span.trace_state.to_header())


def shared(contexts: Sequence[Optional[Context]]) -> Optional[Context]:
    """The one that all of them are, if they are."""
    return contexts[0] if all(context == contexts[0] for context in contexts) else None
