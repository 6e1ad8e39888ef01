"""An application of processes: WSGI for gunicorn, with a pool in each worker.

In:  requests, and the pod's environment. Out: answers (503 when the database had none), and lines of `report`.
"""

import threading

import report
import work
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, TimeoutError

# Every worker imports this by itself, so no two processes share a socket.
engine = create_engine(work.url("psycopg"), pool_size=work.POOL_SIZE, max_overflow=work.MAX_OVERFLOW)
first = threading.Lock()


def app(environ, start_response):
    try:
        with engine.connect() as connection:
            connection.execute(text(work.QUERY))
    except TimeoutError:
        report.waited_in_vain()
        return answer(start_response, "503 Service Unavailable")
    except DBAPIError as error:
        report.error(error)
        return answer(start_response, "503 Service Unavailable")
    # Never released: the first to take it tells.
    if first.acquire(blocking=False):
        report.ready()
    report.query()
    return answer(start_response, "200 OK")


def answer(start_response, status):
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []
