"""`clarion cluster`: the processes of a running Clarion, with an operator key."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected

program = typer.Typer(
    help="Show the processes of a running Clarion, or stop one. Needs an operator key: `clarion keys create --operator`.",
)

PATH = "/v1/cluster"


@connected
def show(context: typer.Context, *, connect: Connect, json: Json = False) -> None:
    """Show every process: what it does, which lanes it plans, what it holds, and what waits.

    \b
    Examples:
      clarion cluster
      clarion cluster --json
      clarion cluster drain web-1:4711
    """
    if context.invoked_subcommand is None:
        _show(connect().get(PATH), json=json)


program.callback(invoke_without_command=True)(show)


@program.command()
@connected
def drain(
    node: Annotated[str, typer.Argument(metavar="NODE", help="The process, as `clarion cluster` names it.")],
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Ask a process to stop: it finishes what is under way, and others take over the rest.

    \b
    Example:
      clarion cluster drain web-1:4711
    """
    from clarion.cli import output

    asked = connect().call("POST", f"{PATH}/drain", {"node": node})
    if json:
        output.as_json(asked)
        return
    output.out().print(f"{node} was asked to stop. `clarion cluster` shows when it is gone.")


def _show(found: dict[str, Any], *, json: bool) -> None:
    from clarion.cli import output

    if json:
        output.as_json(found)
        return
    output.table(
        ["process", "version", "roles", "lanes", "channels", "status", "renewed", "plans", "held"],
        (
            (
                one["node"] or "",
                one["version"] or "",
                _some(one["roles"], 4),
                _some(one["lanes"], 4),
                _some(one["channels"], 8),
                one["status"],
                output.clock(one["renewed_at"]),
                ", ".join([*one["plans"], *(["timers"] if one["timers"] else [])]),
                f"{one['held']:,}",
            )
            for one in found["processes"]
        ),
    )
    output.table(
        ["lane", "events that wait", "since", "messages that wait"],
        (
            (one["lane"], f"{one['events']:,}", output.clock(one["oldest_at"]), f"{one['messages']:,}")
            for one in found["lanes"]
        ),
    )
    for part, said in found["warnings"].items():
        output.complain(f"{part}: {said}")


def _some(words: list[str], all_: int) -> str:
    return "all" if len(words) == all_ else ", ".join(words)
