"""fits_test.py EXAMPLES: the manifest is YAML, and fits its program, the library and itself."""

import pathlib
import re
import sys

import yaml

examples = pathlib.Path(sys.argv[1])
kubernetes = examples / "kubernetes"
documents = yaml.safe_load_all((kubernetes / "deployment.yaml").read_text())
of_kind = {document["kind"]: document for document in documents}
service, deployment = of_kind["Service"], of_kind["Deployment"]
autoscaler = of_kind["HorizontalPodAutoscaler"]["spec"]
budget = of_kind["PodDisruptionBudget"]["spec"]
program = (kubernetes / "main.cpp").read_text()


def seconds(option):
    """A default of DeployOptions."""
    header = examples.parent / "include" / "batcher" / "grpc" / "deploy_options.hpp"
    return int(re.search(rf"{option} = std::chrono::seconds\((\d+)\)", header.read_text()).group(1))


# One name for all replicas that are ready.
pod = deployment["spec"]["template"]
(container,) = pod["spec"]["containers"]
ports = {port["name"]: port["containerPort"] for port in container["ports"]}
labels = pod["metadata"]["labels"]
assert service["spec"]["clusterIP"] == "None", "the Service is not headless"
assert service["spec"]["ports"] == [{"name": "grpc", "port": ports["grpc"]}]
assert service["spec"]["selector"] == labels
assert deployment["spec"]["selector"]["matchLabels"] == labels
assert container["args"] == [f"0.0.0.0:{ports['grpc']}", f"0.0.0.0:{ports['metrics']}"]

# Probed by the name of the deployment, and given the time to drain.
for kind in ["startupProbe", "readinessProbe", "livenessProbe"]:
    assert container[kind]["grpc"]["port"] == ports["grpc"], kind
    assert f'"{container[kind]["grpc"]["service"]}", classifier' in program, kind
assert pod["spec"]["terminationGracePeriodSeconds"] > seconds("drain_timeout")
liveness = container["livenessProbe"]
assert liveness["periodSeconds"] * liveness["failureThreshold"] > seconds("drain_timeout")

# Two replicas, and more when the metric says so; that it is exported is seen in metrics_test.py.
assert "replicas" not in deployment["spec"], "the autoscaler's work is undone by each kubectl apply"
assert autoscaler["minReplicas"] == 2
assert autoscaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
(metric,) = autoscaler["metrics"]
assert f".max_batch_size = {metric['pods']['target']['averageValue']}}}" in program
readme = (kubernetes / "README.md").read_text()
(rule,) = yaml.safe_load(re.search(r"```yaml\n(.*?)```", readme, re.DOTALL).group(1))["rules"]
assert rule["seriesQuery"].split("{")[0] == metric["pods"]["metric"]["name"]
scraped = pod["metadata"]["annotations"]
assert scraped["prometheus.io/port"] == str(ports["metrics"])
assert budget["selector"]["matchLabels"] == labels and budget["maxUnavailable"] == 1
