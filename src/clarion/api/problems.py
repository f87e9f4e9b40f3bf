"""The problem catalogue: every error answer of the HTTP edge, as RFC 9457 `application/problem+json`.

A code is stable, has one status, and an entry in `docs/reference/errors.md` (tests compare all three).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from clarion.errors import (
    Busy,
    ClarionError,
    InvalidData,
    InvalidInput,
    PreconditionFailed,
    Several,
    Unauthenticated,
    Unavailable,
    UnknownName,
    UnknownReference,
)

MEDIA_TYPE = b"application/problem+json"
DOCS = "/docs/errors#"
MOST = 100
"""Faults in one answer; whoever has more has a systematic one."""
LONGEST = 1_000
"""Characters of a text: what a caller sent is quoted in many, and callers send anything."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong."""

    detail: str
    code: str = ""
    """What kind of fault it is, for programs: `unknown_field`, `missing`, `wrong_type`, `not_allowed`, ..."""
    pointer: str = ""
    """JSON pointer of the offending place in the body, `#/recipients/0/email`."""
    parameter: str = ""
    """Name of the offending query or path parameter."""
    header: str = ""
    """Name of the offending header."""
    value: Any = None
    """The value that was sent, shortened; never a secret."""
    allowed: tuple[Any, ...] = ()
    """The allowed values."""
    did_you_mean: str = ""
    """The nearest allowed value or name."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error answer (RFC 9457). Programs branch on `code`; `detail` tells a person what to do."""

    type: str
    code: str
    title: str
    status: int
    detail: str
    errors: tuple[Fault, ...] = ()
    incident: str = ""
    """For unexpected errors: the id under which the server's log has the cause."""
    accepted: int | None = None
    """0, if no item of a bulk call was accepted."""
    rejected: int | None = None
    items: tuple[Refusal, ...] = ()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one item of a bulk call."""

    index: int
    """Its place in the call, counted from 0."""
    error: Problem


class ProblemKind(msgspec.Struct, frozen=True):
    """What is always the same about a code."""

    status: int
    title: str
    advice: str


CATALOGUE: dict[str, ProblemKind] = {
    "invalid_request": ProblemKind(
        400,
        "The request is not valid",
        "Read `errors`: each entry points at a field or names a parameter and says what it must be. Correct it; sending the same again will fail again.",
    ),
    "malformed_json": ProblemKind(
        400, "The body is not JSON", "Send one valid UTF-8 JSON document (or one per line for NDJSON)."
    ),
    "unauthenticated": ProblemKind(
        401,
        "A valid credential is needed",
        "Send `Authorization: Bearer clr_...` with a live API key; for the inbox, that user's own token works too.",
    ),
    "forbidden": ProblemKind(
        403,
        "The credential does not allow this",
        "Use a key with the scope named in `detail` (`admin` includes `send`, `send` includes `read`).",
    ),
    "callback_forged": ProblemKind(
        403,
        "Nothing proves that the provider sent this callback",
        "For the operator: compare the integration's secrets, `public_url` and the URL in the provider's settings. Nothing was stored.",
    ),
    "not_found": ProblemKind(
        404, "Not found", "Check the spelling, and check that the API key belongs to the right tenant."
    ),
    "method_not_allowed": ProblemKind(
        405, "The method is not allowed here", "Use one of the methods listed in the `Allow` header."
    ),
    "misdirected_request": ProblemKind(
        421,
        "Another process or region answers this",
        "Send the request to a process that has the role, or to the region, that `detail` names, or correct the proxy in front.",
    ),
    "conflict": ProblemKind(
        409,
        "The request conflicts with the stored state",
        "Read the current state, then decide whether the request still makes sense.",
    ),
    "older_sequence": ProblemKind(
        409,
        "The live resource has a newer state",
        "Nothing: the newer state is shown. To replace it as well, send a greater `sequence`.",
    ),
    "live_ended": ProblemKind(
        409,
        "The live resource has ended",
        "Start another one under a new key, or delete this one first.",
    ),
    "precondition_failed": ProblemKind(
        412,
        "The resource has changed since you read it",
        "Read the resource again: the `ETag` of the answer names its present state. Decide what to keep, then send the change with that ETag in `If-Match`.",
    ),
    "precondition_required": ProblemKind(
        428,
        "The change must carry `If-Match`",
        "Send `If-Match` with the `ETag` of the answer you read, or `If-None-Match: *` to create. The tenant's setting `require_if_match` demands it.",
    ),
    "already_answered": ProblemKind(
        409,
        "The question was answered before",
        "The first answer counts, and the `detail` names it. `GET /v1/runs/{id}` shows it too.",
    ),
    "question_closed": ProblemKind(
        409,
        "Nobody waits for an answer any more",
        "The time for an answer is over, or the run has ended. `GET /v1/runs/{id}` shows what became of it.",
    ),
    "idempotency_in_flight": ProblemKind(
        409,
        "The first request with this key is still running",
        "Wait `Retry-After` seconds, then send the same request again.",
    ),
    "body_too_large": ProblemKind(
        413,
        "The body is too large",
        "Split the body into smaller requests: the limit is in `detail`. You may send them in parallel.",
    ),
    "batch_too_large": ProblemKind(
        413, "Too many items in one call", "Send fewer items per call: the limit is in `detail`."
    ),
    "too_deep": ProblemKind(
        413, "The JSON is nested too deeply", "Flatten the data: the greatest depth allowed is in `detail`."
    ),
    "unsupported_media_type": ProblemKind(
        415,
        "The media type is not supported",
        "Set `Content-Type` to one of the types named in `detail`.",
    ),
    "idempotency_key_reused": ProblemKind(
        422,
        "The idempotency key was used for another request",
        "Use a new key for every new request. Repeat a key only with the same path and body.",
    ),
    "all_rejected": ProblemKind(
        422, "No item of the batch was accepted", "Read `items`: each entry holds the problem of one item."
    ),
    "invalid_data": ProblemKind(
        422,
        "The data does not match its schema",
        "Read `errors`: each entry points into `data` and says what the `data_schema` expects there.",
    ),
    "unknown_reference": ProblemKind(
        422,
        "A name in the request does not exist",
        'Read `errors`: each entry has the unknown name as `value` and, if a similar name exists, that name as `did_you_mean`. Correct the name, or create the missing resource first. To create a recipient with the event, send `"create": true`.',
    ),
    "callback_unreadable": ProblemKind(
        422,
        "The callback makes no sense",
        "The provider's signature is right, but what it reports was not understood. Update the provider's plug-in, then retry; or delete the callback.",
    ),
    "content_error": ProblemKind(
        422,
        "The template cannot be rendered",
        "Read `errors`: each entry points at a field and names the line. Correct the template and store it again.",
    ),
    "too_busy": ProblemKind(
        429,
        "A queue is full",
        "Nothing was accepted. Wait `Retry-After` seconds, then send the same request again with the same Idempotency-Key.",
    ),
    "rate_limited": ProblemKind(
        429,
        "Asked for too often",
        "Nothing was done. Wait `Retry-After` seconds. `detail` says what the limit is.",
    ),
    "internal": ProblemKind(
        500,
        "Unexpected error",
        "This is a bug in Clarion. Report it with the `incident` id. The server's log has the cause under that id.",
    ),
    "config_error": ProblemKind(
        500,
        "The server is not configured for this",
        "The operator of the server must correct the setting named in `detail`. `clarion check` finds it.",
    ),
    "data_unreadable": ProblemKind(
        500,
        "Stored data cannot be decrypted",
        "The encryption key was destroyed or is the wrong one. For a deleted user this is final. Otherwise restore the installation key.",
    ),
    "unavailable": ProblemKind(
        503,
        "A required part is not available",
        "Nothing was accepted. Wait `Retry-After` seconds, then send the request again. `/readyz` names the part that fails.",
    ),
    "stopping": ProblemKind(
        503,
        "The server is stopping",
        "Send the request again once the server is back, with the same Idempotency-Key or the same `cursor`. If the first request was accepted, you get its answer.",
    ),
    "timeout": ProblemKind(
        503,
        "The request took too long",
        "Send the request again with the same Idempotency-Key. If the first request was accepted, you get its answer.",
    ),
}


class RejectedRequest(InvalidInput):
    """A request with several faults, each at its place."""

    def __init__(self, detail: str, faults: Sequence[Fault], *, code: str = "invalid_request") -> None:
        super().__init__(detail, code=code, status=CATALOGUE[code].status, pointer=faults[0].pointer or None)
        self.faults = tuple(faults)


class AllRejected(InvalidInput):
    """A bulk call of which nothing was accepted."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """At least one."""
        detail = f"None of the {len(refusals):,} items was accepted: see `items`."
        super().__init__(detail, code="all_rejected", status=422)
        self.refusals = tuple(refusals)


class MethodNotAllowed(InvalidInput):
    """The path is right, the method is not."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        allow = ", ".join(self.allowed)
        super().__init__(
            f"This path accepts only these methods: {allow}.", code="method_not_allowed", status=405
        )
        self.allow = allow


