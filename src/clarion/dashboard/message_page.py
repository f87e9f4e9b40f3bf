"""The page of one message: explanation, timeline and content. Also the result of a dry run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.dashboard.dependencies import DashboardParts
from clarion.dashboard.labels import because, status_name, tone, verdict, workflow_name
from clarion.dashboard.message_feed import moment, when
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.dashboard.user_list import NOBODY, Person, people, person
from clarion.errors import ClarionError, NotFound
from clarion.model.content import EmailContent
from clarion.model.ids import MessageId, TenantId, id_text
from clarion.model.inbox import MARKS
from clarion.model.message import Change, Message
from clarion.model.receipt import TAKEN_BACK
from clarion.model.status import Reason, Status
from clarion.model.submission import Submission
from clarion.rules.explain import ChannelExplanation, explanation, merged

INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)")


class Detail:
    """Reads for one tenant."""

    def __init__(self, parts: DashboardParts, tenant: TenantId) -> None:
        self._parts = parts
        self._tenant = tenant

    async def message(self, message_id: MessageId) -> dict[str, Any]:
        """Everything about one message. Raises NotFound."""
        ledger = self._parts.ledger
        message = await ledger.records.get(self._tenant, message_id)
        if message is None:
            raise NotFound("This message does not exist any more.")
        face = (await people(ledger.users, [message.user]))[message.user]
        changes = await ledger.records.changes(self._tenant, message_id)
        workflow = ledger.setup.workflows.all(self._tenant).get(message.workflow)
        return {
            "id": id_text(message.id),
            "event_id": id_text(message.event_id),
            "person": face,
            "workflow": workflow_name(workflow, message.workflow),
            "workflow_key": message.workflow,
            "workflow_version": message.workflow_version,
            "step": message.step,
            "lane": str(message.lane),
            "channel_name": CHANNEL_NAMES[message.channel],
            "status": status_name(message.status),
            "tone": tone(message.status),
            "why": because(message.reason),
            "line": await self._line(message, face),
            "timeline": [_step(change, changes[0]) for change in changes],
            "content": await self._content(message),
            "cancelable": message.status in {Status.QUEUED, Status.DEFERRED},
        }

    async def dry_run(self, submission: Submission) -> list[dict[str, Any]]:
        """What would happen, person by person."""
        runs = await self._parts.services.dry_runs.runs(self._tenant, submission)
        users = await self._parts.ledger.users.find(self._tenant, [user_id for user_id, _ in runs])
        plans = []
        for user_id, run in runs:
            told = explanation(run, user_id)
            face = person(users[user_id]) if user_id in users else NOBODY
            plans.append(
                {
                    "person": face,
                    "summary": told.text,
                    "channels": [channel_line(channel) for channel in told.channels],
                }
            )
        return plans

    async def _line(self, message: Message, face: Person) -> dict[str, Any] | None:
        """The explanation of the plan that this message came from."""
        runs = await self._parts.ledger.plans.runs_of(self._tenant, message.event_id, message.user)
        wanted = id_text(message.id)
        for run in merged(runs):
            for channel in explanation(run, face.id).channels:
                if channel.message_id == wanted:
                    return channel_line(channel)
        return None

    async def _content(self, message: Message) -> dict[str, str] | None:
        try:
            content = await self._parts.services.message_contents.render(message)
        except ClarionError:
            return None
        if isinstance(content, EmailContent):
            return {"html": content.html, "subject": content.subject, "words": content.text}
        fields = msgspec.structs.asdict(content)
        shown = [str(fields[name]) for name in ("title", "text", "body", "url") if fields.get(name)]
        return {"html": "", "words": "\n".join(shown)}


def channel_line(channel: ChannelExplanation) -> dict[str, Any]:
    """One channel of an explanation, as the template shows it."""
    status = channel.status
    would = {Status.QUEUED: "Goes now", Status.DEFERRED: "Later"}.get(status, "Not sent")
    if channel.reason is Reason.NOT_CHOSEN:
        would = "Not needed"
    return {
        "channel": channel.channel.value,
        "channel_name": CHANNEL_NAMES[channel.channel],
        "would": would,
        "tone": "good" if status is Status.QUEUED else tone(status),
        "words": INSTANT.split(channel.text),
        "verdicts": [
            {
                "rule": said.rule,
                "result": said.result,
                "reason": said.reason,
                "text": verdict(said.rule, said.reason, said.inputs),
                "inputs": msgspec.json.encode(said.inputs).decode() if said.inputs else "",
            }
            for said in channel.verdicts
        ],
    }


def _step(change: Change, first: Change) -> dict[str, Any]:
    """One line of the timeline."""
    more: list[str] = []
    if change.reason is not None:
        more.append(because(change.reason))
    if change.outcome in MARKS:
        more.append(f"{change.outcome} in the inbox")
    elif change.outcome in TAKEN_BACK:
        more.append(change.outcome.replace("_", " "))
    elif change.outcome is not None:
        took = f" in {change.took_ms} ms" if change.took_ms is not None else ""
        more.append(f"attempt {change.attempt} by {change.integration}: {change.outcome}{took}")
    if change.detail:
        more.append(change.detail)
    if change.choice:
        more.append(change.choice)
    planned = change is first and change.status is Status.QUEUED
    return {
        "title": "Planned" if planned else status_name(change.status),
        "later": "" if change is first else f"+{span(change.at - first.at)}",
        "tone": "" if planned else tone(change.status),
        "more": _joined(more),
        "due": moment(change.due_at) if change.status is Status.DEFERRED else "",
        **when(change.at),
    }


def span(ms: int) -> str:
    """A duration with its two leading digits or so."""
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if ms >= length:
            return f"{ms / length:.3g} {unit}"
    return f"{ms} ms"


def _joined(parts: Sequence[str]) -> str:
    said = " · ".join(parts)
    return f"{said[:1].upper()}{said[1:]}"
