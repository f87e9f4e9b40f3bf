"""Whatever is written to the store can be read again: a value that cannot be decoded stops whoever reads it."""

from __future__ import annotations

import pkgutil
import re
import sqlite3
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.adapters.ledgers import journal as packed_journal
from clarion.adapters.ledgers import operation_rows, reading_rows, user_sealing
from clarion.adapters.ledgers.sqlite import journal
from clarion.adapters.providers import capture, inapp
from clarion.dashboard import message_feed
from clarion.flow import campaign_states, live_states, provider_scores, run_states, sealing
from clarion.flow.dispatch import withdrawals
from clarion.flow.intake import intake
from clarion.flow.plan import digests
from clarion.model.content import InAppContent
from clarion.model.digest import ItemContent
from clarion.model.event import Event
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo, part_id, run_id
from clarion.model.live import Live
from clarion.model.message import Change, ChannelDecision, Message, MessageFilter, Run
from clarion.model.operation import FileJob, RunSelection
from clarion.model.setup import Category, Integration, Partial, Template, TemplateDraft, Tenant, Workflow
from clarion.model.status import Status
from tests.needs import examples

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


def values(kind: Any, within: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Values of a type, as far as the store's types go; `within`: the types that it is a field of, the outermost first."""
    origin, inner = get_origin(kind), get_args(kind)
    if hasattr(kind, "__metadata__"):
        return bounded(kind)
    if hasattr(kind, "__supertype__"):
        return values(kind.__supertype__, within)
    if origin in (Union, UnionType):
        return st.one_of([values(one, within) for one in inner])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is not None:
        return several(origin, inner, within)
    if kind in PLAIN:
        return PLAIN[kind]
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    assert issubclass(kind, msgspec.Struct), f"no values of {kind} are known: add them here"
    fields = {field.name: values(field.type, (*within, kind)) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


def several(origin: Any, inner: tuple[Any, ...], within: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """Values of a type that holds others. Steps may hold cases, and these steps: deeper inside there are none."""
    if origin in (dict, Mapping):
        return st.dictionaries(values(inner[0], within), values(inner[1], within), max_size=2)
    if origin is tuple and inner[-1] is not Ellipsis:
        return st.tuples(*[values(one, within) for one in inner])
    if inner[0] in within[:-2]:
        return st.just(origin())
    return st.lists(values(inner[0], within), max_size=2).map(origin)


def bounded(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type, within its bounds."""
    (bounds,) = kind.__metadata__
    if kind.__origin__ is int:
        return st.integers(bounds.ge, bounds.le)
    if kind.__origin__ is float:
        return st.floats(bounds.ge, bounds.le)
    if bounds.pattern is not None:
        return st.from_regex(re.compile(bounds.pattern, re.ASCII))
    if kind.__origin__ is str:
        return st.text(LETTERS, min_size=bounds.min_length or 0, max_size=bounds.max_length or 12)
    least = bounds.min_length or 0
    return values(kind.__origin__).filter(lambda value: len(value) >= least)


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
    Stored("live resource", Live, live_states._encode, of(live_states._decode)),
    Stored(
        "counts of calls", of(provider_scores._decode).type, msgspec.json.encode, of(provider_scores._decode)
    ),
    Stored(
        "position of a source",
        of(reading_rows._decode).type,
        reading_rows._encode,
        of(reading_rows._decode),
    ),
    Stored("answer of a claim", intake._ANSWER_TYPE.type, intake._ANSWER.encode, intake._ANSWER_TYPE),
    Stored("profile", of(user_sealing._unpack).type, user_sealing._pack, of(user_sealing._unpack)),
    Stored(
        "explanation",
        of(packed_journal._unpack_said).type,
        packed_journal._pack,
        of(packed_journal._unpack_said),
    ),
    Stored(
        "what steps did",
        of(packed_journal._unpack_steps).type,
        packed_journal._pack,
        of(packed_journal._unpack_steps),
    ),
    Stored("item of a digest", ItemContent, digests._encode, of(digests._decode)),
    Stored(
        "campaign",
        of(campaign_states._decode).type,
        campaign_states._encode,
        of(campaign_states._decode),
    ),
    Stored("run that waits", of(run_states._decode).type, run_states._encode, of(run_states._decode)),
    Stored("answers to a run", of(run_states._answers).type, run_states._encode, of(run_states._answers)),
    Stored("row of the journal", packed_journal._Body, packed_journal._pack, of(packed_journal._unpack)),
    Stored("filter of an operation", MessageFilter, msgspec.msgpack.encode, operation_rows._filter),
    Stored("runs of an operation", RunSelection, msgspec.msgpack.encode, operation_rows._runs),
    Stored("file of an operation", FileJob, msgspec.msgpack.encode, operation_rows._job),
    Stored("content of an edit", withdrawals._content.type, msgspec.json.encode, withdrawals._content),
    Stored("inbox item", InAppContent, inapp._encode, shelf_of(InAppContent)),
    Stored("capture", message_feed.Caught, capture._encode, message_feed._caught),
    *(Stored(kind.__name__, kind, msgspec.json.encode, shelf_of(kind)) for kind in DOCUMENTS),
]
BY_NAME = {one.name: one for one in STORED}


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=examples(80))
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
    between = (
        "clarion.services.limited.",
        "clarion.adapters.ledgers.remote.",
    )  # processes, and stored by none
    found = [one for one in found if not one[0].startswith(between)]
    assert len(found) > 5
    assert [name for name, kind in found if kind not in tested] == []


def instants(value: int) -> Instant:
    return Instant(abs(value) % 2**48)


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Changes of a batch."""
    drawn = draw(st.lists(values(Change), min_size=1, max_size=5))
    few = drawn * draw(st.integers(1, 3))
    return [
        replace(
            change,
            seq=0,
            message_id=MessageId(bytes([place]) * 16),
            tenant=TenantId(abs(change.tenant) % 2),
            at=instants(change.at),
            due_at=change.due_at if change.status is Status.DEFERRED else None,
        )
        for place, change in enumerate(few)
    ]


@st.composite
def planned(draw: st.DrawFn) -> tuple[list[Run], list[Message]]:
    """Runs of a batch, with the messages that some of their channels made."""
    drawn = draw(st.lists(values(Run), min_size=1, max_size=5))
    runs: list[Run] = []
    messages: list[Message] = []
    for place, one in enumerate(drawn * draw(st.integers(1, 3))):
        event_id, user = EventId(bytes([place]) * 16), UserNo(abs(one.user) % 2**40)
        run = replace(
            one,
            id=part_id(run_id(event_id, one.workflow, user), one.part),
            tenant=TenantId(abs(one.tenant) % 2),
            user=user,
            event_id=event_id,
            at=instants(one.at),
        )
        channels = []
        for number, channel in enumerate(run.channels):
            made = channel.message_id and MessageId(bytes([place, number]) * 8)
            channels.append(replace(channel, message_id=made or None))
            if made and draw(st.booleans()):
                messages.append(message_of(run, made, channel))
        runs.append(replace(run, channels=tuple(channels)))
    return runs, messages


def message_of(run: Run, message_id: MessageId, channel: ChannelDecision) -> Message:
    return Message(
        id=message_id,
        tenant=run.tenant,
        user=run.user,
        event_id=run.event_id,
        workflow=run.workflow,
        workflow_version=run.workflow_version,
        category="c",
        step=channel.step,
        template="t",
        channel=channel.channel,
        lane=run.lane,
        status=channel.status,
        reason=channel.reason,
        created_at=run.at,
        due_at=channel.due_at,
    )


def empty_journal() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant, at, body)")
    return connection


@given(batches=st.lists(changes(), max_size=3))
def test_what_was_recorded_is_told_as_it_was(batches):
    """Every field of every change, whatever else is in its batch, in the order of positions."""
    connection = empty_journal()
    told: dict[TenantId, list[Change]] = {}
    for batch in batches:
        positions = journal.add(connection, batch, list(range(len(batch))))
        for change, position in zip(batch, positions, strict=True):
            told.setdefault(change.tenant, []).append(replace(change, seq=position))
            (row,) = journal.rows_of(connection, [position // packed_journal.PLACES])
            assert row.before(position % packed_journal.PLACES) == batch.index(change)
    for tenant, its in told.items():
        assert journal.tail(connection, tenant, 0, 1_000) == its
        assert journal.tail(connection, tenant, -1, 2) == its[-2:]
        for change in its:
            behind = [one for one in its if one.seq > change.seq]
            assert journal.tail(connection, tenant, change.seq, 1_000) == behind


@given(planned())
def test_what_was_planned_is_explained_as_it_was(batch):
    """Every run with every verdict, and the first record of every message."""
    runs, messages = batch
    connection = empty_journal()
    positions, rows = journal.add_planned(connection, runs, messages)
    for run, seq in zip(runs, rows, strict=True):
        (row,) = journal.rows_of(connection, [seq])
        assert run in row.runs()
    for message, position in zip(messages, positions, strict=True):
        (row,) = journal.rows_of(connection, [position // packed_journal.PLACES])
        change = row.change(position % packed_journal.PLACES)
        assert (change.message_id, change.status, change.reason) == (
            message.id,
            message.status,
            message.reason,
        )
        assert change.due_at == (message.due_at if message.status is Status.DEFERRED else None)
