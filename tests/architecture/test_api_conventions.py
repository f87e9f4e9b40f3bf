"""Every route keeps the conventions of the API: one walk over `openapi.json` finds each that does not.

`NOT_YET` lists what does not keep one yet, with the reason. It may only shrink: a new route is no reason for a new line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import pytest

from clarion.api import openapi
from clarion.api.routes import routed

DOCUMENT = openapi.whole(routed("0.0.0"))
OPERATIONS = [one for one in openapi.operations(DOCUMENT) if one[0].startswith("/v1")]
SCHEMAS = DOCUMENT["components"]["schemas"]
WRITES = ("put", "patch", "delete", "post")

CONVENTIONS: dict[str, Callable[[], Iterator[str]]] = {}

_DONE = "what it does reaches beyond the store, and cannot be undone"
_WHOLE = "adds to a collection and is the same however often it is done: there is no state to depend on"
_CONTENT = "content is shown as channels take it, without what is not there"
NOT_YET: dict[str, dict[str, str]] = {
    "changes_can_depend_on_what_was_read": {
        "DELETE /v1/dead-letters/events/{event}": "it never changes before it is gone",
        "DELETE /v1/quarantine/{quarantine_id}": "it never changes before it is gone",
        "DELETE /v1/sms-guard/blocks/{block_id}": "it never changes before it is gone",
        "PUT /v1/objects/{type}/{object_id}/members/{user_id}": _WHOLE,
        "PUT /v1/topics/{key}/subscriptions/{user_id}": _WHOLE,
        "PUT /v1/translations/{locale}": "it is about many drafts, each of which is checked by itself",
    },
    "what_is_written_can_be_read": {
        "PUT /v1/objects/{type}/{object_id}/members/{user_id}": "the list of members shows it",
        "PUT /v1/topics/{key}/subscriptions/{user_id}": "the list of subscriptions shows it",
        "PUT /v1/users/{user_id}/preferences/categories/{key}": "it is a part of the preferences",
    },
    "every_write_can_be_rehearsed": {
        "POST /v1/dead-letters/events/retry": _DONE,
        "POST /v1/events/{event_id}/cancel": _DONE,
        "POST /v1/inbound/email": _DONE,
        "POST /v1/integrations/{key}/test": "it sends a message: that is all there is to it",
        "POST /v1/quarantine/{quarantine_id}/resolve": _DONE,
        "POST /v1/quarantine/{quarantine_id}/retry": _DONE,
        "POST /v1/templates/{key}/test": "it sends a message; its preview is the dry run",
        "POST /v1/verifications": "it sends a code: that is all there is to it",
        "POST /v1/verifications/{verification_id}/cancel": _DONE,
        "POST /v1/verifications/{verification_id}/check": "a check counts: there are only so many",
        "POST /v1/verifications/{verification_id}/retry": "it sends a code: that is all there is to it",
        "POST /v1/users/{user_id}/tokens": "a token is not stored: to make one is all there is to it",
    },
    "unknown_fields_are_refused": {
        "POST /v1/events": "CloudEvents may carry extension attributes",
    },
    "instants_are_texts_and_durations_whole_numbers": {
        "IntegrationLimits.timeout_s": "stored with fractions",
    },
    "nothing_is_null_and_never_empty": {
        **dict.fromkeys(
            (
                "Action.url",
                "Attachment.content",
                "Attachment.inline_id",
                "Attachment.url",
                "ChatContent.image",
                "ChatContent.title",
                "ChatContent.url",
                "DeviceOptions.category",
                "DeviceOptions.channel_id",
                "DeviceOptions.loc_key",
                "DeviceOptions.sound",
                "DeviceOptions.subtitle",
                "DeviceOptions.thread_id",
                "DeviceOptions.title_loc_key",
                "LiveOptions.attributes_type",
                "LiveOptions.short_text",
                "EmailContent.html",
                "EmailContent.preheader",
                "EmailContent.text",
                "Invitation.description",
                "Invitation.end",
                "Invitation.location",
                "Invitation.organizer",
                "Invitation.organizer_name",
                "Invitation.summary",
                "Invitation.url",
                "InAppContent.body",
                "InAppContent.url",
                "PushContent.body",
                "PushContent.image",
                "PushContent.url",
                "SmsContent.rcs_template",
                "VoiceContent.acknowledge",
                "VoiceContent.language",
                "VoiceContent.ssml",
                "VoiceContent.text",
                "WebhookContent.type",
                "WhatsAppContent.header",
                "WhatsAppContent.language",
                "WhatsAppContent.template",
                "WhatsAppContent.text",
            ),
            _CONTENT,
        ),
    },
}


def convention(check: Callable[[], Iterator[str]]) -> Callable[[], Iterator[str]]:
    """A check that yields what does not keep a convention."""
    CONVENTIONS[check.__name__] = check
    return check


def named(path: str, method: str) -> str:
    """`GET /v1/users`."""
    return f"{method.upper()} {path}"


def parameters(operation: dict[str, Any], place: str) -> dict[str, dict[str, Any]]:
    """Those of a place, by name."""
    return {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == place}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference."""
    return SCHEMAS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def answers(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas of what a success answers."""
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            for content in response.get("content", {}).values():
                whole = resolved(content.get("schema", {}))
                yield from map(resolved, whole.get("oneOf", [whole]))


def is_list(operation: dict[str, Any]) -> bool:
    """It answers a page."""
    return any({"items", "next_cursor"} <= {*answer.get("properties", {})} for answer in answers(operation))


def shown() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every type that a success shows, with its name."""
    seen: set[str] = set()
    waiting = [content for _, _, operation in OPERATIONS for content in _contents(operation)]
    while waiting:
        for name in re.findall(r"#/components/schemas/([^'\"]+)", str(waiting.pop())):
            if name not in seen:
                seen.add(name)
                waiting.append(SCHEMAS[name])
                yield name, SCHEMAS[name]


def _contents(operation: dict[str, Any]) -> list[Any]:
    return [
        one.get("content", {}) for status, one in operation["responses"].items() if status.startswith("2")
    ]


def kinds(schema: dict[str, Any]) -> set[str]:
    """The JSON types a value may have."""
    kind = resolved(schema).get("type", ())
    found = {kind} if isinstance(kind, str) else {*kind}
    return found.union(*(kinds(one) for several in ("anyOf", "oneOf") for one in schema.get(several, ())))


# -- C1, C2: names -----------------------------------------------------------------------------------------


@convention
def paths_are_kebab_case() -> Iterator[str]:
    for path, _, _ in OPERATIONS:
        for segment in path.split("/")[2:]:
            if not re.fullmatch(r"[a-z]+(-[a-z]+)*|\{[a-z]+(_[a-z]+)*\}", segment):
                yield path


@convention
def names_are_snake_case() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        for name in (*parameters(operation, "query"), *parameters(operation, "path")):
            if not re.fullmatch(r"[a-z]+[a-z0-9]*(_[a-z0-9]+)*", name):
                yield f"{named(path, method)} {name}"
    for name, schema in SCHEMAS.items():
        for field in schema.get("properties", {}):
            if not re.fullmatch(r"[a-z]+[a-z0-9]*(_[a-z0-9]+)*", field):
                yield f"{name}.{field}"


@convention
def values_are_snake_case() -> Iterator[str]:
    for name, schema in SCHEMAS.items():
        for value in schema.get("enum", ()):
            if isinstance(value, str) and not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", value):
                yield f"{name} {value}"


# -- C4, C5: lists -----------------------------------------------------------------------------------------


@convention
def lists_come_in_pages() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        if method == "get" and is_list(operation):
            query = parameters(operation, "query")
            limit = query.get("limit", {}).get("schema", {})
            bounds = (limit.get("minimum"), limit.get("maximum"), limit.get("default"))
            counted = "total" in query or "wait_s" in query  # what is still going on has no length
            if "cursor" not in query or bounds != (1, 200, 50) or not counted:
                yield named(path, method)


@convention
def what_is_read_can_be_read_in_part() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        objects = [one for one in answers(operation) if one.get("type") == "object"]
        if method == "get" and objects and "fields" not in parameters(operation, "query"):
            yield named(path, method)


@convention
def filters_have_the_names_of_their_fields() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        for name in ("user", "event", "message", "id"):
            if name in parameters(operation, "query"):
                yield f"{named(path, method)} {name}"


# -- C6: concurrency ---------------------------------------------------------------------------------------


@convention
def one_resource_has_an_etag() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        one = (path.endswith("}") or operation.get("x-resource")) and not is_list(operation)
        if method == "get" and one and "ETag" not in operation["responses"]["200"].get("headers", {}):
            yield named(path, method)


@convention
def changes_can_depend_on_what_was_read() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        if method in ("put", "patch", "delete") and "If-Match" not in parameters(operation, "header"):
            yield named(path, method)


@convention
def what_is_written_can_be_read() -> Iterator[str]:
    reads = {path for path, method, _ in OPERATIONS if method == "get"}
    for path, method, _ in OPERATIONS:
        if method in ("put", "patch") and path not in reads:
            yield named(path, method)


# -- C10, C11: repeats and dry runs ------------------------------------------------------------------------


@convention
def every_post_takes_an_idempotency_key() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        if method == "post" and "Idempotency-Key" not in parameters(operation, "header"):
            yield named(path, method)


@convention
def every_write_can_be_rehearsed() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        if method in WRITES and "dry_run" not in parameters(operation, "query"):
            yield named(path, method)


# -- C13, C14, C23: refusals -------------------------------------------------------------------------------


@convention
def errors_are_problems() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        told = operation["responses"].get("default", {}).get("content", {})
        if told.get("application/problem+json", {}).get("schema") != {"$ref": "#/components/schemas/Problem"}:
            yield named(path, method)


@convention
def the_needed_credential_is_declared() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        if not operation.get("x-scope") or not operation.get("security"):
            yield named(path, method)


@convention
def unknown_fields_are_refused() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for one in map(resolved, _alternatives(content["schema"])):
                if one.get("properties") and one.get("additionalProperties") is not False:
                    yield named(path, method)


def _alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    several = [one for kind in ("oneOf", "anyOf") for one in schema.get(kind, ())]
    yield from several or [schema.get("items", schema)]


# -- C3, C16, B15: values ----------------------------------------------------------------------------------


@convention
def instants_are_texts_and_durations_whole_numbers() -> Iterator[str]:
    for name, schema in shown():
        for field, value in schema.get("properties", {}).items():
            if field.endswith("_at") and not kinds(value) <= {"string", "null"}:
                yield f"{name}.{field}"
            if field.endswith(("_s", "_ms")) and not kinds(value) <= {"integer", "null"}:
                yield f"{name}.{field}"


@convention
def nothing_is_null_and_never_empty() -> Iterator[str]:
    for name, schema in shown():
        for field, value in schema.get("properties", {}).items():
            if value.get("default") == "" and field != "key" and name not in ("Fault", "Problem"):
                yield f"{name}.{field}"


# -- what the document says is so --------------------------------------------------------------------------


@convention
def examples_validate() -> Iterator[str]:
    for path, method, operation in OPERATIONS:
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                schema = {**content["schema"], "components": DOCUMENT["components"]}
                if not jsonschema_rs.is_valid(schema, content["example"]):
                    yield named(path, method)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_route_keeps_the_convention(name):
    """Or stands in `NOT_YET`, with a reason, until it does."""
    broken = sorted(set(CONVENTIONS[name]()) - {*NOT_YET.get(name, {})})
    assert broken == [], f"{name.replace('_', ' ')}: not so here"


def test_what_is_mended_leaves_the_list():
    """So that it cannot break again unseen: take these lines out of `NOT_YET`."""
    assert {*NOT_YET} <= {*CONVENTIONS}
    kept = {
        name: sorted({*lines} - set(CONVENTIONS[name]()))
        for name, lines in NOT_YET.items()
        if {*lines} - set(CONVENTIONS[name]())
    }
    assert kept == {}
