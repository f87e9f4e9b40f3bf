"""What the answer of an HTTP service means to the step that asked."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from clarion.model.ids import Instant
from clarion.model.run import StepCall
from clarion.rules.expressions import ExpressionError, compiled
from clarion.rules.steps.fetch import OUTPUT_BYTES
from clarion.rules.steps.walk import ANSWER

DEPTH = 32
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1_000, 30_000
AGAIN = frozenset({408, 425, 429})
"""With those from 500 on, what may be different next time."""
_NAMES = tuple(sorted(ANSWER))


class ServiceAnswer(NamedTuple):
    """What came of a call."""

    status: int = 0
    """0: nobody answered."""
    body: Any = None
    error: str | None = None
    """Why it is none; None: it is."""
    again: bool = False
    """It may be one next time."""
    after_ms: int = 0
    """Not sooner, says the service."""


def answered(
    status: int, raw: bytes, select: str | None, *, cut: bool, after_s: float | None
) -> ServiceAnswer:
    """What a service answered. `cut`: there was more than is read. `after_s`: its `Retry-After`."""
    if status in AGAIN or status >= 500:
        return ServiceAnswer(
            status, error=f"it answered {status}", again=True, after_ms=round((after_s or 0) * 1_000)
        )
    if not 200 <= status < 300:
        return ServiceAnswer(status, error=f"it answered {status}")
    if cut:
        return ServiceAnswer(status, error="its answer is longer than 256 KiB, or broke off")
    try:
        body = msgspec.json.decode(raw) if raw.strip() else None
        _require_usable(body, DEPTH)
        selected = (
            body if select is None else compiled(select, _NAMES).value({"status": status, "body": body})
        )
        size = len(msgspec.msgpack.encode(selected))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ServiceAnswer(status, error="its answer is no JSON")
    except RecursionError:
        return ServiceAnswer(status, error=f"its answer is nested more than {DEPTH} levels deep")
    except ExpressionError as wrong:
        return ServiceAnswer(status, error=f"select: {wrong}")
    except OverflowError:
        return ServiceAnswer(status, error="its answer has numbers that are too large")
    if size > OUTPUT_BYTES:
        return ServiceAnswer(
            status,
            error=f"more than {OUTPUT_BYTES:,} bytes of its answer would be kept: `select` what is needed",
        )
    return ServiceAnswer(status, selected)


def retry_at(answer: ServiceAnswer, call: StepCall, now: Instant) -> Instant | None:
    """When a call that failed is made again; None: never."""
    made = call.attempts + 1
    if not answer.again or made >= call.request["attempts"]:
        return None
    pause_ms = max(answer.after_ms, min(FIRST_PAUSE_MS << call.attempts, LONGEST_PAUSE_MS))
    at = Instant(now + pause_ms)
    return None if call.until is not None and at >= call.until else at


def _require_usable(value: Any, levels: int) -> None:
    """Raises RecursionError or OverflowError for what expressions and the store cannot hold."""
    if isinstance(value, dict | list):
        if not levels:
            raise RecursionError
        for one in value.values() if isinstance(value, dict) else value:
            _require_usable(one, levels - 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise OverflowError
