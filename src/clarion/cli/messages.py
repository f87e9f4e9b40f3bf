"""`clarion messages`: what became of every notification."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer

from clarion.cli.operations import NoWait, end, several
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="List, inspect, cancel, withdraw and retry messages.")

Id = Annotated[str, typer.Argument(metavar="MESSAGE", help="Id of the message.")]
User = Annotated[str | None, typer.Option("--user-id", help="Only this user's.")]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Only messages since this time (RFC 3339, e.g. 2030-06-01T18:00:00Z)."),
]
Until = Annotated[str | None, typer.Option("--until", help="Only before this time (RFC 3339).")]
Workflow = Annotated[str | None, typer.Option("--workflow", help="Only of this workflow.")]
Channel = Annotated[str | None, typer.Option("--channel", help="Only on this channel.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only with this reason.")]
Status = Annotated[str | None, typer.Option("--status", help="Only in this status.")]
TemplateVersion = Annotated[
    str,
    typer.Option(
        "--template-version",
        help="Which version of the template to send: live, planned, or the number of a version.",
    ),
]
Event = Annotated[str | None, typer.Option("--event-id", help="Only of this event.")]
Campaign = Annotated[str | None, typer.Option("--campaign-id", help="Only of this campaign.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="Ids of messages.")]
All = Annotated[
    bool, typer.Option("--all", help="Everything that matches the filters; without a filter everything.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Most messages to list.")]


Filter = dict[str, str]
"""The filters that were given, as the API takes them."""

_FILTERS: dict[str, Any] = {
    "user_id": User,
    "event_id": Event,
    "workflow": Workflow,
    "channel": Channel,
    "status": Status,
    "reason": Reason,
    "since": Since,
    "until": Until,
}


def filtered(command: Callable[..., None], *, but: frozenset[str] = frozenset()) -> Callable[..., None]:
    """A command on messages that match: whoever types it gets the filters as options, in the place where the command
    has its keyword `where`."""
    names = [name for name in _FILTERS if name not in but]
    hints = get_type_hints(command, include_extras=True)
    shown: list[Parameter] = []
    for name, one in signature(command).parameters.items():
        if name == "where":
            shown += [
                Parameter(n, Parameter.KEYWORD_ONLY, default=None, annotation=_FILTERS[n]) for n in names
            ]
        else:
            shown.append(one.replace(annotation=hints[name]))

    @wraps(command)
    def run(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in names}
        command(where={name: value for name, value in chosen.items() if value is not None}, **given)

    run.__annotations__ = {one.name: one.annotation for one in shown}
    run.__signature__ = Signature(shown)  # type: ignore[attr-defined]
    return run


@program.command("list")
@connected
def list_(
    user_id: User = None,
    event_id: Event = None,
    campaign_id: Campaign = None,
    workflow: Workflow = None,
    channel: Channel = None,
    status: Status = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List messages, newest first.

    \b
    Examples:
      clarion messages list --user-id ada --since 2030-06-01T18:00:00Z
      clarion messages list --status suppressed --reason opted_out --json
    """
    from clarion.cli import output

    found = connect().pages(
        "/v1/messages",
        limit,
        user_id=user_id,
        event_id=event_id,
        campaign_id=campaign_id,
        workflow=workflow,
        channel=channel,
        status=status,
        reason=reason,
        since=since,
        until=until,
    )
    if json:
        output.as_json(list(found))
    else:
        table(found)


