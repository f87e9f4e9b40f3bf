"""Whatever is written to the store can be read again: a value that cannot be decoded stops whoever reads it."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.adapters.ledgers.sqlite import decoding, operations, plans, users
from clarion.adapters.providers import capture, inapp
from clarion.dashboard import message_feed
from clarion.flow import sealing
from clarion.flow.intake import intake
from clarion.model.content import InAppContent
from clarion.model.event import Event
from clarion.model.message import MessageFilter
from clarion.model.setup import Category, Integration, Partial, Template, TemplateDraft, Tenant, Workflow

LETTERS = st.characters(exclude_categories=["Cs"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/é", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text("ab/é", max_size=3), JSON, max_size=3)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as far as the store's types go."""
    origin, inner = get_origin(kind), get_args(kind)
    if hasattr(kind, "__metadata__"):
        return bounded(kind)
    if hasattr(kind, "__supertype__"):
        return values(kind.__supertype__)
    if origin in (Union, UnionType):
        return st.one_of([values(one) for one in inner])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(values(inner[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, inner))
    if origin is frozenset:
        return st.frozensets(values(inner[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=2)
    if kind in PLAIN:
        return PLAIN[kind]
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    assert issubclass(kind, msgspec.Struct), f"no values of {kind} are known: add them here"
    fields = {field.name: values(field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


def bounded(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type: numbers and texts within their bounds."""
    (bounds,) = kind.__metadata__
    if kind.__origin__ is int:
        return st.integers(bounds.ge, bounds.le)
    if kind.__origin__ is str:
        return st.text(LETTERS, min_size=bounds.min_length or 0, max_size=bounds.max_length or 12)
    return values(kind.__origin__)


PLAIN: MappingProxyType[Any, st.SearchStrategy[Any]] = MappingProxyType(
    {
        Any: JSON,
        NoneType: st.none(),
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(LETTERS, max_size=12),
        bytes: st.binary(max_size=20),
        msgspec.Raw: OBJECTS.map(lambda value: msgspec.Raw(msgspec.json.encode(value))),
    }
)


class Stored(NamedTuple):
    """One kind of value in the store: what it is, who writes it and who reads it."""

    name: str
    type: Any
    encode: Any
    decoder: Any


def shelf_of(kind: Any) -> msgspec.json.Decoder[Any]:
    """As documents of the set-up are read."""
    return msgspec.json.Decoder(kind)


def of(decode: Any) -> Any:
    """The decoder whose method this is."""
    return decode.__self__


DOCUMENTS = (Tenant, Category, Workflow, Template, TemplateDraft, Partial, Integration)
STORED = [
    Stored("event", Event, sealing._encode, of(sealing._decode)),
    Stored("answer of a claim", intake._ANSWER_TYPE.type, intake._ANSWER.encode, intake._ANSWER_TYPE),
    Stored("profile", of(users._unpack).type, users._pack, of(users._unpack)),
    Stored("explanation", of(decoding._unpack).type, plans._pack, of(decoding._unpack)),
    Stored("filter of an operation", MessageFilter, msgspec.msgpack.encode, operations._filter),
    Stored("inbox item", InAppContent, inapp._encode, shelf_of(InAppContent)),
    Stored("capture", message_feed.Caught, capture._encode, message_feed._caught),
    *(Stored(kind.__name__, kind, msgspec.json.encode, shelf_of(kind)) for kind in DOCUMENTS),
]
BY_NAME = {one.name: one for one in STORED}


@pytest.mark.parametrize("name", BY_NAME)
@given(data=st.data())
def test_what_is_stored_is_read_back_as_it_was(name, data):
    """Every field of every stored type, in every combination, comes back equal."""
    stored = BY_NAME[name]
    value = data.draw(values(stored.type))
    assert stored.decoder.decode(stored.encode(value)) == value


def decoders(package: str) -> Iterator[tuple[str, Any]]:
    """Every decoder that a module of the package holds, and its type."""
    root = import_module(package)
    for found in pkgutil.walk_packages(root.__path__, root.__name__ + "."):
        if ".migrations." in found.name:
            continue
        for name, value in vars(import_module(found.name)).items():
            decoder = getattr(value, "__self__", value)
            if isinstance(decoder, msgspec.json.Decoder | msgspec.msgpack.Decoder):
                yield f"{found.name}.{name}", decoder.type


def test_no_stored_type_is_left_out():
    """A decoder of the ledger or of the engine whose type is not tested above is found here."""
    tested = [one.type for one in STORED] + [Any, list[Any]]  # any JSON: the callers' data, rows of SQLite
    found = [*decoders("clarion.adapters.ledgers"), *decoders("clarion.flow")]
    found = [one for one in found if not one[0].startswith("clarion.services.limited.")]  # between processes
    assert len(found) > 5
    assert [name for name, kind in found if kind not in tested] == []
