"""Commands that every noun with documents has: list, show, create, set, update, edit, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import typer

from clarion.cli.assignments import assigned
from clarion.cli.document_file import json_object, read
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, IfMatch, Json, connected

Column = Callable[[Mapping[str, Any]], object]

Key = Annotated[str, typer.Argument(metavar="KEY", help="Names the document.")]
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="JSON, or TOML when it ends in .toml; - reads JSON from standard input."
    ),
]
OptionalFile = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="As for `set`; fields of --set go before it.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A field and its new value, NAME=VALUE. VALUE may be JSON; null restores the default.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class Noun(NamedTuple):
    """One kind of document, as the API calls it."""

    path: str
    """Plural, as in the URL and on the command line."""
    one: str
    columns: Mapping[str, Column]
    """Of the table that `list` prints."""
    example: str
    """A key for examples."""
    change: str
    """A change for examples, NAME=VALUE."""
    destroys: str = ""
    """What deleting one takes along for good; a person is asked before."""
    writable: Callable[[dict[str, Any]], dict[str, Any]] = dict
    """What `show` prints, without what only the server can say: so it can be stored again."""
    key_parts: int = 1
    """How many names make a key, with `/` between them."""

    def at(self, key: str) -> str:
        """The path of one."""
        from clarion.cli.client import segment

        names = key.split("/", self.key_parts - 1)
        if len(names) < self.key_parts:
            raise typer.BadParameter(f"write the KEY of one like {self.example}, not {key!r}")
        return "/".join(["/v1", self.path, *map(segment, names)])


def add(program: typer.Typer, noun: Noun) -> None:
    """Give `program` the commands of one noun."""
    commands = DocumentCommands(noun)
    file = f"{noun.example} {noun.one}.json"
    named = f"{noun.example} --set {noun.change}"
    for verb, command, said, examples in (
        ("list", commands.list, f"List {noun.path}.", ["", "--json"]),
        ("show", commands.show, f"Show a {noun.one} as JSON.", [noun.example]),
        ("create", commands.create, f"Create a {noun.one}; refused when it exists.", [file, named]),
        ("set", commands.set, f"Create a {noun.one}, or replace it.", [file, f"{noun.example} - < new.json"]),
        ("update", commands.update, "Change single fields.", [named]),
        ("edit", commands.edit, f"Open a {noun.one} in $EDITOR; store what you saved.", [noun.example]),
        ("delete", commands.delete, f"Delete a {noun.one}.", [noun.example]),
    ):
        if verb == "list" and noun.key_parts > 1:
            continue  # What to list is named by the first part.
        lines = [f"  clarion {noun.path} {verb} {one}".rstrip() for one in examples]
        text = "\n".join([f"{said}\n\n\b", "Examples:" if len(lines) > 1 else "Example:", *lines])
        program.command(verb, help=text)(connected(command))


class DocumentCommands:
    """What the commands of one noun do."""

    def __init__(self, noun: Noun) -> None:
        self._noun = noun

    def list(self, limit: Limit = 20, *, connect: Connect, json: Json = False) -> None:
        """All of them."""
        from clarion.cli import output

        columns = self._noun.columns
        found = [*connect().pages(f"/v1/{self._noun.path}", limit)]
        if json:
            output.as_json(found)
        else:
            output.table([*columns], ([cell(one) for cell in columns.values()] for one in found))

    def show(self, key: Key, *, connect: Connect) -> None:
        """One of them."""
        from clarion.cli import output

        output.as_json(connect().get(self._noun.at(key)))

    def create(
        self,
        key: Key,
        file: OptionalFile = None,
        changes: Changes = None,
        *,
        connect: Connect,
        json: Json = False,
    ) -> None:
        """A new one."""
        body = (self._noun.writable(read(file)) if file else {}) | assigned(changes or ())
        answer = connect().call("PUT", self._noun.at(key), body, {"if-none-match": "*"})
        report(answer, f"{key} is created.", json=json)

    def set(
        self, key: Key, file: File, if_match: IfMatch = None, *, connect: Connect, json: Json = False
    ) -> None:
        """The whole document anew."""
        from clarion.cli.client import matching

        answer = connect().call(
            "PUT", self._noun.at(key), self._noun.writable(read(file)), matching(if_match)
        )
        report(answer, f"{key} is stored.", json=json)

    def update(
        self,
        key: Key,
        changes: Changes = None,
        if_match: IfMatch = None,
        *,
        connect: Connect,
        json: Json = False,
    ) -> None:
        """Some fields."""
        from clarion.cli.client import matching

        if not changes:
            raise typer.BadParameter("give at least one change with --set NAME=VALUE")
        answer = connect().call("PATCH", self._noun.at(key), assigned(changes), matching(if_match))
        report(answer, f"{key} is changed.", json=json)

    def edit(self, key: Key, *, connect: Connect, json: Json = False) -> None:
        """What a person makes of it."""
        from clarion.cli.client import matching

        client = connect()
        document, etag = client.tagged(self._noun.at(key))
        changes = patch(document, edited(document, key))
        if not changes:
            report(document, "Nothing was changed.", json=json)
        else:
            answer = client.call("PATCH", self._noun.at(key), changes, matching(etag))
            report(answer, f"{key} is changed.", json=json)

    def delete(self, key: Key, yes: Yes = False, if_match: IfMatch = None, *, connect: Connect) -> None:
        """One of them, for good."""
        from clarion.cli.client import matching

        if self._noun.destroys and not yes:
            typer.confirm(f"Delete {key} and {self._noun.destroys}? This cannot be undone.", abort=True)
        connect().call("DELETE", self._noun.at(key), None, matching(if_match))
        report({}, f"{key} is deleted.", json=False)


def edited(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The document as a person left it in their editor."""
    import click
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    after = click.edit(text, extension=".json")
    return document if after is None else json_object(after, name)


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) that makes `after` of `before`; empty when they are equal."""
    changes: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := patch(old, value):
                changes[name] = inner
        elif name not in before or value != old:
            changes[name] = value
    return changes


def report(answer: Any, sentence: str, *, json: bool) -> None:
    """Say what became of a change: a sentence for people, the answer for scripts."""
    from clarion.cli import output

    if json:
        output.as_json(answer)
    else:
        output.out().print(sentence, markup=False)
