"""Those who visit `web`: a second container of its pod, with more requests at once than all pools have connections.

In:  the address of the pod. Out: requests, and the line that the first one was answered well.
"""

import asyncio
import os
import signal

import report
import work

VISITORS = 40
REQUEST = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"


async def visit():
    """One request: whether it was answered with 200."""
    reader, writer = await asyncio.open_connection(os.environ["POD_IP"], 8000)
    try:
        writer.write(REQUEST)
        return (await reader.read()).startswith(b"HTTP/1.1 200")
    finally:
        writer.close()


async def visitor(answered):
    while True:
        try:
            well = await visit()
        # The server is about to start or to stop.
        except OSError:
            well = False
        if well and not answered.is_set():
            answered.set()
            report.ready()
        await asyncio.sleep(work.pause() if well else work.PATIENCE)


async def main():
    answered = asyncio.Event()
    visitors = [asyncio.create_task(visitor(answered)) for _ in range(VISITORS)]
    leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave.set)
    await leave.wait()
    for task in visitors:
        task.cancel()


asyncio.run(main())
