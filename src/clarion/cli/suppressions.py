"""`clarion suppressions`: addresses that must not be used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from clarion.cli.documents import report
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Manage addresses that must not be used.")

PATH = "/v1/suppressions"
Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="email, sms, push, ...")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="An email address, a phone number, ...")]


@program.command("list")
@connected
def list_(limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List suppressions, newest first. Addresses are not shown: only a hash of each is kept.

    \b
    Example:
      clarion suppressions list
    """
    _table(connect().pages(PATH, limit), json=json)


@program.command()
@connected
def search(channel: Channel, address: Address, *, connect: Connect, json: Json = False) -> None:
    """Say whether an address is suppressed, and why.

    \b
    Example:
      clarion suppressions search email ada@example.com
    """
    found = connect().call("POST", f"{PATH}/search", {"channel": channel, "address": address})
    _table(found["items"], json=json)


@program.command()
@connected
def create(
    channel: Channel,
    address: Address,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for whoever looks later.")] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Suppress an address: from now on nothing is sent to it.

    \b
    Example:
      clarion suppressions create email ada@example.com --reason asked_by_phone
    """
    body = {"channel": channel, "address": address} | ({"reason": reason} if reason else {})
    made = connect().call("POST", PATH, body)
    report(made, f"Suppressed as {made['id']}.", json=json)


@program.command()
@connected
def delete(
    suppression: Annotated[str, typer.Argument(metavar="SUPPRESSION", help="Id, from `list` or `search`.")],
    *,
    connect: Connect,
) -> None:
    """Allow an address again. You need its owner's consent.

    \b
    Example:
      clarion suppressions delete 1f0c...
    """
    from clarion.cli.client import segment

    connect().call("DELETE", f"{PATH}/{segment(suppression)}")
    report(None, "The address may be used again.", json=False)


def _table(found: Iterable[Any], *, json: bool) -> None:
    from clarion.cli import output

    rows = [*found]
    if json:
        output.as_json(rows)
    else:
        output.table(
            ["created", "channel", "reason", "id"],
            ((output.clock(one["created_at"]), one["channel"], one["reason"], one["id"]) for one in rows),
        )
