"""`clarion verifications`: one-time codes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Send and check one-time codes.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The verification.")]


@program.command()
@connected
def create(
    user_id: Annotated[str, typer.Option("--user-id", help="Whom to send the code.")],
    channel: Annotated[list[str] | None, typer.Option("--channel", help="Channel; may be repeated.")] = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", help="A workflow that sends the code.")
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Send a one-time code to a user.

    \b
    Example:
      clarion verifications create --user-id ada --channel sms
    """
    body: dict[str, Any] = {"user_id": user_id, "workflow": workflow}
    if channel:
        body["channels"] = channel
    _show(connect().call("POST", "/v1/verifications", body), json=json)


@program.command()
@connected
def show(verification_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Show how far a verification is.

    \b
    Example:
      clarion verifications show 01a2b3c4-0000-7000-8000-000000000000
    """
    _show(connect().get(_at(verification_id)), json=json)


@program.command()
@connected
def check(
    verification_id: Id,
    code: Annotated[str, typer.Argument(metavar="CODE", help="What was entered.")],
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Check a code.

    \b
    Example:
      clarion verifications check 01a2b3c4-0000-7000-8000-000000000000 123456
    """
    _show(connect().call("POST", f"{_at(verification_id)}/check", {"code": code}), json=json)


@program.command()
@connected
def retry(verification_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Send a new code.

    \b
    Example:
      clarion verifications retry 01a2b3c4-0000-7000-8000-000000000000
    """
    _show(connect().call("POST", f"{_at(verification_id)}/retry"), json=json)


@program.command()
@connected
def cancel(verification_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Cancel a pending verification.

    \b
    Example:
      clarion verifications cancel 01a2b3c4-0000-7000-8000-000000000000
    """
    _show(connect().call("POST", f"{_at(verification_id)}/cancel"), json=json)


def _at(verification_id: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/verifications/{segment(verification_id)}"


def _show(one: dict[str, Any], *, json: bool) -> None:
    from clarion.cli import output

    if json:
        output.as_json(one)
        return
    output.table(
        ["verification", "user", "status", "checks left", "expires"],
        [(one["id"], one["user_id"] or "", one["status"], one["checks_left"], one["expires_at"])],
    )