@program.command("show")
@connected
def show_(
    message_id: Id,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show one message: its timeline, its explanation and its content.

    \b
    Example:
      clarion messages show 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    message = connect().get(f"/v1/messages/{segment(message_id)}")
    if json:
        output.as_json(message)
    else:
        _detail(message)


@program.command()
@connected
@filtered
def cancel(
    ids: Ids = None,
    everything: All = False,
    no_wait: NoWait = False,
    *,
    where: Filter,
    connect: Connect,
    json: Json = False,
) -> None:
    """Stop messages that have not started to be sent: those named, or with --all all that match the filters.

    \b
    Examples:
      clarion messages cancel 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
      clarion messages cancel --all --workflow newsletter --since 2030-06-01T18:00:00Z
    """
    _act(connect(), "cancel", ids, where, {}, everything=everything, no_wait=no_wait, json=json)


@program.command()
@connected
@filtered
def withdraw(
    ids: Ids = None,
    everything: All = False,
    no_wait: NoWait = False,
    *,
    where: Filter,
    connect: Connect,
    json: Json = False,
) -> None:
    """Take messages back, also those that are out, where their channel can: the given ones, or with --all all that match.

    `clarion messages show` says what came of it.

    \b
    Examples:
      clarion messages withdraw 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
      clarion messages withdraw --all --event-id 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
    """
    _act(connect(), "withdraw", ids, where, {}, everything=everything, no_wait=no_wait, json=json)


@program.command()
@connected
@filtered
def retry(
    ids: Ids = None,
    everything: All = False,
    template_version: TemplateVersion = "live",
    no_wait: NoWait = False,
    *,
    where: Filter,
    connect: Connect,
    json: Json = False,
) -> None:
    """Retry messages that failed, with fresh attempts: the given ones, or with --all all that match the filters.

    \b
    Examples:
      clarion messages retry 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
      clarion messages retry --all --workflow newsletter --reason provider_error
    """
    version = version_of(template_version)
    _act(connect(), "retry", ids, where, version, everything=everything, no_wait=no_wait, json=json)


@program.command()
@connected
def tail(
    user_id: User = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Follow every change of every message until Ctrl-C. With --json, print one document per line.

    \b
    Examples:
      clarion messages tail
      clarion messages tail --json | jq 'select(.status == "dead_lettered")'
    """
    from clarion.cli import output

    client = connect()
    mine = _Mine(client, user_id) if user_id else None
    cursor = None
    while True:
        page = client.get("/v1/messages/tail", cursor=cursor, limit=20 if cursor is None else 200)
        cursor = page["next_cursor"]
        for change in page["items"]:
            if mine is None or change["message_id"] in mine:
                output.as_line(change) if json else _change(change)


def version_of(text: str) -> dict[str, str | int]:
    """The choice of a template version as the API takes it."""
    return {"template_version": int(text) if text.isdecimal() else text}


def _act(
    client: Any,
    verb: str,
    ids: list[str] | None,
    chosen: dict[str, str],
    more: dict[str, Any],
    *,
    everything: bool,
    no_wait: bool,
    json: bool,
) -> None:
    from clarion.cli.client import segment

    if bool(ids) == everything or (ids and chosen):
        raise typer.BadParameter("give message ids, or --all (filters are optional)")
    if not ids:
        started = client.call("POST", f"/v1/messages/{verb}", {"filter": chosen} | more)
        end(client, started, no_wait=no_wait, json=json)
    elif len(ids) == 1:
        _moved(client.call("POST", f"/v1/messages/{segment(ids[0])}/{verb}", more or None), json=json)
    else:
        several(client, f"/v1/messages/{verb}", {"ids": ids} | more, json=json)


def _moved(message: Any, *, json: bool) -> None:
    from clarion.cli import output

    if json:
        output.as_json(message)
    else:
        output.out().print(f"{message['id']} is {message['status']}.")


class _Mine:
    """Which messages are a user's; asked once per message."""

    def __init__(self, client: Any, user: str) -> None:
        self._client, self._user = client, user
        self._known: dict[str, bool] = {}

    def __contains__(self, message_id: str) -> bool:
        if message_id not in self._known:
            owner = self._client.get(f"/v1/messages/{message_id}")["user_id"]
            self._known[message_id] = owner == self._user
        return self._known[message_id]


def table(messages: Any) -> None:
    """Messages as a table."""
    from clarion.cli import output

    output.table(
        ["created", "user", "workflow", "channel", "status", "reason", "id"],
        (
            (
                output.clock(m["created_at"]),
                m["user_id"] or "(deleted)",
                m["workflow"],
                m["channel"],
                output.status(m["status"]),
                m["reason"] or "",
                m["id"],
            )
            for m in messages
        ),
    )


def _detail(message: Any) -> None:
    from rich.text import Text

    from clarion.cli import output

    console = output.out()
    console.print(
        Text(
            f"{message['workflow']} to {message['user_id'] or '(deleted)'} by {message['channel']}: ", "bold"
        ),
        output.status(message["status"]),
        Text(f" ({message['reason']})" if message["reason"] else ""),
        sep="",
    )
    for change in message["timeline"]:
        _change(change)
    if message["withdrawal"]:
        output.field("withdrawal", message["withdrawal"]["text"])
    if message["explanation"]:
        output.explained(message["explanation"])
    for name, value in (message["content"] or {}).items():
        if value and name not in {"channel", "html"}:
            output.field(name, str(value))
    if message["content_problem"]:
        console.print(Text(f"  content: {message['content_problem']}", style=output.SILENT))


def _change(change: Any) -> None:
    from rich.text import Text

    from clarion.cli import output
    from clarion.model.inbox import MARKS
    from clarion.model.receipt import TAKEN_BACK

    more = [change["reason"] or ""]
    if change["outcome"] in MARKS:
        more.append(f"{change['outcome']} in the inbox")
    elif change["outcome"] in TAKEN_BACK:
        more.append(change["outcome"].replace("_", " "))
    elif change["outcome"]:
        more.append(f"attempt {change['attempt']} by {change['integration']}: {change['outcome']}")
    if change["due_at"] and change["status"] == "deferred":
        more.append(f"until {output.clock(change['due_at'])}")
    more.append(change["detail"] or "")
    more.append(change["choice"] or "")
    output.out().print(
        Text(f"{output.clock(change['at'])}  {change['message_id']}  ", style=output.SILENT),
        output.status(f"{change['status']:<13}"),
        Text(" · ".join(filter(None, more))),
        sep="",
    )
