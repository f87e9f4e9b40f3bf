"""A package that is not installed, where something needs it."""

import shlex
import sys

import pytest

from clarion.adapters.extras import needs
from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.app.preparation import prepare_server
from clarion.errors import ConfigError, MissingPackage


def test_a_package_that_is_missing_is_named_with_what_installs_it(monkeypatch):
    """With the field that asked for it, where there is one."""
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with (
        pytest.raises(ConfigError, match=r"^Avro needs a package .*install 'fastavro<2,>=1") as told,
        needs("schemas", "Avro", pointer="#"),
    ):
        import fastavro  # noqa: F401
    assert told.value.pointer == "#"


@pytest.mark.parametrize("has_pip", [True, False])
def test_the_command_is_for_the_python_that_misses_the_package(monkeypatch, has_pip):
    """With its own pip, or with that of the Python from which the environment was made. Clarion itself is asked of no index."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if has_pip else None)
    said = MissingPackage("Redis", "redis").detail
    assert shlex.quote(sys.executable) in said
    assert ("-m pip install 'redis" in said) == has_pip
    assert (f"-m pip --python {shlex.quote(sys.executable)} install 'redis" in said) == (not has_pip)
    assert "clarion[" not in said


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
    with pytest.raises(ConfigError, match=r"database: .*install 'asyncpg<"):
        read_address(url)
    with pytest.raises(ConfigError, match=r"database: .*install 'asyncpg<"):
        await prepare_server(url, key)
    assert not key.exists()
