"""Stage 1, intake: resolve a submission to workflows and users, seal it, append it durably to its lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from clarion.errors import ClarionError, IdempotencyInFlight, IdempotencyMismatch
from clarion.flow.resolve import Resolved, merged_profile, resolve, topics, user_ids
from clarion.flow.sealing import sealed_entry
from clarion.model.event import Claim, ClaimResult, Entry, Event
from clarion.model.ids import EventId, Instant, TenantId, new_event_id
from clarion.model.setup import Workflow
from clarion.model.submission import Acceptance, Submission
from clarion.model.user import Profile, User
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock, Entropy
from clarion.ports.ledger import Ledger, UserPut
from clarion.ports.vault import Vault

CLAIM_MS = 24 * 3600 * 1000
"""How long idempotency keys and CloudEvent ids are remembered."""
_ANSWER = msgspec.msgpack.Encoder()
_ANSWER_TYPE = msgspec.msgpack.Decoder(tuple[bytes, int])


class Intake:
    """Accepts submissions. What it returned an `Acceptance` for survives any crash."""

    def __init__(self, ledger: Ledger, broker: Broker, vault: Vault, clock: Clock, entropy: Entropy) -> None:
        self._ledger = ledger
        self._broker = broker
        self._vault = vault
        self._clock = clock
        self._entropy = entropy
        self._running: set[bytes] = set()
        self.accepted = 0
        self.repeated = 0

    async def submit(
        self, tenant: TenantId, submissions: Sequence[Submission]
    ) -> list[Acceptance | ClarionError]:
        """One result per submission, durable when this returns. Raises Busy or Unavailable for all of them."""
        results: list[Acceptance | ClarionError | None] = [None] * len(submissions)
        now = self._clock.now()
        workflows = self._ledger.setup.workflows.all(tenant)
        resolved: list[tuple[int, Resolved]] = []
        for index, submission in enumerate(submissions):
            try:
                resolved.append((index, resolve(workflows, submission, now)))
            except ClarionError as wrong:
                results[index] = wrong
        users = await self._users(tenant, [r for _, r in resolved])
        entries: list[Entry] = []
        claims: list[Claim | None] = []
        answers: list[
            tuple[int, EventId, int, int, bytes]
        ] = []  # index, id, accepted, first entry, running key
        running: list[bytes] = []
        try:
            for index, item in resolved:
                submission = item.submission
                event_id = new_event_id(now, self._entropy.bytes(10))
                accepted = len(item.recipients) * len(item.workflows)
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
                if not item.workflows:
                    results[index] = Acceptance(event_id=event_id, accepted=0)
                    continue
                answers.append((index, event_id, accepted, len(entries), key))
                for workflow in item.workflows:
                    entries.append(self._entry(tenant, item, workflow, event_id, users, now))
                    claims.append(claim)
            outcomes = await self._broker.publish(entries, claims) if entries else ()
        finally:
            self._running.difference_update(running)
        for index, event_id, accepted, first, _ in answers:
            results[index] = self._answer(submissions[index], outcomes[first], event_id, accepted)
        return results  # type: ignore[return-value]

    async def _users(self, tenant: TenantId, items: Sequence[Resolved]) -> Mapping[str, User]:
        """All users the submissions name; missing ones are created, inline fields applied."""
        wanted = user_ids(r for item in items for r in item.recipients)
        users = dict(await self._ledger.users.find(tenant, wanted))
        puts: dict[str, UserPut] = {}
        for item in items:
            for recipient in item.recipients:
                if isinstance(recipient, str):
                    if recipient not in users and recipient not in puts:
                        puts[recipient] = UserPut(id=recipient)
                elif recipient.user_id is not None:
                    user_id = recipient.user_id
                    put = puts.get(user_id)
                    before = (put.profile if put else None) or (
                        users[user_id].profile if user_id in users else Profile()
                    )
                    after = merged_profile(before, recipient)
                    if after is not before or user_id not in users:
                        puts[user_id] = UserPut(id=user_id, profile=after)
        if puts:
            for user in await self._ledger.users.put(tenant, list(puts.values())):
                users[user.id] = user
        return users

    def _entry(
        self,
        tenant: TenantId,
        item: Resolved,
        workflow: Workflow,
        event_id: EventId,
        users: Mapping[str, User],
        now: Instant,
    ) -> Entry:
        submission = item.submission
        people = [users[user_id] for user_id in user_ids(item.recipients)]
        event = Event(
            id=event_id,
            tenant=tenant,
            lane=submission.lane or workflow.lane,
            workflow=workflow.key,
            at=now,
            users=tuple([user.no for user in people]),
            topics=topics(item.recipients),
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
        sole = people[0] if len(people) == 1 and not event.topics else None
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
