"""An application of tasks: SQLAlchemy's asynchronous engine over asyncpg.

In:  the pod's environment. Out: queries, and lines of `report`. SIGTERM lets every worker end what it does.
"""

import asyncio
import signal

import report
import work
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError
from sqlalchemy.ext.asyncio import create_async_engine


async def ask(engine):
    async with engine.connect() as connection:
        await connection.execute(text(work.QUERY))


async def hammer(engine, stopping, answered):
    while not stopping.is_set():
        try:
            await ask(engine)
        except TimeoutError:
            report.waited_in_vain()
        # Errors of connecting come as asyncpg raised them, of several families.
        except Exception as error:
            report.error(error)
            await asyncio.sleep(work.PATIENCE)
        else:
            if not answered.is_set():
                answered.set()
                report.ready()
            report.query()
            await asyncio.sleep(work.pause())


async def main():
    engine = create_async_engine(
        work.url("asyncpg"), pool_size=work.POOL_SIZE, max_overflow=work.MAX_OVERFLOW
    )
    stopping, answered = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await asyncio.gather(*(hammer(engine, stopping, answered) for _ in range(work.WORKERS)))
    await engine.dispose()
    report.flush()


asyncio.run(main())
