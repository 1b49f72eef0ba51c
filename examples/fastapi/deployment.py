"""A handle to a deployment, for any asyncio program. To use it, copy this file: it needs the Python
packages grpcio, msgpack and protobuf, and nothing else of batcher.

    square_root = deployment.Handle("unix:/run/models.sock", "square_root")
    answer = await square_root.process({"number": 9.0, "worker": 1})

Nothing is deployed by that, and nothing is connected before the first call. An item is whatever msgpack
can pack, of the type that the deployment takes.
"""

import asyncio

import grpc.aio
import msgpack
from google.protobuf import descriptor_pb2, message_factory

# Over all addresses of a name, as dns:///models:9000.
ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'


def _messages():
    """What a handle needs of batcher's deployment.proto, so that there is nothing to generate."""
    field = descriptor_pb2.FieldDescriptorProto
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    file = descriptor_pb2.FileDescriptorProto(
        name="batcher/handle.proto", package="batcher.v1", syntax="proto3"
    )

    def message(name, *fields):
        file.message_type.add(name=name, field=[field(**described) for described in fields])

    message(
        "ProcessRequest",
        dict(name="deployment", number=1, label=one, type=field.TYPE_STRING),
        dict(name="items", number=3, label=many, type=field.TYPE_BYTES),
    )
    message(
        "ProcessResponse",
        dict(name="results", number=1, label=many, type_name="Result", type=field.TYPE_MESSAGE),
    )
    message(
        "Result",  # has one of them
        dict(name="value", number=1, label=one, type=field.TYPE_BYTES),
        dict(name="failure", number=2, label=one, type_name="Failure", type=field.TYPE_MESSAGE),
    )
    message(
        "Failure",
        dict(name="code", number=1, label=one, type=field.TYPE_INT32),
        dict(name="message", number=2, label=one, type=field.TYPE_STRING),
    )
    return message_factory.GetMessages([file])


_MESSAGES = _messages()
ProcessRequest = _MESSAGES["batcher.v1.ProcessRequest"]
ProcessResponse = _MESSAGES["batcher.v1.ProcessResponse"]


class ItemFailed(Exception):
    """The item failed over there; the others of its call and of its batch did not."""

    def __init__(self, failure):
        super().__init__(failure.message)
        self.code = failure.code  # a gRPC status code, as RESOURCE_EXHAUSTED if the queue is full


class Handle:
    def __init__(self, address, name, timeout=5.0, calls_in_flight=2, metadata=()):
        self._address = address
        self._name = name
        self._timeout = timeout
        self._metadata = metadata  # sent with every call
        self._idle_calls = calls_in_flight
        self._waiting = []  # (item, future)
        self._running = set()  # keeps the tasks alive
        self._call = None

    async def process(self, item):
        """One item in, its result out. Raises ItemFailed, or grpc.aio.AioRpcError if the call failed."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((msgpack.packb(item), future))
        if self._idle_calls:
            self._idle_calls -= 1
            task = asyncio.create_task(self._send_what_waits())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def _send_what_waits(self):
        """Items that come while all calls are under way go together with the next."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._send(batch)
        finally:
            self._idle_calls += 1

    async def _send(self, batch):
        futures = [future for _, future in batch]
        try:
            request = ProcessRequest(deployment=self._name, items=[item for item, _ in batch])
            response = await self._connected()(
                request, timeout=self._timeout, metadata=self._metadata, wait_for_ready=True
            )
            if len(response.results) != len(batch):
                raise ValueError(f"{len(response.results)} results for {len(batch)} items")
        except Exception as error:
            for future in futures:
                if not future.done():  # its caller may have been cancelled
                    future.set_exception(error)
            return
        for future, result in zip(futures, response.results):
            if future.done():
                continue
            if result.HasField("failure"):
                future.set_exception(ItemFailed(result.failure))
                continue
            try:
                future.set_result(msgpack.unpackb(result.value))
            except ValueError as error:  # no MessagePack; the other results may be
                future.set_exception(error)

    def _connected(self):
        if self._call is None:
            options = [("grpc.service_config", ROUND_ROBIN)]
            self._channel = grpc.aio.insecure_channel(self._address, options)
            self._call = self._channel.unary_unary(
                "/batcher.v1.Deployment/Process",
                request_serializer=ProcessRequest.SerializeToString,
                response_deserializer=ProcessResponse.FromString,
            )
        return self._call
