"""Calling other people's HTTP servers: one sender for every provider, and a guard for URLs that users gave us."""

from clarion.adapters.http.caller import Caller, Fetch
from clarion.adapters.http.calls import Call, Failure, Reply
from clarion.adapters.http.meaning import outcome_of
from clarion.adapters.http.sender import HttpProvider

__all__ = ["Call", "Caller", "Failure", "Fetch", "HttpProvider", "Reply", "outcome_of"]
