"""dashboard_test.py PAGE DASHBOARD: each query of the dashboard asks for metrics and labels that Batchers and handles have."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from dashboard import panels_of, queries_of, read, variables_of

page, path = sys.argv[1:]
text = subprocess.run([page], stdout=subprocess.PIPE, timeout=60, check=True, text=True).stdout
labels_of = {}
for name, labels in re.findall(r"^(batcher_\w+)\{(.*)\} \S+$", text, re.MULTILINE):
    # "instance" is Prometheus' own label, for the replica.
    labels_of.setdefault(name, {"instance"}).update(re.findall(r'(?:^|,)(\w+)="', labels))

dashboard = read(path)
queries = queries_of(dashboard)
assert len(queries) > 20, queries
for query in queries:
    names = re.findall(r"\bbatcher_\w+", query)
    assert names, query
    for name in names:
        assert name in labels_of, f"no Batcher has {name}: {query}"
        asked = re.findall(r"[{,]\s*(\w+)!?[=]", query)
        asked += [label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")]
        assert set(asked) <= labels_of[name], f"{name} has the labels {labels_of[name]}: {query}"
    assert query.count('batcher="$batcher"') == len(names), f"not of one Batcher alone: {query}"

# Nothing that a handle tells is left out.
for name in labels_of:
    if name.startswith("batcher_remote_"):
        assert any(name in query for query in queries), name

# What the queries refer to is a variable that the user chooses, and panels do not hide each other.
assert set(variables_of(dashboard)) == {"datasource", "batcher"}
assert re.search(r"label_values\((\w+), batcher\)", variables_of(dashboard)["batcher"]).group(1) in labels_of
places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels_of(dashboard)]
assert len(set(places)) == len(places)
