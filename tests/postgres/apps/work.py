"""What all applications have in common: their settings as the pod's environment has them, and a piece of work."""

import os
import random

# As an application has it that was written for SQLAlchemy: its defaults, unless the environment knows better.
POOL_SIZE = int(os.environ.get("DB_POOL_SIZE", "5"))
MAX_OVERFLOW = int(os.environ.get("DB_MAX_OVERFLOW", "10"))

# More than any pool here may open, so that each opens all that it may.
WORKERS = 20

# Seconds until a worker that met an error tries again.
PATIENCE = 2.0

QUERY = "select pg_sleep(0.2)"


def url(driver):
    """The database by way of a driver of SQLAlchemy."""
    return os.environ["DATABASE_URL"].replace("postgresql:", f"postgresql+{driver}:", 1)


def pause():
    """Seconds until a worker has something to ask again."""
    return random.uniform(0.05, 0.35)
