"""One email to send, and the call it belongs to."""

from __future__ import annotations

import asyncio

from clarion.adapters.providers.smtp.domain_limits import Domain
from clarion.model.outcome import Outcome, Retry
from clarion.model.status import Reason
from clarion.ports.mail import Mail, OutgoingEmail
from clarion.ports.provider import Report

MOST_STARTS = 2
"""A mail whose connection ends before the relay has its body starts once more on another connection."""

STOPPED = Retry(of_address=True, detail="it was stopped before it was sent")
_NOT_BEGUN = Retry(reason=Reason.PROVIDER_TIMEOUT, detail="no connection became free in time")


class SendCall:
    """One `send`: done when every mail has its outcome."""

    __slots__ = ("_left", "done", "outcomes", "report")

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop, report: Report | None = None) -> None:
        """`report` hears of every mail before it goes, and what came of it."""
        self.report = report
        self.outcomes: list[Outcome | None] = [None] * size
        self.done: asyncio.Future[None] = loop.create_future()
        self._left = size

    def settle(self, index: int, outcome: Outcome) -> None:
        """The outcome of one mail; the first one counts."""
        if self.outcomes[index] is not None:
            return
        self.outcomes[index] = outcome
        if self.report is not None:
            self.report.ended(index, outcome)
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def begins(self, index: int) -> asyncio.Future[bool] | None:
        """Done when it is noted that this mail goes now, with whether it may; None: nobody has to know."""
        return None if self.report is None else self.report.begins(index)

    def result(self) -> list[Outcome]:
        """Every outcome, in order. What has none was not begun, and never will be."""
        for index, outcome in enumerate(self.outcomes):
            if outcome is None:
                self.settle(index, _NOT_BEGUN)
        return [outcome or _NOT_BEGUN for outcome in self.outcomes]


class SendJob:
    """A letter until it has an outcome."""

    __slots__ = ("call", "destination", "email", "index", "mail", "noted", "refusal", "sent", "starts")

    def __init__(
        self, call: SendCall, index: int, email: OutgoingEmail, destination: Domain[SendJob]
    ) -> None:
        self.call = call
        self.index = index
        self.email = email
        self.destination = destination
        self.mail: Mail | None = None
        """Made when a connection takes it."""
        self.refusal: Outcome | None = None
        """What became of its envelope, when that was refused."""
        self.noted: asyncio.Future[bool] | None = None
        """Whether its body may go; None: it may."""
        self.sent = False
        """The final dot has left: from here on it may arrive."""
        self.starts = 0

    @property
    def is_stopped(self) -> bool:
        """Its body must not go, or that it goes could not be noted."""
        noted = self.noted
        if noted is None or not noted.done():
            return False
        return noted.cancelled() or noted.exception() is not None or not noted.result()

    @property
    def is_settled(self) -> bool:
        """It has its outcome."""
        return self.call.outcomes[self.index] is not None
