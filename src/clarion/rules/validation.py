"""Validates users: ids, addresses, locales, time zones, attributes, time windows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import takewhile
from typing import Any
from zoneinfo import available_timezones

import msgspec

from clarion.errors import InvalidInput, check_all
from clarion.model.channel import PHONES, Channel
from clarion.model.device_address import plain_device_address, service_of
from clarion.model.recipient_object import ObjectName, is_object_key
from clarion.model.submission import Recipient
from clarion.model.subscription import is_subscription, plain_subscription
from clarion.model.user import (
    Contact,
    DefaultPreferences,
    DigestFrequency,
    FrequencyCap,
    Preferences,
    PreferenceSet,
    Window,
)
from clarion.rules.match import closest
from clarion.rules.phone_numbers import is_country
from clarion.rules.quiet_hours import check_window, check_zone, is_clock

OWN_ID_CHARS = 255
"""Of an id that comes from the caller's own system."""
KEY_CHARS = 128
ADDRESS_CHARS = 4096
"""Enough for a web-push subscription."""
ATTRIBUTES = 64
ATTRIBUTES_BYTES = 16 * 1024
WINDOWS = 100
"""Every decision looks at all of them."""
CONTACTS = 50
CAPS = 100
"""Every message is counted for each of them."""
OWN_CAPS = 20
"""Of a user."""
MOST_OF_A_CAP = 1_000_000_000
SETS = 1_000
"""Categories, workflows or topics of which one user has chosen something."""

_EMAIL = re.compile(
    r"[^@\s\x00-\x1f\x7f<>\"(),:;\[\\\]]{1,64}@(?:[\w](?:[\w-]{0,61}[\w])?\.)+[^\W\d][\w-]{0,61}[\w]"
)
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_LOCALE = re.compile(
    r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(?:-[A-WY-Za-wy-z0-9](?:-[A-Za-z0-9]{2,8})+)*"
)
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_OBJECT_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def check_user_id(user_id: str, pointer: str) -> None:
    """1 to 255 printable characters, no space around; not the user of an object."""
    _check_own_id("user_id", user_id, pointer)
    if is_object_key(user_id):
        raise InvalidInput(
            'this id belongs to an object: name it as {"object": {"type": ..., "id": ...}}.', pointer=pointer
        )


def check_device_id(device_id: str, pointer: str) -> None:
    """The same for what an app calls its installation."""
    _check_own_id("device_id", device_id, pointer)


def _check_own_id(name: str, value: str, pointer: str) -> None:
    if not (0 < len(value) <= OWN_ID_CHARS and value.isprintable() and value == value.strip()):
        raise InvalidInput(
            f"a {name} has 1 to {OWN_ID_CHARS} printable characters and no space around it.", pointer=pointer
        )
    if value in (".", ".."):
        raise InvalidInput(f"a {name} must not be `.` or `..`: URLs use them for folders.", pointer=pointer)


def check_key(key: str, pointer: str) -> None:
    """Keys of what a tenant sets up stand in paths, logs and metrics: kept plain."""
    if len(key) > KEY_CHARS or not _KEY.fullmatch(key):
        raise InvalidInput(
            f"a key has 1 to {KEY_CHARS} letters, digits, `.`, `_`, `:` or `-`, the first a letter or digit.",
            pointer=pointer,
        )


def check_object_name(name: ObjectName, pointer: str) -> None:
    """A type is a key without `.` and `:`, an id like that of a user."""
    if len(name.type) > KEY_CHARS or not _OBJECT_TYPE.fullmatch(name.type):
        raise InvalidInput(
            f"the type of an object has 1 to {KEY_CHARS} letters, digits, `_` or `-`, the first a letter or digit.",
            pointer=f"{pointer}/type",
        )
    _check_own_id("object_id", name.id, f"{pointer}/id")


def check_group(named: str | ObjectName, pointer: str) -> None:
    """The key of a topic or segment, or the name of an object."""
    if isinstance(named, ObjectName):
        check_object_name(named, pointer)
    else:
        check_key(named, pointer)


def check_address(channel: Channel, address: str, pointer: str) -> None:
    """The syntax an address of this channel must have; whether it exists shows on sending."""
    if not 0 < len(address) <= ADDRESS_CHARS or not address.isprintable():
        raise InvalidInput(
            f"an address has 1 to {ADDRESS_CHARS} printable characters and no line breaks.", pointer=pointer
        )
    if channel is Channel.EMAIL and (len(address) > 254 or not _EMAIL.fullmatch(address)):
        raise InvalidInput("this is not an email address like ada@example.com.", pointer=pointer)
    if channel in PHONES and not _PHONE.fullmatch(address):
        raise InvalidInput(
            "this is not a phone number in E.164 form: + country code number, like +4915112345678.",
            pointer=pointer,
        )
    if channel is Channel.PUSH:
        plain_address(channel, address, pointer)
    if channel is Channel.WEBHOOK and not address.startswith(("https://", "http://")):
        raise InvalidInput("a webhook address must be a URL that starts with https://.", pointer=pointer)


