"""One connected device: a session and the line it speaks over. Transports are subclasses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from clarion.gateway.close_codes import CloseCode
from clarion.gateway.frames import Frame
from clarion.gateway.session import Abort, Effects, Mark, Session

if TYPE_CHECKING:
    from clarion.gateway.user_stream import UserStream


class Device(ABC):
    """Carries out what its session says. A line that blocks must say so to the session and drain it later."""

    __slots__ = ("feed", "session", "slot")

    def __init__(self, session: Session, feed: UserStream) -> None:
        self.session = session
        self.feed = feed
        self.slot = 0
        """Its place in the wheel."""

    def perform(self, effects: Effects) -> Mark | None:
        """Send and close as told; what only the ledger can do is handed back."""
        wanted = None
        for effect in effects:
            if type(effect) is Frame:
                self.send(effect)
            elif type(effect) is CloseCode:
                self.close(effect)
            elif type(effect) is Mark:
                wanted = effect
            elif type(effect) is Abort:
                self.abort()
        return wanted

    @abstractmethod
    def send(self, frame: Frame) -> None:
        """Write at once, or block the session and write when the line is free. Never raises, never waits."""

    @abstractmethod
    def close(self, close: CloseCode) -> None:
        """Tell the client why, then end the connection."""

    @abstractmethod
    def abort(self) -> None:
        """End the connection without a word."""

    @abstractmethod
    def leave(self) -> None:
        """The connection has ended: let go of everything."""
