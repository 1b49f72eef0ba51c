"""Options: how a handle calls its deployment.

    Handle("dns:///scorer:9000", "scorer", Options(timeout=2.0, idempotent=True))

Every field has a default. A value outside its range is a ValueError that names the field and the value.
"""

import dataclasses
import re
import ssl
import sys
from typing import Optional, Sequence, Tuple, Union

Metadata = Sequence[Tuple[str, Union[str, bytes]]]

_SECONDS_MAX = 365 * 24 * 3600.0


@dataclasses.dataclass(frozen=True)
class Tls:
    """The names of PEM files, read once, when the handle is made."""

    root_certificates: str = ""  # whom to trust; "": the system's authorities
    certificate: str = ""  # who one is, if the deployment asks for it
    private_key: str = ""
    server_name: str = ""  # in the deployment's certificate, if it is not that of the address

    def read(self) -> Tuple[Optional[bytes], Optional[bytes], Optional[bytes]]:
        """The roots, the key and the certificate, as gRPC takes them; gRPC itself would not say what is wrong."""
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("tls needs both of certificate and private_key, or neither")
        roots = _pem("root_certificates", self.root_certificates)
        key = _pem("private_key", self.private_key)
        certificate = _pem("certificate", self.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if roots:
                context.load_verify_locations(cadata=roots.decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(
                f"{self.root_certificates} holds no certificate in PEM: {error}"
            ) from None
        try:
            if certificate:
                context.load_cert_chain(self.certificate, self.private_key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(
                f"{self.certificate} and {self.private_key} are no certificate and its key: {error}"
            ) from None
        return roots, key, certificate


@dataclasses.dataclass(frozen=True)
class Keepalive:
    """How soon a silent deployment is found out: after `interval` without a sign of life it is asked, and given
    up if it has not answered within `timeout`. An interval of 0: never. In seconds. Only what has answered as a
    deployment of batcher is asked: other servers hang up on who asks often.

    A busy server answers late, a frozen one never. A handle with `idempotent` waits at most a sixth and a third of
    its own `timeout`, so that a call to a frozen replica ends in time elsewhere."""

    interval: float = 2.0
    timeout: float = 10.0


@dataclasses.dataclass(frozen=True)
class Options:
    timeout: float = 30.0
    """Longest that a caller waits, in seconds, from the start of the call: in the handle's queue, for a connection,
    for the answer. Then it gets DeadlineExceeded, and its item leaves the queue that it waits in. process(timeout=)
    is for one call, and only that is told to the deployment, where the item leaves the queue by itself."""

    idempotent: bool = False
    """True: an item may be processed twice without harm. Then a call is sent again, at most `max_attempts` times in
    all, when its connection broke, or a proxy failed it. False: only if none of its items was accepted."""

    max_attempts: int = 5

    calls_in_flight: int = 32
    """Most remote calls at the same time, to all replicas together. Two go with whatever there is. Another one goes
    when 64 items wait, or when one has waited for 10 ms; and none takes more than its share of all items, unless
    that is less than 64. So all replicas are used, and one that hangs holds up only the items that it has."""

    max_items_per_call: int = 4096

    max_message_size: int = 64 << 20
    """Most bytes in one message; what does not fit into one call is sent in several. At most what the deployment
    accepts."""

    max_queue_size: Optional[int] = None
    """Most items that wait for a call; one more is refused with Overloaded, at once, or takes the place of one of a
    lower priority. None: no limit."""

    schema: str = ""
    """The types, as the deployment says them: '{"a":int} -> float'. Others are refused with SchemaMismatch. "": not
    compared; an item of another type is then Malformed."""

    metadata: Metadata = ()
    """Sent with every call: keys of a-z, 0-9, '-', '_' and '.', values of printable ASCII (bytes, if the key ends in
    -bin)."""

    token: str = dataclasses.field(default="", repr=False)
    """As `authorization: Bearer <token>`."""

    tls: Optional[Tls] = None
    """None: no encryption."""

    keepalive: Keepalive = Keepalive()

    def __post_init__(self) -> None:
        for name in ("max_attempts", "calls_in_flight", "max_items_per_call", "max_message_size"):
            _require_at_least_one(name, getattr(self, name))
        if self.max_queue_size is not None:
            _require_at_least_one("max_queue_size", self.max_queue_size)
        if not 0 < self.timeout <= _SECONDS_MAX:
            raise ValueError(
                f"timeout must be more than 0 and at most a year, not {self.timeout} s"
            )
        if self.keepalive.interval < 0 or self.keepalive.timeout <= 0:
            raise ValueError(
                f"keepalive must be of 0 s or more, and its timeout more, not {self.keepalive}"
            )
        _check_ascii("token", self.token)
        for key, value in self.metadata:
            _check_metadata(key, value)

    def effective_keepalive(self) -> Keepalive:
        if not self.idempotent:
            return self.keepalive
        return Keepalive(
            min(self.keepalive.interval, self.timeout / 6),
            min(self.keepalive.timeout, self.timeout / 3),
        )


def check_address(address: str) -> None:
    """What gRPC would fail on only with the first call, or by naming something else."""
    if not address:
        raise ValueError(
            'the address is empty: write "unix:/run/models.sock" or "dns:///models:9000"'
        )
    path = address[5:] if address.startswith("unix:") else ""
    most = 103 if sys.platform == "darwin" else 107
    if len(path.encode()) > most:
        raise ValueError(
            f"the path of a unix socket has at most {most} bytes, and {path} has {len(path.encode())}"
        )


def _require_at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value}")


def _check_metadata(key: str, value: Union[str, bytes]) -> None:
    if not re.fullmatch("[-a-z0-9_.]+", key):
        raise ValueError(f"the key \"{key}\" in metadata must be of a-z, 0-9, '-', '_' and '.'")
    if key.startswith("grpc-"):
        raise ValueError(f'the key "{key}" in metadata is one of gRPC\'s own')
    if key.endswith("-bin") != isinstance(value, bytes):
        raise ValueError(
            f'the value of "{key}" in metadata must be bytes if the key ends in -bin, else str'
        )
    if isinstance(value, str):
        _check_ascii(f'the value of "{key}" in metadata', value)


def _check_ascii(name: str, value: str) -> None:
    for at, character in enumerate(value):
        if not " " <= character <= "~":
            raise ValueError(
                f"{name} must be printable ASCII, as metadata is, and has {character!r} at {at}"
            )


def _pem(name: str, file: str) -> Optional[bytes]:
    if not file:
        return None
    try:
        with open(file, "rb") as pem:
            return pem.read()
    except OSError as error:
        raise ValueError(f"{name} in tls cannot be read: {error}") from None
