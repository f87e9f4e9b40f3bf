"""Bulk operations: work on many things that one call asked for, and its progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from enum import StrEnum
from typing import Literal, NewType

import msgspec

from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.message import MessageFilter
from clarion.model.run import RunFilter
from clarion.model.user import UserPut

UPLOADED_WITHIN_MS = 86_400_000
"""How long a file may rest before its next piece comes."""

OperationId = NewType("OperationId", bytes)


class OperationKind(StrEnum):
    """What is done to each."""

    RETRY_MESSAGES = "messages.retry"
    CANCEL_MESSAGES = "messages.cancel"
    WITHDRAW_MESSAGES = "messages.withdraw"
    RETRY_RUNS = "runs.retry"
    CANCEL_RUNS = "runs.cancel"
    MIGRATE_RUNS = "runs.migrate"
    IMPORT_USERS = "users.import"
    EXPORT_USERS = "users.export"

    @property
    def of_runs(self) -> bool:
        """Its items are runs."""
        return self.value.startswith("runs.")

    @property
    def has_file(self) -> bool:
        """It reads or writes a file; of the others that are not about runs, the items are messages."""
        return self in (OperationKind.IMPORT_USERS, OperationKind.EXPORT_USERS)


class OperationStatus(StrEnum):
    """Where an operation is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_finished(self) -> bool:
        """Nothing more is done, unless somebody asks for it."""
        return self not in (OperationStatus.QUEUED, OperationStatus.RUNNING)

    @property
    def has_failures(self) -> bool:
        """What failed may be tried again."""
        return self in (OperationStatus.PARTLY_FAILED, OperationStatus.FAILED)


def ended(done: int, failed: int) -> OperationStatus:
    """The status of an operation that went through everything."""
    if not failed:
        return OperationStatus.SUCCEEDED
    return OperationStatus.PARTLY_FAILED if done else OperationStatus.FAILED


class RunSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs an operation is about."""

    where: RunFilter
    to_version: int | None = None
    """The version of the workflow that they go on with from then."""


class UserFileFormat(StrEnum):
    """How users are written in a file."""

    NDJSON = "ndjson"
    CSV = "csv"


class ImportMode(StrEnum):
    """What becomes of what is known already."""

    REPLACE = "replace"
    """A line says all there is to know about a user."""
    MERGE = "merge"
    """What a line does not name stays."""


class EncodingSource(StrEnum):
    """How the encoding of a file is known."""

    TOLD = "told"
    MARK = "mark"
    """The byte order mark at its beginning says so."""
    DETECTED = "detected"


class FileJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with a file: how it is to be read, and what was found; or what is to be written."""

    format: UserFileFormat
    mode: ImportMode = ImportMode.REPLACE
    encoding: str = ""
    """Empty: not known yet."""
    encoding_source: EncodingSource = EncodingSource.TOLD
    delimiter: str = ""
    """Of CSV; empty: not known yet."""
    heading: str = ""
    """The line of CSV that names the columns, as it was."""
    header: tuple[str, ...] = ()
    """Which field each of them is; an empty one is left out."""
    columns: Mapping[str, str] = {}
    """The fields that columns of other names become; an empty one: the column is left out."""
    where: str = ""
    """The condition of an export; empty: everybody."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Work on all messages or runs that match a filter, newest first, or on the lines of a file, and how far it is."""

    id: OperationId
    tenant: TenantId
    kind: OperationKind
    where: MessageFilter = MessageFilter()
    runs: RunSelection | None = None
    """It is about runs."""
    job: FileJob | None = None
    """Of one that has a file."""
    template_version: Literal["live", "planned"] = "live"
    status: OperationStatus = OperationStatus.QUEUED
    total: int | None = None
    """None until they are counted."""
    done: int = 0
    failed: int = 0
    cursor: bytes | None = None
    """What begins here was gone through; with a file see `position`."""
    swept: bool = False
    """All were gone through: what is left is what failed and is tried again."""
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None
    uploading: bool = False
    """Its file is not complete: nothing is done yet."""
    file_bytes: int = 0
    """How much of its file is stored."""
    file_until: Instant | None = None
    """When the file and the lines that failed go; one that is still uploading is canceled then."""

    @property
    def position(self) -> int:
        """The last line that was read, or the user behind whom others are written; 0: none."""
        return int.from_bytes(self.cursor or b"")


def position_of(number: int) -> bytes:
    """The cursor for `Operation.position`."""
    return number.to_bytes(8)


class OperationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    kind: OperationKind | None = None
    statuses: frozenset[OperationStatus] = frozenset()
    since: Instant | None = None
    before: Instant | None = None


class OperationError(msgspec.Struct, frozen=True, kw_only=True):
    """A message, a run or a line that an operation could not do."""

    index: int
    """Its place in the order in which they were gone through, from 0; of a line its number."""
    item_id: bytes = b""
    """Empty: it was a line."""
    code: str
    detail: str
    line: bytes = b""
    """A `RefusedLine`, sealed under the tenant's key; empty: it was none, or is not kept any more."""


class RefusedLine(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A line of a file that could not be taken over."""

    raw: bytes
    """As it was, in UTF-8 in which bytes that did not fit are surrogates."""
    column: str = ""
    """Which field is wrong."""
    value: str = ""
    """What stands there, cut."""


class OperationStep(msgspec.Struct, frozen=True, kw_only=True):
    """The next part of an operation."""

    ids: Sequence[bytes]
    following: bytes | None = None
    """Where the part behind it begins; None: this is the last one."""
    at: Instant
    versions: Mapping[str, int] = {}
    """As for `MessageRecords.requeue`."""
    begun: Set[MessageId] = frozenset()
    """As for `MessageRecords.cancel`."""
    left: Mapping[bytes, str] = {}
    """Runs that were left as they are, and why; the others are done before the step is counted."""
    total: int | None = None
    """How many there are, once they were counted."""
    broken: bool = False
    """It cannot be done because of an error of ours: all of it failed."""

    @property
    def messages(self) -> list[MessageId]:
        """Its ids, where they are those of messages."""
        return [MessageId(one) for one in self.ids]


class OperationProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a step."""

    operation: Operation
    moved: frozenset[MessageId] = frozenset()
    """The messages that were changed, the later channels of a ladder among them."""


class FileStep(msgspec.Struct, frozen=True, kw_only=True):
    """The next part of an operation with a file: all of it is stored, or nothing."""

    at: Instant
    job: FileJob | None = None
    """What is known of the file from now on."""
    total: int | None = None
    cursor: bytes | None = None
    done: int = 0
    failed: int = 0
    """Less than 0: what had failed was done now."""
    users: tuple[UserPut, ...] = ()
    topics: Mapping[str, tuple[str, ...]] = {}
    """The ids of users of the step who subscribe to a topic."""
    errors: tuple[OperationError, ...] = ()
    """In place of those with the same `index`."""
    mended: tuple[int, ...] = ()
    """The indexes of errors that are no more."""
    piece: bytes = b""
    """Sealed; added to the file."""
    size: int = 0
    """Of what is sealed in the piece."""
    swept: bool = False
    """Everything was gone through."""
    close: OperationStatus | None = None
    """It ends like this."""


class FileProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a step."""

    operation: Operation
    taken: bool
    """The step was stored. Not: somebody canceled the operation, or the step was stored before."""
