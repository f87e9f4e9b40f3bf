"""`/v1/events/{id}`: an event with its runs, messages and explanations, and canceling it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from clarion.api.conditions import RECORD
from clarion.api.explanations import explained
from clarion.api.guards import FOR_GOOD, READ, SEND, Caller, Parts, names_of, the_user
from clarion.api.messages import MessageView, an_event_id, views_of
from clarion.api.pages import PAGE, START, Cursor, Limit
from clarion.errors import NotFound
from clarion.model.event import EventFound
from clarion.model.ids import NO_USER, MessageId
from clarion.model.status import Reason
from clarion.rules.explain import RunExplanation, merged

SHOWN_RUNS = 200
"""Explanations in one answer; of a wider event ask person by person for its explanation."""


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its runs and messages, all as they were at one moment."""

    event_id: str
    status: Literal["accepted", "in_progress", "done", "set_aside"]
    """`accepted`: nothing is planned yet. `in_progress`: at least one message is not finished, a run waits, or not all members of its topics are planned yet. `done`: all are, or there
    are none. `set_aside`: it could not be planned, see `reason` and `/v1/dead-letters/events`."""
    reason: Reason | None
    runs: list[RunExplanation]
    """One explanation per recipient and workflow, on the first page only, at most 200."""
    messages: list[MessageView]
    next_cursor: str | None
    """Leads to more messages."""


class EventCanceled(msgspec.Struct, frozen=True, kw_only=True):
    """What a cancellation stopped."""

    event_id: str
    canceled: int
    """Messages that this call canceled. Messages that are planned later are canceled then."""


class ExplanationView(msgspec.Struct, frozen=True, kw_only=True):
    """Why recipients were or were not notified."""

    event_id: str
    text: str
    """In words."""
    runs: list[RunExplanation]
    """One per recipient and workflow: at most 200 without `user_id`."""


@get("/events/{event_id:str}", opt=READ | RECORD)
async def get_event(
    event_id: str, caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> EventView:
    """The state of an event, with its messages. Right after the 202 its status is `accepted`: nothing is planned yet."""
    start = cursor.after(b"")
    before = MessageId(start) if start else None
    found = await parts.ledger.events.found(
        caller.tenant, an_event_id(event_id), before, limit, 0 if before else SHOWN_RUNS
    )
    if found is None:
        raise NotFound(f"There is no event {event_id}.")
    runs = merged(
        [run for run in found.runs if run.user != NO_USER]
    )  # That one only says that it reached nobody.
    names = await names_of(parts, {run.user for run in runs})
    return EventView(
        event_id=event_id,
        status=_status(found),
        reason=None if found.set_aside is None else found.set_aside.reason,
        runs=await explained(parts, runs, names),
        messages=await views_of(parts, found.messages),
        next_cursor=cursor.to(found.following),
    )


def _status(found: EventFound) -> Literal["accepted", "in_progress", "done", "set_aside"]:
    if found.active or (found.waits and (found.runs or found.messages)):
        return "in_progress"
    if found.waits:
        return "accepted"
    return "done" if found.set_aside is None else "set_aside"


@post("/events/{event_id:str}/cancel", opt=SEND | FOR_GOOD, status_code=200)
async def cancel_event(event_id: str, caller: Caller, parts: Parts) -> EventCanceled:
    """Cancel all messages of an event that have not started to be sent, also those that are not planned yet.

    Messages that are being sent are not stopped. You may repeat the call.
    """
    canceled = await parts.services.cancellations.event(caller.tenant, an_event_id(event_id))
    if canceled is None:
        raise NotFound(f"There is no event {event_id}.")
    return EventCanceled(event_id=event_id, canceled=canceled)


@get("/events/{event_id:str}/explanation", opt=READ)
async def explain(
    event_id: str,
    caller: Caller,
    parts: Parts,
    user_id: Annotated[str | None, Parameter(description="Only this user")] = None,
) -> ExplanationView:
    """Why each recipient, or one user, was or was not notified of this event: every rule and its result."""
    event = an_event_id(event_id)
    only = None if user_id is None else (await the_user(parts, caller, user_id, readable=False)).no
    runs = (await parts.ledger.plans.runs_of(caller.tenant, event, only))[:SHOWN_RUNS]
    if not runs and not await parts.ledger.events.known(caller.tenant, event):
        raise NotFound(f"There is no event {event_id}.")
    if not runs:
        whom = "anybody" if user_id is None else repr(user_id)
        raise NotFound(
            f"The event {event_id} has no run for {whom}: not among its recipients, or not planned yet (ask again in "
            "a moment)."
        )
    names = await names_of(parts, {run.user for run in runs})
    shown = await explained(parts, merged([run for run in runs if run.user != NO_USER]), names)
    text = " ".join(
        one.text if user_id else f"{one.user_id or 'A deleted user'}: {one.text}" for one in shown
    )
    return ExplanationView(event_id=event_id, text=text or "It reached nobody.", runs=shown)


router = Router("/v1", route_handlers=[get_event, cancel_event, explain], tags=["Events"])
