"""`clarion operations`: work on many things, how far it is, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected

if TYPE_CHECKING:
    from clarion.cli.client import Client

program = typer.Typer(
    no_args_is_help=True, help="Watch, cancel and repeat work on many messages, runs or users."
)

PATH = "/v1/operations"
WAIT_S = 20
"""At a time; a longer wait is several."""
FINISHED = frozenset({"succeeded", "partly_failed", "failed", "canceled"})

Id = Annotated[str, typer.Argument(metavar="OPERATION", help="Id of the operation.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for its end: print its id.")]


@program.command("list")
@connected
def list_(
    status: Annotated[str | None, typer.Option("--status", help="Only in this status.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only of this kind, such as messages.retry or users.import.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Most items to list.")] = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List operations, newest first.

    \b
    Example:
      clarion operations list --status running
    """
    from clarion.cli import output

    found = connect().pages(PATH, limit, status=status, kind=kind)
    if json:
        output.as_json(list(found))
        return
    output.table(
        ["created", "kind", "status", "done", "failed", "total", "id"],
        (
            (
                output.clock(one["created_at"]),
                one["kind"],
                one["status"],
                one["progress"]["done"],
                one["progress"]["failed"],
                "" if one["progress"]["total"] is None else one["progress"]["total"],
                one["id"],
            )
            for one in found
        ),
    )


@program.command("show")
@connected
def show_(operation_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Show how far an operation is, and what failed first.

    \b
    Example:
      clarion operations show 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output

    one = connect().get(path_of(operation_id))
    output.as_json(one) if json else tell(one)


@program.command()
@connected
def watch(operation_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Follow an operation to its end. Ctrl-C ends the watching, not the operation.

    \b
    Example:
      clarion operations watch 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    client = connect()
    end(client, client.get(path_of(operation_id)), no_wait=False, json=json)


@program.command()
@connected
def cancel(operation_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Do nothing more of an operation; what is done stays done.

    \b
    Example:
      clarion operations cancel 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output

    one = connect().call("POST", f"{path_of(operation_id)}/cancel")
    output.as_json(one) if json else tell(one)


@program.command("retry-failed")
@connected
def retry_failed(operation_id: Id, no_wait: NoWait = False, *, connect: Connect, json: Json = False) -> None:
    """Retry what failed.

    \b
    Example:
      clarion operations retry-failed 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    client = connect()
    end(client, client.call("POST", f"{path_of(operation_id)}/retry-failed"), no_wait=no_wait, json=json)


def end(client: Client, operation: Mapping[str, Any], *, no_wait: bool, json: bool) -> None:
    """Wait for the end of an operation with a progress bar, and say what came of it: exit code 1 unless all was
    done."""
    from clarion.cli import output

    if no_wait:
        output.as_json(operation) if json else output.out().print(operation["id"])
        return
    one = awaited(client, operation, quiet=json)
    output.as_json(one) if json else tell(one)
    if one["status"] != "succeeded":
        raise typer.Exit(1)


def awaited(client: Client, operation: Mapping[str, Any], *, quiet: bool) -> Mapping[str, Any]:
    """An operation at its end, with a progress bar until then."""
    from clarion.cli import output

    one = operation
    with output.progress(quiet=quiet) as bar:
        task = bar.add_task(one["kind"], total=None)
        while True:
            how_far = one["progress"]
            bar.update(task, total=how_far["total"], completed=how_far["done"] + how_far["failed"])
            if one["status"] in FINISHED:
                return one
            one = client.get(path_of(one["id"]), wait_s=WAIT_S)


def several(client: Client, path: str, body: Mapping[str, Any], *, json: bool) -> None:
    """Do something to messages named by id, and say of each that was left as it is why: exit code 1 then."""
    from clarion.cli import output
    from clarion.cli.client import Answered

    try:
        answer = client.call("POST", path, body)
    except Answered as refused:
        if refused.code != "all_rejected":
            raise
        answer = {"accepted": 0, "rejected": len(refused.problem["items"]), "items": refused.problem["items"]}
    if json:
        output.as_json(answer)
    else:
        output.out().print(f"{answer['accepted']} of {answer['accepted'] + answer['rejected']} done.")
    for one in answer["items"]:
        output.complain(f"{body['ids'][one['index']]}: {one['error']['detail']}")
    if answer["rejected"]:
        raise typer.Exit(1)


def tell(one: Mapping[str, Any]) -> None:
    """What came of an operation so far."""
    from clarion.cli import output

    output.out().print(f"{one['kind']} {one['status']}: {one['detail']}")
    for error in one["errors"]:
        place = error["message_id"] or error["run_id"] or f"line {error['index']}"
        output.complain(f"{place}: {error['error']['detail']}")
    if one["progress"]["failed"] > len(one["errors"]):
        output.err().print(f"All of them: {one['errors_url']}", style=output.SILENT)


def path_of(operation_id: str) -> str:
    """Where it is."""
    from clarion.cli.client import segment

    return f"{PATH}/{segment(operation_id)}"