class Nowhere(InvalidInput):
    """There is no route at the path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no route {path}. /docs lists all routes.", code="not_found", status=404)


def refuse(code: str, detail: str, *, pointer: str | None = None) -> InvalidInput:
    """The error of a catalogued code."""
    return InvalidInput(detail, pointer=pointer, code=code, status=CATALOGUE[code].status)


def timed_out(seconds: float) -> Unavailable:
    """The request took longer than it may."""
    error = Unavailable(f"The request took longer than {seconds:g} seconds.", retry_after_s=1)
    error.code = "timeout"
    return error


def cut_off() -> Unavailable:
    """The server stops, and had to end the request."""
    error = Unavailable(
        "Clarion is stopping and has ended the request: send it again once Clarion is back.", retry_after_s=1
    )
    error.code = "stopping"
    return error


def wrong_parameter(name: str, detail: str) -> RejectedRequest:
    """A query or path parameter that cannot be used."""
    return RejectedRequest(detail, [Fault(detail=detail, parameter=name)])


def wrong_header(name: str, what: str) -> RejectedRequest:
    """A header that cannot be used."""
    detail = f"The header {name} {what}."
    return RejectedRequest(detail, [Fault(detail=detail, header=name)])


def unknown_name(one: UnknownName) -> Fault:
    """The fault of a name that nothing has."""
    return Fault(
        detail=str(one),
        pointer=one.pointer,
        code=UnknownReference.code,
        value=_bounded(one.name),
        did_you_mean=one.near,
    )


def faults_of(error: ClarionError) -> tuple[Fault, ...]:
    """What is wrong, as faults; at least one."""
    return problem(error).errors or (Fault(detail=error.detail),)


def below(place: str, what: str, error: ClarionError) -> RejectedRequest:
    """The error of a part of the body (`/config`), named `what`, as one of the whole."""
    faults = [
        msgspec.structs.replace(fault, detail=f"{what}: {fault.detail}") for fault in faults_at(place, error)
    ]
    return RejectedRequest(faults[0].detail, faults)


def faults_at(place: str, error: ClarionError) -> tuple[Fault, ...]:
    """The faults of an error, their pointers moved below `place` (`/3`)."""
    faults = faults_of(error)
    return tuple(
        msgspec.structs.replace(fault, pointer=f"#{place}{fault.pointer.removeprefix('#')}")
        for fault in faults
    )


def problem(error: ClarionError, incident: str = "") -> Problem:
    """What to answer for `error`. The details of server-side faults stay in the log."""
    code = error.code if error.code in CATALOGUE else "internal"
    kind = CATALOGUE[code]
    faults = error.faults if isinstance(error, RejectedRequest) else ()
    if isinstance(error, InvalidData):
        faults = tuple(Fault(detail=detail, pointer=pointer) for pointer, detail in error.mismatches)
    if isinstance(error, UnknownReference):
        faults = tuple(map(unknown_name, error.unknown))
    if isinstance(error, Several):
        faults = tuple(fault for one in error.errors for fault in faults_of(one))
    if isinstance(error, PreconditionFailed) and error.header:
        faults = (Fault(detail=error.detail, code=code, header=error.header, value=error.sent[:100]),)
    if not faults and error.pointer is not None:
        faults = (Fault(detail=error.detail, pointer=error.pointer),)
    hidden = code == "internal"
    refusals = error.refusals if isinstance(error, AllRejected) else ()
    return Problem(
        type=DOCS + code,
        code=code,
        title=kind.title,
        status=kind.status,
        detail=kind.advice if hidden else _bounded(error.detail),
        errors=() if hidden else tuple(map(_bounded_fault, faults[:MOST])),
        incident=incident,
        accepted=0 if refusals else None,
        rejected=len(refusals) or None,
        items=refusals,
    )


def _bounded_fault(fault: Fault) -> Fault:
    if max(len(fault.detail), len(fault.pointer), len(fault.parameter)) <= LONGEST:
        return fault
    return msgspec.structs.replace(
        fault,
        detail=_bounded(fault.detail),
        pointer=_bounded(fault.pointer),
        parameter=_bounded(fault.parameter),
    )


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def headers_of(error: ClarionError) -> list[tuple[bytes, bytes]]:
    """What an error answer says besides its body: when to come back, or how to identify oneself."""
    if isinstance(error, Busy | Unavailable):
        return [(b"retry-after", b"%d" % max(1, error.retry_after_s))]
    if error.code == "idempotency_in_flight":
        return [(b"retry-after", b"1")]
    if isinstance(error, Unauthenticated):
        return [(b"www-authenticate", b'Bearer realm="clarion"')]
    if isinstance(error, PreconditionFailed) and error.current is not None:
        return [(b"etag", f'"{error.current}"'.encode())]
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", error.allow.encode())]
    return []
