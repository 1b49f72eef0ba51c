"""What a Ray Serve cluster needs, to be called through this library's handles.

    grpc_options:
      port: 9000
      grpc_servicer_functions: ["batcher_serve.add_to_server"]

makes Ray Serve's proxies pass calls of batcher.v1.Deployment to the application that they name in their
metadata. What stands behind is a Model, written in Python, or a CppDeployment (cpp_deployment.py).
"""

import asyncio

import grpc
from ray import serve

from batcher_handle import messages, pack, unpack

METHODS = {"Process": messages.PROCESS, "Describe": messages.DESCRIBE}


def add_to_server(servicer, server):
    """As protoc's add_DeploymentServicer_to_server, but messages stay bytes: a proxy need not read them."""
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(getattr(servicer, method)) for method in METHODS
    }
    generic = grpc.method_handlers_generic_handler(messages.SERVICE, handlers)
    server.add_generic_rpc_handlers((generic,))


class Reply:
    """What Ray Serve sends is what this method returns."""

    def __init__(self, message):
        self._message = message

    def SerializeToString(self):
        return self._message


def refusal(grpc_context, code, sentence):
    """To be raised: the call fails with this status of gRPC."""
    grpc_context.set_code(code)
    grpc_context.set_details(sentence)
    return RuntimeError(sentence)


class Model:
    """Base class of a Ray Serve deployment in Python: vectors in, vectors out.

    @serve.deployment
    class Doubler(batcher_serve.Model):
        name = "doubler"

        def process(self, items):
            return [2 * item for item in items]

    A result may be an exception: then that item fails, and the others do not. process() runs on a thread,
    one call at a time; what comes meanwhile, from whatever client, is its next vector.
    """

    name = ""  # what clients call it; "": whatever they say
    schema = ""  # their types, as a client of this library says them; "": not compared

    def process(self, items):
        raise NotImplementedError

    async def Process(self, message: bytes, grpc_context) -> Reply:
        request = messages.ProcessRequest.FromString(message)
        self._check(request, grpc_context)
        response = messages.ProcessResponse(results=await self._answer(request.items))
        return Reply(response.SerializeToString())

    async def Describe(self, _: bytes) -> Reply:
        description = messages.Description(deployment=self.name, schema=self.schema)
        response = messages.DescribeResponse(deployments=[description])
        return Reply(response.SerializeToString())

    def _check(self, request, grpc_context):
        if self.name and request.deployment != self.name:
            sentence = f'"{request.deployment}" is not deployed here; "{self.name}" is.'
            raise refusal(grpc_context, grpc.StatusCode.NOT_FOUND, sentence)
        if self.schema and request.schema and request.schema != self.schema:
            sentence = f'"{self.name}" takes {self.schema}, and was sent {request.schema}.'
            raise refusal(grpc_context, grpc.StatusCode.FAILED_PRECONDITION, sentence)

    # Ray's own batching, of whole calls: those that came while the model was busy are one vector.
    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0)
    async def _answer(self, calls):
        items = [unpack(item) for call in calls for item in call]
        results = iter(await asyncio.to_thread(self._results, items))
        return [[next(results) for _ in call] for call in calls]

    def _results(self, items):
        try:
            values = list(self.process(items))
            if len(values) != len(items):
                raise ValueError(f"process() returned {len(values)} results for {len(items)} items.")
        except Exception as error:
            values = [error] * len(items)
        return [self._result(value) for value in values]

    @staticmethod
    def _result(value):
        if isinstance(value, Exception):
            code = grpc.StatusCode.UNKNOWN.value[0]
            return messages.Result(failure=messages.Failure(code=code, message=str(value)))
        return messages.Result(value=pack(value))
