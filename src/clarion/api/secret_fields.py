"""Settings with secrets: they can be written and are never shown. `********` keeps what is stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from clarion.api import request_bodies
from clarion.api.problems import below
from clarion.errors import InvalidInput

MASK = "********"
"""Stands for a secret. Sent back, it keeps the stored one."""


def masked(config: Mapping[str, Any], secrets: Collection[str] | None) -> dict[str, Any]:
    """The settings with every secret replaced; `secrets` None: nobody knows which they are, so all are replaced."""
    return {name: MASK if secrets is None or name in secrets else value for name, value in config.items()}


def unmasked(
    config: Mapping[str, Any], known: Mapping[str, Any], secrets: Collection[str], place: str
) -> dict[str, Any]:
    """The settings at `place` of a body with masks replaced by what is stored."""
    whole = dict(config)
    for name in secrets:
        if whole.get(name) == MASK:
            if name not in known:
                raise InvalidInput(
                    f"there is no stored {name} to keep: send the secret.", pointer=f"#/{place}/{name}"
                )
            whole[name] = known[name]
    return whole


def check(config: Mapping[str, Any], kind: type[msgspec.Struct], place: str, title: str) -> msgspec.Struct:
    """The settings as their type accepts them. Says where it does not, and never quotes a secret."""
    try:
        return request_bodies.convert(dict(config), kind, quote=False)
    except InvalidInput as wrong:
        raise below(f"/{place}", f"{place} of {title}", wrong) from None
