"""Reads a mail server's refusal as a service passes it on, for the callbacks of email services."""

from __future__ import annotations

from typing import Final, Literal

from clarion.content.bounces.reading import read_reply
from clarion.content.bounces.verdict import BounceVerdict
from clarion.ports.callback import RefusedEmail

_CAUSES: Final[dict[BounceVerdict, Literal["address", "moment", "sender"]]] = {
    BounceVerdict.HARD: "address",
    BounceVerdict.SOFT: "moment",
    BounceVerdict.BLOCK: "sender",
}


def refused_email(status: str, said: str) -> RefusedEmail:
    """What a refusal means, by its enhanced status code (empty: none is given) and the server's words."""
    found = read_reply(status, said)
    return RefusedEmail(cause=_CAUSES.get(found.verdict, "unknown"), detail=found.detail)
