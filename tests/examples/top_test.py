"""top_test.py TOP SERVER CLIENT [SERVER_WITH_TLS]: top shows what a deployment has done, once and live, and leaves the terminal as it was."""

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.dirname(__file__))
from serving import serving

top_program, server_program, client_program, *server_with_tls = sys.argv[1:]


def top(*arguments, token=""):
    return subprocess.run(
        [top_program, *arguments], env={**os.environ, "BATCHER_TOKEN": token},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
    )


def read_until(terminal, pattern, seconds=30):
    """What the terminal shows until the pattern is there."""
    shown = b""
    end = time.monotonic() + seconds
    while not re.search(pattern, shown):
        assert time.monotonic() < end, f"{pattern} is not there: {shown}"
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536)
    return shown


def check_once(address):
    for arguments in ([address], [address, "--once"], [address, "prices"]):
        seen = top(*arguments)
        assert seen.returncode == 0, seen
        assert seen.stdout.startswith("prices\n"), seen.stdout
        assert "submitted 3  completed 3  failed 0  rejected 0" in seen.stdout, seen.stdout
        assert "waiting 0  running 0" in seen.stdout, seen.stdout
        assert "batches are too few" in seen.stdout, seen.stdout
        shares = re.findall(r"^ +\S+ +(\d+) % (#*)$", seen.stdout, re.MULTILINE)
        assert sum(int(share) for share, _ in shares) in (99, 100, 101), seen.stdout
        assert sum(len(bar) for _, bar in shares) in (49, 50, 51), seen.stdout
    wrong = top(address, "apples")
    assert wrong.returncode == 1 and 'no Batcher "apples" is deployed there' in wrong.stderr, wrong


def check_live(address, key):
    master, terminal = pty.openpty()
    try:
        before = termios.tcgetattr(terminal)
        process = subprocess.Popen([top_program, address], stdin=terminal, stdout=terminal)
        try:
            read_until(master, rb"(?s)prices.*submitted 3.*submitted 0/s")
            assert not termios.tcgetattr(terminal)[3] & termios.ECHO
            os.write(master, key)
            read_until(master, re.escape(b"\x1b[?1049l"))
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
            process.wait()
        assert termios.tcgetattr(terminal) == before
    finally:
        os.close(master)
        os.close(terminal)


def check_secure(server_program, directory):
    base = f"{directory}/localhost"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{base}.key", "-out", f"{base}.pem"],
        check=True, capture_output=True, timeout=60,
    )
    options = [f"certificate={base}.pem", f"private_key={base}.key", "token=sesame"]
    with serving(server_program, "listen=localhost:0", *options) as server:
        address = server.printed("listening ")
        seen = top(address, "--once", "--ca", f"{base}.pem", token="sesame")
        assert seen.returncode == 0 and seen.stdout.startswith("work\n"), seen
        stranger = top(address, "--ca", f"{base}.pem", "--once")
        assert "the token is missing or not accepted" in stranger.stderr, stranger
        plain = top(address)
        assert "it speaks TLS on this port" in plain.stderr, plain
    assert "usage: top" in top(address, "--ca").stderr


with tempfile.TemporaryDirectory() as directory:
    address = f"unix:{directory}/prices.sock"
    nobody = top(address)
    assert nobody.returncode == 1, nobody
    assert f"top: the figures of {address} cannot be read: " in nobody.stderr, nobody
    with serving(server_program, address) as server:
        server.printed('"prices" is deployed on ')
        subprocess.run([client_program, address], stdout=subprocess.DEVNULL, timeout=60, check=True)
        check_once(address)
        for key in (b"q", b"\x03"):
            check_live(address, key)
    for program in server_with_tls:
        check_secure(program, directory)
