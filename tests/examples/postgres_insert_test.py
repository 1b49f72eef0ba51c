"""postgres_insert_test.py PROGRAM: each order is stored once or its caller alone is told why not, also over a restart."""

import os
import pathlib
import random
import re
import sys

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
sys.path[:0] = [os.path.dirname(__file__), str(EXAMPLES / "postgres")]
from outage import asked_over_an_outage
from server import Server, programs
from typing_lines import Typing, measured

program = sys.argv[1]
if programs() is None:
    print("PostgreSQL's server is missing (Debian: apt-get install postgresql)")
    sys.exit(77)


def stored_by(answers):
    """The keys that were acknowledged, with their ids."""
    matches = (re.fullmatch(r"(\S+) is stored as (\d+)", answer) for answer in answers)
    return {match[1]: match[2] for match in matches if match}


def ask_all(server, lines):
    with Typing(program, server.where, "-") as typing:
        return typing.ask_all(lines)


def check_table(server, answers):
    """What was acknowledged is there, under its id."""
    found = dict(server.query("SELECT key, id FROM batcher_orders"))
    missing = [key for key, id in stored_by(answers).items() if found.get(key) != id]
    assert not missing, f"{len(missing)} acknowledged rows are missing: {missing[:3]}"
    return found


with Server() as server:
    for table in measured(program, server.where):
        for name, failed in table.items():
            assert failed == 0 or "bad" in name, table

    # One bad row among many, quotes included: it alone fails.
    orders = [f'a"{n}\\,{{}} 100' for n in range(150)]
    for bad, reason in (("bad -1", "check constraint"), ("b\0d 1", "a character 0 cannot be stored")):
        server.query("TRUNCATE batcher_orders")
        answers = ask_all(server, [*orders[:70], bad, *orders[70:]])
        (refused,) = (answer for answer in answers if " is stored as " not in answer)
        assert refused.startswith(f"{bad}: ") and reason in refused, refused
        assert len(check_table(server, answers)) == len(orders)

    # Keys that come often, in several batches at a time: each is stored for one of its callers.
    keys = [f"k{n}" for n in range(300)] * 20
    random.shuffle(keys)
    answers = ask_all(server, [f"{key} 100" for key in keys])
    assert len(stored_by(answers)) == 300, len(stored_by(answers))
    assert sum("is stored as" in answer for answer in answers) == 300, answers
    assert sum("it is there already" in answer for answer in answers) == len(keys) - 300, answers
    check_table(server, answers)

    # Whoever gets an error repeats it with the same key: then it is stored once, by this call or by the last one.
    for stop in (server.stop, server.kill):
        name = stop.__name__

        def is_settled(answer):
            return "is stored as" in answer or answer.endswith("it is there already")

        answers = asked_over_an_outage(
            program, server, stop, is_settled, lambda n: f"{name}{n} 100", again=True
        )
        found = check_table(server, answers)
        stored = {key for key in found if key.startswith(name)}
        assert stored == {f"{name}{n}" for n in range(len(answers))}, (len(stored), len(answers))
        unheard = sum("already" in answer for answer in answers)
        print(f"{len(answers)} orders, each stored once; {unheard} of them by a call that was told of an error")
