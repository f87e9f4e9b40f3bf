"""`clarion retention`: how long data is kept, and deleting what is older."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected

if TYPE_CHECKING:
    from clarion.cli.client import Client

program = typer.Typer(help="Show and change how long data is kept, and delete what is older.")

RETENTION = "/v1/retention"
SHORTEST_S = 0.5
"""Between two counts of what is left."""
SHARE = 5
"""So many times as long as the count before took is the pause after it."""


@connected
def show(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Also count what is older and would be deleted.")
    ] = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show how long each kind of data is kept.

    \b
    Examples:
      clarion retention
      clarion retention --dry-run
      clarion retention set messages=P60D captures=P7D
      clarion retention run
    """
    if context.invoked_subcommand is not None:
        return
    client = connect()
    kept = client.get(RETENTION)
    expired = client.call("POST", f"{RETENTION}/run?dry_run=true")["expired"] if dry_run else None
    _show(kept, expired, json=json)


program.callback(invoke_without_command=True)(show)


@program.command("set")
@connected
def set_(
    kinds: Annotated[
        list[str],
        typer.Argument(
            metavar="KIND=DAYS...", help="Like messages=P60D. `forever` keeps it, `default` restores."
        ),
    ],
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Change how long some kinds of data are kept. What is older is deleted within an hour.

    \b
    Examples:
      clarion retention set messages=P60D captures=P7D
      clarion retention set inbox=forever events=default
    """
    wanted: dict[str, Any] = {}
    for one in kinds:
        kind, found, days = one.partition("=")
        if not found:
            raise typer.BadParameter(f"{one!r} is not KIND=DAYS, like messages=P60D")
        wanted[kind] = None if days == "default" else {"keep": days}
    _show(connect().call("PATCH", RETENTION, wanted), None, json=json)


@program.command()
@connected
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; delete nothing.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait until everything is deleted.")
    ] = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Delete now what is older than it is kept, instead of within an hour.

    The key's tenant is gone through; with an operator's key all tenants are. Ctrl-C ends the waiting, not the deleting.

    \b
    Examples:
      clarion retention run --dry-run
      clarion retention run
      clarion retention run --no-wait --json
    """
    from clarion.cli import output

    client = connect()
    expired = client.call("POST", f"{RETENTION}/run?dry_run={str(dry_run).lower()}")["expired"]
    count = sum(expired.values())
    if count and not dry_run and not no_wait:
        _watch(client, count, quiet=json)
    if json:
        output.as_json({"expired": expired})
        return
    if not count:
        output.out().print("Nothing is older than it is kept: nothing to delete.")
        return
    output.table(["data", "older"], [(kind, f"{found:,}") for kind, found in expired.items() if found])
    if dry_run:
        said = "would be deleted. Nothing was deleted."
    else:
        said = (
            "are being deleted; `clarion retention --dry-run` shows how many are left."
            if no_wait
            else "were deleted."
        )
    output.out().print(f"{count:,} {said}")


def _watch(client: Client, count: int, *, quiet: bool) -> None:
    """Wait until nothing is left, with a progress bar. Counting takes a fraction of the time."""
    from clarion.adapters.system import SystemClock
    from clarion.cli import output
    from clarion.cli.client import pause

    clock = SystemClock()
    pause_s = SHORTEST_S
    with output.progress(quiet=quiet) as bar:
        task = bar.add_task("Deleting", total=count)
        while True:
            pause(pause_s)
            began_s = clock.monotonic()
            left = sum(client.call("POST", f"{RETENTION}/run?dry_run=true")["expired"].values())
            if not left:
                return
            pause_s = max(SHORTEST_S, SHARE * (clock.monotonic() - began_s))
            bar.update(task, completed=max(0, count - left))


def _show(kept: dict[str, Any], expired: dict[str, int] | None, *, json: bool) -> None:
    from clarion.cli import output

    if json:
        output.as_json(kept if expired is None else {"retention": kept, "expired": expired})
        return
    output.table(
        ["data", "kept", *(["older, to be deleted"] if expired is not None else [])],
        (
            (kind, _said(one["keep"]), *([f"{expired[kind]:,}"] if expired is not None else []))
            for kind, one in kept.items()
        ),
    )


def _said(keep: str) -> str:
    return "for ever" if keep == "forever" else f"{keep[1:-1]} days"
