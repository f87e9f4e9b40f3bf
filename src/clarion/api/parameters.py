"""Query parameters: every one is known and can be used, or the request is refused with all that are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from clarion.api.faults import allowed_values, hint, kind_of, nearest, told
from clarion.api.problems import Fault, Rejected

HANDED_IN = frozenset({"parts", "caller", "person", "data", "request"})
"""Arguments of handlers that do not come from the query."""


def check_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A misspelt filter must not silently match everything."""
    fields = {name: one for name, one in taken_by(handler).items() if name not in connection.path_params}
    query = connection.query_params
    if not query and not any(one.is_required for one in fields.values()):
        return
    if found := list(_faults(query.dict(), fields)):
        raise Rejected(f"`{found[0].parameter}`: {found[0].detail}", found)


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
            yield Fault(detail="it is given more than once.", code="repeated", parameter=name)
        elif (wrong := _wrong(name, values[0], fields[name])) is not None:
            yield wrong
    for name, field in fields.items():
        if field.is_required and name not in query:
            yield Fault(detail=f"the parameter `{name}` is needed.", code="missing", parameter=name)


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
