"""Every error Clarion raises on purpose, in one tree.

::

    ClarionError
    ├── InvalidInput            the caller sent something we cannot accept (HTTP 4xx)
    │   ├── Several                 more than one thing is wrong
    │   ├── InvalidData             the event's data is not what its templates need
    │   ├── UnknownReference        the request names somebody or something that does not exist
    │   ├── Misdirected         another region has the user
    │   ├── NotFound            the named thing does not exist in this tenant
    │   ├── PreconditionFailed      it is not, or no longer, as the caller saw it
    │   └── Conflict            it clashes with what is stored or under way
    │       ├── IdempotencyMismatch   same key, other body
    │       └── IdempotencyInFlight   same key, first request still running
    ├── Unauthenticated         no valid credential
    │   └── TokenExpired            a user token that was valid: get a new one
    ├── Forbidden               a valid credential without the needed scope
    ├── CallbackForged          nothing proves that a callback is the provider's
    ├── CallbackUnreadable      a genuine callback that makes no sense
    ├── Busy                    a queue is full; try again after `retry_after_s`
    ├── Unavailable             a part is down or the disk is full; nothing was accepted
    ├── ContentError            a template could not be rendered for this message
    ├── ConfigError             settings are unsafe or incomplete; the process must not start
    │   └── MissingPackage          they need a package that is not installed
    └── SealBroken              sealed bytes could not be opened (wrong or destroyed key)
        └── UserUnreadable          what is stored about one person

Expected failures of a provider are values (`clarion.model.outcome`), never exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple


class ClarionError(Exception):
    """Base of all deliberate errors. `code` is stable and documented; `detail` says what to do."""

    code = "internal"
    status = 500

    def __init__(self, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        """JSON pointer (`#/data/name`) of the offending field, when there is one."""


class InvalidInput(ClarionError):
    """The request is wrong and will stay wrong: fix it, do not retry."""

    code = "invalid_request"
    status = 400

    def __init__(
        self, detail: str, *, pointer: str | None = None, code: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(detail, pointer=pointer)
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class Several(InvalidInput):
    """More than one thing is wrong with what the caller sent."""

    def __init__(self, errors: Sequence[InvalidInput]) -> None:
        """At least one; each with its own place."""
        first = errors[0]
        super().__init__(first.detail, pointer=first.pointer, code=first.code, status=first.status)
        self.errors = tuple(errors)


def check_all(checks: Iterable[Callable[[], object]]) -> None:
    """Make every check. What one raises is raised at the end, together with what the others raise."""
    wrong: list[InvalidInput] = []
    for check in checks:
        try:
            check()
        except InvalidInput as error:
            wrong.append(error)
    if wrong:
        raise wrong[0] if len(wrong) == 1 else Several(wrong)


class InvalidData(InvalidInput):
    """The event's data does not satisfy the schema of a template that would be filled with it."""

    code = "invalid_data"
    status = 422

    def __init__(self, detail: str, mismatches: Sequence[tuple[str, str]]) -> None:
        """`mismatches`: JSON pointer and what is wrong there; at least one."""
        pointer, first = mismatches[0]
        super().__init__(f"{detail}: {first}.", pointer=pointer)
        self.mismatches = tuple(mismatches)


class UnknownName(NamedTuple):
    """A name in a request that nothing has."""

    noun: str
    """`user`, `topic`, `category`, ..."""
    name: str
    pointer: str
    """JSON pointer of the name."""
    advice: str = ""
    """What to do when the name is right."""
    near: str = ""
    """The name that was probably meant."""

    def __str__(self) -> str:
        """A sentence for the caller."""
        meant = f"Did you mean {self.near!r}?" if self.near else ""
        return " ".join(filter(None, (f"There is no {self.noun} {self.name!r}.", meant, self.advice)))


class UnknownReference(InvalidInput):
    """The request names something that does not exist. Nothing was stored."""

    code = "unknown_reference"
    status = 422

    def __init__(self, unknown: Sequence[UnknownName]) -> None:
        """`unknown`: at least one."""
        super().__init__("", pointer=unknown[0].pointer)
        self.say(unknown)

    def say(self, unknown: Sequence[UnknownName]) -> None:
        """Put it into words."""
        self.unknown = tuple(unknown)
        more = f" More unknown names: {len(unknown) - 1}, see `errors`." if len(unknown) > 1 else ""
        self.detail = f"{unknown[0]}{more}"


class Misdirected(InvalidInput):
    """Another region has the user: send the request there."""

    code = "misdirected_request"
    status = 421


