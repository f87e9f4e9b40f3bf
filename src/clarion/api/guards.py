"""Dependencies and permission guards of the ordinary routes."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Any

from litestar import Litestar
from litestar.connection import ASGIConnection, Request
from litestar.handlers import BaseRouteHandler
from litestar.params import Dependency
from litestar.routes import HTTPRoute

from clarion.api.auth import Authenticator, Identity
from clarion.api.cloudevents import is_json
from clarion.api.conditions import STATE, ResourceState, conditions_of, meaningless
from clarion.api.dependencies import ApiParts
from clarion.api.idempotency import check_repeat
from clarion.api.pages import Page
from clarion.api.parameters import DRY, check_query
from clarion.api.problems import refuse
from clarion.api.references import NEIGHBOURS
from clarion.errors import InvalidInput, NotFound, UnknownName, UnknownReference, UserUnreadable
from clarion.model.ids import MessageId, UserNo, parse_id
from clarion.model.recipient_object import ObjectName
from clarion.model.setup import Scope
from clarion.model.user import User
from clarion.ports import terms
from clarion.ports.terms import Subject, Terms
from clarion.rules.match import closest
from clarion.rules.paths import SLASH

BODY = "clarion.body"
"""Where the edge keeps the body of a request once it was read: whoever refuses it looks at all of it."""
PARTS = "clarion.parts"
"""Where the edge puts its parts in the scope of a request."""
DOOR = "clarion.door"
"""Where it puts what verifies credentials."""

Parts = Annotated[ApiParts, Dependency(skip_validation=True)]
Caller = Annotated[Identity, Dependency(skip_validation=True)]
PathUser = Annotated[User, Dependency(skip_validation=True)]
"""The user the path names; 404 when there is none."""

FOR_GOOD: dict[str, Any] = {"dry": False}
"""What the route does cannot be undone: there is no dry run of it."""
READ: dict[str, Any] = {"scope": Scope.READ}
SEND: dict[str, Any] = {"scope": Scope.SEND}
ADMIN: dict[str, Any] = {"scope": Scope.ADMIN}
ADMIN_OR_OPERATOR: dict[str, Any] = {"scope": Scope.ADMIN, "operator": True}
"""An operator's key does it for all tenants."""
OPERATOR: dict[str, Any] = {"scope": Scope.OPERATOR}
"""A key that belongs to no tenant: for whoever runs the server."""
OPEN: dict[str, Any] = {"scope": None}
"""No credential needed."""
OWN_READ: dict[str, Any] = {"scope": Scope.READ, "own": True}
"""The user's own token will do instead of a key."""
OWN_SEND: dict[str, Any] = {"scope": Scope.SEND, "own": True}


def provide_parts(request: Request[Any, Any, Any]) -> ApiParts:
    """What the edge gave this request to work with."""
    return request.scope[PARTS]  # type: ignore[literal-required,no-any-return]


def provide_caller(request: Request[Any, Any, Any], parts: Parts) -> Identity:
    """The verified credential of this request. Asks for `parts` only to come after them: what the framework may
    provide at once it runs as tasks, which costs more than the rest of a request."""
    return request.auth  # type: ignore[no-any-return]


async def provide_person(user_id: str, caller: Caller, parts: Parts) -> User:
    """The user of the path."""
    return await the_user(parts, caller, user_id)


async def the_user(
    parts: ApiParts, caller: Identity, user_id: str, pointer: str = "", *, readable: bool = True
) -> User:
    """A user by id. NotFound, or UnknownReference when a body names them at `pointer`.

    Raises UserUnreadable when what is stored about them cannot be opened, unless it need not be.
    """
    found = await parts.ledger.users.find(caller.tenant, [user_id])
    if user_id not in found:
        near = ""
        if caller.scope is not None:  # whoever has a key may read users
            near = closest(
                user_id, await parts.ledger.directory.users_near(caller.tenant, user_id, NEIGHBOURS)
            )
        unknown = UnknownName("user", user_id, pointer, "Create one with PUT /v1/users/{user_id}.", near)
        raise UnknownReference([unknown]) if pointer else NotFound(str(unknown))
    if readable and found[user_id].unreadable:
        raise UserUnreadable(user_id)
    return found[user_id]


async def names_of(parts: ApiParts, numbers: set[UserNo]) -> dict[UserNo, str]:
    """The ids of users by their numbers; deleted ones are missing."""
    return {no: user.id for no, user in (await parts.ledger.users.get(list(numbers))).items()}


def a_message_id(text: str) -> MessageId:
    """The message a path names."""
    try:
        return MessageId(parse_id(text))
    except ValueError:
        raise NotFound("There is no such message: an id is a UUID.") from None


def listed_id(text: str, index: int) -> MessageId:
    """A message that the list `ids` of a body names."""
    try:
        return MessageId(parse_id(text))
    except ValueError:
        raise InvalidInput("a message id is a UUID.", pointer=f"#/ids/{index}") from None


