"""How Alembic reaches the database.

NullPool opens one connection for the one checkout that a migration makes, and closes it: the Job holds one connection,
which is what its annotation `poolbudget.dev/connections-per-process: "1"` says. (For an app that serves requests,
NullPool is no limit at all: it opens one connection for each request that runs.)
"""

from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine, pool

from app import settings
from app.models import Base

fileConfig(context.config.config_file_name)
arguments = settings.connect_arguments()
engine = create_engine(settings.url(), poolclass=pool.NullPool, connect_args=arguments)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
