"""A PostgreSQL server that is stopped and started again under the load of an example that answers lines."""

import collections
import re
import time

from typing_lines import Typing

# What libpq and the server say when there is no connection, or no longer one.
LOST = re.compile(
    "terminating connection|server closed the connection|connection to server|shutting down|starting up|recovery mode"
)


def asked_over_an_outage(program, server, stop, is_right, line_of, again=False):
    """Asks line_of(0), line_of(1), ... with many at a time. After 2,000 right answers the server is stopped, after 500
    errors it is started again, and 2,000 more right answers are awaited. With `again` a line that got an error is asked
    until it gets a right answer. The right answers."""
    right, errors, repeat, sent = [], collections.Counter(), collections.deque(), 0
    stopped_at = started_at = None

    def lines():
        nonlocal sent
        while started_at is None or len(right) < started_at + 2000:
            if repeat:
                yield repeat.popleft()
            else:
                yield line_of(sent)
                sent += 1
        while again and len(right) < sent:  # those that are still unanswered may fail, too
            if repeat:
                yield repeat.popleft()
            else:
                time.sleep(0.01)

    with Typing(program, server.where, "-") as typing:
        for answer in typing.keep_asking(lines(), seconds=60):
            if is_right(answer):
                right.append(answer)
            else:
                line, _, error = answer.partition(": ")
                assert LOST.search(error), answer
                errors[error] += 1
                repeat.append(line)
            if stopped_at is None and len(right) == 2000:
                stopped_at = len(right)
                stop()
            elif started_at is None and errors.total() >= 500:
                server.start()
                started_at = len(right)
    assert started_at and len(right) >= started_at + 2000, (len(right), started_at, errors)
    print(f"{len(right)} right answers, and errors over the outage:", dict(errors))
    return right
