"""(b) A model in C++ on Ray Serve: each replica starts its own process of your program beside it.

    applications:
      - name: digits
        import_path: cpp_deployment:app
        args: {command: [digits_server, "{address}"]}
        deployments:
          - {name: CppDeployment, num_replicas: 2}

The program is one that deploys with batching::grpc::deploy, unchanged; its address is that of a unix socket
which only its replica uses. What clients send and what they get are not looked at here.

Ray starts replicas, and replaces them if they are not healthy. If only the program has ended, it is started
again, and calls wait for it; those under way fail, and a handle that is idempotent sends them again.
"""

import logging
import os
import shlex
import shutil
import subprocess
import tempfile
import threading

import grpc.aio
from grpc_health.v1 import health_pb2
from ray import serve

import batcher_serve

log = logging.getLogger("ray.serve")

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Program:
    """A process that is started again when it ends, until stop(). It does not outlive this process."""

    def __init__(self, command):
        self._command = command
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process = None
        # The kernel ends the program when the thread that started it has ended.
        self._keeper = threading.Thread(target=self._keep_running, daemon=True)
        self._keeper.start()

    def stop(self, seconds):
        """SIGTERM; what it has accepted it finishes. SIGKILL, if that takes longer."""
        with self._lock:
            self._stopping.set()
            if self._process:
                self._process.terminate()
        self._keeper.join(seconds)
        if self._keeper.is_alive():
            self._process.kill()
            self._keeper.join()

    def _keep_running(self):
        pause = 0.1
        while self._start():
            status = self._process.wait()
            if not self._stopping.is_set():
                log.warning(f"{shlex.join(self._command)} ended with {status}, and is started again.")
            self._stopping.wait(pause)
            pause = min(2 * pause, 5)

    def _start(self):
        with self._lock:
            if self._stopping.is_set():
                return False
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", *self._command]
            )
            return True


@serve.deployment
class CppDeployment:
    def __init__(self, command):
        self._directory = tempfile.mkdtemp(prefix="cpp-deployment-")
        self._address = f"unix:{self._directory}/socket"
        self._program = Program([word.format(address=self._address) for word in command])
        self._calls = None

    async def Process(self, message: bytes, grpc_context) -> batcher_serve.Reply:
        return await self._pass_on("Process", message, grpc_context)

    async def Describe(self, message: bytes, grpc_context) -> batcher_serve.Reply:
        return await self._pass_on("Describe", message, grpc_context)

    async def check_health(self):
        """Ray calls it now and then, and replaces a replica where it fails three times."""
        message = health_pb2.HealthCheckRequest().SerializeToString()
        reply = await self._connected()["Check"](message, wait_for_ready=True, timeout=5)
        status = health_pb2.HealthCheckResponse.FromString(reply).status
        if status != health_pb2.HealthCheckResponse.SERVING:
            raise RuntimeError(f"The program is not serving, its health is {status}.")

    def __del__(self):
        """Ray calls it when all calls of this replica have ended."""
        self._program.stop(seconds=30)
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _pass_on(self, method, message, grpc_context):
        try:
            # The caller's deadline is known to Ray's proxy, which cancels this.
            reply = await self._connected()[method](message, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise batcher_serve.refusal(grpc_context, error.code(), error.details()) from None
        return batcher_serve.Reply(reply)

    def _connected(self):
        if self._calls is None:  # on the event loop that calls come on
            channel = grpc.aio.insecure_channel(self._address, UNLIMITED)
            paths = {method: f"/{batcher_serve.SERVICE}/{method}" for method in batcher_serve.METHODS}
            paths["Check"] = "/grpc.health.v1.Health/Check"
            self._calls = {method: channel.unary_unary(path) for method, path in paths.items()}
        return self._calls


def app(args):
    command = args["command"]
    if not shutil.which(command[0]):
        raise FileNotFoundError(f"There is no program {command[0]} on the path {os.environ['PATH']}.")
    return CppDeployment.bind(command)
