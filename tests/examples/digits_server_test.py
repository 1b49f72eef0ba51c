"""digits_server_test.py SERVER CLIENT: the client asks the deployment, on a unix socket and by a name."""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from serving import serving

server_program, client_program = sys.argv[1:]


def ask(address):
    done = subprocess.run(
        [client_program, address], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    right, asked = map(int, re.match(r"(\d+) of (\d+) answers are right", done.stdout).groups())
    assert asked >= 4000 and right >= 0.97 * asked, done.stdout
    return asked


def check(listen, address_of):
    with serving(server_program, listen) as server:
        address = address_of(server.printed('"digits" is deployed on '))
        asked = ask(address) + ask(address)
    items = int(re.search(r"submitted (\d+)", server.log()).group(1))
    mean = float(re.search(r"batch size +([\d.]+)", server.log()).group(1))
    assert items == asked, f"{asked} were asked, {items} arrived"
    assert mean > 2, "no batches formed"


with tempfile.TemporaryDirectory() as directory:
    check(f"unix:{directory}/digits.sock", lambda address: address)
check("127.0.0.1:0", lambda address: "dns:///localhost:" + address.rsplit(":", 1)[1])
