"""Stage 1, intake: resolve a submission to workflows and users, encrypt it, store it in its lane."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.errors import (
    Busy,
    ClarionError,
    Conflict,
    IdempotencyInFlight,
    IdempotencyMismatch,
    UnknownReference,
    UserUnreadable,
)
from clarion.flow.conflicts import repeat_on_conflict
from clarion.flow.coverage import Coverage
from clarion.flow.intake.recipients import WorkflowIndex, WorkflowTrigger, merged_profile, resolve
from clarion.flow.intake.schemas import Schemas
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import UNMATCHED
from clarion.flow.priority import PriorityGate
from clarion.flow.sealing import sealed_entry
from clarion.model.channel import Lane
from clarion.model.event import Entry, Event, IdempotencyRecord, IdempotencyResult
from clarion.model.ids import EventId, Instant, TenantId, UserNo, new_event_id
from clarion.model.setup import Workflow
from clarion.model.submission import Acceptance, Notice, Submission
from clarion.model.user import Profile, User, UserPut
from clarion.ports.broker import Broker, LogBroker
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault
from clarion.rules import schedule

CHUNK = 32
"""Submissions of one call handled between two looks at more urgent work: a large batch must not keep the loop."""
LAST = CHUNK - 1
MERGE_TRIES = 20
"""How often inline fields are merged again when somebody else changes the same user at the same time."""
CLAIM_MS = 24 * 3600 * 1000
"""How long idempotency keys and CloudEvent ids are remembered."""
Resolved = list[tuple[int, tuple[WorkflowTrigger, ...]]]
"""Submissions by their place in the call, and what each starts."""


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    """What a repeat is answered with."""

    event_id: bytes
    accepted: int
    created: tuple[UserNo, ...] = ()
    """By number: once a user is erased, nothing here says who it was."""


class _Publication(NamedTuple):
    """A submission that is to be published."""

    place: int
    """In the call."""
    targets: Sequence[WorkflowTrigger]
    event_id: EventId
    accepted: int
    claim: IdempotencyRecord | None


NOBODY = (WorkflowTrigger.of(UNMATCHED, (), "", listed=True),)
"""An event that no workflow listens to is kept as well, so that what became of it can be told."""
_ANSWER = msgspec.msgpack.Encoder()
_ANSWER_TYPE = msgspec.msgpack.Decoder(_Answer)


class Intake:
    """Accepts submissions. What it returned an `Acceptance` for survives any crash."""

    def __init__(
        self,
        ledger: Ledger,
        broker: Broker,
        schemas: Schemas,
        coverage: Coverage,
        priority: PriorityGate,
        vault: Vault,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._priority = priority
        self._vault = vault
        self._clock = clock
        self._random = random
        self._listeners: dict[TenantId, WorkflowIndex] = {}
        self._schemas = schemas
        self._coverage = coverage
        self._running: set[bytes] = set()
        self._published: list[int] = []
        """Reservations whose events are with the broker; the next one tells the ledger."""
        self.accepted = 0
        self.repeated = 0
        self.narrowed: Callable[[TenantId, WorkflowTrigger], WorkflowTrigger | None] | None = None
        """Of two regions: leaves out whoever is at home in the other one."""

    async def submit(
        self,
        tenant: TenantId,
        submissions: Sequence[Submission],
        workflows: Mapping[str, Workflow] | None = None,
    ) -> list[Acceptance | ClarionError]:
        """One result per submission, durable when this returns. Raises Busy or Unavailable for all of them.

        `workflows` stand in place of those the tenant has set up.
        """
        results: list[Acceptance | ClarionError | None] = [None] * len(submissions)
        now = self._clock.now()
        listeners = self._listeners_of(tenant) if workflows is None else WorkflowIndex(workflows)
        resolved: Resolved = []
        for index, submission in enumerate(submissions):
            try:
                targets = self._narrowed(tenant, resolve(listeners, submission, now))
                self._schemas.check(tenant, targets, submission.data)
                resolved.append((index, targets))
            except ClarionError as wrong:
                results[index] = wrong
            if index % CHUNK == LAST:
                await self._priority.turn(Lane.NORMAL)
        # What was done under a key is done: a repeat neither changes people nor brings back who was erased since.
        named = dict(resolved)
        doubtful: dict[int, Sequence[WorkflowTrigger]]
        doubtful = {index: () for index, result in enumerate(results) if result is not None}
        doubtful |= {index: its for index, its in resolved if not _leave_people(its)}
        repeats = await self._answer_repeats(tenant, submissions, doubtful, results, now)
        resolved = [one for one in resolved if one[0] not in repeats]
        resolved, users, created = await self._people(tenant, resolved, results)
        unknown = {index: its for index, its in named.items() if isinstance(results[index], UnknownReference)}
        await self._answer_repeats(tenant, submissions, unknown, results, now)
        publications: list[_Publication] = []
        running: list[bytes] = []
        try:
            for index, targets in resolved:
                submission = submissions[index]
                event_id = submission.event_id or new_event_id(now, self._random.bytes(10))
                accepted = 0
                for target in targets:
                    accepted += len(target.users) + len(target.topics) + len(target.segments)
                new = created.get(index, ())
                numbers = tuple([users[user_id].no for user_id in new]) if new else ()
                claim = self._claim(tenant, submission, _Answer(event_id, accepted, numbers), now)
                if claim is not None and submission.idempotency_key:
                    key = claim.key
                    if key in self._running:
                        results[index] = IdempotencyInFlight(
                            "The first request with this Idempotency-Key is still running. Retry in a second."
                        )
                        continue
                    self._running.add(key)
                    running.append(key)
                publications.append(_Publication(index, targets, event_id, accepted, claim))
            outcomes = await self._publish(tenant, submissions, publications, users, now)
        finally:
            self._running.difference_update(running)
        for index, _, event_id, accepted, _ in publications:
            outcome = outcomes[index]
            notices = self._notices(tenant, named[index])
            if outcome is None or outcome.fresh:
                self.accepted += 1
                results[index] = Acceptance(
                    event_id=event_id,
                    accepted=accepted,
                    created_users=tuple(created.get(index, ())),
                    notices=notices,
                )
            else:
                results[index] = await self._repeated(submissions[index], outcome, notices)
        return results  # type: ignore[return-value]

    async def _answer_repeats(
        self,
        tenant: TenantId,
        submissions: Sequence[Submission],
        doubtful: Mapping[int, Sequence[WorkflowTrigger]],
        results: list[Acceptance | ClarionError | None],
        now: Instant,
    ) -> Collection[int]:
        """Those of the submissions that were accepted before: each gets its first answer in `results`."""
        repeats = set()
        named = {index: self._claim_key(tenant, submissions[index]) for index in doubtful}
        claimed = await self._ledger.claims.claimed(tenant, [key for key in named.values() if key], now)
        for index, targets in doubtful.items():
            if first := claimed.get(named[index]):
                results[index] = await self._repeated(
                    submissions[index], first, self._notices(tenant, targets)
                )
                repeats.add(index)
        return repeats

    def triggers(self, tenant: TenantId, submission: Submission) -> tuple[WorkflowTrigger, ...]:
        """What it starts, for everybody. Raises InvalidInput or NotFound."""
        return resolve(self._listeners_of(tenant), submission, self._clock.now())

    def _narrowed(
        self, tenant: TenantId, triggers: tuple[WorkflowTrigger, ...]
    ) -> tuple[WorkflowTrigger, ...]:
        if self.narrowed is None:
            return triggers
        kept = [self.narrowed(tenant, trigger) for trigger in triggers]
        return tuple([trigger for trigger in kept if trigger is not None])

    def _listeners_of(self, tenant: TenantId) -> WorkflowIndex:
        workflows = self._ledger.setup.workflows.all(tenant)
        known = self._listeners.get(tenant)
        if known is None or known.workflows is not workflows:
            known = self._listeners[tenant] = WorkflowIndex(workflows)
        return known

    async def _publish(
        self,
        tenant: TenantId,
        submissions: Sequence[Submission],
        publications: Sequence[_Publication],
        users: Mapping[str, User],
        now: Instant,
    ) -> Mapping[int, IdempotencyResult | None]:
        """Publish each once per claim: what its claim found, by its place in the call. In the ledger's own log claims and
        entries are one transaction. Elsewhere the claims come first, and whoever finds one that nobody has confirmed
        publishes again, under the id of the first: the plan knows it by that."""
        if not publications:
            return {}
        log = self._broker if isinstance(self._broker, LogBroker) else None
        reserved, reservation = ({}, 0) if log is not None else await self._reserve(publications)
        entries: list[Entry] = []
        claims: list[IdempotencyRecord | None] = []
        firsts: dict[int, int] = {}
        for index, targets, new_id, _, claim in publications:
            event_id, held = new_id, reserved.get(index)
            if held is not None and not held.fresh:
                if held.confirmed or not _same(submissions[index], held):
                    continue
                event_id = EventId(_ANSWER_TYPE.decode(held.answer).event_id)
            firsts[index] = len(entries)
            for target in targets or NOBODY:
                entries.append(self._entry(tenant, submissions[index], target, event_id, users, now))
                claims.append(claim)
            if index % CHUNK == LAST:
                await self._priority.turn(Lane.NORMAL)
        urgent = sum(1 for entry in entries if entry.lane is Lane.CRITICAL)
        self._priority.begin(Lane.CRITICAL, urgent)
        try:
            if log is not None:
                results = await log.publish_claimed(entries, claims)
                return {index: results[first] for index, first in firsts.items()}
            if entries:
                await self._broker.publish(entries)
            if reservation:
                self._published.append(reservation)
            return {one.place: reserved.get(one.place) for one in publications}
        finally:
            self._priority.end(Lane.CRITICAL, urgent)

    async def _reserve(
        self, publications: Sequence[_Publication]
    ) -> tuple[Mapping[int, IdempotencyResult], int]:
        """What the claims found, by the places of the submissions, and what to confirm."""
        claimed = {one.place: one.claim for one in publications if one.claim is not None}
        if not claimed:
            return {}, 0
        published = tuple(self._published)
        reserved = await self._ledger.claims.reserve(tuple(claimed.values()), published)
        del self._published[: len(published)]
        return dict(zip(claimed, reserved.results, strict=True)), reserved.number

    async def _people(
        self, tenant: TenantId, resolved: Resolved, results: list[Acceptance | ClarionError | None]
    ) -> tuple[Resolved, Mapping[str, User], Mapping[int, Sequence[str]]]:
        """The submissions whose recipients all exist, the users they name, and whom each of them creates.

        Who is to be created is created, inline fields are applied. The other submissions get their error in `results`.
        """
        wanted = list(
            dict.fromkeys([user_id for _, targets in resolved for one in targets for user_id in one.users])
        )
        topics = await self._topics(tenant, resolved)
        segments = self._ledger.setup.segments.all(tenant)

        async def merge() -> tuple[Resolved, Mapping[str, User], Mapping[int, Sequence[str]]]:
            users = dict(await self._ledger.users.find(tenant, wanted))
            going, created, refused = _sorted_out(resolved, users, topics, segments)
            puts = _puts([target for _, targets in going for target in targets], users)
            for user in await self._ledger.users.put(tenant, puts) if puts else ():
                users[user.id] = user
            for index, error in refused.items():
                results[index] = error
            return going, users, created

        try:
            return await repeat_on_conflict(merge, MERGE_TRIES)
        except Conflict:
            raise Busy("The same users are being changed by many calls at once.") from None

    async def _topics(self, tenant: TenantId, resolved: Resolved) -> Collection[str]:
        """Those of the named topics that exist."""
        named = {key for _, targets in resolved for target in targets for key in target.topics}
        return await self._ledger.directory.topics(tenant, list(named)) if named else ()

    def _entry(
        self,
        tenant: TenantId,
        submission: Submission,
        target: WorkflowTrigger,
        event_id: EventId,
        users: Mapping[str, User],
        now: Instant,
    ) -> Entry:
        workflow = target.workflow
        event = Event(
            id=event_id,
            tenant=tenant,
            lane=submission.lane or workflow.lane,
            workflow=workflow.key,
            at=now,
            users=tuple([users[user_id].no for user_id in target.users]),
            topics=target.topics,
            segments=target.segments,
            data=submission.data,
            actor=submission.actor,
            overrides=submission.overrides,
            expires_at=submission.expires_at,
            send_at=schedule.send_at(submission, now),
            send_at_local=submission.send_at_local,
            source=submission.source,
            type=submission.type,
            subject=submission.subject,
            time=submission.time,
            traceparent=submission.traceparent,
            live=submission.live,
            hops=submission.hops,
        )
        sole = users[target.users[0]] if len(target.users) == 1 and not target.has_groups else None
        if sole is not None and sole.unreadable:
            sole = None  # Their key may be broken: what is sealed with it could not be opened either.
        return sealed_entry(event, sole, self._vault, self._ledger.setup.revision)

    def _claim(
        self, tenant: TenantId, submission: Submission, answer: _Answer, now: Instant
    ) -> IdempotencyRecord | None:
        key = self._claim_key(tenant, submission)
        if not key:
            return None
        return IdempotencyRecord(
            tenant=tenant,
            key=key,
            fingerprint=submission.fingerprint if submission.idempotency_key else b"",
            answer=_ANSWER.encode(answer),
            expires_at=Instant(now + CLAIM_MS),
        )

    def _claim_key(self, tenant: TenantId, submission: Submission) -> bytes:
        """What tells a repeat; empty when nothing does."""
        if submission.idempotency_key:
            return self._vault.hash("idempotency", f"{tenant}:{submission.idempotency_key}".encode())
        if submission.event_key:
            name = f"{tenant}:{submission.source}\n{submission.event_key}"
            return self._vault.hash("cloudevent", name.encode())
        return b""

    def _notices(self, tenant: TenantId, targets: Sequence[WorkflowTrigger]) -> tuple[Notice, ...]:
        notices: tuple[Notice, ...] = ()
        for target in targets:
            notices += self._coverage.notices(tenant, target.workflow)
        return notices

    async def _repeated(
        self, submission: Submission, result: IdempotencyResult, notices: tuple[Notice, ...]
    ) -> Acceptance | ClarionError:
        if not _same(submission, result):
            return IdempotencyMismatch(
                "This Idempotency-Key was used with another request body. Use a new key for a new request."
            )
        first = _ANSWER_TYPE.decode(result.answer)
        users = await self._ledger.users.get(first.created) if first.created else {}
        if result.confirmed:
            self.repeated += 1
        else:
            self.accepted += 1  # The first was perhaps never published, and this one was.
        return Acceptance(
            event_id=EventId(first.event_id),
            accepted=first.accepted,
            created_users=tuple([users[no].id for no in first.created if no in users]),
            repeated=result.confirmed,
            notices=notices,
        )


def _same(submission: Submission, first: IdempotencyResult) -> bool:
    """Whether it asks for what the first under its key asked for."""
    return not submission.idempotency_key or first.fingerprint == submission.fingerprint


def _sorted_out(
    resolved: Resolved, users: Mapping[str, User], topics: Collection[str], segments: Collection[str]
) -> tuple[Resolved, dict[int, Sequence[str]], dict[int, ClarionError]]:
    """The submissions that can go on, whom each of them creates, and the errors of those that name the unknown.

    What an earlier submission of the call creates exists for the later ones.
    """
    going: Resolved = []
    created: dict[int, Sequence[str]] = {}
    refused: dict[int, ClarionError] = {}
    known = set(users)
    for index, targets in resolved:
        if _leave_people(targets) and _all_known(targets, known):
            going.append((index, targets))
            continue
        if broken := _unreadable(targets, users):
            refused[index] = UserUnreadable(broken)
            continue
        if _all_known(targets, known):
            going.append((index, targets))
            continue
        if unknown := [one for target in targets for one in target.unknown(known, topics, segments)]:
            refused[index] = UnknownReference(list(dict.fromkeys(unknown)))
            continue
        going.append((index, targets))
        new = dict.fromkeys([u for one in targets for u in one.users if u in one.creates and u not in known])
        if new:
            created[index] = list(new)
            known.update(new)
    return going, created, refused


def _leave_people(targets: Sequence[WorkflowTrigger]) -> bool:
    """Whether they neither create nor change anybody."""
    for one in targets:  # noqa: SIM110 - asked for every event
        if one.inline or one.creates:
            return False
    return True


def _all_known(targets: Sequence[WorkflowTrigger], known: set[str]) -> bool:
    """Whether they name people only, and all of them exist."""
    for one in targets:  # noqa: SIM110 - asked for every event
        if one.has_groups or not known.issuperset(one.users):
            return False
    return True


def _unreadable(targets: Sequence[WorkflowTrigger], users: Mapping[str, User]) -> str:
    """Somebody whose profile these would change although it cannot be opened."""
    inline = (one.user_id or "" for target in targets for one in target.inline)
    return next((user_id for user_id in inline if user_id in users and users[user_id].unreadable), "")


def _puts(targets: Sequence[WorkflowTrigger], users: Mapping[str, User]) -> list[UserPut]:
    """What has to be stored before the events: new users, and profiles that inline fields change."""
    profiles: dict[str, Profile] = {}
    for target in targets:
        for inline in target.inline:
            user_id = inline.user_id or ""
            stored = users[user_id].profile if user_id in users else Profile()
            before = profiles.get(user_id, stored)
            after = merged_profile(before, inline)
            if after is not before:
                profiles[user_id] = after
    changed = [
        UserPut(id=user_id, profile=profile, revision=users[user_id].revision if user_id in users else 0)
        for user_id, profile in profiles.items()
    ]
    named = dict.fromkeys([user_id for target in targets for user_id in target.users])
    return changed + [
        UserPut(id=user_id) for user_id in named if user_id not in users and user_id not in profiles
    ]
