"""An application of long queries: as many threads as it may open connections, each of them always in a query.

In:  the pod's environment. QUERY_SECONDS: how long the longest query runs. ON_SIGTERM: `ignore`, or else it ends a
     second later, in the middle of its queries.
Out: queries, and lines of `report`.
The queries of all pods end together, whenever the clock shows a multiple of QUERY_SECONDS: so somebody who ends a pod
just after knows for how long its queries go on without it.
"""

import os
import signal
import threading
import time

import psycopg
import report
import work

SECONDS = int(os.environ["QUERY_SECONDS"])
QUERY = f"select pg_sleep({SECONDS} - mod(extract(epoch from clock_timestamp())::numeric, {SECONDS}))"

# Seconds until a thread that met an error tries again: soon, so that it asks while the queries of others go on.
PATIENCE = 0.5

first = threading.Lock()


def hold():
    """Opens a connection and asks on it for as long as it holds."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        # Never released: the first to take it tells. A query would be answered much later.
        if first.acquire(blocking=False):
            report.ready()
        while True:
            connection.execute(QUERY)
            report.query()


def work_on():
    while True:
        try:
            hold()
        except psycopg.Error as error:
            report.error(error)
            time.sleep(PATIENCE)


# Before any thread is there, so that the signal waits for this one.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
for _ in range(work.POOL_SIZE + work.MAX_OVERFLOW):
    threading.Thread(target=work_on, daemon=True).start()
signal.sigwait({signal.SIGTERM})
while os.environ.get("ON_SIGTERM") == "ignore":
    signal.sigwait({signal.SIGTERM})
time.sleep(1)
# At once: whatever waits for an answer of the server is not waited for.
os._exit(0)
