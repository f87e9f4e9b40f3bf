"""`clarion segments`: groups of users by condition."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.documents import Key, Noun, add
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Group users by a condition; members stay up to date.")

add(
    program,
    Noun(
        path="segments",
        one="segment",
        columns={
            "key": lambda one: one["key"],
            "name": lambda one: one["name"] or "",
            "where": lambda one: one["where"],
        },
        example="pros",
        change="where=\"user.attributes.plan == 'pro'\"",
    ),
)


@program.command()
@connected
def preview(
    key: Key,
    where: Annotated[
        str | None, typer.Option("--where", help="A condition to try before it is stored.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, max=50, help="Most users to show.")] = 10,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Count the users that a condition chooses now, and show the newest of them. Nothing is stored.

    \b
    Examples:
      clarion segments preview pros
      clarion segments preview new --where "user.attributes.age >= 18"
    """
    from clarion.cli import output

    found = connect().call("POST", f"{_at(key)}/preview", {"where": where, "limit": limit})
    if json:
        output.as_json(found)
        return
    output.out().print(f"{found['count']:,} users")
    if found["user_ids"]:
        output.table(["user"], ([one] for one in found["user_ids"]))


@program.command()
@connected
def members(key: Key, limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List the members of a segment.

    \b
    Example:
      clarion segments members pros
    """
    from clarion.cli import output

    found = [*connect().pages(f"{_at(key)}/members", limit)]
    if json:
        output.as_json(found)
    else:
        output.table(["user"], ([one["user_id"]] for one in found))


@program.command()
@connected
def status(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Show how many members a segment has, and whether all users were gone through.

    \b
    Example:
      clarion segments status pros
    """
    from clarion.cli import output

    found = connect().get(f"{_at(key)}/status")
    if json:
        output.as_json(found)
        return
    going = f"{found['done']:,} of {found['total']:,} users" if found["running"] else "done"
    output.table(
        ["", ""],
        [
            ["members", f"{found['members']:,}"],
            ["refresh", going],
            ["refreshed", found["refreshed_at"] or ""],
        ],
    )


def _at(key: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/segments/{segment(key)}"
