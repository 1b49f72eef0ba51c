"""server.py PROGRAM [ARGUMENT...]: runs it with a PostgreSQL server of its own, and stops that when it ends.

The program's first argument is where the server is, in libpq's words. The server listens on a unix socket in a temporary
folder, which holds all it stores (TMPDIR says on which disk) and goes with it; it is a child of this process and ends with
it. As root it runs as another user, since PostgreSQL refuses to be root.
"""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time


def programs():
    """The folder with initdb and postgres; None without them."""
    found = [shutil.which("initdb")] if shutil.which("initdb") else []
    found += sorted(map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")))  # Debian's
    return os.path.dirname(found[-1]) if found else None


def other_user():
    """How to start a process as somebody else, for root."""
    if os.geteuid() != 0:
        return {}
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Server:
    """In a `with`: a server that runs. `where` is for libpq."""

    def __init__(self):
        self._programs = programs()
        if self._programs is None:
            raise SystemExit("PostgreSQL's server is missing (Debian: apt-get install postgresql)")
        self._user = other_user()
        self._folder = tempfile.TemporaryDirectory(prefix="batcher-")
        self._data = f"{self._folder.name}/data"
        self._process = None
        quiet = "options='-c client_min_messages=error'"
        self.where = f"host={self._folder.name} user=batcher dbname=postgres {quiet}"

    def __enter__(self):
        try:
            if self._user:
                os.chown(self._folder.name, self._user["user"], self._user["group"])
            options = ["--username=batcher", "--auth=trust", "--encoding=UTF8", "--no-locale"]
            self._run("initdb", f"--pgdata={self._data}", *options)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        self._folder.cleanup()

    def start(self):
        settings = {"listen_addresses": "", "unix_socket_directories": self._folder.name}
        command = ["setpriv", "--pdeathsig", "INT", f"{self._programs}/postgres", "-D", self._data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open(f"{self._folder.name}/log", "a") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", start_new_session=True, **self._user
            )
        end = time.monotonic() + 60
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise SystemExit("PostgreSQL did not start:\n" + self.log())
            time.sleep(0.05)

    def stop(self):
        """Calls that run are told; what was committed stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
            self._process.wait(timeout=60)
            self._process = None

    def kill(self):
        """As if the machine had stopped, but for what the system still writes to the disk."""
        self._process.send_signal(signal.SIGQUIT)  # "immediate shutdown", without any cleaning up
        self._process.wait(timeout=60)
        self._process = None

    def query(self, sql):
        """The rows, each a list of strings."""
        command = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--field-separator=\t"]
        rows = self._run(*command, "--command", sql, self.where).splitlines()
        return [row.split("\t") for row in rows]

    def log(self):
        return pathlib.Path(f"{self._folder.name}/log").read_text()

    def _ready(self):
        """The last line of this file says so."""
        try:
            lines = pathlib.Path(f"{self._data}/postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready"

    def _run(self, program, *arguments):
        command = [f"{self._programs}/{program}", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd="/", timeout=120, **self._user
        )
        if done.returncode != 0:
            raise SystemExit(f"{program} failed: {done.stderr}")
        return done.stdout


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Server() as server:
        return subprocess.run([sys.argv[1], server.where, *sys.argv[2:]]).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
