"""Templates as the editor shows them: list, fields, findings and differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import unified_diff
from typing import Any

import msgspec

from clarion.content import Finding
from clarion.content.catalogues import report
from clarion.content.localise.locales import canonical
from clarion.content.templates.fields import LAYOUTS, FieldKind
from clarion.dashboard.message_feed import moment
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.setup import Template, TemplateDraft, Workflow

HINTS = {
    FieldKind.LINE: "one line",
    FieldKind.HTML: "values are escaped",
    FieldKind.LINK: "a link",
    FieldKind.OBJECT: "a JSON object",
    FieldKind.DOCUMENT: "a JSON document",
}
TONES = {"error": "bad", "warning": "wait"}
PEOPLE = 50
"""Most people to choose from for a preview."""
VERSIONS = 50
"""Versions shown in the history."""
CONTEXT = 2
"""Unchanged lines shown around a change."""


class TemplateForm(msgspec.Struct, frozen=True, kw_only=True):
    """A template as the page sends it: only what authors write."""

    name: str = ""
    default_locale: str = "en"
    channels: dict[Channel, dict[str, dict[str, str]]] = {}
    example_data: dict[str, Any] = {}
    data_schema: dict[str, Any] | None = None

    def template(self, key: str) -> Template:
        """The template of this name."""
        return Template(
            key=key,
            name=self.name,
            default_locale=self.default_locale,
            channels=self.channels,
            example_data=self.example_data,
            data_schema=self.data_schema,
        )


def written(template: Template) -> TemplateForm:
    """What an author starts from."""
    return msgspec.convert(template, TemplateForm, from_attributes=True)


def overview(setup: SetupView, tenant: TenantId) -> list[dict[str, Any]]:
    """Every template, live or not: one row each, by name."""
    live, drafts = setup.templates.all(tenant), setup.drafts.all(tenant)
    rows = [_row(key, live.get(key), drafts.get(key)) for key in {*live, *drafts}]
    return sorted(rows, key=lambda row: str(row["name"]).lower())


def _row(key: str, live: Template | None, draft: TemplateDraft | None) -> dict[str, Any]:
    shown = draft.template if draft else live
    assert shown is not None
    locales = dict.fromkeys(canonical(tag) or tag for by in shown.channels.values() for tag in by)
    return {
        "key": key,
        "name": shown.name or key,
        "channels": [{"id": str(c), "name": CHANNEL_NAMES[c]} for c in shown.channels],
        "locales": [
            {"tag": tag, "missing": report([shown], tag).missing}
            for tag in sorted(locales, key=lambda tag: (tag != shown.default_locale, tag))
        ],
        "version": live.version if live else 0,
        "draft": draft is not None,
    }


def layouts() -> dict[str, Any]:
    """What may be written on each channel, for the script that builds the form."""
    return {
        str(channel): {
            "name": CHANNEL_NAMES[channel],
            "main": [layout.needs or next(iter(layout.kinds)), *layout.needs_one_of[-1:]],
            "fields": [
                {
                    "name": name,
                    "line": kind in (FieldKind.LINE, FieldKind.LINK),
                    "prose": kind is FieldKind.TEXT,
                    "hint": HINTS.get(kind, ""),
                }
                for name, kind in layout.kinds.items()
            ],
        }
        for channel, layout in LAYOUTS.items()
    }


def example_of(setup: SetupView, tenant: TenantId, template: Template) -> Mapping[str, Any]:
    """What the template is shown with: its own example, or that of a workflow that sends it."""
    if template.example_data:
        return template.example_data
    workflows = setup.workflows.all(tenant).values()
    return next((w.example_data for w in workflows if w.example_data and _sends(w, template.key)), {})


def senders(setup: SetupView, tenant: TenantId, key: str) -> list[str]:
    """The workflows that send a template, by name."""
    return [w.name or w.key for w in setup.workflows.all(tenant).values() if _sends(w, key)]


def _sends(workflow: Workflow, key: str) -> bool:
    return key in workflow.templates()


def rows_of(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings for people, the worst first; each knows where to jump."""
    order = {"error": 0, "warning": 1}
    return [
        {
            "severity": str(f.severity),
            "tone": TONES.get(f.severity, ""),
            "detail": f.detail[:1].upper() + f.detail[1:],
            "line": f.line,
            **place(f.pointer),
        }
        for f in sorted(findings, key=lambda f: order.get(f.severity, 2))
    ]


def place(pointer: str) -> dict[str, str]:
    """Where a JSON pointer leads: in words, and as channel, locale and field, or as a partial that has a page."""
    path = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#/").split("/")]
    nowhere = {"channel": "", "locale": "", "field": path[0], "partial": ""}
    if path[0] == "partials" and len(path) == 2:
        # Clarion's own, like `clarion/email`, are nobody's to change.
        return {**nowhere, "where": f"partial {path[1]}", "partial": "" if "/" in path[1] else path[1]}
    if path[0] != "channels" or len(path) == 1 or path[1] not in list(Channel):
        return {**nowhere, "where": " ".join(path).replace("_", " ")}
    channel, locale, field = [*path[1:4], "", "", ""][:3]
    where = " · ".join(filter(None, [CHANNEL_NAMES[Channel(channel)], locale, field]))
    return {**nowhere, "where": where, "channel": channel, "locale": locale, "field": field}


def history(versions: Sequence[Template], live: Template | None) -> list[dict[str, Any]]:
    """The versions that were ever live, newest first."""
    return [
        {
            "version": one.version,
            "at": moment(one.published_at or None),
            "origin": origin(one.origin),
            "live": live is not None and one.version == live.version,
        }
        for one in versions
    ]


def origin(text: str) -> str:
    """What a version was made from, for people."""
    kind, _, rest = text.partition(" ")
    return {
        "draft": "Published from a draft",
        "document": "Published through the API",
        "version": f"Rolled back to version {rest}",
        "partial": f"The partial “{rest}” changed",
    }.get(kind, text)


def differences(old: Template, new: Template) -> list[dict[str, Any]]:
    """What is different, field by field, as lines that went and lines that came."""
    before, after = _texts(old), _texts(new)
    changes = []
    for path in [*before, *(path for path in after if path not in before)]:
        a, b = before.get(path, ""), after.get(path, "")
        if a != b:
            changes.append({"where": path, "lines": diff_lines(a, b)})
    return changes


def diff_lines(before: str, after: str) -> list[dict[str, str]]:
    """The lines that went and came, with some around them."""
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=CONTEXT)
    return [_diff_line(line) for line in [*lines][2:]]


def _diff_line(line: str) -> dict[str, str]:
    sort = {"+": "new", "-": "old", "@": "gap"}.get(line[:1], "")
    return {
        "sort": sort,
        "mark": line[:1] if sort in ("new", "old") else "",
        "said": {"new": "added: ", "old": "removed: "}.get(sort, ""),
        "text": "…" if sort == "gap" else line[1:],
    }


def _texts(template: Template) -> dict[str, str]:
    texts = {
        f"{CHANNEL_NAMES[channel]} · {locale} · {field}": text
        for channel, locales in template.channels.items()
        for locale, fields in locales.items()
        for field, text in fields.items()
    }
    texts["default locale"] = template.default_locale
    for name in ("example_data", "data_schema"):
        if value := getattr(template, name):
            texts[name.replace("_", " ")] = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return texts


def stamp(at: Instant) -> str:
    """A moment for `<time>`."""
    return moment(at)
