"""The data a template or a workflow needs, as JSON Schema 2020-12: checked when it is published, held against every event.

A schema comes from a tenant and works on every event, so it may neither fetch anything nor take long. It refers only
to itself, never in a circle; how often it looks at one value is counted beforehand; patterns run in linear time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_BYTES = 65_536
MAX_LOOKS = 1_000
"""Subschemas with those they refer to written out: so many may look at one value."""
MAX_REFERENCES = 32
"""References one behind another."""
MAX_WORK = 100_000_000
"""Looks times bytes of data: about half a second at the very worst."""
LIST_WORK = 100_000
"""Up to here all mismatches are listed, above only the first: each takes memory."""
LISTED = 20
DETAIL_CHARS = 300
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)
_DATA = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords that hold values, not schemas."""
_FOREIGN = ("$dynamicRef", "$recursiveRef")


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, in a schema or in data. Never quotes a value of the data."""

    pointer: str
    """JSON pointer into what was looked at, without `#`."""
    detail: str


class SchemaRefused(Exception):
    """This cannot serve as a schema."""

    def __init__(self, *mismatches: Mismatch) -> None:
        super().__init__(mismatches[0].detail)
        self.mismatches = mismatches


class Schema:
    """A compiled schema. Callable from any thread."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Raises SchemaRefused with everything that is wrong with it."""
        self._looks = _looks(document)
        if wrong := [_mismatch(error) for error in islice(_rules().iter_errors(document), LISTED)]:
            raise SchemaRefused(*wrong)
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                document, offline=True, mask="it", validate_formats=True, pattern_options=_PATTERNS
            )
        except jsonschema_rs.ValidationError as error:
            raise SchemaRefused(_unusable(error)) from None

    def mismatches(self, data: Any, size: int) -> list[Mismatch]:
        """What in `data` (of `size` bytes) does not satisfy it, at most 20; empty when it does."""
        work = self._looks * size
        if work > MAX_WORK:
            detail = f"too large to be checked against its schema: at most {MAX_WORK // self._looks:,} bytes"
            return [Mismatch(pointer="", detail=detail)]
        if self._validator.is_valid(data):
            return []
        if work > LIST_WORK:
            return [self._first(data)]
        return [_mismatch(error) for error in islice(self._validator.iter_errors(data), LISTED)]

    def _first(self, data: Any) -> Mismatch:
        try:
            self._validator.validate(data)
        except jsonschema_rs.ValidationError as error:
            return _mismatch(error)
        raise AssertionError("valid and not valid")


def reviewed(
    document: dict[str, Any] | None, example: Mapping[str, Any]
) -> tuple[Sequence[Mismatch], Sequence[Mismatch]]:
    """What is wrong with a schema that is to be published, and with the example by it."""
    if document is None:
        return (), ()
    try:
        schema = Schema(document)
    except SchemaRefused as refused:
        return refused.mismatches, ()
    return (), schema.mismatches(example, len(msgspec.json.encode(example))) if example else ()


def pointer_of(path: list[str | int]) -> str:
    """`["a", 0]` -> `/a/0`."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _mismatch(error: jsonschema_rs.ValidationError) -> Mismatch:
    return Mismatch(pointer=pointer_of(error.instance_path), detail=error.message[:DETAIL_CHARS])


def _unusable(error: jsonschema_rs.ValidationError) -> Mismatch:
    """Valid as a schema, but not one that can be put to work."""
    if error.instance_path[-1:] == ["pattern"]:
        detail = (
            "no pattern that can be matched in linear time: no look-around, no back reference, not too long"
        )
        return Mismatch(pointer=pointer_of(error.instance_path), detail=detail)
    return _mismatch(error)


@cache
def _rules() -> jsonschema_rs.Draft202012Validator:
    """What every schema must satisfy."""
    return jsonschema_rs.Draft202012Validator({"$ref": DIALECT}, offline=True)


def _looks(document: Mapping[str, Any]) -> int:
    """How many subschemas may look at one value. Raises SchemaRefused where that cannot be told or is too many."""
    size = len(msgspec.json.encode(document))
    if size > MAX_BYTES:
        raise SchemaRefused(Mismatch(pointer="", detail=f"a schema may have at most {MAX_BYTES:,} bytes"))
    if document.get("$schema", DIALECT) != DIALECT:
        raise SchemaRefused(Mismatch(pointer="/$schema", detail=f"must be `{DIALECT}`, or be left out"))
    return _Census(document).of(document, "", ())


class _Census:
    """Counts subschemas, those behind references each time they are referred to."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._referred: dict[str, int] = {}

    def of(self, node: Any, pointer: str, above: tuple[str, ...]) -> int:
        """The subschemas in `node`; `above` are the references that led here."""
        if isinstance(node, list):
            return self._checked(
                sum(self.of(n, f"{pointer}/{i}", above) for i, n in enumerate(node)), pointer
            )
        if not isinstance(node, Mapping):
            return 0
        self._check_foreign(node, pointer)
        looks = 1 + sum(
            self.of(value, pointer + pointer_of([name]), above)
            for name, value in node.items()
            if name != "$defs" and (name not in _DATA or isinstance(value, Mapping))
        )
        if isinstance(node.get("$ref"), str):
            looks += self._behind(node["$ref"], f"{pointer}/$ref", above)
        if "unevaluatedProperties" in node or "unevaluatedItems" in node:
            looks *= 2  # it looks at everything beside it once more
        return self._checked(looks, pointer)

    def _behind(self, ref: str, place: str, above: tuple[str, ...]) -> int:
        if ref in above or ref == "#":
            raise SchemaRefused(
                Mismatch(
                    pointer=place, detail=f"`{ref}` refers to itself: write out as many levels as you need"
                )
            )
        if len(above) >= MAX_REFERENCES:
            detail = f"more than {MAX_REFERENCES} references one behind another"
            raise SchemaRefused(Mismatch(pointer=place, detail=detail))
        if ref not in self._referred:
            self._referred[ref] = self.of(self._target(ref, place), ref[1:], (*above, ref))
        return self._referred[ref]

    def _target(self, ref: str, place: str) -> Any:
        if not ref.startswith("#/"):
            raise SchemaRefused(
                Mismatch(pointer=place, detail="may only point into this schema, like `#/$defs/name`")
            )
        node: Any = self._document
        for step in ref[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            elif isinstance(node, Mapping) and name in node:
                node = node[name]
            else:
                raise SchemaRefused(Mismatch(pointer=place, detail=f"there is nothing at `{ref}`"))
        return node

    def _check_foreign(self, node: Mapping[str, Any], pointer: str) -> None:
        for name in _FOREIGN:
            if isinstance(node.get(name), str):
                raise SchemaRefused(
                    Mismatch(pointer=f"{pointer}/{name}", detail=f"`{name}` is not available: use `$ref`")
                )
        if pointer and isinstance(node.get("$id"), str):
            raise SchemaRefused(
                Mismatch(pointer=f"{pointer}/$id", detail="only the schema as a whole may have an `$id`")
            )

    def _checked(self, looks: int, pointer: str) -> int:
        if looks > MAX_LOOKS:
            detail = f"more than {MAX_LOOKS:,} subschemas, written out: make it simpler"
            raise SchemaRefused(Mismatch(pointer=pointer, detail=detail))
        return looks
