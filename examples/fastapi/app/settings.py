"""What the environment says.

In:  DATABASE_URL, DB_ENGINE (async or sync), DB_POOL_SIZE, DB_MAX_OVERFLOW, DB_POOL_TIMEOUT, DB_POOL_RECYCLE.
Out: values that are safe to use. One log line per process says which values were taken, and from where.
"""

import logging
import os

from sqlalchemy import URL, make_url

log = logging.getLogger("shop")

# Small on purpose. Without poolbudget (or with a typing error) an app should open too few connections, not too many.
POOL_SIZE = 1
MAX_OVERFLOW = 0


def number(name: str, fallback: int, least: int) -> tuple[int, str]:
    """A whole number from the environment, and where it comes from.

    Anything below `least` counts as wrong: to SQLAlchemy 2, pool_size=0 and max_overflow=-1 mean "no limit". So does a
    number of more than four digits, which is a slip.
    """
    text = os.environ.get(name)
    if text is None:
        return fallback, f"fallback, {name} is not set"
    # isdecimal alone would take digits of any script; int() alone would take " 4 ", "1_0" and "-1".
    if text.isascii() and text.isdecimal() and len(text) <= 4 and int(text) >= least:
        return int(text), name
    return fallback, f"fallback, {name}={text!r} is not a whole number from {least} to 9999"


def pool_arguments() -> dict:
    """The arguments of create_engine that concern the pool."""
    size, size_from = number("DB_POOL_SIZE", POOL_SIZE, 1)
    overflow, overflow_from = number("DB_MAX_OVERFLOW", MAX_OVERFLOW, 0)
    fell_back = "fallback" in size_from + overflow_from
    log.log(
        logging.WARNING if fell_back else logging.INFO,
        "db_pool_settings pool_size=%d (%s) max_overflow=%d (%s)", size, size_from, overflow, overflow_from,
    )  # fmt: skip
    return {
        "pool_size": size,
        "max_overflow": overflow,
        # Seconds that a request waits for a connection of the pool before it is answered with 503.
        "pool_timeout": number("DB_POOL_TIMEOUT", 30, 1)[0],
        "pool_recycle": number("DB_POOL_RECYCLE", 1800, 1)[0],
        "pool_pre_ping": True,
    }


def url() -> URL:
    """The database. psycopg 3 serves both kinds of engine, so one driver is enough."""
    return make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")


def connect_arguments() -> dict:
    """The arguments of each connection."""
    return {
        # Prepared statements belong to one connection; a pooler in transaction mode (port 6543) changes it.
        "prepare_threshold": None,
        "connect_timeout": 10,
        # The pod's name, so that pg_stat_activity shows which pod holds which connection.
        "application_name": os.environ.get("HOSTNAME", "shop"),
    }


def is_async() -> bool:
    """Whether the app uses the asynchronous engine (the default) or the synchronous one."""
    return os.environ.get("DB_ENGINE", "async") != "sync"
