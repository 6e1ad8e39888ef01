"""A shop with one table: FastAPI and SQLAlchemy 2, with a pool whose size the environment sets."""

__version__ = "1.0.0"
