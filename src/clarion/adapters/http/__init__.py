"""Calls to other HTTP servers: one client for every provider, and a guard for URLs that users gave."""

from clarion.adapters.http.client import Fetch, HttpClient
from clarion.adapters.http.request import Transport
from clarion.adapters.http.sender import HttpEnds, HttpProvider
from clarion.adapters.http.status_outcomes import outcome_of
from clarion.ports.http import HttpFailure, HttpReply, HttpRequest

__all__ = [
    "Fetch",
    "HttpClient",
    "HttpEnds",
    "HttpFailure",
    "HttpProvider",
    "HttpReply",
    "HttpRequest",
    "Transport",
    "outcome_of",
]
