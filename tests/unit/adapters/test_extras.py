"""A package that is not installed, where something needs it."""

import sys

import pytest

from clarion.adapters.extras import needs
from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.app.preparation import prepare_server
from clarion.errors import ConfigError


def test_a_package_that_is_missing_is_named_with_what_installs_it(monkeypatch):
    """With the field that asked for it, where there is one."""
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with (
        pytest.raises(ConfigError, match=r"^Avro needs a package .*pip install 'clarion\[schemas\]'") as told,
        needs("schemas", "Avro", pointer="#"),
    ):
        import fastavro  # noqa: F401
    assert told.value.pointer == "#"


def test_other_errors_are_not_taken_for_a_missing_package():
    """They pass as they are."""
    with pytest.raises(ValueError, match="something else"), needs("schemas", "Avro"):
        raise ValueError("something else")


async def test_a_database_server_without_its_client_is_told_before_anything_is_prepared(
    monkeypatch, tmp_path
):
    """`clarion migrate` says what to install, and makes no key."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "clarion.adapters.ledgers.postgresql.revision", raising=False)
    url, key = "postgresql://app@127.0.0.1:1/shop", tmp_path / "installation.key"
    with pytest.raises(ConfigError, match=r"database: .*pip install 'clarion\[postgresql\]'"):
        read_address(url)
    with pytest.raises(ConfigError, match=r"database: .*pip install 'clarion\[postgresql\]'"):
        await prepare_server(url, key)
    assert not key.exists()
