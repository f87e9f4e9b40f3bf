"""The close codes of the gateway. The range of a code tells the client whether to reconnect."""

from __future__ import annotations

import msgspec

LAST_RECONNECT = 4499


class CloseCode(msgspec.Struct, frozen=True):
    """An ending. 4000-4499: reconnect (with back-off and jitter). 4500-4999: do not, until `advice` is followed."""

    code: int
    reason: str
    """Stable word for programs and metrics."""
    status: int
    """HTTP answer when the connection was never accepted."""
    advice: str
    after_ms: int = 0
    """When a client that is told to reconnect should do so, so that not all come at once; 0: with its usual back-off."""

    @property
    def reconnect(self) -> bool:
        """Whether the same request may work later."""
        return self.code <= LAST_RECONNECT


SHUTTING_DOWN = CloseCode(4001, "shutting_down", 503, "The server is stopping: reconnect.")
SLOW_CONSUMER = CloseCode(
    4002,
    "slow_consumer",
    503,
    "The client reads too slowly: reconnect, and missed changes are replayed.",
)
PING_TIMEOUT = CloseCode(4003, "ping_timeout", 503, "The client did not answer pings: reconnect.")
STATE_LOST = CloseCode(
    4004, "state_lost", 503, "The server lost track of the client's state: reconnect to get the full state."
)
TOO_FAST = CloseCode(
    4005, "too_many_commands", 429, "The client sent commands too fast: reconnect, and send fewer."
)
FULL = CloseCode(4006, "full", 503, "The server has reached its connection limit: reconnect later.")

BAD_TOKEN = CloseCode(4500, "bad_token", 401, "This is not a valid user token: get one from your backend.")
TOKEN_EXPIRED = CloseCode(
    4501, "token_expired", 401, "The user token has expired: get a new one, then connect."
)
TOO_MANY_CONNECTIONS = CloseCode(
    4502, "too_many_connections", 429, "This user has too many connections: close one first."
)
PROTOCOL_ERROR = CloseCode(
    4503, "protocol_error", 400, "The client violated the protocol: see the error frame before this one."
)
USER_DELETED = CloseCode(4504, "user_deleted", 410, "The user does not exist any more.")
ORIGIN_REFUSED = CloseCode(
    4505,
    "origin_refused",
    403,
    "Pages of this origin may not open an inbox: add the origin to gateway.allowed_origins.",
)

CLOSES: tuple[CloseCode, ...] = (
    SHUTTING_DOWN,
    SLOW_CONSUMER,
    PING_TIMEOUT,
    STATE_LOST,
    TOO_FAST,
    FULL,
    BAD_TOKEN,
    TOKEN_EXPIRED,
    TOO_MANY_CONNECTIONS,
    PROTOCOL_ERROR,
    USER_DELETED,
    ORIGIN_REFUSED,
)
