"""Documents of a tenant's configuration, as pages edit them: checked and stored as their routes in the API do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from clarion.model.ids import TenantId
from clarion.model.user import Value


class LiveDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it stands in a file."""

    written: Mapping[str, Any]
    tag: str
    """Names this state of it, as its `ETag` does."""


class DocumentFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a document."""

    detail: str
    pointer: str
    """The place in the document, a JSON pointer such as `/steps/0/template`; empty: the whole."""
    unknown_field: bool = False
    """The name of the field is wrong, not its value."""


class CheckedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What publishing a document would do."""

    faults: Sequence[DocumentFault]
    document: Value | None
    """As the route takes it; None: it cannot be read."""
    written: Mapping[str, Any]
    """As it would stand in a file when it was exported."""
    changes: bool
    waiting_runs: Mapping[str, int] = {}
    """Of a workflow: runs that wait in it now, by the version they keep."""


class Configuration(Protocol):
    """The configuration of tenants, document by document. `kind` is the name of its folder, such as `workflows`."""

    def schema(self, kind: str) -> Mapping[str, Any]:
        """The JSON Schema of its files."""

    async def live(
        self, tenant: TenantId, kind: str, key: str, version: int | None = None
    ) -> LiveDocument | None:
        """The live document, or an exact version of a workflow. None: there is none."""

    async def keys(self, tenant: TenantId, kind: str) -> Sequence[str]:
        """Of all live documents, in order."""

    async def check(
        self, tenant: TenantId, kind: str, key: str, written: Mapping[str, Any]
    ) -> CheckedDocument:
        """Everything that is wrong with a document, as storing it would say. Nothing is stored."""

    async def publish(
        self, tenant: TenantId, kind: str, key: str, written: Mapping[str, Any], tag: str | None
    ) -> None:
        """Store it in place of the state that `tag` names (None: there was none). Raises PreconditionFailed when there is
        another one by now, and what the route raises."""
