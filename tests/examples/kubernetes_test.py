"""kubernetes_test.py EXAMPLES: the manifest is YAML, and fits digits_server.cpp and itself.

Also against Kubernetes' schema, where the package kubernetes-validate is installed.
"""

import pathlib
import sys

import yaml

DRAIN_SECONDS = 30  # DeployOptions::drain_timeout

examples = pathlib.Path(sys.argv[1])
documents = list(yaml.safe_load_all((examples / "kubernetes" / "deployment.yaml").read_text()))
service, deployment = documents
assert (service["kind"], deployment["kind"]) == ("Service", "Deployment")

pod = deployment["spec"]["template"]["spec"]
(container,) = pod["containers"]
port = container["ports"][0]["containerPort"]
assert service["spec"]["clusterIP"] == "None", "the Service is not headless"
assert service["spec"]["ports"][0]["port"] == port
assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
assert container["args"] == [f"0.0.0.0:{port}"]
assert deployment["spec"]["replicas"] == 2

program = (examples / "digits_server.cpp").read_text()
for kind in ["startupProbe", "readinessProbe", "livenessProbe"]:
    assert container[kind]["grpc"]["port"] == port, kind
    assert f'"{container[kind]["grpc"]["service"]}", classifier' in program, kind
assert pod["terminationGracePeriodSeconds"] > DRAIN_SECONDS
liveness = container["livenessProbe"]
assert liveness["periodSeconds"] * liveness["failureThreshold"] > DRAIN_SECONDS

try:
    import kubernetes_validate
except ImportError:
    print("kubernetes-validate is not installed: the schema was not compared.")
else:
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
