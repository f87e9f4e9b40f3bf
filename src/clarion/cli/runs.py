"""`clarion runs`: runs of workflows that wait between two steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from clarion.cli.messages import All, Event, Limit, Reason, Since, Status, Until, User, Workflow
from clarion.cli.operations import NoWait, end
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="List, inspect and change runs that wait between two steps.")

Id = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")]
Ids = Annotated[str | None, typer.Argument(metavar="[RUN]", help="Id of the run.")]
Version = Annotated[int | None, typer.Option("--version", help="Only of this version of the workflow.")]
Step = Annotated[str | None, typer.Option("--step", help="Only those that came to this step last.")]


@program.command("list")
@connected
def list_(
    workflow: Workflow = None,
    version: Version = None,
    step: Step = None,
    status: Status = None,
    reason: Reason = None,
    user_id: User = None,
    event_id: Event = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List runs that wait or have waited, newest first.

    \b
    Example:
      clarion runs list --workflow welcome-series --status waiting
    """
    found = connect().pages(
        "/v1/runs",
        limit,
        workflow=workflow,
        version=version,
        step=step,
        status=status,
        reason=reason,
        user_id=user_id,
        event_id=event_id,
        since=since,
        until=until,
    )
    _table(found, json=json)


def _table(found: Iterable[Any], *, json: bool) -> None:
    from clarion.cli import output

    if json:
        output.as_json(list(found))
        return
    output.table(
        ["started", "workflow", "version", "user", "status", "step", "goes on", "id"],
        (
            (
                output.clock(one["started_at"]),
                one["workflow"],
                one["version"],
                one["user_id"] or "(deleted)",
                one["status"] if not one["reason"] else f"{one['status']} ({one['reason']})",
                one["step"],
                output.clock(one["due_at"]),
                one["id"],
            )
            for one in found
        ),
    )


