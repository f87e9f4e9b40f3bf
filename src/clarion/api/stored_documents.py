"""What routes of categories, workflows, templates and integrations share."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from clarion.api import nulls, request_bodies
from clarion.api.merging import merge
from clarion.api.pages import At, Page, page_of_documents
from clarion.errors import InvalidInput, NotFound
from clarion.flow.setup_view import DocumentsView
from clarion.model.ids import TenantId
from clarion.model.user import Value
from clarion.ports.ledger.setup import Document
from clarion.rules import validation
from clarion.rules.match import nearest

D = TypeVar("D", bound=Document)
V = TypeVar("V", bound=Value)


def named(kind: type[V], body: Value, key: str) -> V:
    """The document of a body whose key stands in the path. `version` is the store's business."""
    fields: dict[str, Any] = msgspec.structs.asdict(body)
    if fields["key"] not in ("", key):
        raise InvalidInput("key differs from the one in the path: leave it out.", pointer="#/key")
    validation.check_key(key, "#/key")
    return kind(**nulls.stored(kind, {**fields, "key": key}))


def shown(kind: type[V], document: Any) -> V:
    """The document with every field spelt out, as it can be sent back."""
    return kind(**nulls.shown(document))


def patched(document: V, patch: dict[str, Any]) -> V:
    """The document after a JSON merge patch (RFC 7396): null is back to the default, what is not named stays."""
    return request_bodies.convert(merge(msgspec.to_builtins(document), patch), type(document))


def page_of_store(
    kind: type[V], store: DocumentsView[Any], tenant: TenantId, cursor: At, limit: int
) -> Page[V]:
    """The live documents, by key."""
    return page_of_documents(store.all(tenant), lambda document: shown(kind, document), cursor, limit)


def found(store: DocumentsView[D], tenant: TenantId, key: str, noun: str) -> D:
    """The live document, or NotFound with the nearest key."""
    documents = store.all(tenant)
    if key not in documents:
        raise missing(noun, key, documents)
    return documents[key]


async def found_version(
    store: DocumentsView[D], tenant: TenantId, key: str, version: int | None, noun: str
) -> D:
    """The live document, or an exact version of it."""
    if version is None:
        return found(store, tenant, key, noun)
    document = await store.version(tenant, key, version)
    if document is None:
        raise NotFound(f"The {noun} {key!r} has no version {version}.")
    return document


def missing(noun: str, key: str, documents: Any) -> NotFound:
    """There is no such document; this one comes near."""
    return NotFound(f"There is no {noun} {key!r}. {nearest(key, documents)}".rstrip())
