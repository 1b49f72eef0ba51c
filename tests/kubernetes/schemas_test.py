"""schemas_test.py MANIFEST DIRECTORY: the manifest is what its APIs take, and no field is unknown to them.

What Kubernetes defines is compared with its schemas, as kubernetes-validate brings them; a RayService with
the definition in KubeRay's Go module. Both are installed in DIRECTORY, in pinned versions; the test is
skipped where they cannot be had.

That it would find a mistake is shown, too: in each object of the manifest, a field that does not exist.
"""

import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77
HERE = pathlib.Path(__file__).resolve().parent
KUBERNETES = ["1.27", "1.37"]  # the oldest that deployment.yaml is for, and a new one
KUBERAY = "github.com/ray-project/kuberay/ray-operator@v1.5.1"
KUBERAY_SUM = "h1:7FJYmB8oM+cnjv1VYCj/TfzRZG4XHvvt5Ayn5pZ5A1c="


def skip(reason):
    print(f"Skipped: {reason}")
    sys.exit(SKIPPED)


def install(directory):
    """A virtual environment; its Python then runs this program."""
    python = directory / "bin" / "python"
    requirements = (HERE / "requirements.txt").read_text()
    installed = directory / "requirements.txt"
    if not installed.exists() or installed.read_text() != requirements:
        shutil.rmtree(directory, ignore_errors=True)
        if attempt(sys.executable, "-m", "venv", directory) is None:
            skip("virtual environments cannot be made (Debian: apt-get install python3-venv).")
        pip = "-m pip install --quiet --retries=1 --timeout=30 --requirement".split()
        if attempt(python, *pip, HERE / "requirements.txt") is None:
            skip("kubernetes-validate could not be installed from PyPI.")
        installed.write_text(requirements)
    return python


def attempt(*command, **options):
    """What it prints; nothing if it fails."""
    try:
        return subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=240, check=True, **options
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        print(error)
        return None


def schema_of_ray_services(directory):
    """From KubeRay's Go module, whose sum is compared with ours."""
    environment = {**os.environ, "GOMODCACHE": str(directory), "GOFLAGS": "-modcacherw"}
    if not shutil.which("go"):
        skip("KubeRay's definitions are a Go module, and go is missing (Debian: golang-go).")
    answer = attempt("go", "mod", "download", "-json", KUBERAY, env=environment, cwd="/")
    if answer is None:
        skip("KubeRay's definitions could not be had from the Go module proxy.")
    module = json.loads(answer)
    assert module["Sum"] == KUBERAY_SUM, f"{KUBERAY} has the sum {module['Sum']}, not {KUBERAY_SUM}"
    path = pathlib.Path(module["Dir"], "config", "crd", "bases", "ray.io_rayservices.yaml")
    definition = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = (version for version in definition["spec"]["versions"] if version["name"] == "v1")
    return strict(version["schema"]["openAPIV3Schema"])


def strict(schema):
    """Without fields that it does not name, which the API server would drop."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in schema.items()}
    is_open = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("type") == "object" and not is_open:
        result["additionalProperties"] = False
    return result


def check_kubernetes(document):
    for version in KUBERNETES:
        assert kubernetes_validate.validate(document, version, strict=True) == version


class Schemas:
    def __init__(self, directory):
        self._directory = directory
        self._ray_service = None

    def problem(self, document):
        """A sentence, or nothing."""
        try:
            if document["apiVersion"].startswith("ray.io/"):
                self._check_ray_service(document)
            else:
                check_kubernetes(document)
        except jsonschema.ValidationError as error:
            return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        return None

    def _check_ray_service(self, document):
        if self._ray_service is None:
            self._ray_service = jsonschema.Draft202012Validator(
                schema_of_ray_services(self._directory / "go")
            )
        # The definition leaves metadata to Kubernetes.
        check_kubernetes(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": document["metadata"]}
        )
        self._ray_service.validate({**document, "metadata": {}})


def mistaken(document):
    """Copies of it, each with a field that does not exist in one of its objects, and the place of that."""
    for path in objects_in(document):
        copied = copy.deepcopy(document)
        place = copied
        for step in path:
            place = place[step]
        place["misspelt"] = "1"
        yield ".".join(map(str, path)), copied


# Objects whose fields are the user's.
OWN_FIELDS = {"labels", "matchLabels", "annotations", "requests", "limits", "rayStartParams"}


def objects_in(node, path=()):
    if isinstance(node, dict):
        own = (
            path
            and path[-1] in OWN_FIELDS
            or path == ("spec", "selector")
            and "matchLabels" not in node
        )
        if not own:
            yield path
        for key, value in node.items():
            yield from objects_in(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from objects_in(value, (*path, index))


def check(manifest, directory):
    schemas = Schemas(directory)
    for document in yaml.safe_load_all(manifest.read_text()):
        name = f"{document['kind']} {document['metadata']['name']} of {manifest.name}"
        problem = schemas.problem(document)
        assert problem is None, f"{name}: {problem}"
        refused = 0
        for place, mistake in mistaken(document):
            problem = schemas.problem(mistake)
            assert problem and "misspelt" in problem, (
                f"{name}: a field `misspelt` in {place} is not refused: {problem}"
            )
            refused += 1
        print(f"{name} is valid; {refused} unknown fields were refused")


manifest, directory = map(pathlib.Path, sys.argv[1:])
try:
    import jsonschema
    import kubernetes_validate
    import yaml
except ImportError:
    ours = install(directory / "python")
    os.execv(ours, [str(ours), "-B", "-I", *sys.argv])
check(manifest, directory)
