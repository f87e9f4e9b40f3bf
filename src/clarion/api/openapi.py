"""The OpenAPI document: Litestar describes the ordinary routes; this adds the ingest routes and what all share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, get_args

import msgspec
from litestar import Litestar, Request, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.routes import HTTPRoute

from clarion.api.cloudevents import CloudEvent
from clarion.api.docstrings import describe
from clarion.api.events import EventsAccepted
from clarion.api.guards import about_one
from clarion.api.idempotency import KEY_CHARS
from clarion.api.inbound import MailTaken
from clarion.api.operations import PIECES
from clarion.api.parameters import can_count, can_dry_run, fields_shown
from clarion.api.prices import PriceList
from clarion.api.problems import Problem
from clarion.api.submissions import BATCHED, STRUCTURED, Trigger, TriggerLine
from clarion.api.translations import READS
from clarion.api.user_imports import IMPORTED
from clarion.api.users import UserBody
from clarion.model.setup import Scope

TITLE = "Clarion"
DESCRIPTION = (
    "Tell Clarion what happened; it decides who hears about it, on which channel and when, and makes sure it "
    "arrives once. Every call needs `Authorization: Bearer` with an API key; the inbox also takes that user's own "
    "token. Errors are RFC 9457 problems with a stable `code`, listed at `/docs/errors`. Unknown fields and "
    "parameters are refused."
)
TAGS = ("Events", "Users", "Inbox", "Topics", "Messages", "Webhooks", "Set-up", "Access", "Health")
"""In the order in which the documentation shows them."""
PATH = "/openapi.json"
REF = "#/components/schemas/{name}"


TRIGGER_EXAMPLE = {
    "recipients": [
        "ada",
        {"user_id": "grace", "create": True, "email": "grace@example.com"},
        {"topic": "shareholders"},
    ],
    "data": {"order_id": "4711", "total": "12.50"},
    "delay_s": 3600,
    "expires_at": "2030-01-01T00:00:00Z",
    "overrides": {"email": {"subject": "Your order 4711"}},
}
EVENT_EXAMPLE = {
    "specversion": "1.0",
    "id": "4711",
    "source": "/shop",
    "type": "order.paid",
    "subject": "ada",
    "data": {"order_id": "4711", "total": "12.50"},
}

_PAGE_NAME = re.compile(rb"Page_[\w.]*?(\w+)_(?=\")")
"""`Page_clarion.api.users.UserView_` reads better as `UserViewPage`."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one event of a batch: an `event_id` or an `error`."""

    index: int
    event_id: str | None = None
    accepted: int | None = None
    created_users: tuple[str, ...] | None = None
    error: Problem | None = None


class BatchAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a batch: each entry of `items` has an `event_id` or an `error`."""

    accepted: int
    rejected: int
    items: list[Item]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the event would send. Nothing is stored."""

    dry_run: bool
    runs: list[dict[str, Any]]
    """One explanation per recipient and workflow."""


class OpenApi(OpenAPIRenderPlugin):
    """Serves the whole document."""

    def __init__(self) -> None:
        super().__init__(path=["/", PATH], media_type="application/json")  # type: ignore[arg-type]

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        return msgspec.json.encode(whole(request.app))


def config(version: str) -> OpenAPIConfig:
    """How Litestar is to describe its routes."""
    return OpenAPIConfig(
        title=TITLE,
        version=version,
        description=DESCRIPTION,
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, *_: handler.handler_name,
        render_plugins=[OpenApi()],
        openapi_router=Router(PATH, route_handlers=[], include_in_schema=False, opt={"scope": None}),
    )


