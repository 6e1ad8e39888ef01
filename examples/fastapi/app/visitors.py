"""Visitors, for the tutorial: many at once, each asks again and again.

    python -m app.visitors [--seconds 5] [--visitors 40] [--path /slow] ADDRESS...

Out: one line, `200: 812, 503: 37`. Standard library only, and no database: it opens none of the app's connections.
"""

import argparse
import asyncio
import itertools
import time
from collections import Counter

# What is counted instead of a status when no answer came: the pod is gone, or is going.
NO_ANSWER = "no answer"


async def ask(address: str, path: str) -> str:
    """The status of one request, on a connection of its own, so that all workers get some."""
    try:
        reader, writer = await asyncio.open_connection(address, 8000)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).split()
        await reader.read()
        writer.close()
        return status[1].decode() if len(status) > 1 else NO_ANSWER
    except OSError:
        return NO_ANSWER


async def visit(addresses: itertools.cycle, path: str, until: float, seen: Counter) -> None:
    while time.monotonic() < until:
        seen[await ask(next(addresses), path)] += 1


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--visitors", type=int, default=40)
    parser.add_argument("--path", default="/slow")
    parser.add_argument("address", nargs="+")
    given = parser.parse_args()
    until, seen = time.monotonic() + given.seconds, Counter()
    addresses = itertools.cycle(given.address)
    await asyncio.gather(*(visit(addresses, given.path, until, seen) for _ in range(given.visitors)))
    print(", ".join(f"{status}: {count}" for status, count in sorted(seen.items())))


asyncio.run(main())
