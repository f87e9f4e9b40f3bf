"""Decides how a WhatsApp message may be sent: as free text, as an approved template, or not at all."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from clarion.model.content import WhatsAppContent
from clarion.model.ids import Instant
from clarion.model.status import Reason
from clarion.model.whatsapp import WINDOW_MS, Approval, WhatsAppTemplate, WhatsAppTemplates
from clarion.rules.time_format import rfc3339


class Allowed(NamedTuple):
    """What may be sent."""

    content: WhatsAppContent
    """Either a text or a template."""
    template: WhatsAppTemplate | None = None
    """The template as the service lists it; None: it has not listed any yet."""


class NotAllowed(NamedTuple):
    """Why nothing may be sent."""

    reason: Reason
    detail: str


def allowed(
    content: WhatsAppContent, heard_at: Instant | None, known: WhatsAppTemplates | None, now: Instant
) -> Allowed | NotAllowed:
    """`heard_at`: when the person wrote last. `known`: the templates of the integration.

    The text where the window is open, else the template. While no template was ever listed nobody can tell, and the
    service decides.
    """
    if content.text and heard_at is not None and now < heard_at + WINDOW_MS:
        return Allowed(WhatsAppContent(text=content.text))
    if not content.template:
        return NotAllowed(Reason.WINDOW_CLOSED, _closed(heard_at))
    if known is None:
        return Allowed(replace(content, text=""))
    found = _found(known, content.template, content.language)
    if found is None:
        return NotAllowed(
            Reason.TEMPLATE_NOT_APPROVED,
            f"WhatsApp has no template `{content.template}` in `{content.language}`, "
            f"as of {rfc3339(known.synced_at)}",
        )
    if found.approval is not Approval.APPROVED:
        return NotAllowed(
            Reason.TEMPLATE_NOT_APPROVED,
            f"the template `{found.name}` in `{found.language}` is {found.approval} at WhatsApp",
        )
    return Allowed(replace(content, text="", language=found.language), found)


def _closed(heard_at: Instant | None) -> str:
    if heard_at is None:
        return "the person has not written within 24 hours, and there is no template"
    return f"24 hours after the person wrote ended at {rfc3339(Instant(heard_at + WINDOW_MS))}, and there is no template"


def _found(known: WhatsAppTemplates, name: str, language: str) -> WhatsAppTemplate | None:
    """The template in this language; else in the same one of another region, an approved one first."""
    named = [one for one in known.templates if name in (one.name, one.id)]
    exact = [one for one in named if one.language == language or one.id == name]
    same = [one for one in named if _base(one.language) == _base(language)]
    fitting = exact or sorted(same, key=lambda one: (one.approval is not Approval.APPROVED, one.language))
    return fitting[0] if fitting else None


def _base(language: str) -> str:
    return language.replace("-", "_").partition("_")[0].lower()
