"""`clarion suppressions`: addresses that must not be used."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from clarion.cli.documents import report
from clarion.cli.exit_codes import Exit
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Manage addresses that must not be used.")

PATH = "/v1/suppressions"
BATCH = 500
"""Lines of one call."""

Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="email, sms, push, ...")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="An email address, a phone number, ...")]


@program.command("list")
@connected
def list_(
    channel: Annotated[str | None, typer.Option("--channel", help="Only on this channel.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only for this reason.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only from this source.")] = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List suppressions, newest first. Addresses are not shown: only a hash of each is kept.

    \b
    Example:
      clarion suppressions list --source robinson_list
    """
    _table(connect().pages(PATH, limit, channel=channel, reason=reason, source=source), json=json)


@program.command()
@connected
def search(channel: Channel, address: Address, *, connect: Connect, json: Json = False) -> None:
    """Say whether an address is suppressed, and why.

    \b
    Example:
      clarion suppressions search email ada@example.com
    """
    found = connect().call("POST", f"{PATH}/search", {"channel": channel, "address": address})
    _table(found["items"], json=json)


@program.command()
@connected
def create(
    channel: Channel,
    address: Address,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for whoever looks later.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Where you have it from.")] = None,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", help="Until when, like 2026-12-01T00:00:00Z.")
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Suppress an address: from now on nothing is sent to it.

    \b
    Example:
      clarion suppressions create email ada@example.com --reason asked_by_phone
    """
    more = {"reason": reason, "source": source, "expires_at": expires_at}
    body = {"channel": channel, "address": address} | {name: said for name, said in more.items() if said}
    made = connect().call("POST", PATH, body)
    report(made, f"Suppressed as {made['id']}.", json=json)


@program.command()
@connected
def delete(
    suppression: Annotated[str, typer.Argument(metavar="SUPPRESSION", help="Id, from `list` or `search`.")],
    *,
    connect: Connect,
) -> None:
    """Allow an address again. You need its owner's consent.

    \b
    Example:
      clarion suppressions delete 1f0c...
    """
    from clarion.cli.client import segment

    connect().call("DELETE", f"{PATH}/{segment(suppression)}")
    report(None, "The address may be used again.", json=False)


@program.command("import")
@connected
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="NDJSON, or CSV when it ends in .csv."
        ),
    ],
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Suppress all addresses of a file. A wrong line does not stop the others; the exit code is 1 then.

    NDJSON: one address a line, as in POST /v1/suppressions. CSV: the columns channel, address (or id), reason, source, expires_at.

    \b
    Example:
      clarion suppressions import robinson-list.csv
    """
    from clarion.cli import output
    from clarion.cli.client import Answered

    csv = file.suffix.lower() == ".csv"
    headers = {"content-type": "text/csv" if csv else "application/x-ndjson"}
    accepted, wrong = 0, []
    with file.open("rb") as lines:
        header = lines.readline() if csv else b""
        first = 2 if csv else 1
        while batch := list(islice(lines, BATCH)):
            try:
                answer = connect().call("POST", f"{PATH}/bulk", header + b"".join(batch), headers)
            except Answered as error:
                if error.code != "all_rejected":
                    raise
                answer = error.problem
            accepted += answer["accepted"]
            wrong += [(first + one["index"], one["error"]) for one in answer["items"] if "error" in one]
            first += len(batch)
    if json:
        output.as_json({"accepted": accepted, "rejected": len(wrong), "errors": wrong})
    else:
        output.out().print(f"{accepted} addresses suppressed.")
        for number, why in wrong[:20]:
            output.complain(f"line {number}: {why['detail']}")
    if wrong:
        raise typer.Exit(Exit.FAILED)


@program.command()
@connected
def export(*, connect: Connect) -> None:
    """Write all suppressions as NDJSON, newest first. `import` takes them again, into this installation only: addresses are hashes.

    \b
    Example:
      clarion suppressions export > suppressions.ndjson
    """
    import sys

    import msgspec

    for one in connect().pages(PATH, sys.maxsize):
        kept = {name: one[name] for name in ("id", "channel", "reason", "source", "expires_at") if one[name]}
        sys.stdout.buffer.write(msgspec.json.encode(kept) + b"\n")


def _table(found: Iterable[Any], *, json: bool) -> None:
    from clarion.cli import output

    rows = [*found]
    if json:
        output.as_json(rows)
    else:
        output.table(
            ["created", "channel", "reason", "source", "expires", "id"],
            (
                (
                    output.clock(one["created_at"]),
                    one["channel"],
                    one["reason"],
                    one["source"] or "",
                    output.clock(one["expires_at"]) if one["expires_at"] else "",
                    one["id"],
                )
                for one in rows
            ),
        )
