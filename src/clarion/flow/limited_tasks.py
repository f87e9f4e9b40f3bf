"""The tasks of the limited process and their results, as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from clarion.errors import ContentError
from clarion.model.user import User
from clarion.ports.limited import Exceeded, Limited

T = TypeVar("T")


class Task(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="task"):
    """Something to do there."""

    def done(self) -> Any:
        """What comes of it, a value again."""
        raise NotImplementedError


async def done(limited: Limited, task: Task, kind: type[T]) -> T | Exceeded:
    """What came of one task."""
    (made,) = await all_done(limited, [task], kind)
    return made


async def all_done(limited: Limited, tasks: Sequence[Task], kind: type[T]) -> list[T | Exceeded]:
    """What came of each."""
    made = await limited.run([encoded(task) for task in tasks])
    return [one if isinstance(one, Exceeded) else msgspec.json.decode(one, type=kind) for one in made]


def encoded(task: Task) -> bytes:
    """Raises ContentError where the data cannot go there."""
    try:
        return msgspec.json.encode(task)
    except RecursionError:
        raise ContentError("the data are nested too deep", pointer="#/data") from None


def shown(user: User) -> User:
    """The person without the key of their data: no content needs it."""
    return msgspec.structs.replace(user, key=b"")
