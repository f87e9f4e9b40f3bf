"""Everything that is wrong with a value, at once: the parser stops at the first, a person wants to know all.

Only what was refused comes here, so that what is right stays fast.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import Enum
from itertools import takewhile
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from clarion.api.problems import MOST, Fault

T = TypeVar("T")
QUOTED = 100
"""Characters of a value that are told back."""

KINDS: dict[str, str] = {
    "unknown_field": "The object has no field of this name; `did_you_mean` is the nearest one.",
    "unknown_parameter": "The path takes no query parameter of this name; `allowed` lists those it takes.",
    "repeated": "The parameter, header or key is given more than once, so it is unclear which value counts.",
    "missing": "A required field, parameter or header is missing.",
    "wrong_type": "The value has another JSON type than expected.",
    "not_allowed": "The value is none of those in `allowed`.",
    "out_of_range": "The value is too small, too large, too short or too long.",
    "wrong_format": "The text does not have the expected format.",
    "unknown_reference": "Nothing of this name exists; `did_you_mean` is the nearest name.",
    "precondition_failed": "The header demands another state than the current one.",
}
"""What `code` of a fault may say. A fault without a code is explained by its `detail` alone."""

OTHER_NAMES = {
    "payload": "data",
    "to": "recipients",
    "recipient": "recipients",
    "transactionId": "Idempotency-Key (a header)",
    "idempotency_key": "Idempotency-Key (a header)",
    "subscriberId": "user_id",
    "subscriber_id": "user_id",
    "distinct_id": "user_id",
    "external_id": "user_id",
    "id": "user_id",
    "topicKey": "topic",
    "topic_key": "topic",
    "userId": "user_id",
    "phone_number": "phone",
    "time_zone": "timezone",
    "priority": "lane",
    "workflow_key": "workflow",
    "expiry": "expires_at",
    "channel_data": "overrides",
    "rungs": "channels",
}
"""What other systems call our fields."""

_SECRET = re.compile(
    r"secret|password|token|credential|private|api_?key|signature|authorization", re.IGNORECASE
)


def faults(value: Any, kind: Any, *, quote: bool = True) -> list[Fault]:
    """What keeps a decoded JSON value from being a `kind`, at most `MOST`. Without `quote`, or of a
    `CONFIDENTIAL` kind, no value is told back."""
    search = _Search(quote and not getattr(kind, "CONFIDENTIAL", False))
    search.look(value, kind, ())
    return search.found


def pointer(steps: Iterator[str] | tuple[str, ...] | list[str]) -> str:
    """`["recipients", "0"]` -> `#/recipients/0`."""
    return "#" + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def nearest(name: str, valid: list[str]) -> str:
    """The valid name that was probably meant, or nothing."""
    if (other := OTHER_NAMES.get(name)) is not None and (other in valid or " " in other):
        return other
    close = get_close_matches(name, valid, n=1, cutoff=0.6) or get_close_matches(
        name.lower(), valid, n=1, cutoff=0.6
    )
    return close[0] if close else ""


def allowed_values(kind: Any) -> list[Any]:
    """What an enumeration lists; empty for everything else."""
    values: list[Any] = []
    for option in options(kind):
        if isinstance(option, type) and issubclass(option, Enum):
            values += [member.value for member in option]
        elif get_origin(option) is Literal:
            values += get_args(option)
    return values


def options(kind: Any) -> Iterator[Any]:
    """The types of a union, without what they are annotated with."""
    if hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    origin = get_origin(kind)
    if origin is Annotated:
        yield from options(get_args(kind)[0])
    elif origin in (Union, types.UnionType):
        for one in get_args(kind):
            yield from options(one)
    else:
        yield kind


def hint(name: str, valid: list[str]) -> str:
    """` ; did you mean ...?`, or else what is valid."""
    if near := nearest(name, valid):
        return f"; did you mean `{near}`?" if " " not in near else f"; did you mean {near}?"
    return "; valid here: " + ", ".join(f"`{v}`" for v in valid) + "." if valid else "."


def told(value: Any, steps: tuple[str, ...] = ()) -> Any:
    """A value as it may be quoted: simple, short, and no secret."""
    if any(map(_SECRET.search, steps)) or isinstance(value, dict | list):
        return None
    return value if not isinstance(value, str) or len(value) <= QUOTED else f"{value[: QUOTED - 1]}…"


def kind_of(text: str) -> str:
    """The code for a sentence of the parser."""
    for beginning, code in (
        ("Object missing", "missing"),
        ("Invalid enum", "not_allowed"),
        ("Invalid value", "not_allowed"),
        ("Invalid", "wrong_format"),
    ):
        if text.startswith(beginning):
            return code
    if " matching regex " in text:
        return "wrong_format"
    return "wrong_type" if ", got `" in text else "out_of_range"


class _Search:
    def __init__(self, quote: bool) -> None:
        self.found: list[Fault] = []
        self._quote = quote

    def look(self, value: Any, kind: Any, steps: tuple[str, ...]) -> None:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            text = str(error).partition(" - at `")[0]
        except RecursionError:
            text = "The value is nested far too deeply"
        else:
            return
        if self._full or msgspec.Raw in options(kind):
            return
        before = len(self.found)
        self._inside(value, kind, steps)
        if len(self.found) == before and "`raw`" not in text:
            self._add(text, value, kind, steps)

    def _inside(self, value: Any, kind: Any, steps: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            structs = [
                one for one in options(kind) if isinstance(one, type) and issubclass(one, msgspec.Struct)
            ]
            chosen = _by_tag(value, structs)
            if chosen is not None:
                self._fields(value, chosen, steps)
            elif structs:
                self._tag(value, structs, steps)
            else:
                self._entries(value, kind, steps)
        elif isinstance(value, list):
            self._items(value, kind, steps)

    def _fields(self, value: Mapping[str, Any], struct: type[msgspec.Struct], steps: tuple[str, ...]) -> None:
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        config = struct.__struct_config__
        for name in self._until_full(value):
            if name not in fields and name != config.tag_field and config.forbid_unknown_fields:
                self._unknown(name, list(fields), steps)
        for name, field in fields.items():
            if name in value:
                self.look(value[name], field.type, (*steps, name))
            elif field.required:
                self._keep(
                    Fault(
                        detail=f"Object missing required field `{name}`{_example([struct])}.",
                        code="missing",
                        pointer=pointer(steps),
                    )
                )

    def _tag(
        self, value: Mapping[str, Any], structs: list[type[msgspec.Struct]], steps: tuple[str, ...]
    ) -> None:
        """None of several objects is meant: the field that tells them apart is wrong."""
        name = structs[0].__struct_config__.tag_field
        tags = Literal[tuple(one.__struct_config__.tag for one in structs)]  # type: ignore[valid-type]
        if name is not None and name in value:
            self._add(f"Invalid value {value[name]!r}", value[name], tags, (*steps, name))
        elif name is not None:
            text = f"Object missing required field `{name}`{_example(structs)}"
            self._add(text, value, tags, steps)

    def _entries(self, value: Mapping[str, Any], kind: Any, steps: tuple[str, ...]) -> None:
        for option in options(kind):
            if get_origin(option) in (dict, Mapping):
                key_kind, value_kind = get_args(option)
                for name, inner in self._until_full(value.items()):
                    self.look(name, key_kind, (*steps, name))
                    self.look(inner, value_kind, (*steps, name))

    def _items(self, value: list[Any], kind: Any, steps: tuple[str, ...]) -> None:
        for option in options(kind):
            if get_origin(option) in (list, tuple, set, frozenset):
                for index, inner in self._until_full(enumerate(value)):
                    self.look(inner, get_args(option)[0], (*steps, str(index)))

    def _unknown(self, name: str, valid: list[str], steps: tuple[str, ...]) -> None:
        near = nearest(name, valid)
        self._keep(
            Fault(
                detail=f"unknown field `{name}`{hint(name, valid)}",
                code="unknown_field",
                pointer=pointer((*steps, name)),
                allowed=tuple(valid),
                did_you_mean=near,
            )
        )

    def _add(self, text: str, value: Any, kind: Any, steps: tuple[str, ...]) -> None:
        code, allowed = kind_of(text), allowed_values(kind)
        if code == "wrong_type":
            text += _example(options(kind))
        if allowed and code == "wrong_type" and isinstance(value, str):
            code = "not_allowed"
        words = [str(one) for one in allowed] if code in ("not_allowed", "missing") else []
        if code == "wrong_format" and (right := _described(kind)):
            text = f"expected {right}"  # A pattern is for programs.
        if words:
            near = nearest(value, words) if isinstance(value, str) else ""
            text += f"; valid here: {', '.join(f'`{word}`' for word in words)}"
            text += f"; did you mean `{near}`?" if near else "."
        else:
            near, text = "", f"{text}."
        self._keep(
            Fault(
                detail=text,
                code=code,
                pointer=pointer(steps),
                value=told(value, steps) if self._quote else None,
                allowed=tuple(allowed),
                did_you_mean=near,
            )
        )

    def _keep(self, fault: Fault) -> None:
        if not self._full:
            self.found.append(fault)

    @property
    def _full(self) -> bool:
        return len(self.found) >= MOST

    def _until_full(self, parts: Iterable[T]) -> Iterator[T]:
        """A body can hold a hundred thousand wrong ones: to find a name for each would keep everybody waiting."""
        return takewhile(lambda _: not self._full, parts)


def _by_tag(value: Mapping[str, Any], structs: list[type[msgspec.Struct]]) -> type[msgspec.Struct] | None:
    """The one of several objects that is meant."""
    if len(structs) == 1:
        return structs[0]
    for struct in structs:
        config = struct.__struct_config__
        if config.tag_field is not None and value.get(config.tag_field) == config.tag:
            return struct
    return None


def _example(kinds: Iterable[Any]) -> str:
    """What a right one looks like, where a type shows one."""
    shown = next(filter(None, (getattr(kind, "EXAMPLE", "") for kind in kinds)), "")
    return f", as in {shown}" if shown else ""


def _described(kind: Any) -> str:
    """What the type itself says would be right."""
    if hasattr(kind, "__supertype__"):
        return _described(kind.__supertype__)
    if get_origin(kind) is Annotated:
        for one in get_args(kind)[1:]:
            if isinstance(one, msgspec.Meta):
                return str((one.extra_json_schema or {}).get("description", one.description or ""))
    within = get_args(kind) if get_origin(kind) in (Annotated, Union, types.UnionType) else ()
    return next(filter(None, map(_described, within)), "")
