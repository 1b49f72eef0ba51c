"""The dashboard of examples/kubernetes/grafana, read."""

import json
import pathlib


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def panels_of(dashboard):
    return dashboard["panels"]


def queries_of(dashboard):
    return [target["expr"] for panel in panels_of(dashboard) for target in panel["targets"]]


def variables_of(dashboard):
    """What each variable is chosen from, by its name."""
    return {
        variable["name"]: variable.get("definition", variable["query"])
        for variable in dashboard["templating"]["list"]
    }
