"""Does what steps of workflows have done outside of the plan. Everything may be done twice, and has happened once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from clarion.errors import Busy, ClarionError, InvalidInput, NotFound, Unavailable
from clarion.flow.setup_view import TenantsView
from clarion.model.event import Event
from clarion.model.ids import TenantId, id_text
from clarion.model.run import CallResult, StepCall
from clarion.model.setup import StepType
from clarion.model.status import Reason
from clarion.model.submission import Acceptance, Submission
from clarion.model.user import Profile, User
from clarion.rules.steps.trigger import TriggerStep
from clarion.rules.steps.update_user import UpdateUserStep, updated
from clarion.rules.validation import check_attributes
from clarion.services.connections import ConnectionService
from clarion.services.generation import GenerationService
from clarion.services.users import UserService

SOURCE = "clarion:step"
"""Of events that steps send."""
TRIGGER, UPDATE_USER = TriggerStep(), UpdateUserStep()

Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]


class StepCallService:
    """Implements `flow.plan.runs.StepCalls`."""

    def __init__(
        self, tenants: TenantsView, users: UserService, connections: ConnectionService, submit: Submit
    ) -> None:
        self._tenants = tenants
        self._users = users
        self._connections = connections
        self._generation = GenerationService(connections)
        self._submit = submit

    def known(self, call: StepCall, event: Event) -> CallResult | None:
        """What can be said of a call without making it; None: it is to be made now."""
        outside = call.type in (StepType.FETCH, StepType.GENERATE)
        return self._connections.known(event.tenant, call) if outside else None

    async def perform(self, call: StepCall, event: Event, user: User) -> CallResult:
        """By the type of the step."""
        if call.type is StepType.UPDATE_USER:
            return await self._update(call, user)
        if call.type is StepType.FETCH:
            return await self._connections.fetch(event.tenant, call)
        if call.type is StepType.GENERATE:
            return await self._generation.generate(event.tenant, call)
        return await self._trigger(call, event)

    async def _update(self, call: StepCall, user: User) -> CallResult:
        def changed(profile: Profile) -> Profile:
            after = updated(profile, call)
            check_attributes(after.attributes, "#/set")
            return after

        told = UPDATE_USER.tells(call)
        try:
            await self._users.change(user.tenant, user.id, changed)
        except (InvalidInput, NotFound) as refused:
            return CallResult(reason=Reason.STEP_FAILED, told={**told, "error": str(refused)})
        return CallResult(output=UPDATE_USER.gives(call), told=told)

    async def _trigger(self, call: StepCall, event: Event) -> CallResult:
        """The event has the id of the call: sent again, it is the same."""
        request = call.request
        data = event.data if request["data"] is None else msgspec.Raw(msgspec.json.encode(request["data"]))
        submission = Submission(
            workflow=request["workflow"],
            recipients=tuple(request["recipients"]),
            data=data,
            actor=event.actor,
            source=SOURCE,
            event_key=id_text(call.id),
            event_id=call.id,
            hops=event.hops + 1,
            traceparent=event.traceparent,
        )
        (answer,) = await self._submit(event.tenant, [submission])
        if isinstance(answer, Busy | Unavailable):
            raise answer
        if isinstance(answer, ClarionError):
            return CallResult(reason=Reason.STEP_FAILED, told={**TRIGGER.tells(call), "error": answer.code})
        return CallResult(output=TRIGGER.gives(call), told=TRIGGER.tells(call))
