"""Dry runs: plan a submission with the code of the planner, and store nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice

import msgspec

from clarion.errors import UnknownReference
from clarion.flow.coverage import Coverage
from clarion.flow.groups import Groups, for_member
from clarion.flow.intake.recipients import WorkflowIndex, WorkflowTrigger, merged_profile, resolve
from clarion.flow.intake.schemas import Schemas
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import setup_of
from clarion.flow.plan.batch import PlanBatch
from clarion.flow.plan.digests import item_of
from clarion.flow.staged_setup import StagedLedger
from clarion.model.event import Event
from clarion.model.ids import NO_USER, Instant, TenantId, UserNo, WorkerId, new_event_id
from clarion.model.message import Run
from clarion.model.setup import Category, Tenant, Workflow
from clarion.model.submission import Submission
from clarion.model.user import Profile, User
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault
from clarion.rules import schedule
from clarion.rules.explain import merged
from clarion.rules.plan import Planned, Waited, plan_run
from clarion.rules.rehearsal import rehearsed

SAMPLE = 100
"""Members of each topic and segment that a dry run looks at."""


class DryRuns:
    """Plans without storing anything, with the same rules, exact checks and explanations as the planner."""

    def __init__(
        self,
        ledger: Ledger,
        groups: Groups,
        schemas: Schemas,
        coverage: Coverage,
        vault: Vault,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ledger = ledger
        self._groups = groups
        self._coverage = coverage
        self._vault = vault
        self._clock = clock
        self._random = random
        self._schemas = schemas

    async def trying(self, tenant: TenantId, workflow: Workflow) -> DryRuns:
        """The same, with a workflow that is not published in place of the live one."""
        staged = await StagedLedger.of(self._ledger, tenant)
        await staged.ledger.setup.workflows.put(tenant, workflow)
        return DryRuns(
            staged.ledger,
            self._groups,
            Schemas(staged.ledger.setup),
            self._coverage,
            self._vault,
            self._clock,
            self._random,
        )

    async def runs(
        self, tenant: TenantId, submission: Submission, *, skip_waits: bool = False
    ) -> Sequence[tuple[str, Run]]:
        """(user id, run) for every recipient and workflow, topics and segments by their first members: up to the first wait,
        or with `skip_waits` to the end, as if time passed."""
        now = self._clock.now()
        draft = PlanBatch(WorkerId(0))
        names: dict[UserNo, str] = {}
        targets = resolve(WorkflowIndex(self._ledger.setup.workflows.all(tenant)), submission, now)
        self._schemas.check(tenant, targets, submission.data)
        for target in targets:
            setup = setup_of(self._ledger.setup, tenant, target.workflow.key)
            known_users = await self._users(tenant, target)
            names.update((user.no, user.id) for user in known_users)
            event = self._event(
                tenant, submission, target.workflow, tuple(user.no for user in known_users), now
            )
            if setup is None:
                continue
            duties = await self._groups.on_duty(tenant, target.topics)
            for user in known_users:
                plan = partial(
                    self._planned, for_member(event, user.no, duties), target.workflow, setup[0], setup[2]
                )
                parts = rehearsed(plan, user, now)
                for planned in parts if skip_waits else islice(parts, 1):
                    draft.add(planned)
                    draft.messages += planned.messages
                    if (item := item_of(planned, event, user, self._vault, planned.run.at)) is not None:
                        draft.items.append(item)
        result = await self._ledger.plans.preview(draft.commit())
        final = {run.id: run for run in (*draft.runs, *result.runs)}
        return [(names[run.user], run) for run in merged(final.values())]

    def _planned(
        self,
        event: Event,
        workflow: Workflow,
        tenant: Tenant,
        category: Category,
        user: User,
        now: Instant,
        waited: Waited | None,
    ) -> Planned:
        return plan_run(
            event=event,
            workflow=workflow,
            category=category,
            tenant=tenant,
            user=user,
            now=now,
            hash=self._vault.hash,
            held=True,
            served=self._coverage.served(tenant.id),
            waited=waited,
        )

    async def _users(self, tenant: TenantId, target: WorkflowTrigger) -> list[User]:
        """Everyone concerned, as they would be once inline fields are applied; new ones get passing numbers."""
        known = dict(await self._ledger.users.find(tenant, target.users))
        topics = await self._ledger.directory.topics(tenant, target.topics) if target.topics else ()
        segments = self._ledger.setup.segments.all(tenant)
        if unknown := list(dict.fromkeys(target.unknown(known, topics, segments))):
            raise UnknownReference(unknown)
        for user_id in target.users:
            if user_id not in known:
                known[user_id] = self._newcomer(tenant, user_id)
        for inline in target.inline:
            user = known[inline.user_id or ""]
            known[user.id] = msgspec.structs.replace(user, profile=merged_profile(user.profile, inline))
        known_users = {user.no: user for user in known.values()}
        for group in target.groups:
            members = await self._groups.page(tenant, group, NO_USER, SAMPLE) or ()
            for no, user in (await self._ledger.users.get(members)).items():
                known_users.setdefault(no, user)
        return list(known_users.values())

    def _newcomer(self, tenant: TenantId, user_id: str) -> User:
        number = -1 - int.from_bytes(self._random.bytes(4), "big")
        return User(
            no=UserNo(number), tenant=tenant, id=user_id, key=self._random.bytes(32), profile=Profile()
        )

    def _event(
        self,
        tenant: TenantId,
        submission: Submission,
        workflow: Workflow,
        users: tuple[UserNo, ...],
        now: Instant,
    ) -> Event:
        return Event(
            id=new_event_id(now, self._random.bytes(10)),
            tenant=tenant,
            lane=submission.lane or workflow.lane,
            workflow=workflow.key,
            at=now,
            users=users,
            data=submission.data,
            actor=submission.actor,
            overrides=submission.overrides,
            expires_at=submission.expires_at,
            send_at=schedule.send_at(submission, now),
            send_at_local=submission.send_at_local,
            type=submission.type,
        )
