"""Grafana OnCall: escalation chains with their policies, as `/api/v1/escalation_chains` and `/escalation_policies` give them.

A chain becomes a workflow that starts another one for the people of each policy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clarion.cli.importers.imported import Imported, ImportVerdict, items_of, json_files, key_of
from clarion.errors import ConfigError

LADDER = {
    "mode": "ladder",
    "channels": [
        {"channel": "push", "wait_s": 60},
        {"channel": "sms", "wait_s": 120},
        {"channel": "voice", "wait_s": 120},
    ],
    "until": "seen",
}
URGENT = {"mode": "all", "channels": ["push", "sms", "voice"]}
PAGE = {
    "in_app": {"en": {"title": "{{ data.title }}", "body": "{{ data.message|default('') }}"}},
    "push": {"en": {"title": "{{ data.title }}", "body": "{{ data.message|default('') }}"}},
    "sms": {"en": {"text": "{{ data.title }}"}},
    "voice": {"en": {"text": "{{ data.title }}"}},
}
WHY = {
    "notify_on_call_from_schedule": "there are no on-call schedules: name the people with `recipients`",
    "notify_user_group": "groups of Slack have no equal: use a topic",
    "notify_team_members": "teams have no equal: use a topic",
    "notify_whole_channel": "use an integration for the chat, and a user for the channel",
    "notify_if_time_from_to": "write `when` on the steps behind it",
    "notify_if_num_alerts_in_window": "count the alerts before the workflow starts",
    "trigger_webhook": "use a webhook endpoint, or a sink",
    "resolve": "Clarion keeps no alerts: cancel the runs with `cancellation_key`",
    "repeat_escalation": "repeat the steps",
    "declare_incident": "there is nothing like it",
}


def read(path: Path) -> Imported:
    """The chains of a file or folder. Policies name their chain."""
    chains: dict[str, dict[str, Any]] = {}
    policies: list[dict[str, Any]] = []
    for _, document in json_files(path):
        parts = document if isinstance(document, dict) else {}
        for one in [
            *items_of(document, "escalation_chains"),
            *items_of(parts.get("escalation_policies", [])),
        ]:
            if "escalation_chain_id" in one:
                policies.append(one)
            elif "id" in one and "name" in one:
                chains[str(one["id"])] = one
    if not policies:
        raise ConfigError(
            f"{path}: there are no escalation policies in it; take the answers of /api/v1/escalation_chains and "
            "/api/v1/escalation_policies"
        )
    imported = Imported()
    category = imported.category("On call", critical=True)
    for chain in sorted({str(one["escalation_chain_id"]) for one in policies}):
        mine = [one for one in policies if str(one["escalation_chain_id"]) == chain]
        name = str(chains.get(chain, {}).get("name") or chain)
        _chain(name, sorted(mine, key=lambda one: int(one.get("position", 0))), category, imported)
    return imported


def _chain(name: str, policies: list[dict[str, Any]], category: str, imported: Imported) -> None:
    key = f"escalate-{key_of(name)}"
    steps: list[dict[str, Any]] = []
    for number, policy in enumerate(policies, 1):
        kind = str(policy.get("type"))
        part = f"{key}: policy {number} ({kind})"
        people = policy.get("persons_to_notify") or policy.get("persons_to_notify_next_each_time") or []
        if kind == "wait" and policy.get("duration"):
            steps.append({"key": f"wait-{number}", "type": "wait", "for_s": int(policy["duration"])})
            imported.say(part, ImportVerdict.TAKEN)
        elif kind in ("notify_persons", "notify_person_next_each_time") and people:
            page = _page(bool(policy.get("important")), category, imported)
            steps.append(
                {
                    "key": f"page-{number}",
                    "type": "trigger",
                    "workflow": page,
                    "recipients": json.dumps(people),
                }
            )
            if kind == "notify_persons":
                imported.say(part, ImportVerdict.TAKEN)
            else:
                imported.say(part, ImportVerdict.CHANGED, "all of them are notified, not one after the other")
        else:
            imported.say(part, ImportVerdict.NO_EQUAL, WHY.get(kind, "there is nothing like it"))
    if not steps:
        imported.say(key, ImportVerdict.NO_EQUAL, "nothing of this chain has an equal")
        return
    imported.documents["templates"].setdefault("page", {"default_locale": "en", "channels": PAGE})
    note = {"key": "note", "template": "page", "to": {"mode": "all", "channels": ["in_app"]}}
    imported.documents["workflows"][key] = {
        "name": name,
        "category": category,
        "lane": "critical",
        "steps": [note, *steps],
    }
    imported.say(
        key,
        ImportVerdict.CHANGED,
        "start it for one recipient, such as the user of the service, who gets an inbox item; it notifies the others",
    )


def _page(important: bool, category: str, imported: Imported) -> str:
    """The workflow that notifies one person: their own rules are not in the export."""
    key = "page-important" if important else "page"
    imported.documents["templates"].setdefault("page", {"default_locale": "en", "channels": PAGE})
    if key not in imported.documents["workflows"]:
        step = {"key": "page", "template": "page", "to": URGENT if important else LADDER}
        imported.documents["workflows"][key] = {
            "name": "Page somebody" + (", at once" if important else ""),
            "category": category,
            "lane": "critical",
            "steps": [step],
        }
        imported.say(
            key, ImportVerdict.CHANGED, "notification rules of people have no equal: one workflow for all"
        )
    return key
