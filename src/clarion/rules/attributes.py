"""Whether attributes of users are what their tenant says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from clarion.errors import InvalidData, UnknownName, UnknownReference, check_all
from clarion.model.audience import AttributeType
from clarion.model.setup import Tenant
from clarion.rules.exact.open_attributes import LARGEST, LONGEST, MOST_TEXTS, mistyped
from clarion.rules.match import closest

_HOLDS = {
    AttributeType.STRING: f"a text of at most {LONGEST:,} characters",
    AttributeType.NUMBER: f"a number between -{LARGEST} and {LARGEST}",
    AttributeType.BOOLEAN: "true or false",
    AttributeType.TIME: "a time such as 2026-05-04T09:00:00Z, with at most milliseconds",
    AttributeType.STRINGS: f"a list of at most {MOST_TEXTS} texts",
}


def check(tenant: Tenant, values: Mapping[str, Any], pointer: str) -> None:
    """Every value is of its type, and every name is known where the tenant wants no others. `null` removes a value."""
    if tenant.attributes or tenant.only_known_attributes:
        check_all(
            [partial(_check_types, tenant, values, pointer), partial(_check_names, tenant, values, pointer)]
        )


def _check_types(tenant: Tenant, values: Mapping[str, Any], pointer: str) -> None:
    wrong = [
        (f"{pointer}/{name}", f"the attribute {name!r} holds {_HOLDS[tenant.attributes[name].type]}")
        for name in mistyped(tenant.attributes, values)
    ]
    if wrong:
        raise InvalidData("Attributes are not of the types that the tenant says", wrong)


def _check_names(tenant: Tenant, values: Mapping[str, Any], pointer: str) -> None:
    if not tenant.only_known_attributes:
        return
    unknown = [
        UnknownName(
            "attribute", name, f"{pointer}/{name}", "Name it in `attributes` of the tenant first.", near
        )
        for name in values
        if name not in tenant.attributes
        for near in [closest(name, tenant.attributes)]
    ]
    if unknown:
        raise UnknownReference(unknown)
