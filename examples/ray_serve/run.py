"""run.py PROGRAMS: a Ray cluster on this machine, with both models; a C++ client and a FastAPI application
outside of it, that call both. PROGRAMS is the directory of the C++ programs.

With --serve it then waits for Ctrl-C, so that you can ask, too. Everything it started is stopped.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import yaml

import cluster
from processes import ask, free_port, running, wait_for

HERE = pathlib.Path(__file__).resolve().parent
FASTAPI = HERE.parent / "fastapi"
APPLICATIONS = {"models": "in C++", "digits_numpy": "in Python"}


def ask_from_cpp(programs, address):
    for application, language in APPLICATIONS.items():
        print(f"A C++ client asks {application}, the model {language}:")
        client = [programs / "digits_client", address, application]
        answers = subprocess.run(client, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
        print("  " + answers.stdout.strip().replace("\n", "\n  "))


@contextlib.contextmanager
def web_application(address):
    """On the system's Python, which knows nothing of Ray; its URL."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = ["/usr/bin/python3", "-B", "-m", "uvicorn", "web:app", "--port", str(port)]
    environment = {
        **os.environ,
        "MODELS": address,
        "PYTHONPATH": os.pathsep.join(map(str, [HERE, FASTAPI, cluster.HANDLE])),
    }
    command += ["--workers", "2", "--log-level", "warning"]
    with running(command, env=environment) as process:
        wait_for("The web application", lambda: answers(f"{url}/num/4"), process)
        yield url


def answers(url):
    try:
        return ask(url)[0] == 200
    except OSError:
        return False


def ask_over_http(url):
    line = (HERE.parent / "digits" / "digits.csv").read_text().split()[-1].split(",")
    image, label = {"pixels": [float(pixel) for pixel in line[:-1]]}, int(line[-1])
    print(f"A FastAPI application asks for a picture of a {label}:")
    for route in ("/digit", "/digit/numpy"):
        status, answer = ask(f"{url}{route}", image)
        print(f"  POST {route}: {answer}")
        assert status == 200 and answer["digit"] == label, (status, answer)
    print(f"  GET /num/9: {ask(f'{url}/num/9')[1]}")


def stop_on_signal(*_):
    raise KeyboardInterrupt


def main(programs, serve=False):
    signal.signal(signal.SIGTERM, stop_on_signal)
    sys.stdout.reconfigure(line_buffering=True)
    config = yaml.safe_load((HERE / "serve.yaml").read_text())
    with cluster.Cluster(path=[programs]) as ray:
        ray.deploy(config)
        for application in APPLICATIONS:
            print(f"On Ray Serve: {application}, replicas: {len(ray.replicas(application))}")
        ask_from_cpp(programs, ray.address)
        with web_application(ray.address) as url:
            ask_over_http(url)
            if serve:
                print(f"Try: curl {url}/num/9    Stop: Ctrl-C")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", metavar="PROGRAMS", type=pathlib.Path)
    parser.add_argument("--serve", action="store_true", help="wait for Ctrl-C at the end")
    options = parser.parse_args()
    main(options.programs.resolve(), options.serve)
