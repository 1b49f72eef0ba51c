"""Remote: the deployment that a handle calls, and the connection to it, as all of the handle's calls share it."""

import asyncio
from typing import Any, List, Optional, Tuple

import grpc
import grpc.aio

from . import errors, messages
from .options import Options, check_address

# Over all addresses of a name, as dns:///models:9000.
_ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'

# What is as wrong the next time, in the words of OpenSSL, BoringSSL and gRPC. What nobody knows here is a mistake,
# too, but one that only the timeout ends.
_TLS_MISTAKES = (
    "certificate verify failed",
    "wrong version number",
    "is not in peer certificate",
    "hostname verification check failed",
)


def has_mark(metadata: Any, mark: str) -> bool:
    return any(key == mark for key, _ in metadata or ())


class Connection:
    """A channel, on the event loop that runs. A call keeps the one that it uses until it has ended."""

    def __init__(self, address: str, credentials: Any, options: List[Tuple[str, Any]]) -> None:
        if credentials is None:
            self.channel = grpc.aio.insecure_channel(address, options)
        else:
            self.channel = grpc.aio.secure_channel(address, credentials, options)
        self.process = self.channel.unary_unary(messages.PROCESS)
        self.describe = self.channel.unary_unary(messages.DESCRIBE)

    def ready(self) -> bool:
        state = self.channel.get_state(try_to_connect=True)
        return bool(state is grpc.ChannelConnectivity.READY)


class Remote:
    """gRPC's servers hang up on who pings them often. So none is pinged that has not said, by the mark in what it
    answers, that it is a deployment of batcher; from then on calls go through another channel."""

    def __init__(self, address: str, deployment: str, options: Options) -> None:
        check_address(address)
        self.deployment = deployment
        self.options = options
        self.name = f'the deployment "{deployment}" at {address}'
        self.metadata = tuple(options.metadata)
        if options.token:
            self.metadata += (("authorization", f"Bearer {options.token}"),)
        self._address = address
        self._credentials = options.tls and grpc.ssl_channel_credentials(*options.tls.read())
        self.pings = False  # what answers there is known to be a deployment
        self._connection: Optional[Connection] = None
        self._reaching: asyncio.Lock
        self._reason = ""  # why there is no connection

    def begin(self) -> None:
        """On the event loop that runs, and no other until it begins again."""
        self._connection = None
        self._reaching = asyncio.Lock()

    def connection(self) -> Connection:
        """What the next call goes through."""
        if self._connection is None:
            self._connection = Connection(self._address, self._credentials, self._channel_options())
        return self._connection

    def forget(self) -> Optional[Connection]:
        """The connection, if there is one; the next call makes another."""
        connection, self._connection = self._connection, None
        return connection

    def seen(self, trailing_metadata: Any) -> None:
        """Of whatever was answered."""
        if not self.pings and has_mark(trailing_metadata, messages.DEPLOYMENT_MARK):
            self.pings = True
            if self.options.keepalive.interval > 0:
                self.forget()

    def why_not(self) -> str:
        """Why there is no connection; "" if there is one."""
        if self.connection().ready():
            return ""
        return self._reason or "there is no connection"

    async def reach(self, deadline: float) -> Connection:
        """Waits for a connection; until the deadline, or an answer that will not change."""
        if not self.connection().ready():
            async with self._reaching:  # one asks for all
                await self._ask_until_ready(deadline)
        return self.connection()

    async def _ask_until_ready(self, deadline: float) -> None:
        """A call that waits for a connection does not learn why there is none, and one that does not wait does. So it
        is Describe that makes the connection: it may be asked often."""
        loop = asyncio.get_running_loop()
        while not (connection := self.connection()).ready() and loop.time() < deadline:
            # Not longer than a second: who answers now may have frozen, and others may not have.
            call = connection.describe(
                b"", timeout=min(1.0, deadline - loop.time()), metadata=self.metadata
            )
            try:
                await call
                self.seen(await call.trailing_metadata())
            except grpc.aio.AioRpcError as error:
                self.seen(error.trailing_metadata())
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    self._reason = error.details() or ""
                    self._raise_if_hopeless()
                    await asyncio.sleep(min(0.05, max(0.0, deadline - loop.time())))
                elif error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    return  # whatever it says, somebody has answered

    def _raise_if_hopeless(self) -> None:
        words = self._reason.lower().replace("_", " ")
        if any(mistake in words for mistake in _TLS_MISTAKES):
            raise errors.Unavailable(f"{self.name} cannot be reached: {self._reason}", self._reason)

    def _channel_options(self) -> List[Tuple[str, Any]]:
        options = self.options
        size = min(options.max_message_size, 2**31 - 1)
        found: List[Tuple[str, Any]] = [
            ("grpc.service_config", _ROUND_ROBIN),
            ("grpc.max_receive_message_length", size),
            ("grpc.max_send_message_length", size),
            ("grpc.initial_reconnect_backoff_ms", 100),
            # How long an attempt may take at least: a busy server needs its time.
            ("grpc.min_reconnect_backoff_ms", 2000),
            ("grpc.max_reconnect_backoff_ms", 1000),
            # So that new replicas are found within seconds of a connection's end.
            ("grpc.dns_min_time_between_resolutions_ms", 1000),
            # Handles to one address have connections of their own, with their own settings.
            ("grpc.use_local_subchannel_pool", 1),
            # gRPC itself sends a call again that never reached the deployment; for that it keeps its bytes.
            ("grpc.per_rpc_retry_buffer_size", size),
            # Nothing that is compressed, which could become any size here, is accepted.
            ("grpc.compression_enabled_algorithms_bitset", 1),
        ]
        if self.pings and options.keepalive.interval > 0:
            keepalive = options.effective_keepalive()
            found += [
                ("grpc.keepalive_time_ms", int(1000 * keepalive.interval)),
                ("grpc.keepalive_timeout_ms", int(1000 * keepalive.timeout)),
                # In newer gRPC it is this one that counts, and it is a minute by default.
                ("grpc.http2.ping_timeout_ms", int(1000 * keepalive.timeout)),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.keepalive_permit_without_calls", 1),
            ]
        if options.tls and options.tls.server_name:
            found.append(("grpc.ssl_target_name_override", options.tls.server_name))
        return found
