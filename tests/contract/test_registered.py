"""Whatever can be named in the settings is held to its contract."""

import tomllib
from collections.abc import Collection

import pytest

from clarion.plugins import BROKERS, FANOUTS, LEDGERS
from tests.architecture.source_tree import ROOT
from tests.contract import test_broker, test_fanout, test_ledger, test_remote_store

ELSEWHERE = {"amqp", "amqps", "kafka", "nats", "postgresql", "redis", "rediss", "sqs"}
"""On servers of their own, each with a test of its own."""
REGISTERED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]


@pytest.mark.parametrize(
    ("group", "checked"),
    [
        (LEDGERS, {*test_ledger.LEDGERS, *test_remote_store.SERVED, *ELSEWHERE}),
        (BROKERS, {*test_broker.BROKERS, *ELSEWHERE}),
        (FANOUTS, test_fanout.FANOUTS),
    ],
)
def test_every_registered_backend_runs_its_contract(group: str, checked: Collection[str]):
    """A new entry point fails here until the suite has a case for it."""
    assert [scheme for scheme in REGISTERED[group] if scheme not in checked] == []
