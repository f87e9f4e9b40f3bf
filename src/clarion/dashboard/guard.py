"""Who may use the development page: a browser on this machine, on the page itself.

The page acts for the demo tenant without a password, so three doors stand before it. The Host must be a name of this
machine (a foreign site that rebinds its DNS name to 127.0.0.1 keeps its own name). A request that changes or reads data
must come from the page's own origin. And it must carry the cookie that only the page hands out.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from clarion.dashboard.request import PageRequest

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
COOKIE = "clarion_dev"


class PageGuard:
    """One per process. The secret belongs to the installation, so an open page survives a restart."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret.hex()

    def cookie(self) -> str:
        """The Set-Cookie value that the page hands to its browser."""
        return f"{COOKIE}={self._secret}; Path=/ui/; HttpOnly; SameSite=Strict"

    def refusal(self, request: PageRequest, *, cookie: bool = True) -> str | None:
        """Why this request is not answered, or None. `cookie=False`: for what may be opened by its address."""
        host = urlsplit(f"//{request.headers.get('host', '')}")
        if host.hostname not in LOOPBACK:
            return "This page answers only under localhost, 127.0.0.1 or [::1]."
        if not cookie:
            return None
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return "This address is for the page itself, not for other sites."
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host.netloc:
            return "This address is for the page itself, not for other sites."
        if not hmac.compare_digest(request.cookie(COOKIE).encode(), self._secret.encode()):
            return "This page does not know your browser: load it again."
        return None
