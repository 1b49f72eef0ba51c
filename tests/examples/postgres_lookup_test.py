"""postgres_lookup_test.py PROGRAM: what callers get: a name, or an error of their own, also while the server restarts."""

import os
import pathlib
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

with Server() as server:
    for table in measured(program, server.where):
        for name, failed in table.items():
            assert (failed > 0) == ("missing" in name), table

    with Typing(program, server.where, "-") as typing:
        answers = typing.ask_all(["7", "100000", "7", "100001", "-1", "7"])
    assert sorted(answers) == [
        "-1: there is no user -1",
        "100000 is user 100000",
        "100001: there is no user 100001",
        *["7 is user 7"] * 3,
    ], answers

    def is_right(answer):
        number, _, name = answer.partition(" is user ")
        return number == name

    for stop in (server.stop, server.kill):
        asked_over_an_outage(program, server, stop, is_right, lambda n: str(1 + n % 100_000))
