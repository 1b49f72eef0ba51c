"""group_commit_test.py PROGRAM: what a caller was told is stored is there after kill -9 in the middle of writing."""

import contextlib
import os
import random
import re
import sqlite3
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from typing_lines import Typing, measured

program = sys.argv[1]
KILLS = 20


def killed_while_writing(path, kill):
    """Orders, of which every tenth is bad, until it is killed: those acknowledged, with their ids, and those refused."""
    stored, refused = {}, set()
    with Typing(program, path, "-") as writing:
        orders = (f"{kill}-{n} {-1 if n % 10 == 0 else 100}" for n in range(10**9))
        for answer in writing.keep_asking(orders, seconds=random.uniform(0.1, 0.4)):
            if match := re.fullmatch(r"(\S+) is stored as (\d+)", answer):
                stored[match[1]] = int(match[2])
            else:
                match = re.fullmatch(r"(\S+) -1: CHECK constraint failed: cents > 0", answer)
                refused.add(match[1])
    assert len(stored) > 10 and refused, (len(stored), refused)
    return stored, refused


with tempfile.TemporaryDirectory() as directory:
    path = f"{directory}/orders.db"
    acknowledged, unheard = {}, 0
    for kill in range(KILLS):
        stored, refused = killed_while_writing(path, kill)
        acknowledged.update(stored)
        with contextlib.closing(sqlite3.connect(path)) as database:
            found = dict(database.execute("SELECT key, id FROM orders"))
        missing = [key for key, id in acknowledged.items() if found.get(key) != id]
        assert not missing, f"{len(missing)} acknowledged rows are missing: {missing[:3]}"
        assert not refused & found.keys(), "what was refused is stored"
    unheard = len(found) - len(acknowledged)
    print(f"{KILLS} kills, {len(acknowledged)} rows acknowledged, 0 missing; {unheard} more stored")

    # All rows of a batch meet the same constraint, each for itself.
    with Typing(program, f"{directory}/one.db", "-") as typing:
        answers = typing.ask_all(["a 1", "b 0", "a 2", "c 3"])
    assert "a is stored as 1" in answers and "c is stored as" in answers[-1], answers
    assert sum("UNIQUE constraint failed" in answer for answer in answers) == 1, answers

    for table in measured(program, f"{directory}/measured.db"):
        for name, failed in table.items():
            assert (failed > 0) == ("bad" in name), table