def plain_address(channel: Channel, address: str, pointer: str) -> str:
    """The one spelling in which an address is stored: a browser's push subscription and a device token have many."""
    if channel is not Channel.PUSH:
        return address
    if service_of(address):
        try:
            return plain_device_address(address)
        except ValueError as wrong:
            raise InvalidInput(f"this is not the address of a phone: {wrong}.", pointer=pointer) from None
    if not is_subscription(address):
        return address
    try:
        return plain_subscription(address)
    except ValueError as wrong:
        raise InvalidInput(f"this is not a web push subscription: {wrong}.", pointer=pointer) from None


def check_locale(locale: str, pointer: str) -> None:
    """A BCP 47 language tag whose language and region exist."""
    if not locale or len(locale) > 35 or not _LOCALE.fullmatch(locale):
        hint = f"; write {locale.replace('_', '-')}" if _LOCALE.fullmatch(locale.replace("_", "-")) else ""
        raise InvalidInput(f"this is not a language tag (BCP 47) like de or pt-BR{hint}.", pointer=pointer)
    language, *rest = locale.split("-")
    languages, regions = _languages_and_regions()
    if language.lower() not in languages:
        raise InvalidInput(
            f"there is no language {language!r}: use a language tag like de or pt-BR.", pointer=pointer
        )
    own = list(takewhile(lambda part: len(part) > 1, rest))  # behind a single letter come extensions
    region = next((part.upper() for part in own if len(part) == 2), "")
    if region and region not in regions:
        raise InvalidInput(
            f"there is no region {region!r}: use a language tag like de or pt-BR.", pointer=pointer
        )


@lru_cache(maxsize=1)
def _languages_and_regions() -> tuple[frozenset[str], frozenset[str]]:
    """Every code that CLDR knows, old spellings included."""
    from babel.core import get_global

    tags: Iterable[str] = get_global("likely_subtags")
    aliases: Iterable[str] = get_global("language_aliases")
    languages = {tag.partition("_")[0] for tag in (*tags, *aliases)}
    return frozenset(languages), frozenset(get_global("territory_zones")) | frozenset(
        get_global("territory_currencies")
    )


def check_timezone(zone: str, pointer: str) -> None:
    """An IANA zone name."""
    if not check_zone(zone):
        near = closest(zone, available_timezones())
        hint = f" Did you mean {near!r}?" if near else ""
        raise InvalidInput(f"this is not an IANA time zone like Europe/Berlin.{hint}", pointer=pointer)


def check_attributes(attributes: dict[str, Any], pointer: str) -> None:
    """At most 64 attributes, 16 KiB as JSON, numbers within 64 bits: longer ones cannot be stored."""
    if len(attributes) > ATTRIBUTES:
        raise InvalidInput(f"at most {ATTRIBUTES} attributes.", pointer=pointer)
    if len(msgspec.json.encode(attributes)) > ATTRIBUTES_BYTES:
        raise InvalidInput(
            f"attributes may take at most {ATTRIBUTES_BYTES:,} bytes of JSON.", pointer=pointer
        )
    try:
        msgspec.msgpack.encode(attributes)
    except OverflowError:
        raise InvalidInput(
            "attributes hold a whole number of more than 64 bits: write it as text.", pointer=pointer
        ) from None


def check_contacts(contacts: Iterable[Contact], pointer: str) -> None:
    """Every address fits its channel, and there are not too many."""
    given = list(contacts)
    if len(given) > CONTACTS:
        raise InvalidInput(f"a user has at most {CONTACTS} contacts.", pointer=pointer)
    check_all(
        partial(check_address, contact.channel, contact.address, f"{pointer}/{index}/address")
        for index, contact in enumerate(given)
    )


def check_windows(windows: Iterable[Window], pointer: str) -> None:
    """Every window has real times and weekdays, and there are not too many."""
    windows = tuple(windows)
    if len(windows) > WINDOWS:
        raise InvalidInput(f"at most {WINDOWS} windows.", pointer=pointer)
    check_all(partial(_check_window, window, f"{pointer}/{index}") for index, window in enumerate(windows))


def _check_window(window: Window, pointer: str) -> None:
    if (wrong := check_window(window)) is not None:
        raise InvalidInput(f"{wrong}.", pointer=pointer)


