"""Decides whether a user's consents allow a message. What counts is the fold of all their records: the newest one of each purpose and
channel, where of two of the same time the withdrawal is the newer one. So their order does not matter, nor that one comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clarion.model.channel import Channel
from clarion.model.consent import EVERY_PURPOSE, Consent, ConsentAction, ConsentState, ConsentStatement
from clarion.model.ids import id_text
from clarion.model.message import Verdict
from clarion.model.setup import Category, ConsentRule, Law
from clarion.model.user import Contact, Preferences, Profile
from clarion.rules.legal import ConsentLaw, consent_law
from clarion.rules.time_format import rfc3339

States = tuple[ConsentState, ...]

GRANTED, WITHDRAWN = ConsentAction.GRANTED, ConsentAction.WITHDRAWN
_ASKED = ConsentLaw(ConsentRule.REQUIRED, "the category requires it")
_REFUSABLE = ConsentLaw(ConsentRule.OPT_OUT, "the category says so")


# -- what the records say ----------------------------------------------------------------------------------


def is_newer(one: ConsentState, other: ConsentState | None) -> bool:
    """Whether it counts more than another one."""
    if other is None:
        return True
    return (one.at, one.action is WITHDRAWN) > (other.at, other.action is WITHDRAWN)


def with_state(states: States, one: ConsentState) -> States:
    """The fold with one more record in it; the same object if that changes nothing."""
    place = one.purpose, one.channel
    known = next((state for state in states if (state.purpose, state.channel) == place), None)
    if not is_newer(one, known):
        return states
    return (*(state for state in states if state is not known), one)


def state_of(records: Iterable[Consent]) -> States:
    """The fold of these records."""
    states: States = ()
    for one in records:
        state = ConsentState(
            purpose=one.purpose, channel=one.channel, action=one.action, at=one.at, id=one.id
        )
        states = with_state(states, state)
    return states


def deciding(states: States, category: Category, channel: Channel) -> ConsentState | None:
    """The record that says whether a category may use a channel; None: there is none.

    The newest about the category's key or its purpose, on this channel or on every channel. A withdrawal of every purpose counts
    until something newer is granted. A grant of every purpose ends such a withdrawal, and grants nothing by itself.
    """
    own: ConsentState | None = None
    general: ConsentState | None = None
    for one in states:
        if one.channel is not None and one.channel is not channel:
            continue
        if one.purpose == EVERY_PURPOSE:
            general = one if is_newer(one, general) else general
        elif one.purpose in (category.key, category.purpose):
            own = one if is_newer(one, own) else own
    if general is None or general.action is GRANTED:
        return own
    return own if own is not None and is_newer(own, general) else general


# -- what is needed ----------------------------------------------------------------------------------------


def needed(
    category: Category, profile: Profile, channel: Channel, contact: Contact | None
) -> ConsentLaw | None:
    """What a category needs before it uses a channel; None: it is not a matter of consent."""
    if category.consent is not None:
        return _ASKED if category.consent is ConsentRule.REQUIRED else _REFUSABLE
    return consent_law(profile, channel, contact) if category.law is Law.MARKETING else None


def verdict(
    category: Category, profile: Profile, channel: Channel, contact: Contact | None
) -> Verdict | None:
    """What the consents of a user say about a category on a channel; None: nobody asks for them.

    A withdrawal of the category or its purpose always counts. One of every purpose counts for what is a matter of consent.
    """
    if category.critical or not (profile.consents or category.consent or category.law is Law.MARKETING):
        return None
    found = deciding(profile.consents, category, channel)
    need = needed(category, profile, channel, contact)
    if need is None and (found is None or found.purpose == EVERY_PURPOSE or found.action is GRANTED):
        return None
    reason = _reason(found, need)
    inputs: dict[str, object] = {"purpose": category.purpose or category.key}
    if need is not None:
        inputs |= {"rule": need.rule.value, "source": need.source}
        if need.country:
            inputs["country"] = need.country
    if found is not None:
        inputs |= {"consent_id": id_text(found.id), "at": rfc3339(found.at)}
    stopped = reason in _STOPS
    return Verdict(rule="consent", result="stop" if stopped else "allow", reason=reason, inputs=inputs)


_STOPS = frozenset({"withdrawn", "never_granted"})


def _reason(found: ConsentState | None, need: ConsentLaw | None) -> str:
    if found is not None:
        return found.action.value
    return "never_granted" if need is not None and need.rule is ConsentRule.REQUIRED else "not_withdrawn"


# -- what a change of preferences says ---------------------------------------------------------------------


def statements_of(before: Preferences, after: Preferences, states: States) -> list[ConsentStatement]:
    """What somebody says who changes their preferences: who switches something off withdraws it, and who switches it on again, or takes
    the choice back, grants what was withdrawn by the choice. Nothing is granted that nobody had withdrawn."""
    was, is_ = _choices(before), _choices(after)
    changed = [place for place in {**was, **is_} if was.get(place) is not is_.get(place)]
    off = [ConsentStatement(place[0], place[1], WITHDRAWN) for place in changed if is_.get(place) is False]
    withdrawn = {(one.purpose, one.channel) for one in states if one.action is WITHDRAWN}
    withdrawn |= {(one.purpose, one.channel) for one in off}
    on = [
        ConsentStatement(place[0], place[1], GRANTED)
        for place in changed
        if is_.get(place) is not False and _concerns(place, withdrawn, stated=is_.get(place) is True)
    ]
    return off + on


Place = tuple[str, Channel | None]
"""A purpose and a channel."""


def _choices(preferences: Preferences) -> Mapping[Place, bool]:
    found: dict[Place, bool] = {(EVERY_PURPOSE, channel): on for channel, on in preferences.channels.items()}
    for key, choice in preferences.categories.items():
        if choice.enabled is not None:
            found[key, None] = choice.enabled
        found |= {(key, channel): on for channel, on in choice.channels.items()}
    return found


def _concerns(place: Place, withdrawn: set[Place], *, stated: bool) -> bool:
    """Whether switching this on gives back something that is withdrawn. `stated`: it was said, not only left to the defaults."""
    if place in withdrawn:
        return True
    purpose, channel = place
    return stated and any(
        other in (purpose, EVERY_PURPOSE) and on in (None, channel) for other, on in withdrawn
    )
