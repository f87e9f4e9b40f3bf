"""The form that triggers a demo workflow, and its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from clarion.errors import InvalidInput
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import Category, SendAll, SendFirst, SendLadder, Step, Workflow
from clarion.model.submission import Submission
from clarion.rules.data_types import example

CHANNEL_NAMES = {
    Channel.IN_APP: "in-app",
    Channel.EMAIL: "email",
    Channel.SMS: "SMS",
    Channel.PUSH: "push",
    Channel.CHAT: "chat",
    Channel.WEBHOOK: "webhook",
    Channel.VOICE: "voice",
    Channel.WHATSAPP: "WhatsApp",
}
KINDS: Mapping[type, str] = {bool: "boolean", int: "number", float: "number", str: "string"}


def choices(setup: SetupView, tenant: TenantId) -> list[dict[str, Any]]:
    """The workflows to choose from: those that reach people in the most ways come first."""
    categories = setup.categories.all(tenant)
    tiles = [choice(w, categories.get(w.category)) for w in setup.workflows.all(tenant).values()]
    return sorted(tiles, key=lambda tile: (-len(tile["channels"]), tile["name"]))


def choice(workflow: Workflow, category: Category | None) -> dict[str, Any]:
    """One workflow as a tile."""
    return {
        "key": workflow.key,
        "name": workflow.name or workflow.key,
        "channels": [str(channel) for channel in channels_of(workflow.sends())],
        "mark": "critical" if category and category.critical else "bulk" if workflow.lane == "bulk" else "",
    }


def form(setup: SetupView, tenant: TenantId, workflow: Workflow) -> dict[str, Any]:
    """The chosen workflow: what it does in a sentence, and fields for its example data."""
    found = example_of(setup, tenant, workflow)
    return {
        "key": workflow.key,
        "route": route(workflow, setup.categories.all(tenant).get(workflow.category)),
        "data": msgspec.json.format(msgspec.json.encode(found), indent=2).decode(),
        "fields": [_field(name, value) for name, value in found.items()],
    }


def route(workflow: Workflow, category: Category | None) -> str:
    """What the workflow does, for people: channels, then the rules that bind it."""
    said = [_way(step) for step in workflow.sends()]
    if category is not None and category.critical:
        said.append("Users cannot opt out, and quiet hours do not apply.")
    elif category is not None:
        said += [f"At most {cap.limit} per person {_window(cap.window_s)}." for cap in category.caps]
        if category.send_window or workflow.send_window:
            said.append("Only inside the send window.")
    return " ".join(said)


def submission(fields: Mapping[str, list[str]]) -> Submission:
    """What the posted form asks for. Raises InvalidInput saying which part is wrong."""
    user_ids = tuple(fields.get("to", ()))
    if not user_ids:
        raise InvalidInput("Choose at least one person.")
    return Submission(
        workflow=fields.get("workflow", [""])[0],
        recipients=user_ids,
        data=data_of(fields.get("data", ["{}"])[0]),
    )


def data_of(text: str) -> msgspec.Raw:
    """The data of an event as somebody typed it. Raises InvalidInput."""
    raw = text.strip().encode() or b"{}"
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise InvalidInput(f"The data is not valid JSON: {wrong}.") from None
    if not isinstance(value, dict):
        raise InvalidInput("The data must be a JSON object: { … }.")
    return msgspec.Raw(raw)


def example_of(setup: SetupView, tenant: TenantId, workflow: Workflow) -> Mapping[str, Any]:
    """Data to try a workflow with: its example, or those of its templates, and for what that leaves out an example of what its
    `data_schema` asks for."""
    given = workflow.example_data or _template_example(setup, tenant, workflow)
    return example(workflow.data_schema, given)


def _template_example(setup: SetupView, tenant: TenantId, workflow: Workflow) -> dict[str, Any]:
    templates = setup.templates.all(tenant)
    examples = [templates[key].example_data for key in workflow.templates() if key in templates]
    return {name: value for example in examples for name, value in example.items()}


def _field(name: str, value: Any) -> dict[str, Any]:
    kind = KINDS.get(type(value), "json")
    shown = msgspec.json.encode(value).decode() if kind in {"json", "number"} else value
    return {"name": name, "kind": kind, "value": shown}


def channels_of(steps: Iterable[Step]) -> list[Channel]:
    """Every channel that they send over, once, in order."""
    found: list[Channel] = []
    for step in steps:
        match step.to:
            case SendAll(channels=channels) | SendFirst(channels=channels):
                found += channels
            case SendLadder(channels=tried, always=always):
                found += [*always, *(one.channel for one in tried)]
    return list(dict.fromkeys(found))


def _way(step: Step) -> str:
    match step.to:
        case SendAll(channels=channels):
            return _sentence(_listed(channels))
        case SendFirst(channels=channels):
            return _sentence(", or else ".join(CHANNEL_NAMES[channel] for channel in channels))
        case SendLadder(channels=tried, always=always, until=until):
            first, *later = tried
            said = _sentence(f"{CHANNEL_NAMES[first.channel]} first")
            wait = first.wait_s
            for one in later:
                said += f" If it is not {until} within {wait} s, {CHANNEL_NAMES[one.channel]} next."
                wait = one.wait_s
            return f"{said} {_sentence(_listed(always) + ' always')}" if always else said
        case None:
            return ""


def _listed(channels: Sequence[Channel]) -> str:
    *head, last = [CHANNEL_NAMES[channel] for channel in channels]
    return f"{', '.join(head)} and {last}" if head else last


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _window(seconds: int) -> str:
    for name, length in (("a week", 7 * 86_400), ("a day", 86_400), ("an hour", 3_600), ("a minute", 60)):
        if seconds == length:
            return name
    return f"in {seconds} s"
