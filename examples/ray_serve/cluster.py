"""A Ray cluster on this machine, to try things: nodes are started, applications deployed, all is stopped.

    with Cluster(path=[DIRECTORY_OF_PROGRAMS]) as cluster:
        cluster.deploy(config)

It is the one of your organisation that does this otherwise.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import grpc
from ray.serve.generated import serve_pb2, serve_pb2_grpc

HERE = pathlib.Path(__file__).resolve().parent
HANDLE = HERE.parent / "python"  # on the path, as if it were installed
sys.path.append(str(HERE.parent / "fastapi"))
from processes import free_port, wait_for  # noqa: E402

HOST = "127.0.0.1"


def reasons(application):
    """All that Ray says of an application that does not run."""
    deployments = application["deployments"].values()
    return "\n".join([application["message"], *(found["message"] for found in deployments)])


class Node:
    """A Ray node: a tree of processes with one at its root, that ends all of them when it ends."""

    def __init__(self, arguments, environment, log):
        command = [os.path.join(os.path.dirname(sys.executable), "ray"), "start", "--block"]
        command += [f"--node-ip-address={HOST}", "--object-store-memory=100000000", *arguments]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Cluster:
    def __init__(self, path=(), python_path=(), cpus=8, **environment):
        self._grpc_port = None
        self._cpus = cpus
        self._nodes = []
        self._directory = tempfile.mkdtemp(prefix="ray-")  # short: it holds unix sockets
        self._gcs = f"{HOST}:{free_port()}"
        self._dashboard_port = free_port()
        self._http_port = free_port()
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(map(str, [*python_path, HERE, HANDLE])),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            **environment,
        }
        self._log = open(os.path.join(self._directory, "nodes.log"), "w")

    def __enter__(self):
        try:
            self._start_head()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in reversed(self._nodes):
            node.stop()
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def add_node(self, *arguments):
        """One more machine, or what Ray takes for one; it is there when its node is alive."""
        before = self._alive()
        node = self._start(f"--address={self._gcs}", *arguments)
        wait_for("A Ray node", lambda: self._alive() > before, node.process)
        return node

    def deploy(self, config, seconds=120):
        """As `serve deploy`; returns when every application runs, and the proxy knows it."""
        self._grpc_port = config["grpc_options"]["port"]
        config = {**config, "http_options": {"host": HOST, "port": self._http_port}}
        names = {application["name"] for application in config["applications"]}
        begin = time.time()
        self._ask("/api/serve/applications/", "PUT", config)
        wait_for(
            "What was deployed", lambda: self._run(names, begin), self._nodes[0].process, seconds
        )

    @property
    def address(self):
        return f"{HOST}:{self._grpc_port}"

    @property
    def http_address(self):
        return f"http://{HOST}:{self._http_port}"

    @property
    def ray_address(self):
        """For ray.init(), in what runs on the cluster's machines."""
        return self._gcs

    def applications(self):
        return self._ask("/api/serve/applications/")["applications"]

    def replicas(self, application):
        """Those that run: a list of dicts, as Ray's REST API describes them."""
        deployments = self.applications()[application]["deployments"].values()
        replicas = [replica for deployment in deployments for replica in deployment["replicas"]]
        return [replica for replica in replicas if replica["state"] == "RUNNING"]

    def _start_head(self):
        port = self._gcs.rsplit(":", 1)[1]
        head = self._start(
            "--head",
            f"--port={port}",
            f"--temp-dir={self._directory}",
            "--include-dashboard=true",
            f"--dashboard-host={HOST}",
            f"--dashboard-port={self._dashboard_port}",
        )
        wait_for("The Ray cluster", lambda: self._alive() > 0, head.process)

    def _start(self, *arguments):
        node = Node([f"--num-cpus={self._cpus}", *arguments], self._environment, self._log)
        self._nodes.append(node)
        return node

    def _alive(self):
        try:
            nodes = self._ask("/nodes?view=summary")["data"]["summary"]
        except (OSError, KeyError):
            return 0
        return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)

    def _run(self, names, begin):
        """Those of this deployment, not those that they replace."""
        applications = {
            name: application
            for name, application in self.applications().items()
            if application["last_deployed_time_s"] >= begin
        }
        for name in names & applications.keys():
            if applications[name]["status"] == "DEPLOY_FAILED":
                raise RuntimeError(f"{name} is not deployed: {reasons(applications[name])}")
        running = {name for name in applications if applications[name]["status"] == "RUNNING"}
        return names <= running and names <= self._proxied()

    def _proxied(self):
        with grpc.insecure_channel(self.address) as channel:
            proxy = serve_pb2_grpc.RayServeAPIServiceStub(channel)
            try:
                answer = proxy.ListApplications(serve_pb2.ListApplicationsRequest(), timeout=5)
            except grpc.RpcError:
                return set()
        return set(answer.application_names)

    def _ask(self, path, method="GET", body=None):
        data = None if body is None else json.dumps(body).encode()
        url = f"http://{HOST}:{self._dashboard_port}{path}"
        request = urllib.request.Request(
            url, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code}, {error.read().decode()}") from None
        return json.loads(text) if text else None
