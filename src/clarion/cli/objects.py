"""`clarion objects`: teams, chat rooms and rotas that events go to."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli import documents
from clarion.cli import subscribers as group
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected
from clarion.cli.subscribers import Users

program = typer.Typer(no_args_is_help=True, help="Manage teams, rooms and rotas that events go to.")

_OF_SERVER = ("type", "object_id", "members")
"""What `show` prints, and nobody sets here."""
_NOUN = documents.Noun(
    path="objects",
    one="object",
    columns={
        "object": lambda one: f"{one['type']}/{one['object_id']}",
        "name": lambda one: one["name"] or "",
        "members": lambda one: one["members"],
        "rota": lambda one: "yes" if one["rota"] else "",
    },
    example="team/payments",
    change="name=Payments",
    key_parts=2,
    destroys="its own channels",
    writable=lambda shown: {name: value for name, value in shown.items() if name not in _OF_SERVER},
)
documents.add(program, _NOUN)


@program.command("list")
@connected
def list_(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="Such as team.")],
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List objects of a type.

    \b
    Example:
      clarion objects list team
    """
    from clarion.cli.client import segment

    of_type = _NOUN._replace(path=f"{_NOUN.path}/{segment(type_)}")
    documents.DocumentCommands(of_type).list(limit, connect=connect, json=json)


@program.command("on-duty")
@connected
def on_duty(key: documents.Key, *, connect: Connect, json: Json = False) -> None:
    """Show who is on duty by the rota of an object.

    \b
    Example:
      clarion objects on-duty rota/payments
    """
    found = connect().get(f"{_NOUN.at(key)}/on-duty")
    documents.report(found, f"{found['user_id']} is on duty until {found['until']}.", json=json)


@program.command()
@connected
def members(key: documents.Key, limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
    """List the members of an object.

    \b
    Example:
      clarion objects members team/payments
    """
    group.tell(connect(), _members(key), limit, json=json)


@program.command()
@connected
def add(key: documents.Key, users: Users, *, connect: Connect, json: Json = False) -> None:
    """Make users members of an object.

    \b
    Example:
      clarion objects add team/payments ada juergen
    """
    group.add(connect(), _members(key), users, f"added to {key}", json=json)


@program.command()
@connected
def remove(key: documents.Key, users: Users, *, connect: Connect) -> None:
    """Remove members of an object; they stay users.

    \b
    Example:
      clarion objects remove team/payments ada
    """
    group.remove(connect(), _members(key), users, f"removed from {key}")


def named(key: str) -> dict[str, str]:
    """How bodies name the object that a person wrote as TYPE/ID."""
    kind, divided, own_id = key.partition("/")
    if not divided:
        raise typer.BadParameter(f"write an object like {_NOUN.example}, not {key!r}")
    return {"type": kind, "id": own_id}


def _members(key: str) -> str:
    return f"{_NOUN.at(key)}/members"
