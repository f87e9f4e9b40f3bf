"""GOV.UK Notify: templates, as `GET /v2/templates` gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clarion.cli.importers.dialects import double_brackets
from clarion.cli.importers.imported import Imported, ImportVerdict, items_of, json_files, key_of

CHANNELS = {"email": "email", "sms": "sms"}
LOCALE = "en-GB"


def read(path: Path) -> Imported:
    """The templates of a file or folder, each with a workflow that sends it."""
    imported = Imported()
    for _, document in json_files(path):
        for template in items_of(document, "templates"):
            _take(template, imported)
    return imported


def _take(source: dict[str, Any], imported: Imported) -> None:
    name, kind = str(source.get("name") or source.get("id")), str(source.get("type"))
    key = key_of(name)
    if kind not in CHANNELS:
        imported.say(
            f"{key} ({kind})",
            ImportVerdict.NO_EQUAL,
            "there are no letters" if kind == "letter" else "not known",
        )
        return
    needed: dict[str, bool] = {}
    fields: dict[str, str] = {}
    for theirs, ours in (("subject", "subject"), ("body", "text")):
        if source.get(theirs) and (theirs == "body" or kind == "email"):
            fields[ours], names = double_brackets(str(source[theirs]).replace("\r\n", "\n"))
            needed |= {one: always or needed.get(one, False) for one, always in names.items()}
    workflow = key
    while workflow in imported.documents["workflows"]:
        workflow += f"-{kind}"
    step = imported.send(workflow, "send", CHANNELS[kind], LOCALE, fields)
    schema = {
        "type": "object",
        "required": sorted(one for one, always in needed.items() if always),
        "properties": {one: {"type": "string"} if always else {} for one, always in needed.items()},
    }
    imported.documents["templates"][step["template"]] |= {"name": name, "data_schema": schema}
    imported.documents["workflows"][workflow] = {
        "name": name,
        "category": imported.category("Notify", critical=True),
        "steps": [step],
    }
    imported.say(f"{workflow} ({kind})", ImportVerdict.TAKEN)
    if kind == "email" and any(
        line.lstrip().startswith(("#", "*", "^", "1.")) for line in fields["text"].splitlines()
    ):
        imported.say(
            f"{workflow} ({kind})",
            ImportVerdict.CHANGED,
            "its Markdown stays as text: write `html` for headings and lists",
        )