@lru_cache(maxsize=1)
def whole(app: Litestar) -> dict[str, Any]:
    """The document with the ingest routes, bodies, credentials and problems. Put together once: do not mutate."""
    described = app.openapi_schema.to_schema()
    handlers = {
        handler.handler_name: handler
        for route in app.routes
        for handler in (route.route_handlers if isinstance(route, HTTPRoute) else ())
        if "scope" in handler.opt
    }
    scopes = {name: handler.opt["scope"] for name, handler in handlers.items()}
    paths: dict[str, Any] = dict(described["paths"])
    for path, methods in _ingest().items():
        paths[path] = {**paths.get(path, {}), **methods}
    schemas = {**described.get("components", {}).get("schemas", {}), **_schemas()}
    describe(schemas)
    for _, method, operation in operations({"paths": paths}):
        _say_what_all_share(operation, scopes.get(operation["operationId"], Scope.SEND))
        if method == "post":
            operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
        if (handler := handlers.get(operation["operationId"])) is not None:
            _say_what_follows(operation, handler)
    file = {"type": "string", "format": "binary"}
    paths["/v1/translations/{locale}"]["put"]["requestBody"] = _body(dict.fromkeys(READS, file))
    for method, schema in (("put", _ref(PriceList)), ("patch", {"type": "object"})):
        paths["/v1/prices"][method]["requestBody"] = _body({"application/json": schema, "text/csv": file})
    paths["/v1/users/import"]["post"]["requestBody"] = _body(dict.fromkeys(IMPORTED, file))
    paths["/v1/operations/{operation_id}/file"]["patch"]["requestBody"] = _body(dict.fromkeys(PIECES, file))
    paths["/v1/users/bulk"]["post"]["requestBody"] = _body({"application/x-ndjson": _ref(UserBody)})
    document = {
        **described,
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in TAGS],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key, `clr_...`"},
                "userToken": {"type": "http", "scheme": "bearer", "description": "A user's own inbox token"},
            },
        },
    }
    plain = _PAGE_NAME.sub(rb"\1Page", msgspec.json.encode(document))
    return dict(msgspec.json.decode(plain))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method, operation) of a document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield path, method, operation


def _say_what_all_share(operation: dict[str, Any], scope: Scope | None) -> None:
    tag = operation["tags"][0]
    operation["summary"] = operation["description"].partition(". ")[0].partition(": ")[0].rstrip(".")
    for parameter in operation.get("parameters", ()):
        for noise in ("deprecated", "allowEmptyValue", "allowReserved"):
            parameter.pop(noise, None)
        choices = parameter["schema"].get("oneOf", ())
        if {"type": "null"} in choices:  # a parameter that is left out is not null
            (parameter["schema"],) = [one for one in choices if one != {"type": "null"}]
    operation["responses"] = {
        status: response for status, response in operation["responses"].items() if status != "400"
    }
    if scope is not None:
        operation["x-scope"] = scope.value
        operation["security"] = [{"apiKey": []}] + ([{"userToken": []}] if tag == "Inbox" else [])
        operation["responses"]["default"] = {
            "description": "A problem from the catalogue at `/docs/errors`",
            "content": {"application/problem+json": {"schema": _ref(Problem)}},
        }


def _schemas() -> dict[str, Any]:
    """The types only the ingest routes know."""
    _, found = msgspec.json.schema_components(
        (
            Trigger,
            TriggerLine,
            CloudEvent,
            EventsAccepted,
            BatchAccepted,
            MailTaken,
            Plan,
            PriceList,
            Problem,
            UserBody,
        ),
        ref_template=REF,
    )
    return dict(found)


