"""The application: `gunicorn --worker-class uvicorn_worker.UvicornWorker --workers 4 app.main:app`.

In:  requests. Out: answers; 503 while the database has no connection for this process. It never ends because the
database is full: a restart would only ask for the same connections again.
"""

import asyncio
import logging
import sys
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

logging.basicConfig(
    stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s [%(process)d] %(message)s"
)
log = logging.getLogger("shop")

from app import __version__, database, routes, settings  # noqa: E402  they log when they are imported


@asynccontextmanager
async def lifespan(_: FastAPI):
    # Beside the requests, so that /health can say that the app is not ready yet.
    connecting = asyncio.create_task(database.connect())
    app.state.connected = False
    connecting.add_done_callback(connected)
    yield
    connecting.cancel()
    await database.dispose()


def connected(task: asyncio.Task) -> None:
    """Opens the readiness once the database has answered; anything unexpected is in the log."""
    if task.cancelled():
        return
    if task.exception() is None:
        app.state.connected = True
    else:
        log.error("the connection test has ended", exc_info=task.exception())


app = FastAPI(title="shop", version=__version__, lifespan=lifespan)
app.include_router(routes.of_async if settings.is_async() else routes.of_sync)


@app.get("/health")
async def health(response: Response) -> dict:
    """Readiness: 503 until the first connection of this process was answered.

    It opens no connection: a probe must not need a slot of a full pool, and a ready pod stays ready.
    """
    ready = app.state.connected
    response.status_code = 200 if ready else 503
    numbers = database.watch.numbers()
    pool = {name: numbers[name] for name in ("size", "checked_out", "overflow")}
    return {
        "status": "healthy" if ready else "starting",
        "version": __version__,
        "database": {"status": "connected" if ready else "connecting", "pool": pool},
    }


@app.get("/debug/db-pool")
async def db_pool() -> dict:
    """The pool of the process that answers; poolbudget asks for it (annotation `poolbudget.dev/pool-status`)."""
    return {"status": "ok", "pool": database.watch.numbers()}


@app.exception_handler(OperationalError)
async def refused(_: Request, error: OperationalError) -> JSONResponse:
    """The database refused a connection, or lost one."""
    log.error("database_error said=%s", database.said(error))
    return JSONResponse({"detail": "the database is not available"}, 503, {"Retry-After": "1"})


@app.exception_handler(PoolTimeout)
async def exhausted(_: Request, error: PoolTimeout) -> JSONResponse:
    """All connections of this process were in use for DB_POOL_TIMEOUT seconds: nobody's limit but the app's own."""
    log.error("db_pool_timeout said=%s", database.said(error))
    return JSONResponse({"detail": "all connections of this process are in use"}, 503, {"Retry-After": "1"})
