"""An application of threads: SQLAlchemy's QueuePool over psycopg.

In:  the pod's environment. Out: queries, and lines of `report`. SIGTERM lets every worker end what it does.
"""

import signal
import threading

import report
import work
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, TimeoutError

engine = create_engine(work.url("psycopg"), pool_size=work.POOL_SIZE, max_overflow=work.MAX_OVERFLOW)
stopping = threading.Event()
first = threading.Lock()


def ask():
    with engine.connect() as connection:
        connection.execute(text(work.QUERY))


def hammer():
    while not stopping.is_set():
        try:
            ask()
        except TimeoutError:
            report.waited_in_vain()
        except DBAPIError as error:
            report.error(error)
            stopping.wait(work.PATIENCE)
        else:
            # Never released: the first to take it tells.
            if first.acquire(blocking=False):
                report.ready()
            report.query()
            stopping.wait(work.pause())


# Before any thread is there, so that the signal waits for this one.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
workers = [threading.Thread(target=hammer) for _ in range(work.WORKERS)]
for worker in workers:
    worker.start()
signal.sigwait({signal.SIGTERM})
stopping.set()
for worker in workers:
    worker.join()
engine.dispose()
report.flush()
