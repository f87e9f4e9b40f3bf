"""A connected device, and the stream that all devices of a user share. Transports are subclasses of `ConnectedDevice`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from clarion.gateway.close_codes import CloseCode
from clarion.gateway.frames import Frame
from clarion.gateway.session import Abort, Effects, Mark, Session
from clarion.model.ids import TenantId, UserNo
from clarion.model.inbox import InboxCounts
from clarion.model.user import User

NOTHING = InboxCounts(unseen=0, unread=0, total=0)


class ConnectedDevice(ABC):
    """Carries out what its session says. A line that blocks must say so to the session and drain it later."""

    __slots__ = ("session", "slot", "stream")

    def __init__(self, session: Session, stream: UserStream) -> None:
        self.session = session
        self.stream = stream
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


class UserStream:
    """All live devices of a user stand at `offset`: a change is encoded once and moves them together."""

    __slots__ = (
        "announced",
        "counts",
        "devices",
        "epoch",
        "followed",
        "key",
        "offset",
        "reading",
        "tenant",
        "user",
    )

    def __init__(self, user: User) -> None:
        self.user: UserNo = user.no
        self.tenant: TenantId = user.tenant
        self.key = user.key
        self.epoch = user.inbox_epoch
        self.offset = 0
        self.counts = NOTHING
        self.announced = 0
        """The newest offset somebody has told of; the ledger has it."""
        self.followed: asyncio.Future[None] | None = None
        """Done when every change comes here; None: it does."""
        self.reading = asyncio.Lock()
        """Held while the ledger is asked where the inbox stands."""
        self.devices: tuple[ConnectedDevice, ...] = ()

    def add(self, device: ConnectedDevice) -> None:
        """From now on it gets every change."""
        self.devices = (*self.devices, device)

    def remove(self, device: ConnectedDevice) -> None:
        """It has gone."""
        self.devices = tuple(other for other in self.devices if other is not device)
