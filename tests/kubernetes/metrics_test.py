"""metrics_test.py PROGRAM CLIENT EXAMPLE: Prometheus reads what the Batcher has done.

It is read with Prometheus' own Python client; what the autoscaler of the manifest wants is there, too.
"""

import pathlib
import re
import subprocess
import sys
import urllib.request

import yaml
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))
from serving import serving

program, client, example = sys.argv[1:]


def metrics_on(port):
    """The values of "digits", by name and the label besides."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    assert all(family.documentation and family.type != "unknown" for family in families), families
    values = {}
    for sample in (sample for family in families for sample in family.samples):
        labels = dict(sample.labels)
        assert labels.pop("batcher") == "digits", sample
        values[" ".join([sample.name, *labels.values()])] = sample.value
    return values


with serving(program, "127.0.0.1:0", "127.0.0.1:0") as server:
    address = server.printed('"digits" is deployed on ')
    port = server.printed("its metrics are on port ")
    before = metrics_on(port)
    answers = subprocess.run(
        [client, address], stdout=subprocess.PIPE, text=True, timeout=120, check=True
    ).stdout
    after = metrics_on(port)

# Nothing has been done at first: there are only options.
done = {name: n for name, n in before.items() if not name.startswith("batcher_max_")}
assert set(done.values()) == {0}, done
assert before["batcher_max_batch_size"] == 256, before
asked = int(re.match(r"\d+ of (\d+) answers are right", answers).group(1))
calls = {name.split()[1]: n for name, n in after.items() if name.startswith("batcher_calls_total ")}
assert calls.pop("completed") == asked and set(calls.values()) == {0}, calls
assert after["batcher_wait_seconds_count"] == after["batcher_batch_size_sum"] == asked
batches = sum(value for name, value in after.items() if name.startswith("batcher_batches_total "))
assert batches == after["batcher_batch_size_count"] == after["batcher_run_seconds_count"] > 0
assert after["batcher_run_seconds_sum"] > 0

manifest = yaml.safe_load_all(pathlib.Path(example, "deployment.yaml").read_text())
(autoscaler,) = (document for document in manifest if document["kind"] == "HorizontalPodAutoscaler")
for metric in autoscaler["spec"]["metrics"]:
    name = metric["pods"]["metric"]["name"]
    assert name in after, f"the autoscaler wants {name}, there are {sorted(after)}"
