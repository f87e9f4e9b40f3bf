"""`clarion sinks`: topics, queues and URLs of your own that are told what becomes of messages."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.documents import Key, Noun, add, report
from clarion.cli.options import Connect, Json, connected
from clarion.cli.readings import place, show

program = typer.Typer(
    no_args_is_help=True, help="Tell your own topics, queues and URLs what becomes of messages."
)

Shown = Annotated[int, typer.Option("--limit", min=1, max=100, help="How many of the newest events to show.")]
To = Annotated[str, typer.Option("--to", help="earliest, latest, or a time such as 2026-05-01T09:30:00Z.")]

add(
    program,
    Noun(
        path="sinks",
        one="sink",
        columns={
            "key": lambda one: one["key"],
            "kind": lambda one: one["kind"],
            "types": lambda one: ", ".join(one["types"]) or "all",
            "state": lambda one: "paused" if one["paused"] else "writing",
        },
        example="warehouse",
        change="types='[\"clarion.message.delivered\"]'",
    ),
)


@program.command("test")
@connected
def try_out(key: Key, limit: Shown = 10, *, connect: Connect, json: Json = False) -> None:
    """Reach the receiver, and show which of the newest events it would have got. Nothing is written.

    \b
    Example:
      clarion sinks test warehouse
    """
    from clarion.cli import output

    tested = connect().call("POST", f"{_at(key)}/test", {"limit": limit})
    if json:
        output.as_json(tested)
        return
    output.out().print("The receiver can be reached. It would have got:")
    output.table(
        ["time", "type", "message", "user", "channel"],
        (
            [
                one["time"],
                one["type"],
                one["subject"],
                one["data"]["user_id"] or "",
                one["data"]["channel"] or "",
            ]
            for one in tested["items"]
        ),
    )


@program.command()
@connected
def status(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Show how far a sink is, and why it cannot go on.

    \b
    Example:
      clarion sinks status warehouse
    """
    _show(connect().get(f"{_at(key)}/status"), json=json)


@program.command()
@connected
def pause(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Write no more events to a sink.

    \b
    Example:
      clarion sinks pause warehouse
    """
    report(connect().call("POST", f"{_at(key)}/pause"), f"{key} is paused.", json=json)


@program.command()
@connected
def resume(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Go on writing where it stopped: with everything that happened meanwhile.

    \b
    Example:
      clarion sinks resume warehouse
    """
    report(connect().call("POST", f"{_at(key)}/resume"), f"{key} is being written to.", json=json)


@program.command()
@connected
def rewind(key: Key, to: To, *, connect: Connect, json: Json = False) -> None:
    """Go on from another place. Events that were written are written again, with the same ids.

    \b
    Examples:
      clarion sinks rewind warehouse --to 2026-05-01T09:30:00Z
      clarion sinks rewind warehouse --to latest
    """
    _show(connect().call("POST", f"{_at(key)}/rewind", place(to)), json=json)


def _show(status: dict[str, Any], *, json: bool) -> None:
    show(status, {"behind": "not known" if status["lag_s"] is None else f"{status['lag_s']} s"}, json=json)


def _at(key: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/sinks/{segment(key)}"
