"""The dashboard of examples/kubernetes/grafana, read."""

import json
import pathlib


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def panels_of(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]  # which is a title above some of them


def queries_of(dashboard):
    return [target["expr"] for panel in panels_of(dashboard) for target in panel["targets"]]


def variables_of(dashboard):
    """What each variable is chosen from, by its name."""
    return {
        variable["name"]: variable.get("definition", variable["query"])
        for variable in dashboard["templating"]["list"]
    }