def undeclared(app: Litestar) -> list[str]:
    """Paths of routes that do not say which credential they need: each would be a hole."""
    return [
        route.path
        for route in app.routes
        if not isinstance(route, HTTPRoute)
        or any("scope" not in one.opt for one in route.route_handlers if "OPTIONS" not in one.http_methods)
    ]


def open_options(app: Litestar) -> None:
    """Where no route of a path needs a credential, nobody needs one to ask which methods there are."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            asking = [one for one in route.route_handlers if "OPTIONS" in one.http_methods]
            others = [one for one in route.route_handlers if one not in asking]
            if all(one.opt["scope"] is None for one in others):
                for one in asking:
                    one.opt["scope"] = None


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Stands before every ordinary route, and before its body is read."""
    named = connection.path_params
    named.update({name: text.replace(SLASH, "/") for name, text in named.items()})
    await check_credential(connection, handler)
    check_home(connection)
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]
        return
    check_query(connection, handler)
    check_media_type(connection, handler)
    if isinstance(connection, Request):
        await check_repeat(connection)
    await check_conditions(connection, handler)


async def check_credential(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The caller has the credential that the route declares. What declares nothing is for any caller with one."""
    needed: Scope | None = handler.opt.get("scope", Scope.READ)
    if needed is None:
        return
    door: Authenticator = connection.scope[DOOR]  # type: ignore[literal-required]
    caller = await door.caller(dict(connection.scope["headers"]))
    connection.scope["auth"] = caller
    if connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]
        return
    if handler.opt.get("operator") and caller.scope is Scope.OPERATOR:
        return
    if handler.opt.get("own"):
        caller.require_own(connection.path_params["user_id"], needed)
    else:
        caller.require(needed)


def check_home(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Of two regions, this one has the user whom the path names."""
    homes = connection.scope[PARTS].pipeline.homes  # type: ignore[literal-required]
    user, caller = connection.path_params.get("user_id"), connection.scope.get("auth")
    if homes is not None and user is not None and caller is not None:
        homes.check(caller.tenant, user)


def check_media_type(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A body is what the route reads."""
    if connection.scope["method"] in ("GET", "DELETE") or handler.opt.get("ndjson"):  # type: ignore[typeddict-item]
        return
    given = connection.headers.get("content-type")
    if reads := handler.opt.get("reads"):
        if given is None and "application/json" in reads:
            return
        if given is None or given.partition(";")[0].strip().lower() not in reads:
            raise refuse("unsupported_media_type", f"Send `Content-Type: {' or '.join(reads)}`.")
        return
    if given is not None and not is_json(given):
        raise refuse("unsupported_media_type", "Send `Content-Type: application/json`.")


async def check_conditions(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The one resource of the route is as the caller has seen it: now, and inside every write of this request."""
    scope: Any = connection.scope
    parts: ApiParts = scope[PARTS]
    conditions = conditions_of(scope["headers"])
    subject = _subject(connection, handler)
    if scope["method"] in ("GET", "HEAD"):
        if subject is not None or handler.opt.get("one", True) is None:
            state = scope[STATE] = ResourceState(parts.ledger, subject)
            await state.read()
        return
    dry = bool(scope.get(DRY))
    if subject is None:
        if conditions:
            raise meaningless(conditions)
        if dry:
            terms.enter(Terms(dry=True))
        return
    tenant = parts.ledger.setup.tenants.all().get(subject.tenant)  # none for whoever runs the server
    if not conditions and tenant is not None and tenant.require_if_match:
        raise refuse(
            "precondition_required",
            "This tenant wants every change to name what it was made from: send `If-Match` with the ETag you read, "
            "or `If-None-Match: *` to create.",
        )
    # Where nothing can be created, what is not there is 404, whatever is demanded of it.
    conditions.require_existing(await parts.ledger.tag(subject))
    asked = Terms(subject, conditions, creates=scope["method"] == "PUT", dry=dry)
    scope[STATE] = ResourceState(parts.ledger, subject, asked)
    terms.enter(asked)


def _subject(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> Subject | None:
    """The one resource a route is about, if it is about one: no list, nothing new."""
    kind = about_one(handler, connection.path_params)
    if not kind:
        return None
    _, parameter = handler.opt["one"]
    if kind == "tenant":
        return Subject(tenant=connection.auth.tenant, kind=kind, key="")
    key = connection.path_params[parameter]
    return Subject(
        tenant=connection.auth.tenant,
        kind=kind,
        key=ObjectName(type=connection.path_params["type"], id=key).key if kind == "object" else key,
        version=connection.query_params.get("version"),
    )


def about_one(handler: BaseRouteHandler, path_parameters: Container[str]) -> str:
    """The kind of the one resource that a route reads or writes; empty when it is about several, or something new."""
    kind, parameter = handler.opt.get("one") or ("", "")
    if kind == "tenant" or (parameter in path_parameters and not is_list(handler)):
        return str(kind)
    return ""


def is_list(handler: BaseRouteHandler) -> bool:
    """The route answers a page of things."""
    answer = handler.parsed_fn_signature.return_type
    return issubclass(answer.origin or answer.annotation or object, Page)
