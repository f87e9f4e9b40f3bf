"""`/v1/connections`: HTTP services that steps of workflows may call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from litestar import Router, delete, get, patch, put

from clarion.api import faults
from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.problems import Fault, RejectedRequest, unknown_name
from clarion.api.references import unknown_in
from clarion.api.stored_documents import found, named, page_of_store, patched, shown
from clarion.errors import Conflict, UnknownReference
from clarion.model.connection import MOST_HEADERS, Connection, HttpMethod, SecretName
from clarion.model.setup import every

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
SET_BY_CLARION = frozenset(
    {
        *("connection", "content-length", "host", "idempotency-key", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
"""Headers that no connection sets."""
CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key"})
"""Headers whose values are secrets."""
ADVICE = "Write it with `clarion secrets set NAME`."


class ConnectionDocument(Connection, frozen=True, kw_only=True, omit_defaults=False):
    """A connection. Its key is in the path."""

    key: str = ""
    name: str | None = None  # type: ignore[assignment]


@get("/", opt=READ)
async def list_connections(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[ConnectionDocument]:
    """All connections by key."""
    return page_of_store(ConnectionDocument, parts.ledger.setup.connections, caller.tenant, cursor, limit)


@get("/{key:str}", opt=READ)
async def get_connection(key: str, caller: Caller, parts: Parts) -> ConnectionDocument:
    """One connection. It names its secrets and does not hold them."""
    return shown(ConnectionDocument, _found(key, caller, parts))


@put("/{key:str}", opt=ADMIN)
async def put_connection(
    key: str, data: ConnectionDocument, caller: Caller, parts: Parts
) -> ConnectionDocument:
    """Create or replace a connection. The secrets that it names are there already."""
    return await _store(named(Connection, data, key), None, caller, parts)


@patch("/{key:str}", opt=ADMIN)
async def patch_connection(
    key: str, data: dict[str, Any], caller: Caller, parts: Parts
) -> ConnectionDocument:
    """Change some fields (JSON merge patch): null restores the default, and fields that are not named stay."""
    live = _found(key, caller, parts)
    body = patched(shown(ConnectionDocument, live), data)
    return await _store(named(Connection, body, key), live, caller, parts)


@delete("/{key:str}", opt=ADMIN)
async def delete_connection(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a connection that no workflow uses."""
    workflows = parts.ledger.setup.workflows.all(caller.tenant).values()
    users = [w.key for w in workflows if any(step.connection == key for step in every(w.steps))]
    if users:
        raise Conflict(f"The connection is used by the workflows {', '.join(users)}: change those first.")
    await parts.services.setup.delete(caller.tenant, Connection, key)


def _found(key: str, caller: Identity, parts: ApiParts) -> Connection:
    return found(parts.ledger.setup.connections, caller.tenant, key, "connection")


async def _store(
    connection: Connection, before: Connection | None, caller: Identity, parts: ApiParts
) -> ConnectionDocument:
    """Keep the connection. `before`: what it was made from; Conflict when something else is live by now."""
    if wrong := [*_faults(connection, caller, parts)]:
        names = all(fault.code == UnknownReference.code for fault in wrong)
        code = UnknownReference.code if names else "invalid_request"
        raise RejectedRequest(f"The connection cannot work as it is: {wrong[0].detail}", wrong, code=code)
    if (refused := await parts.services.connections.refusal(connection.url)) is not None:
        raise RejectedRequest(f"{refused}.", [Fault(detail=f"{refused}.", pointer="#/url")])
    return shown(ConnectionDocument, await parts.services.setup.put(caller.tenant, connection, before))


def _faults(connection: Connection, caller: Identity, parts: ApiParts) -> Iterator[Fault]:
    """Everything that is wrong, but for where it leads."""
    if "?" in connection.url or "#" in connection.url:
        yield Fault(detail="paths of steps come behind it: leave out `?` and `#`.", pointer="#/url")
    if not connection.methods:
        yield Fault(detail=f"name at least one of {', '.join(HttpMethod)}.", pointer="#/methods")
    if len(connection.headers) > MOST_HEADERS:
        yield Fault(detail=f"a connection has at most {MOST_HEADERS} headers.", pointer="#/headers")
    for name, value in connection.headers.items():
        place = faults.pointer(["headers", name[:100]])
        if not _NAME.fullmatch(name):
            yield Fault(detail="this is no name of a header.", pointer=place)
        elif name.lower() in SET_BY_CLARION:
            yield Fault(detail="this header is set by Clarion: leave it out.", pointer=place)
        elif isinstance(value, SecretName):
            continue
        elif name.lower() in CREDENTIALS:
            detail = 'store its value as a secret, and write `{"secret": "name"}` here.'
            yield Fault(detail=detail, pointer=place)
        elif not _VALUE.fullmatch(value):
            yield Fault(detail="the value of a header is printable ASCII.", pointer=place)
    secrets = parts.ledger.setup.secrets.all(caller.tenant)
    asked = [
        (secret, faults.pointer(["headers", name, "secret"])) for name, secret in connection.secrets().items()
    ]
    yield from map(unknown_name, unknown_in("secret", asked, secrets, ADVICE))


router = Router(
    "/v1/connections",
    route_handlers=[list_connections, get_connection, put_connection, patch_connection, delete_connection],
    opt=one("connection"),
    tags=["Set-up"],
)
