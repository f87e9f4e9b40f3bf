"""`clarion consents`: what users allowed and forbade."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.messages import Limit, User
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Record consents, and show what follows from them.")

Who = Annotated[str, typer.Argument(metavar="USER", help="Id of the user.")]
Purpose = Annotated[str | None, typer.Option("--purpose", help="Key of a category, or the purpose of one.")]
Channel = Annotated[str | None, typer.Option("--channel", help="email, sms, push, ...; left out: all.")]


@program.command("list")
@connected
def list_(
    user_id: User = None,
    purpose: Purpose = None,
    channel: Channel = None,
    action: Annotated[str | None, typer.Option("--action", help="granted or withdrawn.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only from this source.")] = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List consent records, newest first.

    \b
    Example:
      clarion consents list --user-id ada
      clarion consents list --purpose newsletter --action withdrawn
    """
    from clarion.cli import output

    path = "/v1/consents" if user_id is None else _at(user_id)
    wanted = {"purpose": purpose, "channel": channel, "action": action, "source": source}
    found = connect().pages(path, limit, **wanted)
    if json:
        output.as_json(list(found))
        return
    output.table(
        ["said", "user", "action", "purpose", "channel", "source", "text", "id"],
        (
            (
                output.clock(one["at"]),
                one["user_id"] or "(deleted)",
                one["action"],
                one["purpose"] or "(every purpose)",
                one["channel"] or "(every channel)",
                one["source"],
                one["text_version"] or "",
                one["id"],
            )
            for one in found
        ),
    )


@program.command()
@connected
def record(
    user: Who,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="granted or withdrawn.")],
    purpose: Purpose = None,
    channel: Channel = None,
    source: Annotated[str, typer.Option("--source", help="How you learned of it.")] = "command_line",
    text_version: Annotated[
        str | None, typer.Option("--text-version", help="Which text the user was shown.")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help="When the user said so; left out: now.")] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Record that a user granted or withdrew consent. A withdrawal without --purpose is for every purpose.

    \b
    Example:
      clarion consents record ada granted --purpose newsletter --channel email --source trade_fair --text-version 2026-05
      clarion consents record ada withdrawn --channel sms --source asked_by_phone
    """
    from clarion.cli.documents import report

    body = {
        "action": action,
        "purpose": purpose,
        "channel": channel,
        "source": source,
        "text_version": text_version,
        "at": at,
    }
    made = connect().call("POST", _at(user), body)
    report(made, f"Recorded as {made['id']}.", json=json)


@program.command()
@connected
def state(
    user: Who,
    at: Annotated[
        str | None, typer.Option("--at", help="As it was known at this time, like 2026-05-01T09:30:00Z.")
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Say which categories the consents of a user allow, now or at a time in the past.

    \b
    Example:
      clarion consents state ada --at 2026-05-01T09:30:00Z
    """
    from clarion.cli import output

    found = connect().get(f"{_at(user)}/state", at=at)
    if json:
        output.as_json(found)
        return
    output.table(
        ["category", "channel", "allowed", "reason", "because of"],
        (
            (category, channel, "yes" if one["allowed"] else "no", one["reason"], _because(one))
            for category, channels in found["categories"].items()
            for channel, one in channels.items()
            if one["reason"] != "not_asked"
        ),
    )


def _because(one: dict[str, Any]) -> str:
    return one["consent_id"] or one["source"] or ""


def _at(user: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/users/{segment(user)}/consents"
