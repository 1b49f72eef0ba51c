"""Fake: a server that answers like a deployment what a test wants it to, and keeps what it was asked."""

import asyncio

import grpc
import grpc.aio

import batcher_handle
from batcher_handle import messages


def results(*values):
    found = [messages.Result(value=batcher_handle.pack(value)) for value in values]
    return messages.ProcessResponse(results=found).SerializeToString()


def failure(code, sentence, **more):
    """The result of an item."""
    failed = messages.Failure(code=code.value[0], message=sentence, **more)
    return messages.Result(failure=failed)


class Fake(grpc.GenericRpcHandler):
    """Fails the first Process calls, each with the next of its statuses, and answers each of the others with `reply`,
    or with 42 for each item. It answers with the mark of a deployment, or without, and not while it is on hold."""

    def __init__(self, *failures, marked=False, not_accepted=False, reply=None):
        self._failures = list(failures)
        self._mark = ((messages.DEPLOYMENT_MARK, "1"),) if marked else ()
        if not_accepted:  # what it fails
            self._mark += ((messages.NOT_ACCEPTED_MARK, "1"),)
        self.reply = reply
        self._may_answer = asyncio.Event()
        self._may_answer.set()
        self.requests = []  # the bytes of each Process

    @property
    def calls(self):
        return len(self.requests)

    @property
    def last(self):
        return messages.ProcessRequest.FromString(self.requests[-1])

    def fail_next(self, *status):
        self._failures.append(status)

    def hold(self):
        self._may_answer.clear()

    def release(self):
        self._may_answer.set()

    async def start(self, address="127.0.0.1:0"):
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))
        port = self._server.add_insecure_port(address)
        self.address = address if address.startswith("unix:") else f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self):
        await self._server.stop(None)

    def service(self, call):
        answer = self._process if call.method == messages.PROCESS else self._describe
        return grpc.unary_unary_rpc_method_handler(answer)

    async def _describe(self, _, context):
        context.set_trailing_metadata(self._mark)
        return b""

    async def _process(self, request, context):
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        await self._may_answer.wait()
        if self._failures:
            await context.abort(*self._failures.pop(0), self._mark)
        context.set_trailing_metadata(self._mark)
        if self.reply is not None:
            return self.reply
        return results(*[42 for _ in messages.ProcessRequest.FromString(request).items])
