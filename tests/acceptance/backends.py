"""What the installations of acceptance tests run on: a database, and beside it perhaps Redis and a broker."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from tests.ledger_files import new_ledger
from tests.needs import DEEP
from tests.postgresql_ledgers import new_database
from tests.servers.brokers import BROKERS, broker_url

BACKENDS = (
    "sqlite",
    "postgresql",
    "postgresql+redis",
    *(f"postgresql+redis+{broker}" for broker in BROKERS),
)
CHOSEN = os.environ.get("CLARION_TEST_BACKEND", "")
"""The only one that is tested; see CONTRIBUTING.md."""
LEASE_S = "2"
"""On a database that others may work on, whoever comes next waits that long for who was killed."""


def backends(*some: str) -> Sequence[str]:
    """Those that a test of the heart runs on: the chosen one, or all when tests go deep, or just these."""
    if CHOSEN:
        return [CHOSEN]
    return BACKENDS if DEEP else some


def settings_of(request: pytest.FixtureRequest, backend: str) -> Mapping[str, str]:
    """Variables of Clarion for a new installation on it."""
    name, found = new_name(), dict[str, str]()
    if backend.startswith("postgresql"):
        url = request.getfixturevalue("postgresql").create(name)
        found |= {"CLARION_DATABASE": url, "CLARION_LEASE_S": LEASE_S}
    if "+redis" in backend:
        found["CLARION_REDIS"] = f"{request.getfixturevalue('redis').url}?prefix={name}"
    if url := broker_of(request, backend):
        found["CLARION_BROKER"] = url
    return found


def broker_of(request: pytest.FixtureRequest, backend: str) -> str:
    """The URL of its broker; none: it is in the ledger."""
    kind = backend.removeprefix("sqlite").removeprefix("postgresql").removeprefix("+redis").removeprefix("+")
    return broker_url(request, kind, new_name()) if kind else ""


def new_name() -> str:
    """What nobody else has."""
    return f"acceptance-{uuid.uuid4().hex[:12]}"


async def open_ledger(request: pytest.FixtureRequest, backend: str, folder: Path, **tools: Any) -> Any:
    """A new ledger on its database, for a test that is its process."""
    if backend.startswith("postgresql"):
        return await PostgresLedger.open(await new_database(request.getfixturevalue("postgresql")), **tools)
    return SqliteLedger.open(new_ledger(folder / "clarion.db"), **tools)
