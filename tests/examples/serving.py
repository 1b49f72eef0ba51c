"""A server as a process: started, waited for, and stopped by its id."""

import contextlib
import subprocess
import tempfile
import time


class Server:
    """What was started. `log()`: what it has printed so far."""

    def __init__(self, command):
        self._out = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(command, stdout=self._out)

    def log(self):
        self._out.seek(0)
        return self._out.read()

    def printed(self, beginning, seconds=60):
        """The rest of the first line that begins so, once it is there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            for line in self.log().split("\n")[:-1]:
                if line.startswith(beginning):
                    return line[len(beginning) :]
            time.sleep(0.02)
        raise AssertionError(f"no line begins with {beginning!r}:\n{self.log()}")

    def stop(self):
        """SIGTERM; it has to end by itself, well."""
        self._process.terminate()
        code = self._process.wait(timeout=30)
        assert code == 0, f"the server ended with {code}:\n{self.log()}"

    def kill(self):
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def serving(*command):
    server = Server(command)
    try:
        yield server
        server.stop()
    finally:
        server.kill()
    print(server.log())
