"""What goes over the socket: calls and answers in msgpack, each behind its length.

The methods and their types are those of `ports.ledger.Store`: nothing here names one of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from clarion import __version__, errors
from clarion.errors import ClarionError, InvalidInput
from clarion.model.conditions import Conditions
from clarion.ports.ledger import Store
from clarion.ports.terms import Subject, Terms

LENGTH = 4
LONGEST = 256 * 1024 * 1024
"""Bytes of one call; what is longer is no call."""

WRITTEN = -1
"""The number of what answers no call: these users are not as they were."""

_encode = msgspec.msgpack.Encoder().encode


class Method(NamedTuple):
    """One method of the store."""

    number: int
    path: tuple[str, ...]
    """`setup`, `templates`, `put`."""
    call: type[msgspec.Struct]
    """Its arguments, in order."""
    named: int
    """How many of them, at the end, go by name."""
    arguments: msgspec.msgpack.Decoder[Any]
    result: msgspec.msgpack.Decoder[Any]


class TermsAsked(msgspec.Struct, array_like=True, frozen=True):
    """The terms of the request that makes a call (`ports.terms`)."""

    subject: Subject | None
    conditions: Conditions | None
    creates: bool
    dry: bool
    wrote: bool

    def entered(self) -> Terms:
        """The same on the side of the store."""
        asked = Terms(self.subject, self.conditions, creates=self.creates, dry=self.dry)
        asked.wrote = self.wrote
        return asked


class TermsKept(msgspec.Struct, array_like=True, frozen=True):
    """What a call made of its terms."""

    wrote: bool
    tag: str | None


class WireFault(msgspec.Struct, array_like=True, frozen=True):
    """An error as a value."""

    kind: str
    """A class of `clarion.errors`, or empty: it is none of those that are raised on purpose."""
    state: dict[str, Any]


class Call(msgspec.Struct, array_like=True, frozen=True):
    """One call. Several may be under way; each is answered when it is done."""

    number: int
    method: int
    arguments: msgspec.Raw
    terms: TermsAsked | None = None


class WireAnswer(msgspec.Struct, array_like=True, frozen=True):
    """What came of the call with this number."""

    number: int
    result: msgspec.Raw
    fault: WireFault | None = None
    terms: TermsKept | None = None


def encode(value: Any) -> bytes:
    """As msgpack. What no UTF-8 can say (half of a surrogate pair) becomes a question mark, as in every store."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_sayable(msgspec.to_builtins(value, builtin_types=(bytes,))))


def _sayable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list | tuple):
        return [_sayable(one) for one in value]
    if isinstance(value, dict):
        return {_sayable(key): _sayable(one) for key, one in value.items()}
    return value


def framed(message: Call | WireAnswer) -> bytes:
    """With its length before it."""
    body = encode(message)
    return len(body).to_bytes(LENGTH) + body


class WireFrames:
    """Cuts what the socket brings into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete by now. Raises ValueError when it cannot be one."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= LENGTH:
            size = int.from_bytes(buffer[start : start + LENGTH])
            if size > LONGEST:
                raise ValueError("not a call")
            end = start + LENGTH + size
            if len(buffer) < end:
                break
            yield bytes(buffer[start + LENGTH : end])
            start = end
        del buffer[:start]


# -- errors ------------------------------------------------------------------------------------------------------------

_ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ClarionError)
}


def fault_of(error: Exception) -> WireFault:
    """The error, to be raised on the other side."""
    if not isinstance(error, ClarionError):
        return WireFault("", {"error": type(error).__name__})
    state = vars(error)
    if all(isinstance(value, str | int | float | None) for value in state.values()):
        return WireFault(type(error).__name__, state)
    plain = {"detail": error.detail, "pointer": error.pointer, "code": error.code, "status": error.status}
    return WireFault(InvalidInput.__name__, plain)


def error_of(fault: WireFault) -> Exception:
    """The error that a fault stands for."""
    kind = _ERRORS.get(fault.kind)
    if kind is None:
        return RuntimeError(f"the store failed, its log says why: {fault.state.get('error', fault.kind)}")
    error = kind.__new__(kind)
    Exception.__init__(error, fault.state["detail"])
    vars(error).update(fault.state)
    return error


# -- methods -----------------------------------------------------------------------------------------------------------


def parts_of(protocol: Any) -> dict[str, Any]:
    """The parts that a store or a part of it has, by name."""
    return get_type_hints(get_origin(protocol) or protocol)


def _methods(protocol: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, dict[Any, Any]]]:
    whole = get_origin(protocol) or protocol
    given = dict(zip(getattr(whole, "__parameters__", ()), get_args(protocol), strict=True))
    for name, part in parts_of(protocol).items():
        yield from _methods(part, (*path, name))
    for name, function in vars(whole).items():
        if inspect.iscoroutinefunction(function) and (*path, name) != ("close",):
            yield (*path, name), function, given


def _filled(kind: Any, given: dict[Any, Any]) -> Any:
    """A type with what its protocol is of in the place of type variables."""
    if isinstance(kind, TypeVar):
        return given[kind]
    inside = get_args(kind)
    filled = tuple(_filled(one, given) for one in inside)
    if filled == inside:
        return kind
    origin = get_origin(kind)
    return origin[filled] if hasattr(origin, "__class_getitem__") else Union[filled]  # noqa: UP007 - made here


def _method(number: int, path: tuple[str, ...], function: Any, given: dict[Any, Any]) -> Method:
    hints = {
        name: _filled(kind, given) for name, kind in get_type_hints(function, include_extras=True).items()
    }
    result = hints.pop("return")
    parameters = list(inspect.signature(function).parameters.values())[1:]
    fields = [
        (one.name, hints[one.name])
        if one.default is inspect.Parameter.empty
        else (one.name, hints[one.name], one.default)
        for one in parameters
    ]
    call = msgspec.defstruct("_".join(path), fields, array_like=True, frozen=True)
    named = sum(one.kind is inspect.Parameter.KEYWORD_ONLY for one in parameters)
    return Method(number, path, call, named, msgspec.msgpack.Decoder(call), msgspec.msgpack.Decoder(result))


METHODS = tuple(
    _method(number, *one) for number, one in enumerate(sorted(_methods(Store, ()), key=lambda one: one[0]))
)
"""All methods of the store. Both sides must have the same ones."""
_spoken = [(m.path, [(f.name, str(f.type)) for f in msgspec.structs.fields(m.call)]) for m in METHODS]
VERSION = blake2b(repr((__version__, _spoken)).encode(), digest_size=8).hexdigest()
"""Of Clarion, and of what is spoken: each side says it first."""
