"""(b) A model in C++ on Ray Serve: each replica starts its own process of your program beside it.

    applications:
      - name: digits
        import_path: cpp_deployment:app
        args: {command: [digits_server, "{address}"]}
        deployments:
          - {name: CppDeployment, num_replicas: 2}

The program is one that deploys with batching::grpc::deploy, unchanged; its address is that of a unix socket
which only its replica uses. What clients send and what they get are not looked at here.

A replica is ready when its program serves. If the program ends, or does not answer for 5 s, it is started
again, and calls wait for it; those under way fail, and a handle that is idempotent sends them again. If it
does not come back, Ray replaces the replica.
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

CHECK = "/grpc.health.v1.Health/Check"
HEALTH = health_pb2.HealthCheckRequest().SerializeToString()
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Program:
    """A process that is started again when it ends, until stop(). It does not outlive this process."""

    def __init__(self, command):
        self._command = command
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.process = None
        self.failed = ""  # how it ended when it last did
        # The kernel ends the program when the thread that started it has ended.
        self._keeper = threading.Thread(target=self._keep_running, daemon=True)
        self._keeper.start()

    def stop(self, seconds):
        """SIGTERM; what it has accepted it finishes. SIGKILL, if that takes longer."""
        with self._lock:
            self._stopping.set()
            if self.process:
                self.process.terminate()
        self._keeper.join(seconds)
        if self._keeper.is_alive():
            self.process.kill()
            self._keeper.join()

    def _keep_running(self):
        pause = 0.1
        while self._start():
            status = self.process.wait()
            if not self._stopping.is_set():
                self.failed = f"{shlex.join(self._command)} ended with {status}."
                log.warning(f"{self.failed} It is started again.")
            self._stopping.wait(pause)
            pause = min(2 * pause, 5)

    def _start(self):
        with self._lock:
            if self._stopping.is_set():
                return False
            command = ["setpriv", "--pdeathsig", "TERM", "--", *self._command]
            self.process = subprocess.Popen(command)
            return True


@serve.deployment
class CppDeployment:
    def __init__(self, command):
        self._directory = tempfile.mkdtemp(prefix="cpp-deployment-")
        self._address = f"unix:{self._directory}/socket"
        self._calls = None
        self._answered = None  # the last process that did
        self._program = Program([word.format(address=self._address) for word in command])
        self._wait_until_it_serves()

    async def Process(self, message: bytes, grpc_context) -> batcher_serve.Reply:
        return await self._pass_on("Process", message, grpc_context)

    async def Describe(self, message: bytes, grpc_context) -> batcher_serve.Reply:
        return await self._pass_on("Describe", message, grpc_context)

    async def check_health(self):
        """Ray calls it now and then, and replaces a replica where it fails three times."""
        process = self._program.process
        try:
            await self._connected()["Check"](HEALTH, wait_for_ready=True, timeout=5)
            self._answered = process
        except grpc.aio.AioRpcError as error:
            if self._answered is process:  # it is stuck; one that is new may still be loading
                process.kill()
            raise RuntimeError(f"The program does not answer: {error.details()}") from None

    def __del__(self):
        """Ray calls it when all calls of this replica have ended."""
        self._program.stop(seconds=30)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _wait_until_it_serves(self):
        with grpc.insecure_channel(self._address) as channel:
            check = channel.unary_unary(CHECK)
            while not self._serves(check):
                if self._program.failed:
                    raise RuntimeError(f"The program does not run: {self._program.failed}")

    @staticmethod
    def _serves(check):
        try:
            check(HEALTH, wait_for_ready=True, timeout=1)
        except grpc.RpcError:
            return False
        return True

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
            paths = {**batcher_serve.METHODS, "Check": CHECK}
            self._calls = {method: channel.unary_unary(path) for method, path in paths.items()}
        return self._calls


def app(args):
    command = args["command"]
    if not shutil.which(command[0]):
        raise FileNotFoundError(f"There is no program {command[0]} on the path {os.environ['PATH']}.")
    return CppDeployment.bind(command)
