"""Novu: workflows as its API gives them (`GET /v1/workflows` with Handlebars, `GET /v2/workflows/{id}` with Liquid)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clarion.cli.importers.dialects import handlebars, liquid
from clarion.cli.importers.imported import (
    BEHIND_A_DIGEST,
    CONDITION_BEHIND_A_DIGEST,
    Imported,
    ImportVerdict,
    digest,
    items_of,
    json_files,
    key_of,
    wait,
)

CHANNELS = {"in_app": "in_app", "email": "email", "sms": "sms", "push": "push", "chat": "chat"}
ROOTS = {"payload": "data", "subscriber": "user"}
OPERATORS = {
    "EQUAL": "==",
    "NOT_EQUAL": "!=",
    "LARGER": ">",
    "SMALLER": "<",
    "LARGER_EQUAL": ">=",
    "SMALLER_EQUAL": "<=",
}
LOCALE = "en"


def read(path: Path) -> Imported:
    """The workflows of a file or folder."""
    imported = Imported()
    for _, document in json_files(path):
        for workflow in items_of(document, "workflows"):
            _Workflow(workflow, imported).take()
    return imported


class _Workflow:
    def __init__(self, source: dict[str, Any], imported: Imported) -> None:
        triggers = source.get("triggers") or [{}]
        self._source = source
        self._imported = imported
        self._new = "workflowId" in source
        self.key = key_of(
            str(source.get("workflowId") or triggers[0].get("identifier") or source.get("name"))
        )
        self._steps: list[dict[str, Any]] = []

    def take(self) -> None:
        """Make a workflow of it."""
        source = self._source
        for number, step in enumerate(source.get("steps", []), 1):
            self._step(step, number)
        if not self._steps:
            self._say("workflow", ImportVerdict.NO_EQUAL, "it sends nothing, so there is no workflow for it")
            return
        group = source.get("notificationGroup") or {}
        name = next(iter(source.get("tags") or ()), "") or group.get("name") or "Novu"
        workflow: dict[str, Any] = {
            "name": str(source.get("name") or self.key),
            "category": self._imported.category(name, critical=bool(source.get("critical"))),
        }
        if schema := source.get("payloadSchema"):
            workflow["data_schema"] = schema
        self._imported.documents["workflows"][self.key] = {**workflow, "steps": self._steps}
        self._say("workflow", ImportVerdict.TAKEN)
        if source.get("active") is False:
            self._say(
                "active: false", ImportVerdict.CHANGED, "it is there, and starts only when it is triggered"
            )
        channels = source.get("preferenceSettings") or {}
        if off := sorted(one for one, on in channels.items() if on is False):
            self._say(
                "preferenceSettings",
                ImportVerdict.NO_EQUAL,
                f"{', '.join(off)} off by default: set it in the category",
            )

    def _step(self, step: dict[str, Any], number: int) -> None:
        template = step.get("template") or {}
        kind = str(step.get("type") or template.get("type"))
        key = key_of(str(step.get("stepId") or step.get("name") or f"{kind}-{number}"))
        part = f"step {number} ({kind})"
        if step.get("active") is False:
            self._say(part, ImportVerdict.CHANGED, "it is off, so it is left out")
            return
        controls = step.get("controlValues") or (step.get("controls") or {}).get("values") or {}
        made = self._made(kind, key, template, controls, step.get("metadata") or {}, part)
        if made is None:
            return
        when = self._condition(step, controls, part)
        if "data." in when and any(one.get("type") == "digest" for one in self._steps):
            self._say(part, ImportVerdict.NO_EQUAL, CONDITION_BEHIND_A_DIGEST)
            when = ""
        self._steps.append(made | ({"when": when} if when else {}))

    def _made(
        self,
        kind: str,
        key: str,
        template: dict[str, Any],
        controls: dict[str, Any],
        metadata: dict[str, Any],
        part: str,
    ) -> dict[str, Any] | None:
        if kind in CHANNELS:
            fields = self._fields(kind, controls if self._new else template, part)
            return self._imported.send(self.key, key, CHANNELS[kind], LOCALE, fields)
        if kind == "delay":
            given = controls or metadata
            if (made := wait(key, given.get("amount"), given.get("unit"))) is not None:
                self._say(part, ImportVerdict.TAKEN)
                return made
            self._say(
                part, ImportVerdict.NO_EQUAL, "only a delay of a fixed length is: write `until` yourself"
            )
            return None
        if kind == "digest":
            given = controls or metadata
            if (
                made := digest(key, given.get("amount"), given.get("unit"), given.get("digestKey"))
            ) is not None:
                self._say(part, ImportVerdict.CHANGED, BEHIND_A_DIGEST)
                return made
            self._say(part, ImportVerdict.NO_EQUAL, "only a window of a fixed length is: write `at` yourself")
            return None
        why = "write it by hand: see how-to/write-workflows-with-steps.md" if kind == "throttle" else ""
        self._say(part, ImportVerdict.NO_EQUAL, why or "there is no step of this type")
        return None

    def _fields(self, kind: str, source: dict[str, Any], part: str) -> dict[str, str]:
        """The texts of a channel."""
        content = source.get("body" if self._new else "content")
        if isinstance(content, list):
            content = "\n".join(str(one.get("content", "")) for one in content)
            self._say(part, ImportVerdict.CHANGED, "the editor's blocks became plain lines")
        if kind == "email" and isinstance(content, str) and content.lstrip().startswith('{"type":"doc"'):
            content = _lines_of(json.loads(content))
            self._say(part, ImportVerdict.CHANGED, "the editor's blocks became plain lines")
        names = {"email": ("subject", "html"), "sms": ("", "text"), "chat": ("", "text")}.get(
            kind, ("title", "body")
        )
        subject = source.get("subject") or source.get("title") or ""
        url = ((source.get("cta") or {}).get("data") or {}).get("url") or (source.get("redirect") or {}).get(
            "url"
        )
        found = {names[0]: subject, names[1]: content or "", "url": url if names[0] == "title" else None}
        fields: dict[str, str] = {}
        for name, text in found.items():
            if name and text:
                fields[name], remarks = (liquid if self._new else handlebars)(str(text), ROOTS)
                for remark in remarks:
                    self._say(part, ImportVerdict.CHANGED, remark)
        if names[0] == "title":
            fields.setdefault("title", fields.pop("body", "") or self._source.get("name", self.key))
        self._say(part, ImportVerdict.TAKEN)
        return fields

    def _condition(self, step: dict[str, Any], controls: dict[str, Any], part: str) -> str:
        """Its filters as an expression, where each has an equal."""
        found = []
        for group in step.get("filters") or []:
            tests = [self._test(one) for one in group.get("children") or []]
            if not all(tests):
                self._say(
                    part,
                    ImportVerdict.NO_EQUAL,
                    "a filter on anything but fields of payload and subscriber: write `when`",
                )
                return ""
            if tests:
                found.append(
                    "(" + (" || " if group.get("value") == "OR" else " && ").join(map(str, tests)) + ")"
                )
        if controls.get("skip"):
            self._say(part, ImportVerdict.NO_EQUAL, "its condition is JSONLogic: write `when`")
        return " && ".join(found)

    def _test(self, one: dict[str, Any]) -> str | None:
        root = {"payload": "data", "subscriber": "user.attributes"}.get(str(one.get("on")))
        operator = OPERATORS.get(str(one.get("operator")))
        if root is None or operator is None:
            return None
        value = one.get("value")
        plain = (
            value
            if isinstance(value, str) and (value in ("true", "false") or operator in (">", "<", ">=", "<="))
            else json.dumps(value)
        )
        return f"{root}.{one.get('field')} {operator} {plain}"

    def _say(self, part: str, verdict: ImportVerdict, why: str = "") -> None:
        self._imported.say(f"{self.key}: {part}", verdict, why)


def _lines_of(node: Any) -> str:
    """The texts of a document of Novu's editor, a block a line."""
    if not isinstance(node, dict):
        return ""
    if node.get("type") == "text":
        return str(node.get("text", ""))
    if node.get("type") == "variable":
        return f"{{{{ {node.get('attrs', {}).get('id', '')} }}}}"
    inner = [_lines_of(one) for one in node.get("content", [])]
    if node.get("type") in ("doc", "section", "columns", "column"):
        return "\n".join(f"<p>{one}</p>" if not one.startswith("<p>") else one for one in inner)
    return "".join(inner)
