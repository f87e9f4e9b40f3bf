"""`clarion live`: one state that phones, browsers and the inbox show until it ends."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.assignments import EventData, event_data
from clarion.cli.documents import Key, report
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, IfMatch, Json, connected

program = typer.Typer(no_args_is_help=True, help="Show one state on phones, in browsers and in the inbox.")

Given = Annotated[
    list[str] | None, typer.Option("--set", help="A value of the state, NAME=VALUE. VALUE may be JSON.")
]
Sequence = Annotated[
    int | None,
    typer.Option(help="Number of the state; it is refused unless it is greater. Default: the next one."),
]


@program.command("list")
@connected
def list_live(
    limit: Limit = 20,
    ended: Annotated[
        bool | None, typer.Option("--ended/--running", help="Only those that have ended, or only the others.")
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List live resources.

    \b
    Examples:
      clarion live list
      clarion live list --running
    """
    from clarion.cli import output

    where = {} if ended is None else {"ended": str(ended).lower()}
    found = [*connect().pages("/v1/live", limit, **where)]
    if json:
        output.as_json(found)
    else:
        rows = (
            [one["key"], one["workflow"], one["sequence"], one["updated_at"], one["ended_at"] or ""]
            for one in found
        )
        output.table(["key", "workflow", "sequence", "updated", "ended"], rows)


@program.command()
@connected
def show(key: Key, *, connect: Connect) -> None:
    """Show a live resource as JSON.

    \b
    Example:
      clarion live show order-1042
    """
    from clarion.cli import output

    output.as_json(connect().get(_at(key)))


@program.command("set")
@connected
def set_live(
    key: Key,
    workflow: Annotated[str, typer.Option(help="Key of the workflow that says who is told, and how.")],
    to: Annotated[list[str] | None, typer.Option("--to", help="A user; may be repeated.")] = None,
    topic: Annotated[list[str] | None, typer.Option("--topic", help="A topic; may be repeated.")] = None,
    given: Given = None,
    data: EventData = None,
    sequence: Sequence = None,
    stale_at: Annotated[
        str | None, typer.Option(help="When it ends by itself (RFC 3339, e.g. 2030-06-01T18:00:00Z).")
    ] = None,
    if_match: IfMatch = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Start a live resource, or give it a new state.

    \b
    Examples:
      clarion live set order-1042 --workflow order-live --to ada --set stage=packed --set progress=0.25
      clarion live set match-7 --workflow match --topic fans --data '{"home": 2, "away": 1}' --sequence 14
    """
    from clarion.cli.client import matching

    body: dict[str, Any] = {
        "workflow": workflow,
        "recipients": [*(to or ()), *({"topic": name} for name in topic or ())],
        "state": event_data(data, given or ()),
        "sequence": sequence,
        "stale_at": stale_at,
    }
    if not body["recipients"]:
        raise typer.BadParameter("give at least one recipient with --to or --topic")
    answer = connect().call("PUT", _at(key), body, matching(if_match))
    report(answer, f"{key} has the state {answer['sequence']}.", json=json)


@program.command()
@connected
def end(
    key: Key,
    given: Given = None,
    data: EventData = None,
    sequence: Sequence = None,
    dismiss_at: Annotated[
        str | None,
        typer.Option(help="When devices take it off the screen (RFC 3339). Default: they decide."),
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """End a live resource, with a last state if you give one.

    \b
    Example:
      clarion live end order-1042 --set stage=delivered --set progress=1
    """
    state = event_data(data, given or ()) if data is not None or given else None
    body = {"state": state, "sequence": sequence, "dismiss_at": dismiss_at}
    answer = connect().call("POST", f"{_at(key)}/end", body)
    report(answer, f"{key} has ended.", json=json)


@program.command()
@connected
def delete(key: Key, if_match: IfMatch = None, *, connect: Connect) -> None:
    """End a live resource, take it off all screens, and delete it.

    \b
    Example:
      clarion live delete order-1042
    """
    from clarion.cli.client import matching

    connect().call("DELETE", _at(key), None, matching(if_match))
    report({}, f"{key} is deleted.", json=False)


def _at(key: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/live/{segment(key)}"
