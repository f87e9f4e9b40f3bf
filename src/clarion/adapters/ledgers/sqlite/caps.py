"""Frequency caps, counted exactly: every use is a row, and the rows inside the window are counted in the
transaction that adds the next one."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from clarion.adapters.ledgers.sqlite import statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.packing import encoded
from clarion.model.ids import MessageId, UserNo
from clarion.model.message import Verdict
from clarion.model.plan import CapCharge
from clarion.model.status import Reason


class Caps:
    """The uses that matter for some charges, and those added by them."""

    def __init__(self, connection: sqlite3.Connection, charges: Sequence[CapCharge]) -> None:
        self._uses: dict[tuple[UserNo, str], list[tuple[int, bytes]]] = defaultdict(list)
        self._added: list[CapCharge] = []
        self._since: dict[tuple[UserNo, str], int] = {}
        for charge in charges:
            cap, since = (charge.user, charge.scope), charge.at - charge.window_s * 1000
            self._since[cap] = min(since, self._since.get(cap, since))
        wanted = encoded([(*cap, since) for cap, since in self._since.items()])
        for user, scope, at, message_id in rows(connection, sql.CAPS_FIND, (wanted,)):
            self._uses[user, scope].append((at, bytes.fromhex(message_id)))

    def judge(self, charges: Sequence[CapCharge]) -> tuple[bool, list[Verdict]]:
        """Whether one message stays below all its caps, and the verdicts. Counted only when it does."""
        verdicts = [self._verdict(charge) for charge in charges]
        allowed = all(verdict.result == "allow" for verdict in verdicts)
        if allowed:
            for charge in charges:
                self._uses[charge.user, charge.scope].append((charge.at, charge.message_id))
            self._added += charges
        return allowed, verdicts

    def store(self, connection: sqlite3.Connection) -> None:
        """Writes what was counted, and drops what no window reaches any more."""
        if not self._added:
            return
        packed = [(c.user, c.scope, c.at, c.at + c.window_s * 1000) for c in self._added]
        ids = b"".join(c.message_id for c in self._added)
        oldest = min(c.at for c in self._added)
        connection.execute(sql.CAPS_PURGE, (encoded(list(self._since)), oldest))
        connection.execute(sql.CAPS_ADD, (encoded(packed), ids))

    def _verdict(self, charge: CapCharge) -> Verdict:
        since = charge.at - charge.window_s * 1000
        used = self._uses[charge.user, charge.scope]
        others = {message for at, message in used if at > since} - {charge.message_id}
        over = len(others) >= charge.limit
        return Verdict(
            rule="frequency_cap",
            result="stop" if over else "allow",
            reason=Reason.FREQUENCY_CAP.value if over else "below_cap",
            inputs={
                "scope": charge.scope,
                "limit": charge.limit,
                "window_s": charge.window_s,
                "count": len(others),
            },
        )


def by_message(charges: Iterable[CapCharge]) -> dict[MessageId, list[CapCharge]]:
    """The charges of each message, in order."""
    found: dict[MessageId, list[CapCharge]] = {}
    for charge in charges:
        found.setdefault(charge.message_id, []).append(charge)
    return found
