"""`clarion campaigns`: one workflow for a whole audience, at a pace."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.assignments import EventData, event_data
from clarion.cli.documents import Changes, Yes, report
from clarion.cli.messages import Limit
from clarion.cli.objects import named as object_named
from clarion.cli.options import Connect, IfMatch, Json, connected

program = typer.Typer(no_args_is_help=True, help="Send one workflow to a whole audience, at a pace.")

Campaign = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Id of the campaign.")]
Given = Annotated[
    list[str] | None, typer.Option("--set", help="A value of the data, NAME=VALUE. VALUE may be JSON.")
]


@program.command("list")
@connected
def list_campaigns(
    limit: Limit = 20,
    status: Annotated[str | None, typer.Option(help="Only in this status, such as running.")] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List campaigns, newest first.

    \b
    Examples:
      clarion campaigns list
      clarion campaigns list --status running
    """
    from clarion.cli import output

    where = {} if status is None else {"status": status}
    found = [*connect().pages("/v1/campaigns", limit, **where)]
    if json:
        output.as_json(found)
        return
    rows = (
        [
            one["id"],
            one["name"] or "",
            one["workflow"],
            one["status"],
            one["members_planned"],
            one["counts"]["failed"],
        ]
        for one in found
    )
    output.table(["id", "name", "workflow", "status", "planned", "failed"], rows)


@program.command()
@connected
def show(campaign: Campaign, *, connect: Connect) -> None:
    """Show a campaign as JSON.

    \b
    Example:
      clarion campaigns show 01b00000-0000-7000-8000-000000000000
    """
    from clarion.cli import output

    output.as_json(connect().get(_at(campaign)))


@program.command()
@connected
def create(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Key of the workflow.")],
    topic: Annotated[str | None, typer.Option(help="The audience: the members of this topic.")] = None,
    segment: Annotated[str | None, typer.Option(help="The audience: the users in this segment.")] = None,
    of_object: Annotated[
        str | None, typer.Option("--object", metavar="TYPE/ID", help="The audience: a team, a room.")
    ] = None,
    to: Annotated[
        list[str] | None, typer.Option("--to", help="The audience: a user; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Recipients a second.")] = None,
    test_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="This share gets it first, such as 0.05.")
    ] = None,
    send_at: Annotated[str | None, typer.Option(help="Nothing is sent before (RFC 3339).")] = None,
    send_at_local: Annotated[
        str | None, typer.Option(help="The same by the clock of each recipient: 2030-05-04T09:00.")
    ] = None,
    keep_open: Annotated[bool, typer.Option("--keep-open", help="Who joins later gets it, too.")] = False,
    given: Given = None,
    data: EventData = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Create a draft. Nothing is sent before you start it.

    \b
    Examples:
      clarion campaigns create spring-sale --topic readers --rate 200 --set percent=20
      clarion campaigns create spring-sale --topic readers --test-share 0.05 --send-at-local 2030-05-04T09:00
    """
    body: dict[str, Any] = {
        "workflow": workflow,
        "audience": {
            "topic": topic,
            "segment": segment,
            "object": None if of_object is None else object_named(of_object),
            "user_ids": to,
        },
        "name": name,
        "rate_per_s": rate,
        "test_share": test_share,
        "send_at": send_at,
        "send_at_local": send_at_local,
        "keep_open": keep_open,
        "data": event_data(data, given or ()),
    }
    answer = connect().call("POST", "/v1/campaigns", body)
    report(answer, f"Campaign {answer['id']} is a draft.", json=json)


@program.command()
@connected
def update(
    campaign: Campaign,
    changes: Changes = None,
    if_match: IfMatch = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Change a draft; once it was started, its name, `rate_per_s` and `keep_open`.

    \b
    Example:
      clarion campaigns update 01b00000-0000-7000-8000-000000000000 --set rate_per_s=50
    """
    from clarion.cli.assignments import assigned
    from clarion.cli.client import matching

    answer = connect().call("PATCH", _at(campaign), assigned(changes or ()), matching(if_match))
    report(answer, f"Campaign {campaign} is changed.", json=json)


@program.command()
@connected
def delete(campaign: Campaign, if_match: IfMatch = None, *, connect: Connect) -> None:
    """Delete a draft, or a campaign that is over. Its messages stay.

    \b
    Example:
      clarion campaigns delete 01b00000-0000-7000-8000-000000000000
    """
    from clarion.cli.client import matching

    connect().call("DELETE", _at(campaign), None, matching(if_match))
    report({}, f"Campaign {campaign} is deleted.", json=False)


@program.command()
@connected
def preview(campaign: Campaign, *, connect: Connect, json: Json = False) -> None:
    """Count the audience, and see what a sample of it would get. Nothing is sent.

    \b
    Example:
      clarion campaigns preview 01b00000-0000-7000-8000-000000000000
    """
    from clarion.cli import output

    found = connect().call("POST", f"{_at(campaign)}/preview")
    if json:
        output.as_json(found)
        return
    output.out().print(f"{found['recipients']} recipients. Of {found['sampled']} of them:", markup=False)
    rows = [["sent on", channel, count] for channel, count in found["channels"].items()]
    rows += [["not sent", reason, count] for reason, count in found["not_sent"].items()]
    output.table(["", "why", "messages"], rows)


@program.command()
@connected
def start(campaign: Campaign, yes: Yes = False, *, connect: Connect, json: Json = False) -> None:
    """Start a draft; start the rest of a campaign that is tested.

    \b
    Example:
      clarion campaigns start 01b00000-0000-7000-8000-000000000000
    """
    client = connect()
    if not yes:
        found = client.call("POST", f"{_at(campaign)}/preview")
        typer.confirm(f"Send to {found['recipients']} recipients?", abort=True)
    _act(client, campaign, "start", json=json)


@program.command()
@connected
def pause(campaign: Campaign, *, connect: Connect, json: Json = False) -> None:
    """Plan no more members, and send nothing.

    \b
    Example:
      clarion campaigns pause 01b00000-0000-7000-8000-000000000000
    """
    _act(connect(), campaign, "pause", json=json)


@program.command()
@connected
def resume(campaign: Campaign, *, connect: Connect, json: Json = False) -> None:
    """Go on where it was paused.

    \b
    Example:
      clarion campaigns resume 01b00000-0000-7000-8000-000000000000
    """
    _act(connect(), campaign, "resume", json=json)


@program.command()
@connected
def cancel(campaign: Campaign, *, connect: Connect, json: Json = False) -> None:
    """Plan no more members, and cancel what is not being sent yet.

    \b
    Example:
      clarion campaigns cancel 01b00000-0000-7000-8000-000000000000
    """
    _act(connect(), campaign, "cancel", json=json)


@program.command("retry-failed")
@connected
def retry_failed(campaign: Campaign, *, connect: Connect, json: Json = False) -> None:
    """Send again what failed: the same messages.

    \b
    Example:
      clarion campaigns retry-failed 01b00000-0000-7000-8000-000000000000
    """
    answer = connect().call("POST", f"{_at(campaign)}/retry-failed")
    report(answer, f"Operation {answer['id']} retries what failed.", json=json)


def _act(client: Any, campaign: str, verb: str, *, json: bool) -> None:
    answer = client.call("POST", f"{_at(campaign)}/{verb}")
    report(answer, f"Campaign {campaign} is {answer['status']}.", json=json)


def _at(campaign: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/campaigns/{segment(campaign)}"
