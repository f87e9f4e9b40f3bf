"""The two ingest routes: bare ASGI, because every event of an installation comes through here.

They share credentials, limits and problem catalogue with all other routes and stand in the same OpenAPI document.
Budget: 30 us of CPU for a single event, 3 us for one of a batch, the engine not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl

import msgspec

from clarion.api import request_bodies, submissions
from clarion.api.cloudevents import is_json
from clarion.api.dependencies import ApiParts
from clarion.api.idempotency import REPLAYED, fingerprint, key_of
from clarion.api.problems import MEDIA_TYPE, RejectedRequest, faults_at, problem, refuse, wrong_parameter
from clarion.api.references import suggest
from clarion.api.responses import JSON, HttpScope, Send, answer
from clarion.errors import ClarionError, IdempotencyInFlight, IdempotencyMismatch, NotFound, UnknownReference
from clarion.model.ids import TenantId, id_text
from clarion.model.submission import Acceptance, Notice, Submission
from clarion.rules.explain import explanation

CHUNK = 64
"""Items of a batch read between two looks at other requests."""
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

Results = list[Acceptance | ClarionError | None]


class EventsAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The event is durable."""

    event_id: str
    accepted: int
    """Number of recipients times number of workflows; 0 if no workflow matches."""
    created_users: tuple[str, ...]
    """Users that were created, because `create` asked for it."""
    warnings: tuple[Notice, ...]
    """Reasons why messages will wait, such as a channel without an integration."""


class Ingest:
    """`POST /v1/workflows/{key}/trigger` and `POST /v1/events`."""

    def __init__(self, parts: ApiParts) -> None:
        self._pipeline = parts.pipeline
        self._dry_runs = parts.services.dry_runs
        self._directory = parts.ledger.directory
        self._limits = parts.limits
        self._clock = parts.clock

    async def trigger(
        self, workflow: str, scope: HttpScope, receive: request_bodies.Receive, send: Send
    ) -> None:
        """Accept one event for one workflow."""
        headers = dict(scope["headers"])
        tenant: TenantId = scope["auth"].tenant
        dry_run, skip_waits = _dry_run(scope["query_string"])
        given = headers.get(b"content-type")
        if given != b"application/json" and given is not None and not is_json(given.decode("latin-1")):
            raise refuse("unsupported_media_type", "Send `Content-Type: application/json`.")
        body = await request_bodies.read(receive, headers, self._limits.body_bytes)
        request_bodies.check_depth(body, self._limits.depth)
        request_bodies.check_text(body)
        submission = submissions.of_trigger(body, workflow, _traceparent(headers))
        try:
            if dry_run:
                await self._dry_run_all(send, tenant, (submission,), skip_waits)
                return
            if b"idempotency-key" in headers:
                submission = _claimed(submission, key_of(scope["headers"]), fingerprint(scope, body))
            await self._accept_one(send, tenant, submission)
        except NotFound as wrong:
            wrong.pointer = None  # the workflow stands in the path, not in the body
            raise

    async def events(self, _: str, scope: HttpScope, receive: request_bodies.Receive, send: Send) -> None:
        """Accept one event, or a batch of CloudEvents and triggers."""
        headers = dict(scope["headers"])
        tenant: TenantId = scope["auth"].tenant
        dry_run, skip_waits = _dry_run(scope["query_string"])
        submissions.check_media_type(headers)
        body = await request_bodies.read(receive, headers, self._limits.body_bytes)
        request_bodies.check_text(body)
        trace = _traceparent(headers)
        claim = key_of(scope["headers"])
        mark = fingerprint(scope, body) if claim else b""
        items = submissions.items_of(headers, body)
        if items is None:
            request_bodies.check_depth(body, self._limits.depth)
            submission = submissions.of_single(scope["headers"], body, trace)
            if dry_run:
                await self._dry_run_all(send, tenant, (submission,), skip_waits)
                return
            await self._accept_one(send, tenant, _claimed(submission, claim, mark) if claim else submission)
            return
        if len(items) > self._limits.batch:
            raise refuse("batch_too_large", f"One call takes at most {self._limits.batch:,} events.")
        results, good = await self._parsed(items, trace)
        if dry_run:
            _need_all(results)
            await self._dry_run_all(send, tenant, good.values(), skip_waits)
            return
        if claim:
            await self._accept_claimed(tenant, results, good, claim, mark)
        elif good:
            outcomes = await self._pipeline.submit(tenant, list(good.values()))
            for index, outcome in zip(good, outcomes, strict=True):
                results[index] = outcome
        await suggest(self._directory, tenant, results)
        await _answer_batch(send, results, replayable=claim != "")

    async def _parsed(self, items: Sequence[bytes], trace: str) -> tuple[Results, dict[int, Submission]]:
        """A slot per item, holding its error if it has one, and the good submissions by index."""
        results: Results = [None] * len(items)
        good: dict[int, Submission] = {}
        for index, item in enumerate(items):
            try:
                request_bodies.check_depth(item, self._limits.depth)
                good[index] = submissions.of_item(item, trace)
            except ClarionError as wrong:
                results[index] = wrong
            if index % CHUNK == CHUNK - 1:
                await self._clock.sleep(0)  # A large batch must not keep the loop from what is urgent.
        return results, good

    async def _accept_one(self, send: Send, tenant: TenantId, submission: Submission) -> None:
        (result,) = await self._pipeline.submit(tenant, (submission,))
        if isinstance(result, ClarionError):
            await suggest(self._directory, tenant, (result,))
            raise result
        body = (
            f'{{"event_id":"{id_text(result.event_id)}","accepted":{result.accepted},'
            f'"created_users":{_json(result.created_users)},"warnings":{_json(result.notices)}}}'
        ).encode()
        headers = [*JSON, (b"content-length", b"%d" % len(body))]
        if result.repeated and submission.idempotency_key:
            headers.append(REPLAYED)
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _accept_claimed(
        self, tenant: TenantId, results: Results, good: dict[int, Submission], claim: str, fingerprint: bytes
    ) -> None:
        """One idempotency key covers the call: its first event goes ahead alone and holds the key itself, so that
        another call under the same key is refused before any of it is accepted."""
        pending = [
            (index, _claimed(submission, f"{claim}#{index}" if position else claim, fingerprint))
            for position, (index, submission) in enumerate(good.items())
        ]
        for part in (pending[:1], pending[1:]):
            if not part:
                return
            outcomes = await self._pipeline.submit(tenant, [submission for _, submission in part])
            for (index, _), outcome in zip(part, outcomes, strict=True):
                if isinstance(outcome, IdempotencyMismatch | IdempotencyInFlight):
                    raise outcome
                results[index] = outcome

    async def _dry_run_all(
        self, send: Send, tenant: TenantId, planned: Iterable[Submission], skip_waits: bool
    ) -> None:
        try:
            runs = [
                explanation(run, user_id)
                for submission in planned
                for user_id, run in await self._dry_runs.runs(tenant, submission, skip_waits=skip_waits)
            ]
        except UnknownReference as wrong:
            await suggest(self._directory, tenant, (wrong,))
            raise
        await answer(send, 200, msgspec.json.encode({"dry_run": True, "runs": runs}))


