"""Frequency caps, counted exactly: what was sent counts when it was sent, what is on its way counts in every window,
and a cap counts both before it lets the next one go.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.message import Message, Verdict
from clarion.model.plan import CapCharge
from clarion.model.region import Share
from clarion.model.status import SUCCEEDED, Reason, Status
from clarion.rules.regions import spendable
from clarion.rules.time_format import rfc3339

COUNTS_KEPT = 50_000
USES_KEPT = 1_000_000
"""Eight bytes each."""

ON_ITS_WAY = Instant(2**62)
"""When a message counts of which nobody knows yet when it will have been sent: in every window."""


class Counted(NamedTuple):
    """What caps look at in a message."""

    user: UserNo
    category: str
    channel: Channel


Key = tuple[UserNo, str, Channel | None]
"""What is counted together: the messages of a user, of one category or all, on one channel or all."""


class _Count:
    """When the messages of one key began to count, sorted; complete after `since`."""

    __slots__ = ("since", "uses")

    def __init__(self, since: int) -> None:
        self.since = since
        self.uses = array("q")


class MissingCounts(NamedTuple):
    """What has to be read before some charges can be judged: what counts of these users, after `since`."""

    users: Collection[UserNo]
    since: int
    keys: Mapping[Key, _Count]


class Counts:
    """When messages began to count, for every key a charge has asked about.

    A store that is the only writer keeps one and tells it about every change; others make a new one for each
    transaction. It follows the transaction: after a rollback, `forget`.
    """

    def __init__(self, share: Share = Share.WHOLE) -> None:
        """`share`: how much of each cap may be spent."""
        self._share = share
        self._counts: dict[Key, _Count] = {}
        self._uses = 0

    def forget(self) -> None:
        """Know nothing; everything is read again."""
        self._counts.clear()
        self._uses = 0

    def missing(self, charges: Iterable[CapCharge]) -> MissingCounts | None:
        """What is not known here and has to be given to `learn`, before these are judged. Forgets when it is full."""
        if len(self._counts) > COUNTS_KEPT or self._uses > USES_KEPT:
            self.forget()
        counts = self._counts
        missing: dict[Key, _Count] = {}
        for charge in charges:
            key, since = _key(charge), _since(charge)
            known = missing.get(key) or counts.get(key)
            if known is None or known.since > since:
                missing[key] = _Count(since)
        if not missing:
            return None
        return MissingCounts(
            {user for user, _, _ in missing}, min(c.since for c in missing.values()), missing
        )

    def learn(self, missing: MissingCounts, uses: Iterable[tuple[Counted, Instant]]) -> None:
        """Everything of the missing users that began to count after `missing.since`."""
        found: dict[UserNo, list[tuple[Counted, Instant]]] = {}
        for use in uses:
            found.setdefault(use[0].user, []).append(use)
        for (user, category, channel), count in missing.keys.items():
            count.uses.extend(
                sorted(
                    at
                    for counted, at in found.get(user, ())
                    if (not category or counted.category == category)
                    and (channel is None or counted.channel is channel)
                )
            )
            self._uses += len(count.uses)
        self._counts |= missing.keys

    def judge(self, message: Counted, charges: Sequence[CapCharge]) -> tuple[bool, list[Verdict]]:
        """Whether a message stays below all its caps, and the verdicts. On its way from now on only when it does."""
        verdicts = [self._said(charge) for charge in charges]
        allowed = all(one.result == "allow" for one in verdicts)
        if allowed:
            self.move(message, None, ON_ITS_WAY)
        return allowed, verdicts

    def reached(self, charges: Sequence[CapCharge]) -> list[Verdict]:
        """The caps that have no room, for a message that does not go anyway: nothing counts it."""
        return [one for charge in charges if (one := self._said(charge)).result == "stop"]

    def _said(self, charge: CapCharge) -> Verdict:
        uses = self._counts[_key(charge)].uses
        used = len(uses) - bisect_right(uses, _since(charge))
        limit = spendable(charge.limit, self._share)
        until = None
        if used >= limit > 0 and (last := uses[len(uses) - limit]) != ON_ITS_WAY:
            until = rfc3339(Instant(last + charge.window_s * 1_000))
        return _verdict(charge.scope, limit, charge.window_s, used, until)

    def move(self, message: Counted, old: Instant | None, new: Instant | None) -> None:
        """The message counted at `old` and counts at `new`; None: not at all."""
        user, category, channel = message
        for key in ((user, "", None), (user, "", channel), (user, category, None), (user, category, channel)):
            count = self._counts.get(key)
            if count is None:
                continue
            uses = count.uses
            if old is not None and (at := bisect_left(uses, old)) < len(uses) and uses[at] == old:
                del uses[at]
                self._uses -= 1
            if new is not None:
                insort(uses, new)
                self._uses += 1


class Waiting(NamedTuple):
    """A stored message that is not counted as on its way, nor over."""

    id: MessageId
    counted: Counted
    at: Instant | None
    """When it counts now: it may have been sent before."""


def recount(
    counts: Counts, waiting: Iterable[Waiting], charges: Iterable[CapCharge]
) -> tuple[list[MessageId], frozenset[MessageId]]:
    """What waited goes on, if its caps let it, and counts once; those that are on their way now, those that are over."""
    of_message = by_message(charges)
    going: list[MessageId] = []
    over: set[MessageId] = set()
    for message_id, message, at in waiting:
        counts.move(message, at, None)
        if counts.judge(message, of_message[message_id])[0]:
            going.append(message_id)
        else:
            counts.move(message, None, at)
            over.add(message_id)
    return going, frozenset(over)


def counts_from(status: Status, outcome: str | None, at: Instant) -> Instant | None:
    """When a message counts that was settled like this: from then on if its person may have got it, else not at all."""
    return at if status in SUCCEEDED or outcome in ("accepted", "unknown") else None


def counted(message: Message) -> Counted:
    """What caps look at in this one."""
    return Counted(message.user, message.category, message.channel)


def by_message(charges: Iterable[CapCharge]) -> dict[MessageId, list[CapCharge]]:
    """The charges of each message, in order."""
    found: dict[MessageId, list[CapCharge]] = {}
    for charge in charges:
        found.setdefault(charge.message_id, []).append(charge)
    return found


@lru_cache(maxsize=4_096)
def _verdict(scope: str, limit: int, window_s: int, count: int, until: str | None) -> Verdict:
    """`until`: when it has room again, if nothing else is sent."""
    over = count >= limit
    inputs: dict[str, object] = {"scope": scope, "limit": limit, "window_s": window_s, "count": count}
    if until is not None:
        inputs["until"] = until
    return Verdict(
        rule="frequency_cap",
        result="stop" if over else "allow",
        reason=Reason.FREQUENCY_CAP.value if over else "below_cap",
        inputs=inputs,
    )


def _key(charge: CapCharge) -> Key:
    return charge.user, charge.category, charge.channel


def _since(charge: CapCharge) -> Instant:
    return Instant(charge.at - charge.window_s * 1000)
