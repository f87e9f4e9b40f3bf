"""One connection as a state machine: bytes, changes and seconds in, frames and instructions out. No I/O.

::

    LOADING --loaded()--> LIVE --close()--> CLOSING --gone()--> GONE
       |                   |                              ^
       +-------------------+------- close(), gone() ------+

While LOADING, changes wait: the state the caller loads must be read *after* the session was added to the user's stream,
so it contains whatever was pushed to others before. `loaded` sends it, `meanwhile` gives back what waited, and of that
and of every later change `push` drops what the client has been told already: `offset` says how far that is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum

import msgspec

from clarion.gateway import frames
from clarion.gateway.close_codes import (
    PING_TIMEOUT,
    PROTOCOL_ERROR,
    SLOW_CONSUMER,
    STATE_LOST,
    TOKEN_EXPIRED,
    TOO_FAST,
    CloseCode,
)
from clarion.gateway.frames import PING, PONG, Frame, MarkCommand, PingCommand
from clarion.model.ids import MessageId, parse_id
from clarion.model.inbox import InboxAction, InboxFilter


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of every session."""

    replay: int = 500
    """Most items a reconnecting client gets as a replay; behind more of them it gets the full state."""
    snapshot: int = 50
    """Newest unarchived items in a full state."""
    frame_bytes: int = 16 * 1024
    """Largest frame a client may send."""
    pending_frames: int = 64
    pending_bytes: int = 256 * 1024
    """What may wait for a client that does not read; over either it is closed as too slow."""
    commands_per_s: float = 10.0
    command_burst: int = 40
    ping_s: int = 25
    pong_s: int = 10
    """How long after a ping a client that answers pings may stay silent."""
    close_s: int = 10
    """How long a client may take to accept its close code."""


class Resume(msgspec.Struct, frozen=True):
    """Where a client says it stopped."""

    epoch: str
    offset: int

    def fits(self, epoch: str, head: int) -> bool:
        """Whether the client followed this very inbox, which is at `head` now: then a replay may be enough."""
        return self.epoch == epoch and 0 <= self.offset <= head


class Mark(msgspec.Struct, frozen=True):
    """Mark items, then call `answered` with the same `ref`."""

    ref: str
    action: InboxAction
    which: tuple[MessageId, ...] | InboxFilter


class Abort(msgspec.Struct, frozen=True):
    """Cut the line: the client does not take its close code."""


Effect = Frame | CloseCode | Mark | Abort
Effects = tuple[Effect, ...]
ABORT = Abort()


class SessionState(Enum):
    """Where a session is; see the drawing above."""

    LOADING = "loading"
    LIVE = "live"
    CLOSING = "closing"
    GONE = "gone"


