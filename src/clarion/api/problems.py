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
    Unknown,
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
    """What was sent there, cut short; never a secret."""
    allowed: tuple[Any, ...] = ()
    """What may stand there."""
    did_you_mean: str = ""
    """The allowed value or name that comes nearest."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error answer (RFC 9457). Programs branch on `code`; `detail` tells a person what to do."""

    type: str
    code: str
    title: str
    status: int
    detail: str
    errors: tuple[Fault, ...] = ()
    incident: str = ""
    """On unexpected errors: the id under which the log has the rest."""
    accepted: int | None = None
    """Of a bulk call of which no item was accepted: 0."""
    rejected: int | None = None
    items: tuple[Refusal, ...] = ()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one item of a bulk call."""

    index: int
    """Its place in the call, counted from 0."""
    error: Problem


class Kind(msgspec.Struct, frozen=True):
    """What is always the same about a code."""

    status: int
    title: str
    advice: str


CATALOGUE: dict[str, Kind] = {
    "invalid_request": Kind(
        400,
        "The request is not valid",
        "Read `errors`: each entry points at a field or names a parameter and says what it must be. Correct it; sending the same again will fail again.",
    ),
    "malformed_json": Kind(
        400, "The body is not JSON", "Send one valid UTF-8 JSON document (or one per line for NDJSON)."
    ),
    "unauthenticated": Kind(
        401,
        "A valid credential is needed",
        "Send `Authorization: Bearer clr_...` with a live API key; for the inbox, that user's own token works too.",
    ),
    "forbidden": Kind(
        403,
        "The credential does not allow this",
        "Use a key with the scope named in `detail` (`admin` includes `send`, `send` includes `read`).",
    ),
    "not_found": Kind(
        404, "It does not exist", "Check the spelling, and that the key belongs to the right tenant."
    ),
    "method_not_allowed": Kind(
        405, "The method is not allowed here", "Use one of the methods listed in the `Allow` header."
    ),
    "conflict": Kind(
        409,
        "It conflicts with the stored state",
        "Read the current state, then decide whether the request still makes sense.",
    ),
    "precondition_failed": Kind(
        412,
        "It is not, or no longer, as you saw it",
        "Read it again (the answer's `ETag` names its present state), decide what to keep, and send the change with that ETag in `If-Match`.",
    ),
    "precondition_required": Kind(
        428,
        "Name what the change was made from",
        "Send `If-Match` with the `ETag` of the answer you read, or `If-None-Match: *` to create. The tenant asks for it (`require_if_match`).",
    ),
    "idempotency_in_flight": Kind(
        409,
        "The first request with this key is still running",
        "Wait `Retry-After` seconds and repeat the very same request.",
    ),
    "body_too_large": Kind(
        413,
        "The body is too large",
        "Split it: the limit is in `detail`, and batches may be sent in parallel.",
    ),
    "batch_too_large": Kind(
        413, "Too many items in one call", "Send at most as many as `detail` says per call."
    ),
    "too_deep": Kind(
        413, "The JSON is nested too deeply", "Flatten the data below the depth named in `detail`."
    ),
    "unsupported_media_type": Kind(
        415, "The media type is not understood", "Set `Content-Type` to one of those named in `detail`."
    ),
    "idempotency_key_reused": Kind(
        422,
        "The idempotency key was used with another request",
        "Use a fresh key for every new request; repeat a key only with the same path and body.",
    ),
    "all_rejected": Kind(
        422, "No item of the batch was accepted", "Read `items`: each entry holds the problem of one item."
    ),
    "invalid_data": Kind(
        422,
        "The data is not what the template needs",
        "Read `errors`: they point into `data` and say what the template's `data_schema` expects there.",
    ),
    "unknown_reference": Kind(
        422,
        "A name in the request does not exist",
        'Read `errors`: each entry holds the unknown name as `value` and, where one comes near, the name that was probably meant as `did_you_mean`. Correct the name, or create what it stands for first. A recipient is created with `"create": true`.',
    ),
    "content_error": Kind(
        422,
        "The template cannot be rendered",
        "Read `errors`: they point at the field and name the line. Correct the template and store it again.",
    ),
    "too_busy": Kind(
        429,
        "A queue is full",
        "Nothing was accepted. Wait `Retry-After` seconds, then send the same again (with the same Idempotency-Key).",
    ),
    "internal": Kind(
        500,
        "Something unexpected happened",
        "This is a fault of Clarion. Report it with the `incident` id, under which the server's log has the cause.",
    ),
    "config_error": Kind(
        500,
        "The server is not configured for this",
        "Whoever runs the server must correct what `detail` names; `clarion check` finds it.",
    ),
    "data_unreadable": Kind(
        500,
        "Stored data cannot be opened",
        "The encryption key was destroyed or does not fit. For a deleted user this is final; else restore the installation key.",
    ),
    "unavailable": Kind(
        503,
        "A needed part is not available",
        "Nothing was accepted. Wait `Retry-After` seconds and repeat; `/readyz` says which part it is.",
    ),
    "stopping": Kind(
        503,
        "The server is stopping",
        "Repeat it once the server is back, with the same Idempotency-Key (if the first one was accepted after all, you get its answer) or the same `cursor`.",
    ),
    "timeout": Kind(
        503,
        "The request took too long",
        "Repeat it with the same Idempotency-Key: if the first one was accepted after all, you get its answer.",
    ),
}


class Rejected(InvalidInput):
    """A request with several faults, each at its place."""

    def __init__(self, detail: str, faults: Sequence[Fault], *, code: str = "invalid_request") -> None:
        super().__init__(detail, code=code, status=CATALOGUE[code].status, pointer=faults[0].pointer or None)
        self.faults = tuple(faults)


class AllRejected(InvalidInput):
    """A bulk call of which nothing was accepted."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """At least one."""
        detail = f"None of the {len(refusals):,} items was accepted; see `items`."
        super().__init__(detail, code="all_rejected", status=422)
        self.refusals = tuple(refusals)


class MethodNotAllowed(InvalidInput):
    """The path is right, the method is not."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        allow = ", ".join(self.allowed)
        super().__init__(f"This path takes {allow} only.", code="method_not_allowed", status=405)
        self.allow = allow


class Nowhere(InvalidInput):
    """There is no route at the path."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"There is nothing at {path}; /docs shows what there is.", code="not_found", status=404
        )


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
        "Clarion is stopping and has ended the request: repeat it once it is back.", retry_after_s=1
    )
    error.code = "stopping"
    return error


def wrong_parameter(name: str, detail: str) -> Rejected:
    """A query or path parameter that cannot be used."""
    return Rejected(detail, [Fault(detail=detail, parameter=name)])


def wrong_header(name: str, what: str) -> Rejected:
    """A header that cannot be used."""
    detail = f"the header {name} {what}."
    return Rejected(detail, [Fault(detail=detail, header=name)])


def unknown_name(one: Unknown) -> Fault:
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


def below(place: str, what: str, error: ClarionError) -> Rejected:
    """The error of a part of the body (`/config`), named `what`, as one of the whole."""
    faults = [
        msgspec.structs.replace(fault, detail=f"{what}: {fault.detail}") for fault in faults_at(place, error)
    ]
    return Rejected(faults[0].detail, faults)


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
    faults = error.faults if isinstance(error, Rejected) else ()
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
