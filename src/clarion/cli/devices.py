"""`clarion devices`: installations of apps, and who is logged in on them."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.documents import Changes, report
from clarion.cli.messages import Limit, User
from clarion.cli.options import Connect, IfMatch, Json, connected

program = typer.Typer(no_args_is_help=True, help="Manage the devices of users.")

Owner = Annotated[str, typer.Argument(metavar="USER", help="The user who is logged in on the device.")]
Id = Annotated[str, typer.Argument(metavar="DEVICE", help="What the app calls its installation.")]


@program.command("list")
@connected
def list_(user_id: User = None, limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List devices, newest first.

    \b
    Example:
      clarion devices list --user-id ada
    """
    from clarion.cli import output

    found = list(connect().pages("/v1/devices", limit, user_id=user_id))
    if json:
        output.as_json(found)
        return
    output.table(
        ["device", "user", "platform", "app", "last seen", "last error"],
        (
            (
                one["device_id"],
                one["user_id"],
                one["platform"],
                one["app"] or "",
                output.clock(one["last_seen_at"]),
                _error(one),
            )
            for one in found
        ),
    )


@program.command()
@connected
def show(user: Owner, device: Id, *, connect: Connect, json: Json = False) -> None:
    """Show one device.

    \b
    Example:
      clarion devices show ada 8c5cf7a4-0d5b-4c5c-9a55-5f2b7a0f9d11
    """
    from clarion.cli import output

    found = connect().get(_at(user, device))
    if json:
        output.as_json(found)
    else:
        output.table(
            ["field", "value"], ((name, "" if said is None else said) for name, said in found.items())
        )


@program.command("set")
@connected
def set_(
    user: Owner,
    device: Id,
    changes: Changes = None,
    if_match: IfMatch = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Log a device in for a user, as its app does. Whoever was logged in on it is logged out.

    \b
    Example:
      clarion devices set ada 8c5cf7a4-0d5b-4c5c-9a55-5f2b7a0f9d11 --set platform=android --set token=bk3RNwTe3H0:CI2k_H
    """
    from clarion.cli.assignments import assigned
    from clarion.cli.client import matching

    if not changes:
        raise typer.BadParameter("name at least the platform: --set platform=android")
    answer = connect().call("PUT", _at(user, device), assigned(changes), matching(if_match))
    report(answer, f"{user} is logged in on {device}.", json=json)


@program.command()
@connected
def update(
    user: Owner,
    device: Id,
    changes: Changes = None,
    if_match: IfMatch = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Change some fields of a device. What is not named stays.

    \b
    Example:
      clarion devices update ada 8c5cf7a4-0d5b-4c5c-9a55-5f2b7a0f9d11 --set locale=de
    """
    from clarion.cli.assignments import assigned
    from clarion.cli.client import matching

    if not changes:
        raise typer.BadParameter("name at least one change with --set NAME=VALUE")
    answer = connect().call("PATCH", _at(user, device), assigned(changes), matching(if_match))
    report(answer, f"{device} is changed.", json=json)


@program.command()
@connected
def delete(user: Owner, device: Id, *, connect: Connect) -> None:
    """Log a device out: nothing is sent to it any more.

    \b
    Example:
      clarion devices delete ada 8c5cf7a4-0d5b-4c5c-9a55-5f2b7a0f9d11
    """
    connect().call("DELETE", _at(user, device))
    report(None, f"{user} is logged out on {device}.", json=False)


def _at(user: str, device: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/users/{segment(user)}/devices/{segment(device)}"


def _error(one: dict[str, dict[str, str] | None]) -> str:
    error = one["last_error"]
    return "" if error is None else f"{error['reason']}: {error['detail'] or ''}".rstrip(": ")
