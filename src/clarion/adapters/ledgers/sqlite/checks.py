"""The checks that are exact because they are made inside the transaction that stores the plan: dedupe, caps,
collapse and thread order, in that order. What one message of a transaction changes, the next one sees.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.sqlite import statements as sql
from clarion.adapters.ledgers.sqlite.caps import ON_ITS_WAY, Caps, Counted, by_message
from clarion.adapters.ledgers.sqlite.endings import NOT_STARTED, Endings
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.packing import encoded, keys
from clarion.model.ids import EventId, Instant, MessageId, RunId, id_text
from clarion.model.message import ChannelPlan, Message, Run, Verdict
from clarion.model.plan import CapCharge, DedupeClaim
from clarion.model.status import ACTIVE, Reason, Status
from clarion.ports.ledger import PlanCommit, PlanResult

_STATUS = tuple(Status)


def needed(plan: PlanCommit) -> bool:
    """Whether a plan asks for any exact check."""
    return bool(plan.charges or plan.dedupes or plan.collapses or plan.turns)


class Checks:
    """The checks of all plans of one transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        plans: Sequence[PlanCommit],
        known: Collection[bytes],
        caps: Caps,
        endings: Endings,
    ) -> None:
        self._connection = connection
        self._caps = caps
        self._endings = endings
        self._known = known
        self._new = {m.id: m for plan in plans for m in plan.messages if m.id not in known}
        self._moved: set[MessageId] = set()
        self._on_its_way: set[MessageId] = set()
        self._verdicts: dict[MessageId, list[Verdict]] = {}
        self._grown: dict[RunId, Run] = {}
        self._stored: dict[bytes, Status] = {}
        self._superseded: dict[bytes, Instant] = {}
        self._threaded: set[bytes] = set()
        self._claimed: dict[bytes, DedupeClaim] = {}
        self._collapsed: dict[bytes, MessageId] = {}
        self._queued: dict[bytes, MessageId] = {}
        caps.load(connection, [c for plan in plans for c in plan.charges])
        self._claims: dict[bytes, tuple[bytes, int]] = {
            bytes.fromhex(key): (bytes.fromhex(run), expires_at)
            for key, run, expires_at in self._find(
                sql.DEDUPES_FIND, (c.key for p in plans for c in p.dedupes)
            )
        }
        self._latest = self._holders(sql.COLLAPSES_FIND, (c.key for p in plans for c in p.collapses))
        self._last = self._holders(sql.THREADS_FIND, (t.key for p in plans for t in p.turns))

    def cancel(self, events: Collection[EventId]) -> None:
        """Nothing of these is sent any more, and nothing of it is counted. Before all other checks."""
        for message in [m for m in self._new.values() if events and m.event_id in events]:
            if message.status in ACTIVE:
                self._end(message, Status.CANCELED, Reason.CANCELED_BY_CALLER)
                self._say(message, _verdict("cancellation", Reason.CANCELED_BY_CALLER))

    def decide(self, plan: PlanCommit) -> None:
        """All checks of one plan, message by message, as if each had been planned alone.

        `messages` and `result` tell what came of it when all plans are decided.
        """
        charges = by_message(plan.charges)
        if not (plan.dedupes or plan.collapses or plan.turns):
            for message_id, its in charges.items():
                if message := self._going(message_id):
                    self._count(message, its)
            return
        claims = {claim.run_id: claim for claim in plan.dedupes}
        runs = {c.message_id: run for run in plan.runs for c in run.channels} if claims else {}
        collapses = {collapse.message_id: collapse.key for collapse in plan.collapses}
        turns = {turn.message_id: turn.key for turn in plan.turns}
        for message_id in (m.id for m in plan.messages):
            run = runs.get(message_id)
            if run is not None and (claim := claims.pop(run.id, None)) is not None:
                self._dedupe(claim, filter(None, (self._going(c.message_id) for c in run.channels)))
            if message_id in charges and (message := self._going(message_id)):
                self._count(message, charges[message_id])
            if message_id in collapses and (message := self._going(message_id)):
                self._collapse(message, collapses[message_id])
            if message_id in turns and (message := self._going(message_id)):
                self._take_turn(message, turns[message_id])

    def messages(self, plan: PlanCommit) -> list[Message]:
        """The plan's new messages as they are to be stored."""
        return [self._new[m.id] for m in plan.messages if m.id in self._new]

    def result(self, plan: PlanCommit) -> PlanResult:
        """What the checks changed."""
        changed: dict[MessageId, tuple[Status, Reason]] = {}
        for message in plan.messages if self._moved else ():
            if message.id in self._moved:
                now = self._new[message.id]
                changed[message.id] = (now.status, now.reason)  # type: ignore[assignment]  # every end has one
        known = frozenset(m.id for m in plan.messages if m.id in self._known) if self._known else frozenset()
        runs = tuple(grown for run in plan.runs if (grown := self.explained(run)) is not run)
        return PlanResult(changed=changed, known=known, runs=runs)

    def store(self) -> None:
        """Everything but runs and messages."""
        write = self._connection.execute
        if self._claimed:
            ids = b"".join(key + claim.run_id for key, claim in self._claimed.items())
            write(sql.DEDUPES_ADD, (encoded([(c.expires_at,) for c in self._claimed.values()]), ids))
            write(sql.DEDUPES_PURGE, (max(c.at for c in self._claimed.values()),))
        for statement, pointers in ((sql.COLLAPSES_ADD, self._collapsed), (sql.THREADS_ADD, self._queued)):
            if pointers:
                ids = b"".join(key + message_id for key, message_id in pointers.items())
                write(statement, (encoded([0] * len(pointers)), ids))
        if self._threaded:
            write(sql.THREADED, keys(self._threaded))
        if self._superseded:
            at = max(self._superseded.values())
            self._endings.stop(
                self._connection, map(MessageId, self._superseded), Status.MERGED, Reason.SUPERSEDED, at
            )

    # -- one check each ---------------------------------------------------------------------------------------

    def _dedupe(self, claim: DedupeClaim, messages: Iterable[Message]) -> None:
        holder, expires_at = self._claims.get(claim.key, (claim.run_id, 0))
        duplicate = holder != claim.run_id and expires_at > claim.at
        inputs = {"first_run": id_text(holder)} if duplicate else {}
        for message in messages:
            if duplicate:
                self._end(message, Status.MERGED, Reason.DUPLICATE)
            self._say(
                message, _verdict("dedupe", Reason.DUPLICATE if duplicate else "first_in_window", **inputs)
            )
        if not duplicate:
            self._claims[claim.key] = (claim.run_id, claim.expires_at)
            self._claimed[claim.key] = claim

    def _count(self, message: Message, charges: Sequence[CapCharge]) -> None:
        allowed, verdicts = self._caps.judge(_counted(message), charges)
        if allowed:
            self._on_its_way.add(message.id)
            if not message.charged:
                self._new[message.id] = replace(message, charged=True)
        else:
            self._end(message, Status.THROTTLED, Reason.FREQUENCY_CAP)
        self._say(message, *verdicts)

    def _not_counted(self, message: Message) -> None:
        """It does not go now."""
        if message.id in self._on_its_way:
            self._on_its_way.remove(message.id)
            self._caps.move(_counted(message), ON_ITS_WAY, None)

    def _collapse(self, message: Message, key: bytes) -> None:
        older = self._latest.get(key)
        self._latest[key] = self._collapsed[key] = message.id
        replaced = older is not None and older != message.id and self._status(older) in NOT_STARTED
        if replaced and older is not None:
            self._supersede(older, message)
        inputs = {"replaced": id_text(older)} if replaced and older is not None else {}
        self._say(message, _verdict("collapse", "newest", **inputs))

    def _supersede(self, older: bytes, newer: Message) -> None:
        at = newer.created_at
        ours = self._new.get(MessageId(older))
        if ours is None:
            self._superseded[older] = at
        else:
            self._end(ours, Status.MERGED, Reason.SUPERSEDED)
            self._say(ours, _verdict("collapse", Reason.SUPERSEDED, replaced_by=id_text(newer.id)))
        for message in [m for m in self._new.values() if m.waits_for == older]:
            self._new[message.id] = replace(message, waits_for=None, due_at=at)

    def _take_turn(self, message: Message, key: bytes) -> None:
        last = self._last.get(key)
        self._last[key] = self._queued[key] = message.id
        if last is None or last == message.id or self._status(last) not in ACTIVE:
            self._say(message, _verdict("thread", "its_turn"))
            return
        ours = self._new.get(MessageId(last))
        if ours is None:
            self._threaded.add(last)
        else:
            self._new[ours.id] = replace(ours, threaded=True)
        self._not_counted(message)
        self._moved.add(message.id)
        self._new[message.id] = replace(
            message,
            status=Status.DEFERRED,
            reason=Reason.WAITING_FOR_TURN,
            due_at=None,
            fence=0,
            charged=False,
            waits_for=MessageId(last),
        )
        self._endings.anyone_waits = True
        self._say(message, _verdict("thread", Reason.WAITING_FOR_TURN, "defer", waits_for=id_text(last)))

    # -- what is known and said -------------------------------------------------------------------------------

    def _going(self, message_id: MessageId | None) -> Message | None:
        """A new message that is still to be sent."""
        message = self._new.get(message_id) if message_id else None
        return message if message is not None and message.status in ACTIVE else None

    def _status(self, id: bytes) -> Status:
        ours = self._new.get(MessageId(id))
        if ours is not None:
            return ours.status
        return Status.MERGED if id in self._superseded else self._stored[id]

    def _end(self, message: Message, status: Status, reason: Reason) -> None:
        self._not_counted(message)
        self._moved.add(message.id)
        self._new[message.id] = replace(
            message, status=status, reason=reason, due_at=None, waits_for=None, charged=False
        )

    def _say(self, message: Message, *verdicts: Verdict) -> None:
        self._verdicts.setdefault(message.id, []).extend(verdicts)

    def explained(self, run: Run) -> Run:
        """The run with what the checks said; the same object when they said nothing."""
        grown = self._grown.get(run.id)
        if grown is None:
            channels = tuple(map(self._with_verdicts, run.channels))
            changed = any(new is not old for new, old in zip(channels, run.channels, strict=True))
            grown = self._grown[run.id] = replace(run, channels=channels) if changed else run
        return grown

    def _with_verdicts(self, plan: ChannelPlan) -> ChannelPlan:
        said = self._verdicts.get(plan.message_id) if plan.message_id else None
        if not said or plan.message_id is None:
            return plan
        verdicts = (*plan.verdicts, *said)
        if plan.message_id not in self._moved:
            return replace(plan, verdicts=verdicts)
        message = self._new[plan.message_id]
        return replace(
            plan, status=message.status, reason=message.reason, due_at=message.due_at, verdicts=verdicts
        )

    def _find(self, statement: str, wanted: Iterable[bytes]) -> list[Any]:
        ids = dict.fromkeys(wanted)
        return rows(self._connection, statement, keys(ids)) if ids else []

    def _holders(self, statement: str, wanted: Iterable[bytes]) -> dict[bytes, bytes]:
        found = {}
        for key, message_id, status in self._find(statement, wanted):
            holder = bytes.fromhex(message_id)
            found[bytes.fromhex(key)] = holder
            self._stored[holder] = _STATUS[status]
        return found


def _counted(message: Message) -> Counted:
    return Counted(message.user, message.category, message.channel)


def _verdict(rule: str, reason: str, result: str | None = None, **inputs: str) -> Verdict:
    stops = isinstance(reason, Reason)
    return Verdict(
        rule=rule, result=result or ("stop" if stops else "allow"), reason=str(reason), inputs=dict(inputs)
    )
