"""Records what users allow and forbid. Every way in leads to `record`: the API, preferences, links, emails, replies, confirmations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from clarion.errors import NotFound, SealBroken, UserUnreadable
from clarion.flow.conflicts import repeat_on_conflict
from clarion.flow.ledger import Ledger
from clarion.model.consent import (
    Consent,
    ConsentFilter,
    ConsentId,
    ConsentRecord,
    ConsentStatement,
)
from clarion.model.ids import Instant, new_event_id
from clarion.model.user import Preferences, User, UserPut
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault
from clarion.rules.consents import States, state_of, statements_of
from clarion.services.last_checks import LastChecks

TRIES = 5
"""How often a change is tried again when somebody else changed the same user meanwhile."""
PAGE = 500


class ConsentOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """How a statement of a user came to us."""

    source: str
    at: Instant | None = None
    """When the user said so; None: now."""
    text_version: str = ""
    proof: Mapping[str, Any] = {}
    once: bytes = b""
    """What tells it from every other statement, if it may come again; with `at`. It is then recorded once."""


class RecordedConsents(NamedTuple):
    """What was stored."""

    user: User
    records: tuple[ConsentRecord, ...]
    """With the times they got."""


class ConsentService:
    """Adds consent records, and says what follows from them."""

    def __init__(
        self, ledger: Ledger, last_checks: LastChecks, vault: Vault, clock: Clock, random: Random
    ) -> None:
        self._ledger = ledger
        self._last_checks = last_checks
        self._vault = vault
        self._clock = clock
        self._random = random

    async def record(
        self,
        user: User,
        statements: Sequence[ConsentStatement],
        origin: ConsentOrigin,
        to: Callable[[User], Preferences] | None = None,
    ) -> RecordedConsents:
        """Store what a user said, with other preferences if it changes them, and what that change says. Whoever answers a person
        waits for `in_force`. Raises NotFound when the user was deleted, and UserUnreadable."""

        async def change() -> RecordedConsents:
            now = (await self._ledger.users.get([user.no])).get(user.no)
            if now is None:
                raise NotFound(f"The user {user.id!r} was deleted meanwhile.")
            if now.unreadable:
                raise UserUnreadable(now.id)
            put = self._put(now, statements, origin, None if to is None else to(now))
            if put is None:
                return RecordedConsents(now, ())
            (stored,) = await self._ledger.users.put(now.tenant, [put])
            return RecordedConsents(stored, tuple(_timed(one, stored) for one in put.consents))

        return await repeat_on_conflict(change, TRIES)

    async def in_force(self) -> None:
        """When this returns, no attempt starts that goes against what was recorded before: wait for it before you answer."""
        await self._last_checks.passed()

    async def state(self, user: User, at: Instant | None = None) -> States:
        """What follows from all records of a user; `at`: from those that were there by then."""
        if at is None:
            return user.profile.consents
        records: list[Consent] = []
        where, before = ConsentFilter(user=user.no, before=Instant(at + 1)), None
        while page := await self._ledger.consents.page(user.tenant, where, before, PAGE):
            records += page
            before = page[-1].id
        return state_of(records)

    def proof(self, record: Consent, user: User | None) -> Mapping[str, Any] | None:
        """The proof of a record; None: there is none, or nobody can read it any more."""
        if not record.proof or user is None or user.unreadable:
            return None
        try:
            found: Mapping[str, Any] = msgspec.json.decode(self._vault.open(user.key, record.proof))
        except (SealBroken, msgspec.DecodeError):
            return None
        return found

    def recorded(self, statement: ConsentStatement, origin: ConsentOrigin) -> ConsentRecord:
        """The record of a statement, for whoever stores it with the user."""
        now = self._clock.now()
        return ConsentRecord(
            id=self._id(statement, origin, now),
            purpose=statement.purpose,
            channel=statement.channel,
            action=statement.action,
            at=origin.at,
            recorded_at=now,
            source=origin.source,
            text_version=origin.text_version,
            proof=origin.proof,
        )

    def _put(
        self,
        user: User,
        statements: Sequence[ConsentStatement],
        origin: ConsentOrigin,
        preferences: Preferences | None,
    ) -> UserPut | None:
        """None: it says nothing new."""
        before = user.profile.preferences
        said = [*statements]
        if preferences is not None:
            said += statements_of(before, preferences, user.profile.consents)
        if not said and preferences in (None, before):
            return None
        return UserPut(
            id=user.id,
            profile=None if preferences is None else replace(user.profile, preferences=preferences),
            revision=user.revision,
            consents=tuple(self.recorded(one, origin) for one in said),
        )

    def _id(self, statement: ConsentStatement, origin: ConsentOrigin, now: Instant) -> ConsentId:
        if not origin.once or origin.at is None:
            return ConsentId(new_event_id(now, self._random.bytes(10)))
        what = b"%s/%s/%s" % tuple(str(part or "").encode() for part in statement)
        return ConsentId(new_event_id(origin.at, self._vault.hash("consent", origin.once + what)))


def _timed(record: ConsentRecord, user: User) -> ConsentRecord:
    """With the time that the store gave it."""
    if record.at is not None:
        return record
    return replace(record, at=next(one.at for one in user.profile.consents if one.id == record.id))
