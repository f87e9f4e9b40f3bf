"""Pages and lists at a million messages and a million users: how long the server takes for each, and how much it sends."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec.structs import replace

from bench.backends import serving
from bench.progress import progress
from bench.report import Figure
from bench.rig import Rig
from clarion.app.preparation import prepare_server
from clarion.app.process import App
from clarion.cli import demo
from clarion.cli.migrate import make_directory, prepare
from clarion.config import DEV_FILE, Settings
from clarion.model.ids import Instant, TenantId, new_event_id
from clarion.model.setup import Scope
from clarion.model.status import Reason, Status
from clarion.model.user import Profile, User, UserPut
from clarion.model.worker import Process
from clarion.testing.ledger_contract import LedgerSubject

USERS = MESSAGES = 1_000_000
AT_ONCE, LOOKS = 1_000, 5
SPAN_MS = 30 * 86_400_000
"""Messages are as old as this at most."""
MOST_MS, MOST_KB = 100.0, 100.0
A_DAY_MS = 86_400_000
SOMEBODY = "reader-7"
ENDS = ((Status.DELIVERED, None), (Status.SENT, None), (Status.SUPPRESSED, Reason.NO_CONTACT))
PAGES = (
    "/",
    "/ui/people",
    f"/ui/people/{SOMEBODY}",
    "/ui/workflows",
    "/ui/workflows/welcome",
    "/ui/workflows/welcome/edit",
    "/ui/workflows/welcome/test",
    "/ui/segments",
    "/ui/campaigns",
    "/ui/configuration",
    "/ui/templates",
    "/ui/stats",
)
LISTS = (
    "/v1/messages",
    f"/v1/messages?user_id={SOMEBODY}",
    "/v1/messages?status=suppressed&workflow=welcome",
    "/v1/users",
    "/v1/runs",
    "/v1/workflows",
    "/v1/stats",
)


async def pages(rig: Rig) -> list[Figure]:
    """The demo with many more users and messages, in the process of the bench."""
    users, messages = rig.much(USERS, 2_000), rig.much(MESSAGES, 2_000)
    with TemporaryDirectory(prefix="clarion-bench-") as folder:
        async with serving(rig.backend, Path(folder)) as servers:
            wanted: dict[str, Any] = {one.setting: one.url for one in servers}
            settings = Settings.load(mode="dev", data_dir=Path(folder) / "data", drain_s=0.5, **wanted)
            make_directory(settings.data_dir)
            if "database" in wanted:
                await prepare_server(settings.database, settings.key_path)
            else:
                prepare(settings)
            async with App.open(settings) as app:
                tenant = await demo.seed(app.ledger, demo.load())
                subject = await _subject(app, tenant.id)
                await _fill(subject, users, messages)
                _, key = await app.keys.create(tenant.id, "bench", Scope.READ)
                told = {"url": "http://127.0.0.1:8080", "api_key": key, "tenant": tenant.key}
                (settings.data_dir / DEV_FILE).write_bytes(msgspec.json.encode(told))
                browser = _Browser(app, key)
                found = {path: await browser.look(path) for path in (*PAGES, *LISTS)}
                await app.gateway.close(0.5)
    of = f"{messages:,} messages, {users:,} users"
    return [figure for path, (ms, size) in found.items() for figure in _figures(path, ms, size, of)]


def _figures(path: str, ms: float, size: int, of: str) -> list[Figure]:
    kind = "list" if path.startswith("/v1") else "page"
    name = f"{kind} {path}"
    weight = Figure(name=f"{name}: weight", value=size / 1e3, unit="KB", target=MOST_KB, at_most=True)
    took = Figure(name=name, value=ms, unit="ms", target=MOST_MS, at_most=True, note=of)
    return [took, weight] if kind == "page" else [took]


async def _subject(app: App, tenant: TenantId) -> Any:
    """Writes messages that are finished, with a lease that lasts."""
    subject: Any = LedgerSubject(app.ledger.store, app.clock, None)  # type: ignore[arg-type]
    subject.ledger, subject.tenant = app.ledger, tenant
    now = app.clock.now()
    subject.worker = await app.ledger.leases.open(Process(), now, Instant(now + A_DAY_MS))
    return subject


async def _fill(subject: Any, users: int, messages: int) -> None:
    known: list[User] = []
    for start in range(0, users, AT_ONCE):
        progress.tell(f"{users - start:,} users left")
        puts = [
            UserPut(id=f"reader-{number}", profile=Profile(attributes={"first_name": "Ada"}, locale="de-DE"))
            for number in range(start, min(start + AT_ONCE, users))
        ]
        await subject.ledger.users.put(subject.tenant, puts)
        if len(known) < AT_ONCE:
            known += (await subject.ledger.users.find(subject.tenant, [one.id for one in puts])).values()
    now = subject.clock.now()
    for start in range(0, messages, AT_ONCE):
        progress.tell(f"{messages - start:,} messages left")
        some = range(start, min(start + AT_ONCE, messages))
        await subject.plan(*(_message(subject, known, number, now, messages) for number in some))


def _message(subject: Any, known: list[User], number: int, now: Instant, of: int) -> Any:
    at = Instant(now - SPAN_MS + SPAN_MS * number // of)
    event = new_event_id(at, number.to_bytes(10, "big"))
    user, (status, reason) = known[number % len(known)], ENDS[number % len(ENDS)]
    message = subject.planned(user, event_id=event, workflow="welcome", status=status, reason=reason, fence=0)
    return replace(message, created_at=at)


class _Browser:
    """Asks the application, without a socket between."""

    def __init__(self, app: App, key: str) -> None:
        self._app = app
        self._key = key

    async def look(self, path: str) -> tuple[float, int]:
        """The median of some looks in milliseconds, and the bytes of the answer."""
        await self._ask(path)
        took, size = [], 0
        for _ in range(LOOKS):
            began = time.perf_counter()
            size = await self._ask(path)
            took.append((time.perf_counter() - began) * 1e3)
        return statistics.median(took), size

    async def _ask(self, path: str) -> int:
        address, _, query = path.partition("?")
        headers = {"host": "127.0.0.1:8080", "authorization": f"Bearer {self._key}"}
        sent: list[Mapping[str, Any]] = []

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(event: Mapping[str, Any]) -> None:
            sent.append(event)

        scope = {
            "type": "http",
            "method": "GET",
            "path": address,
            "raw_path": address.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await self._app.asgi(scope, receive, send)
        if sent[0]["status"] != 200:
            raise RuntimeError(f"{path}: {sent[0]['status']}")
        return sum(len(one.get("body", b"")) for one in sent[1:])
