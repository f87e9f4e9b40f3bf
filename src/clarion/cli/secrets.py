"""`clarion secrets`: values that other documents name, written and never read."""

from __future__ import annotations

import sys

import typer

from clarion.cli.documents import Key, report
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, IfMatch, Json, connected

program = typer.Typer(
    no_args_is_help=True, help="Store values that other documents name. Nobody can read them."
)


@program.command("list")
@connected
def list_(limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List secrets and what names them, without their values.

    \b
    Example:
      clarion secrets list
    """
    from clarion.cli import output

    found = [*connect().pages("/v1/secrets", limit)]
    if json:
        output.as_json(found)
        return
    output.table(
        ["key", "updated", "used by"],
        (
            [
                one["key"],
                one["updated_at"],
                ", ".join(f"{use['kind']}/{use['key']}" for use in one["used_by"]),
            ]
            for one in found
        ),
    )


@program.command("set")
@connected
def set_(key: Key, if_match: IfMatch = None, *, connect: Connect, json: Json = False) -> None:
    """Create a secret or replace its value, which is asked for, or read from standard input without the line break at its end.

    \b
    Examples:
      clarion secrets set shop-token
      pass show shop | clarion secrets set shop-token
    """
    from clarion.cli.client import matching

    if sys.stdin.isatty():
        value = typer.prompt("Value", hide_input=True)
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    answer = connect().call("PUT", _at(key), {"value": value}, matching(if_match))
    report(answer, f"{key} is stored.", json=json)


@program.command()
@connected
def delete(key: Key, if_match: IfMatch = None, *, connect: Connect) -> None:
    """Delete a secret that nothing names.

    \b
    Example:
      clarion secrets delete shop-token
    """
    from clarion.cli.client import matching

    connect().call("DELETE", _at(key), None, matching(if_match))
    report({}, f"{key} is deleted.", json=False)


def _at(key: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/secrets/{segment(key)}"
