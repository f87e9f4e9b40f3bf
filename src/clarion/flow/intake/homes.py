"""Takes each event where its users are at home: here, in the other region, or in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from clarion.errors import ClarionError, Misdirected, Unavailable
from clarion.flow.intake.intake import Intake
from clarion.flow.intake.recipients import WorkflowTrigger
from clarion.flow.setup_view import TenantsView
from clarion.model.ids import TenantId
from clarion.model.submission import Acceptance, Submission
from clarion.ports.clock import Random
from clarion.ports.other_region import OtherRegion
from clarion.rules.endpoints import TENANT_USER
from clarion.rules.regions import home_of


class Regions(NamedTuple):
    """Both, and where this database is at home."""

    names: Sequence[str]
    home: str
    other: OtherRegion | None
    """None: callers send each event to the home of its users."""

    @property
    def elsewhere(self) -> str:
        """The home that is not here."""
        return next(name for name in self.names if name != self.home)


class Homes:
    """An intake for the users of both regions."""

    def __init__(self, intake: Intake, tenants: TenantsView, regions: Regions, random: Random) -> None:
        self._intake = intake
        self._tenants = tenants
        self._regions = regions
        self._random = random
        intake.narrowed = self.narrowed

    async def submit(
        self, tenant: TenantId, submissions: Sequence[Submission]
    ) -> Sequence[Acceptance | ClarionError]:
        """One result per submission, durable in every region that has users of it. What the other region refuses is not
        accepted here either."""
        homes = [self._homes(tenant, one) for one in submissions]
        results: list[Acceptance | ClarionError | None] = [None] * len(submissions)
        away = [index for index, (_, elsewhere) in enumerate(homes) if elsewhere]
        if away:
            for index, result in zip(
                away, await self._forwarded(tenant, [submissions[index] for index in away]), strict=True
            ):
                results[index] = result
        here = [
            index
            for index, (at_home, _) in enumerate(homes)
            if at_home and not isinstance(results[index], ClarionError)
        ]
        if here:
            accepted = await self._intake.submit(tenant, [submissions[index] for index in here])
            for index, result in zip(here, accepted, strict=True):
                results[index] = _both(result, results[index])
        return results  # type: ignore[return-value]

    def check(self, tenant: TenantId, user: str) -> None:
        """Raises Misdirected when this user is at home in the other region."""
        if not self._is_at_home(tenant, user):
            raise self._misdirected(user)

    def narrowed(self, tenant: TenantId, trigger: WorkflowTrigger) -> WorkflowTrigger | None:
        """For the users at home here and the groups; None when nobody is left."""
        users = tuple([user for user in trigger.users if self._is_at_home(tenant, user)])
        if len(users) == len(trigger.users):
            return trigger
        if not (users or trigger.has_groups):
            return None
        kept = frozenset(users)
        return replace(
            trigger,
            users=users,
            inline=tuple(one for one in trigger.inline if one.user_id in kept),
            creates=trigger.creates & kept,
        )

    def _homes(self, tenant: TenantId, submission: Submission) -> tuple[bool, bool]:
        """Whether it has somebody at home here, and somebody at home in the other region."""
        if submission.live is not None:
            return True, False  # the state is here
        try:
            triggers = self._intake.triggers(tenant, submission)
        except ClarionError:
            return True, False  # which says what is wrong
        users = {user for trigger in triggers for user in trigger.users}
        if self._regions.other is not None and any(trigger.has_groups for trigger in triggers):
            return True, True  # either region has members
        at_home = {user for user in users if self._is_at_home(tenant, user)}
        return at_home == users or bool(at_home), at_home != users

    def _is_at_home(self, tenant: TenantId, user: str) -> bool:
        regions = self._regions
        if user == TENANT_USER:
            return True
        return home_of(self._tenants.all()[tenant].key, user, regions.names) == regions.home

    def _misdirected(self, who: str) -> Misdirected:
        elsewhere = self._regions.elsewhere
        return Misdirected(f"{who}: at home in region {elsewhere}. Send the request there.")

    async def _forwarded(
        self, tenant: TenantId, submissions: Sequence[Submission]
    ) -> Sequence[Acceptance | ClarionError]:
        other = self._regions.other
        if other is None:
            return [self._misdirected("some of its recipients")] * len(submissions)
        told = [
            one
            if one.idempotency_key or one.event_key
            else replace(one, idempotency_key=f"region:{self._random.bytes(16).hex()}")
            for one in submissions
        ]
        try:
            return await other.submit(self._tenants.all()[tenant].key, told)
        except Unavailable as away:
            return [away] * len(submissions)


def _both(
    here: Acceptance | ClarionError, there: Acceptance | ClarionError | None
) -> Acceptance | ClarionError:
    if not (isinstance(here, Acceptance) and isinstance(there, Acceptance)):
        return here
    return replace(
        here,
        accepted=here.accepted + there.accepted,
        created_users=(*here.created_users, *there.created_users),
        repeated=here.repeated and there.repeated,
        notices=tuple(dict.fromkeys((*here.notices, *there.notices))),
    )
