"""The routes, once for each kind of engine. DB_ENGINE decides which of the two an app includes.

The dependency has the scope "function": it commits and gives its connection back before the answer is sent. With the
default scope, "request", a failed commit would come after a 201, and a slow client would hold a connection.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.database import get_async_db, get_db
from app.models import Item

AsyncDb = Annotated[AsyncSession, Depends(get_async_db, scope="function")]
Db = Annotated[Session, Depends(get_db, scope="function")]

# A query as every app has one that is slow: it holds its connection for 0.2 seconds.
SLOW = text("select pg_sleep(0.2)")

of_async = APIRouter()
of_sync = APIRouter()


class NewItem(BaseModel):
    """The body of POST /items."""

    name: str


class Stored(NewItem):
    """An item as it is stored."""

    id: int


@of_async.get("/items")
async def items_async(db: AsyncDb) -> list[Stored]:
    return [stored(item) for item in await db.scalars(select(Item).order_by(Item.id))]


@of_async.post("/items", status_code=201)
async def add_async(new: NewItem, db: AsyncDb) -> Stored:
    item = Item(name=new.name)
    db.add(item)
    try:
        # flush, not commit: it has its id now, and the dependency commits.
        await db.flush()
    except IntegrityError as error:
        raise HTTPException(409, f"there is an item {new.name!r}") from error
    return stored(item)


@of_async.get("/slow")
async def slow_async(db: AsyncDb) -> None:
    await db.execute(SLOW)


@of_sync.get("/items")
def items_sync(db: Db) -> list[Stored]:
    return [stored(item) for item in db.scalars(select(Item).order_by(Item.id))]


@of_sync.post("/items", status_code=201)
def add_sync(new: NewItem, db: Db) -> Stored:
    item = Item(name=new.name)
    db.add(item)
    try:
        db.flush()
    except IntegrityError as error:
        raise HTTPException(409, f"there is an item {new.name!r}") from error
    return stored(item)


@of_sync.get("/slow")
def slow_sync(db: Db) -> None:
    db.execute(SLOW)


def stored(item: Item) -> Stored:
    """An item as the answer shows it."""
    return Stored(id=item.id, name=item.name)
