"""replicas_test.py TEST SERVER CLIENT: what an application sees of replicas that come and go behind one name.

The replicas are processes of remote_server, the application is one of remote_client, each on an address
of its own.
"""

import collections
import json
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import cluster

SERVER, CLIENT = sys.argv[2:]


class Replica:
    """One that is ready."""

    def __init__(self, here, label, *options):
        self.label = label
        self.pod = here.start(
            SERVER, "listen=0.0.0.0:9000", f"label={label}", f"log={here.file('log')}", *options
        )
        self.address = self.pod.address
        assert self.pod.line() == "listening 0.0.0.0:9000"

    def terminate(self):
        """SIGTERM; it has to end by itself, well."""
        self.pod.process.terminate()
        assert self.pod.process.wait(timeout=60) == 0, self.label


class Application:
    """Calls without end.

    `answered`: how many calls each replica has answered; `failed`: what the others were told.
    """

    def __init__(self, here, *options):
        self.answered = collections.Counter()
        self.failed = []
        self._forgotten = collections.Counter()
        command = [CLIENT, "dns:///work:9000", "callers=32", "sleep_ms=1", *options]
        self._pod = here.start(*command)

    def answered_by(self, *replicas, within=30):
        """Waits until each of them has answered another hundred calls."""
        goal = {replica.label: self.answered[replica.label] + 100 for replica in replicas}

        def reached():
            self._pod.say("report")
            self._read_report()
            return all(self.answered[label] >= count for label, count in goal.items())

        cluster.until(reached, f"{sorted(goal)} answer calls", within)

    def forget(self):
        self._forgotten += self.answered
        self.answered.clear()

    def stop(self):
        """Lets the calls that are under way end, and counts them, too."""
        self._pod.process.stdin.close()
        self._read_report()
        assert self._pod.process.wait(timeout=60) == 0

    def _read_report(self):
        report = json.loads(self._pod.line())
        assert report["wrong"] == 0, "a call got the answer of another"
        self.answered = collections.Counter(report["answered"]) - self._forgotten
        self.failed = list(report["errors"])


def assert_each_ran_once(here, answered):
    ids = here.file("log").read_text().split()
    assert len(ids) == len(set(ids)) == answered, (
        f"{len(ids)} ran, {len(set(ids))} of them different, {answered} answered"
    )


def dealt_out(here):
    replicas = [Replica(here, label) for label in "abc"]
    here.publish(*replicas)
    application = Application(here)
    application.answered_by(*replicas)
    application.forget()
    application.answered_by(*replicas)
    application.stop()
    assert not application.failed, application.failed[0]
    total = application.answered.total()
    assert all(count > 0.1 * total for count in application.answered.values()), application.answered


def rolling_replacement(here):
    serving = [Replica(here, "old a"), Replica(here, "old b")]
    here.publish(*serving)
    application = Application(here)
    application.answered_by(*serving)
    for label in ["newer a", "newer b", "new a", "new b"]:
        old, kept = serving
        serving = [kept, Replica(here, label)]
        here.publish(old, *serving)
        old.terminate()  # while the name still stands for it, too, as it may on Kubernetes
        here.publish(*serving)
        application.answered_by(*serving, within=10)
    before = application.answered.total()
    application.forget()
    application.answered_by(*serving)
    application.stop()
    assert not application.failed, application.failed[0]
    assert set(application.answered) == {"new a", "new b"}, application.answered
    assert_each_ran_once(here, before + application.answered.total())


def all_replaced_at_once(here):
    old = Replica(here, "old")
    here.publish(old)
    application = Application(here)
    application.answered_by(old)
    old.terminate()
    here.publish()
    here.wait_for_lookup()
    new = Replica(here, "new")
    here.publish(new)
    application.answered_by(new)
    application.stop()
    assert not application.failed, application.failed[0]
    assert_each_ran_once(here, application.answered.total())


def added(here):
    age = "max_connection_age_ms=500"
    first = Replica(here, "first", age)
    here.publish(first)
    application = Application(here)
    application.answered_by(first)
    second = Replica(here, "second", age)
    here.publish(first, second)
    application.answered_by(second, within=10)
    for _ in range(3):  # and no call fails when connections end again and again
        here.wait_for_lookup()
        application.answered_by(first, second)
    application.stop()
    assert not application.failed, application.failed[0]
    assert_each_ran_once(here, application.answered.total())


def killed(here):
    check_loss(here, lambda replica: replica.pod.kill())


def cut_off(here):
    check_loss(here, lambda replica: replica.pod.cut_off())


def check_loss(here, lose):
    lost, kept = replicas = [Replica(here, "lost"), Replica(here, "kept")]
    here.publish(*replicas)
    application = Application(here, "idempotent=1")
    application.answered_by(*replicas)
    lose(lost)
    application.answered_by(kept)
    another = Replica(here, "another")
    here.publish(kept, another)
    application.answered_by(kept, another, within=10)
    application.stop()
    assert not application.failed, application.failed[0]


def started_before_its_name(here):
    application = Application(here)
    here.wait_for_lookup()
    replica = Replica(here, "late")
    here.publish(replica)
    application.answered_by(replica)
    application.stop()
    assert not application.failed, application.failed[0]


cluster.enter_namespaces()
with cluster.cluster() as here:
    globals()[sys.argv[1]](here)