class NotFound(InvalidInput):
    """The named thing does not exist in this tenant."""

    code = "not_found"
    status = 404


class Conflict(InvalidInput):
    """The request clashes with the stored state."""

    code = "conflict"
    status = 409


class AlreadyAnswered(Conflict):
    """Somebody has answered the question before, and otherwise: the first answer counts."""

    code = "already_answered"
    status = 409


class QuestionClosed(Conflict):
    """Nobody waits for an answer any more: its time is over, or the run has ended."""

    code = "question_closed"
    status = 409


class PreconditionFailed(InvalidInput):
    """The resource is not, or no longer, what the request was made for: read it again, then decide."""

    code = "precondition_failed"
    status = 412

    def __init__(
        self,
        detail: str,
        *,
        current: str | None,
        pointer: str | None = None,
        header: str = "",
        sent: str = "",
    ) -> None:
        """`current`: the tag of what is there now; None: nothing is. `header` demanded otherwise, saying `sent`."""
        super().__init__(detail, pointer=pointer)
        self.current = current
        self.header = header
        self.sent = sent


class IdempotencyMismatch(Conflict):
    """The idempotency key was used before with another body."""

    code = "idempotency_key_reused"
    status = 422


class IdempotencyInFlight(Conflict):
    """The first request with this idempotency key is still running: retry shortly."""

    code = "idempotency_in_flight"
    status = 409


class Unauthenticated(ClarionError):
    """No credential, or one that is malformed, unknown, expired or revoked."""

    code = "unauthenticated"
    status = 401


class TokenExpired(Unauthenticated):
    """A genuine user token whose time has passed: ask your backend for a new one."""


class Forbidden(ClarionError):
    """The credential is valid but lacks the needed scope."""

    code = "forbidden"
    status = 403


class CallbackForged(ClarionError):
    """Nothing proves that the provider made this request. `detail` says what is wrong, and quotes nothing."""

    code = "callback_forged"
    status = 403


class CallbackUnreadable(ClarionError):
    """A genuine callback that makes no sense: it is kept for a person. `detail` says what is wrong, and quotes nothing."""

    code = "callback_unreadable"
    status = 422


class Busy(ClarionError):
    """A bounded queue is full. Nothing was accepted; retry after `retry_after_s` seconds."""

    code = "too_busy"
    status = 429

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(Busy):
    """This was asked for too often. Nothing was done; retry after `retry_after_s` seconds."""

    code = "rate_limited"


class Unavailable(ClarionError):
    """A needed part is down, closing, or out of disk. Nothing was accepted; retry later."""

    code = "unavailable"
    status = 503

    def __init__(self, detail: str, *, retry_after_s: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ContentError(ClarionError):
    """A template is missing, does not compile or failed to render. Concerns one message only."""

    code = "content_error"
    status = 422

    def __init__(self, detail: str, *, pointer: str | None = None, line: int | None = None) -> None:
        super().__init__(detail, pointer=pointer)
        self.line = line


class ConfigError(ClarionError):
    """The settings are unsafe, incomplete or contradictory; the process must not start."""

    code = "config_error"


class MissingPackage(ConfigError):
    """Settings need a package that not every installation has."""

    def __init__(
        self, what: str, extra: str, *, package: str = "clarion", pointer: str | None = None
    ) -> None:
        """`what` needs the packages of an extra of `package`."""
        super().__init__(
            f"{what} needs a package that is not installed: {_installation(package, extra)}", pointer=pointer
        )


def _installation(package: str, extra: str) -> str:
    """The command that installs an extra for this very Python. It names what the extra consists of, because pip may not know
    where the package itself came from; the environment of a clone has no pip of its own."""
    import shlex
    import sys
    from importlib.metadata import requires
    from importlib.util import find_spec

    parts = [
        one.split(";") for one in requires(package) or () if f"extra == '{extra}'" in one.replace('"', "'")
    ]
    pip = (
        [sys.executable, "-m", "pip"]
        if find_spec("pip") is not None
        else [getattr(sys, "_base_executable", sys.executable), "-m", "pip", "--python", sys.executable]
    )
    return shlex.join([*pip, "install", *(named.strip() for named, _ in parts)])


class SealBroken(ClarionError):
    """Sealed bytes could not be opened: the key was destroyed, or the bytes were altered."""

    code = "data_unreadable"


class UserUnreadable(SealBroken):
    """What is stored about a person could not be opened. Concerns them only."""

    def __init__(self, user_id: str) -> None:
        super().__init__(
            f"What is stored about the user {user_id!r} cannot be opened: put back a copy of the database and its "
            "keyring, or delete the user and create them again."
        )
