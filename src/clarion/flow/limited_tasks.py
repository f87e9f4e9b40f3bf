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
    """A task for the limited process."""

    def done(self) -> Any:
        """Run the task and return its result."""
        raise NotImplementedError


async def done(limited: Limited, task: Task, kind: type[T]) -> T | Exceeded:
    """The result of one task."""
    (made,) = await all_done(limited, [task], kind)
    return made


async def all_done(limited: Limited, tasks: Sequence[Task], kind: type[T]) -> list[T | Exceeded]:
    """The result of each task."""
    made = await limited.run([encoded(task) for task in tasks])
    return [one if isinstance(one, Exceeded) else msgspec.json.decode(one, type=kind) for one in made]


def encoded(task: Task) -> bytes:
    """Raises ContentError where the data cannot go there."""
    try:
        return msgspec.json.encode(task)
    except RecursionError:
        raise ContentError("the data are nested too deep", pointer="#/data") from None


def shown(user: User) -> User:
    """The user without the encryption key, which no content needs."""
    return msgspec.structs.replace(user, key=b"")
