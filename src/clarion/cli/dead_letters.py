"""`clarion dead-letters`: messages that failed for good."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from clarion.cli.messages import (
    Channel,
    Filter,
    Limit,
    Reason,
    Since,
    Status,
    TemplateVersion,
    Until,
    User,
    Workflow,
    filtered,
    version_of,
)
from clarion.cli.operations import NoWait, end, several
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="List and retry messages that failed permanently.")

PATH = "/v1/dead-letters/retry"
EVENTS = "/v1/dead-letters/events"
RECORDS = "/v1/dead-letters/records"
PER_CALL = 1_000


@program.command("list")
@connected
def list_(
    user_id: User = None,
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
    """List messages that failed permanently, newest first.

    \b
    Example:
      clarion dead-letters list --channel email
    """
    from clarion.cli import output
    from clarion.cli.messages import table

    found = connect().pages(
        "/v1/dead-letters",
        limit,
        user_id=user_id,
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


@program.command()
@connected
@partial(filtered, but=frozenset({"event_id"}))
def retry(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of messages.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that matches the filters; without a filter everything.")
    ] = False,
    template_version: TemplateVersion = "live",
    no_wait: NoWait = False,
    *,
    where: Filter,
    connect: Connect,
    json: Json = False,
) -> None:
    """Retry dead letters, with fresh attempts and the templates that are live now.

    \b
    Examples:
      clarion dead-letters retry 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
      clarion dead-letters retry --all --channel email --reason template_error
    """
    if bool(ids) == everything or (ids and where):
        raise typer.BadParameter("give message ids, or --all (filters are optional)")
    client = connect()
    body = version_of(template_version)
    if ids:
        several(client, PATH, {"ids": ids} | body, json=json)
    else:
        end(client, client.call("POST", PATH, {"filter": where} | body), no_wait=no_wait, json=json)


@program.command()
@connected
def events(limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List events that could not be planned, newest first.

    \b
    Example:
      clarion dead-letters events
    """
    from clarion.cli import output

    found = connect().pages(EVENTS, limit)
    if json:
        output.as_json(list(found))
    else:
        columns = ("id", "event_id", "workflow", "lane", "reason", "detail", "created_at")
        output.table(columns, ([one[column] or "" for column in columns] for one in found))


@program.command("retry-events")
@connected
def retry_events(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids from the list of events.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything in the list.")] = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Plan events again that could not be planned before.

    \b
    Examples:
      clarion dead-letters retry-events 7
      clarion dead-letters retry-events --all
    """
    from clarion.cli import output

    if bool(ids) == everything:
        raise typer.BadParameter("give event ids, or --all")
    client = connect()

    def more() -> tuple[int, bool]:
        done = int(client.call("POST", f"{EVENTS}/retry", {"all": True})["retried"])
        return done, done >= PER_CALL

    done = (
        client.call("POST", f"{EVENTS}/retry", {"ids": ids})["retried"]
        if ids
        else output.rounds("Retrying", more, quiet=json)
    )
    if json:
        output.as_json({"retried": done})
    else:
        output.out().print(f"{done} put back into the queues of their lanes.")
    if ids and done < len(ids):
        output.complain(f"{len(ids) - done} of {len(ids)} are not in the list: they were not changed.")
        raise typer.Exit(1)


@program.command("discard-event")
@connected
def discard_event(
    event: Annotated[str, typer.Argument(help="Id from the list of events.")],
    *,
    connect: Connect,
) -> None:
    """Discard an event that could not be planned: nothing is sent.

    \b
    Example:
      clarion dead-letters discard-event 7
    """
    from clarion.cli import output

    connect().call("DELETE", f"{EVENTS}/{event}")
    output.out().print("Discarded.")


Origin = Annotated[
    str | None, typer.Option("--origin", help="Only those of the source or sink with this key.")
]
RecordIds = Annotated[list[str] | None, typer.Argument(help="Ids from the list of records.")]
EveryRecord = Annotated[bool, typer.Option("--all", help="The newest 1,000, or those of --origin.")]


@program.command()
@connected
def records(origin: Origin = None, limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List records of sources, and events for sinks, that could not be done, newest first.

    \b
    Example:
      clarion dead-letters records --origin orders
    """
    from clarion.cli import output

    found = connect().pages(RECORDS, limit, origin=origin)
    if json:
        output.as_json(list(found))
    else:
        columns = ("id", "kind", "origin", "place", "reason", "detail", "created_at")
        output.table(columns, ([one[column] for column in columns] for one in found))


@program.command("retry-records")
@connected
def retry_records(
    ids: RecordIds = None,
    everything: EveryRecord = False,
    origin: Origin = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Do records and events again, as their source or sink is set up now.

    \b
    Examples:
      clarion dead-letters retry-records 7
      clarion dead-letters retry-records --all --origin orders
    """
    from clarion.cli import output

    answer = connect().call("POST", f"{RECORDS}/retry", _chosen(ids, everything, origin))
    if json:
        output.as_json(answer)
    else:
        output.out().print(f"{answer['retried']} done.")
    if answer["refused"]:
        for one in answer["refused"]:
            output.complain(f"{one['id']}: {one['reason']}: {one['detail']}")
        raise typer.Exit(1)


@program.command("discard-records")
@connected
def discard_records(
    ids: RecordIds = None,
    everything: EveryRecord = False,
    origin: Origin = None,
    *,
    connect: Connect,
) -> None:
    """Discard records and events: nothing is sent.

    \b
    Example:
      clarion dead-letters discard-records 7
    """
    from clarion.cli import output

    answer = connect().call("POST", f"{RECORDS}/discard", _chosen(ids, everything, origin))
    output.out().print(f"{answer['discarded']} discarded.")


def _chosen(ids: list[str] | None, everything: bool, origin: str | None) -> dict[str, object]:
    if bool(ids) == everything or (ids and origin):
        raise typer.BadParameter("give ids, or --all (--origin is optional)")
    return {"ids": ids} if ids else {"all": True, "origin": origin}
