"""http_server_test.py SERVER: concurrent HTTP requests to both routes; each gets its answer, in batches."""

import concurrent.futures
import math
import os
import re
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
from serving import serving

WORDS = ["some", "words", "that", "are", "shouted"]


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, response.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().strip()


def check_root(base, number):
    status, body = get(f"{base}/square_root/{number}")
    assert status == 200 and math.isclose(float(body), math.sqrt(number)), (number, status, body)


def check_shout(base, number):
    word = WORDS[number % len(WORDS)]
    status, body = get(f"{base}/shout/{word}")
    match = re.fullmatch(rf"{word.upper()}! \(device ([012])\)", body)
    assert status == 200 and match, (word, status, body)
    return match.group(1)


def most_in_a_batch(table):
    return int(re.search(r"batch size.* (\d+)\n", table).group(1))


with serving(sys.argv[1], "0") as server:
    base = server.printed("listening on ")
    with concurrent.futures.ThreadPoolExecutor(48) as clients:
        roots = clients.map(lambda number: check_root(base, number), range(300))
        devices = clients.map(lambda number: check_shout(base, number), range(300))
        list(roots)
        devices = set(devices)
    assert len(devices) > 1, f"only device {devices} of three has worked"
    for path in ["/square_root/four", "/shout/1", "/", "/square_root/-1"]:
        assert get(base + path)[0] == 404, path

_, roots, shouts = re.split(r"\n(?:square_root|shout)\n", server.log())
assert 2 <= most_in_a_batch(roots) <= 32, roots
assert 2 <= most_in_a_batch(shouts) <= 8, shouts
