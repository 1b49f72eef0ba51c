"""install_test.py SERVER PACKAGE: `pip install` from a copy of the package's folder, where nothing else is, with the
newest gRPC, MessagePack and protobuf; then all tests of the handle with what that has installed. Skipped where PyPI
cannot be reached."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
HERE = pathlib.Path(__file__).resolve().parent
NEEDED = ["grpcio", "msgpack", "protobuf", "setuptools>=61", "wheel"]
TESTS = ["handle_test.py", "asked_test.py", "proxy_test.py", "faults_test.py"]


def skip(reason):
    print(f"Skipped: {reason}")
    sys.exit(SKIPPED)


def main(server, package, directory):
    # No module of this project is found, and while pip installs no program, such as protoc.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    without_programs = {**environment, "PATH": ""}
    venv = subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=False)
    if venv.returncode:
        skip("virtual environments cannot be made (Debian: apt-get install python3-venv).")
    python = directory / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--retries=1"]
    if subprocess.run([*pip, *NEEDED], env=without_programs, check=False).returncode:
        skip("PyPI cannot be reached.")
    alone = directory / "alone"
    shutil.copytree(package, alone)
    subprocess.run([*pip, "."], cwd=alone, env=without_programs, check=True)
    shutil.rmtree(alone)
    subprocess.run([python, "-m", "pip", "list"], check=True)
    for test in TESTS:
        command = [python, "-B", HERE / test, server]
        subprocess.run(command, cwd=directory, env=environment, check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(*map(pathlib.Path, [*sys.argv[1:3], temporary]))