class Session:
    """Times are seconds of a clock that never goes backwards."""

    __slots__ = (
        "_answers",
        "_closing",
        "_deadline",
        "_early",
        "_expires",
        "_heard",
        "_held",
        "_next_ping",
        "_paced",
        "_pending",
        "_rules",
        "ended",
        "offset",
        "state",
    )

    def __init__(self, rules: Rules, now: float, expires: float, phase: float = 1.0) -> None:
        """`phase` in (0, 1] spreads the first pings of clients that came at the same moment."""
        self.state = SessionState.LOADING
        self.offset = -1
        """How far the client has been told; every frame up to here is sent or waits in order."""
        self.ended: CloseCode | None = None
        """Why we ended it; None when the client did."""
        self._rules = rules
        self._expires = expires
        self._heard = now
        self._answers = False
        """Whether this client has ever answered a ping: only then does silence mean that it is dead."""
        self._next_ping = now + rules.ping_s * phase
        self._paced = now
        self._early: list[Frame] = []
        """Changes that came while the state was being loaded."""
        self._pending: deque[Frame] | None = None
        """None while the line takes everything at once."""
        self._held = 0
        self._closing: CloseCode | None = None
        """The close code that waits behind a blocked write."""
        self._deadline: float | None = None

    # ── joining ───────────────────────────────────────────────────────────────────────────────────────────

    def loaded(self, frame: Frame) -> Effects:
        """The first frame, made of what was loaded. Live from here."""
        if self.state is not SessionState.LOADING:
            return ()
        self.state = SessionState.LIVE
        self.offset = frame.offset
        return self._send(frame)

    def meanwhile(self) -> Sequence[Frame]:
        """The changes that waited for `loaded`: push them once more."""
        early, self._early = self._early, []
        return early

    # ── the stream ──────────────────────────────────────────────────────────────────────────────────────────

    def push(self, frame: Frame) -> Effects:
        """A change of the inbox. What is known is dropped; a gap ends the session rather than reach the client."""
        if self.state is SessionState.LOADING:
            self._early.append(frame)
            return self.close(STATE_LOST) if len(self._early) > self._rules.pending_frames else ()
        if self.state is not SessionState.LIVE or frame.offset <= self.offset:
            return ()
        if frame.before != self.offset:
            return self.close(STATE_LOST)
        self.offset = frame.offset
        return self._send(frame)

    # ── the client ────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, data: str | bytes, now: float) -> Effects:
        """A frame from the client. Anything that is not a command ends the session."""
        self._heard = now
        if self.state is not SessionState.LIVE:
            return ()
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > self._rules.frame_bytes:
            return self._refuse(
                "too_large", f"a frame may have {self._rules.frame_bytes} bytes", PROTOCOL_ERROR
            )
        if not self._in_pace(now):
            return self._refuse("too_many_commands", TOO_FAST.advice, TOO_FAST)
        try:
            command = frames.command(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            return self._refuse("invalid_request", f"not a command: {wrong}", PROTOCOL_ERROR)
        if isinstance(command, MarkCommand):
            return self._mark(command)
        if isinstance(command, PingCommand):
            return self._send(PONG)
        self._answers = True
        return ()

    def answered(self, ref: str) -> Effects:
        """The command `ref` is carried out."""
        return self._send(frames.ok(ref)) if self.state is SessionState.LIVE else ()

    def refused(self, ref: str, code: str, detail: str) -> Effects:
        """The command `ref` is not carried out."""
        return self._send(frames.error(ref, code, detail)) if self.state is SessionState.LIVE else ()

    def _mark(self, command: MarkCommand) -> Effects:
        if (command.ids is None) == (command.filter is None):
            return self.refused(
                command.ref,
                "invalid_request",
                "give either `ids` or `filter` (`{}`: all that are not archived)",
            )
        if command.filter is not None:
            return (Mark(command.ref, command.action, command.filter),)
        try:
            ids = tuple(MessageId(parse_id(text)) for text in command.ids or ())
        except ValueError:
            return self.refused(command.ref, "invalid_request", "`ids` must be ids of inbox items")
        return (Mark(command.ref, command.action, ids),)

    def _in_pace(self, now: float) -> bool:
        interval = 1.0 / self._rules.commands_per_s
        self._paced = max(self._paced, now) + interval
        return self._paced - now <= interval * self._rules.command_burst

    def _refuse(self, code: str, detail: str, close: CloseCode) -> Effects:
        return self._send(frames.error(None, code, detail)) + self.close(close)

    # ── the line ──────────────────────────────────────────────────────────────────────────────────────────

    def blocked(self) -> None:
        """The line does not take more for now; what is sent waits here."""
        if self._pending is None:
            self._pending = deque()

    def close_later(self, close: CloseCode) -> None:
        """The line blocked on the frame that went before `close`, so this has to wait."""
        self._closing = close

    def drained(self) -> Frame | CloseCode | None:
        """The blocked write went through: what to write next; None when the line is free again."""
        if self._pending:
            frame = self._pending.popleft()
            self._held -= len(frame.text)
            return frame
        self._pending = None
        close, self._closing = self._closing, None
        return close

    def _send(self, frame: Frame) -> Effects:
        pending = self._pending
        if pending is None:
            return (frame,)
        pending.append(frame)
        self._held += len(frame.text)
        if len(pending) > self._rules.pending_frames or self._held > self._rules.pending_bytes:
            return self.close(SLOW_CONSUMER)
        return ()

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> Effects:
        """Time has passed. Harmless at any moment; needed at `due`."""
        if self.state is SessionState.CLOSING:
            return self._give_up(now)
        if self.state is SessionState.GONE:
            return ()
        if now >= self._expires:
            return self.close(TOKEN_EXPIRED)
        if self._answers and now >= self._heard + self._rules.ping_s + self._rules.pong_s:
            return self.close(PING_TIMEOUT)
        if now >= self._next_ping:
            self._next_ping = now + self._rules.ping_s
            if self.state is SessionState.LIVE and self._pending is None:
                return (PING,)
        return ()

    def due(self) -> float:
        """When to call `tick` next."""
        if self._deadline is not None:
            return self._deadline
        due = min(self._next_ping, self._expires)
        return min(due, self._heard + self._rules.ping_s + self._rules.pong_s) if self._answers else due

    def _give_up(self, now: float) -> Effects:
        if self._deadline is None:
            self._deadline = now + self._rules.close_s
        return (ABORT,) if now >= self._deadline else ()

    # ── ending ────────────────────────────────────────────────────────────────────────────────────────────

    def close(self, close: CloseCode) -> Effects:
        """End it with a code; frames that wait are dropped, a reconnecting client gets their items as a replay."""
        if self.state is SessionState.CLOSING or self.state is SessionState.GONE:
            return ()
        self.state = SessionState.CLOSING
        self.ended = close
        if self._pending is None:
            return (close,)
        self._pending.clear()
        self._held = 0
        self._closing = close
        return ()

    def gone(self) -> None:
        """The line is cut."""
        self.state = SessionState.GONE
        self._pending = self._closing = None
