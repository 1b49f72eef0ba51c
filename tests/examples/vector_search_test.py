"""vector_search_test.py PROGRAM: who searches together with others finds what a search alone finds."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from typing_lines import Typing, measured

program = sys.argv[1]
COUNT, QUESTIONS = 5_000, 100

# The program compares each answer with that of the vector alone, and says so if they differ.
for table in measured(program, str(COUNT)):
    assert not any(table.values()), table


def nearest(answers):
    """For each question the vector that was found."""
    words = [answer.split() for answer in answers]  # 7 is nearest to 5433, 0.894
    return {int(word[0]): int(word[4].rstrip(",")) for word in words}


expected = {n: n * 7_919 % COUNT for n in range(QUESTIONS)}
for most in (200, 3, 1):  # a matrix product; one vector after the other; one alone
    with Typing(program, str(COUNT), "-", most=most) as typing:
        found = nearest(typing.keep_asking(map(str, expected), seconds=60))
    assert found == expected, (most, found)

for count in ("few", "0", "12x", "-5"):
    wrong = subprocess.run([program, count, "-"], capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 1 and f"and not {count}" in wrong.stderr, wrong
