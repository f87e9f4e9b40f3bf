"""`clarion retention`: how long data is kept, and deleting what is older."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected

program = typer.Typer(help="Show and change how long data is kept, and delete what is older.")

RETENTION = "/v1/retention"


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
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Delete what is older than it is kept now, instead of within an hour. It goes on in the background.

    \b
    Examples:
      clarion retention run --dry-run
      clarion retention run
    """
    from clarion.cli import output

    client = connect()
    kept = client.get(RETENTION)
    expired = client.call("POST", f"{RETENTION}/run?dry_run={str(dry_run).lower()}")["expired"]
    _show(kept, expired, json=json)
    if not dry_run and not json:
        output.out().print(f"{sum(expired.values()):,} rows are being deleted.")


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
