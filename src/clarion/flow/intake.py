"""Stage 1, intake: resolve a submission to workflows and users, seal it, append it durably to its lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from clarion.errors import Busy, ClarionError, Conflict, IdempotencyInFlight, IdempotencyMismatch
from clarion.flow.pacing import Pacer
from clarion.flow.resolve import Listeners, Target, merged_profile, resolve
from clarion.flow.schemas import Schemas
from clarion.flow.sealing import sealed_entry
from clarion.model.channel import Lane
from clarion.model.event import Claim, ClaimResult, Entry, Event
from clarion.model.ids import EventId, Instant, TenantId, new_event_id
from clarion.model.setup import Workflow
from clarion.model.submission import Acceptance, Submission
from clarion.model.user import Profile, User
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock, Entropy
from clarion.ports.ledger import Ledger, UserPut
from clarion.ports.vault import Vault

CHUNK = 32
"""Submissions of one call handled between two looks at more urgent work."""
MERGE_TRIES = 20
"""How often inline fields are merged again when somebody else changes the same user at the same time."""
CLAIM_MS = 24 * 3600 * 1000
"""How long idempotency keys and CloudEvent ids are remembered."""
_ANSWER = msgspec.msgpack.Encoder()
_ANSWER_TYPE = msgspec.msgpack.Decoder(tuple[bytes, int])


class Intake:
    """Accepts submissions. What it returned an `Acceptance` for survives any crash."""

    def __init__(
        self,
        ledger: Ledger,
        broker: Broker,
        schemas: Schemas,
        pacer: Pacer,
        vault: Vault,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._pacer = pacer
        self._vault = vault
        self._clock = clock
        self._entropy = entropy
        self._listeners: dict[TenantId, Listeners] = {}
        self._schemas = schemas
        self._running: set[bytes] = set()
        self.accepted = 0
        self.repeated = 0

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
        listeners = self._listeners_of(tenant) if workflows is None else Listeners(workflows)
        resolved: list[tuple[int, tuple[Target, ...]]] = []
        for index, submission in enumerate(submissions):
            try:
                targets = resolve(listeners, submission, now)
                self._schemas.check(tenant, targets, submission.data)
                resolved.append((index, targets))
            except ClarionError as wrong:
                results[index] = wrong
            await self._give_way(index)
        users = await self._users(tenant, [target for _, targets in resolved for target in targets])
        entries: list[Entry] = []
        claims: list[Claim | None] = []
        answers: list[
            tuple[int, EventId, int, int, bytes]
        ] = []  # index, id, accepted, first entry, running key
        running: list[bytes] = []
        try:
            for index, targets in resolved:
                submission = submissions[index]
                event_id = new_event_id(now, self._entropy.bytes(10))
                accepted = sum(len(target.users) + len(target.topics) for target in targets)
                claim = self._claim(tenant, submission, event_id, accepted, now)
                key = b""
                if claim is not None and submission.idempotency_key:
                    key = claim.key
                    if key in self._running:
                        results[index] = IdempotencyInFlight(
                            "The first request with this Idempotency-Key is still running. Retry in a second."
                        )
                        continue
                    self._running.add(key)
                    running.append(key)
                if not targets:
                    results[index] = Acceptance(event_id=event_id, accepted=0)
                    continue
                answers.append((index, event_id, accepted, len(entries), key))
                for target in targets:
                    entries.append(self._entry(tenant, submission, target, event_id, users, now))
                    claims.append(claim)
                await self._give_way(index)
            outcomes = await self._publish(entries, claims) if entries else ()
        finally:
            self._running.difference_update(running)
        for index, event_id, accepted, first, _ in answers:
            results[index] = self._answer(submissions[index], outcomes[first], event_id, accepted)
        return results  # type: ignore[return-value]

    def _listeners_of(self, tenant: TenantId) -> Listeners:
        workflows = self._ledger.setup.workflows.all(tenant)
        known = self._listeners.get(tenant)
        if known is None or known.workflows is not workflows:
            known = self._listeners[tenant] = Listeners(workflows)
        return known

    async def _publish(
        self, entries: Sequence[Entry], claims: Sequence[Claim | None]
    ) -> Sequence[ClaimResult | None]:
        urgent = sum(1 for entry in entries if entry.lane is Lane.CRITICAL)
        self._pacer.begin(Lane.CRITICAL, urgent)
        try:
            return await self._broker.publish(entries, claims)
        finally:
            self._pacer.end(Lane.CRITICAL, urgent)

    async def _give_way(self, index: int) -> None:
        """A large batch must not keep the event loop from what is urgent."""
        if index % CHUNK == CHUNK - 1:
            await self._pacer.turn(Lane.NORMAL)

    async def _users(self, tenant: TenantId, targets: Sequence[Target]) -> Mapping[str, User]:
        """All users the targets name; missing ones are created, inline fields applied."""
        wanted = list(dict.fromkeys([user_id for target in targets for user_id in target.users]))
        for _ in range(MERGE_TRIES):
            users = dict(await self._ledger.users.find(tenant, wanted))
            puts = _puts(wanted, targets, users)
            if not puts:
                return users
            try:
                for user in await self._ledger.users.put(tenant, puts):
                    users[user.id] = user
                return users
            except Conflict:
                continue  # Somebody changed one of them meanwhile: merge into what they stored.
        raise Busy("The same users are being changed by many calls at once.")

    def _entry(
        self,
        tenant: TenantId,
        submission: Submission,
        target: Target,
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
            data=submission.data,
            actor=submission.actor,
            overrides=submission.overrides,
            expires_at=submission.expires_at,
            source=submission.source,
            type=submission.type,
            subject=submission.subject,
            time=submission.time,
            traceparent=submission.traceparent,
        )
        sole = users[target.users[0]] if len(target.users) == 1 and not target.topics else None
        return sealed_entry(event, sole, self._vault)

    def _claim(
        self, tenant: TenantId, submission: Submission, event_id: EventId, accepted: int, now: Instant
    ) -> Claim | None:
        if submission.idempotency_key:
            key = self._vault.hash("idempotency", b"%d:%s" % (tenant, submission.idempotency_key.encode()))
            fingerprint = submission.fingerprint
        elif submission.event_key:
            name = f"{tenant}:{submission.source}\n{submission.event_key}"
            key, fingerprint = self._vault.hash("cloudevent", name.encode()), b""
        else:
            return None
        return Claim(
            tenant=tenant,
            key=key,
            fingerprint=fingerprint,
            answer=_ANSWER.encode((event_id, accepted)),
            expires_at=Instant(now + CLAIM_MS),
        )

    def _answer(
        self, submission: Submission, result: ClaimResult | None, event_id: EventId, accepted: int
    ) -> Acceptance | ClarionError:
        if result is None or result.fresh:
            self.accepted += 1
            return Acceptance(event_id=event_id, accepted=accepted)
        if submission.idempotency_key and result.fingerprint != submission.fingerprint:
            return IdempotencyMismatch(
                "This Idempotency-Key was used with another request body. Use a new key for a new request."
            )
        first_id, first_accepted = _ANSWER_TYPE.decode(result.answer)
        self.repeated += 1
        return Acceptance(event_id=EventId(first_id), accepted=first_accepted, repeated=True)


def _puts(wanted: Sequence[str], targets: Sequence[Target], users: Mapping[str, User]) -> list[UserPut]:
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
    return changed + [
        UserPut(id=user_id) for user_id in wanted if user_id not in users and user_id not in profiles
    ]
