"""All ordinary routes as one Litestar application whose errors are the catalogue's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.routes import HTTPRoute

from clarion.api import (
    budgets,
    campaigns,
    captures,
    categories,
    cluster,
    config,
    connections,
    consents,
    contacts,
    dead_letters,
    dead_records,
    devices,
    docs_pages,
    endpoints,
    event_list,
    event_views,
    exports,
    health,
    inbound_messages,
    inbox,
    integrations,
    keys,
    lives,
    messages,
    objects,
    openapi,
    operations,
    partials,
    preferences,
    previews,
    prices,
    quarantine,
    request_bodies,
    retention,
    runs,
    schedules,
    secrets,
    segments,
    selections,
    set_aside,
    sinks,
    sms_guard,
    sources,
    stats,
    suppressions,
    templates,
    tenant,
    tenants,
    topics,
    translations,
    user_imports,
    user_pages,
    users,
    verifications,
    workflows,
)
from clarion.api.guards import (
    BODY,
    guard,
    open_options,
    provide_caller,
    provide_parts,
    provide_person,
    undeclared,
)
from clarion.api.pages import provide_cursor
from clarion.api.problems import Fault, MethodNotAllowed, Nowhere, RejectedRequest, refuse, wrong_parameter
from clarion.errors import ClarionError, InvalidInput
from clarion.rules.paths import sent_path

_ABSENT = re.compile(r"Missing required \w+ parameter '([^']+)'")

ROUTERS = (
    budgets.router,
    campaigns.router,
    captures.router,
    translations.router,
    categories.router,
    cluster.router,
    config.router,
    config.schemas,
    connections.router,
    consents.router,
    consents.of_user,
    contacts.router,
    dead_letters.router,
    dead_records.router,
    selections.router,
    set_aside.router,
    devices.router,
    devices.of_user,
    docs_pages.router,
    endpoints.router,
    event_list.router,
    event_views.router,
    exports.router,
    health.router,
    inbound_messages.router,
    inbox.router,
    integrations.router,
    keys.router,
    lives.router,
    messages.router,
    objects.router,
    objects.its_preferences,
    operations.router,
    partials.router,
    preferences.router,
    preferences.defaults,
    previews.router,
    prices.router,
    retention.router,
    runs.router,
    schedules.router,
    stats.router,
    quarantine.router,
    secrets.router,
    segments.router,
    sinks.router,
    sms_guard.router,
    sources.router,
    suppressions.router,
    templates.router,
    tenant.router,
    tenants.router,
    topics.router,
    user_imports.router,
    user_pages.router,
    users.router,
    verifications.router,
    workflows.router,
)


def routed(version: str) -> Litestar:
    """The routes with their guards. The edge gives each request the parts it works with."""
    app = Litestar(
        route_handlers=list(ROUTERS),
        dependencies={
            "parts": Provide(provide_parts, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
            "person": Provide(provide_person),
            "cursor": Provide(provide_cursor, sync_to_thread=False),
        },
        guards=[guard],
        request_class=request_bodies.StrictRequest,
        request_max_body_size=None,  # the edge has its own limit, and says so in the catalogue's words
        exception_handlers={Exception: translate},
        openapi_config=openapi.config(version),
        logging_config=None,
    )
    if holes := undeclared(app):
        raise TypeError(f"These routes do not declare their credential (`opt=`): {', '.join(holes)}")
    open_options(app)
    return app


def translate(request: Request[Any, Any, Any], error: Exception) -> NoReturn:
    """Raise our error for one of the framework's; the edge answers it."""
    if isinstance(error, ClarionError):
        raise error
    if isinstance(error, MethodNotAllowedException):
        raise MethodNotAllowed(methods_at(request.app, request.scope["path"])) from None
    if isinstance(error, NotFoundException):
        scope: Any = request.scope
        raise Nowhere(sent_path(scope)) from None
    if (cause := _decoding(error)) is not None and not isinstance(cause, msgspec.ValidationError):
        raise request_bodies.refused(_body(request), None, cause) from None
    # A body field that is named like something handed in makes the framework call it its own fault.
    if isinstance(error, ValidationException) or (cause is not None and _is_callers(error, cause)):
        raise _invalid(request, error, cause) from None
    if isinstance(error, HTTPException) and error.status_code < 500:
        raise InvalidInput(error.detail) from None
    raise error


def methods_at(app: Litestar, path: str) -> Sequence[str]:
    """The methods of the route that matches best: a fixed segment before a parameter."""
    segments = path.strip("/").split("/")
    matching = [
        ([isinstance(part, str) for part in route.path_components], sorted(route.methods - {"OPTIONS"}))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        and len(route.path_components) == len(segments)
        and all(
            not isinstance(part, str) or part == segment
            for part, segment in zip(route.path_components, segments, strict=True)
        )
    ]
    return max(matching, default=([], []))[1]


def _decoding(error: BaseException) -> msgspec.DecodeError | None:
    """The parser's error behind the framework's."""
    cause = error.__cause__
    while cause is not None and not isinstance(cause, msgspec.DecodeError):
        cause = cause.__cause__
    return cause


def _is_callers(error: Exception, cause: msgspec.DecodeError) -> bool:
    """Whether what could not be decoded is the body."""
    return "`$.data" in str(cause) or (isinstance(error, HTTPException) and error.status_code < 500)


def _body(request: Request[Any, Any, Any]) -> bytes:
    """What was read of it."""
    scope: Any = request.scope
    return bytes(scope.get(BODY, b""))


def _invalid(
    request: Request[Any, Any, Any], error: Exception, cause: msgspec.DecodeError | None
) -> InvalidInput:
    extra: list[dict[str, str]] = getattr(error, "extra", None) or []
    parameters = [
        Fault(detail=f"{one['message']}.", parameter=one["key"])
        for one in extra
        if one.get("source") in ("query", "path") and "key" in one
    ]
    if parameters:
        return RejectedRequest(f"`{parameters[0].parameter}`: {parameters[0].detail}", parameters)
    if (absent := _ABSENT.search(str(error))) is not None:
        return wrong_parameter(absent.group(1), f"the parameter `{absent.group(1)}` is needed.")
    field = request.route_handler.parsed_data_field
    if field is not None and str(cause) == "Object missing required field `data`":
        return refuse("malformed_json", "The body is empty: send one JSON document.")
    if field is not None and cause is not None:
        return request_bodies.refused(_body(request), field.annotation, cause)
    return InvalidInput(f"{getattr(error, 'detail', 'The request cannot be read')}.")
