"""A crowd at a pool: twelve threads that want a connection at once, from the engine of the stack that is named.

In:  the pod's environment, and SQLAlchemy or MLflow as the argument. Out: nothing; it ends well when all were served.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import work
from sqlalchemy import create_engine, text

# More than any pool here may open, and few enough that the last is served before it gives up.
CROWD = 12

# Long enough that all connections are open at one time before the first is given back.
QUERY = "select pg_sleep(1)"


def engine(stack):
    """The engine as the stack makes it of its environment."""
    if stack == "MLflow":
        # Every store of MLflow gets its engine here.
        from mlflow.store.db.utils import create_sqlalchemy_engine

        return create_sqlalchemy_engine(work.url("psycopg"))
    return create_engine(work.url("psycopg"), pool_size=work.POOL_SIZE, max_overflow=work.MAX_OVERFLOW)


pool = engine(sys.argv[1])


def ask(_):
    with pool.connect() as connection:
        connection.execute(text(QUERY))


with ThreadPoolExecutor(CROWD) as crowd:
    list(crowd.map(ask, range(CROWD)))
