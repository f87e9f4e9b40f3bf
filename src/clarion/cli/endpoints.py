"""`clarion endpoints`: URLs that are told what happens (webhooks), and what became of every call."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.messages import Limit, TemplateVersion, User, version_of
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Manage webhook endpoints: URLs that receive events.")

Id = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Id of the endpoint, from `clarion endpoints list`.")
]
Secret = Annotated[
    str | None,
    typer.Option("--secret", help="whsec_..., a secret that the receiver already has. Default: a new one."),
]


@program.command("list")
@connected
def list_(
    user_id: User = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List endpoints, newest first.

    \b
    Example:
      clarion endpoints list --user-id ada
    """
    from clarion.cli import output

    found = list(connect().pages("/v1/endpoints", limit, user_id=user_id))
    if json:
        output.as_json(found)
        return
    output.table(
        ["id", "user", "url", "events", "state"],
        ((one["id"], one["user_id"] or "$tenant", one["url"], _events(one), _state(one)) for one in found),
    )


@program.command()
@connected
def create(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="URL of the receiver: https, and a public address unless its range is in outbound.allowed_networks.",
        ),
    ],
    user_id: Annotated[
        str | None,
        typer.Option("--user-id", help="The user it belongs to. Default: the tenant's own ($tenant)."),
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--event", help="Event type it receives, like order.*; may be repeated. Default: all types."
        ),
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    secret: Secret = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Create an endpoint. Its secret is shown once and cannot be read again.

    \b
    Examples:
      clarion endpoints create --to https://shop.example/hooks --user-id ada --event 'order.*'
      clarion endpoints create --to http://127.0.0.1:9000/hooks --json | jq -r .secret
    """
    from clarion.cli import output

    asked = {"url": to, "user_id": user_id or "", "events": events or [], "description": description}
    made = connect().call("POST", "/v1/endpoints", asked | _secret(secret))
    if json:
        output.as_json(made)
        return
    about = f"{made['id']} receives {_events(made)} for {made['user_id'] or '$tenant'}."
    output.err().print(about, style=output.SILENT)
    _print_secret(made)


@program.command("show")
@connected
def show_(
    endpoint: Id,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed calls.")] = False,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show an endpoint and its last calls; with --json their requests and responses too.

    \b
    Examples:
      clarion endpoints show 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
      clarion endpoints show 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e --failed --json
    """
    from clarion.cli import output

    client = connect()
    one = client.get(_path(endpoint))
    status = "failed" if failed else None
    calls = list(client.pages(f"{_path(endpoint)}/deliveries", limit, status=status))
    if json:
        output.as_json({"endpoint": one, "deliveries": calls})
        return
    output.out().print(
        f"{one['url']} receives {_events(one)} for {one['user_id'] or '$tenant'}: {_state(one)}"
    )
    output.table(
        ["at", "message", "answer", "took"],
        ((output.clock(c["created_at"]), c["message_id"], _answer(c), f"{c['took_ms']} ms") for c in calls),
    )


@program.command("rotate-secret")
@connected
def rotate_secret(
    endpoint: Id,
    secret: Secret = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Replace the secret. Calls are signed with the old one too for 24 hours.

    \b
    Example:
      clarion endpoints rotate-secret 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output

    made = connect().call("POST", f"{_path(endpoint)}/rotate-secret", _secret(secret))
    if json:
        output.as_json(made)
    else:
        _print_secret(made)


@program.command()
@connected
def enable(endpoint: Id, *, connect: Connect, json: Json = False) -> None:
    """Enable an endpoint. To send what it missed, use `retry`.

    \b
    Example:
      clarion endpoints enable 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    _switch(endpoint, "enable", connect, json=json)


@program.command()
@connected
def disable(endpoint: Id, *, connect: Connect, json: Json = False) -> None:
    """Disable an endpoint: nothing is sent to it until it is enabled.

    \b
    Example:
      clarion endpoints disable 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    _switch(endpoint, "disable", connect, json=json)


@program.command()
@connected
def delete(endpoint: Id, *, connect: Connect, json: Json = False) -> None:
    """Delete an endpoint. Messages that wait for it are not sent.

    \b
    Example:
      clarion endpoints delete 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output

    connect().call("DELETE", _path(endpoint))
    if json:
        output.as_json({"deleted": endpoint})
    else:
        output.out().print(f"{endpoint} is deleted.")


@program.command()
@connected
def retry(
    endpoint: Id,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="Ids of messages.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="Messages of events since this time (RFC 3339, e.g. 2030-06-01T18:00:00Z)."
        ),
    ] = None,
    template_version: TemplateVersion = "live",
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Retry messages that failed or were suppressed, with fresh attempts.

    \b
    Examples:
      clarion endpoints retry 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e --since 2030-06-01T18:00:00Z
      clarion endpoints retry 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output

    if bool(ids) == bool(since):
        raise typer.BadParameter("give message ids, or a time with --since")
    client = connect()
    chosen = ({"ids": ids} if ids else {"since": since}) | version_of(template_version)

    def more() -> tuple[int, bool]:
        answer = client.call("POST", f"{_path(endpoint)}/retry", chosen)
        return answer["retried"], answer["more"] and answer["retried"] > 0

    done = output.rounds("Retrying", more, quiet=json)
    if json:
        output.as_json({"retried": done})
    else:
        output.out().print(f"{done} put back into the queue.")


def _switch(endpoint: str, way: str, connect: Connect, *, json: bool) -> None:
    from clarion.cli import output

    one = connect().call("POST", f"{_path(endpoint)}/{way}")
    if json:
        output.as_json(one)
    else:
        output.out().print(f"{endpoint} is {way}d.")


def _path(endpoint: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/endpoints/{segment(endpoint)}"


def _secret(secret: str | None) -> dict[str, str]:
    return {} if secret is None else {"secret": secret}


def _print_secret(made: Any) -> None:
    """On a line of its own, to be copied."""
    from clarion.cli import output

    output.err().print("Its secret, shown only once:", style=output.SILENT)
    output.out().print(made["secret"])


def _events(one: Any) -> str:
    return ", ".join(one["events"]) or "everything"


def _state(one: Any) -> str:
    """In words a person reads: since when it does not work, and why."""
    from clarion.cli import output

    if one["disabled_at"]:
        return f"disabled {output.clock(one['disabled_at'])} ({one['disabled_reason']})"
    if one["failing_since"]:
        return f"failing since {output.clock(one['failing_since'])}"
    return "enabled"


def _answer(call: Any) -> str:
    response = call["response"]
    return str(response["status"]) if response is not None else str(call["error"])
