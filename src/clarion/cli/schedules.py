"""`clarion schedules`: start a workflow at one time, or again and again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.documents import Key, Noun, add, report
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Start workflows at one time, or again and again.")

At = Annotated[
    str | None,
    typer.Option("--at", help="The occurrence, as `occurrences` shows it. Default: the next one."),
]
CatchUp = Annotated[
    bool,
    typer.Option("--catch-up", help="Let the schedule's `catch_up` decide about what the pause left out."),
]
_OF_SERVER = ("key", "next_at", "next_local", "last_at", "paused_at", "created_at", "updated_at")

add(
    program,
    Noun(
        path="schedules",
        one="schedule",
        columns={
            "key": lambda one: one["key"],
            "workflow": lambda one: one["workflow"],
            "when": lambda one: one["cron"] or (one["rrule"] or "once").partition("\n")[0],
            "zone": lambda one: one["timezone"] or "",
            "next": lambda one: "paused" if one["paused_at"] else one["next_at"] or "over",
        },
        example="weekly",
        change="cron='0 9 * * mon'",
        writable=lambda shown: {name: value for name, value in shown.items() if name not in _OF_SERVER},
    ),
)


@program.command()
@connected
def pause(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Start nothing until you resume.

    \b
    Example:
      clarion schedules pause weekly
    """
    report(connect().call("POST", f"{_at(key)}/pause"), f"{key} is paused.", json=json)


@program.command()
@connected
def resume(key: Key, catch_up: CatchUp = False, *, connect: Connect, json: Json = False) -> None:
    """Go on with the next occurrence.

    \b
    Examples:
      clarion schedules resume weekly
      clarion schedules resume weekly --catch-up
    """
    answer = connect().call("POST", f"{_at(key)}/resume", {"catch_up": catch_up})
    report(answer, f"{key} occurs next at {answer['next_at'] or 'no time'}.", json=json)


@program.command()
@connected
def skip(key: Key, at: At = None, *, connect: Connect, json: Json = False) -> None:
    """Leave out one occurrence to come.

    \b
    Examples:
      clarion schedules skip weekly
      clarion schedules skip weekly --at 2026-12-28T08:00:00Z
    """
    answer = connect().call("POST", f"{_at(key)}/skip", {"at": at})
    report(answer, f"{key} leaves out one occurrence.", json=json)


@program.command("run")
@connected
def run_now(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Start the workflow now, beside the occurrences.

    \b
    Example:
      clarion schedules run weekly
    """
    answer = connect().call("POST", f"{_at(key)}/run")
    report(answer, f"Event {answer['event_id']} is accepted.", json=json)


@program.command()
@connected
def occurrences(key: Key, limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List when a schedule occurs, and what became of its last occurrences.

    \b
    Examples:
      clarion schedules occurrences weekly
      clarion schedules occurrences weekly --limit 100 --json
    """
    from clarion.cli import output

    found: list[dict[str, Any]] = [*connect().pages(f"{_at(key)}/occurrences", limit)]
    if json:
        output.as_json(found)
    else:
        rows = (
            [one["at"], one["local"] or "", one["outcome"], one["event_id"] or one["error"] or ""]
            for one in found
        )
        output.table(["at", "local", "outcome", "event"], rows)


def _at(key: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/schedules/{segment(key)}"
