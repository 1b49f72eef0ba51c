"""prices_test.py SERVER CLIENT: the client, which may be the first, gets the prices of its orders."""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from serving import serving

server_program, client_program = sys.argv[1:]

with tempfile.TemporaryDirectory() as directory:
    address = f"unix:{directory}/prices.sock"
    client = subprocess.Popen([client_program, address], stdout=subprocess.PIPE, text=True)
    with serving(server_program, address) as server:
        answers, _ = client.communicate(timeout=60)
    assert client.returncode == 0, client.returncode
    found = sorted(re.findall(r"(\d) of apple cost ([\d.]+); their batch had [1-3] orders", answers))
    assert found == [("1", "0.25"), ("2", "0.5"), ("3", "0.75")], answers
    assert "3 orders were priced" in server.log(), server.log()

for program in (server_program, client_program):
    wrong = subprocess.run([program, "one", "two"], stderr=subprocess.PIPE, text=True, timeout=60)
    assert wrong.returncode == 2 and "usage: " in wrong.stderr, wrong
