"""Derives dedupe, thread and collapse keys from the data of an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from clarion.model.event import Event
from clarion.model.ids import TenantId, UserNo
from clarion.model.message import Message
from clarion.model.setup import AwaitedEvent, Workflow
from clarion.rules.match import MISSING, resolve

KeyedHash = Callable[[str, bytes], bytes]
"""`Vault.hash`: purpose and value to 16 bytes."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def cancellation_key(tenant: TenantId, workflow: str, value: Any, hash: KeyedHash) -> bytes:
    """What runs of a workflow have in common that are canceled together, whoever their users are."""
    return hash("cancellation", b"%d\0%s\0%s" % (tenant, workflow.encode(), _encode(value)))


def digest_slot(
    tenant: TenantId, user: UserNo, workflow: str, step: str, by: str, value: bytes, hash: KeyedHash
) -> bytes:
    """What is collected together: of one user and step, with an equal value behind the same expression."""
    return _slot("digest", tenant, user, workflow, step, by, value, hash)


def throttle_slot(
    tenant: TenantId, user: UserNo, workflow: str, step: str, by: str, value: bytes, hash: KeyedHash
) -> bytes:
    """What is counted together: of one user and step, with an equal value behind the same expression."""
    return _slot("throttle", tenant, user, workflow, step, by, value, hash)


def _slot(
    purpose: str,
    tenant: TenantId,
    user: UserNo,
    workflow: str,
    step: str,
    by: str,
    value: bytes,
    hash: KeyedHash,
) -> bytes:
    where = b"%d\0%d\0%s\0%s" % (tenant, user, workflow.encode(), step.encode())
    return hash(purpose, b"%s\0%s\0%s" % (where, by.encode(), value))


def signal_key(tenant: TenantId, awaited: AwaitedEvent, user: UserNo, value: Any, hash: KeyedHash) -> bytes:
    """What an event and the runs that listen for it have in common: the user, or the value of `by`."""
    of = b"u%d" % user if awaited.by is None else b"b%s\0%s" % (awaited.by.encode(), canonical(value))
    return hash("signal", b"%d\0%s\0%s" % (tenant, awaited.type.encode(), of))


def canonical(value: Any) -> bytes:
    """A value as a key: whole numbers are equal however they are written, and texts are no numbers."""
    return _encode(_whole(value))


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value


class EventKeys:
    """The keys of one run. Data is decoded only when a pointer asks for it, and then once."""

    __slots__ = ("_data", "_event", "_hash", "_user", "_workflow")

    def __init__(self, event: Event, workflow: Workflow, user: UserNo, hash: KeyedHash) -> None:
        self._event = event
        self._workflow = workflow
        self._user = user
        self._hash = hash
        self._data: Any = MISSING

    def found(self, pointer: str) -> bool:
        """Whether the pointer leads to something; a key over nothing is a key over `null`."""
        return not pointer or self._value(pointer) is not MISSING

    def of_run(self, purpose: str, pointer: str) -> bytes:
        """One key for all channels, within the workflow."""
        return self._key(purpose, pointer, b"*", within_workflow=True)

    def of_message(self, purpose: str, pointer: str, place: str, *, within_workflow: bool) -> bytes:
        """One key per channel, or endpoint: a push never waits for an email, nor replaces one."""
        return self._key(purpose, pointer, place.encode(), within_workflow=within_workflow)

    def _key(self, purpose: str, pointer: str, channel: bytes, *, within_workflow: bool) -> bytes:
        if pointer:
            value = self._value(pointer)
            what = b"%s\0%s" % (pointer.encode(), _encode(None if value is MISSING else value))
        else:
            what, within_workflow = b"", True
        workflow = self._workflow.key.encode() if within_workflow else b""
        return self._hash(
            purpose, b"%d\0%d\0%s\0%s\0%s" % (self._event.tenant, self._user, channel, workflow, what)
        )

    def _value(self, pointer: str) -> Any:
        if self._data is MISSING:
            self._data = _decode(self._event.data)
        return resolve(self._data, pointer)


def replaces(workflow: Workflow) -> bool:
    """Whether its newer messages take the place of older ones."""
    return workflow.supersedes or workflow.collapse_key is not None


def replacement_key(event: Event, workflow: Workflow, message: Message, hash: KeyedHash) -> bytes:
    """What a message and those whose place it takes have in common where they arrive; empty: it takes nobody's."""
    keys = EventKeys(event, workflow, message.user, hash)
    if workflow.supersedes and workflow.thread is not None:
        if not keys.found(workflow.thread):
            return b""
        return keys.of_message("thread", workflow.thread, message.channel, within_workflow=False)
    pointer = workflow.collapse_key
    if pointer is None or not keys.found(pointer):
        return b""
    return keys.of_message("collapse", pointer, message.channel, within_workflow=True)