def _say_what_follows(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    """What a route's declaration means: fields to choose from, and the ETag of its one resource."""
    if handler.opt.get("operator"):
        operation["x-operator"] = True
    shared = operation.setdefault("parameters", [])
    if shown := fields_shown(handler):
        choice = {"type": "array", "items": {"type": "string", "enum": shown}}
        shared.append(
            {
                **_parameter("query", "fields", "Return only these fields", choice),
                "style": "form",
                "explode": False,
            }
        )
    if can_count(handler):
        said = "Add `total`: how many items there are, counted up to 10,000"
        shared.append(_parameter("query", "total", said, {"type": "boolean"}))
    if can_dry_run(handler):
        shared.append(
            _parameter(
                "query",
                "dry_run",
                "Check and answer as usual, but store and send nothing",
                {"type": "boolean"},
            )
        )
    reads = "GET" in handler.http_methods
    about = about_one(handler, {one["name"] for one in shared if one["in"] == "path"})
    if about:
        operation["x-resource"] = about
    if about or (reads and handler.opt.get("one", True) is None):
        for status, response in operation["responses"].items():
            if status in ("200", "201") and "content" in response:
                response.setdefault("headers", {})["ETag"] = {
                    "description": "Names the present state, for `If-Match`",
                    "schema": {"type": "string"},
                }
    if about and not reads:
        said = "The resource must have one of these ETags (`*`: any), else 412"
        shared.append(_parameter("header", "If-Match", said, {"type": "string"}))
        if "PUT" in handler.http_methods:
            said = "`*`: the resource must not exist yet, else 412"
            shared.append(_parameter("header", "If-None-Match", said, {"type": "string"}))


def _ingest() -> dict[str, Any]:
    shared = [
        _parameter(
            "query", "dry_run", "Check and answer as usual, but store and send nothing", {"type": "boolean"}
        ),
        _parameter(
            "query",
            "skip_waits",
            "Of a dry run: it goes on behind waits to the end, as if time passed and nobody read anything",
            {"type": "boolean"},
        ),
        _parameter(
            "header", "traceparent", "W3C trace context, passed on to every attempt", {"type": "string"}
        ),
    ]
    accepted = "Durable. Repeats of an Idempotency-Key carry `Idempotency-Replayed: true`."
    one_or_many = {"oneOf": [_ref(CloudEvent), _ref(TriggerLine)]}
    many = {"type": "array", "items": one_or_many, "maxItems": 1000}
    return {
        "/v1/workflows/{key}/trigger": {
            "post": {
                "tags": ["Events"],
                "operationId": "trigger",
                "description": "Start a workflow for users and topics. The answer comes once the event is safely on disk.",
                "parameters": [
                    {**_parameter("path", "key", "The workflow", {"type": "string"}), "required": True},
                    *shared,
                ],
                "requestBody": _body({"application/json": _ref(Trigger)}, TRIGGER_EXAMPLE),
                "responses": {
                    "202": _reply(accepted, EventsAccepted),
                    "200": _reply("The plan of a dry run", Plan),
                },
            }
        },
        "/v1/inbound/email": {
            "post": {
                "tags": ["Messages"],
                "operationId": "take_mail",
                "description": (
                    "Submit a returned mail unchanged: a bounce, a complaint, an auto-reply or an unsubscribe request. "
                    "The answer comes once the consequences are durable. Submitting the same mail again changes nothing."
                ),
                "requestBody": _body({"message/rfc822": {"type": "string", "format": "binary"}}),
                "responses": {"200": _reply("How the mail was read", MailTaken)},
            }
        },
        "/v1/events": {
            "post": {
                "tags": ["Events"],
                "operationId": "send_events",
                "description": (
                    "Send one event or up to 1,000: CloudEvents 1.0 (structured, batched, or binary with `ce-` "
                    "headers), which start the workflows whose `on.type` matches, and triggers that name their "
                    "workflow. The `Content-Type` decides the mode; `ce-` headers of a structured or batched event are "
                    "ignored. `data` must be a JSON object in UTF-8, because workflows and templates read its fields. "
                    "The answer to a batch is 202 if at least one event was accepted; each entry of `items` has an "
                    "`event_id` or an `error`."
                ),
                "parameters": shared,
                "requestBody": _body(
                    {
                        STRUCTURED: _ref(CloudEvent),
                        BATCHED: {"type": "array", "items": _ref(CloudEvent), "maxItems": 1000},
                        "application/json": {"oneOf": [*one_or_many["oneOf"], many]},
                        "application/x-ndjson": one_or_many,
                    },
                    EVENT_EXAMPLE,
                ),
                "responses": {
                    "202": _reply(accepted, EventsAccepted | BatchAccepted),
                    "200": _reply("The plan of a dry run", Plan),
                },
            }
        },
    }


def _parameter(place: str, name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"in": place, "name": name, "description": description, "required": False, "schema": schema}


IDEMPOTENCY_KEY = _parameter(
    "header",
    "Idempotency-Key",
    "For 24 hours, a repeat with the same key and body gets the first answer again",
    {"type": "string", "maxLength": KEY_CHARS},
)


def _body(content: dict[str, Any], example: dict[str, Any] | None = None) -> dict[str, Any]:
    """A request body; the example is one of the first media type."""
    kinds = {kind: {"schema": schema} for kind, schema in content.items()}
    if example is not None:
        next(iter(kinds.values()))["example"] = example
    return {"required": True, "content": kinds}


def _reply(description: str, kind: Any) -> dict[str, Any]:
    kinds = get_args(kind) or (kind,)
    schema = _ref(kinds[0]) if len(kinds) == 1 else {"oneOf": [_ref(one) for one in kinds]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(kind: type) -> dict[str, Any]:
    return {"$ref": REF.format(name=kind.__name__)}
