"""A handle to a deployment, for any asyncio program: plain grpc.aio and the library's deployment.proto.

    square_root = deployment.Handle("unix:/run/models.sock", "square_root")
    answer = await square_root.process({"number": 9.0, "worker": 1})

Nothing is deployed by that, and nothing is connected before the first call. An item is whatever msgpack
can pack, of the type that the deployment takes.
"""

import asyncio
import pathlib
import subprocess
import sys
import tempfile

import grpc.aio
import msgpack

PROTO_DIRECTORY = pathlib.Path(__file__).resolve().parents[2] / "include"

# Over all addresses of a name, as dns:///models:9000.
ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'


def _compile_proto():
    """What protoc makes of deployment.proto. A project of yours does this when it is built."""
    with tempfile.TemporaryDirectory() as directory:
        proto = "batcher/v1/deployment.proto"
        subprocess.run(
            ["protoc", f"-I{PROTO_DIRECTORY}", f"--python_out={directory}", proto], check=True
        )
        sys.path.insert(0, directory)
        try:
            from batcher.v1 import deployment_pb2
        finally:
            sys.path.remove(directory)
    return deployment_pb2


pb = _compile_proto()


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
            request = pb.ProcessRequest(deployment=self._name, items=[item for item, _ in batch])
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
            else:
                future.set_result(msgpack.unpackb(result.value))

    def _connected(self):
        if self._call is None:
            options = [("grpc.service_config", ROUND_ROBIN)]
            self._channel = grpc.aio.insecure_channel(self._address, options)
            self._call = self._channel.unary_unary(
                "/batcher.v1.Deployment/Process",
                request_serializer=pb.ProcessRequest.SerializeToString,
                response_deserializer=pb.ProcessResponse.FromString,
            )
        return self._call
