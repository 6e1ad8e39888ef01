"""A client with one connection: idle, or in the query that is named.

In:  DATABASE_URL, and a query or nothing as the argument. Out: nothing. SIGTERM closes the connection of an idle one.
"""

import os
import signal
import sys

import psycopg

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
    for query in sys.argv[1:]:
        connection.execute(query)
    signal.sigwait({signal.SIGTERM})
