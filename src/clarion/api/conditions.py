"""`ETag`, `If-Match` and `If-None-Match`: a change is made only to what its caller has seen.

A route that reads or writes one resource says so with `one("user")` in its `opt`; everything else follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from clarion.api.problems import Fault, RejectedRequest
from clarion.flow.ledger import Ledger
from clarion.model.conditions import Conditions
from clarion.ports.terms import Subject, Terms

IF_MATCH, IF_NONE_MATCH = b"if-match", b"if-none-match"
STATE = "clarion.state"
"""Where the scope of a request keeps its `State`."""

_TAG = re.compile(r'\s*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')


def one(kind: str, parameter: str = "key") -> dict[str, Any]:
    """The route reads or writes one resource, which this path parameter names."""
    return {"one": (kind, parameter)}


RECORD: dict[str, Any] = {"one": None}
"""The route reads one resource that nobody writes over HTTP: its ETag follows from the answer."""
ADDS: dict[str, Any] = {"one": None}
"""The route adds something new below the resource, and leaves what is there as it is."""


class ResourceState:
    """Which tag the answer to a request carries."""

    def __init__(self, ledger: Ledger, subject: Subject | None, asked: Terms | None = None) -> None:
        """Of a read; or of a write on the terms `asked`."""
        self._ledger = ledger
        self._subject = subject
        self._asked = asked
        self._read: str | None = None

    async def read(self) -> None:
        """Note what is there now. Call it before anything is read, and before it is read once more."""
        if self._subject is not None:
            self._read = await self._ledger.tag(self._subject)

    async def header(self, body: bytes) -> bytes | None:
        """The ETag of a successful answer; None when the resource is gone, or nothing was really done."""
        asked = self._asked
        tag: str | None
        if self._subject is None:
            tag = "b" + blake2b(body, digest_size=8).hexdigest()
        elif asked is None:
            tag = self._read
        elif asked.dry:
            tag = None
        else:
            tag = asked.tag if asked.wrote else await self._ledger.tag(self._subject)
        return None if tag is None else f'"{tag}"'.encode()


def conditions_of(headers: Sequence[tuple[bytes, bytes]]) -> Conditions:
    """The conditions among the headers of a request. Refuses what is no list of entity tags."""
    return Conditions(_tags(headers, IF_MATCH), _tags(headers, IF_NONE_MATCH))


def meaningless(conditions: Conditions) -> RejectedRequest:
    """This call is not about one resource."""
    name = "If-Match" if conditions.match is not None else "If-None-Match"
    detail = f"{name} has no meaning here: this call is not about one resource. Leave it out."
    return _wrong_header(name, detail, ", ".join(conditions.match or conditions.none_match or ()))


def _tags(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> tuple[str, ...] | None:
    lines = [value for header, value in headers if header == name]
    if not lines:
        return None
    text = ", ".join(line.decode("latin-1") for line in lines).strip()
    if text == "*":
        return ("*",)
    tags, place = [], 0
    while place < len(text):
        found = _TAG.match(text, place)
        if found is None:
            break
        tags.append(found.group(1))
        place = found.end()
    if not tags or place < len(text) or text.endswith(","):
        shown = name.decode().title()
        raise _wrong_header(
            shown, f'{shown} takes `*` or ETags as you got them, quotes included, like "v7".', text
        )
    return tuple(tags)


def _wrong_header(name: str, detail: str, value: str) -> RejectedRequest:
    return RejectedRequest(detail, [Fault(detail=detail, header=name, value=value[:100])])
