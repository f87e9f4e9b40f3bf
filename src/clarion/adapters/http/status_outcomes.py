"""The outcome that an HTTP status means, unless the provider says more."""

from __future__ import annotations

from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.status import Reason
from clarion.ports.http import HttpReply


def outcome_of(reply: HttpReply) -> Outcome:
    """2xx accepted, 401, 403 and 404 our set-up, 410 the address, 429 and 5xx later, all else this message.

    404 is held to be a wrong URL of the integration's: were it the address, one slip would suppress everybody.
    """
    status = reply.status
    detail = f"status {status}"
    if 200 <= status < 300:
        return Accepted()
    if status in (401, 403):
        return Misconfigured(detail=f"{detail}: the credentials are refused")
    if status == 404:
        return Misconfigured(detail=f"{detail}: nothing is at this URL")
    if status == 410:
        return Gone(detail=detail)
    if status == 429:
        return Retry(reason=Reason.RATE_LIMITED, after_s=reply.retry_after_s, detail=detail)
    if status in (408, 425) or status >= 500:
        return Retry(after_s=reply.retry_after_s, detail=detail)
    return Rejected(detail=detail)
