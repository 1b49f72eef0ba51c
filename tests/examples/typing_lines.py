"""An example that answers the lines it reads, as a process; and the tables that it prints when it measures."""

import re
import subprocess
import threading
import time


class Typing:
    """The process, until the end of a `with`: then it is killed, whatever it is doing."""

    def __init__(self, *command, most=200):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._may_ask = threading.Semaphore(most)  # so many lines are unanswered at a time

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def ask_all(self, lines):
        """The answers, once all of them are there; the process ends with its input."""
        answers, _ = self._process.communicate("".join(line + "\n" for line in lines), timeout=60)
        assert self._process.returncode == 0, self._process.returncode
        return answers.splitlines()

    def keep_asking(self, lines, seconds):
        """Asks line after line, and yields the answers, until the process ends with its input, or after so many seconds is
        killed; what it had answered by then is still yielded."""
        asking = threading.Thread(target=self._ask, args=(lines,))
        asking.start()
        killing = threading.Timer(seconds, self._process.kill)
        started = False
        for answer in self._process.stdout:
            if not started:  # the time starts when it is at work
                killing.start()
                started = True
            self._may_ask.release()
            if answer.endswith("\n"):
                yield answer[:-1]
        killing.cancel()
        self._process.wait()
        self._may_ask.release()  # to find out
        asking.join(timeout=60)
        assert not asking.is_alive()

    def _ask(self, lines):
        try:
            for line in lines:
                self._may_ask.acquire()
                self._process.stdin.write(line + "\n")
            self._process.stdin.close()
        except OSError:
            pass  # it has been killed


def measured(program, where):
    """Measures for a moment. For each table: how many calls have failed in each of its lines."""
    command = [program, where, "0.1"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    print(done.stdout)
    tables = []
    for line in done.stdout.splitlines():
        if line.endswith("failed"):
            tables.append({})
        elif match := re.fullmatch(r"(\S.*?)  +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +(\d+)", line):
            tables[-1][match[1]] = int(match[2])
    assert len(tables) >= 3 and all(tables), done.stdout
    wrong = subprocess.run([program, where, "soon"], stderr=subprocess.PIPE, text=True, timeout=60)
    assert wrong.returncode == 2 and "usage: " in wrong.stderr, wrong
    return tables
