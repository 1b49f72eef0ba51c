"""ray_test.py SERVER CLIENT: a cluster of two Ray nodes, clients outside of it, and what goes wrong in clusters.

Run it isolated. SERVER is remote_server, the model; CLIENT is remote_client.
"""

import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import yaml
from ray.serve.schema import ServeDeploySchema

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES / "ray_serve"))

from cluster import Cluster  # noqa: E402
from processes import ask, free_port, running  # noqa: E402

REQUEST_TIMEOUT_S = 10  # of the proxy: longer than a program may be stuck

SERVER, CLIENT = (pathlib.Path(program).resolve() for program in sys.argv[1:3])


def eventually(condition, seconds=60):
    """What the condition returns once that is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {condition.__code__.co_names}"
        time.sleep(0.05)
    return value


def children(pid):
    """The process and all that it has started, by /proc."""
    parents = collections.defaultdict(list)
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, rest = stat.read_text().split(" (", 1)
            parents[int(rest.rsplit(") ", 1)[1].split()[1])].append(int(number))
    found = [pid]
    for process in found:
        found += parents[process]
    return found


def pids(name):
    """Of all processes of a program."""
    found = []
    for command in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if command.read_text().split("\0")[0].endswith(name):
                found.append(int(command.parent.name))
    return found


def keys(value):
    """Of the dicts in it, at whatever depth."""
    if isinstance(value, dict):
        return {key: keys(inner) for key, inner in value.items()}
    return [keys(inner) for inner in value] if isinstance(value, list) else None


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Client:
    """remote_client, calling without end. `now`: what has become of its calls so far."""

    def __init__(self, address, *options):
        command = [CLIENT, address, *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def now(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def answered(self):
        return sum(self.now["answered"].values())

    def goes_on(self, more=300):
        """Until that many calls more have got their result."""
        target = self.answered() + more
        eventually(lambda: self.answered() >= target)

    def servers(self):
        return set(self.now["answered"])

    def stop(self):
        """Every call has ended then; nothing hangs."""
        output, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, self._process.returncode
        return json.loads(output.split("\n")[-2])

    def kill(self):
        self._process.kill()
        self._process.communicate()


class OnRay(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # As if there were a proxy on each node: one alone prefers the replicas of its own.
        spread = {"RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0"}
        cls.cluster = stack.enter_context(Cluster(path=[SERVER.parent], cpus=4, **spread))
        cls.second_node = cls.cluster.add_node()

    def setUp(self):
        self.ran = self.directory / f"{self._testMethodName}.log"
        print(f"{time.strftime('%H:%M:%S')} {self._testMethodName}", flush=True)

    # The model: remote_server, which says who it is by its process id, and logs each item that it runs.
    def application(self, name="work", version="1", app=None, **deployment):
        server = 'exec remote_server label=$$ "listen=$1" "log=$2"'
        # What is not looked at is the version: it makes the application another one.
        command = ["sh", "-c", server, f"version {version}", "{address}", str(self.ran)]
        return {
            "name": name,
            "route_prefix": f"/{name}",
            "import_path": "cpp_deployment:app",
            "args": {"command": command},
            **(app or {}),
            "deployments": [
                {
                    "name": "CppDeployment",
                    "max_ongoing_requests": 1000,
                    "health_check_period_s": 0.5,
                    "graceful_shutdown_wait_loop_s": 0.5,
                    "ray_actor_options": {"num_cpus": 0.5},
                    **deployment,
                }
            ],
        }

    def broken(self):
        command = ["sh", "-c", "exit 7", "no {address}"]
        return {**self.application(num_replicas=1), "args": {"command": command}}

    def deploy(self, *applications):
        self.cluster.deploy(
            {
                "proxy_location": "HeadOnly",
                "grpc_options": {
                    "port": 9000,
                    "grpc_servicer_functions": ["batcher_serve.add_to_server"],
                    "request_timeout_s": REQUEST_TIMEOUT_S,
                },
                "applications": list(applications),
            }
        )

    def client(self, *options, application="work"):
        client = Client(self.cluster.address, f"application={application}", *options)
        self.addCleanup(client.kill)
        return client

    def pids_of_replicas(self, application="work"):
        return [replica["pid"] for replica in self.cluster.replicas(application)]

    def programs(self):
        """The servers beside the replicas that run, by their process ids."""
        replicas = self.pids_of_replicas()
        servers = set(pids("remote_server"))
        beside = [p for replica in replicas for p in children(replica) if p in servers]
        self.assertEqual(len(beside), len(replicas))
        return beside

    def wait_until_all_answer(self, client):
        """Those, as the proxy may still know only the ones that they have replaced."""
        programs = set(map(str, self.programs()))
        eventually(lambda: programs <= client.servers())

    def runs(self):
        """How often each item was run, by all replicas."""
        return collections.Counter(map(int, self.ran.read_text().split()))

    def assert_all_answered(self, report):
        self.assertEqual(report["errors"], {})
        self.assertEqual(report["wrong"], 0)
        self.assertEqual(sum(report["answered"].values()), report["next"] - report["first"])

    def assert_each_ended_once(self, report):
        """In its own result or in an error; and no item was run twice."""
        self.assertEqual(report["wrong"], 0)
        ended = sum(report["answered"].values()) + len(report["failed"])
        self.assertEqual(ended, report["next"] - report["first"])
        twice = [item for item, times in self.runs().items() if times > 1]
        self.assertEqual(twice, [])

    def test_batches_mix_items_of_a_cpp_client_and_of_a_fastapi_application(self):
        self.deploy(self.application(num_replicas=1))
        client = self.client()
        url = f"http://127.0.0.1:{(port := free_port())}"
        command = ["/usr/bin/python3", "-B", "-m", "uvicorn", "web:app", "--port", str(port)]
        path = os.pathsep.join([str(HERE), str(EXAMPLES / "python")])
        environment = {**os.environ, "MODELS": self.cluster.address, "PYTHONPATH": path}
        with running([*command, "--log-level", "warning"], env=environment):
            eventually(lambda: self.answers(url))
            with concurrent.futures.ThreadPoolExecutor(8) as callers:
                answers = list(callers.map(lambda i: ask(f"{url}/work/{i}"), range(400)))
        report = client.stop()
        self.assert_all_answered(report)
        self.assertEqual({status for status, _ in answers}, {200})
        mixed = [a for _, a in answers if a["batch"] in report["batches"][a["server"]]]
        self.assertTrue(mixed, "no batch held items of both")

    def answers(self, url):
        try:
            return ask(f"{url}/work/0")[0] == 200
        except OSError:
            return False

    def test_a_killed_replica_costs_no_call_of_an_idempotent_handle(self):
        self.deploy(self.application(num_replicas=2))
        client = self.client("idempotent=1", "sleep_ms=30")
        self.wait_until_all_answer(client)
        before = client.servers()
        kill(self.pids_of_replicas()[0])
        client.goes_on()
        eventually(lambda: client.servers() - before)  # Ray has started another one
        self.assert_all_answered(client.stop())

    def test_a_killed_replica_costs_others_an_error_that_says_so_and_runs_nothing_twice(self):
        self.deploy(self.application(num_replicas=2))
        # Two calls of each are under way; some of them in the one that dies.
        clients = [self.client("sleep_ms=100") for _ in range(6)]
        for client in clients:
            self.wait_until_all_answer(client)
        kill(self.pids_of_replicas()[0])
        for client in clients:
            client.goes_on()
        reports = [client.stop() for client in clients]
        for report in reports:
            self.assert_each_ended_once(report)
        errors = [error for report in reports for error in report["errors"]]
        self.assertTrue(errors)
        for error in errors:
            self.assertIn(f'the deployment "work" at {self.cluster.address}', error)
            self.assertRegex(error, "[Aa]ctor")

    def test_a_program_that_dies_is_started_again_beside_its_replica(self):
        self.deploy(self.application(num_replicas=1))
        client = self.client("idempotent=1")
        self.wait_until_all_answer(client)
        before = client.servers()
        replicas = self.pids_of_replicas()
        (server,) = self.programs()
        kill(server)
        eventually(lambda: client.servers() - before)
        self.assert_all_answered(client.stop())
        self.assertEqual(self.pids_of_replicas(), replicas)

    def test_a_frozen_program_is_replaced(self):
        self.deploy(self.application(num_replicas=1))
        client = self.client("idempotent=1")
        self.wait_until_all_answer(client)
        before = client.servers()
        (server,) = self.programs()
        os.kill(server, signal.SIGSTOP)
        eventually(lambda: client.servers() - before, seconds=120)
        self.assert_all_answered(client.stop())
        self.assertNotIn(server, pids("remote_server"))

    def test_a_killed_node_costs_no_call_of_an_idempotent_handle(self):
        self.deploy(self.application(num_replicas=2, max_replicas_per_node=1))
        client = self.client("idempotent=1", "sleep_ms=30")
        self.wait_until_all_answer(client)
        before = client.servers()
        for process in children(self.second_node.process.pid):
            kill(process)
        client.goes_on(1000)
        type(self).second_node = self.cluster.add_node()
        eventually(lambda: client.servers() - before)
        self.assert_all_answered(client.stop())

    def test_ray_adds_a_replica_under_load(self):
        scaling = {
            "min_replicas": 1,
            "max_replicas": 2,
            "target_ongoing_requests": 1,
            "upscale_delay_s": 0.5,
            "metrics_interval_s": 0.5,
            "look_back_period_s": 1,
        }
        self.deploy(self.application(autoscaling_config=scaling))
        self.assertEqual(len(self.pids_of_replicas()), 1)
        client, other = self.client(), self.client()
        eventually(lambda: len(self.pids_of_replicas()) == 2, seconds=120)
        self.wait_until_all_answer(client)
        self.assert_all_answered(client.stop())
        self.assert_all_answered(other.stop())

    def test_a_redeploy_under_load_costs_no_call(self):
        self.deploy(self.application(num_replicas=2))
        client = self.client()
        self.wait_until_all_answer(client)
        old = client.servers()
        self.deploy(self.application(num_replicas=2, version="2"))
        eventually(lambda: len(client.servers() - old) == 2)
        client.goes_on()
        report = client.stop()
        self.assert_all_answered(report)
        self.assert_each_ended_once(report)
        eventually(lambda: not old & set(map(str, pids("remote_server"))))

    def test_a_program_that_cannot_run_is_said_by_ray(self):
        with self.assertRaisesRegex(RuntimeError, "work is not deployed:(.|\n)*sh -c 'exit 7'.* ended with 7"):
            self.deploy(self.broken())

    def errors(self, *options, application="work"):
        """What calls fail with."""
        client = self.client("callers=8", *options, application=application)
        eventually(lambda: client.now["errors"])
        return "\n".join(client.stop()["errors"])

    def test_the_clusters_words_arrive_no_such_application(self):
        # With only one, Ray gives it whatever is asked of any.
        other = self.application(name="other", num_replicas=1)
        self.deploy(self.application(num_replicas=1), other)
        errors = self.errors(application="nobody")
        self.assertIn("Application 'nobody' not found.", errors)
        self.assertIn("there is no such deployment", errors)

    def test_the_clusters_words_arrive_no_such_deployment_in_the_program(self):
        self.deploy(self.application(num_replicas=1))
        errors = self.errors("deployment=nobody")
        self.assertIn('no deployment "nobody" is served here, but "work"', errors)
        self.assertIn("there is no such deployment", errors)

    def test_the_clusters_words_arrive_overloaded(self):
        few = {"max_ongoing_requests": 1, "max_queued_requests": 1}
        self.deploy(self.application(num_replicas=1, **few))
        other = self.client("sleep_ms=200", "callers=8")
        errors = self.errors("sleep_ms=200")
        self.assertIn("Request dropped due to backpressure", errors)
        self.assertIn("the queue is full", errors)
        other.stop()

    def test_the_clusters_words_arrive_timed_out(self):
        self.deploy(self.application(num_replicas=1))
        errors = self.errors(f"sleep_ms={1000 * REQUEST_TIMEOUT_S + 2000}")
        self.assertIn(f"Request timed out after {REQUEST_TIMEOUT_S}", errors)
        self.assertIn("the deadline has passed", errors)

    def test_the_clusters_words_arrive_no_replica(self):
        self.deploy(self.application(num_replicas=1))
        with self.assertRaises(RuntimeError):
            self.deploy(self.broken())
        errors = self.errors()
        self.assertIn("the deployment cannot be reached", errors)
        self.assertRegex(errors, "unavailable|UNAVAILABLE|not available")

    def test_the_configurations_of_the_examples_are_what_ray_takes(self):
        on_kubernetes = (EXAMPLES / "kubernetes" / "ray_service.yaml").read_text()
        (service,) = (
            document
            for document in yaml.safe_load_all(on_kubernetes)
            if document["kind"] == "RayService"
        )
        here = (EXAMPLES / "ray_serve" / "serve.yaml").read_text()
        for text in (here, service["spec"]["serveConfigV2"]):
            config = yaml.safe_load(text)
            read = ServeDeploySchema.model_validate(config).model_dump(exclude_unset=True)
            # What Ray does not know it leaves out, without a word.
            self.assertEqual(keys(config), keys(read))

    def test_nothing_is_left_of_an_application_that_is_deleted(self):
        self.deploy(self.application(num_replicas=2))
        self.assertEqual(len(pids("remote_server")), 2)
        self.deploy(self.application(name="other", num_replicas=1))
        eventually(lambda: len(pids("remote_server")) == 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
