"""prometheus_test.py PROGRAM CLIENT DASHBOARD DIRECTORY: a Prometheus server reads two replicas, and adds them up.

Rates, quantiles over both and the queries of the dashboard are asked of it. It runs on loopback, with what it stores in a
temporary folder, and is stopped by its id.
"""

import contextlib
import json
import math
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "examples")]
from dashboard import queries_of, read
from prometheus_package import program
from serving import serving

PERIOD = 300  # seconds, longer than the test: what has happened in it is all that has happened
CONFIGURATION = """\
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs: [{job_name: replicas, static_configs: [{targets: [TARGETS]}]}]
"""


def get(url):
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read().decode()


def until(condition, what, seconds=60):
    """Waits for a condition that nothing announces."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    def __init__(self, server, folder, targets):
        configuration = pathlib.Path(folder, "prometheus.yml")
        configuration.write_text(CONFIGURATION.replace("TARGETS", ", ".join(f'"{t}"' for t in targets)))
        address = f"127.0.0.1:{free_port()}"
        self._url = f"http://{address}"
        self._process = subprocess.Popen(
            [server, f"--config.file={configuration}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={address}", "--log.level=warn"]
        )  # fmt: skip

    def ready(self):
        assert self._process.poll() is None, "Prometheus has ended"
        try:
            return bool(get(f"{self._url}/-/ready"))
        except OSError:
            return False

    def ask(self, query):
        """The values, each with the labels that tell them apart. A mistake in the query is an error."""
        try:
            answer = json.loads(get(f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error
        return {tuple(sorted(one["metric"].values())): float(one["value"][1]) for one in answer["data"]["result"]}

    def number(self, query):
        return self.ask(query).get((), 0.0)

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        finally:
            self._process.kill()
            self._process.wait(timeout=30)


def buckets_of(pages, histogram):
    """The cumulative counts of all pages together, by bound."""
    counts = {}
    for page in pages:
        for bound, count in re.findall(rf'^{histogram}_bucket\{{.*le="(.*)"\}} (\d+)$', page, re.MULTILINE):
            counts[float(bound)] = counts.get(float(bound), 0) + int(count)
    return sorted(counts.items())


def quantile(q, buckets):
    """As Prometheus documents it: values are taken to be spread evenly over their bucket."""
    rank = q * buckets[-1][1]
    lower, before = 0.0, 0
    for bound, count in buckets:
        if count >= rank:
            assert bound < math.inf, "a bound for larger values is missing"
            return lower + (bound - lower) * (rank - before) / (count - before)
        lower, before = bound, count
    raise AssertionError(buckets)


def ask_client(client, address):
    """How many calls it has made."""
    said = subprocess.run([client, address], stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    return int(re.match(r"\d+ of (\d+) answers are right", said).group(1))


def check_sums(prometheus, asked):
    completed = 'batcher_calls_total{outcome="completed"}'
    assert sorted(prometheus.ask(f"sum by (instance) ({completed})").values()) == sorted(asked)
    rate = prometheus.number(f"sum(rate({completed}[{PERIOD}s]))")
    assert math.isclose(rate * PERIOD, sum(asked), rel_tol=0.2), (rate, asked)
    assert prometheus.number("sum(batcher_wait_seconds_count)") == sum(asked)
    assert prometheus.number("sum(batcher_batch_size_sum)") == sum(asked)


def check_quantiles(prometheus, pages):
    for histogram in ["batcher_wait_seconds", "batcher_run_seconds", "batcher_batch_size"]:
        buckets = buckets_of(pages, histogram)
        for q in [0.5, 0.9, 0.99]:
            expected = quantile(q, buckets)
            exact = prometheus.number(f"histogram_quantile({q}, sum by (le) ({histogram}_bucket))")
            assert math.isclose(exact, expected, rel_tol=1e-6), (histogram, q, exact, expected)
            lately = f"sum by (le) (rate({histogram}_bucket[{PERIOD}s]))"
            rated = prometheus.number(f"histogram_quantile({q}, {lately})")
            # Rates of the two are not of exactly the same time, so a rank may be a little off.
            least, most = quantile(q - 0.05, buckets), quantile(min(1, q + 0.05), buckets)
            assert 0.99 * least <= rated <= 1.01 * most, (histogram, q, rated, least, most)


def check_dashboard(prometheus, queries, pages):
    for query in queries:
        asked = query.replace("$batcher", "digits").replace("$__rate_interval", f"{PERIOD}s")
        values = prometheus.ask(asked)
        there = all(any(name in page for page in pages) for name in re.findall(r"\bbatcher_\w+", query))
        assert bool(values) == there, (asked, values)
        assert all(map(math.isfinite, values.values())), (asked, values)
        print(asked, *values.items(), sep="\n    ")


replica, client, dashboard, directory = sys.argv[1:]
server = program("prometheus", directory)
with contextlib.ExitStack() as ended:
    replicas = [ended.enter_context(serving(replica, "127.0.0.1:0", "127.0.0.1:0")) for _ in range(2)]
    addresses = [one.printed('"digits" is deployed on ') for one in replicas]
    targets = [f"127.0.0.1:{one.printed('its metrics are on port ')}" for one in replicas]
    folder = ended.enter_context(tempfile.TemporaryDirectory())
    prometheus = Prometheus(server, folder, targets)
    ended.callback(prometheus.stop)
    until(prometheus.ready, "Prometheus is ready")
    until(lambda: prometheus.number("count(batcher_waiting)") == 2, "both replicas are read")

    # The second gets twice as many.
    asked = [ask_client(client, addresses[0]), sum(ask_client(client, addresses[1]) for _ in range(2))]
    pages = [get(f"http://{target}/metrics") for target in targets]
    count = "sum(batcher_batch_size_count)"
    batches = buckets_of(pages, "batcher_batch_size")[-1][1]
    until(lambda: prometheus.number(count) == batches, "what both have done is read")
    check_sums(prometheus, asked)
    check_quantiles(prometheus, pages)
    check_dashboard(prometheus, queries_of(read(dashboard)), pages)
    assert set(prometheus.ask("up").values()) == {1}
