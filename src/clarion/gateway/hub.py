"""The hub: knows which devices are connected, and sends them inbox changes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress

import structlog
from msgspec.structs import replace

from clarion.errors import ClarionError
from clarion.gateway import frames
from clarion.gateway.close_codes import (
    FULL,
    SHUTTING_DOWN,
    STATE_LOST,
    TOO_MANY_CONNECTIONS,
    USER_DELETED,
    CloseCode,
)
from clarion.gateway.dependencies import GatewayParts
from clarion.gateway.device import ConnectedDevice, UserStream
from clarion.gateway.frames import Frame
from clarion.gateway.session import Effects, Mark, Resume, Session, SessionState
from clarion.gateway.timer_wheel import TimerWheel
from clarion.gateway.user_stream import StreamLost, StreamReader
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.inbox import InboxChange, InboxCounts, InboxItem
from clarion.model.user import User
from clarion.rules.reconnect import after_ms

log = structlog.get_logger(__name__)

TURN_S = 1.0
STEADY_S = 30.0
"""It works again when no turn has failed for so long."""
AT_ONCE = 200
"""Devices handled before the loop gets a turn."""


class Hub:
    """Lives on one event loop. A device joins its stream first and reads its state then: what the stream pushes meanwhile
    waits in the session, which drops what the state has already. So joining is exact, however long a read takes.
    """

    def __init__(self, parts: GatewayParts) -> None:
        self._users = parts.users
        self._engagement = parts.inbox_actions
        self._clock = parts.clock
        self._random = parts.random
        self._fanout = parts.fanout
        self._limits = parts.limits
        self._rules = parts.limits.session
        self._reader = StreamReader(parts.inboxes, parts.vault, parts.limits.session.replay)
        self._streams: dict[UserNo, UserStream] = {}
        self._per_tenant: Counter[TenantId] = Counter()
        self._devices: set[ConnectedDevice] = set()
        self._wheel = TimerWheel()
        self._turning: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        """Feeds that are catching up."""
        self._unsubscribe: Callable[[], None] | None = None
        self._closing = False
        self._turn_failed_s = float("-inf")
        self.counted: Counter[str] = Counter()
        """What happened so far, for metrics: `frames`, `recovered`, `full`, `closed_<reason>`, ..."""

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Follow the fan-out and the time. Call it on the loop that serves the connections."""
        self._unsubscribe = self._fanout.subscribe(self.receive, self.missed)
        self._turning = asyncio.get_running_loop().create_task(self._turn_forever())

    async def close(self, timeout_s: float) -> None:
        """Tell every client when to reconnect, to another process; returns when they are gone, or after `timeout_s`."""
        self._closing = True
        for number, device in enumerate(list(self._devices), 1):
            wait_ms = after_ms(number, self._limits.reconnects_per_s, self._random.uniform())
            self._perform(device, device.session.close(replace(SHUTTING_DOWN, after_ms=wait_ms)))
            if number % AT_ONCE == 0:
                await self._clock.sleep(0)
        until = self._clock.monotonic() + timeout_s
        while self._devices and self._clock.monotonic() < until:
            await self._clock.sleep(0.01)
        for device in list(self._devices):
            device.abort()
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._turning is not None:
            self._turning.cancel()
            with suppress(asyncio.CancelledError):
                await self._turning

    def health(self) -> Mapping[str, str]:
        """Part to `ok`, or what keeps it from working."""
        if self._turning is not None and self._turning.done() and not self._closing:
            return {"loop gateway": "it has ended: restart the process"}
        failing = self._clock.monotonic() - self._turn_failed_s < STEADY_S
        return {"loop gateway": "its last turns failed: the log says why" if failing else "ok"}

    def stats(self) -> Mapping[str, float]:
        """Gauges and counters."""
        return {"connections": len(self._devices), "users": len(self._streams), **self.counted}

    # ── joining and leaving ───────────────────────────────────────────────────────────────────────────────

    def session(self, expires_at: Instant) -> Session:
        """A new session whose token is good until `expires_at`."""
        now = self._clock.monotonic()
        lasts_s = (expires_at - self._clock.now()) / 1000
        return Session(self._rules, now, now + lasts_s, 0.5 + self._random.uniform() / 2)

    async def stream(self, user: User) -> UserStream | CloseCode:
        """The stream a new device of `user` may join, or why it may not. Join before the next await."""
        stream = self._streams.get(user.no)
        if stream is None:
            stream = UserStream(user)
            try:
                await self._reader.seek_to_head(stream)
            except ClarionError:
                return STATE_LOST
            stream = self._streams.get(user.no, stream)  # somebody may have been faster
        if self._closing:
            return SHUTTING_DOWN
        if len(self._devices) >= self._limits.connections:
            return FULL
        if self._per_tenant[user.tenant] >= self._limits.connections_per_tenant:
            return FULL
        full = len(stream.devices) >= self._limits.connections_per_user
        return TOO_MANY_CONNECTIONS if full else stream

    def join(self, device: ConnectedDevice) -> None:
        """The device gets every change from here on, once it has loaded its state."""
        stream = device.stream
        if self._streams.get(stream.user) is not stream:
            self._streams[stream.user] = stream
            stream.followed = self._fanout.follow(stream.user)
        stream.add(device)
        self._devices.add(device)
        self._per_tenant[stream.tenant] += 1
        self._wheel.put(device, device.session.due())

    def leave(self, device: ConnectedDevice) -> None:
        """The connection has ended, whoever ended it."""
        stream = device.stream
        device.leave()
        stream.remove(device)
        if not stream.devices:
            self._forget(stream)
        self._devices.discard(device)
        self._per_tenant[stream.tenant] -= 1
        self._wheel.remove(device)
        ended = device.session.ended
        self.counted[f"closed_{ended.reason}" if ended else "closed_by_client"] += 1

    async def load(self, device: ConnectedDevice, asked: Resume | None) -> None:
        """Send the first frame: what `asked` missed, or the full state, never a part of either."""
        stream, session = device.stream, device.session
        if stream.followed is not None and not stream.followed.done():
            await asyncio.wait([stream.followed])
        try:
            await self._reader.catch_up(stream, self._push)
            frame = await self._missed(stream, asked)
            recovered = frame is not None
            effects = session.loaded(frame or await self._full(stream))
        except StreamLost:
            self._lose(stream, STATE_LOST)
        except ClarionError as wrong:
            log.warning("inbox_not_loaded", tenant=stream.tenant, code=wrong.code)
            self._perform(device, session.close(STATE_LOST))
        else:
            self._perform(device, effects)
            for change in session.meanwhile():
                self._perform(device, session.push(change))
            self.counted["recovered" if recovered else "full"] += 1

    async def _missed(self, stream: UserStream, asked: Resume | None) -> Frame | None:
        """What a device has missed since it was `asked.offset`; None when it has to get everything."""
        if asked is None or not asked.fits(stream.epoch, stream.offset):
            return None
        offset, counts = stream.offset, stream.counts
        missed = await self._reader.changed(stream, asked.offset, offset)
        return None if missed is None else self._connected(stream, offset, counts, missed, recovered=True)

    async def _full(self, stream: UserStream) -> Frame:
        """The newest unarchived items as they were at one offset of the stream."""
        before = stream.offset
        page = await self._reader.newest(stream, self._rules.snapshot)
        await self._reader.catch_up(stream, self._push)
        offset, counts = stream.offset, stream.counts
        since = await self._reader.changed(stream, before, offset)
        if since is None:
            raise StreamLost
        latest = {item.message_id: item for item in (*page, *since)}
        alive = [item for item in latest.values() if item.archived_at is None]
        newest = sorted(alive, key=lambda item: item.message_id, reverse=True)[: self._rules.snapshot]
        return self._connected(stream, offset, counts, newest, recovered=False)

    def _connected(
        self,
        stream: UserStream,
        offset: int,
        counts: InboxCounts,
        items: Sequence[InboxItem],
        *,
        recovered: bool,
    ) -> Frame:
        return frames.connected(
            session=self._random.bytes(8).hex(),
            epoch=stream.epoch,
            offset=offset,
            recovered=recovered,
            counts=counts,
            items=self._reader.shown(stream, items),
            ping_s=self._rules.ping_s,
        )

    # ── changes ───────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, changes: Sequence[InboxChange]) -> None:
        """Changes from the fan-out, in any order, some perhaps twice or never: the ledger fills the gaps."""
        streams = self._streams
        for change in changes:
            stream = streams.get(change.user)
            if stream is None:
                continue
            try:
                self._follow(stream, change)
            except Exception:
                log.exception("inbox_change_not_followed", tenant=stream.tenant)
                self._lose(stream, STATE_LOST)

    def missed(self) -> None:
        """Some changes did not come, nobody knows whose: the ledger does."""
        self._start(self._catch_up_all())

    async def _catch_up_all(self) -> None:
        for stream in list(self._streams.values()):
            await self._catch_up(stream)

    def _follow(self, stream: UserStream, change: InboxChange) -> None:
        items, offset = change.items, change.offset
        if not offset:
            self._lose(stream, USER_DELETED)
            return
        stream.announced = max(stream.announced, offset)
        if offset <= stream.offset:
            return
        if items and change.counts is not None and items[0].offset == stream.offset + 1:
            self._push(stream, self._reader.advance(stream, items, change.content, change.counts, offset))
        elif not stream.reading.locked():  # whoever reads sees to what is announced meanwhile
            self._start(self._catch_up(stream))

    async def _catch_up(self, stream: UserStream) -> None:
        try:
            await self._reader.catch_up(stream, self._push)
        except StreamLost:
            self._lose(stream, STATE_LOST)
        except Exception:
            log.exception("inbox_change_not_followed", tenant=stream.tenant)
            self._lose(stream, STATE_LOST)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _push(self, stream: UserStream, frame: Frame) -> None:
        for device in stream.devices:
            self._perform(device, device.session.push(frame))
        self.counted["frames"] += len(stream.devices)

    async def mark(self, device: ConnectedDevice, mark: Mark) -> None:
        """Carry out a client's command and answer it."""
        try:
            await self._engagement.mark(device.stream.tenant, device.stream.user, mark.action, mark.which)
        except ClarionError as wrong:
            effects = device.session.refused(mark.ref, wrong.code, wrong.detail)
        else:
            effects = device.session.answered(mark.ref)
        self._perform(device, effects)

    def _lose(self, stream: UserStream, close: CloseCode) -> None:
        """End all sessions of a stream; whoever comes back starts a new one."""
        self._forget(stream)
        for device in stream.devices:
            self._perform(device, device.session.close(close))

    def _forget(self, stream: UserStream) -> None:
        """Nobody follows it any more."""
        if self._streams.get(stream.user) is stream:
            del self._streams[stream.user]
            self._fanout.unfollow(stream.user)

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _turn_forever(self) -> None:
        while True:
            await self._clock.sleep(TURN_S)
            try:
                await self._turn()
            except Exception:
                log.exception("gateway_turn_failed")
                self._turn_failed_s = self._clock.monotonic()

    async def _turn(self) -> None:
        """Ping, expire and time out whoever's time it is, and find users that were deleted unannounced."""
        now = self._clock.monotonic()
        due = self._wheel.turn(now)
        for start in range(0, len(due), AT_ONCE):
            batch = due[start : start + AT_ONCE]
            deleted = await self._deleted({device.stream.user for device in batch})
            for device in batch:
                try:
                    self._look_at(device, now, deleted)
                except Exception:
                    log.exception("device_failed", tenant=device.stream.tenant)
                    device.abort()
            await self._clock.sleep(0)

    def _look_at(self, device: ConnectedDevice, now: float, deleted: set[UserNo]) -> None:
        if device not in device.stream.devices:
            return
        session = device.session
        effects = session.close(USER_DELETED) if device.stream.user in deleted else session.tick(now)
        self._perform(device, effects)
        if session.state is not SessionState.GONE:
            self._wheel.put(device, session.due())

    async def _deleted(self, users: set[UserNo]) -> set[UserNo]:
        return users - set(await self._users.get(list(users)))

    # ── carrying out ──────────────────────────────────────────────────────────────────────────────────────

    def perform(self, device: ConnectedDevice, data: str | bytes) -> Mark | None:
        """Hand a client's frame to its session; what only `mark` can do is returned."""
        return self._perform(device, device.session.receive(data, self._clock.monotonic()))

    def _perform(self, device: ConnectedDevice, effects: Effects) -> Mark | None:
        return device.perform(effects) if effects else None
