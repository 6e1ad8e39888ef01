"""The engine of this process, asynchronous or synchronous, and the session of a request.

In:  the settings. Out: `get_db` and `get_async_db` for routes, `connect` for the start, `watch` for the numbers.
One process has one engine, so one pool. An app that uses both kinds at once has two pools in each process: it needs the
annotation `poolbudget.dev/engines: "2"`.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from app import settings
from app.pool import Watch

log = logging.getLogger("shop")

_arguments = settings.pool_arguments() | {"connect_args": settings.connect_arguments()}
# Neither opens a connection yet. gunicorn imports this in each worker, after the fork, so no two share a socket: do not
# use --preload with an engine that was used before the fork.
if settings.is_async():
    engine = create_async_engine(settings.url(), **_arguments)
    _AsyncSession = async_sessionmaker(engine, expire_on_commit=False)
else:
    engine = create_engine(settings.url(), **_arguments)
    _Session = sessionmaker(engine, expire_on_commit=False)

watch = Watch(engine.pool, _arguments["pool_size"] + _arguments["max_overflow"])


async def get_async_db() -> AsyncIterator[AsyncSession]:
    """The session of one request: committed if the route succeeds, rolled back if not, closed in any case."""
    session = _AsyncSession()
    try:
        yield session
        await session.commit()
    except BaseException:
        await session.rollback()
        # Raised again: a dependency that swallows it would answer 200 for what was not stored.
        raise
    finally:
        await session.close()


def get_db() -> Iterator[Session]:
    """The same with the synchronous engine."""
    session = _Session()
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.close()


async def connect() -> None:
    """Tries the database until it answers. The pod is not ready before that."""
    attempt = 0
    while True:
        attempt += 1
        try:
            if settings.is_async():
                async with engine.connect() as connection:
                    await connection.execute(text("select 1"))
            else:
                await asyncio.to_thread(_connect)
        except (DBAPIError, PoolTimeout, OSError) as error:
            log.warning("database_not_ready attempt=%d said=%s", attempt, said(error))
            # 1, 2, 4, 5, 5, … seconds, and a part of one, so that the workers of all pods do not knock together.
            await asyncio.sleep(min(2 ** (attempt - 1), 5) + random.random())
        else:
            log.info("database_connected attempt=%d", attempt)
            return


def _connect() -> None:
    with engine.connect() as connection:
        connection.execute(text("select 1"))


async def dispose() -> None:
    """Closes the connections of this process."""
    if settings.is_async():
        await engine.dispose()
    else:
        engine.dispose()


def said(error: BaseException) -> str:
    """What the server or the driver said, in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
