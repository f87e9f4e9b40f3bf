"""Lines of files with users: what each says, as in `PUT /v1/users/{user_id}`, with topics and consents besides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from clarion.model.audience import Attribute, AttributeType
from clarion.model.channel import Channel
from clarion.model.operation import UserFileFormat
from clarion.rules.csv_rows import DELIMITERS, CsvRow, Header, header_of, rows_of
from clarion.rules.match import closest
from clarion.rules.text_lines import TextLine

PLAIN = ("user_id", "email", "phone", "locale", "timezone")
WHOLE = ("attributes", "contacts", "topics", "consents")
"""Columns with JSON; `topics` also as names with spaces between them."""
ABOUT_CONSENTS = ("consent_at", "consent_source", "consent_text_version", "consent_proof")
SAID_BY_THE_SERVER = ("created_at", "updated_at")
"""Left out: what an export says, and nobody can set."""
ATTRIBUTE, CONTACT, CONSENT = "attributes.", "contacts.", "consents."
EVERY_PURPOSE = "*"
LONGEST_NAME = 200
_SEPARATED = re.compile(r"[\s;|]+")
_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class UserLine(NamedTuple):
    """A line, or several that belong together: what it says, or what is wrong."""

    number: int
    last: int
    raw: str
    document: Mapping[str, Any] | None
    problem: str = ""


class WrongHeader(ValueError):
    """The first line of a CSV file does not name columns that can be read."""


def csv_header(
    lines: Iterator[TextLine], delimiter: str, columns: Mapping[str, str]
) -> tuple[Header, tuple[str, ...]]:
    """The header, and the field that each column is (empty: it is left out). `columns`: the fields of columns with other names.
    Raises WrongHeader."""
    try:
        header = header_of(lines, lambda name: _is_field(columns.get(name, name)), delimiter or DELIMITERS)
    except ValueError as wrong:
        raise WrongHeader(str(wrong)) from None
    fields = tuple(columns.get(name, name) for name in header.names)
    if problems := [*_wrong_names(header.names, fields, columns)]:
        raise WrongHeader("; ".join(problems))
    return header, tuple("" if name in SAID_BY_THE_SERVER else name for name in fields)


def user_lines(
    format_: UserFileFormat, lines: Iterator[TextLine], header: Header, fields: Sequence[str]
) -> Iterator[UserLine]:
    """All lines but blank ones. `header` and `fields` are those of a CSV file."""
    if format_ is UserFileFormat.NDJSON:
        return _ndjson(lines)
    return (
        _row(fields, row, header.names)
        for row in rows_of(lines, header, lambda cells: _looks_like_user(fields, cells))
    )


def typed(document: Mapping[str, Any], attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """A document of a CSV row, its texts made what the tenant says of attributes; those that cannot be stay texts."""
    given = document.get("attributes")
    if not isinstance(given, dict):
        return dict(document)
    made = {
        name: _typed(value, attributes[name].type) if name in attributes and isinstance(value, str) else value
        for name, value in given.items()
    }
    return {**document, "attributes": made}


def _typed(text: str, type_: AttributeType) -> Any:
    if type_ is AttributeType.NUMBER:
        try:
            number = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
        except ValueError:
            return text
        return int(number) if number.is_integer() else number
    if type_ is AttributeType.BOOLEAN:
        said = text.strip().lower()
        return said in _YES if said in _YES | _NO else text
    if type_ is AttributeType.STRINGS:
        return [one.strip() for one in text.split(";") if one.strip()]
    return text


def _ndjson(lines: Iterator[TextLine]) -> Iterator[UserLine]:
    for line in lines:
        text = line.text.rstrip("\r\n")
        if line.problem:
            yield UserLine(line.number, line.number, text, None, line.problem)
        elif text.strip():
            try:
                document = msgspec.json.decode(text, type=dict[str, Any])
                yield UserLine(line.number, line.number, text, document)
            except (msgspec.MsgspecError, RecursionError) as wrong:
                hint = " (one user a line, not a list of them)" if text.lstrip().startswith("[") else ""
                yield UserLine(line.number, line.number, text, None, f"not a JSON object: {wrong}{hint}")


def _row(fields: Sequence[str], row: CsvRow, names: Sequence[str]) -> UserLine:
    if row.problem:
        return UserLine(row.number, row.last, row.raw, None, row.problem)
    if row.values == names:
        return UserLine(row.number, row.last, row.raw, None, "repeats the line of column names")
    try:
        document = _document([(name, value) for name, value in zip(fields, row.values, strict=True) if name])
    except ValueError as wrong:
        return UserLine(row.number, row.last, row.raw, None, str(wrong))
    return UserLine(row.number, row.last, row.raw, document)


def _document(cells: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What a row says. ValueError for JSON that is none."""
    row = dict(cells)
    user: dict[str, Any] = {name: row[name].strip() for name in PLAIN if row.get(name, "").strip()}
    for name in WHOLE:
        if text := row.get(name, "").strip():
            user[name] = _list(text) if name == "topics" else _json(name, text)
    attributes = {
        name.removeprefix(ATTRIBUTE): value for name, value in cells if name.startswith(ATTRIBUTE) and value
    }
    contacts = [
        {"channel": name.removeprefix(CONTACT), "address": value.strip()}
        for name, value in cells
        if name.startswith(CONTACT) and value.strip()
    ]
    consents = [
        {**_statement(name.removeprefix(CONSENT)), "action": value.strip().lower(), **_about(row)}
        for name, value in cells
        if name.startswith(CONSENT) and value.strip()
    ]
    for name, found in (("contacts", contacts), ("consents", consents)):
        if found:
            user[name] = [*user.get(name, ()), *found]
    if attributes:
        user["attributes"] = {**user.get("attributes", {}), **attributes}
    return user


