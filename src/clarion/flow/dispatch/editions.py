"""Finds what is out of the thread of a message that takes its place, where the workflow says `supersedes`.

Which message came before stands in the explanation of each, as the plan stored it: so it is found whatever became of those
between, and however often a process crashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clarion.flow.dispatch.targets import SendTarget
from clarion.flow.lanes import InFlight
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from clarion.model.ids import MessageId, parse_id
from clarion.model.message import Message
from clarion.model.receipt import ReceiptKind
from clarion.model.status import SUCCEEDED

FURTHEST = 50
"""So many messages back it is looked for the one that is out."""
STAYS = "the earlier message of its thread stays as it is"
_BY_TAG = frozenset({Channel.IN_APP, Channel.PUSH})
"""Where a key that both have lets the newer take the place of the older."""


class _Out(NamedTuple):
    """The message that is out, and what its provider called it."""

    message: Message
    provider_id: str


class Editions:
    """Lets messages change what is out of their thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._workflows = ledger.setup.workflows
        self._plans = ledger.plans
        self._records = ledger.records

    async def find(self, route: SendTarget, group: Sequence[InFlight]) -> None:
        """Note on each what it changes, or why it changes nothing."""
        for in_flight in group:
            message = in_flight.message
            workflow = self._workflows.all(message.tenant).get(message.workflow)
            if workflow is None or not workflow.supersedes or message.channel in _BY_TAG:
                continue
            out = await self._out(message)
            if out is not None:
                self._note(route, in_flight, out)

    def _note(self, route: SendTarget, in_flight: InFlight, out: _Out) -> None:
        plugin = route.first.plugin
        if plugin.takes_back is None or not plugin.takes_back.edits:
            in_flight.note = f"{STAYS}: {plugin.title} cannot change what it has sent"
        elif out.message.integration != route.first.key:
            in_flight.note = f"{STAYS}: another integration sent it"
        elif not out.provider_id:
            in_flight.note = f"{STAYS}: its provider did not say where it is"
        else:
            in_flight.replaces = out.provider_id

    async def _out(self, message: Message) -> _Out | None:
        """The nearest before it that somebody has; None: nobody has any."""
        for _ in range(FURTHEST):
            before = await self._before(message)
            if before is None:
                return None
            if before.status in SUCCEEDED:
                timeline = await self._records.changes(before.tenant, before.id)
                if any(one.outcome == ReceiptKind.WITHDRAWN for one in timeline):
                    return None
                found = (one.provider_id for one in reversed(timeline) if one.outcome == "accepted")
                return _Out(before, next(found, None) or "")
            message = before
        return None

    async def _before(self, message: Message) -> Message | None:
        runs = await self._plans.runs_of(message.tenant, message.event_id, message.user)
        said = (
            one.inputs.get("replaced") or one.inputs.get("follows")
            for run in runs
            for channel in run.channels
            if channel.message_id == message.id
            for one in channel.verdicts
            if one.rule == "collapse"
        )
        named = next(filter(None, said), None)
        return None if named is None else await self._records.get(message.tenant, MessageId(parse_id(named)))
