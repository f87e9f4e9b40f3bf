"""The terms of one request for all its writes: preconditions, and whether it is a dry run."""

from __future__ import annotations

from contextvars import ContextVar

import msgspec

from clarion.model.conditions import Conditions
from clarion.model.ids import TenantId


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One resource: its kind (`user`, `template`, ...) and what names it."""

    tenant: TenantId
    kind: str
    key: str
    version: str | None = None
    """An old version of it, as its number was asked for; None: what is live."""


class Terms:
    """Holds for every write of the request that entered it, until the request ends.

    The store keeps them inside the transaction that writes, so that nothing can come between check and write.
    """

    def __init__(
        self,
        subject: Subject | None = None,
        conditions: Conditions | None = None,
        *,
        creates: bool = False,
        dry: bool = False,
    ) -> None:
        """`conditions` of the subject before the first write; when they do not hold, PreconditionFailed is raised to
        the caller, and nothing is stored. `creates`: they are demanded too when there is no such resource. `dry`:
        everything is done and undone."""
        self.subject = subject
        self.conditions = conditions
        self.creates = creates
        self.dry = dry
        self.over = False
        self.wrote = False
        self.tag: str | None = None
        """Of the subject after the last write."""

    def require(self, tag: str | None) -> None:
        """Raises PreconditionFailed unless the resource may have this tag (None: there is no such resource)."""
        if self.conditions is not None and self.creates:
            self.conditions.require(tag)
        elif self.conditions is not None:
            self.conditions.require_existing(tag)


_TERMS: ContextVar[Terms | None] = ContextVar("terms", default=None)


def enter(terms: Terms) -> None:
    """From here on this task writes on these terms."""
    _TERMS.set(terms)


def current() -> Terms | None:
    """The terms in force: a task that outlives its request is free of them."""
    terms = _TERMS.get()
    return None if terms is None or terms.over else terms


def dry_running() -> bool:
    """Whether what is done now is undone: nobody must be told of it."""
    terms = current()
    return terms is not None and terms.dry


def leave() -> None:
    """The request is over, also for what it left running."""
    if (terms := _TERMS.get()) is not None:
        terms.over = True
