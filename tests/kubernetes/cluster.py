"""A small cluster on this machine: pods with an address each, and a name that stands for them.

A pod is a process in a network namespace of its own, on one bridge with the others, 10.77.0.0/24; its
address goes with it. The name server is dnsmasq, and names are looked up as in a pod on Kubernetes. All of
it is inside namespaces that the test makes for itself (network, mounts, processes): nothing leaves them, and
when the test ends, so does all in them.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
LONGEST = 100  # seconds
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
NAME_SERVER = "10.77.0.1"
SERVICE = "work.default.svc.cluster.local"
RESOLV_CONF = f"""\
nameserver {NAME_SERVER}
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
"""


def skip(reason):
    print(f"Skipped: {reason}")
    sys.exit(SKIPPED)


def enter_namespaces():
    """Starts the program anew in namespaces of its own, or skips the test."""
    if os.environ.get("BATCHER_IN_NAMESPACES"):
        return
    for tool in ["unshare", "nsenter", "ip", "dnsmasq"]:
        if not shutil.which(tool):
            skip(f"{tool} is missing (Debian: apt-get install util-linux iproute2 dnsmasq-base).")
    tried = subprocess.run(
        [*NAMESPACES, "true"], check=False, stderr=subprocess.PIPE, text=True, timeout=30
    )
    if tried.returncode:
        skip(f"this process may not make network namespaces, root may ({tried.stderr.strip()}).")
    os.environ["BATCHER_IN_NAMESPACES"] = "1"
    os.execvp(NAMESPACES[0], [*NAMESPACES, *sys.orig_argv])


def run(command):
    subprocess.run(command.split(), check=True, timeout=30)


def until(condition, what, seconds=30):
    """Waits for a condition that nothing announces."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


class Pod:
    """A program in a network namespace of its own, with one address."""

    def __init__(self, number, command):
        self.address = f"10.77.0.{number}"
        self._link = f"pod{number}"
        # It says when it is in its namespace, and waits there for its address.
        self.process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", 'echo; read -r _; exec "$@"', "pod", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.process.stdout.readline()
        pid = self.process.pid
        run(f"ip link add {self._link} type veth peer eth0 netns {pid}")
        run(f"ip link set {self._link} master pods up")
        run(f"nsenter --net --target {pid} ip address add {self.address}/24 dev eth0")
        run(f"nsenter --net --target {pid} ip link set eth0 up")
        self.say("go")

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def cut_off(self):
        """As when its machine loses power: nobody is told."""
        run(f"ip link set {self._link} down")

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=30)


class Cluster:
    """The bridge, the name server, and all that was started on it."""

    def __init__(self, ended):
        self._ended = ended
        self._numbers = iter(range(11, 250))
        self._directory = pathlib.Path(ended.enter_context(tempfile.TemporaryDirectory()))
        run("ip link set lo up")
        # With an address that it keeps; else it takes that of a pod, and another when that pod goes.
        run("ip link add pods address 02:00:00:00:00:01 type bridge")
        run(f"ip address add {NAME_SERVER}/24 dev pods")
        run("ip link set pods up")
        resolv_conf = self.file("resolv.conf")
        resolv_conf.write_text(RESOLV_CONF)
        run(f"mount --bind {resolv_conf} /etc/resolv.conf")
        self._start_name_server()

    def file(self, name):
        return self._directory / name

    def start(self, *command):
        pod = Pod(next(self._numbers), command)
        self._ended.callback(pod.kill)
        return pod

    def publish(self, *pods):
        """From now on the name stands for the addresses of these."""
        addresses = {pod.address for pod in pods}
        self._hosts.write_text("".join(f"{address} {SERVICE}\n" for address in addresses))
        self._name_server.send_signal(signal.SIGHUP)
        until(lambda: addresses_of(SERVICE) == addresses, f"{SERVICE} stands for {addresses}")

    def wait_for_lookup(self):
        """Until an application asks for the name."""
        before = self._lookups()
        until(lambda: self._lookups() > before, f"{SERVICE} is looked up")

    def _lookups(self):
        return self._log.read_text().count(f" query[A] {SERVICE} ")

    def _start_name_server(self):
        self._hosts = self.file("hosts")
        self._hosts.touch()
        self._log = self.file("dnsmasq.log")
        command = (
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root"
            f" --listen-address={NAME_SERVER} --bind-interfaces --no-resolv --no-hosts"
            f" --local=/cluster.local/ --local-ttl=1 --addn-hosts={self._hosts}"
            f" --pid-file={self.file('pid')} --log-queries --log-facility={self._log}"
        )
        self._name_server = subprocess.Popen(command.split())
        self._ended.callback(self._stop_name_server)
        until(self.file("pid").exists, "dnsmasq is up")

    def _stop_name_server(self):
        self._name_server.terminate()
        self._name_server.wait(timeout=30)


def addresses_of(name):
    try:
        return {entry[4][0] for entry in socket.getaddrinfo(name, None, socket.AF_INET)}
    except socket.gaierror:
        return set()


def give_up(*_):
    raise TimeoutError(f"the test has taken {LONGEST} s")


@contextlib.contextmanager
def cluster():
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST)
    with contextlib.ExitStack() as ended:
        yield Cluster(ended)
