"""Dry runs: the plan of a submission, decided by the code that would really plan it, with nothing stored."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.flow.catalog import setup_of
from clarion.flow.draft import Draft
from clarion.flow.resolve import Resolved, merged_profile, resolve, topics, user_ids
from clarion.model.event import Event
from clarion.model.ids import TenantId, UserNo, new_event_id
from clarion.model.message import Run
from clarion.model.setup import Workflow
from clarion.model.submission import Submission
from clarion.model.user import Profile, User
from clarion.ports.clock import Clock, Entropy
from clarion.ports.ledger import Ledger
from clarion.ports.vault import Vault
from clarion.rules.plan import plan_run

TOPIC_SAMPLE = 100
"""Members of each topic that a dry run looks at."""


class Rehearsal:
    """Plans without storing: rules, exact checks and explanations are those of the real thing."""

    def __init__(self, ledger: Ledger, vault: Vault, clock: Clock, entropy: Entropy) -> None:
        self._ledger = ledger
        self._vault = vault
        self._clock = clock
        self._entropy = entropy

    async def runs(self, tenant: TenantId, submission: Submission) -> Sequence[tuple[str, Run]]:
        """(user id, run) for every recipient and workflow, topics by their first members."""
        now = self._clock.now()
        resolved = resolve(self._ledger.setup.workflows.all(tenant), submission, now)
        people = await self._people(tenant, resolved)
        draft = Draft()
        for workflow in resolved.workflows:
            event = self._event(tenant, resolved, workflow, tuple(u.no for u in people))
            setup = setup_of(self._ledger.setup, tenant, workflow.key)
            if setup is None:
                continue
            for user in people:
                planned = plan_run(
                    event=event,
                    event_seq=0,
                    workflow=workflow,
                    category=setup[2],
                    tenant=setup[0],
                    user=user,
                    now=now,
                    hash=self._vault.hash,
                    lease_until=now,
                )
                draft.add(planned)
                draft.messages += planned.messages
        result = await self._ledger.plans.preview(draft.commit())
        final = {run.id: run for run in (*draft.runs, *result.runs)}
        names = {user.no: user.id for user in people}
        return [(names[run.user], run) for run in final.values()]

    async def _people(self, tenant: TenantId, resolved: Resolved) -> list[User]:
        """Everyone concerned, as they would be once inline fields are applied; new ones get passing numbers."""
        wanted = user_ids(resolved.recipients)
        known = dict(await self._ledger.users.find(tenant, wanted))
        for index, user_id in enumerate(wanted):
            if user_id not in known:
                known[user_id] = User(
                    no=UserNo(-1 - index),
                    tenant=tenant,
                    id=user_id,
                    key=self._entropy.bytes(32),
                    profile=Profile(),
                )
        for recipient in resolved.recipients:
            if not isinstance(recipient, str) and recipient.user_id is not None:
                user = known[recipient.user_id]
                known[user.id] = User(
                    no=user.no,
                    tenant=tenant,
                    id=user.id,
                    key=user.key,
                    profile=merged_profile(user.profile, recipient),
                    suppressed=user.suppressed,
                )
        people = {user.no: user for user in known.values()}
        for topic in topics(resolved.recipients):
            members = await self._ledger.topics.members(tenant, topic, UserNo(0), TOPIC_SAMPLE)
            for no, user in (await self._ledger.users.get(members)).items():
                people.setdefault(no, user)
        return list(people.values())

    def _event(
        self, tenant: TenantId, resolved: Resolved, workflow: Workflow, users: tuple[UserNo, ...]
    ) -> Event:
        submission = resolved.submission
        now = self._clock.now()
        return Event(
            id=new_event_id(now, self._entropy.bytes(10)),
            tenant=tenant,
            lane=submission.lane or workflow.lane,
            workflow=workflow.key,
            at=now,
            users=users,
            data=submission.data,
            actor=submission.actor,
            overrides=submission.overrides,
            expires_at=submission.expires_at,
        )
