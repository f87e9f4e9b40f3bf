"""Checks query parameters: a request with unknown or invalid parameters is refused, and the answer names all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, get_args

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from clarion.api.faults import allowed_values, hint, kind_of, nearest, told
from clarion.api.pages import At, Page
from clarion.api.problems import MOST, Fault, RejectedRequest

DRY = "clarion.dry"
"""Where the scope of a request says that it is a dry run."""
TOTAL = "clarion.total"
"""Where the scope of a request says that the length of the list is wanted."""
FIELDS = "clarion.fields"
"""Where the scope of a request keeps the fields it asks for."""
HANDED_IN = frozenset({"parts", "caller", "person", "data", "request"})
"""Arguments of handlers that do not come from the query."""


class AnyOf(msgspec.Struct, frozen=True):
    """On a parameter that takes one or several of these values, with commas between them."""

    values: tuple[str, ...]


def several(text: str | None) -> list[str]:
    """The values of a parameter that may have many."""
    return text.split(",") if text else []


def check_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A misspelt filter must not silently match everything."""
    fields = {name: one for name, one in taken_by(handler).items() if name not in connection.path_params}
    query = dict(connection.query_params.dict())
    if not query and not any(one.is_required for one in fields.values()):
        return
    wrong: list[Fault] = []
    if "fields" in query and (shown := fields_shown(handler)):
        chosen = ",".join(query.pop("fields")).split(",")
        wrong += islice((_unknown_field(name, shown) for name in chosen if name not in shown), MOST)
        connection.scope[FIELDS] = frozenset(chosen)  # type: ignore[literal-required]
    for name, place, takes in (("dry_run", DRY, can_dry_run), ("total", TOTAL, can_count)):
        if name in query and name not in fields and takes(handler):
            (said, *more) = [text.lower() for text in query.pop(name)]
            if more or said not in ("true", "false"):
                wrong.append(_no_boolean(name))
            connection.scope[place] = said == "true"  # type: ignore[literal-required]
    if wrong := [*wrong, *islice(_faults(query, fields), MOST)]:
        raise RejectedRequest(f"`{wrong[0].parameter}`: {wrong[0].detail}", wrong)


def can_dry_run(handler: BaseRouteHandler) -> bool:
    """The route writes, and all that it does can be undone."""
    methods: set[str] = getattr(handler, "http_methods", set())
    return bool(handler.opt.get("dry", True)) and not methods & {"GET", "HEAD"}


def can_count(handler: BaseRouteHandler) -> bool:
    """The route answers pages of a list that has an end."""
    taken = taken_by(handler)
    return "cursor" in taken and "wait_s" not in taken and is_page(handler)


def is_page(handler: BaseRouteHandler) -> bool:
    """The route answers items with a cursor to the next ones."""
    answer = handler.parsed_fn_signature.return_type
    return issubclass(answer.origin or answer.annotation or object, Page)


def fields_shown(handler: BaseRouteHandler) -> list[str]:
    """The fields of what a reading route shows, each item's of a list; `fields` may choose among them."""
    if "GET" not in getattr(handler, "http_methods", ()):
        return []
    kind = handler.parsed_fn_signature.return_type.annotation
    if is_page(handler):
        items = next(field.type for field in msgspec.structs.fields(kind) if field.name == "items")
        kind = get_args(items)[0]
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return []
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def dry_run_answer(body: bytes, before: dict[str, Any] | None) -> bytes:
    """The answer of a dry run: as it would be, and what would change in the resource it is about (`before`)."""
    after = msgspec.json.decode(body) if body else {}
    if before is None:
        return msgspec.json.encode({**after, "dry_run": True})
    names = [name for name in after if name in before or not before] if body else [*before]
    changes = [
        {"field": name, "before": before.get(name), "after": after.get(name)}
        for name in names
        if before.get(name) != after.get(name)
    ]
    return msgspec.json.encode({**after, "dry_run": True, "changes": changes})


def only(body: bytes, fields: frozenset[str]) -> bytes:
    """An answer with the chosen fields: of every item, when it is a list."""
    whole = msgspec.json.decode(body)
    if whole.keys() >= {"items", "next_cursor"}:
        whole["items"] = [{name: one[name] for name in one if name in fields} for one in whole["items"]]
        return msgspec.json.encode(whole)
    return msgspec.json.encode({name: value for name, value in whole.items() if name in fields})


def taken_by(handler: BaseRouteHandler) -> dict[str, FieldDefinition]:
    """The parameters of a route, those in its path included."""
    return {
        name: field for name, field in handler.parsed_fn_signature.parameters.items() if name not in HANDED_IN
    }


def _faults(query: Mapping[str, list[Any]], fields: Mapping[str, FieldDefinition]) -> Iterator[Fault]:
    for name, values in query.items():
        if name not in fields:
            yield _unknown(name, list(fields))
        elif len(values) > 1:
            yield Fault(detail="it is given more than once: send it once.", code="repeated", parameter=name)
        elif (wrong := _wrong(name, values[0], fields[name])) is not None:
            yield wrong
    for name, field in fields.items():
        if field.is_required and name not in query:
            yield Fault(detail=f"the parameter `{name}` is required.", code="missing", parameter=name)


def _no_boolean(name: str) -> Fault:
    allowed = ("true", "false")
    return Fault(
        detail=f"`{name}` must be true or false.", code="not_allowed", parameter=name, allowed=allowed
    )


def _none_of(name: str, text: str, valid: Sequence[str]) -> Fault:
    return Fault(
        detail=f"Invalid value {text[:100]!r}{hint(text, [*valid])}",
        code="not_allowed",
        parameter=name,
        value=told(text, (name,)),
        allowed=tuple(valid),
        did_you_mean=nearest(text, [*valid]),
    )


def _unknown_field(name: str, valid: list[str]) -> Fault:
    return Fault(
        detail=f"unknown field `{name}`{hint(name, valid)}",
        code="unknown_field",
        parameter="fields",
        value=told(name),
        allowed=tuple(valid),
        did_you_mean=nearest(name, valid),
    )


def _unknown(name: str, valid: list[str]) -> Fault:
    near = nearest(name, valid)
    end = f"; did you mean `{near}`?" if near else f"; known here: {', '.join(valid) or 'none'}."
    return Fault(
        detail=f"unknown parameter `{name}`{end}",
        code="unknown_parameter",
        parameter=name,
        allowed=tuple(valid),
        did_you_mean=near,
    )


def _wrong(name: str, text: str, field: FieldDefinition) -> Fault | None:
    allowed = [str(one) for one in allowed_values(field.annotation)]
    if field.annotation is At:
        return None  # The list itself knows what fits.
    if several := next((one.values for one in field.metadata if isinstance(one, AnyOf)), ()):
        wrong = [one for one in text.split(",") if one not in several]
        return _none_of(name, wrong[0], several) if wrong else None
    try:
        value = msgspec.convert(text, field.annotation, strict=False)
    except msgspec.ValidationError as error:
        detail, code = str(error).partition(" - at `")[0], kind_of(str(error))
    else:
        bounds = field.kwarg_definition
        if not isinstance(bounds, ParameterKwarg) or (
            (bounds.ge is None or value >= bounds.ge) and (bounds.le is None or value <= bounds.le)
        ):
            return None
        detail, code = f"must be from {bounds.ge} to {bounds.le}", "out_of_range"
    return Fault(
        detail=f"{detail}{hint(text, allowed)}" if allowed else f"{detail}.",
        code=code,
        parameter=name,
        value=told(text, (name,)),
        allowed=tuple(allowed),
        did_you_mean=nearest(text, allowed),
    )