def check_preferences(preferences: Preferences, pointer: str) -> None:
    """What a user chose can be worked with."""
    check_all(
        [
            partial(check_windows, preferences.quiet_hours or (), f"{pointer}/quiet_hours"),
            partial(check_caps, preferences.caps, f"{pointer}/caps", OWN_CAPS),
            *_checks_of_sets(preferences, pointer),
            partial(_check_order, preferences.channel_order or (), f"{pointer}/channel_order"),
        ]
    )


def check_default_preferences(preferences: DefaultPreferences, pointer: str) -> None:
    """The same for what holds for all users of a tenant."""
    check_all(
        [
            partial(check_windows, preferences.quiet_hours, f"{pointer}/quiet_hours"),
            *_checks_of_sets(preferences, pointer),
            partial(_check_order, preferences.channel_order, f"{pointer}/channel_order"),
        ]
    )


def _checks_of_sets(preferences: Preferences | DefaultPreferences, pointer: str) -> Iterator[partial[None]]:
    yield partial(check_digest, preferences.digest, f"{pointer}/digest")
    for noun in ("categories", "workflows", "topics"):
        sets: Mapping[str, PreferenceSet] = getattr(preferences, noun, {})
        if len(sets) > SETS:
            yield partial(_too_many, SETS, noun, f"{pointer}/{noun}")
        for key, one in sets.items():
            if one.digest is not None:
                yield partial(check_digest, one.digest, f"{pointer}/{noun}/{_escaped(key)}/digest")


def _escaped(key: str) -> str:
    """As a step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _too_many(most: int, noun: str, pointer: str) -> None:
    raise InvalidInput(f"at most {most} {noun}.", pointer=pointer)


def check_digest(digest: DigestFrequency | None, pointer: str) -> None:
    """Its time is a time."""
    if digest is not None and not is_clock(digest.at):
        raise InvalidInput(f"this is not a time like 09:00, but {digest.at!r}.", pointer=f"{pointer}/at")


def _check_order(order: tuple[Channel, ...], pointer: str) -> None:
    if len(set(order)) < len(order):
        raise InvalidInput("a channel is named twice: name each once.", pointer=pointer)


def check_caps(caps: tuple[FrequencyCap, ...], pointer: str, most: int = CAPS) -> None:
    """A cap allows something, within some time, and there are not too many."""
    if len(caps) > most:
        raise InvalidInput(f"at most {most} caps.", pointer=pointer)
    for index, cap in enumerate(caps):
        if cap.limit < 1 or cap.window_s < 1:
            raise InvalidInput(
                "a cap needs `limit` and `window_s` of at least 1.", pointer=f"{pointer}/{index}"
            )
        if cap.limit > MOST_OF_A_CAP:
            raise InvalidInput(
                f"a cap's `limit` may be at most {MOST_OF_A_CAP:,}; leave the cap out if it is to allow everything.",
                pointer=f"{pointer}/{index}/limit",
            )


def check_countries(countries: Iterable[str], pointer: str, *, others: str = "") -> None:
    """ISO 3166 codes. `others`: what may stand in their place."""
    for code in countries:
        if code != others and not is_country(code):
            also = f", or `{others}` for all others" if others else ""
            raise InvalidInput(f"{code!r} is not a country: write ISO 3166 like DE{also}.", pointer=pointer)


def check_recipient(recipient: str | Recipient, place: str) -> None:
    """A user id, or fields that name exactly one user, topic, segment or object."""
    if isinstance(recipient, str):
        check_user_id(recipient, place)
        return
    for group in ("topic", "segment", "object"):
        if (named := getattr(recipient, group)) is not None:
            if recipient != Recipient(**{group: named}):
                raise InvalidInput(
                    f"a recipient is a user, a topic, a segment or an object: give `{group}` alone.",
                    pointer=place,
                )
            check_group(named, f"{place}/{group}")
            return
    if recipient.user_id is None:
        raise InvalidInput("a recipient needs `user_id`, `topic`, `segment` or `object`.", pointer=place)
    check_all(_checks_of(recipient, recipient.user_id, place))


def _checks_of(recipient: Recipient, user_id: str, place: str) -> Iterator[partial[None]]:
    yield partial(check_user_id, user_id, f"{place}/user_id")
    if recipient.email is not None:
        yield partial(check_address, Channel.EMAIL, recipient.email, f"{place}/email")
    if recipient.phone is not None:
        yield partial(check_address, Channel.SMS, recipient.phone, f"{place}/phone")
    if recipient.locale is not None:
        yield partial(check_locale, recipient.locale, f"{place}/locale")
    if recipient.timezone is not None:
        yield partial(check_timezone, recipient.timezone, f"{place}/timezone")
    if recipient.attributes is not None:
        yield partial(check_attributes, recipient.attributes, f"{place}/attributes")
