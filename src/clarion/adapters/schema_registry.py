"""A schema registry with the API of Confluent's, as Karapace, Apicurio and Redpanda have it, too.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from clarion.adapters.http import HttpClient, HttpFailure, HttpRequest
from clarion.adapters.http.basic import basic
from clarion.errors import ConfigError, InvalidInput, Unavailable
from clarion.ports.provider import ProviderSettings, ProviderTools, WebUrl
from clarion.ports.source import SourceRecord

MAGIC = 0
HEAD = 5
"""Bytes before a record: the magic byte and the number of the schema."""
CALL_S = 10.0
MOST_BYTES = 4 * 1024 * 1024
MOST_REFERENCES = 100

S = TypeVar("S")


class RegistrySettings(ProviderSettings, frozen=True, kw_only=True):
    """Where the registry is, and who we are there."""

    url: WebUrl
    username: str = ""
    password: str = ""
    token: str = ""
    """Sent as `Authorization: Bearer`, instead of a user."""


SECRETS = frozenset({"password", "token"})


class Reference(msgspec.Struct, frozen=True):
    """Another schema that one names."""

    name: str
    subject: str
    version: int


class RegisteredSchema(msgspec.Struct, frozen=True, rename="camel"):
    """A schema as the registry has it."""

    schema: str
    schema_type: str = "AVRO"
    references: list[Reference] = []


class Registry(Generic[S]):
    """Fetches each schema once, with those that it names, and reads it with `compiled`."""

    def __init__(
        self,
        config: RegistrySettings,
        tools: ProviderTools,
        kind: str,
        compiled: Callable[[RegisteredSchema, Mapping[str, str]], S],
        *,
        query: str = "",
    ) -> None:
        """`kind`: `AVRO` or `PROTOBUF`. `compiled(stored, named)`: the schema, and the texts of those that it names, by name."""
        self._config = config
        self._clock = tools.clock
        self._kind = kind
        self._compiled = compiled
        self._query = query
        self._http = HttpClient(tools, timeout_s=CALL_S)
        self._known: dict[int, S | InvalidInput] = {}

    async def prepare(self, records: Sequence[SourceRecord]) -> None:
        """Fetch the schemas of these; one that was not there or could not be read is asked for anew. Raises Unavailable and
        ConfigError."""
        self._known = {
            number: one for number, one in self._known.items() if not isinstance(one, InvalidInput)
        }
        for number in {number_of(record.value) for record in records} - {None}:
            if number is not None and number not in self._known:
                self._known[number] = await self._fetch(number)

    def schema(self, value: bytes) -> S:
        """The schema of a record. Raises InvalidInput when there is none."""
        number = number_of(value)
        if number is None:
            raise InvalidInput(
                "the record does not begin with the number of a schema, as records of a schema registry do."
            )
        found = self._known[number]
        if isinstance(found, InvalidInput):
            raise found
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _fetch(self, number: int) -> S | InvalidInput:
        stored = await self._get(f"/schemas/ids/{number}")
        if stored is None:
            return InvalidInput(f"the registry has no schema {number}.")
        if stored.schema_type != self._kind:
            return InvalidInput(f"the schema {number} is {stored.schema_type}, not {self._kind}.")
        try:
            return self._compiled(stored, await self._named(stored))
        except InvalidInput as wrong:
            return InvalidInput(f"the schema {number} cannot be read: {wrong.detail}")

    async def _named(self, stored: RegisteredSchema) -> dict[str, str]:
        """The texts of all schemas that one names, those that are named by others first."""
        found: dict[str, str] = {}
        waiting = list(stored.references)
        while waiting:
            one = waiting.pop()
            if one.name in found:
                continue
            other = await self._get(f"/subjects/{quote(one.subject, '')}/versions/{one.version}")
            if other is None or len(found) >= MOST_REFERENCES:
                raise InvalidInput(f"it names {one.name}, which the registry does not have.")
            found = {one.name: other.schema, **found}
            waiting += other.references
        return found

    async def _get(self, path: str) -> RegisteredSchema | None:
        url = f"{self._config.url.rstrip('/')}{path}{self._query}"
        headers = {"accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if self._config.token:
            headers["authorization"] = f"Bearer {self._config.token}"
        elif self._config.username:
            headers["authorization"] = basic(self._config.username, self._config.password)
        until_s = self._clock.monotonic() + CALL_S
        reply = await self._http.call(
            HttpRequest(url=url, method="GET", headers=headers), until_s=until_s, limit=MOST_BYTES
        )
        if isinstance(reply, HttpFailure):
            if reply.kind == "refused":
                raise ConfigError(f"schema_registry: {reply.detail}")
            raise Unavailable(f"the schema registry cannot be reached: {reply.detail}")
        if reply.status == 404:
            return None
        if reply.status in (401, 403):
            raise ConfigError(
                "the schema registry refuses the user: check `username` and `password`, or `token`"
            )
        if reply.status != 200:
            raise Unavailable(f"the schema registry answered {reply.status}")
        try:
            return msgspec.json.decode(reply.body, type=RegisteredSchema)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unavailable("the answer is not that of a schema registry: check `url`") from None


def number_of(value: bytes) -> int | None:
    """The number of a record's schema; None when it has none."""
    if len(value) < HEAD or value[0] != MAGIC:
        return None
    return int.from_bytes(value[1:HEAD], "big")


def plain(value: Any) -> Any:
    """A value as JSON would have it."""
    return msgspec.to_builtins(value, str_keys=True)
