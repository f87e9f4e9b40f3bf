"""`clarion topics`: groups that people subscribe to."""

from __future__ import annotations

import typer

from clarion.cli import documents
from clarion.cli import subscribers as group
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected
from clarion.cli.subscribers import Users

program = typer.Typer(no_args_is_help=True, help="Manage topics and their subscribers.")

_OF_SERVER = ("key", "members", "settings", "effective")
"""What `show` prints, and nobody sets here: settings are defaults (`clarion preferences defaults`)."""

documents.add(
    program,
    documents.Noun(
        path="topics",
        one="topic",
        columns={
            "key": lambda one: one["key"],
            "name": lambda one: one["name"] or "",
            "members": lambda one: one["members"],
        },
        example="readers",
        change="name='All readers'",
        writable=lambda shown: {name: value for name, value in shown.items() if name not in _OF_SERVER},
    ),
)


@program.command()
@connected
def subscribers(key: documents.Key, limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List who is subscribed to a topic.

    \b
    Example:
      clarion topics subscribers readers
    """
    group.tell(connect(), _at(key), limit, json=json)


@program.command()
@connected
def subscribe(key: documents.Key, users: Users, *, connect: Connect, json: Json = False) -> None:
    """Subscribe users to a topic.

    \b
    Example:
      clarion topics subscribe readers ada juergen
    """
    group.add(connect(), _at(key), users, f"subscribed to {key}", json=json)


@program.command()
@connected
def unsubscribe(key: documents.Key, users: Users, *, connect: Connect) -> None:
    """End the subscriptions of users to a topic.

    \b
    Example:
      clarion topics unsubscribe readers ada
    """
    group.remove(connect(), _at(key), users, f"unsubscribed from {key}")


def _at(key: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/topics/{segment(key)}/subscriptions"