def _need_all(results: Results) -> None:
    faults = [
        fault
        for index, wrong in enumerate(results)
        if isinstance(wrong, ClarionError)
        for fault in faults_at(f"/{index}", wrong)
    ]
    if faults:
        raise RejectedRequest("A dry run needs every event to be valid; see `errors`.", faults)


async def _answer_batch(send: Send, results: Results, *, replayable: bool) -> None:
    lines: list[str] = []
    accepted, repeated = 0, 0
    for index, result in enumerate(results):
        if isinstance(result, Acceptance):
            accepted += 1
            repeated += result.repeated
            lines.append(
                f'{{"index":{index},"event_id":"{id_text(result.event_id)}","accepted":{result.accepted},'
                f'"created_users":{_json(result.created_users)},"warnings":{_json(result.notices)}}}'
            )
        elif result is not None:
            lines.append(f'{{"index":{index},"error":{msgspec.json.encode(problem(result)).decode()}}}')
    rejected = len(lines) - accepted
    items = f'"accepted":{accepted},"rejected":{rejected},"items":[{",".join(lines)}]}}'.encode()
    if lines and not accepted:
        whole = problem(refuse("all_rejected", f"None of the {rejected:,} items was accepted; see `items`."))
        body = msgspec.json.encode(whole)[:-1] + b"," + items
        await answer(send, whole.status, body, media_type=MEDIA_TYPE)
    elif replayable and repeated == accepted > 0:
        await answer(send, 202, b"{" + items, REPLAYED)
    else:
        await answer(send, 202, b"{" + items)


def _json(values: Sequence[str] | Sequence[Notice]) -> str:
    return msgspec.json.encode(values).decode() if values else "[]"


def _claimed(submission: Submission, claim: str, fingerprint: bytes) -> Submission:
    return msgspec.structs.replace(submission, idempotency_key=claim, fingerprint=fingerprint)


def _traceparent(headers: Mapping[bytes, bytes]) -> str:
    """The caller's W3C trace context, if it is one: a broken trace is no reason to refuse an event."""
    value = headers.get(b"traceparent")
    return value.decode() if value is not None and _TRACEPARENT.fullmatch(value) else ""


def _dry_run(query: bytes) -> tuple[bool, bool]:
    """Whether it is one, and whether it goes on behind waits."""
    if not query:
        return False, False
    wanted = {"dry_run": False, "skip_waits": False}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in wanted:
            known = "only `dry_run` and `skip_waits` are known here"
            raise wrong_parameter(name, f"unknown parameter `{name}`; {known}.")
        if value.lower() not in ("true", "false"):
            raise wrong_parameter(name, f"`{name}` is true or false.")
        wanted[name] = value.lower() == "true"
    if wanted["skip_waits"] and not wanted["dry_run"]:
        raise wrong_parameter("skip_waits", "only a dry run skips waits: give `dry_run=true` too.")
    return wanted["dry_run"], wanted["skip_waits"]
