"""Calling other people's HTTP servers: one sender for every provider, and a guard for URLs that users gave us."""

from clarion.adapters.http.client import Fetch, HttpClient
from clarion.adapters.http.messages import HttpFailure, HttpReply, HttpRequest
from clarion.adapters.http.sender import HttpProvider
from clarion.adapters.http.status_outcomes import outcome_of

__all__ = ["Fetch", "HttpClient", "HttpFailure", "HttpProvider", "HttpReply", "HttpRequest", "outcome_of"]
