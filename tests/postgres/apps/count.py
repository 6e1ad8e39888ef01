"""Counts what a server holds, many times a second, by the server's own word.

In:  the folder of PostgreSQL's socket and its port; with a pooler also the port of PgBouncer.
Out: lines {"at": seconds since 1970, "backends": of the role `app`, "clients": of PgBouncer, else null}.
It connects as a superuser, in a slot that no application can take, and keeps its connections.
"""

import json
import os
import sys
import time

import psycopg

PACE = 0.05
BACKENDS = "select count(*) from pg_stat_activity where usename = 'app' and backend_type = 'client backend'"


def clients(console):
    """Clients of all pools of the database `app`: those with a server, and those that wait for one."""
    cursor = console.execute("SHOW POOLS")
    names = [column.name for column in cursor.description]
    pools = [dict(zip(names, row)) for row in cursor.fetchall()]
    return sum(int(pool["cl_active"]) + int(pool["cl_waiting"]) for pool in pools if pool["database"] == "app")


def main(socket, port, pooler=None):
    server = psycopg.connect(host=socket, port=port, user="postgres", dbname="postgres", autocommit=True)
    console = pooler and psycopg.connect(
        host="127.0.0.1", port=pooler, user="observer", dbname="pgbouncer", autocommit=True,
        cursor_factory=psycopg.ClientCursor,
    )
    due = time.monotonic()
    while True:
        (backends,) = server.execute(BACKENDS).fetchone()
        line = {"at": time.time(), "backends": backends, "clients": clients(console) if console else None}
        os.write(1, (json.dumps(line) + "\n").encode())
        # A sample that came late delays the next ones; it does not make them many at once.
        due = max(due + PACE, time.monotonic())
        time.sleep(max(due - time.monotonic(), 0))


main(*sys.argv[1:])
