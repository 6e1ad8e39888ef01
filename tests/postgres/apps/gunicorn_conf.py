"""How gunicorn runs `web`: four processes, each with more threads than its pool has connections."""

import os

bind = f"{os.environ['POD_IP']}:8000"
workers = 4
worker_class = "gthread"
threads = 16
# The graceful end of a worker; longer than any request.
graceful_timeout = 20
keepalive = 0


def worker_exit(server, worker):
    import report
    import web

    web.engine.dispose()
    report.flush()