def _statement(name: str) -> dict[str, str]:
    """`newsletter.email`: purpose and channel; `*`: every purpose."""
    purpose, _, channel = name.rpartition(".")
    if not purpose or channel not in {one.value for one in Channel}:
        purpose, channel = name, ""
    said = {} if purpose == EVERY_PURPOSE else {"purpose": purpose}
    return said | ({"channel": channel} if channel else {})


def _about(row: Mapping[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        name.removeprefix("consent_"): row[name].strip()
        for name in ABOUT_CONSENTS
        if row.get(name, "").strip()
    }
    if (proof := said.get("proof")) is not None:
        said["proof"] = _json("consent_proof", proof) if proof.startswith("{") else {"text": proof}
    return said


def _json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError(f"the column {name} holds no JSON") from None


def _list(text: str) -> Any:
    return _json("topics", text) if text.startswith("[") else [one for one in _SEPARATED.split(text) if one]


def _is_field(name: str) -> bool:
    plain = name in (*PLAIN, *WHOLE, *ABOUT_CONSENTS, *SAID_BY_THE_SERVER)
    return plain or any(name.startswith(one) and name != one for one in (ATTRIBUTE, CONTACT, CONSENT))


def _wrong_names(names: Sequence[str], fields: Sequence[str], columns: Mapping[str, str]) -> Iterator[str]:
    for name in columns:
        if name not in names:
            yield f"there is no column {name!r}" + _near(name, names)
    for place, (name, field) in enumerate(zip(names, fields, strict=True), 1):
        if not name:
            yield f"column {place} has no name"
        elif field and field in fields[: place - 1]:
            yield f"column {field!r} is there twice"
        elif field and not _is_field(field):
            near = closest(re.sub(r"\W+", "_", field.lower()), (*PLAIN, *WHOLE))
            hint = (
                f"did you mean {near}?" if near else f"use {ATTRIBUTE}{field[:LONGEST_NAME]} for an attribute"
            )
            yield f"column {field[:LONGEST_NAME]!r} is not known; {hint}"
        elif field.startswith(CONTACT) and field.removeprefix(CONTACT) not in {one.value for one in Channel}:
            known = [one.value for one in Channel]
            yield f"column {field[:LONGEST_NAME]!r} names no channel" + _near(
                field.removeprefix(CONTACT), known
            )
    if "user_id" not in fields:
        yield "the first line must name the columns, user_id among them"


def _near(name: str, known: Sequence[str]) -> str:
    near = closest(name, known)
    return f"; did you mean {near}?" if near else ""


_SHAPES = {
    "user_id": re.compile(r"\S+"),
    "email": re.compile(r"(?:\S+@\S+)?"),
    "phone": re.compile(r"[+\d() ./-]*"),
    "locale": re.compile(r"[\w.@-]{0,40}"),
    "timezone": re.compile(r"[\w+/-]{0,60}"),
}
_PROSE = re.compile(r"(?![ \t]).*")
"""People write a space behind a comma, programs do not."""


def _looks_like_user(fields: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether the values of a line could be those of a user."""
    return all(
        _SHAPES.get(name, _PROSE).fullmatch(cell) is not None
        for name, cell in zip(fields, cells, strict=True)
    )
