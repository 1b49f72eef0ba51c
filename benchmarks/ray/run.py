"""Table 7, run.py PROGRAMS RESULTS [--quick]: the same model on Ray Serve, per item and through this library.

Run it isolated. It starts a Ray cluster of one node and all that runs there; contenders take turns.
"""

import csv
import os
import pathlib
import resource
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "examples" / "ray_serve"))

from cluster import Cluster  # noqa: E402

QUICK = "--quick" in sys.argv
PROGRAMS, RESULTS = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
ROUNDS, SECONDS, IN_FLIGHT = (1, 1, (64,)) if QUICK else (7, 3, (1, 64, 1000))
METRICS = {"items": "1/s", "cpu": "us", "p50": "us", "p99": "us"}
TICKS = os.sysconf("SC_CLK_TCK")


def deployment(name, import_path, args=None):
    """One replica; that calls wait is for its batching to decide, not for Ray."""
    return {
        "name": name,
        "route_prefix": f"/{name}",
        "import_path": import_path,
        "args": args or {},
        "deployments": [
            {
                "name": {"per_item": "PerItem", "vectors": "Vectors"}.get(name, "CppDeployment"),
                "num_replicas": 1,
                "max_ongoing_requests": 10000,
            }
        ],
    }


CONFIG = {
    "proxy_location": "HeadOnly",
    "grpc_options": {"port": 9000, "grpc_servicer_functions": ["batcher_serve.add_to_server"]},
    "applications": [
        deployment("per_item", "models:per_item"),
        deployment("vectors", "models:vectors"),
        deployment("cpp", "cpp_deployment:app", {"command": ["ray_model", "{address}"]}),
    ],
}


def figures(command):
    """What a program that loads prints: items, seconds, p50 and p99 in microseconds."""
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )
    if "failed" in done.stdout:
        raise RuntimeError(done.stdout)
    return [float(word) for word in done.stdout.split("\n")[-2].replace("figures", "").split()]


def processor_seconds():
    """Of all processes here, those of the cluster and those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def measured(command):
    before = processor_seconds()
    items, seconds, p50, p99 = figures(command)
    # The time before the measured part, too, and so its items: those of a quarter more.
    cpu = (processor_seconds() - before) / (1.25 * items)
    return {"items": items / seconds, "cpu": 1e6 * cpu, "p50": p50, "p99": p99}


def contenders(cluster, direct, in_flight):
    wrk = ["wrk", "--threads", 1, "--connections", in_flight, "--duration", f"{SECONDS + 1}s"]
    wrk += ["--timeout", "30s", "--script", HERE / "http_load.lua"]
    load = [PROGRAMS / "ray_load"]
    return {
        "@serve.batch, a Ray Serve handle in Python": [
            *(sys.executable, "-B", HERE / "handle_load.py", cluster.ray_address),
            *(in_flight, SECONDS),
        ],
        "@serve.batch, over HTTP": [*wrk, f"{cluster.http_address}/per_item"],
        "this handle, vectors in Python on Ray": [
            *(*load, cluster.address, "vectors", in_flight, SECONDS)
        ],
        "this handle, C++ on Ray": [*load, cluster.address, "cpp", in_flight, SECONDS],
        "this handle, C++ without Ray": [*load, direct, "none", in_flight, SECONDS],
    }


def measure(commands):
    """Of each contender, for each metric, the figures of all rounds."""
    names = list(commands)
    found = {name: {metric: [] for metric in METRICS} for name in names}
    for turn in range(ROUNDS):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            for metric, value in measured(commands[name]).items():
                found[name][metric].append(value)
    return found


def show(in_flight, found, rows):
    print(f"\n{in_flight} in flight: medians of {ROUNDS}, and the least and the greatest items a second")
    print("  ratio    items/s           (min-max)   cpu us     p50 us     p99 us")
    first = statistics.median(next(iter(found.values()))["items"])
    for name, metrics in found.items():
        median = {metric: statistics.median(values) for metric, values in metrics.items()}
        low, high = min(metrics["items"]), max(metrics["items"])
        spread = f"({low:.0f}-{high:.0f})"
        print(
            f"{median['items'] / first:7.2f} {median['items']:10.0f} {spread:>19} "
            f"{median['cpu']:8.1f} {median['p50']:10.0f} {median['p99']:10.0f}  {name}"
        )
        for metric, values in metrics.items():
            ratio = median[metric] / statistics.median(next(iter(found.values()))[metric])
            figures = [f"{ratio:.3f}"]
            figures += [f"{f(values):.2f}" for f in (statistics.median, min, max)]
            rows.append([in_flight, "Ray Serve", name, metric, METRICS[metric], *figures])


def write(rows, budget):
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / "ray.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        header = "in_flight arrangement contender metric unit ratio median min max"
        out.writerow(header.split())
        out.writerows(rows)
    with open(RESULTS / "ray_budgets.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["budget", "measured", "limit", "met"])
        out.writerow(budget)


def main():
    rows = []
    with Cluster(path=[PROGRAMS], python_path=[HERE]) as cluster:
        cluster.deploy(CONFIG)
        with subprocess.Popen(
            [PROGRAMS / "ray_model", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
        ) as model:
            direct = model.stdout.readline().strip()
            for in_flight in IN_FLIGHT:
                found = measure(contenders(cluster, direct, in_flight))
                show(in_flight, found, rows)
            model.terminate()
    rival, *_, ours, _ = (statistics.median(metrics["items"]) for metrics in found.values())
    met = "met" if ours / rival >= 20 else "not met"
    print(f"\n{met}: C++ on Ray, times @serve.batch through a handle: {ours / rival:.1f}, at least 20")
    name = f"{IN_FLIGHT[-1]} in flight: C++ on Ray, times @serve.batch through a Ray Serve handle"
    write(rows, [name, f"{ours / rival:.3f}", "at least 20", met])


if __name__ == "__main__":
    main()
