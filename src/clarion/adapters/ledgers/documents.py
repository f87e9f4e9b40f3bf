"""How the documents of tenants are stored, and what is compared before one is replaced: the same in every database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from clarion.errors import Conflict
from clarion.model.audience import Segment
from clarion.model.connection import Connection, Secret
from clarion.model.ids import TenantId
from clarion.model.setup import (
    Category,
    DocumentNow,
    Integration,
    Learned,
    Partial,
    SetupDelta,
    Template,
    TemplateDraft,
    Tenant,
    Workflow,
)
from clarion.model.sink import Sink
from clarion.model.source import Source
from clarion.model.whatsapp import WhatsAppTemplates
from clarion.ports.ledger.setup import Document
from clarion.ports.vault import Vault

D = TypeVar("D", bound=Document)

Row = tuple[str, TenantId, str, bytes | None]
"""Shelf, tenant, key, and the body that is live."""

SEGMENTS = "segment"
"""The shelf of segments."""
NO_VERSION = 2**62
"""Above every version."""

encode = msgspec.json.Encoder().encode
tenant_of = msgspec.json.Decoder(Tenant).decode


class DocumentKind(Generic[D]):
    """One kind of document. `versioned`: older versions are kept. `sealed`: holds credentials."""

    def __init__(
        self, name: str, type_: type[D], vault: Vault, *, versioned: bool = False, sealed: bool = False
    ) -> None:
        self.name = name
        self.versioned = versioned
        self._decoder = msgspec.json.Decoder(type_)
        self._vault = vault
        self._sealed = sealed

    def closed(self, tenant: TenantId, document: D) -> bytes:
        """As it is stored."""
        body = encode(document)
        return self._vault.seal(self._vault.tenant_key(tenant), body) if self._sealed else body

    def opened(self, tenant: TenantId, body: bytes) -> D:
        """As it was put."""
        return self._decoder.decode(
            self._vault.open(self._vault.tenant_key(tenant), body) if self._sealed else body
        )

    def now(self, rows: Iterable[Row]) -> tuple[DocumentNow[D], ...]:
        """What these rows say of this kind."""
        return tuple(
            DocumentNow(tenant, key, None if body is None else self.opened(tenant, body))
            for shelf, tenant, key, body in rows
            if shelf == self.name
        )

    def require(self, tenant: TenantId, key: str, live: Sequence[bytes], before: D | None) -> None:
        """Conflict unless exactly this is live, or nothing."""
        if [self.opened(tenant, body) for body in live] != ([] if before is None else [before]):
            raise self._changed(key)

    def require_versions(self, live: Iterable[tuple[str, int]], seen: Mapping[str, int]) -> None:
        """Conflict unless exactly these versions are live."""
        changed = sorted(key for key, _ in {*live} ^ {*seen.items()})
        if changed:
            raise self._changed(changed[0])

    def _changed(self, key: str) -> Conflict:
        return Conflict(f"the {self.name} {key!r} was changed meanwhile: read it again and repeat the change")


class DocumentKinds:
    """All of them."""

    def __init__(self, vault: Vault) -> None:
        self.categories = DocumentKind("category", Category, vault)
        self.workflows = DocumentKind("workflow", Workflow, vault, versioned=True)
        self.templates = DocumentKind("template", Template, vault, versioned=True)
        self.drafts = DocumentKind("draft", TemplateDraft, vault)
        self.learned = DocumentKind("learned", Learned, vault, sealed=True)
        self.test_templates = DocumentKind("trial", Template, vault)
        self.partials = DocumentKind("partial", Partial, vault, versioned=True)
        self.integrations = DocumentKind("integration", Integration, vault, sealed=True)
        self.whatsapp_templates = DocumentKind("whatsapp", WhatsAppTemplates, vault)
        self.sources = DocumentKind("source", Source, vault, sealed=True)
        self.sinks = DocumentKind("sink", Sink, vault, sealed=True)
        self.segments = DocumentKind(SEGMENTS, Segment, vault)
        self.secrets = DocumentKind("secret", Secret, vault, sealed=True)
        self.connections = DocumentKind("connection", Connection, vault)

    def delta(self, after: int, revision: int, tenants: Iterable[bytes], rows: Sequence[Row]) -> SetupDelta:
        """What changed between two revisions."""
        return SetupDelta(
            after=after,
            revision=revision,
            tenants=tuple(map(tenant_of, tenants)),
            categories=self.categories.now(rows),
            workflows=self.workflows.now(rows),
            templates=self.templates.now(rows),
            drafts=self.drafts.now(rows),
            learned=self.learned.now(rows),
            test_templates=self.test_templates.now(rows),
            partials=self.partials.now(rows),
            integrations=self.integrations.now(rows),
            whatsapp_templates=self.whatsapp_templates.now(rows),
            sources=self.sources.now(rows),
            sinks=self.sinks.now(rows),
            segments=self.segments.now(rows),
            secrets=self.secrets.now(rows),
            connections=self.connections.now(rows),
        )


def versions_of(documents: Mapping[str, Template] | Mapping[str, Partial]) -> dict[str, int]:
    """By key."""
    return {key: document.version for key, document in documents.items()}


def require_tenant(stored: Sequence[bytes], before: Tenant) -> None:
    """Conflict unless this is what is stored."""
    if [tenant_of(body) for body in stored] != [before]:
        raise Conflict("the tenant was changed meanwhile: read it again and repeat the change")


def name_taken(key: str) -> Conflict:
    """Another tenant has this key."""
    return Conflict(f"there is a tenant {key!r} already: choose another key", pointer="#/key")


def changed_meanwhile() -> Conflict:
    """Something was changed since the set-up was read."""
    return Conflict("the configuration was changed meanwhile: read it again and repeat the change")
