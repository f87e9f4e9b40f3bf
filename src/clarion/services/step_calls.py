"""Does what steps of workflows have done outside of the plan. Everything may be done twice, and has happened once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

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
from clarion.rules import attributes
from clarion.rules.validation import check_attributes
from clarion.services.users import UserService

SOURCE = "clarion:step"
"""Of events that steps send."""

Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]


class StepCallService:
    """Implements `flow.plan.runs.StepCalls`."""

    def __init__(self, tenants: TenantsView, users: UserService, submit: Submit) -> None:
        self._tenants = tenants
        self._users = users
        self._submit = submit

    async def perform(self, call: StepCall, event: Event, user: User) -> CallResult:
        """By the type of the step."""
        if call.type is StepType.UPDATE_USER:
            return await self._update(call.request, user)
        return await self._trigger(call, event)

    async def _update(self, request: Mapping[str, Any], user: User) -> CallResult:
        """The values are those of the moment when the step was reached: set again, they are the same."""
        names = {"set": sorted(request["set"]), "unset": list(request["unset"])}

        def to(profile: Profile) -> Profile:
            kept = {name: one for name, one in profile.attributes.items() if name not in request["unset"]}
            changed = {**kept, **request["set"]}
            check_attributes(changed, "#/set")
            return msgspec.structs.replace(profile, attributes=changed)

        try:
            attributes.check(self._tenants.all()[user.tenant], request["set"], "#/set")
            await self._users.change(user.tenant, user.id, to)
        except (InvalidInput, NotFound) as refused:
            return CallResult(reason=Reason.STEP_FAILED, told={**names, "error": str(refused)})
        return CallResult(told=names)

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
        told: dict[str, Any] = {"workflow": request["workflow"], "recipients": len(request["recipients"])}
        if isinstance(answer, Busy | Unavailable):
            raise answer
        if isinstance(answer, ClarionError):
            return CallResult(reason=Reason.STEP_FAILED, told={**told, "error": answer.code})
        return CallResult(
            output={"event_id": id_text(answer.event_id), "recipients": answer.accepted},
            told={**told, "event_id": id_text(answer.event_id)},
        )
