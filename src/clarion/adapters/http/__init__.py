"""Calling other people's HTTP servers: one sender for every provider, and a guard for URLs that users gave us."""

from clarion.adapters.http.calls import Call, Reply
from clarion.adapters.http.sender import HttpProvider

__all__ = ["Call", "HttpProvider", "Reply"]
