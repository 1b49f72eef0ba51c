"""neural_network_test.py PROGRAM MODEL: who shares a batch with others gets what the image gets alone; most are right."""

import os
import pathlib
import re
import sys

sys.path.insert(0, os.path.dirname(__file__))
from typing_lines import Typing, measured

program, model = sys.argv[1:]
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
LABELS = [int(line.rsplit(",", 1)[1]) for line in (EXAMPLES / "digits/digits.csv").open()]
QUESTIONS = range(1297, len(LABELS))  # what the network has not learnt


def parsed(answers):
    """For each number its digit, and how probable that is."""
    matches = [re.fullmatch(r"(\d+) is a (\d), ([01]\.\d{3})", answer) for answer in answers]
    assert all(matches), answers
    return {int(m[1]): (int(m[2]), float(m[3])) for m in matches}


def the_same(some, others):
    return all(some[n][0] == others[n][0] and abs(some[n][1] - others[n][1]) < 0.002 for n in some)


# The program compares each answer with that of the image alone, and says so if they differ.
for table in measured(program, model):
    assert not any(table.values()), table

with Typing(program, model, "-") as typing:
    together = parsed(typing.ask_all(str(n) for n in QUESTIONS))
assert together.keys() == set(QUESTIONS)
right = sum(digit == LABELS[number] for number, (digit, _) in together.items())
assert right >= 0.93 * len(QUESTIONS), right

with Typing(program, model, "-", most=1) as typing:
    alone = parsed(typing.keep_asking((str(n) for n in QUESTIONS[:100]), seconds=60))
assert len(alone) == 100 and the_same(alone, together)

# Three are filled up to eight, and the copies answer nobody. What is asked wrongly is that caller's own error.
with Typing(program, model, "-") as typing:
    answers = typing.ask_all(["1300", "1797", "1301", "1302"])
wrong = [answer for answer in answers if " is a " not in answer]
assert wrong == ["1797: there are only the images 0 to 1796"], answers
few = parsed(set(answers) - set(wrong))
assert few.keys() == {1300, 1301, 1302} and the_same(few, together), answers
print(f"{right} of {len(QUESTIONS)} are right")
