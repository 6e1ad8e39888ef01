"""What an application tells the kubelet that runs it: one JSON object per line on standard output.

In:  what happened. Out: lines such as {"at": 1767225600.1, "did": "refused", "said": "..."}; `at` is seconds since 1970.
A line is one write, so that lines of several processes of one pod do not mix.
"""

import json
import os
import threading
import time

# What a server says that has no room: PostgreSQL when it is full, PostgreSQL when only superusers get in, PgBouncer.
REFUSALS = ("too many clients already", "connection slots are reserved", "no more connections allowed")

# Between two lines about queries.
PACE = 0.1

_lock = threading.Lock()
_queries = 0
_told = time.monotonic()


def ready():
    """The first query was answered."""
    _say("ready")


def query():
    """A query was answered."""
    global _queries
    with _lock:
        _queries += 1
        due = time.monotonic() - _told >= PACE
    if due:
        flush()


def waited_in_vain():
    """The pool had no connection to give within its own time-out: nobody's limit but the app's own."""
    _say("waited")


def error(error):
    """A connection or a query failed."""
    said = " ".join(repr(error).split())
    _say("refused" if any(words in said for words in REFUSALS) else "failed", said=said)


def flush():
    """Tells what has not been told yet."""
    global _queries, _told
    with _lock:
        count, _queries, _told = _queries, 0, time.monotonic()
    if count:
        _say("queries", count=count)


def _say(did, **more):
    line = json.dumps({"at": time.time(), "did": did, **more}) + "\n"
    os.write(1, line.encode())
