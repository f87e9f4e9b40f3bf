"""`clarion runs`: runs of workflows that wait between two steps."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.messages import Event, Limit, Status, User, Workflow
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="List, inspect and cancel runs that wait between two steps.")

Id = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")]


@program.command("list")
@connected
def list_(
    workflow: Workflow = None,
    version: Annotated[
        int | None, typer.Option("--version", help="Only of this version of the workflow.")
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="Only those that came to this step last.")
    ] = None,
    status: Status = None,
    user_id: User = None,
    event_id: Event = None,
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
    from clarion.cli import output

    found = connect().pages(
        "/v1/runs",
        limit,
        workflow=workflow,
        version=version,
        step=step,
        status=status,
        user_id=user_id,
        event_id=event_id,
    )
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
def cancel(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Id of the run.")] = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", help="Several runs of this workflow, by `--key`.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The value behind the workflow's `cancellation_key`.")
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Cancel a run that waits, or all runs of a workflow with the same key, and their messages that are not sent yet.

    \b
    Examples:
      clarion runs cancel 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
      clarion runs cancel --workflow order-reminder --key A-1042
    """
    from clarion.cli import output
    from clarion.cli.assignments import value_of
    from clarion.cli.client import segment

    if (run_id is None) is (workflow is None or key is None) or (run_id and (workflow or key)):
        raise typer.BadParameter("name one RUN, or --workflow and --key")
    if run_id is not None:
        done = connect().call("POST", f"/v1/runs/{segment(run_id)}/cancel")
        said = "The run is canceled."
    else:
        body = {"workflow": workflow, "cancellation_key": value_of(key or "")}
        done = connect().call("POST", "/v1/runs/cancel", body)
        said = f"{done['runs']} runs canceled, {done['messages']} messages with them."
    if json:
        output.as_json(done)
    else:
        output.out().print(said)


@connected
def by_version(
    workflow: Annotated[str, typer.Argument(metavar="KEY", help="Names the workflow.")],
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show how many runs of a workflow wait, by its version.

    \b
    Example:
      clarion workflows runs welcome-series
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    found = list(connect().pages(f"/v1/workflows/{segment(workflow)}/versions", 10_000))
    if json:
        output.as_json(found)
    else:
        rows = ((one["version"], "live" if one["live"] else "", one["waiting_runs"]) for one in found)
        output.table(["version", "", "waiting runs"], rows)
