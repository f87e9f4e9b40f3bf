"""What is recorded of a change of a user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clarion.model.consent import ConsentAction
from clarion.model.ids import Instant, UserNo
from clarion.model.user import RESERVED, Profile, User
from clarion.model.user_change import UserChange, UserChangeKind


def rezoned(pairs: Iterable[tuple[User | None, User]]) -> list[UserNo]:
    """Those of these users, as they were and are, whose clocks show another time now, or who chose other times: what waits by
    them is computed again."""
    return [
        after.no
        for before, after in pairs
        if before is not None and _times(before.profile) != _times(after.profile)
    ]


def _times(profile: Profile) -> tuple[object, ...]:
    """What a user chose about when something comes, but for a snooze, which holds messages only."""
    chosen = profile.preferences
    digests = tuple(
        [(key, one.digest) for key, one in sets.items() if one.digest is not None]
        for sets in (chosen.categories, chosen.workflows)
    )
    return profile.timezone, chosen.quiet_hours, chosen.digest, digests


def user_changes(before: User | None, after: User, at: Instant) -> list[UserChange]:
    """`before`: None when nobody was there. Nothing of users that Clarion made for itself."""
    if after.id.startswith(RESERVED):
        return []
    kinds = [UserChangeKind.CREATED] if before is None else _kinds(before.profile, after.profile)
    return [UserChange(tenant=after.tenant, user=after.no, at=at, kind=kind) for kind in kinds]


def _kinds(before: Profile, after: Profile) -> Iterator[UserChangeKind]:
    was, is_ = ((p.contacts, p.attributes, p.locale, p.timezone) for p in (before, after))
    if was != is_:
        yield UserChangeKind.UPDATED
    if before.preferences != after.preferences:
        yield UserChangeKind.PREFERENCES
    if new := frozenset(after.consents).difference(before.consents):
        said = {one.action for one in new}
        if ConsentAction.GRANTED in said:
            yield UserChangeKind.CONSENT_GRANTED
        if ConsentAction.WITHDRAWN in said:
            yield UserChangeKind.CONSENT_WITHDRAWN
    had, has = ({one.id for one in p.devices} for p in (before, after))
    if has - had:
        yield UserChangeKind.REGISTERED
    if had - has:
        yield UserChangeKind.DETACHED
