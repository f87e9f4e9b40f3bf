"""What steps bring together: a value in the data, always written the same."""

from __future__ import annotations

import msgspec

from clarion.rules.expressions import ExpressionError
from clarion.rules.keys import canonical
from clarion.rules.match import MISSING, resolve
from clarion.rules.steps.walk import Walk

LONGEST_KEY = 1_024

_decode = msgspec.json.Decoder().decode


def key_by(walk: Walk, by: str) -> bytes:
    """The value behind `by`, always written the same. Raises ExpressionError when there is none."""
    if by.startswith("/"):
        value = resolve(_decode(walk.facts.event.data), by)
        if value is MISSING:
            raise ExpressionError(f"nothing stands at {by} in the data")
    else:
        value = walk.value(by)
    if value is None:
        raise ExpressionError("its value is null")
    found = canonical(value)
    if len(found) > LONGEST_KEY:
        raise ExpressionError(f"its value has more than {LONGEST_KEY} bytes")
    return found
