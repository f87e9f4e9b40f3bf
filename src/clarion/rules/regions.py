"""Two regions: where a user is at home, which region may work, and how much of a frequency cap it may spend."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from clarion.model.region import ServerState, Share
from clarion.rules.weighted_choice import choose


def home_of(tenant: str, user_id: str, regions: Sequence[str]) -> str:
    """The home region of a user of the tenant with this key: the same one for the same names of regions, in any order."""
    seed = blake2b(f"{tenant}\x00{user_id}".encode(), digest_size=16).digest()
    home = choose([(region, 1.0) for region in regions], seed, frozenset())
    assert home is not None, "there is at least one region"
    return home


def obstacle(here: ServerState, there: ServerState | None, other: str) -> str:
    """Why a process may not begin to work on the database `here`; empty when it may. `there`: its server in the `other`
    region, None when that does not answer."""
    if here.standby:
        return f"the database is a standby: region {other} works, until somebody runs `clarion region takeover` here"
    if here.handed_over == here.timeline:
        return f"this region hands its users over to region {other}"
    if there is None:
        if here.taken_over == here.timeline:
            return ""
        return (
            f"the database server of region {other} does not answer, so it may have taken over: if it has not, run "
            "`clarion region takeover` here"
        )
    return succeeded(here, there, other)


def succeeded(here: ServerState, there: ServerState | None, other: str) -> str:
    """Why a process must stop that works on the database `here`; empty when it may go on."""
    if here.standby or there is None or there.standby or there.timeline <= here.timeline:
        return ""
    return (
        f"region {other} has taken over these users: make the database server of this region its standby "
        "(docs/how-to/run-in-two-regions.md)"
    )


def share_of(here: ServerState, *, alone: bool) -> Share:
    """What a region may spend. What it does not know of, the other one has spent within the other half. `alone`: nothing
    is copied to the other region, which somebody may let take over."""
    if here.incomplete == here.timeline:
        return Share.SMALLER_HALF
    return Share.LARGER_HALF if alone and here.taken_over != here.timeline else Share.WHOLE


def spendable(limit: int, share: Share) -> int:
    """How many messages a cap of `limit` lets go. Both halves together are the whole."""
    if share is Share.WHOLE:
        return limit
    return limit // 2 if share is Share.SMALLER_HALF else limit - limit // 2
