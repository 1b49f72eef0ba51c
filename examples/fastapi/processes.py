"""Processes that a program starts, waits for, asks and stops."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(what, ready, process, seconds=60):
    end = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            sys.exit(f"{what} ended with {process.returncode} before it was ready.")
        if time.monotonic() > end:
            sys.exit(f"{what} is not ready after {seconds} s.")
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url, body=None, headers=None):
    """The status and the JSON of one HTTP request, on a connection of its own."""
    status, answer, _ = ask_for_all(url, body, headers)
    return status, answer


def ask_for_all(url, body=None, headers=None):
    """The same, and the headers of the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers
