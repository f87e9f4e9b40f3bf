"""Knock: the folders that `knock workflow pull` writes, `workflow.json` with texts beside it (`text_body@`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clarion.cli.importers.dialects import liquid
from clarion.cli.importers.imported import (
    BEHIND_A_DIGEST,
    CONDITION_BEHIND_A_DIGEST,
    Imported,
    ImportVerdict,
    digest,
    key_of,
    wait,
)
from clarion.errors import ConfigError

ROOTS = {"recipient": "user", "data": "data"}
LOCALE = "en"
OPERATORS = {
    "equal_to": "==",
    "not_equal_to": "!=",
    "greater_than": ">",
    "less_than": "<",
    "greater_than_or_equal_to": ">=",
    "less_than_or_equal_to": "<=",
}
FIELDS = {
    "email": {"subject": "subject", "html_body": "html", "text_body": "text"},
    "sms": {"text_body": "text"},
    "push": {"title": "title", "text_body": "body"},
    "chat": {"markdown_body": "text", "text_body": "text"},
    "in_app": {"markdown_body": "title", "action_url": "url"},
}


def read(path: Path) -> Imported:
    """The workflows of a folder, or one."""
    files = [path] if path.is_file() else sorted(path.rglob("workflow.json"))
    if not files:
        raise ConfigError(f"{path}: there is no workflow.json in it; `knock workflow pull --all` writes them")
    imported = Imported()
    for file in files:
        try:
            source = json.loads(file.read_text("utf-8-sig"))
        except (OSError, ValueError) as wrong:
            raise ConfigError(f"{file}: this is no JSON that can be read: {wrong}") from None
        _Workflow(source, file.parent, imported).take()
    return imported


class _Workflow:
    def __init__(self, source: dict[str, Any], folder: Path, imported: Imported) -> None:
        self._source = source
        self._folder = folder
        self._imported = imported
        self._collects = False
        """A digest came before."""
        self.key = key_of(str((source.get("__readonly") or {}).get("key") or folder.name))

    def take(self) -> None:
        """Make a workflow of it."""
        source = self._source
        steps = self._steps(source.get("steps", []))
        if not steps:
            self._say("workflow", ImportVerdict.NO_EQUAL, "it sends nothing, so there is no workflow for it")
            return
        settings = source.get("settings") or {}
        name = next(iter(source.get("categories") or ()), "Knock")
        critical = bool(settings.get("override_preferences"))
        workflow: dict[str, Any] = {
            "name": str(source.get("name") or self.key),
            "category": self._imported.category(name, critical=critical),
        }
        if schema := source.get("trigger_data_json_schema"):
            workflow["data_schema"] = schema
        self._imported.documents["workflows"][self.key] = {**workflow, "steps": steps}
        self._say("workflow", ImportVerdict.TAKEN)
        if source.get("trigger_frequency") not in (None, "every_trigger"):
            self._say("trigger_frequency", ImportVerdict.NO_EQUAL, "limit it with `dedupe`")
        if source.get("conditions"):
            self._say("conditions", ImportVerdict.NO_EQUAL, "write `when` on the steps")

    def _steps(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        made = [self._step(step) for step in steps]
        return [one for one in made if one is not None]

    def _step(self, step: dict[str, Any]) -> dict[str, Any] | None:
        kind, key = str(step.get("type")), key_of(str(step.get("ref") or step.get("type")))
        part = f"step {step.get('ref') or key} ({kind})"
        settings = step.get("settings") or {}
        made: dict[str, Any] | None = None
        if kind == "channel":
            made = self._send(step, key, part)
        elif kind == "delay":
            given = settings.get("delay_for") or {}
            made = wait(key, given.get("value"), given.get("unit"))
            self._say(
                part,
                *((ImportVerdict.TAKEN, "") if made else (ImportVerdict.NO_EQUAL, "only a fixed delay is")),
            )
        elif kind == "branch":
            made = self._branch(step, key, part)
        elif kind == "batch":
            given = settings.get("batch_window") or {}
            made = digest(key, given.get("value"), given.get("unit"), settings.get("batch_key"))
            said = (
                (ImportVerdict.CHANGED, BEHIND_A_DIGEST)
                if made
                else (ImportVerdict.NO_EQUAL, "only a fixed window is")
            )
            self._collects = self._collects or made is not None
            self._say(part, *said)
        elif kind == "http_fetch":
            self._say(
                part,
                ImportVerdict.NO_EQUAL,
                "a step `fetch` asks a connection, and templates do not see its answer: see how-to/call-your-services.md",
            )
        elif kind == "throttle":
            self._say(
                part, ImportVerdict.NO_EQUAL, "write it by hand: see how-to/write-workflows-with-steps.md"
            )
        else:
            self._say(part, ImportVerdict.NO_EQUAL, "there is no step of this type")
        when = self._condition(step.get("conditions"), part) if made is not None and kind != "branch" else ""
        return made if made is None or not when else made | {"when": when}

    def _send(self, step: dict[str, Any], key: str, part: str) -> dict[str, Any] | None:
        template = step.get("template") or {}
        channel = _channel(
            str(step.get("channel_type") or ""), f"{step.get('channel_key', '')} {key}", template
        )
        if channel is None:
            self._say(part, ImportVerdict.NO_EQUAL, f"the channel {step.get('channel_key')!r} is not known")
            return None
        fields: dict[str, str] = {}
        for theirs, ours in FIELDS[channel].items():
            text = self._text(template, theirs)
            if text and ours not in fields:
                fields[ours], remarks = liquid(text, ROOTS)
                for remark in remarks:
                    self._say(part, ImportVerdict.CHANGED, remark)
        if "visual_blocks" in template or "visual_blocks@" in template:
            fields.setdefault("html", self._blocks(template))
            self._say(
                part,
                ImportVerdict.CHANGED,
                "visual blocks became HTML paragraphs: buttons and layout are to be made anew",
            )
        if not fields:
            self._say(part, ImportVerdict.NO_EQUAL, "it has no texts")
            return None
        self._say(part, ImportVerdict.TAKEN)
        return self._imported.send(self.key, key, channel, LOCALE, fields)

    def _text(self, template: dict[str, Any], name: str) -> str:
        """A text of a template, from its file where it has one."""
        if f"{name}@" in template:
            file = self._folder / str(template[f"{name}@"])
            if not file.resolve().is_relative_to(self._folder.resolve()):
                raise ConfigError(
                    f"{self._folder / 'workflow.json'}: {template[f'{name}@']} is outside of its folder"
                )
            try:
                return file.read_text("utf-8").rstrip("\n")
            except OSError:
                self._say(str(template[f"{name}@"]), ImportVerdict.NO_EQUAL, "the file is missing")
                return ""
        return str(template.get(name) or "")

    def _blocks(self, template: dict[str, Any]) -> str:
        blocks = template.get("visual_blocks")
        if blocks is None:
            blocks = json.loads(self._text(template, "visual_blocks") or "[]")
        texts = [self._text(one, "content") for one in blocks if isinstance(one, dict)]
        return "\n".join(f"<p>{liquid(text, ROOTS)[0]}</p>" for text in texts if text)

    def _branch(self, step: dict[str, Any], key: str, part: str) -> dict[str, Any] | None:
        cases = []
        for branch in step.get("branches", []):
            inner = self._steps(branch.get("steps", []))
            when = self._condition(branch.get("conditions"), f"{part}, {branch.get('name')}")
            if branch.get("conditions") and not when:
                continue
            cases.append(({"when": when} if when else {}) | {"steps": inner})
        if not any(case["steps"] for case in cases):
            self._say(part, ImportVerdict.NO_EQUAL, "no case of it does anything here")
            return None
        self._say(part, ImportVerdict.TAKEN)
        return {"key": key, "type": "branch", "cases": cases}

    def _condition(self, conditions: Any, part: str) -> str:
        """`all` and `any` of tests on data and recipient, as an expression."""
        if not conditions:
            return ""
        together = " || " if "any" in conditions else " && "
        tests = [_test(one) for one in conditions.get("any") or conditions.get("all") or []]
        if not tests or not all(tests):
            self._say(
                part,
                ImportVerdict.NO_EQUAL,
                "a condition on anything but fields of data and recipient: write `when`",
            )
            return ""
        when = together.join(map(str, tests))
        if "data." in when and self._collects:
            self._say(part, ImportVerdict.NO_EQUAL, CONDITION_BEHIND_A_DIGEST)
            return ""
        return when

    def _say(self, part: str, verdict: ImportVerdict, why: str = "") -> None:
        self._imported.say(f"{self.key}: {part}", verdict, why)


def _test(one: dict[str, Any]) -> str | None:
    if "all" in one or "any" in one:
        inner = [_test(inside) for inside in one.get("any") or one.get("all") or []]
        return (
            "(" + (" || " if "any" in one else " && ").join(map(str, inner)) + ")"
            if inner and all(inner)
            else None
        )
    root, _, field = str(one.get("variable")).partition(".")
    name = {"data": f"data.{field}", "recipient": f"user.attributes.{field}"}.get(root)
    operator = OPERATORS.get(str(one.get("operator")))
    if name is None or operator is None:
        return None
    return f"{name} {operator} {json.dumps(one.get('argument'))}"


def _channel(kind: str, names: str, template: dict[str, Any]) -> str | None:
    """What a step sends on: as it says, or as its channel is called, or as its texts are."""
    words = {"in_app_feed": "in_app", "in-app": "in_app", "feed": "in_app"}
    for word, channel in {**words, **{one: one for one in FIELDS}, "slack": "chat", "teams": "chat"}.items():
        if kind == word or word in names.lower():
            return channel
    if "subject" in template:
        return "email"
    return None
