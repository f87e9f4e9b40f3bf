"""Opening a `kafka:` URL without what it needs."""

import sys

import pytest

from clarion.adapters.brokers.kafka.backend import opened
from clarion.errors import ConfigError


async def test_a_package_that_is_not_installed_is_named(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "confluent_kafka.admin", None)
    with pytest.raises(ConfigError, match=r"install 'confluent-kafka<"):
        async with opened("kafka://one", None, None):  # type: ignore[arg-type]
            pass
