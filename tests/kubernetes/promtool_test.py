"""promtool_test.py PAGE DIRECTORY: Prometheus' own checker finds nothing wrong with what PAGE prints.

That it would is shown, too: by a page with a counter whose name does not end in _total.
"""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from prometheus_package import program

page, directory = sys.argv[1:]
promtool = program("promtool", directory)


def checked(text):
    """What promtool says of a page, and how it ends."""
    answer = subprocess.run(
        [promtool, "check", "metrics"],
        input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
    )
    return answer.returncode, answer.stdout.decode()


text = subprocess.run([page], stdout=subprocess.PIPE, timeout=60, check=True).stdout
assert text.count(b"\n") > 200, text
assert checked(text) == (0, ""), checked(text)
code, words = checked(text.replace(b"batcher_calls_total", b"batcher_calls"))
assert code != 0 and "_total" in words, (code, words)
