"""`clarion workflows`, `clarion categories`, `clarion integrations`: what a tenant configures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import typer

from clarion.cli.documents import Noun, add
from clarion.cli.integration_test import send_test
from clarion.cli.runs import migrate, of_workflow
from clarion.cli.trigger import trigger

workflows = typer.Typer(no_args_is_help=True, help="Manage workflows: what to send for an event.")
categories = typer.Typer(no_args_is_help=True, help="Manage categories: what users can opt out of.")
integrations = typer.Typer(no_args_is_help=True, help="Connect providers.")


def _channels(workflow: Any) -> str:
    """Every channel of the steps, in order."""
    named = [
        one if isinstance(one, str) else one["channel"]
        for step in _sends(workflow["steps"])
        for one in step["to"]["channels"]
    ]
    return ", ".join(dict.fromkeys(named))


def _sends(steps: Iterable[Any]) -> Iterator[Any]:
    """The steps that send, also those inside branches."""
    for step in steps:
        if "to" in step:
            yield step
        for case in step.get("cases", ()):
            yield from _sends(case.get("steps", ()))


add(
    workflows,
    Noun(
        path="workflows",
        one="workflow",
        columns={
            "key": lambda one: one["key"],
            "version": lambda one: one["version"],
            "category": lambda one: one["category"],
            "lane": lambda one: one["lane"],
            "channels": _channels,
        },
        example="order-shipped",
        change="lane=high",
    ),
)
workflows.command(
    "trigger", help=(trigger.__doc__ or "").replace("clarion trigger", "clarion workflows trigger")
)(trigger)
workflows.command("runs")(of_workflow)
workflows.command("migrate")(migrate)
add(
    categories,
    Noun(
        path="categories",
        one="category",
        columns={
            "key": lambda one: one["key"],
            "name": lambda one: one["name"] or "",
            "critical": lambda one: "critical" if one["critical"] else "",
        },
        example="order_updates",
        change="name='Order updates'",
    ),
)
add(
    integrations,
    Noun(
        path="integrations",
        one="integration",
        columns={
            "key": lambda one: one["key"],
            "channel": lambda one: one["channel"],
            "provider": lambda one: one["provider"],
            "weight": lambda one: one["weight"],
            "state": lambda one: "enabled" if one["enabled"] else "disabled",
        },
        example="main-mail",
        change="enabled=false",
    ),
)
integrations.command("test")(send_test)
