"""run.py MODEL_PROGRAM [WORKERS]: starts the model and the web application, and shows that they meet.

With --serve it then waits for Ctrl-C, so that you can ask, too. Everything it started is stopped.
"""

import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # also where Python is isolated
from processes import ask, free_port, running, wait_for  # noqa: E402

DIGITS = HERE.parent / "digits" / "digits.csv"
HANDLE = HERE.parent / "python"


def answers(url):
    try:
        return ask(f"{url}/num/4")[0] == 200
    except OSError:
        return False


def ask_for_roots(url, clients, workers):
    """Until a batch has mixed requests of different workers, or for 30 s; the answers."""
    got = []
    end = time.monotonic() + 30
    while time.monotonic() < end:
        more = list(clients.map(lambda num: (num, *ask(f"{url}/num/{num}")), range(400)))
        got += more
        if max(answer["batch_workers"] for _, _, answer in more) >= min(2, workers):
            break
    for num, status, answer in got:
        assert status == 200 and abs(answer["root"] ** 2 - num) < 1e-6, (num, status, answer)
    return [answer for _, _, answer in got]


def ask_for_digits(url, clients):
    """How many of the last 200 digits are recognised."""
    lines = [line.split(",") for line in DIGITS.read_text().split()[-200:]]
    bodies = [{"pixels": [float(pixel) for pixel in line[:-1]]} for line in lines]
    got = list(clients.map(lambda body: ask(f"{url}/digit", body), bodies))
    assert all(status == 200 for status, _ in got), got
    return sum(answer["digit"] == int(line[-1]) for (_, answer), line in zip(got, lines)), len(lines)


def show(url, workers):
    with concurrent.futures.ThreadPoolExecutor(32) as clients:
        roots = ask_for_roots(url, clients, workers)
        right, of = ask_for_digits(url, clients)
    most = max(answer["batch_workers"] for answer in roots)
    largest = max(answer["batch_items"] for answer in roots)
    mixed = sum(answer["batch_workers"] > 1 for answer in roots)
    print(f"GET /num/{{num}}: {len(roots)} requests; {mixed} of them were answered in a batch with those of")
    print(f"  another worker. A batch had up to {largest} requests, of up to {most} workers.")
    print(f"POST /digit: {right} of {of} digits are right.")
    status, answer = ask(f"{url}/num/-4")
    print(f"GET /num/-4: status {status}, {answer['detail']}.")
    too_late, _ = ask(f"{url}/num/9", headers={"X-Request-Timeout": "0.000001"})
    print(f"GET /num/9, to be answered within a microsecond: status {too_late}.")
    assert most >= min(2, workers), "no batch held the requests of two workers"
    assert right >= 0.95 * of and status == 422 and too_late == 504


def stop_on_signal(*_):
    raise KeyboardInterrupt


def main(model, workers=4, serve=False):
    signal.signal(signal.SIGTERM, stop_on_signal)
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "models.sock"
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        web = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)]
        web += ["--workers", str(workers), "--log-level", "warning"]
        environment = dict(
            os.environ,
            MODELS=f"unix:{path}",
            PYTHONPATH=str(HANDLE),  # as if it were installed
            PYTHONDONTWRITEBYTECODE="1",
        )
        # The web application is stopped first, so that no request finds its model gone.
        with running([model, f"unix:{path}"]) as model_process:
            wait_for("The model", path.exists, model_process)
            with running(web, cwd=HERE, env=environment) as web_process:
                wait_for("The web application", lambda: answers(url), web_process)
                print(f"The web application: {url}, {workers} workers")
                show(url, workers)
                if serve:
                    print(f"Try: curl {url}/num/9    Stop: Ctrl-C")
                    with contextlib.suppress(KeyboardInterrupt):
                        signal.pause()
        if model_process.returncode != 0:
            sys.exit(f"The model ended with {model_process.returncode}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", metavar="MODEL_PROGRAM")
    parser.add_argument("workers", metavar="WORKERS", nargs="?", type=int, default=4)
    parser.add_argument("--serve", action="store_true", help="wait for Ctrl-C at the end")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error("there has to be a worker")
    main(options.model, options.workers, options.serve)
