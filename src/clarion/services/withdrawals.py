"""Takes messages back: those that are not sent are canceled, those that are out are withdrawn or edited where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from clarion.flow.ledger import Ledger
from clarion.model.content import AnyContent
from clarion.model.message import Message
from clarion.model.status import Reason, Status
from clarion.model.user import User
from clarion.model.withdrawal import Withdrawal
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.withdrawals import is_out
from clarion.services.cancellations import Cancellations


class TakenBack(StrEnum):
    """What comes of it."""

    CANCELED = "canceled"
    """It was not sent, and will not be."""
    ASKED = "asked"
    """It is out. Its provider is asked; the timeline says what came of it."""
    NOTHING = "nothing"
    """Nobody has it, and nobody will."""


class WithdrawalService:
    """Withdraws and edits messages. What is asked is durable when a call returns, and done soon after (`wake`)."""

    def __init__(
        self,
        ledger: Ledger,
        cancellations: Cancellations,
        wake: Callable[[], None],
        vault: Vault,
        clock: Clock,
    ) -> None:
        """`wake` lets the sender of withdrawals look at once."""
        self._withdrawals = ledger.withdrawals
        self._records = ledger.records
        self._cancellations = cancellations
        self._wake = wake
        self._vault = vault
        self._clock = clock

    async def withdraw(self, messages: Sequence[Message]) -> Sequence[TakenBack]:
        """Take messages back, of any tenant and in any status; what comes of each. Repeating it is harmless."""
        return [await self._take_back(message, None) for message in messages]

    async def edit(self, message: Message, user: User, content: AnyContent) -> TakenBack:
        """Have a message that is out show other content of its channel: the same Slack message, inbox item or notification.
        One that is not sent is canceled.

        The timeline says `edited`, or `not_withdrawn` with the reason where the channel cannot (`ProviderPlugin.takes_back`).
        The latest edit counts. Repeating it is harmless.
        """
        return await self._take_back(message, self._vault.seal(user.key, msgspec.json.encode(content)))

    async def _take_back(self, message: Message, sealed: bytes | None) -> TakenBack:
        status = await self._cancellations.message(message, Reason.WITHDRAWN)
        now = self._clock.now()
        if not is_out(
            message if status is Status.CANCELED else msgspec.structs.replace(message, status=status)
        ):
            return TakenBack.CANCELED if status is Status.CANCELED else TakenBack.NOTHING
        asked = Withdrawal(
            tenant=message.tenant,
            user=message.user,
            message_id=message.id,
            asked_at=now,
            due_at=now,
            sealed=sealed,
        )
        await self._withdrawals.ask([asked])
        if not terms.dry_running():
            self._wake()
        return TakenBack.ASKED
