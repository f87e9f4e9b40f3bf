"""Users from a file: read in pieces, written in batches. Each line is taken once, whatever is cut off in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from clarion.errors import ClarionError, InvalidInput, NotFound, UserUnreadable
from clarion.flow.conflicts import repeat_on_conflict
from clarion.flow.ledger import Ledger
from clarion.flow.priority import PriorityGate
from clarion.model.channel import Lane
from clarion.model.consent import ConsentRecord, ConsentStatement
from clarion.model.ids import Instant, TenantId
from clarion.model.operation import (
    EncodingSource,
    FileJob,
    FileStep,
    ImportMode,
    Operation,
    OperationError,
    OperationId,
    OperationKind,
    RefusedLine,
    UserFileFormat,
    position_of,
)
from clarion.model.setup import Category, Tenant
from clarion.model.user import Profile, User, UserPut
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.csv_rows import MOST_LINES, Header
from clarion.rules.text_encodings import EncodingLook
from clarion.rules.text_lines import LONGEST, LineFeed, marked_encoding, split
from clarion.rules.user_lines import UserLine, WrongHeader, csv_header, typed, user_lines
from clarion.services.consents import ConsentOrigin, ConsentService
from clarion.services.seen_countries import SeenCountries

BATCH = 500
"""Lines of one transaction."""
BATCH_CHARACTERS = 1024 * 1024
COUNTED = 5_000
"""Lines counted at a time."""
TRIES = 10
"""How often a batch is made anew when somebody else changed one of its users meanwhile."""
LARGEST_FILE = 1024 * 1024 * 1024
"""Bytes."""
FED = 64 * 1024
"""Bytes made lines at a time."""
SHOWN = 60
"""Characters of a value that is wrong."""
MOST_SHOWN = 20
"""Lines that are wrong, and users that would be changed, in a preview."""
NO_HEADER = Header("", [], "")

Read = Callable[[int], Awaitable[bytes | None]]
"""The bytes of a file that begin at a place; None: it has ended."""


class SaidOfUser(NamedTuple):
    """What a line says about a user."""

    user_id: str
    change: Callable[[Profile | None], Profile]
    topics: tuple[str, ...]
    consents: tuple[tuple[ConsentStatement, ConsentOrigin], ...]


class LineFault(NamedTuple):
    """What is wrong with a line."""

    code: str
    detail: str
    pointer: str = ""


class LineTerms(NamedTuple):
    """What decides whether a line is right."""

    tenant: Tenant
    categories: Collection[Category]
    mode: ImportMode
    now: Instant


class LineReader(Protocol):
    """Knows what a document of a user may say, and how to tell what is wrong with one."""

    def read(self, document: Mapping[str, Any], terms: LineTerms) -> SaidOfUser:
        """What it says. Raises InvalidInput."""

    def fault(self, error: ClarionError) -> LineFault:
        """In words, with everything that is wrong."""


class PreviewedUser(NamedTuple):
    """What would become of somebody."""

    line: int
    user_id: str
    before: User | None
    after: Profile


class ImportPreview(NamedTuple):
    """What an import would do, as far as was looked."""

    operation: Operation
    """It is nowhere; with what was found about the file."""
    job: FileJob
    lines: int
    wrong: int
    errors: Sequence[OperationError]
    users: Sequence[PreviewedUser]


class _Batch(NamedTuple):
    """What lines come to."""

    step: FileStep
    users: Sequence[PreviewedUser]


class _OpenFile:
    """Reads lines from the beginning of a file."""

    def __init__(self, read: Read, job: FileJob, turn: Callable[[], Awaitable[None]]) -> None:
        self.job = job
        self.counted = 0
        self._read = read
        self._turn = turn
        self._start = 0
        self._waiting = b""
        self._feed: LineFeed | None = None
        self._rows: Iterator[UserLine] = iter(())

    async def open(self) -> None:
        """Find out how it is to be read. Raises WrongHeader."""
        if not self.job.encoding:
            await self._find_encoding()
        self._feed = LineFeed(self.job.encoding)
        await self._fill(self._feed)
        header, fields = NO_HEADER, self.job.header
        if self.job.format is UserFileFormat.CSV:
            header, fields = csv_header(self._feed, self.job.delimiter, self.job.columns)
            self.job = replace(self.job, delimiter=header.delimiter, heading=header.raw, header=fields)
        self._rows = user_lines(self.job.format, self._feed, header, fields)

    async def rows(self, most: int, behind: int = 0) -> list[UserLine]:
        """The next lines, those behind a number; none: it has ended."""
        assert self._feed is not None, "it was opened"
        found: list[UserLine] = []
        size = seen = 0
        while len(found) < most and size < BATCH_CHARACTERS:
            await self._fill(self._feed)
            row = next(self._rows, None)
            if row is None:
                break
            seen += 1
            if not seen % BATCH:
                await self._turn()
            if row.last > behind:
                found.append(row)
                size += len(row.raw)
        return found

    async def _fill(self, feed: LineFeed) -> None:
        """What the longest row may need can be taken then."""
        while not feed.ended and len(feed) <= MOST_LINES + 1 and feed.characters <= 2 * LONGEST:
            if not self._waiting:
                content = await self._read(self._start)
                if content is None:
                    feed.feed(b"", last=True)
                    return
                self._start += len(content)
                self._waiting = content
            feed.feed(self._waiting[:FED])
            self._waiting = self._waiting[FED:]

    async def _find_encoding(self) -> None:
        look, start = EncodingLook(), 0
        while not look.is_sure and (content := await self._read(start)) is not None:
            if not start and (marked := marked_encoding(content[:4])):
                self.job = replace(self.job, encoding=marked, encoding_source=EncodingSource.MARK)
                return
            look.feed(content)
            start += len(content)
            await self._turn()
        self.job = replace(self.job, encoding=look.encoding(), encoding_source=EncodingSource.DETECTED)


class UserImports:
    """Does the steps of imports, and previews them."""

    def __init__(
        self,
        ledger: Ledger,
        consents: ConsentService,
        countries: SeenCountries,
        lines: LineReader,
        priority: PriorityGate,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._files = ledger.files
        self._consents = consents
        self._countries = countries
        self._lines = lines
        self._priority = priority
        self._vault = vault
        self._clock = clock
        self._open: dict[OperationId, _OpenFile] = {}
        """What is being counted or read; a crash begins it again behind the last line that was stored."""

    async def append(
        self, tenant: TenantId, operation_id: OperationId, start: int, content: bytes, *, complete: bool
    ) -> Operation:
        """Add to a file. Raises NotFound, Conflict when the content does not belong there, and InvalidInput when it is too much."""
        if start + len(content) > LARGEST_FILE:
            raise InvalidInput(
                f"A file has at most {LARGEST_FILE:,} bytes: split it.", code="body_too_large", status=413
            )
        sealed = self._vault.seal(self._vault.tenant_key(tenant), content)
        found = await self._files.append(
            tenant, operation_id, start, sealed, len(content), self._clock.now(), complete=complete
        )
        if found is None:
            raise NotFound("There is no such operation.")
        return found

    async def content(self, operation: Operation, start: int) -> bytes | None:
        """The part of a file that begins there. None: it has ended, or is gone."""
        found = await self._files.read(operation.id, start)
        return None if found is None else self._vault.open(self._vault.tenant_key(operation.tenant), found[0])

    def line(self, error: OperationError, tenant: TenantId) -> RefusedLine | None:
        """What was refused. None: it was no line, or it is not kept any more."""
        if not error.line:
            return None
        opened = self._vault.open(self._vault.tenant_key(tenant), error.line)
        return msgspec.msgpack.decode(opened, type=RefusedLine)

    async def preview(
        self, tenant: TenantId, job: FileJob, content: bytes, *, complete: bool
    ) -> ImportPreview:
        """What the beginning of a file would do. Raises InvalidInput when it cannot be read at all."""

        async def read(start: int) -> bytes | None:
            return content[start:] or None

        file = _OpenFile(read, job, self._turn)
        try:
            await file.open()
        except WrongHeader as wrong:
            raise InvalidInput(str(wrong)) from None
        rows, counted = await file.rows(BATCH), 0
        while more := await file.rows(COUNTED):
            counted += len(more)
        asked = Operation(
            id=OperationId(bytes(16)),
            tenant=tenant,
            kind=OperationKind.IMPORT_USERS,
            job=file.job,
            created_at=self._clock.now(),
            updated_at=self._clock.now(),
        )
        if not complete and not counted and rows:
            rows = rows[:-1]  # the rest of it is still to come
        batch = await self._batch(asked, file.job, rows)
        return ImportPreview(
            operation=asked,
            job=file.job,
            lines=len(rows) + counted,
            wrong=batch.step.failed,
            errors=batch.step.errors[:MOST_SHOWN],
            users=batch.users[:MOST_SHOWN],
        )

    async def step(self, operation: Operation) -> Operation | None:
        """The next part of an import. None: it could not go on."""
        if operation.swept:
            return await self._again(operation)
        try:
            file = await self._opened(operation)
        except WrongHeader as wrong:
            error = OperationError(index=1, code="invalid_request", detail=str(wrong))
            step = FileStep(at=self._clock.now(), failed=1, errors=(error,), swept=True)
            return await self._advance(operation, step)
        if operation.total is None:
            return await self._count(operation, file)
        rows = await file.rows(BATCH, operation.position)
        if not rows:
            return await self._advance(operation, FileStep(at=self._clock.now(), swept=True))
        return await self._write(operation, file.job, rows)

    def forget(self, operation_id: OperationId) -> None:
        """It has ended."""
        self._open.pop(operation_id, None)

    async def _opened(self, operation: Operation) -> _OpenFile:
        file = self._open.get(operation.id)
        if file is None:
            assert operation.job is not None, "an import has one"
            file = _OpenFile(lambda start: self.content(operation, start), operation.job, self._turn)
            await file.open()
            self._open[operation.id] = file
        return file

    async def _count(self, operation: Operation, file: _OpenFile) -> Operation | None:
        """The lines, some at a time."""
        rows = await file.rows(COUNTED)
        file.counted += len(rows)
        if rows:
            return operation
        del self._open[operation.id]  # it is read from the beginning now
        step = FileStep(at=self._clock.now(), job=file.job, total=file.counted)
        return await self._advance(operation, step)

    async def _write(self, operation: Operation, job: FileJob, rows: Sequence[UserLine]) -> Operation | None:
        async def write() -> Operation | None:
            batch = await self._batch(operation, job, rows)
            step = replace(batch.step, cursor=position_of(rows[-1].last))
            return await self._advance(operation, step)

        after = await repeat_on_conflict(write, TRIES)
        if after is None:
            self._open.pop(operation.id, None)  # what was read of it is not stored
        return after

    async def _again(self, operation: Operation) -> Operation | None:
        """The lines that failed, once more."""
        errors = await self._files.again(operation, BATCH)
        job = operation.job
        assert job is not None, "an import has one"
        kept = [(error, self.line(error, operation.tenant)) for error in errors]
        rows = [self._row(error, line, job) for error, line in kept]

        async def write() -> Operation | None:
            step = (await self._batch(operation, job, rows)).step
            wrong = {error.index for error in step.errors}
            mended = tuple(row.number for row in rows if row.number not in wrong)
            return await self._advance(operation, replace(step, failed=-len(mended), mended=mended))

        return await repeat_on_conflict(write, TRIES)

    def _row(self, error: OperationError, line: RefusedLine | None, job: FileJob) -> UserLine:
        if line is None:
            return UserLine(error.index, error.index, "", None, error.detail)
        raw = line.raw.decode("utf-8", "surrogatepass")
        header = Header("", [], job.delimiter or ",")._replace(names=[*job.header])
        found = next(user_lines(job.format, split(raw, job.encoding), header, job.header), None)
        if found is None:
            return UserLine(error.index, error.index, raw, None, error.detail)
        return found._replace(number=error.index, last=error.index)

    async def _batch(self, operation: Operation, job: FileJob, rows: Sequence[UserLine]) -> _Batch:
        """What these lines do to the users there are now."""
        tenant = self._ledger.setup.tenants.all()[operation.tenant]
        categories = self._ledger.setup.categories.all(operation.tenant).values()
        terms = LineTerms(tenant, categories, job.mode, self._clock.now())
        wrong: dict[int, LineFault] = {}
        said: dict[str, list[tuple[UserLine, SaidOfUser]]] = {}
        for row in rows:
            if row.document is None:
                wrong[row.number] = LineFault("invalid_request", row.problem)
                continue
            document = (
                typed(row.document, tenant.attributes) if job.format is UserFileFormat.CSV else row.document
            )
            try:
                one = self._lines.read(document, terms)
            except ClarionError as error:
                wrong[row.number] = self._lines.fault(error)
            else:
                said.setdefault(one.user_id, []).append((row, one))
        found = await self._ledger.users.find(tenant.id, [*said])
        puts: list[UserPut] = []
        users: list[PreviewedUser] = []
        topics: dict[str, dict[str, None]] = {}
        for user_id, its in said.items():
            user = found.get(user_id)
            if user is not None and user.unreadable:
                fault = self._lines.fault(UserUnreadable(user_id))
                wrong.update((row.number, fault) for row, _ in its)
                continue
            profile = None if user is None else user.profile
            records: list[ConsentRecord] = []
            last = 0
            for row, one in its:
                try:
                    profile = one.change(profile)
                except ClarionError as error:
                    wrong[row.number] = self._lines.fault(error)
                    continue
                last = row.number
                records += self._records(operation, row, one)
                for topic in one.topics:
                    topics.setdefault(topic, {})[user_id] = None
            if last and profile is not None:
                revision = 0 if user is None else user.revision
                puts.append(UserPut(id=user_id, profile=profile, revision=revision, consents=tuple(records)))
                users.append(PreviewedUser(last, user_id, user, profile))
        step = FileStep(
            at=self._clock.now(),
            done=len(rows) - len(wrong),
            failed=len(wrong),
            users=tuple(puts),
            topics={topic: tuple(members) for topic, members in topics.items()},
            errors=tuple(
                self._error(operation, row, wrong[row.number]) for row in rows if row.number in wrong
            ),
        )
        return _Batch(step, users)

    def _records(self, operation: Operation, row: UserLine, said: SaidOfUser) -> Iterator[ConsentRecord]:
        """The same ones, however often the line is read."""
        for number, (statement, origin) in enumerate(said.consents):
            once = operation.id + row.number.to_bytes(8) + number.to_bytes(4)
            at = operation.created_at if origin.at is None else origin.at
            yield self._consents.recorded(statement, replace(origin, at=at, once=once))

    def _error(self, operation: Operation, row: UserLine, fault: LineFault) -> OperationError:
        line = RefusedLine(
            raw=row.raw.encode("utf-8", "surrogatepass"),
            column=fault.pointer.removeprefix("#/").replace("/", "."),
            value=_at(row.document, fault.pointer),
        )
        sealed = self._vault.seal(self._vault.tenant_key(operation.tenant), msgspec.msgpack.encode(line))
        return OperationError(index=row.number, code=fault.code, detail=fault.detail, line=sealed)

    async def _advance(self, operation: Operation, step: FileStep) -> Operation | None:
        progress = await self._files.advance(operation, step)
        if not progress.taken:
            return None
        profiles = [put.profile for put in step.users if put.profile is not None]
        await self._countries.note(operation.tenant, profiles)
        return progress.operation

    async def _turn(self) -> None:
        await self._priority.turn(Lane.BULK)


def _at(document: Mapping[str, Any] | None, pointer: str) -> str:
    """What stands at a place, cut."""
    value: Any = document
    for step in pointer.removeprefix("#/").split("/"):
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (LookupError, TypeError, ValueError):
            return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text.encode(errors="replace").decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
