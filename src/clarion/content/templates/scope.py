"""The names a template can use: the event's fields, and `data`, `user`, `tenant`, `unsubscribe_url`, which take precedence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from clarion.content.localise.locales import direction_of, language_of
from clarion.content.templates.attribute_guard import shielded
from clarion.model.setup import Tenant
from clarion.model.user import User
from clarion.rules import places

HOUSE = frozenset({"data", "user", "tenant", "unsubscribe_url"})


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """In which language a text is written, and in whose forms its dates and numbers."""

    language: str
    """`pt-BR`: the locale of the text."""
    forms: str
    """The reader's own locale when it is of the same language, else that of the text."""
    direction: str
    """`ltr` or `rtl`."""


def voice(text: str, reader: str) -> Voice:
    """How a text in the locale `text` speaks to a reader whose locale is `reader`."""
    same = language_of(reader) == language_of(text)
    return Voice(language=text, forms=reader if same else text, direction=direction_of(text))


USER: Mapping[str, Callable[[User, Tenant, Voice], Any]] = {
    "id": lambda user, tenant, voice: user.id,
    "locale": lambda user, tenant, voice: places.locale(user.profile, tenant)[0],
    "timezone": lambda user, tenant, voice: places.zone_of(user, tenant),
    "attributes": lambda user, tenant, voice: user.profile.attributes,
    "language": lambda user, tenant, voice: voice.language,
    "direction": lambda user, tenant, voice: voice.direction,
}
TENANT = ("key", "name")


class TemplateScope:
    """Makes contexts that hold what one text names, and nothing else: only that has to be handed to the engine."""

    __slots__ = ("_data", "_fields", "_shields", "_tenant", "_url", "_user")

    def __init__(self, paths: Collection[tuple[str, str]], *, shields: bool) -> None:
        """`paths`: names, and what of them is used (empty: anything). `shields`: the data need a shield."""
        names = {name for name, _ in paths}
        self._fields = sorted(names - HOUSE)
        self._data = "data" in names
        used = {part for name, part in paths if name == "user"}
        self._user = [(part, of) for part, of in USER.items() if part in used or not used <= USER.keys()]
        self._tenant = "tenant" in names
        self._url = "unsubscribe_url" in names
        self._shields = shields

    def context(
        self, event_data: Any, user: User, tenant: Tenant, voice: Voice, unsubscribe_url: str
    ) -> dict[str, Any]:
        """What the text sees of this event, for this reader."""
        context: dict[str, Any] = {}
        if event_data.__class__ is dict:
            for name in self._fields:
                if name in event_data:
                    context[name] = event_data[name]
        if self._data:
            context["data"] = event_data
        if self._user:
            known: dict[str, Any] = {}
            for part, of in self._user:
                known[part] = of(user, tenant, voice)
            context["user"] = known
        if self._tenant:
            context["tenant"] = {"key": tenant.key, "name": tenant.name}
        if self._url:
            context["unsubscribe_url"] = unsubscribe_url
        if self._shields:
            return {name: shielded(value) for name, value in context.items()}
        return context
