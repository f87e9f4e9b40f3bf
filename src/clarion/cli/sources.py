"""`clarion sources`: topics, queues and streams of your own, whose records start workflows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from clarion.cli.documents import Key, Noun, add, report
from clarion.cli.options import Connect, Json, connected
from clarion.cli.readings import place, show

program = typer.Typer(
    no_args_is_help=True, help="Read your own topics, queues and streams: their records start workflows."
)

Tried = Annotated[int, typer.Option("--limit", min=1, max=100, help="How many of the last records to try.")]
To = Annotated[
    str | None,
    typer.Option("--to", help="earliest, latest, or a time such as 2026-05-01T09:30:00Z."),
]
Position = Annotated[
    list[str] | None,
    typer.Option("--position", help="PARTITION=OFFSET of the last record that is done; may be repeated."),
]
SendAgain = Annotated[
    bool, typer.Option("--send-again", help="Records that started something before start it again.")
]

add(
    program,
    Noun(
        path="sources",
        one="source",
        columns={
            "key": lambda one: one["key"],
            "kind": lambda one: one["kind"],
            "format": lambda one: one["format"],
            "state": lambda one: "paused" if one["paused"] else "reading",
        },
        example="orders",
        change="when=\"data.status == 'shipped'\"",
    ),
)


@program.command("test")
@connected
def try_out(key: Key, limit: Tried = 10, *, connect: Connect, json: Json = False) -> None:
    """Try the last real records: what each would start, or why not. Nothing is taken or sent.

    \b
    Examples:
      clarion sources test orders
      clarion sources test orders --limit 50 --json
    """
    from clarion.cli import output

    tested = connect().call("POST", f"{_at(key)}/test", {"limit": limit})
    if json:
        output.as_json(tested)
        return
    items = tested["items"]
    output.table(
        ["record", "key", "workflow", "recipients", "what happens"],
        ([one["place"], one["key"] or "", _starts(one), _recipients(one), _outcome(one)] for one in items),
    )
    if refused := sum(one["outcome"] == "refused" for one in items):
        output.complain(f"{refused} of {len(items)} would become dead letters.")
        raise typer.Exit(1)


class OutboxKind(StrEnum):
    """As in the field `kind` of its source."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"


@program.command()
def outbox(
    kind: Annotated[
        OutboxKind, typer.Option("--kind", help="Where it is; mysql is MariaDB, too.")
    ] = OutboxKind.POSTGRESQL,
    table: Annotated[
        str, typer.Option("--table", help="Its name, with a schema before a dot if need be.")
    ] = "clarion_outbox",
    reader: Annotated[str, typer.Option("--reader", help="Whom Clarion logs in as.")] = "clarion",
) -> None:
    """Print the SQL that makes an outbox table in the database of your application.

    \b
    Examples:
      clarion sources outbox | psql shop
      clarion sources outbox --kind mysql | mysql shop
      clarion sources outbox --table app.notifications --reader clarion_reader > migration.sql
    """
    import msgspec

    from clarion.adapters.outbox import TableName, mysql_sql, postgresql_sql
    from clarion.cli import output

    for option, name in (("--table", table), ("--reader", reader)):
        try:
            msgspec.convert(name, TableName)
        except msgspec.ValidationError:
            raise typer.BadParameter(
                f"{name}: use lower-case letters, digits and underscores, with a schema before a dot if need be.",
                param_hint=option,
            ) from None
    sql = mysql_sql if kind is OutboxKind.MYSQL else postgresql_sql
    output.out().print(sql(table, reader), end="", markup=False, highlight=False, soft_wrap=True)


@program.command()
@connected
def status(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Show how far a source has been read, and how many records wait.

    \b
    Example:
      clarion sources status orders
    """
    _show(connect().get(f"{_at(key)}/status"), json=json)


@program.command()
@connected
def pause(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Stop reading a source.

    \b
    Example:
      clarion sources pause orders
    """
    report(connect().call("POST", f"{_at(key)}/pause"), f"{key} is paused.", json=json)


@program.command()
@connected
def resume(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Read a source on from where it stopped.

    \b
    Example:
      clarion sources resume orders
    """
    report(connect().call("POST", f"{_at(key)}/resume"), f"{key} is being read.", json=json)


@program.command()
@connected
def rewind(
    key: Key,
    to: To = None,
    position: Position = None,
    send_again: SendAgain = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Read a source on from another position, backwards or forwards.

    \b
    Examples:
      clarion sources rewind orders --to earliest
      clarion sources rewind orders --to 2026-05-01T09:30:00Z --send-again
      clarion sources rewind orders --position 0=1041 --position 1=977
    """
    body = _rewound(to, position) | {"send_again": send_again}
    _show(connect().call("POST", f"{_at(key)}/rewind", body), json=json)


def _rewound(to: str | None, position: list[str] | None) -> dict[str, Any]:
    from clarion.cli.assignments import assigned

    if (to is None) == (position is None):
        raise typer.BadParameter("give one of --to and --position")
    if to is not None:
        return place(to)
    return {"position": {name: str(offset) for name, offset in assigned(position or ()).items()}}


def _show(status: dict[str, Any], *, json: bool) -> None:
    own = {
        "waiting": "not known" if status["lag"] is None else str(status["lag"]),
        "read by": "1 process" if status["readers"] == 1 else f"{status['readers']} processes",
        "position": ", ".join(f"{name}={at}" for name, at in status["position"].items()) or "none",
    }
    show(status, own, json=json)


def _at(key: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/sources/{segment(key)}"


def _starts(one: dict[str, Any]) -> str:
    workflows = dict.fromkeys(message["workflow"] for message in one["messages"])
    return ", ".join(workflows) or one["workflow"] or one["type"] or ""


def _recipients(one: dict[str, Any]) -> str:
    named = [
        recipient if isinstance(recipient, str) else recipient.get("user_id") or recipient.get("topic") or ""
        for recipient in one["recipients"]
    ]
    return ", ".join(named or dict.fromkeys(message["user_id"] for message in one["messages"]))


def _outcome(one: dict[str, Any]) -> str:
    if one["outcome"] == "refused":
        return f"{one['reason']}: {one['detail']}"
    if one["outcome"] == "passed_over":
        return "passed over: the condition is false"
    if not one["messages"]:
        return "starts nothing: no workflow listens to this type"
    return ", ".join(
        f"{message['channel']} {message['status']}" + (f" ({message['reason']})" if message["reason"] else "")
        for message in one["messages"]
    )