@program.command("show")
@connected
def show_(run_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Show what each step of a run did.

    \b
    Example:
      clarion runs show 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    run = connect().get(f"/v1/runs/{segment(run_id)}")
    if json:
        output.as_json(run)
        return
    output.field("workflow", f"{run['workflow']} (version {run['version']})")
    output.field("status", run["status"] if not run["reason"] else f"{run['status']} ({run['reason']})")
    if (digest := run["digest"]) is not None and digest["closed_at"] is None:
        output.field("digest", f"{digest['items']} items; closes {output.clock(digest['closes_at'])}")
    for step in run["history"]:
        output.field(output.clock(step["at"]), step["text"])


@program.command()
@connected
def acknowledge(run_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Say that somebody has seen what a run is about: it repeats nothing any more.

    \b
    Example:
      clarion runs acknowledge 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    run = connect().call("POST", f"/v1/runs/{segment(run_id)}/acknowledge")
    if json:
        output.as_json(run)
    else:
        output.out().print(
            "The run is acknowledged." if run["status"] == "waiting" else f"The run is {run['status']}."
        )


@program.command()
@connected
def answer(
    run_id: Id,
    given: Annotated[str, typer.Argument(metavar="ANSWER", help="Key of an option, or `other`.")],
    text: Annotated[str, typer.Option("--text", help="With `other`: the answer in other words.")] = "",
    step: Annotated[str, typer.Option("--step", help="The step whose question this answers.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who answers.")] = "",
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Answer the question that a run waits for. The first answer counts.

    \b
    Example:
      clarion runs answer 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e yes --by misaki
    """
    from clarion.cli import output

    body = {"answer": given, "text": text, "step": step, "by": by}
    run = connect().call("POST", _path(run_id, "answer"), body)
    if json:
        output.as_json(run)
    else:
        output.out().print("The question is answered.")


@program.command()
@connected
def advance(run_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Let a run that waits go on now. For trying things out: where the setting `allow_advance` is on.

    \b
    Example:
      clarion runs advance 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
    """
    _changed(connect().call("POST", _path(run_id, "advance")), json=json)


@program.command()
@connected
def retry(
    run_id: Ids = None,
    everything: All = False,
    workflow: Workflow = None,
    version: Version = None,
    step: Step = None,
    reason: Reason = None,
    user_id: User = None,
    event_id: Event = None,
    since: Since = None,
    until: Until = None,
    no_wait: NoWait = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Let a run that failed go on from where it did, or with --all all that match the filters.

    \b
    Examples:
      clarion runs retry 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
      clarion runs retry --all --workflow order-reminder --reason internal_error
    """
    where = _filter(
        workflow=workflow,
        version=version,
        step=step,
        reason=reason,
        user_id=user_id,
        event_id=event_id,
        since=since,
        until=until,
    )
    if (run_id is None) is not everything or (run_id and where):
        raise typer.BadParameter("name one RUN, or --all (filters are optional)")
    client = connect()
    if run_id is not None:
        _changed(client.call("POST", _path(run_id, "retry")), json=json)
    else:
        end(client, client.call("POST", "/v1/runs/retry", {"filter": where}), no_wait=no_wait, json=json)


def _filter(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _path(run_id: str, verb: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/runs/{segment(run_id)}/{verb}"


def _changed(run: Any, *, json: bool) -> None:
    from clarion.cli import output

    if json:
        output.as_json(run)
    else:
        output.out().print(f"The run is {run['status']}.")


@program.command()
@connected
def cancel(
    run_id: Ids = None,
    everything: All = False,
    workflow: Workflow = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The value behind the workflow's `cancellation_key`.")
    ] = None,
    version: Version = None,
    step: Step = None,
    user_id: User = None,
    event_id: Event = None,
    since: Since = None,
    until: Until = None,
    no_wait: NoWait = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Cancel a run that waits, all runs of a workflow with the same key, or with --all all that match the filters; and their
    messages that are not sent yet.

    \b
    Examples:
      clarion runs cancel 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
      clarion runs cancel --workflow order-reminder --key A-1042
      clarion runs cancel --all --workflow order-reminder --version 3
    """
    from clarion.cli import output
    from clarion.cli.assignments import value_of

    where = _filter(
        workflow=workflow,
        version=version,
        step=step,
        user_id=user_id,
        event_id=event_id,
        since=since,
        until=until,
    )
    keyed = key is not None and where.keys() == {"workflow"}
    if (run_id is not None) + keyed + everything != 1 or (run_id and where) or (key is not None) is not keyed:
        raise typer.BadParameter("name one RUN, or --workflow and --key, or --all (filters are optional)")
    if everything:
        client = connect()
        end(client, client.call("POST", "/v1/runs/cancel", {"filter": where}), no_wait=no_wait, json=json)
        return
    if run_id is not None:
        done = connect().call("POST", _path(run_id, "cancel"))
        said = "The run is canceled."
    else:
        body = {"workflow": workflow, "cancellation_key": value_of(key or "")}
        done = connect().call("POST", "/v1/runs/cancel", body)
        said = f"{done['runs']} runs canceled, {done['messages']} messages with them."
    if json:
        output.as_json(done)
    else:
        output.out().print(said)


Key = Annotated[str, typer.Argument(metavar="KEY", help="Names the workflow.")]


@connected
def of_workflow(
    workflow: Key,
    by_version: Annotated[
        bool, typer.Option("--by-version", help="Only how many wait, by the version of the workflow.")
    ] = False,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List the runs of a workflow, newest first, or how many wait in each of its versions.

    \b
    Examples:
      clarion workflows runs welcome-series
      clarion workflows runs welcome-series --by-version
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    if not by_version:
        _table(connect().pages("/v1/runs", limit, workflow=workflow), json=json)
        return
    found = list(connect().pages(f"/v1/workflows/{segment(workflow)}/versions", 10_000))
    if json:
        output.as_json(found)
    else:
        rows = ((one["version"], "live" if one["live"] else "", one["waiting_runs"]) for one in found)
        output.table(["version", "", "waiting runs"], rows)


@connected
def migrate(
    workflow: Key,
    from_version: Annotated[int, typer.Option("--from", help="The version in which the runs wait.")],
    to_version: Annotated[
        int | None, typer.Option("--to", help="The live version, to be sure that it is this one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many would move; move none.")] = False,
    no_wait: NoWait = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Let runs that wait in an earlier version of a workflow go on with the live one. Those that cannot stay, and the operation
    says why.

    \b
    Examples:
      clarion workflows migrate welcome-series --from 3 --dry-run
      clarion workflows migrate welcome-series --from 3 --to 5
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    client = connect()
    path = f"/v1/workflows/{segment(workflow)}/migrate-runs"
    body = _filter(from_version=from_version, to_version=to_version)
    done = client.call("POST", f"{path}?dry_run=true" if dry_run else path, body)
    if not dry_run:
        end(client, done, no_wait=no_wait, json=json)
    elif json:
        output.as_json(done)
    else:
        how_many = done["progress"]
        output.out().print(f"{how_many['done']} runs would move, {how_many['failed']} would stay.")
