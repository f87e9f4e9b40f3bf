"""One HTTP client behind every provider that speaks HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from clarion.adapters.http.calls import Call, Reply
from clarion.model.outcome import Outcome, Retry
from clarion.model.setup import Integration
from clarion.ports.provider import Outgoing, ProviderTools


class HttpProvider:
    """Implements `ports.provider.Provider` from two pure functions.

    `build(outgoing)` makes the request, or an outcome when there is nothing to send; `read(outgoing, reply)` says what
    the answer means. A request that never left is `Retry`; one that got no answer is `Unknown`, or `Retry` when
    the provider takes our idempotency key.
    """

    def __init__(
        self,
        integration: Integration,
        tools: ProviderTools,
        *,
        build: Callable[[Outgoing], Call | Outcome],
        read: Callable[[Outgoing, Reply], Outcome],
        ping: Call | None = None,
        urls: Literal["operator", "user"] = "operator",
        idempotent: bool = False,
    ) -> None:
        """`urls="user"`: the URL came from a user, so it must lead to a public address, and redirects are failures."""
        self._build = build
        self._read = read
        self._ping = ping

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """All of the batch at once, as far as the client's connections go."""
        return [Retry(detail="not built yet") for _ in batch]

    async def ping(self) -> None:
        """Reach the server without sending anything."""

    async def close(self) -> None:
        """Release the connections."""
