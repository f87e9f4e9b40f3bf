"""The conditions a request sets for a resource, such as If-Match (RFC 9110, section 13)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clarion.errors import PreconditionFailed


class Conditions(msgspec.Struct, frozen=True):
    """What a request demands of the resource before anything happens to it."""

    match: tuple[str, ...] | None = None
    """Tags of which it must have one; `*`: any."""
    none_match: tuple[str, ...] | None = None
    """Tags of which it must have none; `*`: it must not exist."""

    def __bool__(self) -> bool:
        return self.match is not None or self.none_match is not None

    def require(self, tag: str | None) -> None:
        """Raises PreconditionFailed unless a resource with this tag (None: no resource) will do."""
        shown = None if tag is None else f'"{tag}"'
        if self.match is not None and (shown is None or not {"*", shown} & {*self.match}):
            if shown is None:
                raise _failed("If-Match", "There is no such resource.", self.match, tag)
            raise _failed("If-Match", f"It was changed meanwhile: its ETag is now {shown}.", self.match, tag)
        if self.none_match is not None and shown is not None and {"*", shown} & {*self.none_match}:
            raise _failed("If-None-Match", f"It exists: its ETag is {shown}.", self.none_match, tag)

    def require_existing(self, tag: str | None) -> None:
        """The same, but no resource will always do."""
        if tag is not None:
            self.require(tag)


def _failed(header: str, detail: str, sent: Sequence[str], current: str | None) -> PreconditionFailed:
    advice = "Read it again, then decide what to keep." if current else "Leave the header out to create it."
    return PreconditionFailed(f"{detail} {advice}", current=current, header=header, sent=", ".join(sent))
