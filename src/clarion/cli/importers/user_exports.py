"""Exports of users: OneSignal's CSV of subscriptions, and Pinpoint's endpoints as CSV or as a JSON object a line."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clarion.cli.importers.imported import Imported, ImportVerdict
from clarion.errors import ConfigError

ONESIGNAL_TYPES = {"11": "email", "14": "sms"}
PINPOINT_TYPES = {"EMAIL": "email", "SMS": "sms", "VOICE": "sms"}
CONTACT = {"email": "email", "sms": "phone"}
PUSH = (
    "a push token belongs to an installed app: it is registered when the app starts with Clarion's device API"
)


def read_onesignal(path: Path) -> Imported:
    """One row a subscription; rows with the same `external_user_id` are one user."""
    imported = Imported()
    rows = csv.DictReader(io.StringIO(_text(path), newline=""))
    if not {"identifier", "device_type"} <= {*(rows.fieldnames or ())}:
        raise ConfigError(
            f"{path}: this is no OneSignal export: it has no columns `identifier` and `device_type`"
        )
    for row in rows:
        user_id = row.get("external_user_id") or row.get("external_id") or ""
        channel = ONESIGNAL_TYPES.get(row["device_type"].strip())
        if not user_id:
            imported.say(
                "rows without external_user_id", ImportVerdict.NO_EQUAL, "a user needs an id of your own"
            )
            continue
        user = imported.users.setdefault(user_id, {"user_id": user_id})
        _set(user, "locale", row.get("language"))
        _set(user, "timezone", row.get("timezone_id"))
        attributes = user.setdefault("attributes", {})
        attributes |= _tags(row.get("tags") or "", imported)
        _set(attributes, "country", row.get("country"))
        if channel is None:
            imported.say("push subscriptions", ImportVerdict.NO_EQUAL, PUSH)
            continue
        _contact(imported, user, channel, row["identifier"])
        unsubscribed = (row.get("notification_types") or "1").strip().startswith("-")
        if unsubscribed or row.get("invalid_identifier", "").lower() in ("t", "true"):
            _suppress(imported, channel, row["identifier"])
    return imported


def read_pinpoint(path: Path) -> Imported:
    """One row or object an endpoint; those with the same user id are one user."""
    imported = Imported()
    for found in _endpoints(path):
        user_id = str(_at(found, "User.UserId") or "")
        kind = str(_at(found, "ChannelType") or "")
        if not user_id:
            imported.say(
                "endpoints without User.UserId", ImportVerdict.NO_EQUAL, "a user needs an id of your own"
            )
            continue
        user = imported.users.setdefault(user_id, {"user_id": user_id})
        _set(user, "locale", str(_at(found, "Demographic.Locale") or "").replace("_", "-"))
        _set(user, "timezone", _at(found, "Demographic.Timezone"))
        attributes = user.setdefault("attributes", {})
        for prefix in ("Attributes", "User.UserAttributes"):
            attributes |= {name: _one(value) for name, value in _below(found, prefix)}
        _set(attributes, "country", _at(found, "Location.Country"))
        channel = PINPOINT_TYPES.get(kind)
        address = str(_at(found, "Address") or "")
        if channel is None or not address:
            why = PUSH if channel is None else "it has no address"
            imported.say(f"endpoints of the type {kind}", ImportVerdict.NO_EQUAL, why)
            continue
        if channel == "sms" and not address.startswith("+"):
            address = f"+{address}"
        _contact(imported, user, channel, address)
        if str(_at(found, "OptOut") or "").upper() == "ALL":
            _suppress(imported, channel, address)
    return imported


def _contact(imported: Imported, user: dict[str, Any], channel: str, address: str) -> None:
    name = CONTACT[channel]
    if user.get(name) in (None, address):
        user[name] = address
        imported.say(f"{name} addresses", ImportVerdict.TAKEN)
        return
    user.setdefault("contacts", [{"channel": channel, "address": user[name]}]).append(
        {"channel": channel, "address": address}
    )
    imported.say(f"further {name} addresses", ImportVerdict.TAKEN)


def _suppress(imported: Imported, channel: str, address: str) -> None:
    imported.suppressions.append({"channel": channel, "address": address})
    imported.say(
        "opted out or invalid",
        ImportVerdict.CHANGED,
        "they are in suppressions.ndjson: nothing may be sent to them",
    )


def _set(target: dict[str, Any], name: str, value: Any) -> None:
    if value and name not in target:
        target[name] = value


def _tags(text: str, imported: Imported) -> dict[str, Any]:
    """Tags, which are a JSON object."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text.replace("=>", ":"))
    except ValueError:
        imported.say("tags", ImportVerdict.NO_EQUAL, "they are no JSON object")
        return {}
    return found if isinstance(found, dict) else {}


def _endpoints(path: Path) -> Iterator[dict[str, Any]]:
    text = _text(path)
    if text.lstrip().startswith("{"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as wrong:
                    raise ConfigError(f"{path}, line {number}: this is no JSON: {wrong}") from None
        return
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if "ChannelType" not in (rows.fieldnames or ()):
        raise ConfigError(f"{path}: this is no Pinpoint export: it has no `ChannelType`")
    yield from rows


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{path}: it cannot be read: {wrong}") from None


def _at(found: dict[str, Any], place: str) -> Any:
    """A field by its path: a column of CSV, or inside of JSON."""
    if place in found:
        return found[place]
    value: Any = found
    for step in place.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _below(found: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    inner = _at(found, place)
    if isinstance(inner, dict):
        yield from inner.items()
    for name, value in found.items():
        if name.startswith(f"{place}.") and value:
            yield name.removeprefix(f"{place}."), value


def _one(value: Any) -> Any:
    """Pinpoint's attributes are lists; mostly of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
