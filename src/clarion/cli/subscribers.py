"""Who is in a group: subscribers of a topic, members of an object. Both are listed, added and removed alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clarion.cli import documents

if TYPE_CHECKING:
    from clarion.cli.client import Client

Users = Annotated[list[str], typer.Argument(metavar="USER...", help="One or more users.")]


def tell(client: Client, path: str, limit: int, *, json: bool) -> None:
    """Print who is in the group at the path."""
    from clarion.cli import output

    found = [*client.pages(path, limit)]
    if json:
        output.as_json(found)
    else:
        output.table(["user"], ([one["user_id"]] for one in found))


def add(client: Client, path: str, users: list[str], done: str, *, json: bool) -> None:
    """Add users. `done`: what is told behind the number of those who were not in it."""
    answer = client.call("POST", path, {"user_ids": users})
    documents.report(answer, f"{answer['added']} {done}.", json=json)


def remove(client: Client, path: str, users: list[str], done: str) -> None:
    """Remove users. `done`: what is told behind their number."""
    from clarion.cli.client import segment

    for user in users:
        client.call("DELETE", f"{path}/{segment(user)}")
    documents.report(None, f"{len(users)} {done}.", json=False)
