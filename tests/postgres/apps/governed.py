"""Clients of a governor: drivers and pools as apps use them.

In:  the name of a part, the port, and what it needs. Out: one line of JSON for each step; where a step waits, a line on
standard input lets it go on.
"""

import hashlib
import json
import sys
import threading
import time

import psycopg
from psycopg import errors
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

PART, PORT, *REST = sys.argv[1:]
PLAIN = {"host": "127.0.0.1", "sslmode": "disable"}
URL = f"postgresql+psycopg://app:s3cr3t@127.0.0.1:{PORT}/app?sslmode=disable"


def tell(**facts):
    print(json.dumps(facts), flush=True)


def go_on():
    sys.stdin.readline()


def connect(**how):
    return psycopg.connect(port=PORT, user="app", password="s3cr3t", dbname="app", autocommit=True, **how)


def verified():
    """As an app with all safety on: the name of the certificate, and a channel that nobody stands in."""
    how = {"host": REST[0], "hostaddr": "127.0.0.1", "sslrootcert": REST[1]}
    return connect(**how, sslmode="verify-full", channel_binding="require")


def null_pool():
    """Thirty threads, each of which opens a connection for each query."""
    engine = create_engine(URL, poolclass=NullPool)
    end, failed, queries = time.monotonic() + float(REST[0]), [], []

    def ask():
        while time.monotonic() < end:
            try:
                with engine.connect() as connection:
                    connection.execute(text("select pg_sleep(0.02)"))
                queries.append(1)
            except Exception as error:
                failed.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(queries=len(queries), failed=failed[:3])


def pool():
    """A pool of five connections with pre-ping, all of which are open and idle."""
    engine = create_engine(URL, pool_size=5, max_overflow=0, pool_pre_ping=True)
    connections = [engine.connect() for _ in range(5)]
    for connection in connections:
        connection.execute(text("select 1"))
    for connection in connections:
        connection.close()
    tell(open=5)
    go_on()
    for _ in range(8):
        with engine.connect() as connection:
            connection.execute(text("select 1"))
    tell(queries=8)


def much(connection):
    """COPY in both directions, and a result of 200 megabytes."""
    rows = "".join(f"{n}\t{'row ' * 20}{n}\n" for n in range(100_000)).encode()
    connection.execute("create temporary table copied (n int, words text)")
    with connection.cursor().copy("copy copied from stdin") as copy:
        copy.write(rows)
    with connection.cursor().copy("copy copied to stdout") as copy:
        back = b"".join(bytes(part) for part in copy)
    same = hashlib.sha256(rows).digest() == hashlib.sha256(back).digest()
    size, started = 0, time.monotonic()
    cursor = connection.cursor()
    for (part,) in cursor.stream("select repeat('x', 1000000) from generate_series(1, 200)"):
        size += len(part)
    tell(same=same, size=size, seconds=round(time.monotonic() - started, 2))


def plain():
    with connect(**PLAIN) as connection:
        much(connection)


def tls():
    with verified() as connection:
        (encrypted,) = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
        tell(ssl=encrypted)
        much(connection)


def listen():
    with connect(**PLAIN) as listener, connect(**PLAIN) as speaker:
        listener.execute("listen news")
        speaker.execute("notify news, 'here'")
        heard = [notify.payload for notify in listener.notifies(timeout=20, stop_after=1)]
    tell(heard=heard)


def cancel():
    """A query that is cancelled while every connection is in use."""
    with connect(**PLAIN) as connection:
        threading.Timer(1, connection.cancel_safe).start()
        try:
            connection.execute("select pg_sleep(60)")
            tell(cancelled=False)
        except errors.QueryCanceled:
            tell(cancelled=True)


def sleep():
    with connect(**PLAIN) as connection:
        connection.execute(f"select pg_sleep({REST[0]})")


def refused():
    """What a client is told, without TLS and as it comes."""
    for how in ({"sslmode": "disable"}, {}):
        try:
            connect(host="127.0.0.1", **how)
            tell(told=None)
        except psycopg.OperationalError as error:
            tell(told=str(error))


{
    "null_pool": null_pool, "pool": pool, "plain": plain, "tls": tls, "listen": listen, "cancel": cancel,
    "sleep": sleep, "refused": refused,
}[PART]()
