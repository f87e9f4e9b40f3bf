"""Frequency caps, counted exactly: every use is a row, and the rows inside the window are counted in the
transaction that adds the next one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache

from clarion.adapters.ledgers.sqlite import statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.packing import encoded
from clarion.model.ids import MessageId, UserNo
from clarion.model.message import Verdict
from clarion.model.plan import CapCharge
from clarion.model.status import Reason


class Caps:
    """How far the caps of some charges are used up, and what those charges add.

    A message is judged once in its life (a replay is known before it comes here), so no use is its own. What is
    over a cap is not counted, so a count never exceeds its limit by more than what was lowered since.
    """

    def __init__(self, connection: sqlite3.Connection, charges: Sequence[CapCharge]) -> None:
        self._added: list[CapCharge] = []
        since: dict[tuple[UserNo, str, int], int] = {}
        for charge in charges:
            cap, start = _cap(charge), charge.at - charge.window_s * 1000
            since[cap] = min(start, since.get(cap, start))
        wanted = encoded([(user, scope, start) for (user, scope, _), start in since.items()])
        self._used = dict(zip(since, rows(connection, sql.CAPS_COUNT, (wanted,)), strict=True))

    def judge(self, charges: Sequence[CapCharge]) -> tuple[bool, list[Verdict]]:
        """Whether one message stays below all its caps, and the verdicts. Counted only when it does."""
        used = self._used
        caps = [_cap(charge) for charge in charges]
        verdicts = [
            _verdict(charge.scope, charge.limit, charge.window_s, used[cap])
            for charge, cap in zip(charges, caps, strict=True)
        ]
        allowed = all(used[cap] < charge.limit for charge, cap in zip(charges, caps, strict=True))
        if allowed:
            for cap in caps:
                used[cap] += 1
            self._added += charges
        return allowed, verdicts

    def store(self, connection: sqlite3.Connection) -> None:
        """Writes what was counted, and drops what no window reaches any more."""
        if not self._added:
            return
        packed = [(c.user, c.scope, c.at, c.at + c.window_s * 1000) for c in self._added]
        ids = b"".join(c.message_id for c in self._added)
        oldest = min(c.at for c in self._added)
        connection.execute(
            sql.CAPS_PURGE, (encoded(list({(user, scope) for user, scope, _ in self._used})), oldest)
        )
        connection.execute(sql.CAPS_ADD, (encoded(packed), ids))


@lru_cache(maxsize=4_096)
def _verdict(scope: str, limit: int, window_s: int, count: int) -> Verdict:
    over = count >= limit
    return Verdict(
        rule="frequency_cap",
        result="stop" if over else "allow",
        reason=Reason.FREQUENCY_CAP.value if over else "below_cap",
        inputs={"scope": scope, "limit": limit, "window_s": window_s, "count": count},
    )


def _cap(charge: CapCharge) -> tuple[UserNo, str, int]:
    """Uses of one scope are shared; every window over them counts for itself."""
    return charge.user, charge.scope, charge.window_s


def by_message(charges: Iterable[CapCharge]) -> dict[MessageId, list[CapCharge]]:
    """The charges of each message, in order."""
    found: dict[MessageId, list[CapCharge]] = {}
    for charge in charges:
        found.setdefault(charge.message_id, []).append(charge)
    return found
