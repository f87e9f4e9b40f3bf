"""What of a user is stored unencrypted, so that conditions can ask for it: what the tenant says, and never a contact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from clarion.model.audience import Attribute, AttributeType, SearchableField, UserField
from clarion.model.consent import ConsentAction
from clarion.model.setup import Tenant
from clarion.model.user import Profile
from clarion.rules.time_format import instant_of

LONGEST = 1_000
"""Characters of a text."""
MOST_TEXTS = 100
"""In a list."""
LARGEST = 2**53
"""Up to here every whole number is a different one from its neighbours in every database."""


def open_values(tenant: Tenant, profile: Profile) -> dict[str, Any]:
    """By name; empty: nothing is. A value of another type than the tenant says stays encrypted only."""
    found = {
        name: value
        for name, attribute in tenant.attributes.items()
        if attribute.searchable
        and (value := _VALUES[attribute.type](profile.attributes.get(name))) is not None
    }
    if SearchableField.LOCALE in tenant.searchable and profile.locale:
        found[UserField.LOCALE.value] = profile.locale
    if SearchableField.TIMEZONE in tenant.searchable and profile.timezone:
        found[UserField.TIMEZONE.value] = profile.timezone
    if SearchableField.CONSENTS in tenant.searchable:
        found[UserField.GRANTED.value] = _consents(profile, ConsentAction.GRANTED)
        found[UserField.WITHDRAWN.value] = _consents(profile, ConsentAction.WITHDRAWN)
    return found


def _consents(profile: Profile, action: ConsentAction) -> list[str]:
    """`marketing` for a purpose on every channel, `marketing:sms` for one channel; `*` is every purpose."""
    return sorted(
        (state.purpose or "*") + ("" if state.channel is None else f":{state.channel}")
        for state in profile.consents
        if state.action is action
    )


def open_json(tenant: Tenant, profile: Profile) -> str | None:
    """The same as JSON; None when nothing is open."""
    found = open_values(tenant, profile)
    return msgspec.json.encode(found, order="deterministic").decode() if found else None


def open_definition(tenant: Tenant) -> str:
    """What is open, as a text that is another one when something else is; empty: nothing."""
    names: dict[str, str] = {
        name: one.type.value for name, one in tenant.attributes.items() if one.searchable
    }
    names.update((f"${field.value}", "") for field in tenant.searchable)
    return msgspec.json.encode(names, order="deterministic").decode() if names else ""


def mistyped(attributes: Mapping[str, Attribute], values: Mapping[str, Any]) -> Iterator[str]:
    """The names of values that are not of the type their attribute has; null fits every type."""
    for name, value in values.items():
        if name in attributes and value is not None and _VALUES[attributes[name].type](value) is None:
            yield name


def _text(value: Any) -> str | None:
    if not isinstance(value, str) or len(value) > LONGEST or "\0" in value:
        return None
    return value if not any("\ud800" <= char <= "\udfff" for char in value) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        return None
    return int(value) if value == int(value) else value


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _time(value: Any) -> int | None:
    try:
        return instant_of(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _texts(value: Any) -> list[str] | None:
    if not isinstance(value, list | tuple) or len(value) > MOST_TEXTS:
        return None
    texts = [text for one in value if (text := _text(one)) is not None]
    return texts if len(texts) == len(value) else None


_VALUES: Mapping[AttributeType, Callable[[Any], Any]] = {
    AttributeType.STRING: _text,
    AttributeType.NUMBER: _number,
    AttributeType.BOOLEAN: _boolean,
    AttributeType.TIME: _time,
    AttributeType.STRINGS: _texts,
}
