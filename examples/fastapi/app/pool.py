"""How full the pool of this process is.

In:  the pool of an engine, sync or async. Out: its numbers, and a warning above 80 %.
Every worker process has a pool of its own: these numbers are those of the process that answers.
"""

import logging
import time

from sqlalchemy import event
from sqlalchemy.pool import QueuePool

log = logging.getLogger("shop")

# Above this part of the pool a warning is due.
HIGH = 0.8
# Seconds between two warnings in the log.
PACE = 60.0


class Watch:
    """The numbers of one pool."""

    def __init__(self, pool: QueuePool, max_connections: int):
        self.pool = pool
        self.max_connections = max_connections
        self._warned: float | None = None
        # At each checkout, the only moment at which utilization rises.
        event.listen(pool, "checkout", self._checked_out)

    def numbers(self) -> dict:
        """The numbers that /debug/db-pool shows."""
        pool = self.pool
        return {
            "size": pool.size(),
            "checked_out": pool.checkedout(),
            # SQLAlchemy counts from -pool_size up: negative until the pool is full.
            "overflow": max(0, pool.overflow()),
            "checked_in": pool.checkedin(),
            "max_connections": self.max_connections,
            "warning": self.warning(),
        }

    def warning(self) -> str | None:
        """A sentence if more than 80 % of the connections are in use."""
        out = self.pool.checkedout()
        if out <= HIGH * self.max_connections:
            return None
        return f"{out} of {self.max_connections} connections are checked out"

    def _checked_out(self, *_) -> None:
        warning = self.warning()
        now = time.monotonic()
        if warning is None or (self._warned is not None and now - self._warned < PACE):
            return
        self._warned = now
        log.warning("high_db_pool_utilization %s", warning)
